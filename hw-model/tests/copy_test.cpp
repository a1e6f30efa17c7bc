// SPDX-License-Identifier: GPL-2.0-or-later
// The copy engine: pages of all sizes, faults and invalidations in the middle, errors.
#include <random>

#include "support/aql_producer.h"
#include "support/kernels.h"

namespace tandem::test {
namespace {

constexpr uint64_t kFrom = AqlProducer::kData, kTo = AqlProducer::kData + (64 << 20);
constexpr uint64_t kPage = TANDEM_PAGE_BYTES;

uint8_t pattern(uint64_t n) { return static_cast<uint8_t>(n * 13 + n / 251); }

// The process's memory as the page table has it, byte by byte.
class Bytes {
 public:
  Bytes(TestDriver& driver, AqlProducer& process) : driver_(driver), process_(process) {}
  uint8_t& operator[](uint64_t va) {
    uint64_t& large = process_.table.entry(va, 1);
    if (large & TANDEM_PTE_LEAF) return driver_.host.at<uint8_t>((large & TANDEM_PTE_ADDRESS) + va % (2 << 20));
    return driver_.host.at<uint8_t>((process_.table.entry(va) & TANDEM_PTE_ADDRESS) + va % kPage);
  }

 private:
  TestDriver& driver_;
  AqlProducer& process_;
};

TEST(Copy, AnyAlignmentOverPagesOfAllSizes) {
  for (const uint32_t walk_latency : {0u, 2u, 7u}) {
    tandem_model_config config = small_config();
    config.walk_latency = walk_latency;
    config.copy_chunk_bytes = 10000;
    TestDriver driver(config, 64 << 20);
    AqlProducer process(driver);
    Bytes bytes(driver, process);
    constexpr uint64_t kBytes = (2 << 20) + (400 << 10);
    // Source: small pages, then a 2 MiB leaf. Destination: a 2 MiB leaf, groups of 64 KiB, then small pages.
    process.table.map_new(kFrom, 512 << 10);
    for (uint64_t va = kFrom + (512 << 10); va < kFrom + (2 << 20); va += 1 << 16)
      process.table.map_group(va, driver.pages.take(1 << 16, 1 << 16));
    process.table.map(kFrom + (2 << 20), driver.pages.take(2 << 20, 2 << 20), kReadWrite, 1);
    process.table.map(kTo, driver.pages.take(2 << 20, 2 << 20), kReadWrite, 1);
    for (uint64_t va = kTo + (2 << 20); va < kTo + (2 << 20) + (128 << 10); va += 1 << 16)
      process.table.map_group(va, driver.pages.take(1 << 16, 1 << 16));
    process.table.map_new(kTo + (2 << 20) + (128 << 10), 512 << 10);
    for (const auto& [from_skew, to_skew] : {std::pair{0, 0}, {8, 24}, {5, 2}, {4092, 1}}) {
      for (uint64_t n = 0; n < kBytes; ++n) bytes[kFrom + from_skew + n] = pattern(n + walk_latency);
      const uint64_t before = driver.counter(TANDEM_COUNTER_PACKETS);
      process.submit(process.copy(kFrom + from_skew, kTo + to_skew, kBytes));
      driver.settle();
      ASSERT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), before + 1);
      for (uint64_t n = 0; n < kBytes; ++n) ASSERT_EQ(bytes[kTo + to_skew + n], pattern(n + walk_latency)) << n;
    }
    EXPECT_EQ(driver.faults_waiting(), 0u);
  }
}

TEST(Copy, AFillRepeatsItsPatternOverPageEnds) {
  TestDriver driver;
  AqlProducer process(driver);
  Bytes bytes(driver, process);
  process.table.map_new(kTo, 3 * kPage);
  auto packet = process.copy(0x0807060504030201, kTo + 3, 2 * kPage + 5);
  packet.operation = TANDEM_COPY_FILL;
  process.submit(packet);
  driver.settle();
  for (uint64_t n = 0; n < 2 * kPage + 5; ++n) ASSERT_EQ(bytes[kTo + 3 + n], n % 8 + 1);
  EXPECT_EQ(bytes[kTo + 2], 0);
  EXPECT_EQ(bytes[kTo + 3 + 2 * kPage + 5], 0);
}

TEST(Copy, PagesAheadFaultTogether) {
  TestDriver driver;
  AqlProducer process(driver);
  process.table.map_new(kFrom, 16 * kPage);
  process.submit(process.copy(kFrom, kTo, 4 * kPage));
  driver.settle();
  EXPECT_EQ(driver.faults_waiting(), 4u);
  EXPECT_EQ(driver.host.interrupts_of(TANDEM_VECTOR_FAULT), 1u);
}

TEST(Copy, NothingBeyondItsEndIsAskedFor) {
  TestDriver driver;
  AqlProducer process(driver);
  process.table.map_new(kFrom, kPage);
  process.table.map_new(kTo, kPage);
  process.submit(process.copy(kFrom, kTo, kPage));
  driver.settle();
  EXPECT_EQ(driver.faults_waiting(), 0u);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
}

TEST(Copy, EveryPageMissingOnBothSidesIsServicedInAnyOrder) {
  std::mt19937_64 random(3);
  tandem_model_config config = small_config();
  config.walk_latency = 1;
  TestDriver driver(config, 32 << 20, 2);  // a fault buffer of four records: it overflows
  AqlProducer process(driver);
  Bytes bytes(driver, process);
  constexpr uint64_t kPages = 40, kBytes = kPages * kPage - 100;
  process.submit(process.copy(kFrom + 50, kTo + 50, kBytes));
  for (int turn = 0; turn < 2000 && driver.counter(TANDEM_COUNTER_PACKETS) == 0; ++turn) {
    driver.settle();
    while (driver.faults_waiting()) {
      const tandem_fault_record fault = driver.take_fault();
      if (random() % 2 || process.table.entry(fault.va)) continue;  // half of them are forgotten: they fault again
      const uint64_t page = process.table.map_new(fault.va, kPage);
      if (fault.va >= kTo) continue;
      for (uint64_t n = 0; n < kPage; ++n) driver.host.at<uint8_t>(page + n) = pattern(fault.va - kFrom + n);
    }
    driver.replay(1);
  }
  ASSERT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
  for (uint64_t n = 50; n < 50 + kBytes; ++n) ASSERT_EQ(bytes[kTo + n], pattern(n)) << n;
}

TEST(Copy, ACancelledPageEndsTheQueueWithItsAddress) {
  TestDriver driver;
  AqlProducer process(driver);
  process.table.map_new(kFrom, 8 * kPage);
  process.table.map_new(kTo, 2 * kPage);
  process.submit(process.copy(kFrom, kTo, 4 * kPage));
  driver.settle();
  driver.cancel(1, 0, kTo + 2 * kPage);
  driver.settle();
  ASSERT_EQ(driver.events_waiting(), 1u);
  const tandem_event event = driver.take_event();
  EXPECT_EQ(event.code, TANDEM_QUEUE_ADDRESS_FAULT);
  EXPECT_EQ(event.value, kTo + 2 * kPage);
  EXPECT_EQ(event.detail, static_cast<uint32_t>(TANDEM_ACCESS_WRITE));
  driver.replay(1);
  EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
  EXPECT_FALSE(driver.read32(TANDEM_REG_STATUS) & TANDEM_STATUS_BUSY);
}

// Each page that is asked for ahead moves once, at each of many moments.
TEST(Copy, NoPageAheadIsUsedAfterItsInvalidation) {
  constexpr uint64_t kPages = 12;
  for (const bool destination : {false, true}) {
    for (uint64_t victim = 0; victim < kPages; ++victim) {
      for (const uint64_t ticks : {1u, 3u, 7u, 15u, 40u}) {
        tandem_model_config config = small_config();
        config.copy_chunk_bytes = 512;
        config.walk_latency = 1;
        config.trace = false;
        TestDriver driver(config, 4 << 20);
        AqlProducer process(driver);
        const uint64_t from = process.table.map_new(kFrom, kPages * kPage);
        const uint64_t to = process.table.map_new(kTo, kPages * kPage);
        std::memset(driver.host.ram(from), 0x11, kPages * kPage);
        process.submit(process.copy(kFrom, kTo, kPages * kPage));
        ASSERT_TRUE(driver.run_until([&] { return driver.host.at<uint64_t>(to) != 0; }));
        for (uint64_t tick = 0; tick < ticks; ++tick) driver.run(1);
        const uint64_t va = (destination ? kTo : kFrom) + victim * kPage;
        const uint64_t old_page = (destination ? to : from) + victim * kPage;
        const uint64_t new_page = driver.pages.take();
        std::memcpy(driver.host.ram(new_page), driver.host.ram(old_page), kPage);
        process.table.map(va, new_page);
        driver.invalidate(1, va, va + kPage);
        // What happens to the old page now must neither be read nor overwritten.
        if (destination) std::memcpy(driver.host.ram(new_page), driver.host.ram(old_page), kPage);
        std::memset(driver.host.ram(old_page), 0x77, kPage);
        driver.settle();
        ASSERT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
        const auto all = [&](uint64_t address, uint8_t value) {
          const auto* first = driver.host.ram(address);
          return std::all_of(first, first + kPage, [&](std::byte b) { return b == std::byte{value}; });
        };
        EXPECT_TRUE(all(old_page, 0x77)) << victim << " after " << ticks;
        EXPECT_TRUE(all(destination ? new_page : to + victim * kPage, 0x11)) << victim << " after " << ticks;
      }
    }
  }
}

// The entry that is killed gets smaller or larger when it is asked for again.
TEST(Copy, PagesThatChangeTheirSizeOnTheWay) {
  for (uint64_t ticks = 0; ticks < 60; ticks += 3) {
    tandem_model_config config = small_config();
    config.copy_chunk_bytes = 4096;
    config.walk_latency = 2;
    TestDriver driver(config, 16 << 20);
    AqlProducer process(driver);
    Bytes bytes(driver, process);
    constexpr uint64_t kBytes = 4 << 16;
    const uint64_t from = driver.pages.take(kBytes, 1 << 16);
    const auto map_source = [&](bool group) {
      for (uint64_t offset = 0; offset < kBytes; offset += 1 << 16) {
        if (group) process.table.map_group(kFrom + offset, from + offset);
        else
          for (uint64_t page = 0; page < 1 << 16; page += kPage)
            process.table.map(kFrom + offset + page, from + offset + page);
      }
      driver.invalidate(1, kFrom, kFrom + kBytes);
    };
    process.table.map_new(kTo, kBytes);
    for (uint64_t n = 0; n < kBytes; ++n) driver.host.at<uint8_t>(from + n) = pattern(n);
    map_source(true);
    process.submit(process.copy(kFrom, kTo, kBytes));
    driver.run(ticks);
    map_source(false);
    driver.run(5);
    map_source(true);
    driver.settle();
    ASSERT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
    for (uint64_t n = 0; n < kBytes; ++n) ASSERT_EQ(bytes[kTo + n], pattern(n)) << n << " after " << ticks;
  }
}

TEST(Copy, AMemoryMapChangeInTheMiddle) {
  tandem_model_config config = small_config();
  config.copy_chunk_bytes = 256;
  TestDriver driver(config);
  AqlProducer process(driver);
  const uint64_t from = process.table.map_new(kFrom, 4 * kPage), to = process.table.map_new(kTo, 4 * kPage);
  std::memset(driver.host.ram(from), 0x5a, 4 * kPage);
  process.submit(process.copy(kFrom, kTo, 4 * kPage));
  for (int n = 0; n < 20; ++n) {
    driver.run(2);
    tandem_model_memory_map_changed(driver.model());
  }
  driver.settle();
  EXPECT_EQ(std::memcmp(driver.host.ram(from), driver.host.ram(to), 4 * kPage), 0);
}

TEST(Copy, PhysicalCopiesReportWhatIsNotMemory) {
  tandem_model_config config = small_config();
  config.vram_bytes = 2 << 20;
  TestDriver driver(config);
  const auto error_of = [&](auto&& spoil) {
    tandem_command copy = driver.command(TANDEM_COMMAND_COPY);
    copy.u.copy.source = driver.pages.take();
    copy.u.copy.destination_aperture = TANDEM_APERTURE_VRAM;
    copy.u.copy.bytes = 4096;
    spoil(copy);
    driver.execute(copy);
    return driver.events_waiting() ? static_cast<int>(driver.take_event().code) : 0;
  };
  using Command = tandem_command&;
  EXPECT_EQ(error_of([](Command) {}), 0);
  EXPECT_EQ(error_of([&](Command c) { c.u.copy.source = driver.host.ram_bytes() - 100; }), TANDEM_COMMAND_COPY_FAILED);
  EXPECT_EQ(error_of([](Command c) { c.u.copy.destination = (2 << 20) - 100; }), TANDEM_COMMAND_COPY_FAILED);
  EXPECT_EQ(error_of([](Command c) { c.u.copy.destination = 2 << 20; }), TANDEM_COMMAND_COPY_FAILED);
  EXPECT_EQ(error_of([](Command c) { c.u.copy.source_aperture = 7; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error_of([](Command c) {
              c.u.copy.source_aperture = TANDEM_APERTURE_VRAM;
              c.u.copy.source = 100;
              c.u.copy.destination = 200;
            }), TANDEM_COMMAND_BAD_PARAMETER) << "overlapping";
  EXPECT_EQ(error_of([](Command c) { c.u.copy.bytes = 0; }), 0);
}

TEST(Copy, AFailureThatATestAskedForComesHalfWayAndAsOftenAsAskedFor) {
  TestDriver driver;
  const uint64_t from = driver.pages.take(4 * kPage), to = driver.pages.take(4 * kPage);
  std::memset(driver.host.ram(from), 0x5a, 4 * kPage);
  const auto outcome = [&](tandem_command_type type, uint64_t bytes) {
    std::memset(driver.host.ram(to), 0, 4 * kPage);
    tandem_command copy = driver.command(type);
    copy.u.copy.source = type == TANDEM_COMMAND_COPY ? from : 0x5a5a5a5a5a5a5a5a;
    copy.u.copy.destination = to;
    copy.u.copy.bytes = bytes;
    driver.execute(copy);
    const auto written = std::count(driver.host.ram(to), driver.host.ram(to + 4 * kPage), std::byte{0x5a});
    return std::pair<int, uint64_t>(driver.events_waiting() ? driver.take_event().code : 0, written);
  };
  using Outcome = std::pair<int, uint64_t>;
  driver.write32(TANDEM_REG_TEST_COPY_FAIL, 3);
  EXPECT_EQ(outcome(TANDEM_COMMAND_COPY, 4 * kPage), Outcome(TANDEM_COMMAND_COPY_FAILED, 2 * kPage));
  EXPECT_EQ(driver.read32(TANDEM_REG_TEST_COPY_FAIL), 2u);
  EXPECT_EQ(outcome(TANDEM_COMMAND_FILL, 3 * kPage), Outcome(TANDEM_COMMAND_COPY_FAILED, 3 * kPage / 2));
  EXPECT_EQ(outcome(TANDEM_COMMAND_COPY, 1), Outcome(TANDEM_COMMAND_COPY_FAILED, 0));
  EXPECT_EQ(outcome(TANDEM_COMMAND_COPY, 4 * kPage), Outcome(0, 4 * kPage));
  EXPECT_EQ(driver.read32(TANDEM_REG_TEST_COPY_FAIL), 0u);

  driver.write32(TANDEM_REG_TEST_COPY_FAIL, 3);
  driver.write32(TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
  EXPECT_EQ(driver.read32(TANDEM_REG_TEST_COPY_FAIL), 0u);
}

TEST(Copy, ResetInTheMiddleWritesNothingMore) {
  tandem_model_config config = small_config();
  config.copy_chunk_bytes = 64;
  TestDriver driver(config);
  AqlProducer process(driver);
  process.table.map_new(kFrom, 4 * kPage);
  process.table.map_new(kTo, 4 * kPage);
  process.submit(process.copy(kFrom, kTo, 4 * kPage));
  driver.run(50);
  ASSERT_GT(driver.counter(TANDEM_COUNTER_COPY_BYTES), 0u);
  driver.write32(TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
  const uint64_t stored = driver.host.bytes_stored;
  driver.run();
  EXPECT_EQ(driver.host.bytes_stored, stored);
}

}  // namespace
}  // namespace tandem::test
