// SPDX-License-Identifier: GPL-2.0-or-later
// Access counters: the table by itself, then what wavefronts make it count.
#include "mem/access_counters.h"

#include <set>

#include "support/aql_producer.h"
#include "support/kernels.h"

namespace tandem::test {
namespace {

constexpr uint64_t kData = AqlProducer::kData;
constexpr uint64_t kRegion = TANDEM_ACCESS_REGION;

void count(AccessCounters& counters, uint32_t process, uint64_t va, uint32_t times) {
  for (uint32_t n = 0; n < times; ++n) counters.count(pasid(process), gva(va));
}

TEST(AccessCounters, ARegionIsToldOnceUntilItIsCleared) {
  AccessCounters counters;
  counters.set_threshold(3);
  count(counters, 1, kRegion + 5, 2);
  EXPECT_FALSE(counters.any_reached());
  count(counters, 1, 2 * kRegion - 1, 1);
  const auto region = counters.take_reached();
  ASSERT_TRUE(region);
  EXPECT_EQ(region->va, gva(kRegion));
  EXPECT_EQ(region->pasid, pasid(1));
  EXPECT_EQ(region->count, 3u);
  count(counters, 1, kRegion, 100);
  EXPECT_FALSE(counters.take_reached());
  counters.clear(pasid(1), gva(kRegion), gva(2 * kRegion));
  count(counters, 1, kRegion, 2);
  EXPECT_FALSE(counters.any_reached());
  count(counters, 1, kRegion, 1);
  EXPECT_TRUE(counters.take_reached());
}

TEST(AccessCounters, AddressSpacesAndRegionsAreCountedApart) {
  AccessCounters counters;
  counters.set_threshold(2);
  count(counters, 1, 0, 1);
  count(counters, 2, 0, 1);
  count(counters, 1, kRegion, 1);
  EXPECT_FALSE(counters.any_reached());
  counters.forget(pasid(2));
  counters.clear(pasid(1), gva(kRegion), gva(2 * kRegion));
  count(counters, 2, 0, 1);
  count(counters, 1, kRegion, 1);
  EXPECT_FALSE(counters.any_reached());
  count(counters, 1, 0, 1);
  EXPECT_EQ(counters.take_reached()->pasid, pasid(1));
}

TEST(AccessCounters, WhatIsClearedBeforeItWasToldIsNotTold) {
  AccessCounters counters;
  counters.set_threshold(1);
  count(counters, 1, 0, 1);
  counters.clear(pasid(1), gva(0), gva(kRegion));
  EXPECT_FALSE(counters.any_reached());
  EXPECT_FALSE(counters.take_reached());
  count(counters, 1, 0, 1);
  counters.set_threshold(0);
  EXPECT_FALSE(counters.any_reached());
}

TEST(AccessCounters, RegionsThatReachedItAreNeverLostToTheOthers) {
  AccessCounters counters;
  counters.set_threshold(4);
  constexpr uint32_t kHot = 64;
  for (uint32_t n = 0; n < kHot; ++n) count(counters, 1, n * 1000 * kRegion, 4);
  for (uint64_t n = 0; n < 100000; ++n) count(counters, 2, n * kRegion, 1);  // once each: they only come and go
  std::set<uint64_t> told;
  while (const auto region = counters.take_reached()) told.insert(region->va.value);
  EXPECT_EQ(told.size(), kHot);
  EXPECT_TRUE(told.contains(63 * 1000 * kRegion));
}

TEST(AccessCounters, AHotRegionOutlivesAStreamOfColdOnes) {
  AccessCounters counters;
  counters.set_threshold(256);
  for (uint64_t n = 0; n < 20000; ++n) {
    count(counters, 1, 7 * kRegion, 1);
    count(counters, 1, (1000 + n) * kRegion, 1);
  }
  ASSERT_TRUE(counters.any_reached());
  EXPECT_EQ(counters.take_reached()->va, gva(7 * kRegion));
}

struct Counted : ::testing::Test {
  static tandem_model_config config() {
    tandem_model_config config = small_config();
    config.vram_bytes = 2 << 20;
    return config;
  }
  TestDriver driver{config(), 32 << 20};
  AqlProducer process{driver};

  // How often the region's page at va has been reached: the count in the event when the next access comes.
  void run_kernel(const kernels::Code& code, uint64_t argument, uint32_t items = 32) {
    auto packet = process.dispatch(process.load_kernel(code), items, 32);
    packet.kernarg_address = argument;
    process.submit(packet);
    driver.settle();
  }
  void clear(uint64_t start, uint64_t end) {
    tandem_command command = driver.command(TANDEM_COMMAND_ACCESS_CLEAR, 1);
    command.u.access.start = start;
    command.u.access.end = end;
    driver.execute(command);
  }
};

TEST_F(Counted, EachInstructionCountsOnceForAPage) {
  process.table.map_new(kData, 2 * 4096);
  driver.write32(TANDEM_REG_ACCESS_THRESHOLD, 4);
  run_kernel(kernels::store_ids(), kData, 96);  // three wavefronts, one store each
  EXPECT_EQ(driver.events_waiting(), 0u);
  run_kernel(kernels::store_ids(), kData + 4096 - 8);  // over the end of a page: one for each
  ASSERT_EQ(driver.events_waiting(), 1u);
  const tandem_event event = driver.take_event();
  EXPECT_EQ(event.type, TANDEM_EVENT_ACCESS_COUNTER);
  EXPECT_EQ(event.pasid, 1u);
  EXPECT_EQ(event.value, kData);
  EXPECT_GE(event.detail, 4u);
  EXPECT_LE(event.detail, 5u);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_ACCESS_EVENTS), 1u);
  const auto traced = driver.host.traced(TANDEM_TRACE_ACCESS_COUNTER);
  ASSERT_EQ(traced.size(), 1u);
  EXPECT_EQ(traced[0].va, kData);
  EXPECT_EQ(traced[0].bytes, kRegion);
}

TEST_F(Counted, LoadsOfOneWordAndAtomicsCountToo) {
  process.table.map_new(kData, 4096);
  driver.write32(TANDEM_REG_ACCESS_THRESHOLD, 2);
  run_kernel(kernels::load_first(), kData);  // a load of one word, a store of a row
  ASSERT_EQ(driver.events_waiting(), 1u);
  driver.take_event();
  clear(kData, kData + kRegion);
  run_kernel(kernels::count(), kData);
  EXPECT_EQ(driver.events_waiting(), 0u);
  run_kernel(kernels::count(), kData);
  EXPECT_EQ(driver.events_waiting(), 1u);
}

TEST_F(Counted, VideoMemoryAndAThresholdOfZeroCountNothing) {
  process.table.map(kData, PageTableBuilder::aperture(TANDEM_APERTURE_VRAM));
  process.table.map_new(kData + kRegion, 4096);
  driver.write32(TANDEM_REG_ACCESS_THRESHOLD, 1);
  run_kernel(kernels::store_ids(), kData);
  EXPECT_EQ(driver.events_waiting(), 0u);
  driver.write32(TANDEM_REG_ACCESS_THRESHOLD, 0);
  run_kernel(kernels::store_ids(), kData + kRegion);
  EXPECT_EQ(driver.events_waiting(), 0u);
  driver.write32(TANDEM_REG_ACCESS_THRESHOLD, 1);
  run_kernel(kernels::store_ids(), kData + kRegion);
  EXPECT_EQ(driver.events_waiting(), 1u);
}

// Lanes that walk through a large page, one small page each: every region that they reach is counted.
TEST_F(Counted, EachPageOfALargeLeafIsSeen) {
  using namespace kernels;
  process.table.map(kData, driver.pages.take(2 << 20, 2 << 20), kReadWrite, 1);
  driver.write32(TANDEM_REG_ACCESS_THRESHOLD, 1);
  run_kernel({csrr(t0, TANDEM_CSR_LANE_ID), slli(t1, t0, 16), add(t1, a0, t1), sd(t0, t1, 0), ret()}, kData);
  std::set<uint64_t> regions;
  for (int round = 0; round < 4; ++round) {
    while (driver.events_waiting()) regions.insert(driver.take_event().value);
    driver.settle();
  }
  EXPECT_EQ(regions.size(), 32u);
}

TEST_F(Counted, ARowOverTheEndOfARegionCountsInBoth) {
  process.table.map(kData, driver.pages.take(2 << 20, 2 << 20), kReadWrite, 1);
  driver.write32(TANDEM_REG_ACCESS_THRESHOLD, 1);
  run_kernel(kernels::store_ids(), kData + kRegion - 8);
  ASSERT_EQ(driver.events_waiting(), 2u);
  std::set<uint64_t> regions{driver.take_event().value, driver.take_event().value};
  EXPECT_EQ(regions, (std::set<uint64_t>{kData, kData + kRegion}));
}

TEST_F(Counted, AFullEventRingOnlyDelays) {
  using namespace kernels;
  process.table.map(kData, driver.pages.take(2 << 20, 2 << 20), kReadWrite, 1);
  driver.write32(TANDEM_REG_ACCESS_THRESHOLD, 1);
  run_kernel({csrr(t0, TANDEM_CSR_LANE_ID), slli(t1, t0, 16), add(t1, a0, t1), sd(t0, t1, 0), ret()}, kData);
  EXPECT_EQ(driver.events_waiting(), 16u) << "the ring's size";
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
  while (driver.events_waiting()) {
    driver.take_event();
    driver.settle();
  }
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_ACCESS_EVENTS), 32u);
}

TEST_F(Counted, UnbindAndResetForget) {
  process.table.map_new(kData, 4096);
  driver.write32(TANDEM_REG_ACCESS_THRESHOLD, 2);
  run_kernel(kernels::store_ids(), kData);
  driver.unbind(1);
  driver.bind(1, process.table);
  process.restart();
  run_kernel(kernels::store_ids(), kData);
  EXPECT_EQ(driver.events_waiting(), 0u);
  driver.write32(TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
  EXPECT_EQ(driver.read32(TANDEM_REG_ACCESS_THRESHOLD), 0u);
}

TEST_F(Counted, ClearWantsWholeRegionsOfABoundAddressSpace) {
  const auto error_of = [&](uint32_t pasid, uint64_t start, uint64_t end, uint64_t reserved = 0) {
    tandem_command command = driver.command(TANDEM_COMMAND_ACCESS_CLEAR, pasid);
    command.u.access.start = start;
    command.u.access.end = end;
    command.u.access.reserved[3] = reserved;
    driver.execute(command);
    return driver.events_waiting() ? static_cast<int>(driver.take_event().code) : 0;
  };
  EXPECT_EQ(error_of(1, 0, TANDEM_VA_LIMIT), 0);
  EXPECT_EQ(error_of(2, 0, kRegion), TANDEM_COMMAND_BAD_PASID);
  EXPECT_EQ(error_of(1, 4096, kRegion), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(error_of(1, 0, kRegion + 4096), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(error_of(1, kRegion, kRegion), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(error_of(1, 0, TANDEM_VA_LIMIT + kRegion), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(error_of(1, 0, kRegion, 1), TANDEM_COMMAND_BAD_PARAMETER);
}

}  // namespace
}  // namespace tandem::test
