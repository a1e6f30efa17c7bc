// SPDX-License-Identifier: GPL-2.0-or-later
// Control flow of lanes: divergence and reconvergence, fairness, barriers, ballot and shuffle, CSRs, traps.
#include "support/compute_fixture.h"

namespace tandem::test {
namespace {

using namespace rv;

uint64_t cell(Bench& bench, uint64_t index) { return bench.translator.get<uint64_t>(kData + 8 * index); }

// s0 = lane id, s1 = address of the lane's own cell
void prologue(Program& p) { p << csrr(s0, TANDEM_CSR_LANE_ID) << slli(s1, s0, 3) << add(s1, s1, a0); }

TEST(Divergence, IfElseMeetsAgain) {
  Bench bench;
  Program p(kCode);
  prologue(p);
  p << andi(t0, s0, 1);
  p.branch(0, t0, x0, "even");
  p << addi(t1, x0, 100);
  p.jump(x0, "join");
  p.label("even");
  p << addi(t1, x0, 200);
  p.label("join");
  p << csrr(t2, TANDEM_CSR_ACTIVE_LANES) << slli(t2, t2, 16) << add(t1, t1, t2) << sd(t1, s1, 0) << ret();
  bench.run_program(p);
  for (uint64_t lane = 0; lane < 32; ++lane)
    EXPECT_EQ(cell(bench, lane), (uint64_t{0xffffffff} << 16) + (lane % 2 ? 100 : 200)) << "all lanes are active again";
}

TEST(Divergence, LoopsOfDifferentLength) {
  Bench bench;
  Program p(kCode);
  prologue(p);
  p << addi(t0, s0, 0) << addi(t1, x0, 0);
  p.label("loop");
  p.branch(0, t0, x0, "out");
  p << add(t1, t1, t0) << addi(t0, t0, -1);
  p.jump(x0, "loop");
  p.label("out");
  p << csrr(t2, TANDEM_CSR_ACTIVE_LANES) << sd(t1, s1, 0) << sd(t2, s1, 256) << ret();
  bench.run_program(p);
  for (uint64_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(cell(bench, lane), lane * (lane + 1) / 2);
    EXPECT_EQ(cell(bench, 32 + lane), 0xffffffffu);
  }
}

TEST(Divergence, IndirectCallsToDifferentFunctions) {
  Bench bench;
  Program p(kCode);
  prologue(p);
  p << addi(s2, ra, 0) << andi(t0, s0, 3) << slli(t0, t0, 3) << auipc(t1, 0) << add(t1, t1, t0) << jalr(ra, t1, 28);
  p << sd(t2, s1, 0) << addi(ra, s2, 0) << ret();
  p << addi(x0, x0, 0);
  // auipc is at base + 24; functions of two instructions each start 28 bytes behind it
  for (int f = 0; f < 4; ++f) p << addi(t2, x0, 1000 + f) << ret();
  // The table starts right behind: check the arithmetic of this test itself.
  ASSERT_EQ(p.here() - 32, kCode + 6 * 4 + 28);
  bench.run_program(p);
  for (uint64_t lane = 0; lane < 32; ++lane) EXPECT_EQ(cell(bench, lane), 1000 + lane % 4);
}

TEST(Divergence, RecursionOfDifferentDepthOnTheLanesOwnStacks) {
  Bench bench;
  Program p(kCode);
  prologue(p);
  p << addi(s2, ra, 0) << andi(a1, s0, 15);
  p.jump(ra, "fib_sum");
  p << sd(a2, s1, 0) << addi(ra, s2, 0) << ret();
  p.label("fib_sum");   // a2 = a1 + (a1 - 1) + ... recursively
  p.branch(1, a1, x0, "deeper");
  p << addi(a2, x0, 0) << ret();
  p.label("deeper");
  p << addi(sp, sp, -16) << sd(ra, sp, 8) << sd(a1, sp, 0) << addi(a1, a1, -1);
  p.jump(ra, "fib_sum");
  p << ld(t0, sp, 0) << add(a2, a2, t0) << ld(ra, sp, 8) << addi(sp, sp, 16) << ret();
  bench.run_program(p);
  for (uint64_t lane = 0; lane < 32; ++lane) EXPECT_EQ(cell(bench, lane), (lane % 16) * (lane % 16 + 1) / 2);
}

// A spin lock among the lanes of one wavefront, in the form that deadlocks on lockstep machines without fairness: the winner
// has to leave the loop to release the lock.
void spin_lock_program(Program& p, bool with_pause) {
  p << addi(t0, x0, 1);
  p.label("acquire");
  if (with_pause) p << pause();
  p << amo(1, word, t1, t0, a0, aq);
  p.branch(1, t1, x0, "acquire");
  p << ld(t2, a0, 8) << addi(t2, t2, 1) << sd(t2, a0, 8);
  p << amo(1, word, x0, x0, a0, rl) << ret();
}

TEST(Fairness, SpinLockBetweenLanesOfOneWavefront) {
  for (const bool with_pause : {false, true}) {
    Bench bench;
    Program p(kCode);
    spin_lock_program(p, with_pause);
    bench.run_program(p);
    EXPECT_EQ(bench.listener.done.size(), 1u);
    EXPECT_EQ(cell(bench, 1), 32u);
  }
}

// The spinning lanes use no atomic: they read a flag that a lane further down sets.
TEST(Fairness, SpinOnAPlainLoad) {
  Bench bench;
  Program p(kCode);
  prologue(p);
  p.branch(0, s0, x0, "setter");
  p.label("spin");
  p << ld(t0, a0, 1024);
  p.branch(0, t0, x0, "spin");
  p << ret();
  p.label("setter");
  p << addi(t1, x0, 300);
  p.label("work");
  p << addi(t1, t1, -1);
  p.branch(1, t1, x0, "work");
  p << addi(t0, x0, 1) << sd(t0, a0, 1024) << ret();
  bench.run_program(p);
  EXPECT_EQ(bench.listener.done.size(), 1u);
}

// The same where loads are late: waiting for one costs patience, too, or the setter would have its turn after thousands of loads.
TEST(Fairness, SpinOnALateLoad) {
  ComputeConfig config;
  config.load_reorder = true;
  for (config.seed = 1; config.seed <= 10; ++config.seed) {
    Bench bench(config);
    Program p(kCode);
    prologue(p);
    p.branch(0, s0, x0, "setter");
    p.label("spin");
    p << ld(t0, a0, 1024);
    p.branch(0, t0, x0, "spin");
    p << ret();
    p.label("setter");
    p << addi(t0, x0, 1) << sd(t0, a0, 1024) << ret();
    bench.load(p);
    bench.launch();
    uint64_t ticks = 0;
    while (!bench.unit->idle() && ticks < 20'000) ticks += bench.unit->run(1);
    EXPECT_TRUE(bench.unit->idle()) << config.seed;
  }
}

// The waiting lanes are ahead, the lane that they wait for comes later by program counter and loops backwards.
TEST(Fairness, TwoLanesPassATokenBackAndForth) {
  Bench bench;
  bench.set_size(2);
  Program p(kCode);
  prologue(p);
  p << addi(t3, x0, 50);
  p.label("wait");
  p << ld(t0, a0, 1024) << andi(t1, t0, 1);
  p.branch(1, t1, s0, "wait");
  p << addi(t0, t0, 1) << sd(t0, a0, 1024) << addi(t3, t3, -1);
  p.branch(1, t3, x0, "wait");
  p << ret();
  bench.run_program(p);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData + 1024), 100u);
}

TEST(Barrier, OrdersLdsBetweenWavefronts) {
  Bench bench;
  bench.set_size(128);
  bench.dispatch.lds_bytes = 1024;
  Program p(kCode);
  // lds[id] = id; barrier; out[id] = lds[127 - id]
  p << csrr(s0, TANDEM_CSR_LOCAL_ID_X) << csrr(s2, TANDEM_CSR_LDS_BASE) << slli(t0, s0, 3) << add(t1, t0, s2)
    << sd(s0, t1, 0) << barrier() << addi(t2, x0, 127) << sub(t2, t2, s0) << slli(t2, t2, 3) << add(t2, t2, s2) << ld(t3, t2, 0)
    << add(t0, t0, a0) << sd(t3, t0, 0) << ret();
  bench.run_program(p);
  ASSERT_EQ(bench.listener.done.size(), 1u);
  for (uint64_t i = 0; i < 128; ++i) EXPECT_EQ(cell(bench, i), 127 - i);
}

// Lanes reach the barrier on different ways and some end before it; the rest must still meet.
TEST(Barrier, CompletesUnderDivergenceAndWithoutLanesThatEnded) {
  Bench bench;
  bench.set_size(64);
  Program p(kCode);
  p << csrr(s0, TANDEM_CSR_LOCAL_ID_X) << slli(s1, s0, 3) << add(s1, s1, a0) << andi(t0, s0, 3) << addi(t1, x0, 3);
  p.branch(0, t0, t1, "end");
  p << andi(t0, s0, 1);
  p.branch(0, t0, x0, "even");
  p << addi(t3, x0, 1) << amo(0, doubleword, x0, t3, a1) << barrier();
  p.jump(x0, "after");
  p.label("even");
  p << addi(t3, x0, 1) << amo(0, doubleword, x0, t3, a1) << barrier();
  p.label("after");
  p << ld(t4, a1, 0) << sd(t4, s1, 0);
  p.label("end");
  p << exit_lane();
  Program start(kCode - 4096);
  start << addi(a1, a0, 2000) << lui(t0, kCode >> 12) << jalr(x0, t0, 0);
  bench.load(start);
  bench.dispatch.entry = kCode - 4096;
  bench.run_program(p);
  ASSERT_EQ(bench.listener.done.size(), 1u);
  for (uint64_t i = 0; i < 64; ++i) EXPECT_EQ(cell(bench, i), i % 4 == 3 ? 0 : 48) << i;
}

TEST(Barrier, ManyTimesInALoop) {
  Bench bench;
  bench.set_size(96);
  bench.dispatch.lds_bytes = 8;
  Program p(kCode);
  p << csrr(s0, TANDEM_CSR_LOCAL_ID_X) << csrr(s2, TANDEM_CSR_LDS_BASE) << addi(s3, x0, 40) << addi(s4, x0, 0) << addi(t1, x0, 1);
  p.label("loop");
  p << amo(0, doubleword, x0, t1, s2) << barrier() << ld(t0, s2, 0) << add(s4, s4, t0) << barrier() << addi(s3, s3, -1);
  p.branch(1, s3, x0, "loop");
  p << slli(t0, s0, 3) << add(t0, t0, a0) << sd(s4, t0, 0) << ret();
  bench.run_program(p);
  for (uint64_t i = 0; i < 96; ++i) EXPECT_EQ(cell(bench, i), 96u * 40 * 41 / 2);
}

TEST(LaneInstructions, BallotCountsOnlyActiveLanes) {
  Bench bench;
  Program p(kCode);
  prologue(p);
  p << andi(t0, s0, 4);
  p.branch(0, t0, x0, "skip");
  p << andi(t1, s0, 1) << ballot(t2, t1) << sd(t2, s1, 0);
  p.label("skip");
  p << ballot(t3, s0) << sd(t3, s1, 256) << ret();
  bench.run_program(p);
  EXPECT_EQ(cell(bench, 4), 0xa0a0a0a0u);
  EXPECT_EQ(cell(bench, 0), 0u);
  EXPECT_EQ(cell(bench, 32), 0xfffffffeu);
}

TEST(LaneInstructions, ShuffleTakesFromActiveLanesAndZeroElsewhere) {
  Bench bench;
  Program p(kCode);
  prologue(p);
  p << addi(t1, s0, 500) << addi(t2, s0, 1) << shuffle(t3, t1, t2) << sd(t3, s1, 0);
  p << andi(t0, s0, 1);
  p.branch(0, t0, x0, "skip");
  p << shuffle(t1, t1, t2) << sd(t1, s1, 256);   // from an even lane, which is away
  p.label("skip");
  p << ret();
  bench.run_program(p);
  for (uint64_t lane = 0; lane < 32; ++lane) EXPECT_EQ(cell(bench, lane), 500 + (lane + 1) % 32);
  EXPECT_EQ(cell(bench, 33), 0u);
}

TEST(Csr, LanesKnowWhoTheyAreIn3D) {
  Bench bench;
  bench.dispatch.workgroup_size = {4, 3, 5};
  bench.dispatch.grid_size = {10, 6, 7};   // partial in x and z
  bench.dispatch.packet = 77;
  bench.dispatch.lds_bytes = 128;
  Program p(kCode);
  // cell index: ((z * 6 + y) * 10 + x) * 4 words: local x | y << 8 | z << 16 | group x << 24 ..., lane, wave, constants
  p << csrr(s0, TANDEM_CSR_GLOBAL_ID_X) << csrr(s1, TANDEM_CSR_GLOBAL_ID_Y) << csrr(s2, TANDEM_CSR_GLOBAL_ID_Z)
    << addi(t0, x0, 6) << mul(t1, s2, t0) << add(t1, t1, s1) << addi(t0, x0, 10) << mul(t1, t1, t0) << add(t1, t1, s0)
    << slli(t1, t1, 5) << add(t1, t1, a0);
  p << csrr(t2, TANDEM_CSR_LOCAL_ID_X) << csrr(t3, TANDEM_CSR_LOCAL_ID_Y) << slli(t3, t3, 8) << add(t2, t2, t3)
    << csrr(t3, TANDEM_CSR_LOCAL_ID_Z) << slli(t3, t3, 16) << add(t2, t2, t3) << csrr(t3, TANDEM_CSR_GROUP_ID_X) << slli(t3, t3, 24)
    << add(t2, t2, t3) << sd(t2, t1, 0);
  p << csrr(t2, TANDEM_CSR_LANE_ID) << csrr(t3, TANDEM_CSR_WAVE_ID) << slli(t3, t3, 8) << add(t2, t2, t3) << sd(t2, t1, 8);
  p << csrr(t2, TANDEM_CSR_DISPATCH_ID) << sd(t2, t1, 16) << csrr(t2, TANDEM_CSR_GRID_SIZE_Z) << csrr(t3, TANDEM_CSR_GROUP_SIZE_Y)
    << slli(t3, t3, 8) << add(t2, t2, t3) << csrr(t3, TANDEM_CSR_LDS_BYTES) << slli(t3, t3, 16) << add(t2, t2, t3) << sd(t2, t1, 24) << ret();
  bench.load(p);
  for (uint32_t gz = 0; gz < 2; ++gz)
    for (uint32_t gy = 0; gy < 2; ++gy)
      for (uint32_t gx = 0; gx < 3; ++gx) {
        bench.launch({gx, gy, gz});
        bench.run();
      }
  EXPECT_EQ(bench.listener.done.size(), 12u);
  EXPECT_EQ(bench.counters[TANDEM_COUNTER_LANES], 10u * 6 * 7);
  for (uint32_t z = 0; z < 7; ++z)
    for (uint32_t y = 0; y < 6; ++y)
      for (uint32_t x = 0; x < 10; ++x) {
        const uint64_t at = ((z * 6 + y) * 10 + x) * 4;
        EXPECT_EQ(cell(bench, at), x % 4 + (y % 3 << 8) + (z % 5 << 16) + (x / 4 << 24));
        const uint32_t width = x / 4 == 2 ? 2 : 4, linear = (z % 5 * 3 + y % 3) * width + x % 4;
        EXPECT_EQ(cell(bench, at + 1), linear % 32 + (linear / 32 << 8)) << x << " " << y << " " << z;
        EXPECT_EQ(cell(bench, at + 2), 77u);
        EXPECT_EQ(cell(bench, at + 3), 7u + (3 << 8) + (128 << 16));
      }
}

TEST(Csr, FloatFlagsAndRoundingModeShareFcsr) {
  Bench bench;
  bench.set_size(1);
  Program p(kCode);
  p << addi(t0, x0, 0x1ff) << csrrw(t1, 3, t0) << sd(t1, a0, 0) << csrr(t1, 3) << sd(t1, a0, 8) << csrr(t1, 1) << sd(t1, a0, 16)
    << csrr(t1, 2) << sd(t1, a0, 24) << csrrci(t1, 1, 0x11) << csrrwi(t1, 2, 1) << csrr(t1, 3) << sd(t1, a0, 32)
    << csrrsi(t1, 1, 1) << csrr(t1, 3) << sd(t1, a0, 40) << ret();
  bench.run_program(p);
  const uint64_t expected[] = {0, 0xff, 0x1f, 7, 0x2e, 0x2f};
  for (uint64_t i = 0; i < 6; ++i) EXPECT_EQ(cell(bench, i), expected[i]) << i;
}

TEST(Csr, InstretCountsTheLanesOwnInstructions) {
  Bench bench;
  Program p(kCode);
  prologue(p);                                             // 3
  p.branch(0, s0, x0, "skip");                             // 4
  for (int i = 0; i < 10; ++i) p << addi(x0, x0, 0);       // lanes 1..31: 14
  p.label("skip");
  p << csrr(t0, 0xc02) << csrr(t1, 0xc00) << csrr(t2, 0xc01) << sd(t0, s1, 0) << sd(t1, s1, 256) << sd(t2, s1, 512) << ret();
  bench.run_program(p);
  EXPECT_EQ(cell(bench, 0), 4u);
  EXPECT_EQ(cell(bench, 1), 14u);
  EXPECT_EQ(cell(bench, 32), 15u);   // cycle: of the wavefront
  EXPECT_GT(cell(bench, 64), 0u);    // time: the host's clock
}

void expect_error(const std::vector<uint32_t>& words, QueueError error, uint64_t pc_offset) {
  Bench bench;
  Program p(kCode);
  for (const uint32_t word : words) p << word;
  p << ret();
  bench.run_program(p);
  ASSERT_EQ(bench.listener.errors.size(), 1u) << std::hex << words.back();
  EXPECT_EQ(bench.listener.errors[0].error, error);
  EXPECT_EQ(bench.listener.errors[0].pc, kCode + pc_offset);
  EXPECT_TRUE(bench.listener.done.empty());
}

TEST(Csr, WritesToReadOnlyAndUnknownRegistersAreIllegal) {
  expect_error({csrrw(x0, TANDEM_CSR_LANE_ID, t0)}, TANDEM_QUEUE_ILLEGAL_INSTRUCTION, 0);
  expect_error({csrrs(x0, 0xc00, t0)}, TANDEM_QUEUE_ILLEGAL_INSTRUCTION, 0);
  expect_error({csrrsi(x0, 0xc00, 1)}, TANDEM_QUEUE_ILLEGAL_INSTRUCTION, 0);
  expect_error({csrr(t0, 0x300)}, TANDEM_QUEUE_ILLEGAL_INSTRUCTION, 0);
  expect_error({csrr(t0, 0xcd7)}, TANDEM_QUEUE_ILLEGAL_INSTRUCTION, 0);
  expect_error({csrrwi(t0, 0x000, 1)}, TANDEM_QUEUE_ILLEGAL_INSTRUCTION, 0);
}

TEST(Traps, EcallEbreakAndIllegalWordsNameTheirPlace) {
  expect_error({addi(t0, x0, 1), ecall()}, TANDEM_QUEUE_ECALL, 4);
  expect_error({ebreak()}, TANDEM_QUEUE_BREAKPOINT, 0);
  expect_error({0x00000000}, TANDEM_QUEUE_ILLEGAL_INSTRUCTION, 0);
  expect_error({0xffffffff}, TANDEM_QUEUE_ILLEGAL_INSTRUCTION, 0);
}

TEST(Traps, JumpsToMisalignedOrForeignAddressesAreReported) {
  expect_error({addi(t0, a0, 2), jalr(x0, t0, 0)}, TANDEM_QUEUE_ADDRESS_RANGE, 4);
  Bench bench;
  Program p(kCode);
  p << addi(t0, x0, -64) << jalr(x0, t0, 0);
  bench.run_program(p);
  ASSERT_EQ(bench.listener.errors.size(), 1u);
  EXPECT_EQ(bench.listener.errors[0].error, TANDEM_QUEUE_ADDRESS_RANGE);
  EXPECT_EQ(bench.listener.errors[0].va, ~uint64_t{63});
  EXPECT_EQ(bench.listener.errors[0].detail, static_cast<uint32_t>(TANDEM_ACCESS_EXECUTE));
}

TEST(LaneStart, RegistersAreAsTheAbiSays) {
  Bench bench;
  bench.dispatch.global_pointer = 0x123450;
  bench.set_size(64);
  Program p(kCode);
  p << csrr(s0, TANDEM_CSR_LOCAL_ID_X) << slli(s1, s0, 5) << add(s1, s1, a0) << sd(sp, s1, 0) << sd(gp, s1, 8) << sd(ra, s1, 16)
    << add(t1, t1, t0) << add(t1, t1, a1) << add(t1, t1, s5) << add(t1, t1, t6) << sd(t1, s1, 24) << ret();
  bench.run_program(p);
  for (uint64_t i = 0; i < 64; ++i) {
    EXPECT_EQ(cell(bench, 4 * i), kScratch + (i + 1) * kScratchLane);
    EXPECT_EQ(cell(bench, 4 * i + 1), 0x123450u);
    EXPECT_EQ(cell(bench, 4 * i + 2), TANDEM_LANE_EXIT_PC);
    EXPECT_EQ(cell(bench, 4 * i + 3), 0u);
  }
}

}  // namespace
}  // namespace tandem::test
