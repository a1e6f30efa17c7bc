// SPDX-License-Identifier: GPL-2.0-or-later
// Atomics between their load and their store: what others see, what completes them early, and that nothing is left behind.
#include "support/compute_fixture.h"

namespace tandem::test {
namespace {

using namespace rv;

constexpr uint32_t kPause = 200;
constexpr uint64_t kIncrement = 1, kBefore = 100;

uint64_t cell(Bench& bench, uint64_t index = 0) { return bench.translator.get<uint64_t>(kData + 8 * index); }

// The operation that the tests use, `amoadd.d x0, t0, (a0)`, with more around it.
Program add_one() {
  Program p(kCode);
  p << addi(t0, x0, kIncrement) << amo(0, doubleword, t1, t0, a0);
  return p;
}

struct PausedAtomic : ::testing::Test {
  PausedAtomic() {
    bench.port.atomics().configure(exclusive(kPause));
    bench.set_size(1);
    bench.translator.put(kData, kBefore);
  }
  // Runs the program up to the middle of its first atomic.
  void begin(Program& p) {
    bench.load(p);
    bench.launch();
    while (!bench.port.atomics().busy()) bench.run_slice(1);
    ASSERT_EQ(cell(bench), kBefore);
  }
  void begin() {
    Program p = add_one();
    p << sd(t1, a0, 8) << ret();
    begin(p);
  }
  // A second unit over the same memory, with a program of its own.
  std::unique_ptr<ComputeUnit> other_unit(Program& p) {
    for (size_t i = 0; i < p.words().size(); ++i) bench.translator.put<uint32_t>(p.base() + 4 * i, p.words()[i]);
    ComputeConfig config;
    config.unit = 1;
    auto unit = std::make_unique<ComputeUnit>(config, bench.translator, bench.port, bench.listener, bench.counters,
                                              [] { return 0; }, [] { return false; });
    other_dispatch = bench.dispatch;
    other_dispatch.entry = p.base();
    unit->launch({.dispatch = &other_dispatch, .group_id = {}, .scratch_slots = {9}});
    return unit;
  }

  Bench bench;
  DispatchState other_dispatch;
};

TEST_F(PausedAtomic, TheStoreComesAfterThePauseAndTheWavefrontWaitsForIt) {
  begin();
  for (uint32_t tick = 0; tick + 5 < kPause; ++tick) {  // a few have passed with its instruction
    EXPECT_EQ(bench.run_slice(10), 0u);
    ASSERT_EQ(cell(bench), kBefore) << tick;
  }
  bench.run();
  EXPECT_EQ(cell(bench), kBefore + kIncrement);
  EXPECT_EQ(cell(bench, 1), kBefore);
  EXPECT_EQ(bench.listener.done.size(), 1u);
  ASSERT_EQ(bench.log.system.size(), 2u) << "the host is told of each store once";
  EXPECT_EQ(bench.log.system[0].bytes, 8u);
}

TEST_F(PausedAtomic, WhatACpuWritesInThePauseIsLost) {
  begin();
  bench.translator.put<uint64_t>(kData, 5000);
  bench.run();
  EXPECT_EQ(cell(bench), kBefore + kIncrement);
}

TEST_F(PausedAtomic, LanesAtOneWordShareOneLoadAndOneStore) {
  bench.set_size(32);
  begin();
  EXPECT_EQ(bench.port.atomics().words_under_way(), 1u);
  EXPECT_EQ(bench.run_slice(10), 0u);
  bench.run();
  EXPECT_EQ(cell(bench), kBefore + 32);
}

TEST_F(PausedAtomic, OtherWavefrontsGoOn) {
  begin();
  Program p(kCode + 0x1000);
  p << addi(t0, x0, 9) << sd(t0, a0, 64) << ret();
  const auto other = other_unit(p);
  EXPECT_GT(other->run(100), 0u);
  EXPECT_EQ(cell(bench, 8), 9u);
  EXPECT_EQ(cell(bench), kBefore) << "a store elsewhere completes nothing";
  EXPECT_TRUE(bench.port.atomics().busy());
}

// Runs the instruction (operand in t0 = 1000, address in a0) on another unit in the middle of the atomic; returns what is in memory.
uint64_t after_overlap(PausedAtomic& test, const std::vector<uint32_t>& instructions) {
  test.begin();
  Program p(kCode + 0x1000);
  p << addi(t0, x0, 1000);
  for (const uint32_t word : instructions) p << word;
  p.label("forever");
  p.jump(x0, "forever");
  const auto other = test.other_unit(p);
  other->run(50);
  test.bench.run();
  other->kill(queue_id(7));
  return cell(test.bench);
}

TEST_F(PausedAtomic, AStoreToTheWordComesAfterIt) { EXPECT_EQ(after_overlap(*this, {sd(t0, a0, 0)}), 1000u); }

TEST_F(PausedAtomic, AStoreToOneByteOfTheWordComesAfterIt) {
  EXPECT_EQ(after_overlap(*this, {store(0, t0, a0, 7)}), (kBefore + 1) | uint64_t{1000 & 0xff} << 56);
}

TEST_F(PausedAtomic, AMisalignedStoreThatTouchesTheWordComesAfterIt) {
  EXPECT_EQ(after_overlap(*this, {addi(s1, a0, 4), addi(s1, s1, 3), store(1, x0, s1, 0)}), kBefore + 1);
  EXPECT_FALSE(bench.port.atomics().busy());
}

TEST_F(PausedAtomic, AnotherAtomicSeesItsResult) {
  EXPECT_EQ(after_overlap(*this, {amo(0, doubleword, t1, t0, a0)}), kBefore + 1 + 1000);
}

TEST_F(PausedAtomic, AnAtomicOnHalfOfTheWordSeesItsResult) {
  after_overlap(*this, {amo(0, word, t1, t0, a0), sd(t1, a0, 16)});
  EXPECT_EQ(cell(bench), kBefore + 1 + 1000);
}

TEST_F(PausedAtomic, LrSeesItsResultAndScStoresOnTopOfIt) {
  after_overlap(*this, {lr(doubleword, t1, a0), addi(t1, t1, 7), sc(doubleword, t2, t1, a0)});
  EXPECT_EQ(cell(bench), kBefore + 1 + 7);
}

TEST_F(PausedAtomic, ScFailsIfTheWordIsUnderWayWithAnotherValue) {
  Program p(kCode);
  p << lr(doubleword, t1, a0) << addi(t0, x0, 3);
  for (int i = 0; i < 20; ++i) p << addi(x0, x0, 0);
  p << sc(doubleword, t2, t0, a0) << sd(t2, a0, 8) << ret();
  bench.load(p);
  bench.launch();
  bench.run_slice(5);  // holds the reservation
  Program q(kCode + 0x1000);
  q << addi(t0, x0, 40) << amo(0, doubleword, t1, t0, a0) << ret();
  const auto other = other_unit(q);
  other->run(10);
  ASSERT_TRUE(bench.port.atomics().busy());
  bench.run();
  EXPECT_EQ(cell(bench, 1), 1u);
  EXPECT_EQ(cell(bench), kBefore + 40);
}

TEST_F(PausedAtomic, ScHasThePauseToo) {
  Program p(kCode);
  p << lr(doubleword, t1, a0) << addi(t0, x0, 3) << sc(doubleword, t2, t0, a0) << sd(t2, a0, 8) << ret();
  bench.translator.put<uint64_t>(kData + 8, 77);
  begin(p);
  EXPECT_EQ(cell(bench, 1), 77u);
  bench.translator.put<uint64_t>(kData, 5000);
  bench.run();
  EXPECT_EQ(cell(bench), 3u) << "the CPU's store is lost";
  EXPECT_EQ(cell(bench, 1), 0u);
}

TEST_F(PausedAtomic, AStoreThatWasQueuedBeforeItIsNotLost) {
  ComputeConfig config;
  config.store_queue_depth = 8;
  Bench queued(config);
  queued.port.atomics().configure(exclusive(kPause));
  queued.set_size(1);
  Program p(kCode);
  p << addi(t0, x0, 1) << addi(t1, x0, 50) << sd(t1, a0, 64) << sd(t1, a0, 0) << amo(0, doubleword, t2, t0, a0) << ret();
  queued.run_program(p);
  EXPECT_EQ(cell(queued), 51u);
}

TEST_F(PausedAtomic, AnotherWavefrontsQueuedStoreComesAfterItWhenItIsWritten) {
  begin();
  Program p(kCode + 0x1000);
  p << addi(t0, x0, 1000) << sd(t0, a0, 64) << sd(t0, a0, 0);
  p.label("forever");
  p.jump(x0, "forever");
  bench.config.store_queue_depth = 8;
  p.words();
  ComputeConfig config;
  config.unit = 1;
  config.store_queue_depth = 8;
  for (size_t i = 0; i < p.words().size(); ++i) bench.translator.put<uint32_t>(p.base() + 4 * i, p.words()[i]);
  ComputeUnit other(config, bench.translator, bench.port, bench.listener, bench.counters, [] { return 0; }, [] { return false; });
  DispatchState dispatch = bench.dispatch;
  dispatch.entry = p.base();
  other.launch({.dispatch = &dispatch, .group_id = {}, .scratch_slots = {9}});
  other.run(3);
  ASSERT_EQ(cell(bench), kBefore) << "queued: nothing has happened yet";
  EXPECT_TRUE(bench.port.atomics().busy());
  other.drain_all();
  EXPECT_FALSE(bench.port.atomics().busy());
  EXPECT_EQ(cell(bench), 1000u);
  bench.run();
  EXPECT_EQ(cell(bench), 1000u);
  other.kill(queue_id(7));
}

TEST_F(PausedAtomic, DrainWritesWhatIsInItsRangeOnly) {
  begin();
  AtomicUnit& atomics = bench.port.atomics();
  EXPECT_EQ(atomics.drain(pasid(2), gva(kData), gva(kData + 4096)).stores_written, 0u);
  EXPECT_EQ(atomics.drain(pasid(1), gva(kData + 4096), gva(kData + 8192)).stores_written, 0u);
  EXPECT_EQ(cell(bench), kBefore);
  EXPECT_EQ(atomics.drain(pasid(1), gva(kData), gva(kData + 4096)).stores_written, 1u);
  EXPECT_EQ(cell(bench), kBefore + kIncrement);
  EXPECT_GT(bench.run_slice(10), 0u) << "and the wavefront goes on";
}

TEST_F(PausedAtomic, DrainAllSuspendAndKillWriteResetDoesNot) {
  begin();
  EXPECT_EQ(bench.port.atomics().drain_all().stores_written, 1u);
  EXPECT_EQ(cell(bench), kBefore + kIncrement);
  bench.unit->reset();

  bench.translator.put(kData, kBefore);
  begin();
  auto suspended = bench.unit->suspend(queue_id(7));
  EXPECT_EQ(cell(bench), kBefore + kIncrement);
  bench.unit->resume(std::move(suspended.at(0)));
  bench.run();
  EXPECT_EQ(cell(bench, 1), kBefore) << "and it goes on where it was";

  bench.translator.put(kData, kBefore);
  begin();
  bench.unit->kill(queue_id(7));
  EXPECT_EQ(cell(bench), kBefore + kIncrement);

  bench.translator.put(kData, kBefore);
  begin();
  bench.unit->reset();
  EXPECT_FALSE(bench.port.atomics().busy());
  EXPECT_EQ(cell(bench), kBefore);
}

// Some lanes' pages are missing: the others' words are written meanwhile, and the instruction retires once.
TEST_F(PausedAtomic, LanesThatWaitForTheirPagesDoNotHoldTheOthersBack) {
  bench.set_size(2);
  bench.translator.page(kData + 4096).present = false;
  Program p(kCode);
  p << csrr(s0, TANDEM_CSR_LANE_ID) << slli(s1, s0, 12) << add(s1, s1, a0) << addi(t0, x0, 1) << amo(0, doubleword, t1, t0, s1)
    << ret();
  bench.load(p);
  bench.launch();
  while (!bench.port.atomics().busy()) bench.run_slice(1);
  for (uint32_t tick = 0; tick < kPause; ++tick) bench.run_slice(1);
  EXPECT_EQ(cell(bench), kBefore + 1);
  EXPECT_TRUE(bench.translator.waiting());
  EXPECT_EQ(bench.listener.done.size(), 0u);
  bench.run();
  EXPECT_EQ(bench.translator.get<uint64_t>(kData + 4096), 1u);
  EXPECT_EQ(cell(bench), kBefore + 1);
  EXPECT_EQ(bench.listener.done.size(), 1u);
}

TEST_F(PausedAtomic, ManyWavefrontsOnOneWordLoseNothing) {
  bench.set_size(512);
  Program p(kCode);
  p << addi(t0, x0, 1) << addi(s0, x0, 50);
  p.label("loop");
  p << amo(0, doubleword, x0, t0, a0) << addi(s0, s0, -1);
  p.branch(1, s0, x0, "loop");
  p << ret();
  bench.config.waves = 16;
  bench.make_unit();
  bench.run_program(p);
  EXPECT_EQ(cell(bench), kBefore + 512 * 50);
}

// ---- by which means ----

using Means = AtomicUnit::Means;

Means means(const AtomicConfig& config, tandem_aperture aperture, bool requester = true, uint32_t peers = 0) {
  Bench bench;
  bench.port.atomics().configure(config);
  bench.port.atomics().set_requester(requester);
  bench.port.set_peers(peers);
  return bench.port.atomics().means_for(aperture);
}

TEST(AtomicMeans, PcieIsHostAtomicsWhereTheBusHasThem) {
  const AtomicConfig pcie{.mode = TANDEM_ATOMICS_PCIE, .pause = kPause, .vram_is_shared = false};
  EXPECT_EQ(means(pcie, TANDEM_APERTURE_SYSTEM), Means::Host);
  EXPECT_EQ(means(pcie, TANDEM_APERTURE_VRAM), Means::Host);
  EXPECT_EQ(means(pcie, TANDEM_APERTURE_SYSTEM, false), Means::Paused) << "no requester";
  EXPECT_EQ(means(pcie, TANDEM_APERTURE_VRAM, false), Means::Host);
}

TEST(AtomicMeans, WithoutAtomicOpsSystemMemoryAndPrivateVramAreLoadAndStore) {
  for (const auto mode : {TANDEM_ATOMICS_EXCLUSIVE, TANDEM_ATOMICS_VRAM}) {
    AtomicConfig config{.mode = mode, .pause = kPause, .vram_is_shared = false};
    EXPECT_EQ(means(config, TANDEM_APERTURE_SYSTEM), Means::Paused);
    EXPECT_EQ(means(config, TANDEM_APERTURE_VRAM), Means::Paused);
    EXPECT_EQ(means(config, TANDEM_APERTURE_VRAM, true, 2), Means::Host) << "a peer does atomics there";
    EXPECT_EQ(means(config, TANDEM_APERTURE_PEER, true, 2), Means::Host);
    config.vram_is_shared = true;
    EXPECT_EQ(means(config, TANDEM_APERTURE_VRAM), Means::Host);
    config.pause = 0;
    EXPECT_EQ(means(config, TANDEM_APERTURE_SYSTEM), Means::Plain);
  }
}

}  // namespace
}  // namespace tandem::test
