// SPDX-License-Identifier: GPL-2.0-or-later
// The store queue: what is visible when, in which order, and that nothing outlives an invalidation.
#include "support/compute_fixture.h"

namespace tandem::test {
namespace {

using namespace rv;

ComputeConfig queued(uint32_t depth, tandem_store_drain order = TANDEM_DRAIN_FIFO, uint64_t seed = 1) {
  ComputeConfig config;
  config.store_queue_depth = depth;
  config.store_drain = order;
  config.seed = seed;
  return config;
}

uint64_t cell(Bench& bench, uint64_t index) { return bench.translator.get<uint64_t>(kData + 8 * index); }

// Stores 1, 2, 3 to cells 0, 1, 2, then goes on without touching memory for ever.
void three_stores(Program& p) {
  p << addi(t0, x0, 1) << sd(t0, a0, 0) << addi(t0, x0, 2) << sd(t0, a0, 8) << addi(t0, x0, 3) << sd(t0, a0, 16);
  p.label("forever");
  p.jump(x0, "forever");
}

// Runs until the three stores have issued and before a turn ends.
void run_three_stores(Bench& bench) {
  Program p(kCode);
  three_stores(p);
  bench.set_size(1);
  bench.load(p);
  bench.launch();
  bench.unit->run(6);
}

TEST(StoreQueue, DepthZeroIsVisibleAtOnce) {
  Bench bench(queued(0));
  run_three_stores(bench);
  EXPECT_EQ(cell(bench, 2), 3u);
}

TEST(StoreQueue, HoldsStoresBackAndDrainWritesThem) {
  Bench bench(queued(8));
  run_three_stores(bench);
  EXPECT_EQ(cell(bench, 0), 1u) << "each turn makes the oldest visible";
  EXPECT_EQ(cell(bench, 1), 0u);
  EXPECT_EQ(cell(bench, 2), 0u);
  EXPECT_EQ(bench.unit->drain(pasid(2), gva(kData), gva(kData + 4096)).stores_written, 0u);
  EXPECT_EQ(bench.unit->drain(pasid(1), gva(kData + 4096), gva(kData + 8192)).stores_written, 0u);
  EXPECT_EQ(cell(bench, 1), 0u);
  EXPECT_EQ(bench.unit->drain(pasid(1), gva(kData), gva(kData + 4096)).stores_written, 2u);
  EXPECT_EQ(cell(bench, 1), 2u);
  EXPECT_EQ(cell(bench, 2), 3u);
  EXPECT_EQ(bench.log.system.size(), 3u) << "the host is told when it happens";
}

TEST(StoreQueue, DrainAllWritesEverything) {
  Bench bench(queued(8));
  run_three_stores(bench);
  EXPECT_EQ(bench.unit->drain_all().stores_written, 2u);
  EXPECT_EQ(cell(bench, 2), 3u);
}

TEST(StoreQueue, FifoKeepsOrderEvenWhenALaterPageIsDrained) {
  Bench bench(queued(8));
  Program p(kCode);
  p << lui(t1, 1) << add(t1, t1, a0) << addi(t0, x0, 1) << sd(t0, a0, 0) << sd(t0, a0, 8) << sd(t0, t1, 0) << sd(t0, a0, 16);
  p.label("forever");
  p.jump(x0, "forever");
  bench.set_size(1);
  bench.load(p);
  bench.launch();
  bench.unit->run(7);
  EXPECT_EQ(bench.unit->drain(pasid(1), gva(kData + 4096), gva(kData + 8192)).stores_written, 2u) << "with what came before it";
  EXPECT_EQ(cell(bench, 1), 1u);
  EXPECT_EQ(cell(bench, 2), 0u);
}

TEST(StoreQueue, AllBecomesVisibleInTheEnd) {
  Bench bench(queued(8));
  run_three_stores(bench);
  bench.unit->run(1000);
  EXPECT_EQ(cell(bench, 2), 3u);
}

// What each of these does to a queue that holds a store to cell 0 only.
bool visible_after(uint32_t instruction, bool wave_goes_on = true) {
  Bench bench(queued(8));
  bench.set_size(1);
  Program p(kCode);
  p << addi(s2, a0, 64) << addi(t0, x0, 1) << sd(t0, a0, 128) << sd(t0, a0, 0) << instruction;
  if (wave_goes_on) {
    p.label("forever");
    p.jump(x0, "forever");
  }
  bench.load(p);
  bench.launch();
  bench.unit->run(wave_goes_on ? 5 : 100);   // the turn's own write is that of cell 16
  return cell(bench, 0) == 1;
}

TEST(StoreQueue, FencesReleasesBarriersAndTheEndDrain) {
  EXPECT_FALSE(visible_after(addi(x0, x0, 0)));
  EXPECT_FALSE(visible_after(fence(2, 2))) << "fence r,r";
  EXPECT_TRUE(visible_after(fence(1, 1))) << "fence w,w";
  EXPECT_TRUE(visible_after(fence_rw_rw()));
  EXPECT_TRUE(visible_after(fence_i()));
  EXPECT_FALSE(visible_after(amo(0, doubleword, t1, t0, s2, relaxed)));
  EXPECT_FALSE(visible_after(amo(0, doubleword, t1, t0, s2, aq)));
  EXPECT_TRUE(visible_after(amo(0, doubleword, t1, t0, s2, rl)));
  EXPECT_TRUE(visible_after(amo(0, doubleword, t1, t0, s2, aqrl)));
  EXPECT_TRUE(visible_after(exit_lane(), false));
  EXPECT_TRUE(visible_after(barrier(), false));
}

TEST(StoreQueue, AnAtomicSeesTheWavefrontsOwnStoreToItsAddress) {
  Bench bench(queued(8));
  bench.set_size(1);
  Program p(kCode);
  p << addi(t0, x0, 5) << sd(t0, a0, 0) << amo(0, doubleword, t1, t0, a0) << sd(t1, a0, 8) << ret();
  bench.run_program(p);
  EXPECT_EQ(cell(bench, 0), 10u);
  EXPECT_EQ(cell(bench, 1), 5u);
}

TEST(StoreQueue, LoadsSeeTheWavefrontsOwnStoresOfAnyWidth) {
  for (const auto order : {TANDEM_DRAIN_FIFO, TANDEM_DRAIN_RANDOM}) {
    Bench bench(queued(16, order));
    Program p(kCode);
    p << csrr(s0, TANDEM_CSR_LANE_ID) << slli(s1, s0, 4) << add(s1, s1, a0) << addi(t0, x0, -1) << sd(t0, s1, 0) << store(1, x0, s1, 3)
      << store(0, s0, s1, 7) << ld(t1, s1, 0) << sd(t1, s1, 8) << ret();
    bench.run_program(p);
    for (uint64_t lane = 0; lane < 32; ++lane) {
      EXPECT_EQ(cell(bench, 2 * lane + 1), (lane << 56) | 0x00ffff0000ffffff);
      EXPECT_EQ(cell(bench, 2 * lane), (lane << 56) | 0x00ffff0000ffffff);
    }
  }
}

TEST(StoreQueue, AFullQueueMakesRoom) {
  Bench bench(queued(2));
  Program p(kCode);
  p << csrr(s0, TANDEM_CSR_LANE_ID) << slli(s1, s0, 3) << add(s1, s1, a0);
  for (int i = 0; i < 20; ++i) p << addi(t0, s0, i) << sd(t0, s1, i % 7 * 256);
  p << ret();
  bench.run_program(p);
  for (int slot = 0; slot < 7; ++slot) {
    const int last = slot < 6 ? 14 + slot : 13;   // the last i < 20 with i % 7 == slot
    for (uint64_t lane = 0; lane < 32; ++lane)
      EXPECT_EQ(cell(bench, static_cast<uint64_t>(slot) * 32 + lane), lane + static_cast<uint64_t>(last)) << slot;
  }
}

// Message passing without fences: with random order the flag can be seen before the data, with fifo it cannot.
int stale_messages(tandem_store_drain order) {
  int stale = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Bench bench(queued(8, order, seed));
    Program p(kCode);
    p << addi(t0, x0, 1) << sd(t0, a0, 0) << sd(t0, a0, 512);
    p.label("forever");
    p.jump(x0, "forever");
    bench.set_size(1);
    bench.load(p);
    bench.launch();
    bench.unit->run(3);
    for (int i = 0; i < 10; ++i) {
      if (cell(bench, 64) == 1 && cell(bench, 0) == 0) ++stale;
      bench.unit->run(1);
    }
  }
  return stale;
}

TEST(StoreQueue, WeakOutcomesReallyOccurInRandomOrderOnly) {
  EXPECT_EQ(stale_messages(TANDEM_DRAIN_FIFO), 0);
  EXPECT_GT(stale_messages(TANDEM_DRAIN_RANDOM), 0);
}

TEST(StoreQueue, RandomOrderKeepsStoresToOneAddressInOrder) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Bench bench(queued(16, TANDEM_DRAIN_RANDOM, seed));
    bench.set_size(1);
    Program p(kCode);
    for (int i = 1; i <= 12; ++i) p << addi(t0, x0, i) << sd(t0, a0, i % 3 * 4);   // overlapping in halves, too
    p << ret();
    bench.run_program(p);
    // the last stores: 12 to 0, 10 to 4, 11 to 8, in the order 10, 11, 12
    EXPECT_EQ(bench.translator.get<uint32_t>(kData), 12u);
    EXPECT_EQ(bench.translator.get<uint32_t>(kData + 4), 0u);
    EXPECT_EQ(bench.translator.get<uint32_t>(kData + 8), 11u);
  }
}

TEST(StoreQueue, RandomOrderKeepsLanesThatMeetInLaneOrder) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Bench bench(queued(4, TANDEM_DRAIN_RANDOM, seed));
    Program p(kCode);
    p << csrr(s0, TANDEM_CSR_LANE_ID) << sd(s0, a0, 0) << ret();
    bench.run_program(p);
    EXPECT_EQ(cell(bench, 0), 31u) << "seed " << seed;
  }
}

TEST(StoreQueue, SuspendAndKillWriteWhatWasStored) {
  Bench suspended(queued(8));
  run_three_stores(suspended);
  const auto groups = suspended.unit->suspend(queue_id(7));
  EXPECT_EQ(cell(suspended, 2), 3u);
  Bench killed(queued(8));
  run_three_stores(killed);
  killed.unit->kill(queue_id(7));
  EXPECT_EQ(cell(killed, 2), 3u);
  Bench reset(queued(8));
  run_three_stores(reset);
  reset.unit->reset();
  EXPECT_EQ(cell(reset, 2), 0u) << "after a reset nothing is written";
}

}  // namespace
}  // namespace tandem::test
