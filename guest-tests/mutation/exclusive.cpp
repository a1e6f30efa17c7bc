// SPDX-License-Identifier: GPL-2.0-or-later
/* Atomics of a GPU without AtomicOps (atomics=exclusive): while the GPU has the page nobody else does. */
#include "fixture.hpp"

using namespace mutation;

namespace {

class Exclusive : public Provocation {
protected:
	void SetUp() override
	{
		/* The page changes hands when the test says so. */
		for (const char *name : {"exclusive_hold_us", "cpu_hold_us"})
			write_file(std::string(parameters) + name, "0");
		Provocation::SetUp();
	}

	void add(tandem::Queue &queue, tandem::Kernel kernel, void *page)
	{
		count_arguments arguments = {static_cast<std::uint64_t *>(page), 1};

		EXPECT_OK(queue.run(kernel, {32}, {32}, &arguments, 0, time_limit_ns));
	}

	/*
	 * The GPU's atomic faults; the driver has taken the page, and is held before it maps it. It holds mmap_lock meanwhile: nobody may
	 * map memory, so all threads are there before.
	 */
	void change_a_taken_page(const std::function<void(Region &)> &change, std::uint64_t expected)
	{
		Region region(1);
		tandem::Queue own = new_queue();
		std::atomic<bool> taken = false, changed = false, added = false;
		std::thread changer([&] {
			taken.wait(false);
			change(region);
			changed = true;
		});
		Gate gate("taken", region.get());
		std::thread user([&] {
			add(own, kernel("count"), region.get());
			added = true;
		});

		EXPECT_TRUE(gate.wait_held_or([&] { return added.load(); }));
		taken = true;
		taken.notify_one();
		/* Whoever has to wait for the page waits for the gate. */
		sweeper::wait_until([&] { return changed.load(); }, {}, 0.5);
		gate.open();
		changer.join();
		user.join();
		add(own, kernel("count"), region.get());
		EXPECT_EQ(*region.words(), expected);
	}
};

TEST_F(Exclusive, the_gpu_adds_where_a_cpu_has_written)
{
	Region region(1);

	add(queue(), kernel("count"), region.get());
	EXPECT_EQ(*region.words(), 33u);
}

TEST_F(Exclusive, a_cpu_writes_where_the_gpu_adds)
{
	Region region(1);

	add(queue(), kernel("count"), region.get());
	__atomic_fetch_add(region.words(), 1, __ATOMIC_SEQ_CST);
	add(queue(), kernel("count"), region.get());
	EXPECT_EQ(*region.words(), 66u);
}

TEST_F(Exclusive, a_cpu_asks_for_the_page_before_it_is_mapped)
{
	change_a_taken_page([](Region &region) { __atomic_fetch_add(region.words(), 1, __ATOMIC_SEQ_CST); }, 66);
}

TEST_F(Exclusive, the_page_goes_before_it_is_mapped)
{
	change_a_taken_page([](Region &region) { madvise(region.get(), page_bytes, MADV_DONTNEED); }, 64);
}

/* What one GPU takes from the CPUs is taken from the other GPUs, too. */
TEST_F(Exclusive, one_gpu_adds_where_another_reads)
{
	Region region(1), result(1);
	Another second = Another::open("/dev/tandem1");
	peek_arguments peek = {region.words(), result.words(), 1};

	for (std::uint64_t round = 0; round < 3; round++) {
		ASSERT_OK(queue().run(kernel("peek"), {1}, {1}, &peek, 0, time_limit_ns));
		EXPECT_EQ(*result.words(), 1 + 32 * round);
		add(second.queue, second.module.kernel("count").take(), region.get());
	}
	ASSERT_OK(queue().run(kernel("peek"), {1}, {1}, &peek, 0, time_limit_ns));
	EXPECT_EQ(*result.words(), 1u + 3 * 32);
}

/* A driver that takes its own call for somebody else's begins anew each time. */
TEST_F(Exclusive, the_gpu_gets_its_page_in_the_end)
{
	Setting retry(std::string(parameters) + "retry_ms", "2");
	Region region(1);
	count_arguments arguments = {region.words(), 1};
	tandem::Queue own = new_queue();

	EXPECT_OK(own.run(kernel("count"), {32}, {32}, &arguments, 0, 20'000'000'000 * time_scale()));
	EXPECT_EQ(*region.words(), 33u);
}

} // namespace
