// SPDX-License-Identifier: GPL-2.0-or-later
/* Huge pages come together and fall apart while the GPU counts in them. */
#include "mm_test.hpp"

using namespace mm_test;

namespace {

const char *const thp = "/sys/kernel/mm/transparent_hugepage/";

class MmThp : public MmTest {
protected:
	/* The GPU counts in pages of 4 KiB that Linux may make a huge page of. */
	void start_on_small_pages(HugeMapping &region, std::uint64_t mode = TALLY_WRITE)
	{
		ASSERT_SYS(madvise(region.get(), huge_bytes, MADV_NOHUGEPAGE));
		ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count, mode));
		ASSERT_FALSE(is_huge(region.get()));
		ASSERT_SYS(madvise(region.get(), huge_bytes, MADV_HUGEPAGE));
	}

	void start_on_a_huge_page(HugeMapping &region, std::uint64_t mode = TALLY_WRITE)
	{
		std::memset(region.get(), 1, huge_bytes);
		ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count, mode));
		ASSERT_TRUE(is_huge(region.get()));
	}

	/* With debugfs: order 0, or another order to stop at. */
	static void split(const void *start, std::uint64_t length, int order)
	{
		char text[128];
		auto first = reinterpret_cast<std::uintptr_t>(start);

		std::snprintf(text, sizeof(text), "%d,0x%lx,0x%lx,%d", getpid(), first, first + length, order);
		write_file("/sys/kernel/debug/split_huge_pages", text);
	}
};

TEST_F(MmThp, collapsed_on_demand_under_fire)
{
	HugeMapping region(huge_bytes);
	start_on_small_pages(region);
	std::uint64_t large = stats().leaves_2m, cleared = invalidations(TANDEM_CAUSE_CLEAR);
	ASSERT_GPU(tally(), tally().until([&] { madvise(region.get(), huge_bytes, MADV_COLLAPSE); },
					  [&] { return is_huge(region.get()); }));
	if (!is_sva()) {
		EXPECT_GT(stats().leaves_2m, large) << "the GPU works on with pages of 4 KiB";
	}
	EXPECT_GT(invalidations(TANDEM_CAUSE_CLEAR), cleared);
	finish_tally();
}

TEST_F(MmThp, collapsed_again_and_again)
{
	HugeMapping region(huge_bytes);
	start_on_small_pages(region, TALLY_ATOMIC);
	for (int round = 0; round < 3; round++) {
		ASSERT_GPU(tally(), tally().until([&] { madvise(region.get(), huge_bytes, MADV_COLLAPSE); },
						  [&] { return is_huge(region.get()); }));
		ASSERT_GPU(tally(), tally().until([&] { split(region.get(), huge_bytes, 0); },
						  [&] { return !is_huge(region.get()); }));
	}
	finish_tally();
}

TEST_F(MmThp, collapsed_by_khugepaged)
{
	Setting sleep(std::string(thp) + "khugepaged/scan_sleep_millisecs", "1");
	Setting much(std::string(thp) + "khugepaged/pages_to_scan", "100000");
	HugeMapping region(huge_bytes);
	start_on_small_pages(region);
	std::uint64_t large = stats().leaves_2m;
	ASSERT_GPU(tally(), tally().until([] { usleep(10000); }, [&] { return is_huge(region.get()); }));
	if (!is_sva()) {
		EXPECT_GT(stats().leaves_2m, large);
	}
	finish_tally();
}

/* Half of it was never touched: khugepaged fills the holes with zeros. */
TEST_F(MmThp, a_half_empty_range_is_collapsed)
{
	HugeMapping region(huge_bytes);
	ASSERT_SYS(madvise(region.get(), huge_bytes, MADV_NOHUGEPAGE));
	tally().set_stride(2);
	ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count / 2, TALLY_WRITE));
	ASSERT_SYS(madvise(region.get(), huge_bytes, MADV_HUGEPAGE));
	ASSERT_GPU(tally(), tally().until([&] { madvise(region.get(), huge_bytes, MADV_COLLAPSE); },
					  [&] { return is_huge(region.get()); }));
	EXPECT_EQ(gpu_reads(region.get() + page_bytes), 0u);
	finish_tally();
}

TEST_F(MmThp, split_into_pages_under_fire)
{
	HugeMapping region(huge_bytes);
	start_on_a_huge_page(region);
	ASSERT_GPU(tally(), tally().until([&] { split(region.get(), huge_bytes, 0); }, [&] { return !is_huge(region.get()); }));
	finish_tally();
}

TEST_F(MmThp, split_into_64k_folios_under_fire)
{
	HugeMapping region(huge_bytes);
	start_on_a_huge_page(region);
	ASSERT_GPU(tally(), tally().until([&] { split(region.get(), huge_bytes, 4); }, [&] { return !is_huge(region.get()); }));
	finish_tally();
}

/* The mapping is split at once, the page itself when memory is short; the GPU is not to notice either. */
TEST_F(MmThp, split_by_what_happens_to_one_page)
{
	HugeMapping region(huge_bytes + page_bytes);
	std::memset(region.get(), 1, huge_bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count - 1, TALLY_WRITE));
	char *last = region.get() + huge_bytes - page_bytes;
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(madvise(last, page_bytes, MADV_DONTNEED)); }));
	EXPECT_EQ(gpu_reads(last), 0u);
	ASSERT_GPU(tally(), tally().until([&] { split(region.get(), huge_bytes, 0); }, [&] { return !is_huge(region.get()); }));
	finish_tally();
}

TEST_F(MmThp, split_by_mlock_and_mremap_of_one_page)
{
	HugeMapping region(huge_bytes), other(page_bytes);
	std::memset(region.get(), 1, huge_bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count - 1, TALLY_WRITE));
	char *last = region.get() + huge_bytes - page_bytes;
	*last = 77;
	ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(mlock(region.get() + page_bytes, page_bytes)); }));
	ASSERT_GPU(tally(), tally().during([&] {
		ASSERT_EQ(mremap(last, page_bytes, page_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, other.get()), other.get());
	}));
	EXPECT_EQ(gpu_reads(other.get()).value_or(0) & 0xff, 77u);
	gpu_reads(last, TANDEM_QUEUE_ADDRESS_FAULT);
	finish_tally();
}

TEST_F(MmThp, folios_of_64_kib)
{
	Setting enabled(std::string(thp) + "hugepages-64kB/enabled", "always");
	Setting whole(std::string(thp) + "hugepages-2048kB/enabled", "never");
	Mapping region(16 * bytes);
	std::uint64_t medium = stats().leaves_64k;
	ASSERT_GPU(tally(), tally().start(region.get(), 16 * pages, TALLY_WRITE));
	if (!is_sva()) {
		EXPECT_GT(stats().leaves_64k, medium);
	}
	for (std::uint64_t page = 5; page < 16 * pages; page += 160)
		ASSERT_GPU(tally(), tally().during([&] { ASSERT_SYS(mlock(region.at(page * page_bytes), page_bytes)); }));
	ASSERT_GPU(tally(), tally().during([&] { split(region.get(), region.bytes(), 0); }));
	finish_tally();
}

TEST_F(MmThp, shared_memory_collapsed_under_fire)
{
	Setting enabled(std::string(thp) + "shmem_enabled", "advise");
	MemoryFile file(huge_bytes);
	Mapping region(huge_bytes, MAP_SHARED, file.get());
	ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count, TALLY_WRITE));
	ASSERT_FALSE(is_huge(region.get()));
	ASSERT_SYS(madvise(region.get(), huge_bytes, MADV_HUGEPAGE));
	ASSERT_GPU(tally(), tally().until([&] { madvise(region.get(), huge_bytes, MADV_COLLAPSE); },
					  [&] { return is_huge(region.get()); }));
	finish_tally();
}

/* Read-only first: the huge zero page stands for all of it until the GPU writes. */
TEST_F(MmThp, the_huge_zero_page)
{
	HugeMapping region(huge_bytes);
	for (std::uint64_t page = 0; page < huge_page_count; page += 64)
		EXPECT_EQ(*static_cast<volatile std::uint64_t *>(region.words(page)), 0u);
	EXPECT_EQ(gpu_reads(region.get() + 9 * page_bytes), 0u);
	gpu_writes(region.get() + 9 * page_bytes, 5);
	EXPECT_EQ(region.words(9)[0], 5u);
	EXPECT_EQ(gpu_reads(region.get() + 10 * page_bytes), 0u);
	HugeMapping fresh(huge_bytes);
	EXPECT_EQ(gpu_reads(fresh.get() + 9 * page_bytes), 0u);
}

} // namespace
