// SPDX-License-Identifier: GPL-2.0-or-later
// AMOs and LR/SC: results, order of lanes, alignment, reservations, plain atomics without PCIe AtomicOps.
#include <thread>

#include "support/compute_fixture.h"

namespace tandem::test {
namespace {

using namespace rv;

constexpr uint64_t kMin64 = 0x8000000000000000;

struct AmoCase {
  const char* name;
  uint32_t funct5;
  Width width;
  uint64_t memory, operand, result, left;   // before, rs2, rd, after
};

const AmoCase kAmoCases[] = {
    {"swap.d", 0x01, doubleword, 1, 2, 1, 2},
    {"add.d", 0x00, doubleword, ~uint64_t{0}, 2, ~uint64_t{0}, 1},
    {"xor.d", 0x04, doubleword, 0xf0f0, 0xff00, 0xf0f0, 0x0ff0},
    {"and.d", 0x0c, doubleword, 0xf0f0, 0xff00, 0xf0f0, 0xf000},
    {"or.d", 0x08, doubleword, 0xf0f0, 0x0f00, 0xf0f0, 0xfff0},
    {"min.d", 0x10, doubleword, 1, kMin64, 1, kMin64},
    {"max.d", 0x14, doubleword, kMin64, 1, kMin64, 1},
    {"minu.d", 0x18, doubleword, 1, kMin64, 1, 1},
    {"maxu.d", 0x1c, doubleword, kMin64, 1, kMin64, kMin64},
    {"swap.w extends", 0x01, word, 0x1111111180000000, 5, 0xffffffff80000000, 0x1111111100000005},
    {"add.w stays in its word", 0x00, word, 0x22222222ffffffff, 1, ~uint64_t{0}, 0x2222222200000000},
    {"xor.w", 0x04, word, 0x33333333000000f0, 0xffffffff000000ff, 0xf0, 0x333333330000000f},
    {"and.w", 0x0c, word, 0x44444444000000f0, 0xff, 0xf0, 0x44444444000000f0},
    {"or.w", 0x08, word, 0x5555555500000000, 0x80000000, 0, 0x5555555580000000},
    {"min.w signed", 0x10, word, 0x6666666600000001, 0x80000000, 1, 0x6666666680000000},
    {"max.w signed", 0x14, word, 0x7777777780000000, 1, 0xffffffff80000000, 0x7777777700000001},
    {"minu.w", 0x18, word, 0x8888888800000001, 0x80000000, 1, 0x8888888800000001},
    {"maxu.w ignores the high half", 0x1c, word, 0x9999999900000001, 0xff00000000000000, 1, 0x9999999900000001},
};

void check_amo(const AmoCase& c, const AtomicConfig& atomics, bool in_lds, tandem_scope scope = TANDEM_SCOPE_SYSTEM) {
  Bench bench;
  bench.port.atomics().configure(atomics);
  bench.dispatch.lds_bytes = 64;
  bench.set_size(1);
  Program p(kCode);
  p << ld(t0, a0, 0) << ld(t1, a0, 8);
  p << (in_lds ? csrr(s1, TANDEM_CSR_LDS_BASE) : addi(s1, a0, 24)) << sd(t0, s1, 0);
  p << scoped(amo(c.funct5, c.width, t2, t1, s1, aqrl), scope) << sd(t2, a0, 16) << ld(t3, s1, 0) << sd(t3, a0, 32) << ret();
  bench.translator.put(kData, c.memory);
  bench.translator.put(kData + 8, c.operand);
  bench.run_program(p);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData + 16), c.result) << c.name;
  EXPECT_EQ(bench.translator.get<uint64_t>(kData + 32), c.left) << c.name;
}

TEST(ExecuteAtomic, EveryAmoOnSystemMemoryLdsAndByEveryMeans) {
  for (const AmoCase& c : kAmoCases) {
    check_amo(c, {}, false);
    check_amo(c, {}, true);
    check_amo(c, exclusive(), false);
    check_amo(c, exclusive(200), false);
    check_amo(c, exclusive(200), true);
    for (const tandem_scope scope : {TANDEM_SCOPE_DEVICE, TANDEM_SCOPE_WORKGROUP}) {
      check_amo(c, {}, false, scope);
      check_amo(c, exclusive(200), false, scope);
      check_amo(c, {}, true, scope);
    }
  }
}

void check_lane_order(const AtomicConfig& atomics) {
  Bench bench;
  bench.port.atomics().configure(atomics);
  Program p(kCode);
  p << csrr(s0, TANDEM_CSR_LANE_ID) << addi(t0, x0, 1) << amo(0, doubleword, t1, t0, a0) << slli(s1, s0, 3)
    << add(s1, s1, a0) << sd(t1, s1, 8) << ret();
  bench.run_program(p);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData), 32u);
  for (uint64_t lane = 0; lane < 32; ++lane) EXPECT_EQ(bench.translator.get<uint64_t>(kData + 8 + 8 * lane), lane);
  EXPECT_EQ(bench.counters[TANDEM_COUNTER_ATOMICS], 32u);
}

TEST(ExecuteAtomic, LanesAtOneAddressActInLaneOrder) {
  check_lane_order({});
  check_lane_order(exclusive());
  check_lane_order(exclusive(200));
}

void check_partial_faults(const AtomicConfig& atomics) {
  Bench bench;
  bench.port.atomics().configure(atomics);
  Program p(kCode);
  p << csrr(s0, TANDEM_CSR_LANE_ID) << slli(s1, s0, 12) << add(s1, s1, a0) << addi(t0, s0, 1) << amo(0, doubleword, s1, t0, s1);
  p << slli(t1, s0, 3) << lui(t2, 48) << add(t1, t1, t2) << add(t1, t1, a0) << sd(s1, t1, 0) << ret();
  bench.translator.map(kData, 64 << 12);
  for (uint64_t lane = 0; lane < 32; ++lane) {
    bench.translator.put<uint64_t>(kData + (lane << 12), 100 + lane);
    bench.translator.page(kData + (lane << 12)).present = lane % 2 == 0;
  }
  bench.run_program(p);
  for (uint64_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(bench.translator.get<uint64_t>(kData + (lane << 12)), 101 + 2 * lane);
    EXPECT_EQ(bench.translator.get<uint64_t>(kData + 0x30000 + 8 * lane), 100 + lane);
  }
}

TEST(ExecuteAtomic, ResultRegisterMayBeTheAddressOrTheOperandUnderPartialFaults) {
  check_partial_faults({});
  check_partial_faults(exclusive(200));
}

TEST(ExecuteAtomic, MisalignedAtomicsAreQueueErrors) {
  for (const uint32_t instruction : {amo(0, doubleword, t1, t0, s1), amo(1, word, t1, t0, s1), lr(word, t1, s1),
                                     sc(doubleword, t1, t0, s1), lr(doubleword, t1, s1)}) {
    Bench bench;
    Program p(kCode);
    p << addi(s1, a0, 2) << instruction << ret();
    bench.run_program(p);
    ASSERT_EQ(bench.listener.errors.size(), 1u);
    EXPECT_EQ(bench.listener.errors[0].error, TANDEM_QUEUE_MISALIGNED_ATOMIC);
    EXPECT_EQ(bench.listener.errors[0].va, kData + 2);
    EXPECT_EQ(bench.listener.errors[0].pc, kCode + 4);
  }
}

TEST(ExecuteAtomic, AtomicsAskForTheRightToDoThem) {
  Bench bench;
  Program p(kCode);
  p << amo(0, doubleword, t1, t0, a0) << ret();
  bench.translator.page(kData).atomic = false;
  bench.load(p);
  bench.launch();
  bench.run(false);
  ASSERT_EQ(bench.translator.wanted.size(), 1u);
  EXPECT_EQ(bench.translator.wanted.begin()->access, Access::Atomic);
}

// lr; add; sc; retry: all lanes at one address.
TEST(ExecuteAtomic, LrScLoopOfAllLanesOnOneAddressMakesProgress) {
  for (const auto& [width, pause] : {std::pair{word, 0u}, {doubleword, 0u}, {word, 200u}, {doubleword, 200u}}) {
    Bench bench;
    if (pause) bench.port.atomics().configure(exclusive(pause));
    Program p(kCode);
    p.label("again");
    p << lr(width, t0, a0, aq) << addi(t0, t0, 1) << sc(width, t1, t0, a0, rl);
    p.branch(1, t1, x0, "again");
    p << ret();
    bench.run_program(p);
    EXPECT_EQ(bench.translator.get<uint64_t>(kData), 32u);
    EXPECT_EQ(bench.listener.done.size(), 1u);
  }
}

// One lane: lr at s1, `between`, sc at s2; returns what sc gave.
uint64_t sc_result(const std::vector<uint32_t>& between, Width lr_width = doubleword, Width sc_width = doubleword,
                   int sc_offset = 0) {
  Bench bench;
  bench.set_size(1);
  Program p(kCode);
  p << addi(s1, a0, 64) << addi(s2, a0, 64 + sc_offset) << addi(t0, x0, 9) << lr(lr_width, t1, s1);
  for (const uint32_t word : between) p << word;
  p << sc(sc_width, t2, t0, s2) << sd(t2, a0, 0) << ret();
  bench.translator.put<uint64_t>(kData + 64, 7);
  bench.run_program(p);
  const uint64_t result = bench.translator.get<uint64_t>(kData);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData + 64) == 9, result == 0);
  return result;
}

TEST(ExecuteAtomic, ReservationRules) {
  EXPECT_EQ(sc_result({}), 0u);
  EXPECT_EQ(sc_result({sc(doubleword, t3, t1, s1)}), 1u) << "an SC uses the reservation up, even one that succeeded";
  EXPECT_EQ(sc_result({}, doubleword, doubleword, 8), 1u) << "another address";
  EXPECT_EQ(sc_result({}, doubleword, word), 1u) << "another width";
  EXPECT_EQ(sc_result({lr(doubleword, t3, a0)}), 1u) << "a later LR replaces it";
  EXPECT_EQ(sc_result({sd(t1, s1, 0)}), 1u) << "a store of the same value in between";
}

TEST(ExecuteAtomic, ScWithoutReservationFailsWithoutTouchingMemory) {
  Bench bench;
  bench.set_size(1);
  Program p(kCode);
  p << lui(s1, 0x900) << sc(doubleword, t2, t0, s1) << sd(t2, a0, 0) << ret();   // 0x900000 is not mapped
  bench.load(p);
  bench.launch();
  bench.run(false);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData), 1u);
  EXPECT_TRUE(bench.translator.wanted.empty());
}

TEST(ExecuteAtomic, ADrainOfTheRangeBreaksTheReservation) {
  Bench bench;
  bench.set_size(1);
  Program p(kCode);
  p << addi(t0, x0, 9) << lr(doubleword, t1, a0);
  for (int i = 0; i < 128; ++i) p << addi(x0, x0, 0);
  p << sc(doubleword, t2, t0, a0) << sd(t2, a0, 8) << ret();
  bench.load(p);
  bench.launch();
  bench.unit->run(64);
  bench.unit->drain(pasid(1), gva(kData), gva(kData + 4096));
  bench.run();
  EXPECT_EQ(bench.translator.get<uint64_t>(kData), 0u);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData + 8), 1u);
}

// Host threads stand for vCPUs. Returns how many increments, theirs or the lanes', got lost.
uint64_t lost_increments(const AtomicConfig& atomics) {
  ComputeConfig config;
  config.waves = 8;
  Bench bench(config);
  bench.port.atomics().configure(atomics);
  bench.set_size(256);
  Program p(kCode);
  p << addi(t0, x0, 1) << addi(s0, x0, 200);
  p.label("loop");
  p << amo(0, doubleword, x0, t0, a0) << addi(s0, s0, -1);
  p.branch(1, s0, x0, "loop");
  p << ret();
  bench.load(p);
  bench.launch();
  auto* cell = reinterpret_cast<uint64_t*>(bench.translator.at(kData));
  constexpr uint64_t kHost = 40000;
  std::thread cpu([&] {
    for (uint64_t i = 0; i < kHost; ++i) __atomic_fetch_add(cell, 1, __ATOMIC_SEQ_CST);
  });
  bench.run();
  cpu.join();
  return kHost + 256 * 200 - *cell;
}

TEST(ExecuteAtomic, NothingIsLostBetweenLanesAndCpus) { EXPECT_EQ(lost_increments({}), 0u); }

// What shows that a driver without exclusive access is wrong. Chance has a part in it: a few tries.
TEST(ExecuteAtomic, WithoutPcieAtomicsUpdatesGetLost) {
  uint64_t lost = 0;
  for (int tries = 0; tries < 100 && lost == 0; ++tries) lost = lost_increments(exclusive(50));
  EXPECT_NE(lost, 0u);
}

}  // namespace
}  // namespace tandem::test
