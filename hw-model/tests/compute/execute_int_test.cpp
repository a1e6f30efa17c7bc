// SPDX-License-Identifier: GPL-2.0-or-later
// Integer instructions of RV64IM against values worked out by hand from the specification.
#include "support/compute_fixture.h"

namespace tandem::test {
namespace {

using namespace rv;

constexpr uint64_t kMin64 = 0x8000000000000000, kMax64 = 0x7fffffffffffffff, kOnes = ~uint64_t{0};

struct Case {
  const char* name;
  uint32_t instruction;
  uint64_t a, b, expected;
};

void expect_all(const std::vector<Case>& cases) {
  for (const uint8_t level : host_levels()) {
    for (const Case& c : cases) {
      const auto results = run_lanes(c.instruction, {{c.a, c.b, 0}}, 0, level);
      for (const LaneResult& r : results) ASSERT_EQ(r.x, c.expected) << c.name << " level " << int{level} << std::hex << " a " << c.a << " b " << c.b;
      const auto some = run_lanes(c.instruction, {{c.a, c.b, 0}}, 0, level, true);
      for (size_t lane = 0; lane < 32; ++lane)
        ASSERT_EQ(some[lane].x, lane % 2 ? kUntouched : c.expected) << c.name << " masked, lane " << lane;
    }
  }
}

uint32_t o(uint32_t f3, uint32_t f7) { return op(f3, f7, kResult, kArgA, kArgB); }
uint32_t w(uint32_t f3, uint32_t f7) { return op32(f3, f7, kResult, kArgA, kArgB); }

TEST(ExecuteInt, RegisterRegister) {
  expect_all({
      {"add wraps", o(0, 0), kOnes, 2, 1},
      {"add", o(0, 0), 0x123456789abcdef0, 0x1111111111111111, 0x23456789abcdf001},
      {"sub", o(0, 0x20), 1, 2, kOnes},
      {"sll", o(1, 0), 1, 63, kMin64},
      {"sll takes six bits", o(1, 0), 3, 65, 6},
      {"slt signed", o(2, 0), kOnes, 0, 1},
      {"slt min", o(2, 0), kMax64, kMin64, 0},
      {"sltu", o(3, 0), kOnes, 0, 0},
      {"sltu less", o(3, 0), 0, 1, 1},
      {"xor", o(4, 0), 0xff00ff00ff00ff00, 0x0ff00ff00ff00ff0, 0xf0f0f0f0f0f0f0f0},
      {"srl", o(5, 0), kMin64, 63, 1},
      {"sra", o(5, 0x20), kMin64, 63, kOnes},
      {"sra takes six bits", o(5, 0x20), kMin64, 64, kMin64},
      {"or", o(6, 0), 0xf0, 0x0f, 0xff},
      {"and", o(7, 0), 0xf0f, 0x0ff, 0x00f},
  });
}

TEST(ExecuteInt, Words) {
  expect_all({
      {"addw overflows to negative", w(0, 0), 0x7fffffff, 1, 0xffffffff80000000},
      {"addw ignores high halves", w(0, 0), 0xdead00000001, 0xbeef00000002, 3},
      {"subw", w(0, 0x20), 0, 1, kOnes},
      {"sllw", w(1, 0), 1, 31, 0xffffffff80000000},
      {"sllw takes five bits", w(1, 0), 1, 33, 2},
      {"srlw drops the high half", w(5, 0), 0xffffffff80000000, 4, 0x08000000},
      {"srlw by 0 extends the sign", w(5, 0), 0x80000000, 0, 0xffffffff80000000},
      {"sraw", w(5, 0x20), 0x80000000, 4, 0xfffffffff8000000},
      {"sraw uses bit 31", w(5, 0x20), 0xffffffff7fffffff, 4, 0x07ffffff},
      {"sraw takes five bits", w(5, 0x20), 0x80000000, 32, 0xffffffff80000000},
  });
}

TEST(ExecuteInt, Immediates) {
  expect_all({
      {"addi", addi(kResult, kArgA, -2048), 1, 0, 0xfffffffffffff801},
      {"slti", slti(kResult, kArgA, -1), kMin64, 0, 1},
      {"sltiu compares with the extended immediate", sltiu(kResult, kArgA, -1), kMax64, 0, 1},
      {"sltiu 1 is seqz", sltiu(kResult, kArgA, 1), 0, 0, 1},
      {"xori -1 is not", xori(kResult, kArgA, -1), 0x0f, 0, 0xfffffffffffffff0},
      {"ori", ori(kResult, kArgA, 0x7ff), 0x800, 0, 0xfff},
      {"andi", andi(kResult, kArgA, -16), 0xff, 0, 0xf0},
      {"slli 63", slli(kResult, kArgA, 63), 3, 0, kMin64},
      {"srli 63", srli(kResult, kArgA, 63), kOnes, 0, 1},
      {"srai 63", srai(kResult, kArgA, 63), kMin64, 0, kOnes},
      {"addiw", addiw(kResult, kArgA, 1), 0x7fffffff, 0, 0xffffffff80000000},
      {"sext.w", addiw(kResult, kArgA, 0), 0x1234567880000000, 0, 0xffffffff80000000},
      {"slliw 31", slliw(kResult, kArgA, 31), 1, 0, 0xffffffff80000000},
      {"srliw 31", srliw(kResult, kArgA, 31), 0xffffffff80000000, 0, 1},
      {"sraiw 31", sraiw(kResult, kArgA, 31), 0x80000000, 0, kOnes},
      {"lui extends the sign", lui(kResult, 0x80000), 0, 0, 0xffffffff80000000},
      {"lui", lui(kResult, 0x12345), 0, 0, 0x12345000},
  });
}

TEST(ExecuteInt, Multiply) {
  expect_all({
      {"mul", o(0, 1), 0x123456789, 0x987654321, 0xd77d742cce1833a9},
      {"mul low half", o(0, 1), kMin64, 2, 0},
      {"mulh min min", o(1, 1), kMin64, kMin64, 0x4000000000000000},
      {"mulh -1 -1", o(1, 1), kOnes, kOnes, 0},
      {"mulh -1 1", o(1, 1), kOnes, 1, kOnes},
      {"mulhsu -1 max", o(2, 1), kOnes, kOnes, kOnes},
      {"mulhsu 1 max", o(2, 1), 1, kOnes, 0},
      {"mulhsu min max", o(2, 1), kMin64, kOnes, kMin64},
      {"mulhu max max", o(3, 1), kOnes, kOnes, 0xfffffffffffffffe},
      {"mulhu min min", o(3, 1), kMin64, kMin64, 0x4000000000000000},
      {"mulw", w(0, 1), 0x7fffffff, 2, 0xfffffffffffffffe},
      {"mulw ignores high halves", w(0, 1), 0xffffffff00000003, 0xffffffff00000004, 12},
  });
}

TEST(ExecuteInt, DivisionCorners) {
  expect_all({
      {"div by zero", o(4, 1), 5, 0, kOnes},
      {"div overflow", o(4, 1), kMin64, kOnes, kMin64},
      {"div truncates", o(4, 1), static_cast<uint64_t>(-7), 2, static_cast<uint64_t>(-3)},
      {"div by -1", o(4, 1), 7, kOnes, static_cast<uint64_t>(-7)},
      {"divu by zero", o(5, 1), 5, 0, kOnes},
      {"divu", o(5, 1), kOnes, 2, kMax64},
      {"rem by zero", o(6, 1), static_cast<uint64_t>(-5), 0, static_cast<uint64_t>(-5)},
      {"rem overflow", o(6, 1), kMin64, kOnes, 0},
      {"rem takes the dividend's sign", o(6, 1), static_cast<uint64_t>(-7), 2, kOnes},
      {"remu by zero", o(7, 1), 5, 0, 5},
      {"remu", o(7, 1), kOnes, 10, 5},
      {"divw by zero", w(4, 1), 0x80000000, 0, kOnes},
      {"divw overflow", w(4, 1), 0x80000000, kOnes, 0xffffffff80000000},
      {"divw ignores high halves", w(4, 1), 0x1ffffffff, 0xff00000001, kOnes},
      {"divuw by zero", w(5, 1), 7, 0x100000000, kOnes},
      {"divuw extends the sign", w(5, 1), 0xffffffff, 1, kOnes},
      {"remw by zero", w(6, 1), 0x80000000, 0, 0xffffffff80000000},
      {"remw overflow", w(6, 1), 0x80000000, 0xffffffff, 0},
      {"remw", w(6, 1), static_cast<uint64_t>(-7), 3, kOnes},
      {"remuw by zero extends the sign", w(7, 1), 0x80000000, 0, 0xffffffff80000000},
      {"remuw", w(7, 1), 0xffffffff, 16, 15},
  });
}

TEST(ExecuteInt, ResultsForX0AreDropped) {
  Bench bench;
  Program p(kCode);
  p << addi(t0, x0, 7) << addi(x0, t0, 1) << mul(x0, t0, t0) << lw(x0, a0, 0) << csrr(x0, TANDEM_CSR_LANE_ID)
    << add(t1, x0, x0) << sd(t1, a0, 8) << ret();
  bench.translator.put<uint64_t>(kData + 8, 99);
  bench.run_program(p);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData + 8), 0u);
}

TEST(ExecuteInt, AuipcAndJalAreRelativeToTheInstruction) {
  Bench bench;
  Program p(kCode);
  p << auipc(t0, 0xfffff) << sd(t0, a0, 0);
  const uint64_t call = p.here();
  p.jump(t1, "after");
  p << ebreak();
  p.label("after");
  p << sd(t1, a0, 8) << ret();
  bench.run_program(p);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData), kCode - 0x1000);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData + 8), call + 4);
}

TEST(ExecuteInt, JalrMayUseItsLinkRegisterAsBaseAndClearsBitZero) {
  Bench bench;
  Program p(kCode);
  p << auipc(ra, 0) << addi(s0, x0, 1) << jalr(ra, ra, 17) << ebreak();   // to kCode + 16
  p << sd(ra, a0, 0) << exit_lane();
  bench.run_program(p);
  EXPECT_TRUE(bench.listener.errors.empty());
  EXPECT_EQ(bench.translator.get<uint64_t>(kData), kCode + 12);
}

}  // namespace
}  // namespace tandem::test
