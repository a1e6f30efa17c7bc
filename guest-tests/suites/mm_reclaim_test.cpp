// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory is short: pages go to compressed swap and come back, and processes are killed, while the GPU counts in the pages. */
#include <signal.h>

#include "mm_test.hpp"

using namespace mm_test;

namespace {

class MmReclaim : public MmTest {
protected:
	static std::uint64_t swapped(const Mapping &region) { return count_pages(region.get(), pages, pagemap_swapped); }
};

TEST_F(MmReclaim, paged_out_and_back_under_fire)
{
	Zram swap;
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	std::uint64_t out = vmstat("pswpout");
	ASSERT_GPU(tally(), tally().until([&] { ASSERT_SYS(madvise(region.get(), bytes, MADV_PAGEOUT)); },
					  [&] { return vmstat("pswpout") >= out + 4 * pages; }));
	EXPECT_GT(invalidations(TANDEM_CAUSE_CLEAR), 0u);
	finish_tally();
}

/* The lanes stand still, so all pages really go, dirty as only the GPU's page table knows. */
TEST_F(MmReclaim, what_only_the_gpu_wrote_comes_back_from_swap)
{
	Zram swap;
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_ATOMIC));
	for (int round = 0; round < 5; round++) {
		ASSERT_GPU(tally(), tally().pause());
		ASSERT_TRUE(tally::wait_sleeping([&] {
			page_out(region.get(), bytes);
			return swapped(region) == pages;
		})) << swapped(region);
		tally().resume();
		ASSERT_GPU(tally(), tally().wait_round());
		EXPECT_LT(swapped(region), pages);
	}
	finish_tally();
}

TEST_F(MmReclaim, a_huge_page_is_paged_out)
{
	Zram swap;
	HugeMapping region(huge_bytes);
	std::memset(region.get(), 1, huge_bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count, TALLY_WRITE));
	std::uint64_t out = vmstat("pswpout");
	ASSERT_GPU(tally(), tally().until([&] { ASSERT_SYS(madvise(region.get(), huge_bytes, MADV_PAGEOUT)); },
					  [&] { return vmstat("pswpout") >= out + huge_page_count; }));
	finish_tally();
}

TEST_F(MmReclaim, cold_pages_stay_right)
{
	Zram swap;
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	for (int round = 0; round < 10; round++)
		ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(madvise(region.get(), bytes, MADV_COLD)); }));
	finish_tally();
}

/* Lazily freed pages may go until somebody writes; what the GPU wrote afterwards must stay. */
TEST_F(MmReclaim, lazily_freed_pages_that_the_gpu_wrote_stay)
{
	Zram swap;
	Mapping region(bytes);
	for (int round = 0; round < 5; round++) {
		std::memset(region.get(), 0x55, bytes);
		EXPECT_EQ(gpu_reads(region.at(0)), 0x5555555555555555u);
		ASSERT_SYS(madvise(region.get(), bytes, MADV_FREE));
		let_gpu_touch(region.get(), pages / 2);
		ASSERT_SYS(madvise(region.get(), bytes, MADV_PAGEOUT));
		for (std::uint64_t page = 0; page < pages / 2; page++)
			ASSERT_EQ(region.words(page)[0] & 0xff, page + 1) << page;
		for (std::uint64_t page = pages / 2; page < pages; page++) {
			std::uint64_t word = region.words(page)[0];
			ASSERT_TRUE(word == 0 || word == 0x5555555555555555) << page;
			ASSERT_EQ(gpu_reads(region.words(page)), word);
		}
	}
}

TEST_F(MmReclaim, swap_is_turned_off_under_fire)
{
	Mapping region(bytes);
	Zram swap;
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_READ));
	ASSERT_GPU(tally(), tally().pause());
	page_out(region.get(), bytes);
	EXPECT_GT(swapped(region), 0u);
	tally().resume();
	swap.turn_off();
	EXPECT_EQ(swapped(region), 0u);
	ASSERT_GPU(tally(), tally().set_mode(TALLY_WRITE));
	finish_tally();
}

TEST_F(MmReclaim, reclaimed_by_the_generations_of_mglru)
{
	Setting lru("/sys/kernel/mm/lru_gen/enabled", "7");
	Zram swap;
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	std::uint64_t out = vmstat("pswpout");
	ASSERT_GPU(tally(), tally().until([&] { madvise(region.get(), bytes, MADV_PAGEOUT); },
					  [&] { return vmstat("pswpout") >= out + pages; }));
	finish_tally();
}

/* The group may have less than what the GPU goes over. */
int count_in_a_tight_group(const Cgroup &group, const SharedWords &words)
{
	constexpr std::uint64_t many = 2048;
	group.enter();
	auto own = tandem::Device::open().take();
	Tally mine(own, 9);
	Place region(many * page_bytes);
	madvise(region.get(), region.bytes(), MADV_NOHUGEPAGE);
	CHILD_CHECK(mine.start(region.get(), many, TALLY_WRITE));
	words.store(0, 1);
	CHILD_CHECK(mine.finish());
	return 0;
}

TEST_F(MmReclaim, a_group_at_its_limit_swaps_under_the_gpu)
{
	Zram swap;
	Cgroup group("tandem-tight");
	SharedWords words;
	group.set("memory.max", "7M");
	std::uint64_t out = vmstat("pswpout");
	EXPECT_TRUE(exited_well(in_child([&] { return count_in_a_tight_group(group, words); })));
	EXPECT_GT(vmstat("pswpout"), out + 512) << "nothing was swapped: nothing was tested";
	EXPECT_GT(group.event("max"), 0u);
}

TEST_F(MmReclaim, a_group_is_asked_to_give_memory_back_under_fire)
{
	Zram swap;
	Cgroup group("tandem-asked");
	SharedWords words;
	pid_t child = start_child([&] {
		group.enter();
		auto own = tandem::Device::open().take();
		Tally mine(own, 9);
		Place region(bytes);
		CHILD_CHECK(mine.start(region.get(), pages, TALLY_ATOMIC));
		words.store(0, 1);
		while (!words.load(1))
			CHILD_CHECK(mine.during([] {}));
		CHILD_CHECK(mine.finish());
		return 0;
	});
	EXPECT_TRUE(wait_for_word(words, 0, 1));
	std::uint64_t out = vmstat("pswpout");
	for (int round = 0; round < 20; round++)
		try {
			group.set("memory.reclaim", "1M");
		} catch (const std::system_error &) { /* less than was asked for */
		}
	EXPECT_GT(vmstat("pswpout"), out);
	words.store(1, 1);
	EXPECT_TRUE(exited_well(wait_status(child)));
}

/* No swap, and a GPU that wants more than the group may have: the process is killed, the rest lives on. */
TEST_F(MmReclaim, the_oom_killer_ends_a_process_whose_gpu_wants_too_much)
{
	Cgroup group("tandem-oom");
	group.set("memory.max", "16M");
	int status = in_child([&] {
		group.enter();
		auto own = tandem::Device::open().take();
		auto module = own.module("test_queue.elf").take();
		auto own_queue = own.queue().take();
		Place region(64 << 20);
		std::uint64_t done = 0;
		touch_arguments touch = {static_cast<unsigned char *>(region.get()), region.bytes() / page_bytes, &done, 1};
		own_queue.run(module.kernel("touch").take(), {256}, {64}, &touch);
		return 1;
	});
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
	EXPECT_GE(group.event("oom_kill"), 1u);
	expect_the_gpu_works();
}

} // namespace
