// SPDX-License-Identifier: GPL-2.0-or-later
// Late loads: what a load may see, and what makes it read.
#include "support/compute_fixture.h"

namespace tandem::test {
namespace {

using namespace rv;

constexpr uint64_t kSeeds = 60;
constexpr uint64_t kBefore = 1, kAfter = 2;

ComputeConfig late(uint64_t seed) {
  ComputeConfig config;
  config.load_reorder = true;
  config.seed = seed;
  return config;
}

// Runs `ld t1, 0(a0)` and the instructions after it, `so far` of them; then changes memory, does `then`, and goes on. Returns
// over all seeds how often the load saw what came after it.
template <typename Then>
uint64_t saw_the_change(const std::vector<uint32_t>& after, uint64_t so_far, Then then) {
  uint64_t seen = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench bench(late(seed));
    bench.set_size(1);
    Program p(kCode);
    p << ld(t1, a0, 0);
    for (const uint32_t word : after) p << word;
    for (int i = 0; i < 8; ++i) p << addi(x0, x0, 0);
    p << sd(t1, a0, 8) << ret();
    bench.translator.put(kData, kBefore);
    bench.load(p);
    bench.launch();
    for (uint64_t ran = 0; ran < 1 + so_far;) ran += bench.unit->run(1);
    then(bench);
    bench.translator.put(kData, kAfter);
    bench.run();
    const auto result = bench.translator.get<uint64_t>(kData + 8);
    EXPECT_TRUE(result == kBefore || result == kAfter) << result;
    seen += result == kAfter;
  }
  return seen;
}

void nothing(Bench&) {}

TEST(LateLoads, ALoadMaySeeWhatComesAfterIt) {
  EXPECT_GT(saw_the_change({}, 0, nothing), 0u);
  EXPECT_LT(saw_the_change({}, 0, nothing), kSeeds) << "or not";
}

TEST(LateLoads, WhatNamesItsRegisterHasTheValue) {
  for (const uint32_t instruction : {add(t2, t1, x0), add(t2, x0, t1), addi(t1, t1, 0), sd(t1, a0, 16)}) {
    // The instruction may be held for some ticks: run on until it has retired, which its successor shows.
    uint64_t seen = 0;
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      Bench bench(late(seed));
      bench.set_size(1);
      Program p(kCode);
      p << ld(t1, a0, 0) << instruction << addi(t0, x0, 1) << sd(t0, a0, 24) << sd(t1, a0, 8) << ret();
      bench.translator.put(kData, kBefore);
      bench.load(p);
      bench.launch();
      while (bench.translator.get<uint64_t>(kData + 24) == 0) bench.unit->run(1);
      bench.translator.put(kData, kAfter);
      bench.run();
      seen += bench.translator.get<uint64_t>(kData + 8) == kAfter;
    }
    EXPECT_EQ(seen, 0u) << std::hex << instruction;
  }
}

// Whether a load is certainly done when the instruction has retired.
bool settles(uint32_t instruction) {
  uint64_t seen = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench bench(late(seed));
    bench.set_size(1);
    Program p(kCode);
    p << addi(s2, a0, 64) << ld(t1, a0, 0) << instruction << addi(t0, x0, 1) << sd(t0, a0, 24) << addi(x0, x0, 0) << sd(t1, a0, 8)
      << ret();
    bench.translator.put(kData, kBefore);
    bench.load(p);
    bench.launch();
    while (bench.translator.get<uint64_t>(kData + 24) == 0) bench.unit->run(1);
    bench.translator.put(kData, kAfter);
    bench.run();
    seen += bench.translator.get<uint64_t>(kData + 8) == kAfter;
  }
  return seen == 0;
}

TEST(LateLoads, WhatOrdersLoadsSettlesThem) {
  EXPECT_FALSE(settles(addi(x0, x0, 0)));
  EXPECT_FALSE(settles(fence(1, 1))) << "fence w,w";
  EXPECT_TRUE(settles(fence(2, 2))) << "fence r,r";
  EXPECT_TRUE(settles(fence(2, 3))) << "an acquire load's";
  EXPECT_TRUE(settles(fence(3, 1))) << "a release store's";
  EXPECT_TRUE(settles(fence_i()));
  EXPECT_TRUE(settles(barrier()));
  for (const auto scope : {TANDEM_SCOPE_SYSTEM, TANDEM_SCOPE_DEVICE, TANDEM_SCOPE_WORKGROUP}) {
    EXPECT_TRUE(settles(scoped_fence(TANDEM_FENCE_READS, TANDEM_FENCE_READS, scope)));
    EXPECT_FALSE(settles(scoped_fence(TANDEM_FENCE_WRITES, TANDEM_FENCE_WRITES, scope)));
    EXPECT_TRUE(settles(scoped(amo(0, doubleword, t2, x0, s2, rl), scope)));
    EXPECT_FALSE(settles(scoped(amo(0, doubleword, t2, x0, s2, aq), scope))) << "an acquire orders what comes after it";
  }
  EXPECT_TRUE(settles(amo(0, doubleword, t2, x0, a0))) << "an atomic on the same word";
  EXPECT_TRUE(settles(lr(doubleword, t2, a0))) << "the same word again";
}

TEST(LateLoads, AnInvalidationReadsWhatRestsOnThePage) {
  const auto drained = [](uint64_t start) {
    return [start](Bench& bench) { bench.unit->drain(pasid(1), gva(start), gva(start + kPage)); };
  };
  EXPECT_EQ(saw_the_change({}, 0, drained(kData)), 0u);
  EXPECT_GT(saw_the_change({}, 0, drained(kData + kPage)), 0u);
  EXPECT_EQ(saw_the_change({}, 0, [](Bench& bench) { bench.unit->drain_all(); }), 0u);
}

TEST(LateLoads, SuspensionReadsThem) {
  EXPECT_EQ(saw_the_change({}, 0, [](Bench& bench) {
    auto groups = bench.unit->suspend(queue_id(7));
    bench.unit->resume(std::move(groups.at(0)));
  }), 0u);
}

TEST(LateLoads, ALoadSeesTheWavefrontsOwnStoresBeforeItAndNoneAfterIt) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    ComputeConfig config = late(seed);
    config.store_queue_depth = 4;
    config.store_drain = TANDEM_DRAIN_RANDOM;
    Bench bench(config);
    Program p(kCode);
    p << csrr(s0, TANDEM_CSR_LANE_ID) << slli(s1, s0, 6) << add(s1, s1, a0) << addi(t0, x0, 5) << sd(t0, s1, 0) << ld(t1, s1, 0)
      << addi(t2, x0, 6) << store(0, t2, s1, 0) << ld(t3, s1, 0) << load(4, t4, s1, 0) << sd(x0, s1, 0);
    p << sd(t1, s1, 8) << sd(t3, s1, 16) << sd(t4, s1, 24) << ret();
    bench.run_program(p);
    for (uint64_t lane = 0; lane < 32; ++lane) {
      ASSERT_EQ(bench.translator.get<uint64_t>(kData + 64 * lane + 8), 5u);
      ASSERT_EQ(bench.translator.get<uint64_t>(kData + 64 * lane + 16), 6u);
      ASSERT_EQ(bench.translator.get<uint64_t>(kData + 64 * lane + 24), 6u);
    }
  }
}

TEST(LateLoads, EveryWidthAndLanesWhosePagesAreMissing) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    Bench bench(late(seed));
    Program p(kCode);
    p << csrr(s0, TANDEM_CSR_LANE_ID) << slli(s1, s0, 12) << add(s1, s1, a0);
    const uint32_t registers[7] = {t0, t1, t2, t3, t4, t5, t6};
    for (uint32_t f3 = 0; f3 < 7; ++f3) p << load(f3, registers[f3], s1, 64);
    p << flw(0, s1, 64) << fld(1, s1, 64);
    for (uint32_t n = 0; n < 7; ++n) p << sd(registers[n], s1, static_cast<int32_t>(128 + 8 * n));
    p << fsd(0, s1, 184) << fsd(1, s1, 192) << ret();
    bench.translator.map(kData, 32 * kPage);
    constexpr uint64_t kValue = 0x8182838485868788;
    for (uint64_t lane = 0; lane < 32; ++lane) {
      bench.translator.put<uint64_t>(kData + lane * kPage + 64, kValue);
      bench.translator.page(kData + lane * kPage).present = (lane + seed) % 3 != 0;
    }
    bench.run_program(p);
    const uint64_t expected[9] = {0xffffffffffffff88, 0xffffffffffff8788, 0xffffffff85868788, kValue, 0x88, 0x8788, 0x85868788,
                                  0xffffffff85868788, kValue};
    for (uint64_t lane = 0; lane < 32; ++lane)
      for (uint64_t n = 0; n < 9; ++n)
        ASSERT_EQ(bench.translator.get<uint64_t>(kData + lane * kPage + 128 + 8 * n), expected[n]) << lane << " " << n;
  }
}

}  // namespace
}  // namespace tandem::test
