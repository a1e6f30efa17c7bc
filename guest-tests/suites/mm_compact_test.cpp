// SPDX-License-Identifier: GPL-2.0-or-later
/* Linux moves pages to make room in one piece: their frames change under the GPU that counts in them. */
#include "mm_test.hpp"

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

using namespace mm_test;

namespace {

const std::string thp = "/sys/kernel/mm/transparent_hugepage/";

/*
 * Compaction moves pages from the beginning of a zone into blocks of 2 MiB near its end, of which it only considers those that
 * are in use in part; and it looks at one in 32 blocks until it has found such a one. So memory is laid out: something, the
 * region, something large, and of both only a little is kept. In folios of 64 KiB, or else each would be taken from whatever
 * pages are left over here and there, and nothing would lie in order.
 */
class MmCompact : public MmTest {
protected:
	static constexpr std::uint64_t below_bytes = 160 << 20, above_bytes = 160 << 20, kept_bytes = 64 << 10;

	Setting anonymous_{thp + "hugepages-64kB/enabled", "always"};
	Setting shared_{thp + "hugepages-64kB/shmem_enabled", "always"};
	Setting whole_{thp + "hugepages-2048kB/enabled", "never"};
	Place below_{below_bytes}, above_{above_bytes};
	unsigned compactions_ = 0;

	static void compact() { write_file("/proc/sys/vm/compact_memory", "1"); }

	static void fill(const Place &place)
	{
		for (std::uint64_t offset = 0; offset < place.bytes(); offset += kept_bytes)
			*place.at(offset) = 1;
	}

	static void keep_little(const Place &place)
	{
		for (std::uint64_t offset = 0; offset < place.bytes(); offset += huge_bytes)
			ASSERT_SYS(madvise(place.at(offset + kept_bytes), huge_bytes - kept_bytes, MADV_DONTNEED));
	}

	void SetUp() override
	{
		MmTest::SetUp();
		fill(below_);
	}

	void make_room_above()
	{
		fill(above_);
		keep_little(below_);
		keep_little(above_);
	}

	static std::vector<std::uint64_t> frames(const Mapping &region)
	{
		std::vector<std::uint64_t> result;

		for (std::uint64_t page = 0; page < pages; page++)
			result.push_back(page_frame(region.words(page)));
		return result;
	}

	/* Pages that are there now and then, in other frames. */
	static std::uint64_t moved(const std::vector<std::uint64_t> &before, const std::vector<std::uint64_t> &after)
	{
		std::uint64_t count = 0;

		for (std::uint64_t page = 0; page < pages; page++)
			count += before[page] && after[page] && before[page] != after[page];
		return count;
	}

	/* Now and then with the room made anew: what other programs have left over decides where it comes to lie. */
	void compact_again()
	{
		if (++compactions_ % 16 == 0)
			make_room_above();
		compact();
	}

	/* Compacts until three quarters of the region's pages have gone elsewhere under the work. */
	void expect_pages_move(const Mapping &region)
	{
		make_room_above();
		std::vector<std::uint64_t> before = frames(region);
		std::uint64_t cleared = invalidations(TANDEM_CAUSE_CLEAR), migrated = vmstat("pgmigrate_success");

		ASSERT_GPU(tally(), tally().until([&] { compact_again(); },
						  [&] { return moved(before, frames(region)) >= pages * 3 / 4; }));
		EXPECT_GE(vmstat("pgmigrate_success"), migrated + pages * 3 / 4);
		EXPECT_GT(invalidations(TANDEM_CAUSE_CLEAR), cleared) << "pages moved without the GPU being told";
	}
};

TEST_F(MmCompact, folios_move_under_fire)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	expect_pages_move(region);
	finish_tally();
}

TEST_F(MmCompact, pages_move_under_fire)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_GPU(tally(), tally().during([&] {
		char text[96];
		std::snprintf(text, sizeof(text), "%d,0x%lx,0x%lx,0", getpid(), region.address(), region.address() + bytes);
		write_file("/sys/kernel/debug/split_huge_pages", text);
	}));
	expect_pages_move(region);
	finish_tally();
}

TEST_F(MmCompact, pages_move_under_atomics)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_ATOMIC));
	expect_pages_move(region);
	finish_tally();
}

/* Locked into memory means present, not unmoved. */
TEST_F(MmCompact, locked_pages_move_under_fire)
{
	Mapping region(bytes);
	ASSERT_SYS(mlock(region.get(), bytes));
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	expect_pages_move(region);
	EXPECT_EQ(smaps_kb(region.get(), "Locked"), bytes / 1024);
	finish_tally();
}

TEST_F(MmCompact, shared_memory_moves_in_all_its_views)
{
	MemoryFile file(bytes);
	Mapping region(bytes, MAP_SHARED, file.get()), view(bytes, MAP_SHARED, file.get());
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	EXPECT_EQ(gpu_reads(view.words(3) + 1), tally_pattern(0x7a11, 3, 1));
	expect_pages_move(region);
	finish_tally();
	EXPECT_GPU(tally(), tally().verify_at(view.get()));
}

/* The lanes stand still with translations cached, which must be gone when they go on. */
TEST_F(MmCompact, pages_move_while_the_lanes_stand_still)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	make_room_above();
	ASSERT_GPU(tally(), tally().pause());
	std::vector<std::uint64_t> before = frames(region);
	EXPECT_TRUE(tally::wait_sleeping([&] {
		compact();
		return moved(before, frames(region)) >= pages * 3 / 4;
	})) << moved(before, frames(region)) << " pages moved";
	EXPECT_GPU(tally(), tally().verify());
	tally().resume();
	ASSERT_GPU(tally(), tally().wait_round());
	finish_tally();
}

/* A frame that will be taken out of use: its page moves, and nobody notices. */
TEST_F(MmCompact, a_frame_is_retired_under_fire)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	std::vector<std::uint64_t> before = frames(region);
	ASSERT_GPU(tally(), tally().until([&] { madvise(region.at(9 * page_bytes), page_bytes, MADV_SOFT_OFFLINE); },
					  [&] { return page_frame(region.words(9)) != before[9]; }));
	finish_tally();
	write_file("/sys/kernel/debug/hwpoison/unpoison-pfn", std::to_string(before[9]));
}

} // namespace
