// SPDX-License-Identifier: GPL-2.0-or-later
// The whole device against a process's page table: what reaches the checker, and that it asks for rest.
#include <gtest/gtest.h>

#include "support/aql_producer.h"
#include "support/kernels.h"
#include "support/process_table_builder.h"

namespace tandem::test {
namespace {

constexpr uint64_t kData = AqlProducer::kData, kPage = TANDEM_PAGE_BYTES;

// A process whose table says what the device's says, until a test changes it.
struct CheckedProcess {
  explicit CheckedProcess(const tandem_model_config& config = small_config())
      : driver(config),
        table(driver.host, driver.pages),
        linux(driver.host, driver.pages, table),
        process(driver, 1, 0, {.check = linux.address()}) {
    driver.write64(TANDEM_REG_CHECK_FORMAT, table.format_address());
    for (const uint64_t va : {AqlProducer::kRing, AqlProducer::kIndices, AqlProducer::kSignals}) follow(va, 1);
    follow(AqlProducer::kCode, 4);
    follow(AqlProducer::kScratch, uint64_t{AqlProducer::kLaneBytes} * TANDEM_WAVE_LANES * AqlProducer::kWaves / kPage);
    page = process.table.map_new(kData, kPage);
    follow(kData, 1);
  }
  void follow(uint64_t va, uint64_t pages) {
    for (; pages; --pages, va += kPage) table.map(va, process.table.entry(va) & TANDEM_PTE_ADDRESS);
  }
  void run(const kernels::Code& code) {
    process.submit(process.dispatch(process.load_kernel(code), 1, 1));
    driver.run(1000);
  }
  // The driver's own access to the data page.
  void send_access(tandem_access kind) {
    tandem_command command = driver.command(TANDEM_COMMAND_ACCESS, 1);
    command.u.pages.va = kData;
    command.u.pages.bytes = kPage;
    command.u.pages.address = kind == TANDEM_ACCESS_ATOMIC ? 0 : driver.pages.take();
    command.u.pages.access = kind;
    driver.send(command);
  }
  // Long enough for a new round of the checker.
  void go_on() { driver.run(40000); }
  // The driver's invalidation of the data page, as it tells of what was written.
  void invalidate(uint32_t dirty) {
    tandem_invalidate entry = driver.invalidation(1, kData, kData + kPage);
    entry.dirty = dirty;
    const uint64_t seqno = driver.send(entry);
    ASSERT_TRUE(driver.run_until([&] { return driver.status().invalidate_done >= seqno; }));
  }
  std::string reported() {
    const auto reports = driver.take_check_reports();
    return reports.empty() ? "" : reports.front().key;
  }

  TestDriver driver;
  ProcessTableBuilder table;
  ProcessWindows linux;
  AqlProducer process;
  uint64_t page = 0;
};

TEST(TruthOfDevice, WorkOnPagesThatTheProcessHasIsNotReported) {
  CheckedProcess checked;
  checked.run(kernels::store_ids());
  checked.invalidate(1);
  EXPECT_EQ(checked.reported(), "");
  EXPECT_EQ(checked.driver.counter(TANDEM_COUNTER_PACKETS), 1u);
}

TEST(TruthOfDevice, APageThatTheProcessHasNoMoreIsReported) {
  CheckedProcess checked;
  checked.run(kernels::wait_for_flag());
  EXPECT_EQ(checked.reported(), "");
  checked.table.map(kData, checked.driver.pages.take());
  checked.go_on();
  EXPECT_EQ(checked.reported(), "X1.wrong-page");
}

TEST(TruthOfDevice, ATranslationKeptOverANotifierIsReported) {
  CheckedProcess checked;
  checked.run(kernels::wait_for_flag());
  checked.linux.pass(kData, kData + kPage);
  checked.go_on();
  EXPECT_EQ(checked.reported(), "X1.kept-over-a-notifier");
}

// The copy engine keeps copies of translations, which no TLB needs to hold any more.
TEST(TruthOfDevice, WhatTheCopyEngineKeepsOverANotifierIsReported) {
  tandem_model_config config = small_config();
  config.copy_chunk_bytes = 64;
  for (const bool notifier : {false, true}) {
    CheckedProcess checked(config);
    checked.send_access(TANDEM_ACCESS_READ);
    checked.driver.run_until([&] { return checked.driver.counter(TANDEM_COUNTER_COPY_BYTES) > 0; });
    if (notifier) checked.linux.pass(kData, kData + kPage);
    checked.driver.invalidate(1, kData + kPage, kData + 2 * kPage);  // begins a round
    EXPECT_LT(checked.driver.counter(TANDEM_COUNTER_COPY_BYTES), kPage) << "nothing is left to be copied";
    checked.go_on();
    EXPECT_EQ(checked.reported(), notifier ? "X1.kept-over-a-notifier" : "");
  }
}

TEST(TruthOfDevice, AnAtomicOfTheDriverOnAPageThatTheCpusReachIsReported) {
  tandem_model_config config = small_config();
  config.atomics = TANDEM_ATOMICS_EXCLUSIVE;
  CheckedProcess checked(config);
  checked.send_access(TANDEM_ACCESS_ATOMIC);
  checked.go_on();
  EXPECT_EQ(checked.reported(), "X5.cpu-reaches-page");
}

TEST(TruthOfDevice, ATranslationMadeAfterTheNotifierIsNot) {
  CheckedProcess checked;
  checked.run(kernels::wait_for_flag());
  checked.invalidate(0);
  checked.linux.pass(kData, kData + kPage);
  checked.go_on();
  EXPECT_EQ(checked.reported(), "");
}

TEST(TruthOfDevice, AnEmptyEntryIsReportedOnceTheProcessorsAreAtRest) {
  CheckedProcess checked;
  checked.run(kernels::wait_for_flag());
  checked.table.clear(kData);
  checked.go_on();
  EXPECT_EQ(checked.reported(), "");
  ASSERT_EQ(checked.driver.events_waiting(), 1u);
  EXPECT_EQ(checked.driver.take_event().type, TANDEM_EVENT_CHECK);
  checked.driver.write32(TANDEM_REG_CHECK_AT_REST, 1);
  EXPECT_EQ(checked.reported(), "X1.stale-translation");
}

TEST(TruthOfDevice, AnAtomicOnAPageThatTheCpusReachIsReported) {
  tandem_model_config config = small_config();
  config.atomics = TANDEM_ATOMICS_EXCLUSIVE;
  CheckedProcess checked(config);
  checked.run(kernels::count());
  EXPECT_EQ(checked.reported(), "X5.cpu-reaches-page");
}

TEST(TruthOfDevice, AnAtomicOnAPageThatWasTakenFromThemIsNot) {
  tandem_model_config config = small_config();
  config.atomics = TANDEM_ATOMICS_EXCLUSIVE;
  CheckedProcess checked(config);
  checked.table.put_soft(kData, ProcessTableBuilder::kExclusive, checked.page >> TANDEM_PAGE_SHIFT);
  checked.run(kernels::count());
  EXPECT_EQ(checked.reported(), "");
  EXPECT_EQ(checked.driver.host.at<uint64_t>(checked.page), 1u);
}

TEST(TruthOfDevice, APageThatWasWrittenAndNotToldOfIsReported) {
  CheckedProcess checked;
  checked.run(kernels::store_ids());
  checked.invalidate(0);
  EXPECT_EQ(checked.reported(), "X9.dirty-lost");
}

TEST(TruthOfDevice, WithoutACheckerThereIsNothingToTell) {
  tandem_model_config config = small_config();
  config.check = false;
  TestDriver driver(config);
  PageTableBuilder table(driver.host, driver.pages);
  EXPECT_FALSE(driver.read32(TANDEM_REG_FEATURES) & TANDEM_FEATURE_CHECK);
  driver.write64(TANDEM_REG_CHECK_FORMAT, 0x1000);
  EXPECT_EQ(driver.host.errors.size(), 1u) << "there is no such register";
  tandem_command bind = driver.command(TANDEM_COMMAND_BIND, 1);
  bind.u.bind.root = table.root();
  bind.u.bind.translation = TANDEM_TRANSLATION_MIRROR;
  bind.u.bind.check = 0x1000;
  EXPECT_EQ(driver.error_of(bind), TANDEM_COMMAND_BAD_PARAMETER);
}

}  // namespace
}  // namespace tandem::test
