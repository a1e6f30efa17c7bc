// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The vendors' matrix: accesses that cannot be made good, as AMD's KFDTest makes them. Each in a process of its own, whose queue
 * says what happened and where; the parent's goes on meanwhile. docs/matrix.md names the origin of each.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "gpu_test.hpp"
#include "sweeper.hpp"

using namespace gpu_test;

namespace {

class MatrixException : public GpuTest {
protected:
	/* Addresses that no mapping can have: below them Linux maps nothing by itself, and nobody here maps there. */
	static constexpr std::uint64_t nowhere = 0x12345678, nowhere_else = 0x76543210;

	static void *at(std::uint64_t address) { return reinterpret_cast<void *>(address); }

	/* Runs the test in a child, whose checks are in it; this process's work must not notice. */
	void while_others_work(const std::function<void()> &test)
	{
		Mapping region(16 * page_bytes);
		sweeper::Sweeper other(device());

		ASSERT_TRUE(other.start(region.get(), 16, SWEEP_CHECK | SWEEP_WRITE)) << other.complaint();
		EXPECT_TRUE(exited_well(in_child([&] {
			test();
			return HasFailure();
		})));
		EXPECT_TRUE(other.change([] {})) << other.complaint();
		EXPECT_TRUE(other.stop()) << other.complaint();
		EXPECT_EQ(other.errors(), 0u);
		expect_the_gpu_works();
	}

	/* The child's own GPU. */
	struct Own {
		tandem::Device device = tandem::Device::open().take();
		tandem::Module module = device.module("test_queue.elf").take();
		tandem::Queue queue = device.queue().take();

		tandem::Outcome copy_words(const void *from, void *to, std::uint64_t words, tandem::Grid grid = {1}) const
		{
			peek_arguments arguments = {static_cast<const std::uint64_t *>(from), static_cast<std::uint64_t *>(to), words};

			return queue.run(module.kernel("peek").take(), grid, {64}, &arguments, 0, time_limit_ns);
		}
		/* After a fault the process may go on, with another queue. */
		void expect_it_goes_on() const
		{
			std::uint64_t from = 0x600d, to = 0;
			peek_arguments arguments = {&from, &to, 1};
			tandem::Queue another = device.queue().take();

			EXPECT_OK(another.run(module.kernel("peek").take(), {1}, {1}, &arguments, 0, time_limit_ns));
			EXPECT_EQ(to, 0x600du);
		}
	};

	void expect_fault(Own &own, const tandem::Outcome &outcome, tandem_queue_error error, const void *where, tandem_access access)
	{
		ASSERT_FALSE(outcome);
		EXPECT_EQ(outcome.error().status, TANDEM_ERROR_QUEUE) << outcome.error().text;
		expect_error(own.queue, error, where);
		EXPECT_EQ(own.queue.status()->detail, static_cast<std::uint32_t>(access)) << own.queue.describe();
		if (!is_sva())
			EXPECT_GE(own.device.stats()->faults_cancelled, 1u);
		own.expect_it_goes_on();
	}
};

TEST_F(MatrixException, an_address_fault)
{
	while_others_work([&] {
		Own own;
		std::uint64_t word = 0xaa55aa55;
		expect_fault(own, own.copy_words(&word, at(nowhere), 1), TANDEM_QUEUE_ADDRESS_FAULT, at(nowhere), TANDEM_ACCESS_WRITE);
		EXPECT_EQ(word, 0xaa55aa55u);
	});
}

/* A buffer that the GPU has used, and that is made read-only then. */
TEST_F(MatrixException, a_permission_fault)
{
	while_others_work([&] {
		Own own;
		Mapping buffer(page_bytes);
		std::uint64_t word = 0xaa55aa55;
		ASSERT_OK(own.copy_words(&word, buffer.get(), 1));
		ASSERT_EQ(mprotect(buffer.get(), page_bytes, PROT_READ), 0);
		word = 0x55aa55aa;
		expect_fault(own, own.copy_words(&word, buffer.get(), 1), TANDEM_QUEUE_PERMISSION_FAULT, buffer.get(), TANDEM_ACCESS_WRITE);
		EXPECT_EQ(buffer.words()[0], 0xaa55aa55u);
	});
}

/* The process's own memory, read-only from the beginning and never touched. */
TEST_F(MatrixException, a_permission_fault_on_a_user_pointer)
{
	while_others_work([&] {
		Own own;
		Mapping buffer(page_bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, PROT_READ);
		std::uint64_t word = 0xaa55aa55;
		expect_fault(own, own.copy_words(&word, buffer.get(), 1), TANDEM_QUEUE_PERMISSION_FAULT, buffer.get(), TANDEM_ACCESS_WRITE);
		EXPECT_EQ(buffer.words()[0], 0u);
	});
}

/* A million work items, each with an address that is not mapped: one fault ends them all, and the rest are no one else's. */
TEST_F(MatrixException, a_fault_storm)
{
	constexpr std::uint32_t items = 1024 * 1024;
	while_others_work([&] {
		Own own;
		const std::uint64_t from = nowhere & -8ull, to = nowhere_else & -8ull;
		expect_fault(own, own.copy_words(at(from), at(to), items, {items}), TANDEM_QUEUE_ADDRESS_FAULT, nullptr, TANDEM_ACCESS_READ);
		std::uint64_t va = own.queue.status()->va;
		EXPECT_GE(va, from & -page_bytes);
		EXPECT_LT(va, from + items * 8ull);
	});
}

TEST_F(MatrixException, a_copy_engine_queue_exception)
{
	while_others_work([&] {
		Own own;
		Mapping buffer(page_bytes);
		auto fill = [&](std::uint64_t value) {
			auto done = tandem::Signal::create().take();
			EXPECT_EQ(tandem_fill(own.queue.get(), buffer.get(), value, page_bytes, done.get()), 0);
			return own.queue.wait(done, time_limit_ns);
		};
		ASSERT_OK(fill(0x02020202));
		EXPECT_EQ(buffer.words()[511], 0x02020202u);
		/* The engine has a translation; then there is nothing any more. */
		munmap(buffer.get(), page_bytes);
		expect_fault(own, fill(1), TANDEM_QUEUE_ADDRESS_FAULT, buffer.get(), TANDEM_ACCESS_WRITE);
	});
}

} // namespace
