// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": jumps, branches, fences, traps, and the instructions that lanes use to act together
// (tandem_kernel_isa.h). Compiled for several x86-64 levels; see execute.h.
#include "compute/execute.h"
#include "compute/row_tests.h"
#include "compute/unit_context.h"

namespace tandem::compute {
namespace {

using u64 = uint64_t;

using V = LaneVector;
using Truth = SignedLaneVector;

TANDEM_ALWAYS_INLINE SignedLaneVector s(V v) { return reinterpret_cast<SignedLaneVector>(v); }

struct Equal { TANDEM_ALWAYS_INLINE static Truth of(V a, V b) { return a == b; } };
struct NotEqual { TANDEM_ALWAYS_INLINE static Truth of(V a, V b) { return a != b; } };
struct Less { TANDEM_ALWAYS_INLINE static Truth of(V a, V b) { return s(a) < s(b); } };
struct NotLess { TANDEM_ALWAYS_INLINE static Truth of(V a, V b) { return s(a) >= s(b); } };
struct LessUnsigned { TANDEM_ALWAYS_INLINE static Truth of(V a, V b) { return a < b; } };
struct NotLessUnsigned { TANDEM_ALWAYS_INLINE static Truth of(V a, V b) { return a >= b; } };

template <typename Condition>
Next branch(Wave& w, const Decoded& d) {
  const u64* a = w.x[d.rs1].lane;
  const u64* b = w.x[d.rs2].lane;
  const LaneMask taken = lanes_where_rows<Condition>(a, b) & w.active;
  if (taken == 0) return Next::Sequential;
  const u64 target = static_cast<u64>(d.imm);
  if (taken == w.active) {
    w.pc = target;
    return Next::Jump;
  }
  const u64 next = d.pc + 4;
  TANDEM_FOR_LANES(i) {
    const u64 to = taken >> i & 1 ? target : next;
    w.lane_pc[i] = w.mask.lane[i] ? to : w.lane_pc[i];
  }
  return Next::Diverged;
}

template <bool kFull>
TANDEM_ALWAYS_INLINE void link(Wave& w, const Decoded& d) {
  u64* r = w.x[d.rd].lane;
  const u64 back = d.pc + 4;
  TANDEM_FOR_LANES(i) r[i] = kFull || w.mask.lane[i] ? back : r[i];
}

template <bool kFull>
Next jump(Wave& w, const Decoded& d) {
  w.pc = static_cast<u64>(d.imm);
  link<kFull>(w, d);
  return Next::Jump;
}

// The target is taken before the link is written: rd and rs1 may be the same register.
template <bool kFull>
Next jump_register(Wave& w, const Decoded& d) {
  const u64* base = w.x[d.rs1].lane;
  alignas(64) u64 target[kLanes];
  TANDEM_FOR_LANES(i) target[i] = (base[i] + static_cast<u64>(d.imm)) & ~u64{1};
  const u64 common = target[first_lane(w.active)];
  const LaneMask elsewhere = lanes_where([&](uint32_t i) { return target[i] != common; }) & w.active;
  link<kFull>(w, d);
  if (!elsewhere) {
    w.pc = common;
    return Next::Jump;
  }
  TANDEM_FOR_LANES(i) w.lane_pc[i] = kFull || w.mask.lane[i] ? target[i] : w.lane_pc[i];
  return Next::Diverged;
}

// Queued stores are what may still be after the fence; the host orders all of x86 but a store before a later load, and the
// units of a device are run one after the other.
Next order(Wave& w, bool writes_before, bool any_after, bool reads_after, tandem_scope scope) {
  w.synchronised = true;
  if (!writes_before || !any_after) return Next::Sequential;
  w.unit->write_for_release(w, scope);
  if (reads_after && scope == TANDEM_SCOPE_SYSTEM) __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return Next::Sequential;
}

// Bits 27..24 predecessor set, 23..20 successor set, each i o r w.
Next fence(Wave& w, const Decoded& d) {
  const uint32_t before = d.word >> 24 & 0xf, after = d.word >> 20 & 0xf;
  return order(w, before & kFenceWrites, after != 0, after & kFenceReads, TANDEM_SCOPE_SYSTEM);
}

Next scoped_fence(Wave& w, const Decoded& d) {
  return order(w, d.rs1 & TANDEM_FENCE_WRITES, d.rs2 != 0, d.rs2 & TANDEM_FENCE_READS, scope_of(d));
}

Next fence_i(Wave& w, const Decoded&) {
  w.unit->synchronise_code(w);
  return Next::Refetch;
}

Next pause(Wave&, const Decoded&) { return Next::Yield; }

Next trap(Wave& w, const Decoded& d, QueueError error) {
  return fail(w, d, error, first_lane(w.active), d.pc, d.word);
}
Next ecall(Wave& w, const Decoded& d) { return trap(w, d, TANDEM_QUEUE_ECALL); }
Next ebreak(Wave& w, const Decoded& d) { return trap(w, d, TANDEM_QUEUE_BREAKPOINT); }
Next illegal(Wave& w, const Decoded& d) { return trap(w, d, TANDEM_QUEUE_ILLEGAL_INSTRUCTION); }

Next barrier(Wave&, const Decoded&) { return Next::Barrier; }
Next exit_lanes(Wave&, const Decoded&) { return Next::Exit; }

template <bool kFull>
Next ballot(Wave& w, const Decoded& d) {
  const u64* a = w.x[d.rs1].lane;
  const LaneMask votes = lanes_where([&](uint32_t i) { return a[i] != 0; }) & w.active;
  u64* r = w.x[d.rd].lane;
  TANDEM_FOR_LANES(i) r[i] = kFull || w.mask.lane[i] ? u64{votes} : r[i];
  return Next::Sequential;
}

template <bool kFull>
Next shuffle(Wave& w, const Decoded& d) {
  const Row from = w.x[d.rs1];
  const u64* index = w.x[d.rs2].lane;
  u64* r = w.x[d.rd].lane;
  for (uint32_t i = 0; i < kLanes; ++i) {
    const uint32_t source = index[i] & (kLanes - 1);
    const u64 value = kFull || w.mask.lane[source] ? from.lane[source] : 0;
    if (kFull || w.mask.lane[i]) r[i] = value;
  }
  return Next::Sequential;
}

void set(HandlerTable& table, Op op, Handler full, Handler masked) {
  table.full[static_cast<u64>(op)] = full;
  table.masked[static_cast<u64>(op)] = masked;
}
void set(HandlerTable& table, Op op, Handler handler) { set(table, op, handler, handler); }

}  // namespace

namespace TANDEM_LEVEL {

void fill_control(HandlerTable& table) {
  set(table, Op::Jal, jump<true>, jump<false>);
  set(table, Op::Jalr, jump_register<true>, jump_register<false>);
  set(table, Op::Beq, branch<Equal>);
  set(table, Op::Bne, branch<NotEqual>);
  set(table, Op::Blt, branch<Less>);
  set(table, Op::Bge, branch<NotLess>);
  set(table, Op::Bltu, branch<LessUnsigned>);
  set(table, Op::Bgeu, branch<NotLessUnsigned>);
  set(table, Op::Fence, fence);
  set(table, Op::ScopedFence, scoped_fence);
  set(table, Op::FenceI, fence_i);
  set(table, Op::Pause, pause);
  set(table, Op::Ecall, ecall);
  set(table, Op::Ebreak, ebreak);
  set(table, Op::Illegal, illegal);
  set(table, Op::Barrier, barrier);
  set(table, Op::Exit, exit_lanes);
  set(table, Op::Ballot, ballot<true>, ballot<false>);
  set(table, Op::Shuffle, shuffle<true>, shuffle<false>);
}

}  // namespace TANDEM_LEVEL
}  // namespace tandem::compute
