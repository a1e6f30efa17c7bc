// SPDX-License-Identifier: GPL-2.0-or-later
// Hostile timing: a seed changes when and in which order things happen, the same seed in the same way, and none of it the results.
#include "base/hostile.h"

#include <algorithm>
#include <set>

#include "support/aql_producer.h"
#include "support/kernels.h"
#include "support/sva.h"

namespace tandem::test {
namespace {

constexpr uint64_t kData = AqlProducer::kData;
constexpr uint64_t kSeeds = 12;

tandem_model_config hostile_config(uint64_t seed) {
  tandem_model_config config = small_config();
  config.hostile = seed;
  config.walk_latency = 2;
  return config;
}

// A dispatch over 16 pages, each of which faults and is mapped by the driver; an invalidation of half of them while it runs.
struct FaultingRun {
  explicit FaultingRun(uint64_t seed) : driver(hostile_config(seed)), process(driver) {
    process.signal(0).value = 1;
    auto packet = process.dispatch(process.load_kernel(kernels::store_ids()), 16 * 512, 64);
    packet.completion_signal = process.signal_va(0);
    process.submit(packet);
    for (int turn = 0; turn < 400 && process.signal(0).value != 0; ++turn) serve(turn);
  }
  void serve(int turn) {
    driver.run(2000);
    bool served = false;
    for (; driver.faults_waiting(); served = true) {
      const uint64_t page = driver.take_fault().va;
      if (!mapped.contains(page)) mapped[page] = process.table.map_new(page, TANDEM_PAGE_BYTES);
    }
    if (served) driver.replay(1);
    if (turn == 5) driver.invalidate(1, kData, kData + 8 * TANDEM_PAGE_BYTES);
  }
  bool right() {
    for (uint64_t n = 0; n < 16 * 512; ++n)
      if (driver.host.at<uint64_t>(mapped[kData + n / 512 * 4096] + n % 512 * 8) != n + 1) return false;
    return true;
  }
  std::vector<std::array<uint64_t, 3>> story() const {
    std::vector<std::array<uint64_t, 3>> found;
    for (const tandem_trace_record& record : driver.host.trace) found.push_back({record.type, record.va, record.a});
    return found;
  }

  TestDriver driver;
  AqlProducer process;
  std::map<uint64_t, uint64_t> mapped;
};

TEST(Hostile, WithoutASeedEveryAnswerIsThePlainOne) {
  Hostile plain(0);
  for (int n = 0; n < 100; ++n) {
    EXPECT_EQ(plain.delay(), 0u);
    EXPECT_EQ(plain.pick(9), 0u);
    EXPECT_EQ(plain.part(9), 9u);
    EXPECT_EQ(plain.shrink(64), 64u);
    EXPECT_FALSE(plain.sometimes(1));
    EXPECT_TRUE(plain.may(Hostile::Step::Copy, true, 5));
    EXPECT_FALSE(plain.may(Hostile::Step::Copy, false, 5));
    EXPECT_FALSE(plain.next_opening());
    EXPECT_EQ(plain.rare_delay(), 0u);
  }
}

TEST(Hostile, AStepIsPutOffOnceAndThenStaysOpen) {
  Hostile hostile(7);
  for (int round = 0; round < 200; ++round) {
    uint64_t now = static_cast<uint64_t>(round) * 100000;
    const uint64_t began = now;
    while (!hostile.may(Hostile::Step::Command, true, now)) {
      ASSERT_TRUE(hostile.next_opening());
      EXPECT_GT(*hostile.next_opening(), now);
      ASSERT_LT(++now - began, 8192u);
    }
    EXPECT_FALSE(hostile.next_opening());
    for (int n = 0; n < 50; ++n) EXPECT_TRUE(hostile.may(Hostile::Step::Command, true, now + 1));
    hostile.brought(Hostile::Step::Command, true);
  }
}

TEST(Hostile, SeedsChangeNoResult) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    FaultingRun run(seed);
    EXPECT_EQ(run.process.signal(0).value, 0) << "seed " << seed;
    EXPECT_TRUE(run.right()) << "seed " << seed;
    EXPECT_TRUE(run.driver.host.errors.empty()) << "seed " << seed << ": " << run.driver.host.errors.front();
  }
}

TEST(Hostile, TheSameSeedTellsTheSameStoryAndOthersTellOthers) {
  std::set<std::vector<std::array<uint64_t, 3>>> stories;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const auto story = FaultingRun(seed).story();
    EXPECT_EQ(story, FaultingRun(seed).story()) << "seed " << seed;
    stories.insert(story);
  }
  EXPECT_GT(stories.size(), kSeeds / 2);
}

// One call lasts until there is nothing to do but wait for the driver: nothing that the device owes may be left by then.
TEST(Hostile, ADeviceThatIsIdleOwesNothing) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    TestDriver driver(hostile_config(seed), 1 << 20);
    AqlProducer process(driver);
    process.submit(process.dispatch(process.load_kernel(kernels::store_ids())));
    tandem_run_result result = TANDEM_RUN_READY;
    for (int round = 0; round < 100 && result != TANDEM_RUN_IDLE; ++round) result = driver.run();
    ASSERT_EQ(result, TANDEM_RUN_IDLE) << "seed " << seed;
    EXPECT_EQ(driver.faults_waiting(), 1u) << "seed " << seed;
    EXPECT_EQ(driver.host.interrupts_of(TANDEM_VECTOR_FAULT), 1u) << "seed " << seed;
  }
}

TEST(Hostile, InvalidationsAreAcknowledgedInTheirOrder) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    TestDriver driver(hostile_config(seed));
    AqlProducer process(driver);
    uint64_t last = 0;
    for (int n = 0; n < 10; ++n) last = driver.send(driver.invalidation(1, kData, kData + 4096));
    uint64_t seen = 0;
    EXPECT_TRUE(driver.run_until([&] {
      EXPECT_GE(driver.status().invalidate_done, seen) << "seed " << seed;
      seen = driver.status().invalidate_done;
      return seen == last;
    }, 1000000)) << "seed " << seed;
  }
}

TEST(Hostile, NothingOfAnInvalidatedPageIsUsedAfterTheAcknowledgement) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    TestDriver driver(hostile_config(seed));
    AqlProducer process(driver);
    process.table.map_new(kData, TANDEM_PAGE_BYTES);
    const uint64_t kernel = process.load_kernel(kernels::store_ids());
    process.submit(process.dispatch(kernel));
    driver.run(50 * seed);  // somewhere on its way
    const uint64_t old_page = process.table.entry(kData) & TANDEM_PTE_ADDRESS;
    const uint64_t new_page = driver.pages.take();
    process.table.map(kData, new_page, kReadWrite);
    driver.invalidate(1, kData, kData + TANDEM_PAGE_BYTES);
    driver.host.at<uint64_t>(old_page) = 0xdead;
    process.signal(0).value = 1;
    auto packet = process.dispatch(kernel);
    packet.completion_signal = process.signal_va(0);
    process.submit(packet);
    EXPECT_TRUE(driver.run_until([&] { return process.signal(0).value == 0; }, 1000000)) << "seed " << seed;
    EXPECT_EQ(driver.host.at<uint64_t>(old_page), 0xdeadu) << "seed " << seed;
    EXPECT_EQ(driver.host.at<uint64_t>(new_page), 1u) << "seed " << seed;
  }
}

TEST(Hostile, TheIommuIsAnsweredLateAndInAnotherOrder) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Sva sva(hostile_config(seed));
    sva.map_on_demand();
    sva.submit(kernels::store_ids(), 2048);
    for (int turn = 0; turn < 2000 && !sva.done(); ++turn) {
      sva.driver.run(500);
      sva.iommu.answer_all();
      sva.iommu.serve();
      if (turn == 20 && sva.pte(kData) & TANDEM_PTE_VALID) sva.move_page(kData);
    }
    EXPECT_TRUE(sva.done()) << "seed " << seed;
    EXPECT_TRUE(sva.driver.host.errors.empty()) << "seed " << seed << ": " << sva.driver.host.errors.front();
  }
}

// A host lets the device stand still while it is idle: what the IOMMU has said may not wait for another push.
TEST(Hostile, ADeviceThatIsIdleHasTakenNoticeOfAllAnswers) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Sva sva(hostile_config(seed));
    sva.map_on_demand();
    sva.submit(kernels::store_ids(), 8 * 512);
    size_t answers = 0;
    for (int turn = 0; turn < 500 && !sva.done(); ++turn) {
      tandem_run_result result = TANDEM_RUN_READY;
      for (int slice = 0; slice < 10000 && result == TANDEM_RUN_READY; ++slice) result = sva.driver.run(500);
      ASSERT_NE(result, TANDEM_RUN_READY) << "seed " << seed;
      ASSERT_EQ(std::ranges::count(sva.driver.host.trace, TANDEM_TRACE_ATS_ANSWER, &tandem_trace_record::type),
                static_cast<long>(answers)) << "seed " << seed;
      answers += sva.iommu.asked.size();
      sva.iommu.answer_all();
      sva.iommu.serve();
    }
    EXPECT_TRUE(sva.done()) << "seed " << seed;
  }
}

TEST(Hostile, ADeviceThatStoppedKeepsNothingBack) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    TestDriver driver(hostile_config(seed));
    tandem_invalidate bad = driver.invalidation(1, 1, 2);
    driver.send(bad);
    driver.settle();
    EXPECT_EQ(driver.read32(TANDEM_REG_ERROR), TANDEM_DEVICE_BAD_INVALIDATE);
    EXPECT_EQ(driver.run(), TANDEM_RUN_IDLE);
    EXPECT_EQ(driver.host.interrupts_of(TANDEM_VECTOR_ERROR), 1u) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tandem::test
