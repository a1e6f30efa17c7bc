// SPDX-License-Identifier: GPL-2.0-or-later
/* Atomics of CPU threads and GPU lanes on the same words at the same time: no update may be lost, on either side. */
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "gpu_test.hpp"

using namespace gpu_test;

namespace {

class AtomicsTest : public GpuTest {
protected:
	static constexpr std::uint64_t lanes = 256;

	void SetUp() override
	{
		kernel_file_ = "test_atomics.elf";
		GpuTest::SetUp();
	}

	atomics_arguments arguments(std::uint64_t rounds)
	{
		return {cells_, cells32_, &exchange_, &exchanged_, &cas_, rounds};
	}

	/* The kernel, and this many threads that run the function until the kernel has ended and they made their rounds. */
	void run_with_threads(const char *name, const atomics_arguments &arguments, int threads, const std::function<void()> &round,
			      std::uint64_t rounds)
	{
		auto done = tandem::Signal::create().take();
		std::vector<std::thread> pool;

		ASSERT_OK(queue().dispatch(kernel(name), {lanes}, {64}, &arguments, done.get()));
		for (int i = 0; i < threads; i++)
			pool.emplace_back([&] {
				for (std::uint64_t n = 0; n < rounds; n++)
					round();
			});
		for (auto &thread : pool)
			thread.join();
		ASSERT_OK(queue().wait(done, time_limit_ns));
	}

	alignas(64) std::uint64_t cells_[8] = {};
	alignas(64) std::uint32_t cells32_[8] = {};
	alignas(64) std::uint64_t exchange_ = 0;
	alignas(64) std::uint64_t exchanged_ = 0;
	alignas(64) std::uint64_t cas_ = 0;
};

TEST_F(AtomicsTest, gpu_alone_adds_exactly)
{
	atomics_arguments a = arguments(50);

	ASSERT_OK(run("add_many", {lanes}, {64}, &a));
	EXPECT_EQ(cells_[0], lanes * 50);
}

TEST_F(AtomicsTest, cpu_threads_and_gpu_add_to_one_counter)
{
	atomics_arguments a = arguments(200);

	run_with_threads("add_many", a, 2, [&] { __atomic_fetch_add(&cells_[0], 1, __ATOMIC_RELAXED); }, 100000);
	EXPECT_EQ(cells_[0], lanes * 200 + 2 * 100000);
}

TEST_F(AtomicsTest, cpu_threads_and_gpu_add_to_one_32_bit_counter)
{
	atomics_arguments a = arguments(200);

	run_with_threads("add_many32", a, 2, [&] { __atomic_fetch_add(&cells32_[0], 1, __ATOMIC_RELAXED); }, 100000);
	EXPECT_EQ(cells32_[0], lanes * 200 + 2 * 100000);
}

TEST_F(AtomicsTest, compare_and_swap_of_both_sides_loses_nothing)
{
	atomics_arguments a = arguments(20);
	auto increment = [&] {
		std::uint64_t seen = __atomic_load_n(&cas_, __ATOMIC_RELAXED);
		while (!__atomic_compare_exchange_n(&cas_, &seen, seen + 1, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			;
	};

	run_with_threads("compare_and_swap", a, 2, increment, 20000);
	EXPECT_EQ(cas_, lanes * 20 + 2 * 20000);
}

TEST_F(AtomicsTest, exchanged_values_travel_whole)
{
	atomics_arguments a = arguments(0);

	ASSERT_OK(run("exchange", {lanes}, {64}, &a));
	EXPECT_EQ(exchanged_ + exchange_, lanes * (lanes + 1) / 2);
}

TEST_F(AtomicsTest, each_64_bit_operation)
{
	atomics_arguments a = arguments(0);
	constexpr std::uint64_t last = lanes - 1;

	cells_[1] = ~0ull;
	cells_[6] = ~0ull;
	cells_[3] = 0x0123456789abcdef;
	ASSERT_OK(run("all_atomics", {lanes}, {64}, &a));
	EXPECT_EQ(cells_[0], last * lanes / 2) << "amoadd";
	EXPECT_EQ(cells_[1], 0u) << "amoand";
	EXPECT_EQ(cells_[2], ~0ull) << "amoor";
	EXPECT_EQ(cells_[3], 0x0123456789abcdefu) << "amoxor, an even number of times";
	EXPECT_EQ(static_cast<std::int64_t>(cells_[4]), -static_cast<std::int64_t>(last)) << "amomin";
	EXPECT_EQ(cells_[5], last) << "amomax";
	EXPECT_EQ(cells_[6], ~0ull - last) << "amominu";
	EXPECT_EQ(cells_[7], ~0ull - 1000 + last) << "amomaxu";
}

TEST_F(AtomicsTest, each_32_bit_operation)
{
	atomics_arguments a = arguments(0);
	constexpr std::uint32_t last = lanes - 1;

	cells32_[1] = ~0u;
	cells32_[6] = ~0u;
	cells32_[3] = 0x89abcdef;
	ASSERT_OK(run("all_atomics", {lanes}, {64}, &a));
	EXPECT_EQ(cells32_[0], last * lanes / 2) << "amoadd";
	EXPECT_EQ(cells32_[1], 0u) << "amoand";
	EXPECT_EQ(cells32_[2], ~0u) << "amoor";
	EXPECT_EQ(cells32_[3], 0x89abcdefu) << "amoxor";
	EXPECT_EQ(static_cast<std::int32_t>(cells32_[4]), -static_cast<std::int32_t>(last)) << "amomin";
	EXPECT_EQ(cells32_[5], last) << "amomax";
	EXPECT_EQ(cells32_[6], ~0u - last) << "amominu";
	EXPECT_EQ(cells32_[7], ~0u - 1000 + last) << "amomaxu";
}

TEST_F(AtomicsTest, a_min_does_not_touch_a_smaller_value)
{
	atomics_arguments a = arguments(0);

	cells_[4] = static_cast<std::uint64_t>(INT64_MIN);
	cells_[5] = INT64_MAX;
	cells_[6] = 1;
	cells_[7] = ~0ull;
	ASSERT_OK(run("all_atomics", {lanes}, {64}, &a));
	EXPECT_EQ(cells_[4], static_cast<std::uint64_t>(INT64_MIN));
	EXPECT_EQ(cells_[5], static_cast<std::uint64_t>(INT64_MAX));
	EXPECT_EQ(cells_[6], 1u);
	EXPECT_EQ(cells_[7], ~0ull);
}

/* ---- scopes ---- */

class AtomicScopes : public AtomicsTest {
protected:
	static constexpr std::uint64_t rounds = 50;

	/* Pages of their own: nobody else touches them. */
	scopes_arguments scopes()
	{
		return {words_.words(0), words_.words(1), words_.words(2), narrow(3), narrow(4), narrow(5), words_.words(6), words_.words(7), rounds};
	}

	std::uint32_t *narrow(std::uint64_t page) { return reinterpret_cast<std::uint32_t *>(words_.words(page)); }

	void run_scopes(const char *name)
	{
		scopes_arguments a = scopes();

		ASSERT_OK(run(name, {lanes}, {lanes / SCOPES_GROUPS * 2}, &a));
	}

	Mapping words_{8 * page_bytes};
};

TEST_F(AtomicScopes, of_the_system_with_cpu_threads)
{
	scopes_arguments a = scopes();
	constexpr std::uint64_t by_thread = 2000;
	auto increment = [](auto *words) {
		__atomic_fetch_add(&words[0], 1, __ATOMIC_RELAXED);
		auto seen = __atomic_load_n(&words[1], __ATOMIC_RELAXED);
		while (!__atomic_compare_exchange_n(&words[1], &seen, seen + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			;
	};
	auto done = tandem::Signal::create().take();
	std::vector<std::thread> pool;

	ASSERT_OK(queue().dispatch(kernel("scope_system"), {lanes}, {64}, &a, done.get()));
	for (int i = 0; i < 2; i++)
		pool.emplace_back([&] {
			for (std::uint64_t n = 0; n < by_thread; n++) {
				increment(a.system);
				increment(a.system32);
			}
		});
	for (auto &thread : pool)
		thread.join();
	ASSERT_OK(queue().wait(done, time_limit_ns));
	for (int word = 0; word < 2; word++) {
		EXPECT_EQ(a.system[word], lanes * rounds + 2 * by_thread) << word;
		EXPECT_EQ(a.system32[word], lanes * rounds + 2 * by_thread) << word;
	}
}

/* No page is taken for it or moved, in whatever way atomics work: the CPUs can look on. */
TEST_F(AtomicScopes, of_the_device_needs_no_page_of_its_own)
{
	scopes_arguments a = scopes();
	auto before = stats();
	run_scopes("scope_device");
	auto after = stats();

	for (int word = 0; word < 2; word++) {
		EXPECT_EQ(a.device[word], lanes * rounds) << word;
		EXPECT_EQ(a.device32[word], lanes * rounds) << word;
	}
	/* The completion signal is of system scope. */
	EXPECT_LE(after.exclusive_taken - before.exclusive_taken, 1u);
	EXPECT_LE(after.pages_to_vram - before.pages_to_vram, 1u);
}

TEST_F(AtomicScopes, of_the_workgroup)
{
	scopes_arguments a = scopes();
	constexpr std::uint64_t group_lanes = lanes / SCOPES_GROUPS * 2;

	run_scopes("scope_workgroup");
	for (std::uint64_t word = 0; word < 2 * lanes / group_lanes; word++) {
		EXPECT_EQ(a.workgroup[word], group_lanes * rounds) << word;
		EXPECT_EQ(a.workgroup32[word], group_lanes * rounds) << word;
	}
}

TEST_F(AtomicScopes, of_the_device_orders_what_workgroups_send_each_other)
{
	scopes_arguments a = scopes();

	ASSERT_OK(run("scope_mail", {SCOPES_GROUPS * 32}, {32}, &a));
	EXPECT_EQ(*a.wrong, 0u);
	EXPECT_EQ(a.mail[0], rounds * SCOPES_GROUPS) << "the last letter has arrived";
}

/* What the machine was built for (test-configs.json), also where a GPU that could do AtomicOps finds none who completes them. */
TEST_F(AtomicScopes, of_the_system_work_as_this_machine_can)
{
	const char *expected = std::getenv("TANDEM_TEST_ATOMICS");
	std::ifstream file("/sys/kernel/debug/tandem0/stats");
	std::string key, value;

	while (file >> key && key != "atomics")
		file >> value;
	file >> value;
	EXPECT_EQ(value, expected ? expected : "pcie");
}

} // namespace
