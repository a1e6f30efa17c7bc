// SPDX-License-Identifier: GPL-2.0-or-later
// F and D: every instruction, every rounding mode, static and dynamic, against exact rational arithmetic
// (support/make_float_cases.py), and soft_float against the host's FPU on random bits.
#include <cfenv>
#include <cmath>
#include <cstring>

#include "compute/soft_float.h"
#include "support/compute_fixture.h"

namespace tandem::test {
namespace {

using namespace rv;
namespace soft = compute::soft;

struct FloatCase {
  uint64_t a, b, c, expected, flags;
};
struct FloatGroup {
  const char* name;
  uint32_t instruction;
  int rounding;          // -1: the funct3 field is no rounding mode
  bool to_x;
  FloatCase cases[32];
};
const FloatGroup kGroups[] = {
#include "float_cases.inc"
};

std::vector<LaneValues> operands(const FloatGroup& g) {
  std::vector<LaneValues> values;
  for (const FloatCase& c : g.cases) values.push_back({c.a, c.b, c.c});
  return values;
}

void check(const FloatGroup& g, uint32_t instruction, uint32_t fcsr, uint8_t level, bool only_even) {
  const auto results = run_lanes(instruction, operands(g), fcsr, level, only_even);
  for (size_t lane = 0; lane < 32; ++lane) {
    const FloatCase& c = g.cases[lane];
    const bool ran = !only_even || lane % 2 == 0;
    const uint64_t value = g.to_x ? results[lane].x : results[lane].f;
    ASSERT_EQ(value, ran ? c.expected : kUntouched)
        << g.name << " level " << int{level} << " lane " << lane << std::hex << " a " << c.a << " b " << c.b << " c " << c.c;
    ASSERT_EQ(results[lane].fcsr, fcsr | (ran ? c.flags : 0))
        << g.name << " flags, level " << int{level} << " lane " << lane << std::hex << " a " << c.a << " b " << c.b << " c " << c.c;
  }
}

class FloatAtLevel : public testing::TestWithParam<uint8_t> {};

TEST_P(FloatAtLevel, EveryInstructionInEveryStaticRoundingMode) {
  for (const FloatGroup& g : kGroups) {
    check(g, g.instruction, 0, GetParam(), false);
    if (HasFatalFailure()) return;
  }
}

TEST_P(FloatAtLevel, EveryInstructionInEveryDynamicRoundingMode) {
  for (const FloatGroup& g : kGroups) {
    if (g.rounding < 0) continue;
    check(g, g.instruction | 7u << 12, static_cast<uint32_t>(g.rounding) << 5, GetParam(), false);
    if (HasFatalFailure()) return;
  }
}

TEST_P(FloatAtLevel, LanesThatAreNotActiveKeepValueAndFlags) {
  for (const FloatGroup& g : kGroups) {
    check(g, g.instruction, 0, GetParam(), true);
    if (HasFatalFailure()) return;
  }
}

TEST_P(FloatAtLevel, FlagsAreSticky) {
  for (const FloatGroup& g : kGroups) {
    check(g, g.instruction, 0x1f, GetParam(), false);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, FloatAtLevel, testing::ValuesIn(host_levels()));

// What is no boxed single counts as the canonical NaN: quiet, so that only an ordered comparison, or a signalling NaN on the other
// side, is invalid.
TEST_P(FloatAtLevel, ComparisonsSeeANanInWhatIsNotBoxed) {
  constexpr uint64_t kUnboxed = 0x3ff0000000000000, kOne = 0xffffffff3f800000, kSignalling = 0xffffffff7f800001;
  constexpr uint32_t kLessOrEqual = 0, kLess = 1, kEqual = 2, kInvalid = 0x10;
  for (const uint32_t comparison : {kLessOrEqual, kLess, kEqual}) {
    const uint32_t instruction = fop(0x14, S, kResult, kArgA, kArgB, comparison);
    for (const LaneValues& values : {LaneValues{kOne, kUnboxed}, LaneValues{kUnboxed, kOne}, LaneValues{kUnboxed, kUnboxed}}) {
      for (const LaneResult& result : run_lanes(instruction, {values}, 0, GetParam())) {
        EXPECT_EQ(result.x, 0u) << comparison;
        EXPECT_EQ(result.fcsr, comparison == kEqual ? 0 : kInvalid) << comparison;
      }
    }
    for (const LaneResult& result : run_lanes(instruction, {{kSignalling, kUnboxed}}, 0, GetParam()))
      EXPECT_EQ(result.fcsr, kInvalid) << comparison;
  }
}

TEST(ExecuteFloat, MovesAreBitExact) {
  const auto to_x = run_lanes(fop(0x1c, S, kResult, kArgA, 0, 0), {{0x12345678ffc00001, 0, 0}}, 0, 0);
  EXPECT_EQ(to_x[0].x, 0xffffffffffc00001);
  const auto to_x_d = run_lanes(fop(0x1c, D, kResult, kArgA, 0, 0), {{0x7ff0000000000001, 0, 0}}, 0, 0);
  EXPECT_EQ(to_x_d[0].x, 0x7ff0000000000001u);
  const auto to_f = run_lanes(fop(0x1e, S, kResult, kArgA, 0, 0), {{0x12345678, 0, 0}}, 0, 0);
  EXPECT_EQ(to_f[0].f, 0xffffffff12345678);
  const auto to_f_d = run_lanes(fop(0x1e, D, kResult, kArgA, 0, 0), {{0xfff0000000000001, 0, 0}}, 0, 0);
  EXPECT_EQ(to_f_d[0].f, 0xfff0000000000001);
}

void expect_illegal(const std::vector<uint32_t>& words) {
  Bench bench;
  Program p(kCode);
  for (const uint32_t word : words) p << word;
  p << ret();
  bench.run_program(p);
  ASSERT_EQ(bench.listener.errors.size(), 1u);
  EXPECT_EQ(bench.listener.errors[0].error, TANDEM_QUEUE_ILLEGAL_INSTRUCTION);
  EXPECT_EQ(bench.listener.errors[0].detail, words.back());
}

TEST(ExecuteFloat, ReservedRoundingModesAreIllegal) {
  for (const uint32_t rm : {5u, 6u}) {
    expect_illegal({fop(0, D, 1, 2, 3, rm)});
    expect_illegal({fma(0x43, S, 1, 2, 3, 4, rm)});
  }
  for (const uint32_t frm : {5u, 6u, 7u}) {
    expect_illegal({csrrwi(x0, 2, frm), fop(0, D, 1, 2, 3, 7)});
    expect_illegal({csrrwi(x0, 2, frm), fop(0x18, S, a0, 2, 1, 7)});
  }
}

TEST(ExecuteFloat, LanesMayHaveDifferentRoundingModes) {
  Bench bench;
  Program p(kCode);
  // 1 / 3 in the mode of lane % 5
  p << csrr(s0, TANDEM_CSR_LANE_ID) << addi(t0, x0, 5) << op(7, 1, t1, s0, t0) << csrrw(x0, 2, t1);
  p << addi(t2, x0, 1) << fop(0x1a, D, 1, t2, 2, 0) << addi(t2, x0, -3) << fop(0x1a, D, 2, t2, 2, 0) << fop(3, D, 3, 1, 2, 7);
  p << slli(s1, s0, 3) << add(s1, s1, a0) << fsd(3, s1, 0) << ret();
  bench.run_program(p);
  // -1/3 = -0x1.5555555555555|555...p-2: nearest and toward zero and up keep it, down goes away from zero
  const uint64_t near = 0xbfd5555555555555, away = 0xbfd5555555555556;
  const uint64_t expected[] = {near, near, away, near, near};
  for (uint64_t lane = 0; lane < 32; ++lane)
    EXPECT_EQ(bench.translator.get<uint64_t>(kData + 8 * lane), expected[lane % 5]) << lane;
}

// The host's FPU is another implementation of the same standard: random bits, four rounding modes.
template <typename Bits, typename Host>
class AgainstHost {
 public:
  void run(int mode, soft::Rounding rounding, uint64_t seed) {
    state_ = seed;
    rounding_ = rounding;
    for (int i = 0; i < 60000; ++i) {
      const Bits a = random(), b = random(), c = random();
      std::fesetround(mode);
      compare("add", a, b, c, [](Host x, Host y, Host) { return x + y; }, [](Bits x, Bits y, Bits, soft::Env& e) { return soft::add(x, y, e); });
      compare("sub", a, b, c, [](Host x, Host y, Host) { return x - y; }, [](Bits x, Bits y, Bits, soft::Env& e) { return soft::sub(x, y, e); });
      compare("mul", a, b, c, [](Host x, Host y, Host) { return x * y; }, [](Bits x, Bits y, Bits, soft::Env& e) { return soft::mul(x, y, e); });
      compare("div", a, b, c, [](Host x, Host y, Host) { return x / y; }, [](Bits x, Bits y, Bits, soft::Env& e) { return soft::div(x, y, e); });
      compare("sqrt", a, b, c, [](Host x, Host, Host) { return std::sqrt(x); }, [](Bits x, Bits, Bits, soft::Env& e) { return soft::sqrt(x, e); });
      compare("fma", a, b, c, [](Host x, Host y, Host z) { return std::fma(x, y, z); }, [](Bits x, Bits y, Bits z, soft::Env& e) { return soft::fma(x, y, z, e); });
      std::fesetround(FE_TONEAREST);
      if (testing::Test::HasFatalFailure()) return;
    }
  }

 private:
  Bits random() {
    state_ = state_ * 6364136223846793005 + 1442695040888963407;
    const uint64_t r = state_ ^ state_ >> 29;
    const uint64_t kind = r >> 59;
    if (kind < 20) return static_cast<Bits>(r);
    // Exponents close together, so that digits meet.
    constexpr int kFraction = sizeof(Bits) == 4 ? 23 : 52;
    const Bits exponent = static_cast<Bits>((sizeof(Bits) == 4 ? 126 : 1022) + (r >> 40) % 4);
    return static_cast<Bits>(exponent << kFraction) | (static_cast<Bits>(r) & ((Bits{1} << kFraction) - 1));
  }

  template <typename OnHost, typename OnSoft>
  void compare(const char* name, Bits a, Bits b, Bits c, OnHost on_host, OnSoft on_soft) {
    volatile Host x = __builtin_bit_cast(Host, a), y = __builtin_bit_cast(Host, b), z = __builtin_bit_cast(Host, c);
    std::feclearexcept(FE_ALL_EXCEPT);
    const volatile Host h = on_host(x, y, z);
    const int raised = std::fetestexcept(FE_ALL_EXCEPT);
    const Host copy = h;
    soft::Env env{.rounding = rounding_};
    const Bits s = on_soft(a, b, c, env);
    if (copy != copy) {
      ASSERT_EQ(s, soft::canonical_nan<Bits>()) << name;
      return;
    }
    ASSERT_EQ(s, __builtin_bit_cast(Bits, copy)) << name << std::hex << " " << a << " " << b << " " << c;
    const int flags = (raised & FE_INEXACT ? 1 : 0) | (raised & FE_UNDERFLOW ? 2 : 0) | (raised & FE_OVERFLOW ? 4 : 0) |
                      (raised & FE_DIVBYZERO ? 8 : 0) | (raised & FE_INVALID ? 16 : 0);
    ASSERT_EQ(env.flags, flags) << name << std::hex << " " << a << " " << b << " " << c;
  }

  uint64_t state_ = 0;
  soft::Rounding rounding_ = soft::kNearestEven;
};

TEST(SoftFloat, AgreesWithTheHostOnRandomBits) {
  const std::pair<int, soft::Rounding> modes[] = {{FE_TONEAREST, soft::kNearestEven}, {FE_TOWARDZERO, soft::kTowardZero},
                                                  {FE_DOWNWARD, soft::kDown}, {FE_UPWARD, soft::kUp}};
  for (const auto& [host, mode] : modes) {
    AgainstHost<uint32_t, float>().run(host, mode, 1 + mode);
    AgainstHost<uint64_t, double>().run(host, mode, 100 + mode);
  }
}

}  // namespace
}  // namespace tandem::test
