// SPDX-License-Identifier: GPL-2.0-or-later
// The invalidation contract (tandem_ring.h, struct tandem_invalidate) in each interleaving.
#include <optional>

#include "support/aql_producer.h"
#include "support/kernels.h"

namespace tandem::test {
namespace {

constexpr uint64_t kData = AqlProducer::kData;

tandem_model_config slow_walks() {
  tandem_model_config config = small_config();
  config.compute_units = 1;
  config.walk_latency = 10;
  return config;
}

uint64_t fills_of(const FakeHost& host, uint64_t va, uint64_t page) {
  uint64_t fills = 0;
  for (const auto& record : host.traced(TANDEM_TRACE_FILL))
    if (record.va == va && (record.a & TANDEM_PTE_ADDRESS) == page) ++fills;
  return fills;
}

// Moves the page of kData somewhere else as a driver does: new entry, invalidate, wait. Returns the new address.
uint64_t move_page(TestDriver& driver, AqlProducer& process) {
  const uint64_t page = driver.pages.take();
  process.table.map(kData, page);
  driver.invalidate(1, kData, kData + 4096);
  return page;
}

// The walk is cut at each tick of its way, so at each level and between fetch and judgement.
TEST(Invalidation, WalkOverlappingAnInvalidationDoesNotFillAtAnyLevel) {
  bool hit_a_walk = false;
  for (uint64_t ticks = 0; ticks < 60; ++ticks) {
    TestDriver driver(slow_walks());
    AqlProducer process(driver);
    const uint64_t old_page = process.table.map_new(kData, 4096, kReadWrite | TANDEM_PTE_ACCESSED | TANDEM_PTE_DIRTY);
    driver.host.at<uint64_t>(old_page) = 1;
    process.submit(process.dispatch(process.load_kernel(kernels::load_first()), 1, 1));
    // Until the walk of the data page is the one under way: code and queue are translated.
    ASSERT_TRUE(driver.run_until([&] { return driver.counter(TANDEM_COUNTER_INSTRUCTIONS) > 0 ||
                                              driver.counter(TANDEM_COUNTER_WALKS) >= 4; }, 2000));
    for (uint64_t tick = 0; tick < ticks; ++tick) driver.run(1);
    const uint64_t before = fills_of(driver.host, kData, old_page);
    const uint64_t new_page = move_page(driver, process);
    driver.host.at<uint64_t>(new_page) = 2;
    for (const auto& record : driver.host.traced(TANDEM_TRACE_INVALIDATED)) hit_a_walk |= record.queue & TANDEM_HIT_WALK;
    driver.settle();
    EXPECT_EQ(fills_of(driver.host, kData, old_page), before) << "after " << ticks << " ticks";
    EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
  }
  EXPECT_TRUE(hit_a_walk);
}

TEST(Invalidation, EveryTlbLevelLosesThePage) {
  TestDriver driver;
  AqlProducer process(driver);
  const uint64_t old_page = process.table.map_new(kData, 4096);
  process.submit(process.dispatch(process.load_kernel(kernels::wait_for_flag()), 1, 1));
  driver.run(1000);
  const uint64_t new_page = move_page(driver, process);
  driver.host.at<uint64_t>(new_page) = 1;  // only the new page has the flag
  EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
  EXPECT_EQ(driver.host.at<uint64_t>(old_page), 0u);
  const auto done = driver.host.traced(TANDEM_TRACE_INVALIDATED);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_TRUE(done[0].queue & TANDEM_HIT_L1);
  EXPECT_TRUE(done[0].queue & TANDEM_HIT_L2);
  EXPECT_EQ(done[0].a & 0xffffffff, 2u);
}

TEST(Invalidation, StoreThatHasTranslatedIsWrittenBeforeTheAcknowledgement) {
  tandem_model_config config = small_config();
  config.store_queue_depth = 8;
  config.compute_units = 1;
  TestDriver driver(config);
  AqlProducer process(driver);
  const uint64_t page = process.table.map_new(kData, 4096);
  process.submit(process.dispatch(process.load_kernel(kernels::store_and_spin()), 1, 1));
  for (int turn = 0; turn < 100 && driver.counter(TANDEM_COUNTER_STORES) == 0; ++turn) driver.run(64);
  const auto stored = [&] {
    uint64_t words = 0;
    for (uint64_t word = 0; word < 8; ++word) words += driver.host.at<uint64_t>(page + 8 * word) == 7;
    return words;
  };
  const uint64_t before = stored();
  ASSERT_EQ(driver.counter(TANDEM_COUNTER_STORES), 8u);
  ASSERT_LT(before, 8u) << "the store queue held no store: nothing is tested";
  process.table.entry(kData) = 0;
  std::optional<uint64_t> at_acknowledgement;
  driver.host.on_stored = [&](uint64_t address, uint64_t) {
    if (address == driver.status_page + offsetof(tandem_status_page, invalidate_done) && !at_acknowledgement)
      at_acknowledgement = stored();
  };
  driver.invalidate(1, kData, kData + 4096);
  EXPECT_EQ(at_acknowledgement, 8u);
  const auto done = driver.host.traced(TANDEM_TRACE_INVALIDATED);
  EXPECT_TRUE(done.back().queue & TANDEM_HIT_STORES);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_STORES_DRAINED), 8 - before);
}

TEST(Invalidation, CopyForgetsItsAddressesAndThePrefetchedOne) {
  for (const uint64_t victim : {0u, 1u}) {  // the page in use, and the one asked for early
    for (const bool destination : {false, true}) {
      tandem_model_config config = small_config();
      config.copy_chunk_bytes = 64;
      TestDriver driver(config);
      AqlProducer process(driver);
      constexpr uint64_t kTo = kData + 0x100000;
      const uint64_t from = process.table.map_new(kData, 8192), to = process.table.map_new(kTo, 8192);
      std::memset(driver.host.ram(from), 0x11, 8192);
      process.submit(process.copy(kData, kTo, 8192));
      ASSERT_TRUE(driver.run_until([&] { return driver.host.at<uint64_t>(to + 1024) != 0; }));
      const uint64_t va = (destination ? kTo : kData) + victim * 4096;
      const uint64_t old_page = (destination ? to : from) + victim * 4096;
      const uint64_t new_page = driver.pages.take();
      std::memset(driver.host.ram(new_page), destination ? 0 : 0x22, 4096);
      process.table.map(va, new_page);
      driver.invalidate(1, va, va + 4096);
      EXPECT_TRUE(driver.host.traced(TANDEM_TRACE_INVALIDATED).back().queue & TANDEM_HIT_COPY);
      std::vector<std::byte> old_bytes(driver.host.ram(old_page), driver.host.ram(old_page) + 4096);
      driver.settle();
      EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
      if (destination) {
        EXPECT_EQ(std::memcmp(old_bytes.data(), driver.host.ram(old_page), 4096), 0);
        EXPECT_EQ(driver.host.at<uint64_t>(new_page + 4088), 0x1111111111111111u);
      } else {
        EXPECT_EQ(driver.host.at<uint64_t>(to + victim * 4096 + 4088), 0x2222222222222222u);
      }
    }
  }
}

TEST(Invalidation, OnePageKillsAWholeTwoMegabyteEntry) {
  TestDriver driver(small_config(), 32 << 20);
  AqlProducer process(driver);
  const uint64_t old_block = driver.pages.take(2 << 20, 2 << 20);
  constexpr uint64_t kBlock = 0x40000000;
  process.table.map(kBlock, old_block, kReadWrite, 1);
  auto packet = process.dispatch(process.load_kernel(kernels::wait_for_flag()), 1, 1);
  packet.kernarg_address = kBlock;
  process.submit(packet);
  driver.run(1000);
  const uint64_t new_block = driver.pages.take(2 << 20, 2 << 20);
  process.table.map(kBlock, new_block, kReadWrite, 1);
  driver.invalidate(1, kBlock + (1 << 20), kBlock + (1 << 20) + 4096);
  driver.host.at<uint64_t>(new_block) = 1;
  EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
}

TEST(Invalidation, OtherAddressSpacesAreUntouched) {
  TestDriver driver;
  AqlProducer first(driver, 1, 0), second(driver, 2, 1);
  for (AqlProducer* process : {&first, &second}) {
    process->table.map_new(kData, 4096);
    process->submit(process->dispatch(process->load_kernel(kernels::wait_for_flag()), 1, 1));
  }
  driver.run(2000);
  const uint64_t walks = driver.counter(TANDEM_COUNTER_WALKS);
  tandem_invalidate all = driver.invalidation(3, 0, 0, TANDEM_INVALIDATE_ALL);
  driver.send(all);
  driver.run(2000);
  EXPECT_EQ(driver.status().invalidate_done, all.seqno);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_ENTRIES_KILLED), 0u);
  driver.send(driver.invalidation(1, 0, 0, TANDEM_INVALIDATE_ALL));
  driver.run(2000);
  EXPECT_GT(driver.counter(TANDEM_COUNTER_ENTRIES_KILLED), 0u);
  for (const auto& record : driver.host.traced(TANDEM_TRACE_WALK)) {
    if (record.time_ns > driver.host.traced(TANDEM_TRACE_INVALIDATED)[0].time_ns) {
      EXPECT_EQ(record.pasid, 1u);
    }
  }
  EXPECT_GT(driver.counter(TANDEM_COUNTER_WALKS), walks);
}

TEST(Invalidation, AcknowledgementsComeInOrderAfterTheirLatency) {
  tandem_model_config config = small_config();
  config.invalidate_latency = 50;
  TestDriver driver(config);
  for (int n = 0; n < 5; ++n) driver.send(driver.invalidation(1, 0x1000, 0x2000, n == 4 ? TANDEM_INVALIDATE_INTERRUPT : 0));
  driver.run(20);
  EXPECT_EQ(driver.status().invalidate_done, 0u);
  uint64_t last = 0;
  driver.host.on_stored = [&](uint64_t address, uint64_t) {
    if (address != driver.status_page + offsetof(tandem_status_page, invalidate_done)) return;
    EXPECT_EQ(driver.status().invalidate_done, last + 1);
    last = driver.status().invalidate_done;
  };
  driver.settle();
  EXPECT_EQ(last, 5u);
  EXPECT_EQ(driver.host.interrupts_of(TANDEM_VECTOR_INVALIDATE), 1u);
}

TEST(Invalidation, UpgradeReplacesTheReadOnlyEntryAtBothLevels) {
  TestDriver driver;
  AqlProducer process(driver);
  const uint64_t page = process.table.map_new(kData, 4096, kReadOnly);
  // Reads (fills read-only entries), then stores (faults).
  process.submit(process.dispatch(process.load_kernel(kernels::load_first()), 1, 1));
  driver.settle();
  ASSERT_EQ(driver.faults_waiting(), 1u);
  const tandem_fault_record fault = driver.take_fault();
  EXPECT_EQ(fault.reason, TANDEM_FAULT_PERMISSION);
  EXPECT_EQ(fault.access, TANDEM_ACCESS_WRITE);
  process.table.entry(kData) |= TANDEM_PTE_WRITE;  // and no invalidation
  driver.replay(1);
  driver.settle();
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
  EXPECT_EQ(driver.faults_waiting(), 0u);
  EXPECT_TRUE(process.table.entry(kData) & TANDEM_PTE_DIRTY);
  (void)page;
}

TEST(Invalidation, StalledRingIsNotAcknowledged) {
  TestDriver driver;
  driver.write32(TANDEM_REG_TEST_CONTROL, TANDEM_TEST_STALL_INVALIDATE);
  const uint64_t seqno = driver.send(driver.invalidation(1, 0x1000, 0x2000));
  EXPECT_EQ(driver.run(), TANDEM_RUN_IDLE);
  EXPECT_LT(driver.status().invalidate_done, seqno);
  driver.write32(TANDEM_REG_TEST_CONTROL, 0);
  driver.settle();
  EXPECT_EQ(driver.status().invalidate_done, seqno);
}

TEST(Invalidation, WhatCannotBeDecodedStopsTheDevice) {
  const auto error_of = [](auto&& spoil) {
    TestDriver driver;
    tandem_invalidate entry = driver.invalidation(1, 0x1000, 0x2000);
    spoil(entry);
    driver.send(entry);
    driver.settle();
    EXPECT_EQ(driver.host.errors.empty(), driver.read32(TANDEM_REG_ERROR) == 0);
    EXPECT_EQ(driver.host.interrupts_of(TANDEM_VECTOR_ERROR), driver.read32(TANDEM_REG_ERROR) ? 1u : 0u);
    return driver.read32(TANDEM_REG_ERROR);
  };
  using Entry = tandem_invalidate&;
  constexpr uint32_t bad = TANDEM_DEVICE_BAD_INVALIDATE;
  EXPECT_EQ(error_of([](Entry) {}), 0u);
  EXPECT_EQ(error_of([](Entry e) { e.pasid = 0; }), bad);
  EXPECT_EQ(error_of([](Entry e) { e.pasid = 1 << 20; }), bad);
  EXPECT_EQ(error_of([](Entry e) { e.flags = 0x80; }), bad);
  EXPECT_EQ(error_of([](Entry e) { e.start = 0x1001; }), bad);
  EXPECT_EQ(error_of([](Entry e) { e.end = e.start; }), bad);
  EXPECT_EQ(error_of([](Entry e) { e.end = TANDEM_VA_LIMIT + 4096; }), bad);
  EXPECT_EQ(error_of([](Entry e) { e.reserved1 = 1; }), bad);
}

}  // namespace
}  // namespace tandem::test
