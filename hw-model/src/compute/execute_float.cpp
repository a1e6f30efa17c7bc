// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": F and D instructions. Compiled for several x86-64 levels; see execute.h.
//
// All lanes are computed by the host's FPU, rounding to nearest even, and its sticky exception flags are looked at once. The
// results stand if no result is a NaN, no operand was invalid, and each lane has the flags already that were raised
// (which it was that raised them is then of no matter). Lanes that lack one of them are run again by themselves for
// their flags; everything else (other rounding modes, NaNs, invalid operations) goes lane by lane through soft_float.
// The host detects tininess after rounding, as RISC-V does.
#include <immintrin.h>

#include "compute/execute.h"
#include "compute/float_lane.h"
#include "compute/unit_context.h"

namespace tandem::compute {
namespace {

using u64 = uint64_t;
using u32 = uint32_t;

constexpr u32 kDynamic = 7, kLastRounding = 4, kNearestEvenMode = 0, kTowardZeroMode = 1;
constexpr u32 kMxcsrQuiet = 0x1f80;  // nearest even, all exceptions masked, denormals as they are
constexpr u32 kMxcsrInvalid = 1, kMxcsrDivideByZero = 4, kMxcsrOverflow = 8, kMxcsrUnderflow = 16, kMxcsrInexact = 32;

// While it lives the FPU is in a known state with no flag set. The memory clobbers keep lane loops, which read and
// write rows in memory, on their side of it.
class HostFpu {
 public:
  TANDEM_ALWAYS_INLINE HostFpu() {
    asm volatile("stmxcsr %0" : "=m"(saved_)::"memory");
    u32 quiet = kMxcsrQuiet;
    asm volatile("ldmxcsr %0" ::"m"(quiet) : "memory");
  }
  TANDEM_ALWAYS_INLINE ~HostFpu() { asm volatile("ldmxcsr %0" ::"m"(saved_) : "memory"); }
  TANDEM_ALWAYS_INLINE u32 raised() const {
    u32 now = 0;
    asm volatile("stmxcsr %0" : "=m"(now)::"memory");
    return now & 0x3f;
  }

 private:
  u32 saved_ = 0;
};

TANDEM_ALWAYS_INLINE uint8_t riscv_flags(u32 mxcsr) {
  return static_cast<uint8_t>((mxcsr & kMxcsrInexact ? 1 : 0) | (mxcsr & kMxcsrUnderflow ? 2 : 0) |
                              (mxcsr & kMxcsrOverflow ? 4 : 0) | (mxcsr & kMxcsrDivideByZero ? 8 : 0));
}

// Register value to host type and back.
template <typename T>
struct Register;
template <>
struct Register<float> {
  static constexpr bool kIsFloat = true;
  static float read(u64 v) {
    return __builtin_bit_cast(float, (v & kBox) == kBox ? static_cast<u32>(v) : kUnboxed32);
  }
  static u64 write(float v) { return kBox | __builtin_bit_cast(u32, v); }
  static bool is_nan(u64 v) { return (v & 0x7fffffff) > 0x7f800000; }
};
template <>
struct Register<double> {
  static constexpr bool kIsFloat = true;
  static double read(u64 v) { return __builtin_bit_cast(double, v); }
  static u64 write(double v) { return __builtin_bit_cast(u64, v); }
  static bool is_nan(u64 v) { return (v & 0x7fffffffffffffff) > 0x7ff0000000000000; }
};
template <typename Int>
struct IntRegister {
  static constexpr bool kIsFloat = false;
  static Int read(u64 v) { return static_cast<Int>(v); }
  static u64 write(Int v) { return static_cast<u64>(static_cast<int64_t>(v)); }
  static bool is_nan(u64) { return false; }
};
template <> struct Register<int32_t> : IntRegister<int32_t> {};
template <> struct Register<uint32_t> : IntRegister<uint32_t> {};
template <> struct Register<int64_t> : IntRegister<int64_t> {};
template <> struct Register<uint64_t> : IntRegister<uint64_t> {};

// What the host computes. kRounds: the result depends on the rounding mode, kMode is the mode that the host's code has.
struct Nearest { static constexpr bool kRounds = true; static constexpr u32 kMode = kNearestEvenMode; };
struct Truncates { static constexpr bool kRounds = true; static constexpr u32 kMode = kTowardZeroMode; };
struct Exact { static constexpr bool kRounds = false; static constexpr u32 kMode = 0; };

struct FAdd : Nearest { template <typename T> static T of(T a, T b, T) { return a + b; } };
struct FSub : Nearest { template <typename T> static T of(T a, T b, T) { return a - b; } };
struct FMul : Nearest { template <typename T> static T of(T a, T b, T) { return a * b; } };
struct FDiv : Nearest { template <typename T> static T of(T a, T b, T) { return a / b; } };
TANDEM_ALWAYS_INLINE float host_sqrt(float v) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(v))); }
TANDEM_ALWAYS_INLINE double host_sqrt(double v) { return _mm_cvtsd_f64(_mm_sqrt_sd(_mm_set_sd(v), _mm_set_sd(v))); }
TANDEM_ALWAYS_INLINE float host_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
TANDEM_ALWAYS_INLINE double host_fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
struct FSqrt : Nearest { template <typename T> static T of(T a, T, T) { return host_sqrt(a); } };
struct FMadd : Nearest { template <typename T> static T of(T a, T b, T c) { return host_fma(a, b, c); } };
struct FMsub : Nearest { template <typename T> static T of(T a, T b, T c) { return host_fma(a, b, -c); } };
struct FNmsub : Nearest { template <typename T> static T of(T a, T b, T c) { return host_fma(-a, b, c); } };
struct FNmadd : Nearest { template <typename T> static T of(T a, T b, T c) { return host_fma(-a, b, -c); } };
// Zeros: a is taken as the smaller one if it is -0. Comparison with a NaN is invalid here, so those go the exact way.
struct FMin : Exact { template <typename T> static T of(T a, T b, T) { return a < b || (a == b && __builtin_signbit(a)) ? a : b; } };
struct FMax : Exact { template <typename T> static T of(T a, T b, T) { return a < b || (a == b && __builtin_signbit(a)) ? b : a; } };
struct FEq : Exact { template <typename T> static u64 of(T a, T b, T) { return a == b; } };
struct FLt : Exact { template <typename T> static u64 of(T a, T b, T) { return a < b; } };
struct FLe : Exact { template <typename T> static u64 of(T a, T b, T) { return a <= b; } };
template <typename Out, typename Mode>
struct Convert : Mode { template <typename T> static Out of(T a, T, T) { return static_cast<Out>(a); } };

enum class Source { F, X };
enum class Target { F, X };

// The lanes that need the exact way, after the host has computed `value`.
struct HostOutcome {
  u32 raised = 0;
  bool usable = false;
};

template <typename Operation, typename In, typename Out, bool kFull>
TANDEM_ALWAYS_INLINE HostOutcome compute_on_host(const Wave& w, const Row& a, const Row& b, const Row& c, Row& value) {
  const u64 one = Register<In>::write(In{1});  // for lanes that are not active: raises nothing
  u32 raised = 0;
  {
    const HostFpu fpu;
    TANDEM_FOR_LANES(i) {
      const bool on = kFull || w.mask.lane[i];
      const In x = Register<In>::read(on ? a.lane[i] : one), y = Register<In>::read(on ? b.lane[i] : one),
               z = Register<In>::read(on ? c.lane[i] : one);
      value.lane[i] = Register<Out>::write(Operation::of(x, y, z));
    }
    raised = fpu.raised();
  }
  u64 nan = 0;
  TANDEM_FOR_LANES(i) nan |= Register<Out>::is_nan(value.lane[i]);
  return {.raised = raised, .usable = !(raised & kMxcsrInvalid) && !nan};
}

// Lane by lane, for values and flags.
Next exact_lanes(Wave& w, const Decoded& d, const Row& a, const Row& b, const Row& c, Row& to) {
  for_each_lane(w.active, [&](u32 i) {
    const FloatResult r = float_lane(d.op, a.lane[i], b.lane[i], c.lane[i], d.rm == kDynamic ? w.frm[i] : d.rm);
    to.lane[i] = r.value;
    w.fflags[i] |= r.flags;
  });
  return Next::Refetch;  // slow
}

// The values stand; lanes that do not have all raised flags yet find out which are theirs.
void exact_flags(Wave& w, const Decoded& d, const Row& a, const Row& b, const Row& c, uint8_t raised) {
  for_each_lane(w.active, [&](u32 i) {
    if (raised & ~w.fflags[i])
      w.fflags[i] |= float_lane(d.op, a.lane[i], b.lane[i], c.lane[i], kNearestEvenMode == d.rm || d.rm == kDynamic ? 0 : d.rm).flags;
  });
}

bool has_illegal_rounding(const Wave& w, u32& lane) {
  LaneMask bad = 0;
  for_each_lane(w.frm_not_nearest & w.active, [&](u32 i) {
    if (w.frm[i] > kLastRounding) bad |= lane_bit(i);
  });
  if (bad) lane = first_lane(bad);
  return bad != 0;
}

template <typename Operation, typename In, typename Out, Source kSource, Target kTarget, bool kFull>
Next run_float(Wave& w, const Decoded& d) {
  const Row* from = kSource == Source::F ? w.f : w.x;
  const Row& a = from[d.rs1];
  const Row& b = kSource == Source::F ? w.f[d.rs2] : a;
  const Row& c = kSource == Source::F ? w.f[d.rs3] : a;
  Row& to = kTarget == Target::F ? w.f[d.rd] : w.x[d.rd];
  const bool odd_modes = d.rm == kDynamic && (w.frm_not_nearest & w.active);
  u32 lane = 0;
  if (Operation::kRounds && odd_modes && has_illegal_rounding(w, lane))
    return fail(w, d, TANDEM_QUEUE_ILLEGAL_INSTRUCTION, lane, d.pc, d.word);
  const u32 mode = d.rm == kDynamic ? kNearestEvenMode : d.rm;
  if (Operation::kRounds && (odd_modes || mode != Operation::kMode)) return exact_lanes(w, d, a, b, c, to);
  Row value;
  const HostOutcome outcome = compute_on_host<Operation, In, Out, kFull>(w, a, b, c, value);
  if (!outcome.usable) return exact_lanes(w, d, a, b, c, to);
  if (const uint8_t raised = riscv_flags(outcome.raised)) exact_flags(w, d, a, b, c, raised);
  TANDEM_FOR_LANES(i) to.lane[i] = kFull || w.mask.lane[i] ? value.lane[i] : to.lane[i];
  return Next::Sequential;
}

// Instructions that have no fast way, or touch bits only and need none.
template <Source kSource, Target kTarget, bool kRounds>
Next run_exact(Wave& w, const Decoded& d) {
  u32 lane = 0;
  if (kRounds && d.rm == kDynamic && has_illegal_rounding(w, lane))
    return fail(w, d, TANDEM_QUEUE_ILLEGAL_INSTRUCTION, lane, d.pc, d.word);
  const Row* from = kSource == Source::F ? w.f : w.x;
  Row& to = kTarget == Target::F ? w.f[d.rd] : w.x[d.rd];
  return exact_lanes(w, d, from[d.rs1], w.f[d.rs2], w.f[d.rs3], to);
}

// Sign injection on whole registers; for single precision boxed ones only (else the canonical NaN takes part).
template <typename Signs, bool kFull>
Next inject_double(Wave& w, const Decoded& d) {
  constexpr u64 kSign = u64{1} << 63;
  const u64* a = w.f[d.rs1].lane;
  const u64* b = w.f[d.rs2].lane;
  u64* r = w.f[d.rd].lane;
  TANDEM_FOR_LANES(i) {
    const u64 value = (a[i] & ~kSign) | (Signs::of(a[i], b[i]) & kSign);
    r[i] = kFull || w.mask.lane[i] ? value : r[i];
  }
  return Next::Sequential;
}

template <typename Signs, bool kFull>
Next inject_single(Wave& w, const Decoded& d) {
  constexpr u64 kSign = u64{1} << 31;
  const u64* a = w.f[d.rs1].lane;
  const u64* b = w.f[d.rs2].lane;
  u64* r = w.f[d.rd].lane;
  TANDEM_FOR_LANES(i) {
    const u64 x = (a[i] & kBox) == kBox ? a[i] : kBox | kCanonicalNan32;
    const u64 y = (b[i] & kBox) == kBox ? b[i] : kBox | kCanonicalNan32;
    const u64 value = (x & ~kSign) | (Signs::of(x, y) & kSign);
    r[i] = kFull || w.mask.lane[i] ? value : r[i];
  }
  return Next::Sequential;
}
struct SignOf { static u64 of(u64, u64 b) { return b; } };
struct SignNot { static u64 of(u64, u64 b) { return ~b; } };
struct SignXor { static u64 of(u64 a, u64 b) { return a ^ b; } };

struct BoxWord { static u64 of(u64 v) { return v | kBox; } };
struct ExtendWord { static u64 of(u64 v) { return sign_extend_32(v); } };
struct Same { static u64 of(u64 v) { return v; } };

template <typename How, Source kSource, Target kTarget, bool kFull>
Next move(Wave& w, const Decoded& d) {
  const u64* a = kSource == Source::F ? w.f[d.rs1].lane : w.x[d.rs1].lane;
  u64* r = kTarget == Target::F ? w.f[d.rd].lane : w.x[d.rd].lane;
  TANDEM_FOR_LANES(i) {
    const u64 value = How::of(a[i]);
    r[i] = kFull || w.mask.lane[i] ? value : r[i];
  }
  return Next::Sequential;
}

void set(HandlerTable& table, Op op, Handler full, Handler masked) {
  table.full[static_cast<u64>(op)] = full;
  table.masked[static_cast<u64>(op)] = masked;
}
template <typename Operation, typename In, typename Out, Source kSource, Target kTarget>
void set_float(HandlerTable& table, Op op) {
  set(table, op, run_float<Operation, In, Out, kSource, kTarget, true>,
      run_float<Operation, In, Out, kSource, kTarget, false>);
}
template <typename Operation>
void set_arithmetic(HandlerTable& table, Op single, Op twice) {
  set_float<Operation, float, float, Source::F, Target::F>(table, single);
  set_float<Operation, double, double, Source::F, Target::F>(table, twice);
}
template <typename Operation>
void set_compare(HandlerTable& table, Op single, Op twice) {
  set_float<Operation, float, u64, Source::F, Target::X>(table, single);
  set_float<Operation, double, u64, Source::F, Target::X>(table, twice);
}
template <typename Int>
void set_from_int(HandlerTable& table, Op single, Op twice) {
  set_float<Convert<float, Nearest>, Int, float, Source::X, Target::F>(table, single);
  set_float<Convert<double, Nearest>, Int, double, Source::X, Target::F>(table, twice);
}
template <typename Int>
void set_to_int(HandlerTable& table, Op single, Op twice) {
  set_float<Convert<Int, Truncates>, float, Int, Source::F, Target::X>(table, single);
  set_float<Convert<Int, Truncates>, double, Int, Source::F, Target::X>(table, twice);
}
template <Source kSource, Target kTarget, bool kRounds>
void set_exact(HandlerTable& table, Op op) {
  set(table, op, run_exact<kSource, kTarget, kRounds>, run_exact<kSource, kTarget, kRounds>);
}
template <typename Signs>
void set_inject(HandlerTable& table, Op single, Op twice) {
  set(table, single, inject_single<Signs, true>, inject_single<Signs, false>);
  set(table, twice, inject_double<Signs, true>, inject_double<Signs, false>);
}
template <typename How, Source kSource, Target kTarget>
void set_move(HandlerTable& table, Op op) {
  set(table, op, move<How, kSource, kTarget, true>, move<How, kSource, kTarget, false>);
}

}  // namespace

namespace TANDEM_LEVEL {

void fill_float(HandlerTable& table) {
  set_arithmetic<FAdd>(table, Op::FaddS, Op::FaddD);
  set_arithmetic<FSub>(table, Op::FsubS, Op::FsubD);
  set_arithmetic<FMul>(table, Op::FmulS, Op::FmulD);
  set_arithmetic<FDiv>(table, Op::FdivS, Op::FdivD);
  set_arithmetic<FSqrt>(table, Op::FsqrtS, Op::FsqrtD);
  set_arithmetic<FMadd>(table, Op::FmaddS, Op::FmaddD);
  set_arithmetic<FMsub>(table, Op::FmsubS, Op::FmsubD);
  set_arithmetic<FNmsub>(table, Op::FnmsubS, Op::FnmsubD);
  set_arithmetic<FNmadd>(table, Op::FnmaddS, Op::FnmaddD);
  set_arithmetic<FMin>(table, Op::FminS, Op::FminD);
  set_arithmetic<FMax>(table, Op::FmaxS, Op::FmaxD);
  set_compare<FEq>(table, Op::FeqS, Op::FeqD);
  set_compare<FLt>(table, Op::FltS, Op::FltD);
  set_compare<FLe>(table, Op::FleS, Op::FleD);
  set_from_int<int32_t>(table, Op::FcvtSW, Op::FcvtDW);
  set_from_int<uint32_t>(table, Op::FcvtSWu, Op::FcvtDWu);
  set_from_int<int64_t>(table, Op::FcvtSL, Op::FcvtDL);
  set_from_int<uint64_t>(table, Op::FcvtSLu, Op::FcvtDLu);
  set_to_int<int32_t>(table, Op::FcvtWS, Op::FcvtWD);
  set_to_int<int64_t>(table, Op::FcvtLS, Op::FcvtLD);
  set_exact<Source::F, Target::X, true>(table, Op::FcvtWuS);
  set_exact<Source::F, Target::X, true>(table, Op::FcvtWuD);
  set_exact<Source::F, Target::X, true>(table, Op::FcvtLuS);
  set_exact<Source::F, Target::X, true>(table, Op::FcvtLuD);
  set_float<Convert<double, Nearest>, float, double, Source::F, Target::F>(table, Op::FcvtDS);
  set_float<Convert<float, Nearest>, double, float, Source::F, Target::F>(table, Op::FcvtSD);
  set_exact<Source::F, Target::X, false>(table, Op::FclassS);
  set_exact<Source::F, Target::X, false>(table, Op::FclassD);
  set_inject<SignOf>(table, Op::FsgnjS, Op::FsgnjD);
  set_inject<SignNot>(table, Op::FsgnjnS, Op::FsgnjnD);
  set_inject<SignXor>(table, Op::FsgnjxS, Op::FsgnjxD);
  set_move<ExtendWord, Source::F, Target::X>(table, Op::FmvXW);
  set_move<Same, Source::F, Target::X>(table, Op::FmvXD);
  set_move<BoxWord, Source::X, Target::F>(table, Op::FmvWX);
  set_move<Same, Source::X, Target::F>(table, Op::FmvDX);
}

}  // namespace TANDEM_LEVEL
}  // namespace tandem::compute
