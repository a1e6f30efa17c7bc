// SPDX-License-Identifier: GPL-2.0-or-later
/* What only a mutation of the hardware needs: work that a rule of the hardware protects from Linux, or from CPUs. */
#include "fixture.hpp"

using namespace mutation;

namespace {

class Hardware : public Provocation {};

/* Walks are under way whenever the invalidation comes. */
TEST_F(Hardware, pages_are_dropped_again_and_again)
{
	Region region(some_pages);

	ASSERT_GPU(sweeping(), sweeping().start(region.get(), some_pages, check_and_write));
	for (int round = 0; round < 100; round++) {
		sweeping().begin_change();
		madvise(region.get(), region.bytes(), MADV_DONTNEED);
		sweeping().end_change();
		ASSERT_GPU(sweeping(), sweeping().wait_round());
	}
	finish_sweep();
}

/* Stores to the page are queued whenever the invalidation comes: store-queue-depth=8. */
TEST_F(Hardware, a_page_is_dropped_while_the_gpu_stores_there)
{
	Region region(1), release(1);
	tandem::Queue own = new_queue();
	auto done = tandem::Signal::create().take();
	spin_arguments arguments = {nullptr, release.words(), region.words()};
	const auto is_stored = [&] { return __atomic_load_n(region.words(), __ATOMIC_SEQ_CST) == 1; };

	*region.words() = *release.words() = 0;
	ASSERT_OK(own.dispatch(kernel("store_until_released"), {1}, {1}, &arguments, done.get()));
	for (int round = 0; round < 5; round++) {
		EXPECT_TRUE(sweeper::wait_until(is_stored));
		madvise(region.get(), page_bytes, MADV_DONTNEED);
	}
	EXPECT_TRUE(sweeper::wait_until(is_stored));
	__atomic_store_n(release.words(), 1, __ATOMIC_SEQ_CST);
	ASSERT_OK(own.wait(done, time_limit_ns));
}

/* An entry that was filled for reading permits no store, because the page is not marked dirty: the store has it walked anew. */
TEST_F(Hardware, a_page_that_was_read_is_written)
{
	Region region(1);
	tandem::Queue own = new_queue();

	ASSERT_OK(gpu_touches(region.get(), false, own));
	EXPECT_OK(gpu_touches(region.get(), true, own));
}

TEST_F(Hardware, pages_are_dropped_while_they_are_copied)
{
	constexpr std::uint64_t many = 256;
	Region from(many), to(many);
	tandem::Queue own = new_queue();

	for (int round = 0; round < 50; round++) {
		auto done = tandem::Signal::create().take();
		ASSERT_EQ(tandem_copy(own.get(), to.get(), from.get(), many * page_bytes, done.get()), 0);
		while (done.value() > 0)
			for (std::uint64_t page = 0; page < many; page += 16)
				madvise(to.at(page * page_bytes), 16 * page_bytes, MADV_DONTNEED);
		ASSERT_OK(own.wait(done, time_limit_ns));
	}
}

TEST_F(Hardware, a_cpu_and_the_gpu_add_to_one_word)
{
	Region region(1);
	tandem::Queue own = new_queue();
	auto done = tandem::Signal::create().take();
	count_arguments arguments = {region.words(), 1};
	std::uint64_t by_cpu = 0;

	ASSERT_OK(own.dispatch(kernel("count"), {16384}, {64}, &arguments, done.get()));
	for (; done.value() > 0; by_cpu++)
		__atomic_fetch_add(region.words(), 1, __ATOMIC_SEQ_CST);
	ASSERT_OK(own.wait(done, time_limit_ns));
	EXPECT_EQ(*region.words(), 1 + 16384 + by_cpu);
}

/* Its frame changes, and what it says does not. */
TEST_F(Hardware, the_code_moves_while_it_runs)
{
	Region words(1);
	tandem::Queue own = new_queue();
	auto done = tandem::Signal::create().take();
	spin_arguments arguments = {words.words() + 8, words.words() + 16, words.words() + 24};
	tandem::Kernel spin = kernel("spin");

	ASSERT_OK(own.dispatch(spin, {1}, {1}, &arguments, done.get()));
	ASSERT_TRUE(sweeper::wait_until([&] { return __atomic_load_n(arguments.started, __ATOMIC_SEQ_CST) > 0; }));
	auto *code = reinterpret_cast<const void *>(spin->entry & -page_bytes);
	EXPECT_EQ(device().prefetch(code, page_bytes, TANDEM_LOCATION_DEVICE).take(), 1u);
	__atomic_store_n(arguments.release, 1, __ATOMIC_SEQ_CST);
	ASSERT_OK(own.wait(done, time_limit_ns));
}

/* Their numbers are given out again before long: address-spaces=4. */
TEST_F(Hardware, address_spaces_come_and_go)
{
	Region region(1);

	for (int round = 0; round < 12; round++) {
		Another next = Another::open();
		touch_arguments touch = {reinterpret_cast<unsigned char *>(region.get()), 1, region.words() + 1, 1};
		ASSERT_OK(next.queue.run(next.module.kernel("touch").take(), {1}, {1}, &touch, 0, time_limit_ns));
	}
}

/* Faults of theirs wait in the device when they end. */
TEST_F(Hardware, address_spaces_end_with_faults)
{
	for (int round = 0; round < 20; round++) {
		Place region(512 * page_bytes);
		Another next = Another::open();
		std::uint64_t done = 0;
		touch_arguments touch = {reinterpret_cast<unsigned char *>(region.get()), 512, &done, 1};
		ASSERT_OK(next.queue.dispatch(next.module.kernel("touch_for_ever").take(), {512}, {64}, &touch));
		ASSERT_TRUE(sweeper::wait_until([&] { return __atomic_load_n(&done, __ATOMIC_SEQ_CST) > 0; }));
	}
}

} // namespace
