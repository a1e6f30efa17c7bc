// SPDX-License-Identifier: GPL-2.0-or-later
/* Who wrote, who looked? Linux's ways of asking must count the GPU in: soft-dirty, PAGEMAP_SCAN, referenced, idle. */
#include <sys/ioctl.h>

#include "mm_test.hpp"
#include "uffd.hpp"

using namespace mm_test;

namespace {

/* PAGEMAP_SCAN, newer than some kernels' headers. */
struct scan_region {
	std::uint64_t start, end, categories;
};

struct scan_request {
	std::uint64_t size, flags, start, end, walk_end, regions, region_count, max_pages;
	std::uint64_t inverted, must, any, give;
};

constexpr unsigned long pagemap_scan = _IOWR('f', 16, scan_request);
constexpr std::uint64_t page_is_written = 1 << 1;
constexpr std::uint64_t scan_protect_matching = 1 << 0, scan_check_async = 1 << 1;

class MmSoftDirty : public MmTest {
protected:
	static void clear_refs(const char *what) { write_file("/proc/self/clear_refs", what); }

	static std::uint64_t soft_dirty_pages(const void *region, std::uint64_t count)
	{
		return count_pages(region, count, pagemap_soft_dirty);
	}

	/* How many pages were written since the last call. */
	static std::uint64_t take_written(int file, const Mapping &region)
	{
		std::vector<scan_region> found(pages);
		scan_request request = {};
		std::uint64_t count = 0;

		request.size = sizeof(request);
		request.flags = scan_protect_matching | scan_check_async;
		request.start = region.address();
		request.end = region.address() + region.bytes();
		request.regions = reinterpret_cast<std::uintptr_t>(found.data());
		request.region_count = found.size();
		request.must = request.give = page_is_written;
		int result = ioctl(file, pagemap_scan, &request);
		EXPECT_GE(result, 0) << std::strerror(errno);
		for (int i = 0; i < result; i++)
			count += (found[i].end - found[i].start) / page_bytes;
		return count;
	}
};

TEST_F(MmSoftDirty, what_the_gpu_writes_becomes_soft_dirty)
{
	Mapping region(2 * bytes);
	let_gpu_touch(region.get(), 2 * pages);
	clear_refs("4");
	EXPECT_EQ(soft_dirty_pages(region.get(), 2 * pages), 0u);
	let_gpu_touch(region.get(), pages);
	EXPECT_EQ(soft_dirty_pages(region.get(), pages), pages) << "stores of the GPU went by unseen";
	EXPECT_EQ(soft_dirty_pages(region.at(bytes), pages), 0u);
}

TEST_F(MmSoftDirty, reading_makes_nothing_soft_dirty)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_READ));
	ASSERT_GPU(tally(), tally().during([&] { clear_refs("4"); }));
	EXPECT_EQ(soft_dirty_pages(region.get(), pages), 0u);
	finish_tally();
}

/* Cleared under fire: each page must be found again a round later. */
TEST_F(MmSoftDirty, cleared_under_fire)
{
	Mapping region(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	std::uint64_t before = invalidations(TANDEM_CAUSE_SOFT_DIRTY);
	for (int round = 0; round < 5; round++) {
		ASSERT_GPU(tally(), tally().during([&] { clear_refs("4"); }));
		EXPECT_EQ(soft_dirty_pages(region.get(), pages), pages);
	}
	EXPECT_GE(invalidations(TANDEM_CAUSE_SOFT_DIRTY), before + 5);
	finish_tally();
}

TEST_F(MmSoftDirty, a_huge_page_cleared_under_fire)
{
	HugeMapping region(huge_bytes);
	std::memset(region.get(), 1, huge_bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), huge_page_count, TALLY_WRITE));
	for (int round = 0; round < 3; round++) {
		ASSERT_GPU(tally(), tally().during([&] { clear_refs("4"); }));
		EXPECT_TRUE(pagemap(region.get()) & pagemap_soft_dirty);
	}
	finish_tally();
}

/* An incremental copy by soft-dirty bits, as a migration of containers makes it, misses nothing of what the GPU writes. */
TEST_F(MmSoftDirty, an_incremental_copy_is_complete)
{
	Mapping region(bytes), copy(bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	clear_refs("4");
	std::memcpy(copy.get(), region.get(), bytes);
	for (int pass = 0; pass < 4; pass++) {
		if (pass == 3)
			ASSERT_GPU(tally(), tally().pause());
		for (std::uint64_t page = 0; page < pages; page++)
			if (pagemap(region.words(page)) & pagemap_soft_dirty)
				std::memcpy(copy.words(page), region.words(page), page_bytes);
		if (pass < 3)
			ASSERT_GPU(tally(), tally().during([&] { clear_refs("4"); }));
	}
	EXPECT_GPU(tally(), tally().verify_at(copy.get()));
	tally().resume();
	finish_tally();
}

TEST_F(MmSoftDirty, pagemap_scan_finds_what_was_written_and_protects_it_again)
{
	ASSERT_TRUE(mm_uffd::Uffd::has(mm_uffd::feature_wp_async)) << "the kernel is built without CONFIG_PTE_MARKER_UFFD_WP";
	Mapping region(bytes);
	mm_uffd::Uffd uffd(mm_uffd::feature_wp_async | mm_uffd::feature_wp_unpopulated);
	int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uffd.watch(region.get(), bytes, mm_uffd::write_protect);
	ASSERT_EQ(uffd.protect(region.get(), bytes, true), 0);
	EXPECT_EQ(take_written(file, region), 0u);
	let_gpu_touch(region.get(), 10);
	EXPECT_EQ(take_written(file, region), 10u);
	EXPECT_EQ(take_written(file, region), 0u);
	let_gpu_touch(region.at(20 * page_bytes), 3);
	EXPECT_EQ(take_written(file, region), 3u);
	close(file);
}

TEST_F(MmSoftDirty, pagemap_scan_under_fire)
{
	ASSERT_TRUE(mm_uffd::Uffd::has(mm_uffd::feature_wp_async)) << "the kernel is built without CONFIG_PTE_MARKER_UFFD_WP";
	Mapping region(bytes);
	mm_uffd::Uffd uffd(mm_uffd::feature_wp_async | mm_uffd::feature_wp_unpopulated);
	int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_WRITE));
	uffd.watch(region.get(), bytes, mm_uffd::write_protect);
	ASSERT_EQ(uffd.protect(region.get(), bytes, true), 0);
	for (int round = 0; round < 5; round++) {
		ASSERT_GPU(tally(), tally().wait_round());
		EXPECT_EQ(take_written(file, region), pages);
	}
	finish_tally();
	close(file);
}

/* The accessed bits of the GPU's page table count, or reclaim would throw away what the GPU uses all the time. */
TEST_F(MmSoftDirty, what_the_gpu_reads_is_referenced)
{
	Mapping region(bytes), idle(bytes);
	std::memset(idle.get(), 1, bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_READ));
	ASSERT_GPU(tally(), tally().during([&] { clear_refs("1"); }));
	EXPECT_EQ(smaps_kb(idle.get(), "Referenced"), 0u);
	finish_tally();
}

class IdleBitmap {
public:
	void set(std::uint64_t frame) const
	{
		std::uint64_t word = 1ull << frame % 64;

		ASSERT_EQ(pwrite(file_, &word, sizeof(word), static_cast<off_t>(frame / 64 * 8)), 8) << std::strerror(errno);
	}
	bool get(std::uint64_t frame) const
	{
		std::uint64_t word = 0;

		EXPECT_EQ(pread(file_, &word, sizeof(word), static_cast<off_t>(frame / 64 * 8)), 8) << std::strerror(errno);
		return word >> frame % 64 & 1;
	}
	~IdleBitmap() { close(file_); }

private:
	int file_ = open("/sys/kernel/mm/page_idle/bitmap", O_RDWR | O_CLOEXEC);
};

TEST_F(MmSoftDirty, what_the_gpu_uses_is_not_idle)
{
	Mapping region(bytes), unused(bytes);
	IdleBitmap bitmap;
	std::memset(unused.get(), 1, bytes);
	ASSERT_GPU(tally(), tally().start(region.get(), pages, TALLY_READ));
	settle_fresh_pages();
	unsigned used_idle = 0, unused_idle = 0;
	for (std::uint64_t page = 0; page < pages; page += 4) {
		bitmap.set(page_frame(region.words(page)));
		bitmap.set(page_frame(unused.words(page)));
	}
	/* Linux does not ask for the TLBs to be flushed when it clears an accessed bit: make the GPU walk its table again. */
	ASSERT_GPU(tally(), tally().during([&] { clear_refs("4"); }));
	for (std::uint64_t page = 0; page < pages; page += 4) {
		used_idle += bitmap.get(page_frame(region.words(page)));
		unused_idle += bitmap.get(page_frame(unused.words(page)));
	}
	EXPECT_GT(unused_idle, 0u) << "no page can be seen to be idle: nothing was tested";
	EXPECT_EQ(used_idle, 0u) << "the GPU's accesses are not seen";
	finish_tally();
}

} // namespace
