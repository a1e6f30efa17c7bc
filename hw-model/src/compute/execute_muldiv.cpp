// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": multiplication and division (M extension). Division by zero gives all ones and the dividend, the
// one overflow gives the dividend and zero: nothing traps. Compiled for several x86-64 levels; see execute.h.
#include <type_traits>

#include "compute/execute.h"
#include "compute/wave.h"

namespace tandem::compute {
namespace {

using u64 = uint64_t;
using i64 = int64_t;
using u32 = uint32_t;
using i32 = int32_t;
__extension__ using u128 = unsigned __int128;
__extension__ using i128 = __int128;

TANDEM_ALWAYS_INLINE u64 word(u32 v) { return static_cast<u64>(static_cast<i64>(static_cast<i32>(v))); }

template <typename Signed>
Signed quotient(Signed a, Signed b) {
  if (b == 0) return -1;
  if (b == -1) return static_cast<Signed>(0 - static_cast<std::make_unsigned_t<Signed>>(a));  // wraps: the overflow case
  return a / b;
}
template <typename Signed>
Signed remainder_of(Signed a, Signed b) {
  if (b == 0) return a;
  return b == -1 ? 0 : a % b;
}

struct Mul { static u64 of(u64 a, u64 b) { return a * b; } };
struct Mulh { static u64 of(u64 a, u64 b) { return static_cast<u64>((i128{static_cast<i64>(a)} * static_cast<i64>(b)) >> 64); } };
struct Mulhsu {
  static u64 of(u64 a, u64 b) { return static_cast<u64>((i128{static_cast<i64>(a)} * static_cast<i128>(b)) >> 64); }
};
struct Mulhu { static u64 of(u64 a, u64 b) { return static_cast<u64>((u128{a} * b) >> 64); } };
struct Div { static u64 of(u64 a, u64 b) { return static_cast<u64>(quotient(static_cast<i64>(a), static_cast<i64>(b))); } };
struct Divu { static u64 of(u64 a, u64 b) { return b ? a / b : ~u64{0}; } };
struct Rem { static u64 of(u64 a, u64 b) { return static_cast<u64>(remainder_of(static_cast<i64>(a), static_cast<i64>(b))); } };
struct Remu { static u64 of(u64 a, u64 b) { return b ? a % b : a; } };
struct Mulw { static u64 of(u64 a, u64 b) { return word(static_cast<u32>(a) * static_cast<u32>(b)); } };
struct Divw {
  static u64 of(u64 a, u64 b) { return word(static_cast<u32>(quotient(static_cast<i32>(a), static_cast<i32>(b)))); }
};
struct Divuw {
  static u64 of(u64 a, u64 b) { return word(static_cast<u32>(b) ? static_cast<u32>(a) / static_cast<u32>(b) : ~u32{0}); }
};
struct Remw {
  static u64 of(u64 a, u64 b) { return word(static_cast<u32>(remainder_of(static_cast<i32>(a), static_cast<i32>(b)))); }
};
struct Remuw {
  static u64 of(u64 a, u64 b) {
    return word(static_cast<u32>(b) ? static_cast<u32>(a) % static_cast<u32>(b) : static_cast<u32>(a));
  }
};

template <typename Operation, bool kFull>
Next register_register(Wave& w, const Decoded& d) {
  u64* r = w.x[d.rd].lane;
  const u64* a = w.x[d.rs1].lane;
  const u64* b = w.x[d.rs2].lane;
  const u64* m = w.mask.lane;
  TANDEM_FOR_LANES(i) {
    const u64 value = Operation::of(a[i], b[i]);
    r[i] = kFull || m[i] ? value : r[i];
  }
  return Next::Sequential;
}

template <typename Operation>
void set(HandlerTable& table, Op op) {
  table.full[static_cast<u64>(op)] = register_register<Operation, true>;
  table.masked[static_cast<u64>(op)] = register_register<Operation, false>;
}

}  // namespace

namespace TANDEM_LEVEL {

void fill_muldiv(HandlerTable& table) {
  set<Mul>(table, Op::Mul);
  set<Mulh>(table, Op::Mulh);
  set<Mulhsu>(table, Op::Mulhsu);
  set<Mulhu>(table, Op::Mulhu);
  set<Div>(table, Op::Div);
  set<Divu>(table, Op::Divu);
  set<Rem>(table, Op::Rem);
  set<Remu>(table, Op::Remu);
  set<Mulw>(table, Op::Mulw);
  set<Divw>(table, Op::Divw);
  set<Divuw>(table, Op::Divuw);
  set<Remw>(table, Op::Remw);
  set<Remuw>(table, Op::Remuw);
}

}  // namespace TANDEM_LEVEL
}  // namespace tandem::compute
