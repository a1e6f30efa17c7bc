// SPDX-License-Identifier: GPL-2.0-or-later
// The driver's accesses to a process's pages by virtual address: through the TLBs, and never a fault.
#include "support/aql_producer.h"
#include "support/kernels.h"

namespace tandem::test {
namespace {

constexpr uint64_t kPage = TANDEM_PAGE_BYTES, kPages = 20;
constexpr uint64_t kVa = AqlProducer::kData;

class PageAccess : public testing::Test {
 protected:
  static tandem_model_config config() {
    tandem_model_config config = small_config();
    config.walk_latency = 2;
    config.copy_chunk_bytes = 3000;
    return config;
  }
  tandem_command access(tandem_access kind, uint64_t va, uint64_t bytes, uint64_t address) {
    tandem_command command = driver.command(TANDEM_COMMAND_ACCESS, 1);
    command.u.pages.va = va;
    command.u.pages.bytes = bytes;
    command.u.pages.address = address;
    command.u.pages.access = kind;
    return command;
  }
  void number(uint64_t address, uint64_t bytes, uint64_t first) {
    for (uint64_t n = 0; n < bytes / 8; ++n) driver.host.at<uint64_t>(address + 8 * n) = first + n;
  }
  bool is_numbered(uint64_t address, uint64_t bytes, uint64_t first) {
    for (uint64_t n = 0; n < bytes / 8; ++n)
      if (driver.host.at<uint64_t>(address + 8 * n) != first + n) return false;
    return true;
  }

  TestDriver driver{config(), 8 << 20};
  AqlProducer process{driver};
  const uint64_t buffer = driver.pages.take(kPages * kPage, kPage);
};

TEST_F(PageAccess, ReadBringsPagesToTheBuffer) {
  const uint64_t pages = process.table.map_new(kVa, kPages * kPage);
  number(pages, kPages * kPage, 7);
  const uint64_t walks = driver.counter(TANDEM_COUNTER_WALKS);
  EXPECT_EQ(driver.error_of(access(TANDEM_ACCESS_READ, kVa, kPages * kPage, buffer)), TANDEM_COMMAND_OK);
  EXPECT_TRUE(is_numbered(buffer, kPages * kPage, 7));
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_WALKS), walks + kPages) << "each page was translated";
  EXPECT_FALSE(process.table.entry(kVa) & TANDEM_PTE_DIRTY);
}

TEST_F(PageAccess, WriteTakesTheBufferToPagesAndMarksThemDirty) {
  const uint64_t pages = process.table.map_new(kVa, kPages * kPage);
  number(buffer, kPages * kPage, 100);
  EXPECT_EQ(driver.error_of(access(TANDEM_ACCESS_WRITE, kVa, kPages * kPage, buffer)), TANDEM_COMMAND_OK);
  EXPECT_TRUE(is_numbered(pages, kPages * kPage, 100));
  EXPECT_TRUE(process.table.entry(kVa + (kPages - 1) * kPage) & TANDEM_PTE_DIRTY);
}

TEST_F(PageAccess, APageThatIsNotMappedEndsItWithoutAFault) {
  process.table.map_new(kVa, 3 * kPage);
  for (const auto kind : {TANDEM_ACCESS_READ, TANDEM_ACCESS_WRITE})
    EXPECT_EQ(driver.error_of(access(kind, kVa, 4 * kPage, buffer)), TANDEM_COMMAND_NOT_MAPPED);
  EXPECT_EQ(driver.error_of(access(TANDEM_ACCESS_ATOMIC, kVa, 4 * kPage, 0)), TANDEM_COMMAND_NOT_MAPPED);
  EXPECT_EQ(driver.faults_waiting(), 0u);
  process.table.map_new(kVa + 3 * kPage, kPage);
  EXPECT_EQ(driver.error_of(access(TANDEM_ACCESS_READ, kVa, 4 * kPage, buffer)), TANDEM_COMMAND_OK) << "mapped since";
}

TEST_F(PageAccess, APermissionThatIsMissingEndsIt) {
  process.table.map(kVa, driver.pages.take(kPage, kPage), TANDEM_PTE_VALID | TANDEM_PTE_LEAF);
  EXPECT_EQ(driver.error_of(access(TANDEM_ACCESS_READ, kVa, kPage, buffer)), TANDEM_COMMAND_OK);
  EXPECT_EQ(driver.error_of(access(TANDEM_ACCESS_WRITE, kVa, kPage, buffer)), TANDEM_COMMAND_NOT_MAPPED);
  EXPECT_EQ(driver.error_of(access(TANDEM_ACCESS_ATOMIC, kVa, kPage, 0)), TANDEM_COMMAND_NOT_MAPPED);
  EXPECT_EQ(driver.faults_waiting(), 0u);
}

// Both wait for one walk. One is recorded, the other is told.
TEST_F(PageAccess, AQueueThatWaitsForTheSamePageFaultsAllTheSame) {
  process.submit(process.copy(kVa, kVa + 0x100000, 8));
  driver.run(4);
  EXPECT_EQ(driver.error_of(access(TANDEM_ACCESS_READ, kVa, kPage, buffer)), TANDEM_COMMAND_NOT_MAPPED);
  driver.settle();
  EXPECT_EQ(driver.faults_waiting(), 2u);
}

TEST_F(PageAccess, AtomicsKeepTheWordAndLeaveNothingUnderWay) {
  tandem_model_config paused = config();
  paused.atomics = TANDEM_ATOMICS_EXCLUSIVE;
  paused.atomic_pause = 50;
  TestDriver driver(paused, 8 << 20);
  AqlProducer process(driver);
  const uint64_t pages = process.table.map_new(kVa, 4 * kPage);
  for (uint64_t page = 0; page < 4; ++page) driver.host.at<uint64_t>(pages + page * kPage) = 40 + page;
  tandem_command command = driver.command(TANDEM_COMMAND_ACCESS, 1);
  command.u.pages.va = kVa;
  command.u.pages.bytes = 4 * kPage;
  command.u.pages.access = TANDEM_ACCESS_ATOMIC;
  driver.send(command);
  // In the middle of the first one the word is under way: what is stored to it by others now is lost.
  ASSERT_TRUE(driver.run_until([&] { return process.table.entry(kVa) & TANDEM_PTE_DIRTY; }));
  driver.run(10);
  driver.host.at<uint64_t>(pages) = 1;
  EXPECT_TRUE(driver.run_until([&] { return driver.status().command_done == command.seqno; }));
  for (uint64_t page = 0; page < 4; ++page) EXPECT_EQ(driver.host.at<uint64_t>(pages + page * kPage), 40 + page);
  EXPECT_EQ(driver.events_waiting(), 0u);
}

TEST_F(PageAccess, NoPageIsUsedAfterItsInvalidation) {
  for (uint64_t ticks = 1; ticks < 60; ++ticks) {
    const uint64_t pages = process.table.map_new(kVa, kPages * kPage);
    driver.invalidate(1, kVa, kVa + kPages * kPage);
    const tandem_command command = access(TANDEM_ACCESS_WRITE, kVa, kPages * kPage, buffer);
    number(buffer, kPages * kPage, ticks);
    driver.send(command);
    driver.run(ticks);
    process.table.entry(kVa + 9 * kPage) = 0;
    driver.invalidate(1, kVa + 9 * kPage, kVa + 10 * kPage);
    const uint64_t seen = driver.host.at<uint64_t>(pages + 9 * kPage);
    driver.host.at<uint64_t>(pages + 9 * kPage) = seen + 1000;
    driver.settle();
    EXPECT_EQ(driver.status().command_done, command.seqno);
    EXPECT_EQ(driver.host.at<uint64_t>(pages + 9 * kPage), seen + 1000) << "written after the acknowledgement, tick " << ticks;
    while (driver.events_waiting()) driver.take_event();
  }
}

TEST_F(PageAccess, AResetTakesItAwayInTheMiddle) {
  process.table.map_new(kVa, kPages * kPage);
  for (const auto kind : {TANDEM_ACCESS_READ, TANDEM_ACCESS_WRITE}) {
    TestDriver other(config(), 8 << 20);
    AqlProducer bound(other);
    bound.table.map_new(kVa, kPages * kPage);
    tandem_command command = other.command(TANDEM_COMMAND_ACCESS, 1);
    command.u.pages = {.va = kVa, .bytes = kPages * kPage, .address = buffer, .access = static_cast<uint32_t>(kind), .reserved0 = 0, .reserved = {}};
    other.send(command);
    other.run(8);
    other.write32(TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
    EXPECT_EQ(other.run(), TANDEM_RUN_IDLE);
  }
}

TEST_F(PageAccess, WhatItCannotMeanIsRefused) {
  process.table.map_new(kVa, kPages * kPage);
  const auto error = [&](auto change) {
    tandem_command command = access(TANDEM_ACCESS_READ, kVa, kPage, buffer);
    change(command);
    return driver.error_of(command);
  };
  EXPECT_EQ(error([](auto& c) { c.pasid = 2; }), TANDEM_COMMAND_BAD_PASID);
  EXPECT_EQ(error([](auto& c) { c.u.pages.access = 0; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error([](auto& c) { c.u.pages.access = TANDEM_ACCESS_EXECUTE; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error([](auto& c) { c.u.pages.access = TANDEM_ACCESS_READ + 256; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error([](auto& c) { c.u.pages.access = TANDEM_ACCESS_ATOMIC; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error([](auto& c) { c.u.pages.reserved0 = 1; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error([](auto& c) { c.u.pages.reserved[1] = 1; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error([](auto& c) { c.u.pages.va += 8; }), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(error([](auto& c) { c.u.pages.address += 8; }), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(error([](auto& c) { c.u.pages.bytes = 0; }), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(error([](auto& c) { c.u.pages.bytes = ~(kPage - 1); }), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(error([](auto& c) { c.u.pages.address = ~(kPage - 1); }), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(error([](auto& c) { c.u.pages.address = 1ULL << 40; }), TANDEM_COMMAND_COPY_FAILED) << "no memory there";
}

}  // namespace
}  // namespace tandem::test
