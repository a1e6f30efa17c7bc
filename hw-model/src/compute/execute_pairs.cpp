// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": pairs of integer instructions (fuse.h), each one loop over 32 lanes. Compiled for several x86-64 levels;
// see execute.h.
#include "compute/execute.h"
#include "compute/fuse.h"
#include "compute/wave.h"

namespace tandem::compute {
namespace {

using u64 = uint64_t;

struct Add { static u64 of(u64 a, u64 b) { return a + b; } };
struct Sub { static u64 of(u64 a, u64 b) { return a - b; } };
struct Xor { static u64 of(u64 a, u64 b) { return a ^ b; } };
struct Mul { static u64 of(u64 a, u64 b) { return a * b; } };
struct And { static u64 of(u64 a, u64 b) { return a & b; } };
struct Sll { static u64 of(u64 a, u64 b) { return a << (b & 63); } };
struct Srl { static u64 of(u64 a, u64 b) { return a >> (b & 63); } };

template <typename Operation>
struct WithRegister {
  struct Operand {
    const u64* row;
    TANDEM_ALWAYS_INLINE u64 operator[](uint32_t i) const { return row[i]; }
  };
  TANDEM_ALWAYS_INLINE static Operand operand(const Wave& w, const Decoded& d) { return {w.x[d.rs2].lane}; }
  TANDEM_ALWAYS_INLINE static u64 of(u64 a, u64 b) { return Operation::of(a, b); }
};

template <typename Operation>
struct WithImmediate {
  struct Operand {
    u64 value;
    TANDEM_ALWAYS_INLINE u64 operator[](uint32_t) const { return value; }
  };
  TANDEM_ALWAYS_INLINE static Operand operand(const Wave&, const Decoded& d) { return {static_cast<u64>(d.imm)}; }
  TANDEM_ALWAYS_INLINE static u64 of(u64 a, u64 b) { return Operation::of(a, b); }
};

template <PairOp kOp>
struct Behind;
template <> struct Behind<PairOp::Add> : WithRegister<Add> {};
template <> struct Behind<PairOp::Addi> : WithImmediate<Add> {};
template <> struct Behind<PairOp::Sub> : WithRegister<Sub> {};
template <> struct Behind<PairOp::Xor> : WithRegister<Xor> {};
template <> struct Behind<PairOp::Andi> : WithImmediate<And> {};
template <> struct Behind<PairOp::Slli> : WithImmediate<Sll> {};
template <> struct Behind<PairOp::Srli> : WithImmediate<Srl> {};
template <> struct Behind<PairOp::Mul> : WithRegister<Mul> {};

// No row is read after it is written: what the second takes from the first is kForward. If both write one register, the
// first's result is seen by nobody else, and is not written (kHidden): half of what a pair costs is writing rows.
template <PairOp kFirst, PairOp kSecond, bool kForward, bool kHidden>
Next pair(Wave& w, const Decoded& d) {
  using First = Behind<kFirst>;
  using Second = Behind<kSecond>;
  const Decoded& e = (&d)[1];
  const u64* a = w.x[d.rs1].lane;
  const auto b = First::operand(w, d);
  const u64* p = w.x[e.rs1].lane;
  const auto q = Second::operand(w, e);
  u64* r = w.x[d.rd].lane;
  u64* s = w.x[e.rd].lane;
  TANDEM_FOR_LANES(i) {
    const u64 first = First::of(a[i], b[i]);
    const u64 second = Second::of(kForward ? first : p[i], q[i]);
    if (!kHidden) r[i] = first;
    s[i] = second;
  }
  return Next::Sequential;
}

template <uint32_t kFirst, uint32_t kSecond>
void fill_from(PairTable& table) {
  if constexpr (kSecond < kPairOps) {
    constexpr auto first = static_cast<PairOp>(kFirst), second = static_cast<PairOp>(kSecond);
    table.at[kFirst][kSecond][0][0] = pair<first, second, false, false>;
    table.at[kFirst][kSecond][0][1] = pair<first, second, false, true>;
    table.at[kFirst][kSecond][1][0] = pair<first, second, true, false>;
    table.at[kFirst][kSecond][1][1] = pair<first, second, true, true>;
    fill_from<kFirst, kSecond + 1>(table);
  } else if constexpr (kFirst + 1 < kPairOps) {
    fill_from<kFirst + 1, 0>(table);
  }
}

}  // namespace

namespace TANDEM_LEVEL {

void fill_pairs(PairTable& table) { fill_from<0, 0>(table); }

}  // namespace TANDEM_LEVEL
}  // namespace tandem::compute
