// SPDX-License-Identifier: GPL-2.0-or-later
/* Counters: what the driver and the hardware say that they did is what was done. */
#include <numeric>

#include "gpu_test.hpp"

using namespace gpu_test;

namespace {

class StatsTest : public GpuTest {
protected:
	static constexpr std::uint64_t pages = 64;

	tandem_ioc_stats touch(const Mapping &region, std::uint64_t write)
	{
		std::uint64_t done = 0;
		touch_arguments arguments = {reinterpret_cast<unsigned char *>(region.get()), pages, &done, write};

		EXPECT_OK(run("touch", {64}, {64}, &arguments));
		EXPECT_EQ(done, pages);
		return stats();
	}

	std::uint64_t counted(const tandem_ioc_stats &before, const tandem_ioc_stats &after, tandem_counter counter)
	{
		return after.counter[counter] - before.counter[counter];
	}
};

TEST_F(StatsTest, lanes_waves_and_groups_of_a_dispatch)
{
	std::uint64_t counter = 0;
	count_arguments arguments = {&counter, 1};
	tandem_ioc_stats before = stats();

	ASSERT_OK(run("count", {200}, {64}, &arguments));
	tandem_ioc_stats after = stats();
	EXPECT_EQ(counted(before, after, TANDEM_COUNTER_LANES), 200u);
	EXPECT_EQ(counted(before, after, TANDEM_COUNTER_WAVES), 7u) << "3 full groups of 2 wavefronts, and 8 lanes";
	EXPECT_EQ(counted(before, after, TANDEM_COUNTER_WORKGROUPS), 4u);
	EXPECT_EQ(counted(before, after, TANDEM_COUNTER_PACKETS), 1u);
	EXPECT_EQ(counted(before, after, TANDEM_COUNTER_ATOMICS), 200u);
	EXPECT_GT(counted(before, after, TANDEM_COUNTER_LANE_INSTRUCTIONS), 600u);
}

TEST_F(StatsTest, faults_and_mapped_pages)
{
	MIRROR_ONLY("the driver serves no fault");
	Mapping region(pages * page_bytes);
	tandem_ioc_stats before = stats(), after = touch(region, 1);

	EXPECT_GT(after.faults, before.faults);
	EXPECT_GT(after.fault_batches, before.fault_batches);
	EXPECT_GE(after.faults - before.faults, after.fault_batches - before.fault_batches);
	EXPECT_GE(after.pages_mapped - before.pages_mapped, pages);
	EXPECT_GE(counted(before, after, TANDEM_COUNTER_FAULTS), 1u);
	EXPECT_GE(counted(before, after, TANDEM_COUNTER_REPLAYS), 1u);
}

TEST_F(StatsTest, a_second_pass_needs_no_fault)
{
	Mapping region(pages * page_bytes);
	tandem_ioc_stats first = touch(region, 1), second = touch(region, 1);

	EXPECT_EQ(second.pages_mapped, first.pages_mapped);
	EXPECT_EQ(second.faults, first.faults);
}

TEST_F(StatsTest, invalidations_by_cause)
{
	MIRROR_ONLY("the IOMMU's invalidations have no cause");
	Mapping region(pages * page_bytes);
	tandem_ioc_stats before = touch(region, 1);

	ASSERT_EQ(mprotect(region.get(), region.bytes(), PROT_READ), 0);
	tandem_ioc_stats protect = stats();
	EXPECT_GT(protect.cause[TANDEM_CAUSE_PROTECTION_VMA], before.cause[TANDEM_CAUSE_PROTECTION_VMA]);
	EXPECT_GT(protect.invalidations, before.invalidations);
	touch(region, 0);
	ASSERT_EQ(madvise(region.get(), region.bytes(), MADV_DONTNEED), 0);
	tandem_ioc_stats drop = stats();
	EXPECT_GT(drop.cause[TANDEM_CAUSE_CLEAR], protect.cause[TANDEM_CAUSE_CLEAR]);
	EXPECT_GE(drop.invalidate_wait_ns, protect.invalidate_wait_ns);
}

TEST_F(StatsTest, causes_add_up_to_the_invalidations)
{
	MIRROR_ONLY("the IOMMU's invalidations have no cause");
	Mapping region(pages * page_bytes);
	touch(region, 1);
	ASSERT_EQ(mprotect(region.get(), region.bytes(), PROT_READ), 0);
	ASSERT_EQ(madvise(region.get(), region.bytes(), MADV_DONTNEED), 0);
	tandem_ioc_stats now = stats();

	EXPECT_EQ(std::accumulate(std::begin(now.cause), std::end(now.cause), std::uint64_t{0}), now.invalidations);
}

TEST_F(StatsTest, written_pages_come_back_dirty)
{
	MIRROR_ONLY("the IOMMU marks the process's own entries");
	MemoryFile file(pages * page_bytes);
	Mapping region(pages * page_bytes, MAP_SHARED, file.get());
	tandem_ioc_stats before = touch(region, 1);

	ASSERT_EQ(madvise(region.get(), region.bytes(), MADV_DONTNEED), 0);
	EXPECT_GE(stats().pages_dirtied - before.pages_dirtied, pages);
}

TEST_F(StatsTest, pages_that_were_only_read_do_not_come_back_dirty)
{
	MIRROR_ONLY("the IOMMU marks the process's own entries");
	MemoryFile file(pages * page_bytes);
	Mapping region(pages * page_bytes, MAP_SHARED, file.get(), 0, PROT_READ);
	tandem_ioc_stats before = touch(region, 0);

	ASSERT_EQ(munmap(region.get(), region.bytes()), 0);
	EXPECT_EQ(stats().pages_dirtied, before.pages_dirtied);
}

TEST_F(StatsTest, cancelled_faults_are_counted)
{
	MIRROR_ONLY("the driver cancels no fault");
	std::uint64_t word = 0;
	peek_arguments bad = {unmapped_address(), &word, 1};
	tandem_ioc_stats before = stats();
	tandem::Queue victim = new_queue();

	EXPECT_FALSE(victim.run(kernel("peek"), {1}, {1}, &bad, 0, time_limit_ns));
	tandem_ioc_stats after = stats();
	EXPECT_EQ(after.faults_cancelled - before.faults_cancelled, 1u);
	EXPECT_GE(counted(before, after, TANDEM_COUNTER_CANCELS), 1u);
}

TEST_F(StatsTest, tlbs_hit_more_often_than_they_miss_on_one_page)
{
	std::uint64_t counter = 0;
	count_arguments arguments = {&counter, 1};
	tandem_ioc_stats before = stats();

	for (int i = 0; i < 10; i++)
		ASSERT_OK(run("count", {1024}, {64}, &arguments));
	tandem_ioc_stats after = stats();
	EXPECT_GT(counted(before, after, TANDEM_COUNTER_L1_HITS), counted(before, after, TANDEM_COUNTER_L1_MISSES));
}

TEST_F(StatsTest, another_address_space_has_its_own_counts)
{
	MIRROR_ONLY("the driver serves no fault");
	Mapping region(pages * page_bytes);
	touch(region, 1);
	auto other = tandem::Device::open();

	ASSERT_OK(other);
	EXPECT_EQ(other->stats()->faults, 0u);
	EXPECT_GT(stats().faults, 0u);
}

} // namespace
