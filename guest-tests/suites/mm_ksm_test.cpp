// SPDX-License-Identifier: GPL-2.0-or-later
/* KSM merges pages of equal contents into one that nobody may write, while the GPU reads them, and takes them apart again. */
#include "mm_test.hpp"

#include <sys/prctl.h>

using namespace mm_test;

namespace {

const char *const ksm = "/sys/kernel/mm/ksm/";

std::string ksm_file(const char *name)
{
	return std::string(ksm) + name;
}

class MmKsm : public MmTest {
protected:
	Setting run_{ksm_file("run"), "1"};
	Setting sleep_{ksm_file("sleep_millisecs"), "5"};
	Setting much_{ksm_file("pages_to_scan"), "200"};

	static std::uint64_t sharing() { return read_number(ksm_file("pages_sharing")); }

	bool are_merged(const void *region) const
	{
		auto start = static_cast<const char *>(region);

		return page_frame(start) && page_frame(start) == page_frame(start + page_bytes) &&
		       page_frame(start) == page_frame(start + (pages - 1) * page_bytes);
	}

	void merge_under_readers(Mapping &region)
	{
		tally().set_alike();
		ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_READ));
		ASSERT_SYS(madvise(region.get(), bytes, MADV_MERGEABLE));
		ASSERT_GPU(tally(), tally().until([] { usleep(5000); }, [&] { return are_merged(region.get()); }));
	}

	~MmKsm() override { write_file(ksm_file("run"), "2"); }
};

TEST_F(MmKsm, merges_under_readers)
{
	Mapping region(bytes);
	std::uint64_t cleared = invalidations(TANDEM_CAUSE_CLEAR);
	merge_under_readers(region);
	EXPECT_GE(sharing(), pages - 1);
	EXPECT_GT(invalidations(TANDEM_CAUSE_CLEAR), cleared);
	finish_tally();
}

/* The first write to each page must get a page of its own, or one count would be seen in all. */
TEST_F(MmKsm, the_gpu_writes_to_merged_pages)
{
	Mapping region(bytes);
	merge_under_readers(region);
	ASSERT_GPU(tally(), tally().set_mode(TALLY_WRITE));
	ASSERT_GPU(tally(), tally().during([] {}));
	EXPECT_FALSE(are_merged(region.get()));
	finish_tally();
}

TEST_F(MmKsm, the_gpu_counts_atomically_in_merged_pages)
{
	Mapping region(bytes);
	merge_under_readers(region);
	ASSERT_GPU(tally(), tally().set_mode(TALLY_ATOMIC));
	ASSERT_GPU(tally(), tally().during([] {}));
	EXPECT_FALSE(are_merged(region.get()));
	finish_tally();
}

TEST_F(MmKsm, what_the_cpu_writes_to_one_merged_page_is_seen_in_that_page_only)
{
	Mapping region(bytes);
	merge_under_readers(region);
	ASSERT_GPU(tally(), tally().pause());
	region.words(7)[0] = 99;
	EXPECT_EQ(gpu_reads(region.words(7)), 99u);
	EXPECT_EQ(gpu_reads(region.words(8)), 0u);
	region.words(7)[0] = 0;
	tally().resume();
	ASSERT_GPU(tally(), tally().wait_round());
	finish_tally();
}

TEST_F(MmKsm, unmerged_by_madvise_under_readers)
{
	Mapping region(bytes);
	merge_under_readers(region);
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(madvise(region.get(), bytes, MADV_UNMERGEABLE)); }));
	EXPECT_FALSE(are_merged(region.get()));
	ASSERT_GPU(tally(), tally().set_mode(TALLY_WRITE));
	finish_tally();
}

TEST_F(MmKsm, unmerged_for_everybody_under_readers)
{
	Mapping region(bytes);
	merge_under_readers(region);
	ASSERT_GPU(tally(), tally().during([&] { write_file(ksm_file("run"), "2"); }));
	EXPECT_FALSE(are_merged(region.get()));
	EXPECT_EQ(sharing(), 0u);
	finish_tally();
}

/* Merged, written, merged again ... the scanner write-protects pages under the GPU's stores all the time. */
TEST_F(MmKsm, scanned_while_the_gpu_writes)
{
	Mapping region(bytes);
	tally().set_alike();
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	ASSERT_SYS(madvise(region.get(), bytes, MADV_MERGEABLE));
	std::uint64_t scans = read_number(ksm_file("full_scans"));
	ASSERT_GPU(tally(), tally().until([] { usleep(5000); },
					  [&] { return read_number(ksm_file("full_scans")) >= scans + 5; }));
	finish_tally();
}

TEST_F(MmKsm, read_and_write_by_turns)
{
	Mapping region(bytes);
	merge_under_readers(region);
	for (int round = 0; round < 2; round++) {
		ASSERT_GPU(tally(), tally().set_mode(TALLY_WRITE));
		ASSERT_GPU(tally(), tally().pause());
		tally().write_pattern();
		tally().resume();
		ASSERT_GPU(tally(), tally().set_mode(TALLY_READ));
		/* All pages have the same count only if all lanes wrote equally often: begin the count anew. */
		ASSERT_GPU(tally(), tally().pause());
		tally().write_pattern();
		tally().resume();
		ASSERT_GPU(tally(), tally().until([] { usleep(5000); }, [&] { return are_merged(region.get()); }));
	}
	finish_tally();
}

/* The same page in two processes, both with the GPU at work on it. */
TEST_F(MmKsm, merged_between_processes)
{
	Mapping region(bytes);
	SharedWords words;
	merge_under_readers(region);
	pid_t child = start_child([&] {
		Mapping mine(bytes);
		auto own = tandem::Device::open().take();
		Tally other(own, 0x7a11);
		other.set_alike();
		CHILD_CHECK(other.start(mine.get(), pages, TALLY_READ));
		CHILD_CHECK(madvise(mine.get(), bytes, MADV_MERGEABLE) == 0);
		CHILD_CHECK(other.until([] { usleep(5000); }, [&] { return page_frame(mine.get()) == page_frame(region.get()); }));
		words.store(0, 1);
		CHILD_CHECK(other.set_mode(TALLY_WRITE));
		CHILD_CHECK(other.during([] {}));
		CHILD_CHECK(other.finish());
		return 0;
	});
	EXPECT_TRUE(wait_for_word(words, 0, 1));
	EXPECT_TRUE(exited_well(wait_status(child)));
	ASSERT_GPU(tally(), tally().set_mode(TALLY_WRITE));
	finish_tally();
}

} // namespace
