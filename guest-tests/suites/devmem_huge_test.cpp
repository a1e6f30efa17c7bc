// SPDX-License-Identifier: GPL-2.0-or-later
/* Private memory in pages of 2 MiB: they go and come as one, and fall apart when they must. */
#include "devmem_test.hpp"

using namespace devmem_test;

namespace {

class DevmemHuge : public PrivateTest {
protected:
	/* One huge page, filled, in video memory as one. */
	class InVram : public HugeMapping {
	public:
		explicit InVram(DevmemHuge &test, std::uint64_t seed = 1) : HugeMapping(huge_bytes)
		{
			fill(get(), huge_bytes, seed);
			EXPECT_TRUE(is_huge(get())) << "Linux gave no huge page to begin with";
			EXPECT_TRUE(test.to_vram(get(), huge_bytes));
			EXPECT_TRUE(test.is_one(get()));
		}
	};

	::testing::AssertionResult is_one(const void *start)
	{
		std::vector<std::uint8_t> states = device().pages(start, huge_bytes).take();

		for (std::uint64_t page = 0; page < states.size(); page++)
			if (!(states[page] & TANDEM_PAGE_HUGE))
				return ::testing::AssertionFailure() << "page " << page << " is not part of a huge one";
		return ::testing::AssertionSuccess();
	}
};

DEVMEM_TEST(DevmemHuge, goes_and_comes_as_one)
{
	std::uint64_t before = ledger::vram("huge_blocks");
	InVram region(*this);
	EXPECT_EQ(ledger::vram("huge_blocks"), before + 1);
	EXPECT_TRUE(gpu_holds(region.get(), huge_bytes, 1));
	gpu_fill(region.get(), huge_bytes, 2);
	ASSERT_TRUE(to_system(region.get(), huge_bytes));
	EXPECT_TRUE(is_huge(region.get()));
	EXPECT_EQ(ledger::vram("huge_blocks"), before);
	EXPECT_TRUE(holds(region.get(), huge_bytes, 2));
}

DEVMEM_TEST(DevmemHuge, the_gpu_maps_it_as_one)
{
	std::uint64_t before = stats().leaves_2m;
	InVram region(*this);
	gpu_touch(region.get(), huge_bytes);
	EXPECT_GT(stats().leaves_2m, before);
	EXPECT_TRUE(is_one(region.get()));
}

DEVMEM_TEST(DevmemHuge, one_cpu_access_brings_all_of_it_home)
{
	InVram region(*this);
	EXPECT_EQ(region.words(300)[5], pattern(1, 300 * 512 + 5));
	EXPECT_TRUE(all_are(TANDEM_PAGE_SYSTEM, region.get(), huge_bytes));
	EXPECT_TRUE(is_huge(region.get()));
	EXPECT_TRUE(holds(region.get(), huge_bytes, 1));
	EXPECT_TRUE(gpu_holds(region.get(), huge_bytes, 1));
}

DEVMEM_TEST(DevmemHuge, to_and_fro_under_fire)
{
	HugeMapping region(huge_bytes);
	std::memset(region.get(), 1, huge_bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count, TALLY_ATOMIC));
	for (int round = 0; round < 10; round++)
		ASSERT_GPU(tally(), tally().during([&] {
			prefetch(region.get(), huge_bytes, round % 2 ? TANDEM_LOCATION_SYSTEM : TANDEM_LOCATION_DEVICE);
		}));
	finish_tally();
	EXPECT_GE(stats().pages_to_vram, huge_page_count);
}

DEVMEM_TEST(DevmemHuge, several_at_once_and_a_ragged_range)
{
	HugeMapping region(4 * huge_bytes);
	fill(region.get(), 4 * huge_bytes, 1);
	char *start = region.get() + 100 * page_bytes;
	std::uint64_t length = 3 * huge_bytes;
	ASSERT_TRUE(to_vram(start, length));
	EXPECT_TRUE(is_one(region.get() + huge_bytes));
	EXPECT_TRUE(is_one(region.get() + 2 * huge_bytes));
	EXPECT_TRUE(gpu_holds(region.get(), 4 * huge_bytes, 1));
	EXPECT_TRUE(holds(region.get(), 4 * huge_bytes, 1));
}

DEVMEM_TEST(DevmemHuge, the_huge_zero_page_becomes_zeros_there)
{
	HugeMapping region(huge_bytes);
	for (std::uint64_t page = 0; page < huge_page_count; page += 64)
		ASSERT_EQ(*static_cast<volatile std::uint64_t *>(region.words(page)), 0u);
	prefetch(region.get(), huge_bytes, TANDEM_LOCATION_DEVICE);
	EXPECT_EQ(gpu_reads(region.words(9)), 0u);
	gpu_writes(region.words(9), 5);
	for (std::uint64_t word = 0; word < huge_bytes / 8; word++)
		ASSERT_EQ(region.words(0)[word], word == 9 * 512 ? 5u : 0u) << word;
}

DEVMEM_TEST(DevmemHuge, memory_that_nobody_touched_goes_as_one)
{
	HugeMapping region(huge_bytes);
	prefetch(region.get(), huge_bytes, TANDEM_LOCATION_DEVICE);
	gpu_fill(region.get(), huge_bytes, 3);
	EXPECT_TRUE(holds(region.get(), huge_bytes, 3));
}

/* ---- it must be split ---- */

DEVMEM_TEST(DevmemHuge, split_by_unmapping_the_middle)
{
	InVram region(*this);
	gpu_touch(region.get(), huge_bytes, false);
	ASSERT_SYS(munmap(region.get() + 200 * page_bytes, 8 * page_bytes));
	EXPECT_TRUE(gpu_holds(region.get(), 200 * page_bytes, 1));
	gpu_reads(region.words(203), TANDEM_QUEUE_ADDRESS_FAULT);
	for (std::uint64_t page = 0; page < huge_page_count; page++)
		if (page < 200 || page >= 208) {
			ASSERT_EQ(region.words(page)[7], pattern(1, page * 512 + 7)) << page;
		}
	remap(region.get() + 200 * page_bytes, 8 * page_bytes);
}

DEVMEM_TEST(DevmemHuge, split_by_dropping_one_page)
{
	InVram region(*this);
	ASSERT_SYS(madvise(region.get() + 9 * page_bytes, page_bytes, MADV_DONTNEED));
	EXPECT_EQ(gpu_reads(region.words(9)), 0u);
	EXPECT_EQ(gpu_reads(&region.words(10)[1]), pattern(1, 10 * 512 + 1));
	EXPECT_EQ(region.words(9)[0], 0u);
	EXPECT_TRUE(holds(region.get(), 9 * page_bytes, 1));
	for (std::uint64_t page = 10; page < huge_page_count; page++)
		ASSERT_EQ(region.words(page)[100], pattern(1, page * 512 + 100)) << page;
}

DEVMEM_TEST(DevmemHuge, split_by_protecting_a_part)
{
	InVram region(*this);
	ASSERT_SYS(mprotect(region.get() + 64 * page_bytes, 64 * page_bytes, PROT_READ));
	EXPECT_TRUE(gpu_holds(region.get(), huge_bytes, 1));
	std::uint64_t value = 1;
	peek_arguments poke = {&value, region.words(70), 1};
	tandem::Queue own = new_queue();
	EXPECT_FALSE(own.run(kernel("peek"), {1}, {1}, &poke, 0, time_limit_ns));
	expect_error(own, TANDEM_QUEUE_PERMISSION_FAULT, region.words(70));
	gpu_writes(region.words(5), 55);
	EXPECT_EQ(region.words(5)[0], 55u);
	region.words(5)[0] = pattern(1, 5 * 512);
	EXPECT_TRUE(holds(region.get(), huge_bytes, 1));
}

DEVMEM_TEST(DevmemHuge, split_by_moving_a_part_away)
{
	InVram region(*this);
	Mapping other(16 * page_bytes);
	char *part = region.get() + 32 * page_bytes;
	ASSERT_EQ(mremap(part, 16 * page_bytes, 16 * page_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, other.get()), other.get());
	for (std::uint64_t page = 0; page < 16; page++) {
		EXPECT_EQ(gpu_reads(&other.words(page)[3]), pattern(1, (32 + page) * 512 + 3)) << page;
		EXPECT_EQ(other.words(page)[4], pattern(1, (32 + page) * 512 + 4)) << page;
	}
	gpu_reads(part, TANDEM_QUEUE_ADDRESS_FAULT);
	EXPECT_TRUE(holds(region.get(), 32 * page_bytes, 1));
	remap(part, 16 * page_bytes);
}

DEVMEM_TEST(DevmemHuge, a_part_of_it_is_asked_home)
{
	InVram region(*this);
	ASSERT_TRUE(to_system(region.get() + 100 * page_bytes, 4 * page_bytes));
	EXPECT_TRUE(gpu_holds(region.get(), huge_bytes, 1));
	gpu_fill(region.get(), huge_bytes, 2);
	EXPECT_TRUE(holds(region.get(), huge_bytes, 2));
}

DEVMEM_TEST(DevmemHuge, split_under_fire)
{
	HugeMapping region(huge_bytes);
	std::memset(region.get(), 1, huge_bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count - 8, TALLY_WRITE));
	for (int round = 0; round < 4; round++) {
		char *last = region.get() + huge_bytes - static_cast<std::uint64_t>(1 + round) * page_bytes;
		ASSERT_GPU(tally(), tally().during([&] {
			prefetch(region.get(), huge_bytes, TANDEM_LOCATION_DEVICE);
			ASSERT_SYS(madvise(last, page_bytes, MADV_DONTNEED));
		}));
		ASSERT_GPU(tally(), tally().during([&] { prefetch(region.get(), huge_bytes, TANDEM_LOCATION_SYSTEM); }));
		ASSERT_GPU(tally(), tally().during([&] { madvise(region.get(), huge_bytes, MADV_COLLAPSE); }));
	}
	finish_tally();
}

/* ---- fork, exit ---- */

DEVMEM_TEST(DevmemHuge, parent_and_child_share_it_until_one_writes)
{
	InVram region(*this);
	SharedWords words;
	pid_t child = start_child([&] {
		CHILD_CHECK(wait_for_word(words, 0, 1));
		CHILD_CHECK(holds(region.get(), huge_bytes, 1));
		fill(region.get(), huge_bytes, 9);
		CHILD_CHECK(holds(region.get(), huge_bytes, 9));
		return 0;
	});
	gpu_fill(region.get(), huge_bytes, 2);
	words.store(0, 1);
	EXPECT_TRUE(exited_well(wait_status(child)));
	EXPECT_TRUE(gpu_holds(region.get(), huge_bytes, 2));
	EXPECT_TRUE(holds(region.get(), huge_bytes, 2));
}

DEVMEM_TEST(DevmemHuge, a_child_that_dies_with_its_share_changes_nothing)
{
	InVram region(*this);
	for (int round = 0; round < 3; round++) {
		EXPECT_TRUE(exited_well(in_child([&] {
			region.words(17)[0] = 1; /* its own copy of one page */
			return 0;
		})));
		EXPECT_TRUE(to_vram(region.get(), huge_bytes));
		EXPECT_TRUE(gpu_holds(region.get(), huge_bytes, 1));
	}
	EXPECT_TRUE(holds(region.get(), huge_bytes, 1));
}

DEVMEM_TEST(DevmemHuge, unmapping_gives_a_whole_block_back)
{
	std::uint64_t used = ledger::vram("used_pages"), huge = ledger::vram("huge_blocks");
	InVram region(*this);
	EXPECT_EQ(ledger::vram("used_pages"), used + huge_page_count);
	ASSERT_SYS(madvise(region.get(), huge_bytes, MADV_DONTNEED));
	EXPECT_EQ(ledger::vram("used_pages"), used);
	EXPECT_EQ(ledger::vram("huge_blocks"), huge);
	EXPECT_EQ(gpu_reads(region.words(5)), 0u);
}

} // namespace
