// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": integer register-register and register-immediate instructions (RV64I chapters 2 and 4), each one
// loop over 32 lanes. Compiled for several x86-64 levels; see execute.h.
#include "compute/execute.h"
#include "compute/wave.h"

namespace tandem::compute {
namespace {

using u64 = uint64_t;
using i64 = int64_t;

TANDEM_ALWAYS_INLINE i64 s64(u64 v) { return static_cast<i64>(v); }
TANDEM_ALWAYS_INLINE u64 word(uint32_t v) { return static_cast<u64>(static_cast<i64>(static_cast<int32_t>(v))); }
TANDEM_ALWAYS_INLINE uint32_t low(u64 v) { return static_cast<uint32_t>(v); }

struct Add { static u64 of(u64 a, u64 b) { return a + b; } };
struct Sub { static u64 of(u64 a, u64 b) { return a - b; } };
struct And { static u64 of(u64 a, u64 b) { return a & b; } };
struct Or { static u64 of(u64 a, u64 b) { return a | b; } };
struct Xor { static u64 of(u64 a, u64 b) { return a ^ b; } };
struct Sll { static u64 of(u64 a, u64 b) { return a << (b & 63); } };
struct Srl { static u64 of(u64 a, u64 b) { return a >> (b & 63); } };
struct Sra { static u64 of(u64 a, u64 b) { return static_cast<u64>(s64(a) >> (b & 63)); } };
struct Slt { static u64 of(u64 a, u64 b) { return s64(a) < s64(b); } };
struct Sltu { static u64 of(u64 a, u64 b) { return a < b; } };
struct Addw { static u64 of(u64 a, u64 b) { return word(low(a) + low(b)); } };
struct Subw { static u64 of(u64 a, u64 b) { return word(low(a) - low(b)); } };
struct Sllw { static u64 of(u64 a, u64 b) { return word(low(a) << (b & 31)); } };
struct Srlw { static u64 of(u64 a, u64 b) { return word(low(a) >> (b & 31)); } };
struct Sraw { static u64 of(u64 a, u64 b) { return static_cast<u64>(i64{static_cast<int32_t>(low(a)) >> (b & 31)}); } };

// Results go straight into the destination row: a temporary row would cost a third of the speed.
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

template <typename Operation, bool kFull>
Next register_immediate(Wave& w, const Decoded& d) {
  u64* r = w.x[d.rd].lane;
  const u64* a = w.x[d.rs1].lane;
  const u64 b = static_cast<u64>(d.imm);
  const u64* m = w.mask.lane;
  TANDEM_FOR_LANES(i) {
    const u64 value = Operation::of(a[i], b);
    r[i] = kFull || m[i] ? value : r[i];
  }
  return Next::Sequential;
}

template <bool kFull>
Next constant(Wave& w, const Decoded& d) {
  u64* r = w.x[d.rd].lane;
  const u64 value = static_cast<u64>(d.imm);
  const u64* m = w.mask.lane;
  TANDEM_FOR_LANES(i) r[i] = kFull || m[i] ? value : r[i];
  return Next::Sequential;
}

Next nop(Wave&, const Decoded&) { return Next::Sequential; }

void set(HandlerTable& table, Op op, Handler full, Handler masked) {
  table.full[static_cast<u64>(op)] = full;
  table.masked[static_cast<u64>(op)] = masked;
}
template <typename Operation>
void set_rr(HandlerTable& table, Op op) {
  set(table, op, register_register<Operation, true>, register_register<Operation, false>);
}
template <typename Operation>
void set_ri(HandlerTable& table, Op op) {
  set(table, op, register_immediate<Operation, true>, register_immediate<Operation, false>);
}

}  // namespace

namespace TANDEM_LEVEL {

void fill_int(HandlerTable& table) {
  set(table, Op::Const, constant<true>, constant<false>);
  set(table, Op::Nop, nop, nop);
  set_ri<Add>(table, Op::Addi);
  set_ri<Slt>(table, Op::Slti);
  set_ri<Sltu>(table, Op::Sltiu);
  set_ri<Xor>(table, Op::Xori);
  set_ri<Or>(table, Op::Ori);
  set_ri<And>(table, Op::Andi);
  set_ri<Sll>(table, Op::Slli);
  set_ri<Srl>(table, Op::Srli);
  set_ri<Sra>(table, Op::Srai);
  set_ri<Addw>(table, Op::Addiw);
  set_ri<Sllw>(table, Op::Slliw);
  set_ri<Srlw>(table, Op::Srliw);
  set_ri<Sraw>(table, Op::Sraiw);
  set_rr<Add>(table, Op::Add);
  set_rr<Sub>(table, Op::Sub);
  set_rr<Sll>(table, Op::Sll);
  set_rr<Slt>(table, Op::Slt);
  set_rr<Sltu>(table, Op::Sltu);
  set_rr<Xor>(table, Op::Xor);
  set_rr<Srl>(table, Op::Srl);
  set_rr<Sra>(table, Op::Sra);
  set_rr<Or>(table, Op::Or);
  set_rr<And>(table, Op::And);
  set_rr<Addw>(table, Op::Addw);
  set_rr<Subw>(table, Op::Subw);
  set_rr<Sllw>(table, Op::Sllw);
  set_rr<Srlw>(table, Op::Srlw);
  set_rr<Sraw>(table, Op::Sraw);
}

}  // namespace TANDEM_LEVEL
}  // namespace tandem::compute
