// SPDX-License-Identifier: GPL-2.0-or-later
/* mremap: pages move to other addresses, mappings grow and shrink, while the GPU counts in them. */
#include "mm_test.hpp"

using namespace mm_test;

namespace {

class MmRemap : public MmTest {
protected:
	void move(void *from, std::uint64_t length, void *to, int flags = 0)
	{
		ASSERT_EQ(mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED | flags, to), to) << std::strerror(errno);
	}

	/* The lanes stand still with translations cached, the pages move, the lanes go on at the new place. */
	void move_the_work(void *from, std::uint64_t length, void *to)
	{
		ASSERT_GPU(tally(), tally().pause());
		move(from, length, to);
		gpu_reads(from, TANDEM_QUEUE_ADDRESS_FAULT);
		ASSERT_GPU(tally(), tally().verify_at(to));
		tally().move_to(to);
		tally().resume();
		ASSERT_GPU(tally(), tally().wait_round());
	}
};

TEST_F(MmRemap, moves_back_and_forth_with_the_work)
{
	Mapping first(bytes), second(bytes);
	ASSERT_GPU(tally(), tally().start(first.get(), pages, TALLY_WRITE));
	for (int round = 0; round < 5; round++) {
		move_the_work(first.get(), bytes, second.get());
		move_the_work(second.get(), bytes, first.get());
	}
	remap(second.get(), bytes);
	finish_tally();
}

TEST_F(MmRemap, a_huge_page_moves_whole)
{
	HugeMapping first(huge_bytes), second(huge_bytes);
	std::memset(first.get(), 1, huge_bytes);
	ASSERT_GPU(tally(), tally().start(first.get(), huge_page_count, TALLY_WRITE));
	ASSERT_TRUE(is_huge(first.get()));
	move_the_work(first.get(), huge_bytes, second.get());
	EXPECT_TRUE(is_huge(second.get()));
	finish_tally();
	remap(first.get(), huge_bytes);
}

/* The 2 MiB translation has to become 4 KiB ones at the new place. */
TEST_F(MmRemap, a_huge_page_moves_to_a_crooked_address)
{
	HugeMapping first(huge_bytes), second(2 * huge_bytes);
	std::memset(first.get(), 1, huge_bytes);
	ASSERT_GPU(tally(), tally().start(first.get(), huge_page_count, TALLY_WRITE));
	move_the_work(first.get(), huge_bytes, second.get() + 3 * page_bytes);
	EXPECT_FALSE(is_huge(second.get() + 3 * page_bytes));
	finish_tally();
	remap(first.get(), huge_bytes);
}

TEST_F(MmRemap, a_part_moves_out_of_the_middle)
{
	Mapping region(3 * bytes), target(bytes);
	let_gpu_touch(region.get(), 3 * pages);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_GPU(tally(), tally().during([&] { move(region.at(bytes), bytes, target.get()); }));
	EXPECT_EQ(gpu_reads(target.get()).value_or(0) & 0xff, pages + 1);
	gpu_reads(region.at(bytes), TANDEM_QUEUE_ADDRESS_FAULT);
	ASSERT_GPU(tally(), tally().during([&] { move(target.get(), bytes, region.at(bytes)); }));
	EXPECT_EQ(gpu_reads(region.at(bytes)).value_or(0) & 0xff, pages + 1);
	remap(target.get(), bytes);
	finish_tally();
}

/* The addresses stay, empty; what was there appears elsewhere, and no store may follow it there. */
TEST_F(MmRemap, dontunmap_under_fire)
{
	Mapping region(bytes), target(bytes);
	ASSERT_GPU(sweeping(), sweeping().start(region.get(), pages, check_and_write));
	for (int round = 0; round < 10; round++) {
		std::uint64_t frozen[pages];
		ASSERT_GPU(sweeping(), sweeping().change([&] {
			move(region.get(), bytes, target.get(), MREMAP_DONTUNMAP);
			for (std::uint64_t page = 0; page < pages; page++)
				frozen[page] = sweep_word(target.get(), page);
		}));
		for (std::uint64_t page = 0; page < pages; page++)
			ASSERT_EQ(sweep_word(target.get(), page), frozen[page]) << "round " << round << ", page " << page;
	}
	finish_sweep();
}

TEST_F(MmRemap, dontunmap_of_a_huge_page_under_fire)
{
	HugeMapping region(huge_bytes), target(huge_bytes);
	std::memset(region.get(), 1, huge_bytes);
	ASSERT_GPU(sweeping(), sweeping().start(region.get(), huge_page_count, check_and_write));
	for (int round = 0; round < 3; round++) {
		std::vector<std::uint64_t> frozen(huge_page_count);
		ASSERT_GPU(sweeping(), sweeping().change([&] {
			move(region.get(), huge_bytes, target.get(), MREMAP_DONTUNMAP);
			for (std::uint64_t page = 0; page < huge_page_count; page++)
				frozen[page] = sweep_word(target.get(), page);
		}));
		for (std::uint64_t page = 0; page < huge_page_count; page++)
			ASSERT_EQ(sweep_word(target.get(), page), frozen[page]) << "round " << round << ", page " << page;
	}
	finish_sweep();
}

TEST_F(MmRemap, grows_and_shrinks_under_fire)
{
	Mapping region(4 * bytes);
	ASSERT_SYS(munmap(region.at(bytes), 3 * bytes));
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	for (int round = 0; round < 5; round++) {
		ASSERT_GPU(tally(), tally().during(
			[&] { ASSERT_EQ(mremap(region.get(), bytes, 4 * bytes, 0), region.get()) << std::strerror(errno); }));
		EXPECT_EQ(gpu_reads(region.at(4 * bytes - page_bytes)), 0u) << "contents of an earlier round";
		let_gpu_touch(region.at(bytes), 3 * pages);
		ASSERT_GPU(tally(), tally().during(
			[&] { ASSERT_EQ(mremap(region.get(), 4 * bytes, bytes, 0), region.get()) << std::strerror(errno); }));
		gpu_reads(region.at(2 * bytes), TANDEM_QUEUE_ADDRESS_FAULT);
	}
	finish_tally();
	remap(region.at(bytes), 3 * bytes);
}

/* Where it cannot grow in place it moves. */
TEST_F(MmRemap, grows_and_moves)
{
	Mapping region(2 * bytes), target(2 * bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_GPU(tally(), tally().pause());
	ASSERT_EQ(mremap(region.get(), bytes, 2 * bytes, MREMAP_MAYMOVE | MREMAP_FIXED, target.get()), target.get());
	gpu_reads(region.get(), TANDEM_QUEUE_ADDRESS_FAULT);
	tally().move_to(target.get());
	tally().resume();
	ASSERT_GPU(tally(), tally().wait_round());
	EXPECT_EQ(gpu_reads(target.at(bytes)), 0u);
	finish_tally();
	remap(region.get(), bytes);
}

/* Of a shared mapping, an old size of 0 gives a second view. */
TEST_F(MmRemap, a_second_view_of_shared_memory)
{
	Mapping region(bytes, MAP_SHARED | MAP_ANONYMOUS), view(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_ATOMIC));
	ASSERT_GPU(tally(), tally().during([&] {
		ASSERT_EQ(mremap(region.get(), 0, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, view.get()), view.get());
	}));
	for (std::uint64_t page = 0; page < pages; page++)
		EXPECT_TRUE(tally().is_plausible(view.get(), page)) << page;
	ASSERT_GPU(tally(), tally().pause());
	EXPECT_GPU(tally(), tally().verify_at(view.get()));
	tally().move_to(view.get());
	tally().resume();
	ASSERT_GPU(tally(), tally().wait_round());
	finish_tally();
	ASSERT_GPU(tally(), tally().verify_at(region.get()));
}

} // namespace
