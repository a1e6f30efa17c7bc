// SPDX-License-Identifier: GPL-2.0-or-later
// For each rule of the hardware: broken on purpose, the checker says so by the right name; kept, it says nothing.
#include <optional>

#include "support/aql_producer.h"
#include "support/kernels.h"
#include "support/sva.h"

namespace tandem::test {
namespace {

constexpr uint64_t kData = AqlProducer::kData;
constexpr uint64_t kPage = TANDEM_PAGE_BYTES;

using Reports = std::vector<FakeHost::CheckReport>;
using Scenario = Reports (*)(tandem_model_config);

bool has(const Reports& reports, const std::string& key) {
  return std::any_of(reports.begin(), reports.end(), [&](const auto& report) { return report.key == key; });
}

std::string keys_of(const Reports& reports) {
  std::string keys;
  for (const auto& report : reports) keys += report.key + " ";
  return keys;
}

// The scenario with the rule, and without it.
Reports detects(tandem_mutation mutation, const std::string& key, Scenario scenario) {
  tandem_model_config config = small_config();
  config.compute_units = 1;
  const Reports kept = scenario(config);
  EXPECT_TRUE(kept.empty()) << kept.front().text;
  config.mutation = mutation;
  const Reports broken = scenario(config);
  EXPECT_TRUE(has(broken, key)) << "reported: " << keys_of(broken);
  return broken;
}

void tick(TestDriver& driver, int ticks) {
  for (int n = 0; n < ticks; ++n) driver.run(1);
}

// A wavefront that polls a word, whose page is moved: both pages end it then.
Reports page_moves_under_a_wavefront(tandem_model_config config) {
  TestDriver driver(config);
  AqlProducer process(driver);
  const uint64_t old_page = process.table.map_new(kData, kPage);
  process.submit(process.dispatch(process.load_kernel(kernels::wait_for_flag()), 1, 1));
  driver.run(1000);
  const uint64_t new_page = driver.pages.take();
  process.table.map(kData, new_page);
  const uint64_t seqno = driver.send(driver.invalidation(1, kData, kData + kPage));
  driver.run(1000);
  EXPECT_EQ(driver.status().invalidate_done, seqno);
  driver.host.at<uint64_t>(old_page) = driver.host.at<uint64_t>(new_page) = 1;
  driver.settle();
  return driver.take_check_reports();
}

TEST(Mutations, AnAcknowledgementBeforeTheDrainIsSeen) {
  detects(TANDEM_MUTATION_ACK_BEFORE_DRAIN, "X2.acknowledged-before-drain", page_moves_under_a_wavefront);
}
TEST(Mutations, AnInvalidationThatMissesTheL2IsSeen) {
  detects(TANDEM_MUTATION_L2_KEPT, "X2.missed-level", page_moves_under_a_wavefront);
}
TEST(Mutations, ARangeShortByAPageIsSeen) {
  detects(TANDEM_MUTATION_RANGE_SHORT, "X2.wrong-range", page_moves_under_a_wavefront);
}
TEST(Mutations, AnInvalidationOfAnotherAddressSpaceIsSeen) {
  detects(TANDEM_MUTATION_WRONG_SPACE, "X10.wrong-address-space", page_moves_under_a_wavefront);
}

TEST(Mutations, AReportTellsWhoUsedWhatAndWhatShouldHaveEndedIt) {
  const Reports reports = detects(TANDEM_MUTATION_L2_KEPT, "X2.missed-level", page_moves_under_a_wavefront);
  ASSERT_FALSE(reports.empty());
  const std::string& text = reports.front().text;
  for (const char* part : {"X2.missed-level: ", "process test (101), address space 1, queue 0, compute unit 0, lane 0, read of 0x20000000",
                           "kernel 0x10300040 of packet 0", "ld t0, 0(a0)", "through: [0x20000000, 0x20001000) -> system ",
                           "the driver's invalidation 1 of [0x20000000, 0x20001000)", "came from the driver, cause: unmap",
                           "was acknowledged", "the MMU killed entries of"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " is missing in\n" << text;
}

TEST(Mutations, AWalkThatFillsAfterAnInvalidationIsSeen) {
  detects(TANDEM_MUTATION_WALK_NOT_RESTARTED, "X2.fill-by-overlapping-walk", [](tandem_model_config config) {
    Reports all;
    config.walk_latency = 10;
    for (int ticks = 0; ticks < 60; ticks += 3) {
      TestDriver driver(config);
      AqlProducer process(driver);
      process.table.map_new(kData, kPage, kReadWrite | TANDEM_PTE_ACCESSED | TANDEM_PTE_DIRTY);
      process.submit(process.dispatch(process.load_kernel(kernels::load_first()), 1, 1));
      EXPECT_TRUE(driver.run_until([&] { return driver.counter(TANDEM_COUNTER_WALKS) >= 4; }, 2000));
      tick(driver, ticks);
      process.table.map(kData, driver.pages.take());
      driver.invalidate(1, kData, kData + kPage);
      driver.settle();
      for (auto& report : driver.take_check_reports()) all.push_back(report);
    }
    return all;
  });
}

TEST(Mutations, AReadOnlyEntryThatOutlivesAnUpgradeIsSeenAsALivelock) {
  detects(TANDEM_MUTATION_READ_ONLY_KEPT, "X6.fault-though-permitted", [](tandem_model_config config) {
    TestDriver driver(config);
    AqlProducer process(driver);
    process.table.map_new(kData, kPage, kReadOnly);
    process.submit(process.dispatch(process.load_kernel(kernels::load_first()), 1, 1));
    for (int round = 0; round < 12; ++round) {
      driver.settle();
      if (driver.faults_waiting() == 0) break;
      driver.take_fault();
      process.table.entry(kData) |= TANDEM_PTE_WRITE;
      driver.replay(1);
    }
    return driver.take_check_reports();
  });
}

TEST(Mutations, AStoreThatPassesTheAcknowledgementIsSeen) {
  detects(TANDEM_MUTATION_STORE_PASSES_ACK, "X2.posted-write-after-acknowledgement", [](tandem_model_config config) {
    config.store_queue_depth = 8;
    TestDriver driver(config);
    AqlProducer process(driver);
    process.table.map_new(kData, kPage);
    process.submit(process.dispatch(process.load_kernel(kernels::store_and_spin()), 1, 1));
    for (int turn = 0; turn < 100 && driver.counter(TANDEM_COUNTER_STORES) == 0; ++turn) driver.run(64);
    process.table.entry(kData) = 0;
    driver.invalidate(1, kData, kData + kPage);
    for (int turn = 0; turn < 100; ++turn) driver.run(64);
    return driver.take_check_reports();
  });
}

TEST(Mutations, ACopyThatKeepsItsAddressesIsSeen) {
  detects(TANDEM_MUTATION_COPY_KEEPS_ADDRESS, "X2.copy-after-acknowledgement", [](tandem_model_config config) {
    config.copy_chunk_bytes = 64;
    TestDriver driver(config);
    AqlProducer process(driver);
    constexpr uint64_t kTo = kData + 0x100000;
    const uint64_t from = process.table.map_new(kData, 2 * kPage), to = process.table.map_new(kTo, 2 * kPage);
    std::memset(driver.host.ram(from), 0x11, 2 * kPage);
    process.submit(process.copy(kData, kTo, 2 * kPage));
    EXPECT_TRUE(driver.run_until([&] { return driver.host.at<uint64_t>(to + 1024) != 0; }));
    process.table.map(kTo + kPage, driver.pages.take());  // translated ahead
    driver.invalidate(1, kTo + kPage, kTo + 2 * kPage);
    driver.settle();
    return driver.take_check_reports();
  });
}

TEST(Mutations, AnAccessOfTheDriverThatKeepsItsAddressesIsSeen) {
  const Reports reports = detects(TANDEM_MUTATION_COPY_KEEPS_ADDRESS, "X2.copy-after-acknowledgement", [](tandem_model_config config) {
    config.copy_chunk_bytes = 64;
    TestDriver driver(config);
    AqlProducer process(driver);
    process.table.map_new(kData, 2 * kPage);
    tandem_command command = driver.command(TANDEM_COMMAND_ACCESS, 1);
    command.u.pages = {.va = kData, .bytes = 2 * kPage, .address = driver.pages.take(2 * kPage), .access = TANDEM_ACCESS_WRITE, .reserved0 = 0, .reserved = {}};
    driver.send(command);
    EXPECT_TRUE(driver.run_until([&] { return driver.counter(TANDEM_COUNTER_COPY_BYTES) > 0; }));
    process.table.map(kData + kPage, driver.pages.take());  // translated ahead
    driver.invalidate(1, kData + kPage, kData + 2 * kPage);
    driver.settle();
    return driver.take_check_reports();
  });
  ASSERT_FALSE(reports.empty());
  const std::string& text = reports.front().text;
  for (const char* part : {"address space 1, the driver's command, copy engine, write of 0x20001000", "through: [0x20001000, 0x20002000)"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " is missing in\n" << text;
}

TEST(Mutations, AnAtomicOpThatIsALoadAndAStoreIsSeenByWhatItLoses) {
  detects(TANDEM_MUTATION_ATOMIC_SPLIT, "X4.lost-update", [](tandem_model_config config) {
    TestDriver driver(config);
    AqlProducer process(driver);
    const uint64_t page = process.table.map_new(kData, kPage);
    process.submit(process.dispatch(process.load_kernel(kernels::count()), 1, 1));
    EXPECT_TRUE(driver.run_until([&] { return driver.counter(TANDEM_COUNTER_ATOMICS) > 0; }));
    driver.host.at<uint64_t>(page) += 500;  // a CPU
    driver.settle();
    return driver.take_check_reports();
  });
}

TEST(Mutations, AnAnswerOfTheIommuThatAnInvalidationOvertookIsSeen) {
  detects(TANDEM_MUTATION_ATC_REFILL, "X2.fill-by-overlapping-walk", [](tandem_model_config config) {
    Sva sva(config);
    sva.process.table.map_new(kData, kPage);
    sva.submit(kernels::load_first());
    EXPECT_TRUE(sva.iommu.settle_until([&] { return sva.iommu.asked_for(kData) != nullptr; }));
    const tandem_ats_request request = *sva.iommu.asked_for(kData);
    const tandem_ats_answer old = sva.iommu.translate(request);
    sva.move_page(kData);
    sva.iommu.answer(request, old);
    sva.iommu.settle();
    return sva.driver.take_check_reports();
  });
}

TEST(Mutations, AnAtcThatIgnoresInvalidationsIsSeen) {
  detects(TANDEM_MUTATION_ATC_KEPT, "X2.atc-not-flushed", [](tandem_model_config config) {
    Sva sva(config);
    const uint64_t old_page = sva.process.table.map_new(kData, kPage);
    sva.submit(kernels::wait_for_flag());
    EXPECT_TRUE(sva.iommu.settle_until([&] { return sva.driver.counter(TANDEM_COUNTER_LOADS) > 10; }));
    const uint64_t new_page = sva.move_page(kData);
    sva.driver.run(1000);
    sva.driver.host.at<uint64_t>(old_page) = sva.driver.host.at<uint64_t>(new_page) = 1;
    sva.iommu.settle();
    return sva.driver.take_check_reports();
  });
}

TEST(Mutations, AFaultThatComesAfterItsAddressSpaceIsSeen) {
  detects(TANDEM_MUTATION_LATE_FAULT, "X10.fault-of-ended-address-space", [](tandem_model_config config) {
    TestDriver driver(config);
    AqlProducer process(driver);
    process.submit(process.dispatch(process.load_kernel(kernels::load_first()), 1, 1));
    driver.run_until([&] { return driver.check_counter(TANDEM_CHECK_FAULTS) > 0; });
    driver.unbind(1);
    tick(driver, 100);
    return driver.take_check_reports();
  });
}

TEST(Mutations, APieceThatTheCopyEngineDropsIsSeen) {
  detects(TANDEM_MUTATION_COPY_DROPPED, "X4.copy-lost", [](tandem_model_config config) {
    config.vram_bytes = 2 << 20;
    TestDriver driver(config);
    const uint64_t page = driver.pages.take();
    std::memset(driver.host.ram(page), 0x5a, kPage);
    tandem_command copy = driver.command(TANDEM_COMMAND_COPY);
    copy.u.copy.source = page;
    copy.u.copy.destination = 0x3000;
    copy.u.copy.destination_aperture = TANDEM_APERTURE_VRAM;
    copy.u.copy.bytes = kPage;
    driver.execute(copy);
    EXPECT_EQ(driver.check_counter(TANDEM_CHECK_COPIES), 1u);
    return driver.take_check_reports();
  });
}

TEST(Mutations, ATranslationThatOutlivesItsAddressSpaceIsSeen) {
  detects(TANDEM_MUTATION_SPACE_KEPT, "X10.use-after-unbind", [](tandem_model_config config) {
    TestDriver driver(config);
    {
      AqlProducer first(driver);
      first.table.map_new(kData, kPage);
      first.submit(first.dispatch(first.load_kernel(kernels::load_first()), 1, 1));
      driver.settle();
    }
    driver.unbind(1);
    AqlProducer second(driver);
    second.table.map_new(kData, kPage);
    second.submit(second.dispatch(second.load_kernel(kernels::load_first()), 1, 1));
    driver.settle();
    return driver.take_check_reports();
  });
}

TEST(Mutations, AReplayThatForgetsAnAccessIsSeen) {
  detects(TANDEM_MUTATION_REPLAY_LOST, "X6.fault-left-by-a-replay", [](tandem_model_config config) {
    TestDriver driver(config);
    AqlProducer process(driver);
    process.submit(process.dispatch(process.load_kernel(kernels::load_first()), 1, 1));
    driver.settle();
    process.table.map_new(kData, kPage);
    driver.replay(1);
    driver.settle();
    return driver.take_check_reports();
  });
}

TEST(Mutations, DecodedCodeThatOutlivesAnInvalidationIsSeen) {
  detects(TANDEM_MUTATION_CODE_KEPT, "X2.code-after-acknowledgement", [](tandem_model_config config) {
    TestDriver driver(config);
    AqlProducer process(driver);
    const uint64_t page = process.table.map_new(kData, kPage);
    process.submit(process.dispatch(process.load_kernel(kernels::wait_for_flag()), 1, 1));
    driver.run(1000);
    driver.invalidate(1, AqlProducer::kCode, AqlProducer::kCode + kPage);
    driver.run(1000);
    driver.host.at<uint64_t>(page) = 1;
    driver.settle();
    return driver.take_check_reports();
  });
}

TEST(Mutations, NeedTheTestHooks) {
  tandem_model_config config = small_config();
  config.mutation = TANDEM_MUTATION_L2_KEPT;
  config.test_hooks = false;
  FakeHost host;
  const tandem_host_ops ops = host.ops();
  char error[256];
  EXPECT_EQ(tandem_model_create(&config, &ops, &host, nullptr, error, sizeof error), nullptr);
  EXPECT_STREQ(error, "mutate=l2-kept breaks the hardware on purpose: it needs test-hooks=on");
}

TEST(Mutations, HaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (uint32_t mutation = 0; mutation < TANDEM_MUTATION_COUNT; ++mutation) names.insert(tandem_model_mutation_name(mutation));
  EXPECT_EQ(names.size(), size_t{TANDEM_MUTATION_COUNT});
  EXPECT_EQ(tandem_model_mutation_name(TANDEM_MUTATION_COUNT), nullptr);
}

}  // namespace
}  // namespace tandem::test
