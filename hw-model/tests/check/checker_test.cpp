// SPDX-License-Identifier: GPL-2.0-or-later
// The checker by itself: entries, moments and invalidations put together by hand. What a whole device does with it: mutations_test.
#include "check/checker.h"

#include <gtest/gtest.h>

#include "support/aql_producer.h"
#include "support/kernels.h"

namespace tandem::test {
namespace {

constexpr uint64_t kVa = 0x40000000, kPage = TANDEM_PAGE_BYTES;
constexpr Pasid kPasid{{1}};
using Source = Invalidation::Source;

struct CheckerTest : ::testing::Test {
  CheckerTest() {
    address = table.map_new(kVa, kPage);
    spaces.bind(kPasid, {.root = iova(table.root())});
    checker.bound(kPasid);
  }
  TranslationRequest request(uint64_t va = kVa, Access access = Access::Read) {
    TranslationRequest made;
    made.pasid = kPasid;
    made.va = gva(va);
    made.access = access;
    return made;
  }
  // As the page walk makes it of the page table as it is now.
  TlbEntry fill(uint64_t began) {
    TlbEntry entry{.pasid = kPasid, .va = gva(kVa), .bytes = kPage};
    entry.pte = table.entry(kVa);
    entry.bus_address = entry.device_address = table.entry(kVa) & TANDEM_PTE_ADDRESS;
    entry.write = table.entry(kVa) & TANDEM_PTE_WRITE;
    checker.filled(entry, request(), began, began);
    return entry;
  }
  void invalidate(uint64_t start, uint64_t end) {
    checker.carried_out(kPasid, gva(start), gva(end));
    checker.acknowledged(Source::Driver, kPasid, gva(start), gva(end), 1);
  }
  std::string key() { return host.check_reports.empty() ? "" : host.check_reports.back().key; }

  FakeHost host{32 << 20, 4 << 20};
  PageAllocator pages{host};
  PageTableBuilder table{host, pages};
  tandem_host_ops ops = host.ops();
  MemoryPort memory{ops, &host, host.vram(), 4 << 20};
  Host clock{ops, &host};
  AddressSpaces spaces{16};
  Checker checker{spaces, memory, clock};
  uint64_t address = 0;
};

TEST_F(CheckerTest, AnEntryIsGoodUntilItsRangeIsAcknowledged) {
  const TlbEntry entry = fill(checker.moment());
  checker.used(entry, request());
  invalidate(kVa + kPage, kVa + 2 * kPage);
  checker.used(entry, request());
  EXPECT_EQ(key(), "");
  invalidate(kVa, kVa + kPage);
  checker.used(entry, request());
  EXPECT_EQ(key(), "X2.missed-level");
}

TEST_F(CheckerTest, AnEntryOfAWalkThatBeganBeforeIsNotGood) {
  const uint64_t began = checker.moment();
  invalidate(kVa, kVa + kPage);
  const TlbEntry late = fill(began);
  checker.used(late, request());
  EXPECT_EQ(key(), "X2.fill-by-overlapping-walk");
  const TlbEntry anew = fill(checker.moment());
  host.check_reports.clear();
  checker.used(anew, request());
  EXPECT_EQ(key(), "");
}

// A walk of one page of a group, which is cut by an invalidation of the group's first page before it reads its leaf.
TEST_F(CheckerTest, TheOtherPagesOfALargerEntryRestOnTheLeafAlone) {
  table.map_group(kVa, pages.take(1 << 16, 1 << 16));
  const auto fill_group = [&](uint64_t invalidated) {
    TlbEntry entry{.pasid = kPasid, .va = gva(kVa), .bytes = 1 << 16};
    const uint64_t began = checker.moment();
    invalidate(invalidated, invalidated + kPage);
    checker.filled(entry, request(kVa + 9 * kPage), began, checker.moment());
    host.check_reports.clear();
    checker.used(entry, request(kVa + 9 * kPage));
    return key();
  };
  EXPECT_EQ(fill_group(kVa), "");
  EXPECT_EQ(fill_group(kVa + 9 * kPage), "X2.fill-by-overlapping-walk");
}

TEST_F(CheckerTest, AUseIsJudgedOnceInARound) {
  const TlbEntry entry = fill(checker.moment());
  EXPECT_TRUE(checker.wants(entry));
  checker.used(entry, request());
  EXPECT_FALSE(checker.wants(entry));
  checker.pass(1);
  EXPECT_FALSE(checker.wants(entry));
  invalidate(0, kPage);
  EXPECT_TRUE(checker.wants(entry)) << "after an acknowledgement";
  checker.used(entry, request());
  checker.pass(1 << 20);
  EXPECT_TRUE(checker.wants(entry)) << "after many ticks";
}

TEST_F(CheckerTest, AChangedPageTableIsCountedUntilTheInvalidationComes) {
  const TlbEntry entry = fill(checker.moment());
  table.entry(kVa) = 0;
  checker.used(entry, request());
  EXPECT_EQ(key(), "");
  EXPECT_EQ(checker.counter(TANDEM_CHECK_STALE_USES), 1u);
}

TEST_F(CheckerTest, AnEntryThatMisquotesItsPageTableIsReported) {
  TlbEntry entry = fill(checker.moment());
  entry.bus_address += kPage;
  checker.used(entry, request());
  EXPECT_EQ(key(), "X2.wrong-translation");
}

TEST_F(CheckerTest, VideoMemoryMustBeAllocated) {
  table.map(kVa, 0x3000, kReadWrite | PageTableBuilder::aperture(TANDEM_APERTURE_VRAM));
  TlbEntry entry = fill(checker.moment());
  entry.aperture = TANDEM_APERTURE_VRAM;
  entry.bus_address = entry.device_address = 0x3000;
  const uint64_t lives = pages.take();  // the driver's array: page 3 is given out ...
  ++host.at<uint32_t>(lives + 3 * sizeof(uint32_t));
  checker.vram().follow(lives);
  checker.vram().filled(0x3000, kPage);
  checker.used(entry, request());
  EXPECT_EQ(key(), "");
  ++host.at<uint32_t>(lives + 3 * sizeof(uint32_t));  // ... and comes back
  checker.used(entry, request());
  EXPECT_EQ(key(), "X3.vram-use-after-free");
}

TEST_F(CheckerTest, ACopyFromMoreVideoMemoryThanThereIsEndsWithIt) {
  checker.vram().follow(pages.take());  // nothing is given out
  checker.copies_from(checker.vram().bytes() - kPage, ~0ULL - checker.vram().bytes());
  EXPECT_EQ(key(), "X3.vram-never-allocated");
  EXPECT_EQ(host.check_reports.size(), 1u);
}

TEST_F(CheckerTest, AFaultThatNobodyServesIsReportedUnlessATestWantsItSo) {
  const TranslationRequest absent = request(kVa + kPage);
  for (uint32_t n = 0; n < 2 * FaultLedger::kMostUnserved; ++n) {
    if (n % 100 == 0) checker.faults_forgotten(kPasid);
    checker.faulted(absent, TANDEM_FAULT_NOT_PRESENT);
  }
  EXPECT_EQ(key(), "");
  for (uint32_t n = 0; n < FaultLedger::kMostUnserved; ++n) checker.faulted(absent, TANDEM_FAULT_NOT_PRESENT);
  EXPECT_EQ(key(), "X6.fault-never-served");
}

TEST_F(CheckerTest, TheTruthIsAskedAtEachJudgement) {
  struct Truth final : TruthSource {
    std::optional<Finding> judge(const UsedTranslation& used) override {
      asked.push_back(used.request.va.value);
      return Finding{"X1.test", "not so", {}};
    }
    std::vector<uint64_t> asked;
  } truth;
  checker.set_truth(&truth);
  checker.used(fill(checker.moment()), request(kVa + 8));
  EXPECT_EQ(truth.asked, std::vector<uint64_t>{kVa + 8});
  EXPECT_EQ(key(), "X1.test");
}

TEST_F(CheckerTest, TheInstructionOfASharedAddressSpaceIsReadThroughTheProcess) {
  struct Truth final : TruthSource {
    std::optional<Finding> judge(const UsedTranslation&) override { return Finding{"X1.test", "not so", {}}; }
    std::optional<uint32_t> read_word(Pasid, Gva va) override { return va == gva(kVa + 0x40) ? 0x00853503u : 0u; }
  } truth;
  checker.set_truth(&truth);
  spaces.unbind(kPasid);
  spaces.bind(kPasid, {.root = {}, .translation = TANDEM_TRANSLATION_SVA, .bus_pasid = 5});
  TranslationRequest load = request();
  load.client = TANDEM_CLIENT_COMPUTE;
  load.pc = kVa + 0x40;
  checker.used(fill(checker.moment()), load);
  ASSERT_EQ(key(), "X1.test");
  EXPECT_NE(host.check_reports.back().text.find(": ld a0, 8(a0)"), std::string::npos) << host.check_reports.back().text;
}

TEST_F(CheckerTest, TheTruthIsToldWhatTheIommuTookBack) {
  struct Truth final : TruthSource {
    std::optional<Finding> judge(const UsedTranslation&) override { return {}; }
    void flushed(Pasid, Gva start, Gva end) override { taken.push_back(end - start); }
    std::vector<uint64_t> taken;
  } truth;
  checker.set_truth(&truth);
  invalidate(kVa, kVa + kPage);
  EXPECT_EQ(truth.taken, std::vector<uint64_t>{}) << "the driver's own";
  checker.acknowledged(Source::Iommu, kPasid, gva(kVa), gva(kVa + 2 * kPage), 0);
  EXPECT_EQ(truth.taken, std::vector<uint64_t>{2 * kPage});
}

TEST_F(CheckerTest, ALeafThatLeadsNowhereIsJudgedToo) {
  struct Truth final : TruthSource {
    std::optional<Finding> judge(const UsedTranslation&) override { return {}; }
    std::optional<Finding> judge_fill(const UsedTranslation& made) override {
      leads_to = made.entry.device_address;
      return Finding{"X1.test", "not so", {}};
    }
    uint64_t leads_to = 0;
  } truth;
  constexpr uint64_t kNowhere = 1ULL << 40;
  checker.set_truth(&truth);
  table.map(kVa, kNowhere);
  for (const auto reason : {TANDEM_FAULT_PAGE_DMA, TANDEM_FAULT_BAD_PTE}) {
    truth.leads_to = 0;
    checker.faulted(request(), reason);
    EXPECT_EQ(truth.leads_to, kNowhere);
  }
  EXPECT_EQ(key(), "X1.test");
}

TEST_F(CheckerTest, AnAddressSpaceThatIsBoundAnewHasNothingOfTheOldOne) {
  const TlbEntry entry = fill(checker.moment());
  checker.ended(kPasid);
  spaces.unbind(kPasid);
  spaces.bind(kPasid, {.root = iova(table.root())});
  checker.bound(kPasid);
  checker.used(entry, request());
  EXPECT_EQ(key(), "X10.use-after-unbind");
}

TEST_F(CheckerTest, WhatIsSaidOfAPasidThatIsNotBoundIsNotKept) {
  TlbEntry entry = fill(checker.moment());
  entry.pasid = Pasid{{2}};
  tandem_invalidate unknown{};
  unknown.pasid = 2, unknown.start = kVa, unknown.end = kVa + kPage;
  checker.received(unknown);
  checker.acknowledged(Source::Driver, Pasid{{2}}, gva(kVa), gva(kVa + kPage), 1);
  spaces.bind(Pasid{{2}}, {.root = iova(table.root())});
  checker.bound(Pasid{{2}});
  checker.used(entry, request());
  EXPECT_EQ(key(), "");
  checker.ended(Pasid{{2}});
  spaces.unbind(Pasid{{2}});
  checker.acknowledged(Source::Driver, Pasid{{2}}, gva(kVa), gva(kVa + kPage), 2);
  TranslationRequest late = request();
  late.pasid = Pasid{{2}};
  checker.used(entry, late);
  EXPECT_EQ(key(), "X10.use-after-unbind") << "its end is what is known of it";
  const std::string& text = host.check_reports.back().text;
  EXPECT_EQ(text.find("came from the driver"), std::string::npos) << text;
}

TEST_F(CheckerTest, APasidOnTheBusIsOfOneProcessUntilAllOfItIsAnswered) {
  const auto bind = [&](uint32_t pasid, uint32_t tgid) {
    AddressSpace space{.translation = TANDEM_TRANSLATION_SVA, .bus_pasid = 0x3fe};
    space.tgid = tgid;
    spaces.bind(Pasid{{pasid}}, space);
    checker.bound(Pasid{{pasid}});
  };
  bind(2, 101);
  bind(3, 101);
  EXPECT_EQ(key(), "") << "of the same process";
  spaces.unbind(Pasid{{3}});
  spaces.change(Pasid{{2}})->ended_ns = 1;
  bind(4, 102);
  EXPECT_EQ(key(), "X10.pasid-in-use");
  EXPECT_NE(host.check_reports.back().text.find("page requests unanswered"), std::string::npos) << host.check_reports.back().text;
  spaces.unbind(Pasid{{2}});
  spaces.unbind(Pasid{{4}});
  host.check_reports.clear();
  bind(5, 103);
  EXPECT_EQ(key(), "");
}

// The same work on two devices, one of them watched.
TEST(Checker, ChangesNothingThatTheDeviceDoes) {
  const auto counters_of = [](bool check) {
    tandem_model_config config = small_config();
    config.check = check;
    config.walk_latency = 3;
    TestDriver driver(config);
    AqlProducer process(driver);
    process.table.map_new(AqlProducer::kData, 16 * kPage);
    for (int n = 0; n < 4; ++n) {
      process.submit(process.dispatch(process.load_kernel(kernels::store_ids()), 2048, 64));
      driver.run(50);
      driver.invalidate(1, AqlProducer::kData, AqlProducer::kData + kPage);
    }
    driver.settle();
    std::vector<uint64_t> counters;
    for (uint32_t n = 0; n < TANDEM_COUNTER_COUNT; ++n) counters.push_back(driver.counter(static_cast<tandem_counter>(n)));
    EXPECT_EQ(driver.check_counter(TANDEM_CHECK_USES) > 0, check);
    return counters;
  };
  EXPECT_EQ(counters_of(true), counters_of(false));
}

TEST(Checker, TheMonitorShowsItsCounters) {
  TestDriver driver;
  std::string text;
  EXPECT_TRUE(tandem_model_describe(driver.model(), "checker", [](void* to, const char* part) { *static_cast<std::string*>(to) += part; }, &text));
  EXPECT_NE(text.find("check-violations 0\n"), std::string::npos);
  EXPECT_NE(text.find("check-stale-alive-longest-ns 0\n"), std::string::npos);
}

}  // namespace
}  // namespace tandem::test
