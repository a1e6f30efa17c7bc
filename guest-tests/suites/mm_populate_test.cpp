// SPDX-License-Identifier: GPL-2.0-or-later
/* MADV_POPULATE_READ and _WRITE: page tables filled ahead, beside and under the GPU's work. */
#include "mm_test.hpp"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

using namespace mm_test;

namespace {

class MmPopulate : public MmTest {
protected:
	static std::uint64_t present(const void *region) { return count_pages(region, pages, pagemap_present); }
};

TEST_F(MmPopulate, for_writing_beside_the_work)
{
	Mapping region(2 * bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	EXPECT_EQ(present(region.at(bytes)), 0u);
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(madvise(region.at(bytes), bytes, MADV_POPULATE_WRITE)); }));
	EXPECT_EQ(present(region.at(bytes)), pages);
	std::uint64_t frame = page_frame(region.words(pages + 5));
	let_gpu_touch(region.at(bytes), pages);
	EXPECT_EQ(page_frame(region.words(pages + 5)), frame) << "the GPU was given another page than the one made ready";
	EXPECT_EQ(region.words(pages + 5)[0], 6u);
	finish_tally();
}

/* There is nothing to do, and nothing must happen to what the GPU has written. */
TEST_F(MmPopulate, again_under_fire)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	for (int round = 0; round < 10; round++)
		ASSERT_GPU(tally(), tally().during([&] {
			ASSERT_SYS(madvise(region.get(), bytes, round % 2 ? MADV_POPULATE_WRITE : MADV_POPULATE_READ));
		}));
	finish_tally();
}

TEST_F(MmPopulate, brings_back_from_swap)
{
	Zram swap;
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	for (int advice : {MADV_POPULATE_READ, MADV_POPULATE_WRITE}) {
		ASSERT_GPU(tally(), tally().pause());
		ASSERT_TRUE(tally::wait_sleeping([&] {
			page_out(region.get(), bytes);
			return count_pages(region.get(), pages, pagemap_swapped) == pages;
		}));
		ASSERT_SYS(madvise(region.get(), bytes, advice));
		EXPECT_EQ(present(region.get()), pages);
		tally().resume();
		ASSERT_GPU(tally(), tally().wait_round());
	}
	finish_tally();
}

/* The zero page stands for all until the GPU writes. */
TEST_F(MmPopulate, for_reading_then_the_gpu_writes)
{
	Mapping region(bytes);
	ASSERT_SYS(madvise(region.get(), bytes, MADV_NOHUGEPAGE));
	ASSERT_SYS(madvise(region.get(), bytes, MADV_POPULATE_READ));
	EXPECT_EQ(present(region.get()), pages);
	std::uint64_t zero = page_frame(region.words(3));
	EXPECT_EQ(page_frame(region.words(4)), zero);
	EXPECT_EQ(gpu_reads(region.words(3)), 0u);
	gpu_writes(region.words(3), 33);
	EXPECT_NE(page_frame(region.words(3)), zero);
	EXPECT_EQ(region.words(3)[0], 33u);
	EXPECT_EQ(gpu_reads(region.words(4)), 0u);
}

/* For writing, a private mapping of a file gets copies at once; the file stays as it is. */
TEST_F(MmPopulate, private_copies_of_a_file)
{
	MemoryFile file(bytes);
	std::uint64_t in_file = 4711;
	ASSERT_EQ(pwrite(file.get(), &in_file, sizeof(in_file), 0), 8);
	Mapping region(bytes, MAP_PRIVATE, file.get());
	ASSERT_SYS(madvise(region.get(), bytes, MADV_POPULATE_WRITE));
	EXPECT_EQ(present(region.get()), pages);
	EXPECT_EQ(gpu_reads(region.get()), 4711u);
	in_file = 1;
	ASSERT_EQ(pwrite(file.get(), &in_file, sizeof(in_file), 0), 8);
	EXPECT_EQ(gpu_reads(region.get()), 4711u) << "the copy had been made";
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	finish_tally();
	ASSERT_EQ(pread(file.get(), &in_file, sizeof(in_file), 0), 8);
	EXPECT_EQ(in_file, 1u);
}

TEST_F(MmPopulate, not_against_the_permissions)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_READ));
	ASSERT_GPU(tally(), tally().during([&] {
		ASSERT_SYS(mprotect(region.get(), bytes, PROT_READ));
		EXPECT_EQ(madvise(region.get(), bytes, MADV_POPULATE_WRITE), -1);
		ASSERT_SYS(madvise(region.get(), bytes, MADV_POPULATE_READ));
	}));
	ASSERT_SYS(mprotect(region.get(), bytes, PROT_READ | PROT_WRITE));
	finish_tally();
}

} // namespace
