// SPDX-License-Identifier: GPL-2.0-or-later
// Step "atomic unit": LR/SC and AMOs (A extension). Lanes that meet at one address act one after the other, in lane order.
//
// mem/atomic_unit.h does the words, and says by which means. The wavefront waits until the last word of its instruction
// is written. Atomics are sequentially consistent, which gives each of aq, rl and aqrl what it asks for; rl also writes
// out the queued stores first.
#include <type_traits>

#include "compute/execute.h"
#include "compute/lane_access.h"
#include "compute/schedule_lanes.h"
#include "mem/atomic_operations.h"

namespace tandem::compute {
namespace {

using Means = AtomicUnit::Means;

// LDS is the workgroup's own, and it runs on one unit: nobody to race with. Nor is there anybody among the lanes of a device,
// because its units are run one after the other.
Means means_for(const UnitContext& unit, const MemoryRun& run, tandem_scope scope) {
  return run.lds || scope != TANDEM_SCOPE_SYSTEM ? Means::Plain : unit.memory.atomics().means_for(run.aperture);
}

Access access_for(tandem_scope scope) { return scope == TANDEM_SCOPE_SYSTEM ? Access::Atomic : Access::Write; }

AtomicWord word_at(const Wave& w, const MemoryRun& run, tandem_scope scope, uint64_t va) {
  const uint64_t offset = va - run.va;
  return {.pasid = w.request.pasid, .va = gva(va), .host = run.host + offset, .aperture = run.aperture,
          .device_address = run.device_address + offset,
          .system_scope = !run.lds && scope == TANDEM_SCOPE_SYSTEM};
}

// The lanes have done their atomics. If their stores are still to come, the atomic unit tells the host; reservations
// are lost now, because any new one will first complete the word.
void atomics_done(Wave& w, Means means, const MemoryRun& run, const uint64_t* address, LaneMask lanes, uint32_t bytes) {
  if (means != Means::Paused) return w.unit->stored(w, run, address, lanes, bytes);
  w.unit->break_reservations(w, false, address, lanes, bytes);
}

// How an atomic instruction ends, of which access_by_run() said `next`.
Next retire(const Wave& w, Next next) {
  const bool retired = next == Next::Sequential || next == Next::Refetch;
  return retired && w.atomics_under_way() ? Next::Pause : next;
}

template <typename T>
uint64_t extend(T value) {
  return static_cast<uint64_t>(static_cast<int64_t>(static_cast<std::make_signed_t<T>>(value)));
}

// True if all lanes' addresses are naturally aligned; else the wavefront has failed.
template <typename T>
bool all_aligned(Wave& w, const Decoded& d, const uint64_t* address) {
  const LaneMask off = lanes_where([&](uint32_t i) { return address[i] % sizeof(T) != 0; }) & w.lanes_of_instruction();
  if (!off) return true;
  fail(w, d, TANDEM_QUEUE_MISALIGNED_ATOMIC, first_lane(off), address[first_lane(off)], TANDEM_ACCESS_ATOMIC);
  return false;
}

void order_queued_stores(Wave& w, const Decoded& d, const uint64_t* address, LaneMask lanes, uint32_t bytes) {
  if (d.word & kReleaseBit) w.unit->write_for_release(w, scope_of(d));
  w.unit->write_queued_overlapping(w, address, lanes, bytes);
  w.synchronised = true;
  if (others_wait(w)) spend_patience(w, kAtomicImpatience);
}

Next never_straddles(Wave& w, const Decoded& d) { return fail(w, d, TANDEM_QUEUE_MISALIGNED_ATOMIC, 0, 0, 0); }

template <typename Operation, typename T>
Next amo(Wave& w, const Decoded& d) {
  const Row address = w.x[d.rs1];  // copies: rd may be rs1 or rs2
  const Row operand = w.x[d.rs2];
  if (!all_aligned<T>(w, d, address.lane)) return Next::Failed;
  const LaneMask lanes = w.lanes_of_instruction();
  order_queued_stores(w, d, address.lane, lanes, sizeof(T));
  const tandem_scope scope = scope_of(d);
  const auto perform = [&](const MemoryRun& run, LaneMask here) {
    const Means means = means_for(*w.unit, run, scope);
    for_each_lane(here, [&](uint32_t i) {
      const AtomicWord word = word_at(w, run, scope, address.lane[i]);
      w.x[d.rd].lane[i] = extend(w.unit->memory.atomics().modify<Operation>(means, word, static_cast<T>(operand.lane[i]), w));
    });
    atomics_done(w, means, run, address.lane, here, sizeof(T));
  };
  const Next next = access_by_run(w, d, address.lane, sizeof(T), access_for(scope), lanes, perform,
                                  [&](const Straddle&, uint32_t) { never_straddles(w, d); });
  w.unit->atomics += count_lanes(lanes & ~w.pending);
  return retire(w, next);
}

// Needs no more than a load: SC will ask for the right to do atomics. If that right has to be fetched by way of an
// invalidation, the reservation is lost, SC fails once, and the program's loop goes round again.
template <typename T>
Next load_reserved(Wave& w, const Decoded& d) {
  const Row address = w.x[d.rs1];
  if (!all_aligned<T>(w, d, address.lane)) return Next::Failed;
  const LaneMask lanes = w.lanes_of_instruction();
  order_queued_stores(w, d, address.lane, lanes, sizeof(T));
  w.unit->reservations_exist = true;
  const auto perform = [&](const MemoryRun& run, LaneMask here) {
    for_each_lane(here, [&](uint32_t i) {
      const T value = w.unit->memory.atomics().load<T>(run.host + (address.lane[i] - run.va));
      w.reservation[i] = {.va = address.lane[i], .value = static_cast<uint64_t>(value), .bytes = sizeof(T)};
      w.reserved |= lane_bit(i);
      w.x[d.rd].lane[i] = extend(value);
    });
  };
  const Next next = access_by_run(w, d, address.lane, sizeof(T), Access::Read, lanes, perform,
                                  [&](const Straddle&, uint32_t) { never_straddles(w, d); });
  w.unit->atomics += count_lanes(lanes & ~w.pending);
  return next;
}

LaneMask lanes_with_reservation(const Wave& w, const uint64_t* address, uint32_t bytes) {
  LaneMask match = 0;
  for_each_lane(w.reserved, [&](uint32_t i) {
    if (w.reservation[i].va == address[i] && w.reservation[i].bytes == bytes) match |= lane_bit(i);
  });
  return match;
}

// One lane of SC. A success breaks the reservations of all other lanes on these bytes, so of the lanes that do this
// together the lowest wins and the others fail, even if the value did not change.
template <typename T>
bool store_conditional_lane(Wave& w, const MemoryRun& run, tandem_scope scope, uint32_t lane, uint64_t va, T value) {
  const Means means = means_for(*w.unit, run, scope);
  if (!(w.reserved & lane_bit(lane))) return false;
  w.reserved &= ~lane_bit(lane);
  const T expected = static_cast<T>(w.reservation[lane].value);
  if (!w.unit->memory.atomics().store_if<T>(means, word_at(w, run, scope, va), expected, value, w)) return false;
  if (means == Means::Paused) w.unit->break_reservations(w, false, va, sizeof(T));
  else w.unit->stored_range(w, run, va, sizeof(T));
  return true;
}

template <typename T>
Next store_conditional(Wave& w, const Decoded& d) {
  constexpr uint64_t kFailed = 1;
  const Row address = w.x[d.rs1];
  const Row value = w.x[d.rs2];
  if (!all_aligned<T>(w, d, address.lane)) return Next::Failed;
  const LaneMask lanes = w.lanes_of_instruction();
  const LaneMask able = lanes & lanes_with_reservation(w, address.lane, sizeof(T));
  order_queued_stores(w, d, address.lane, able, sizeof(T));
  for_each_lane(lanes & ~able, [&](uint32_t i) { w.x[d.rd].lane[i] = kFailed; });
  w.reserved &= ~(lanes & ~able);
  const tandem_scope scope = scope_of(d);
  const auto perform = [&](const MemoryRun& run, LaneMask here) {
    for_each_lane(here, [&](uint32_t i) {
      const bool stored = store_conditional_lane<T>(w, run, scope, i, address.lane[i], static_cast<T>(value.lane[i]));
      w.x[d.rd].lane[i] = stored ? 0 : kFailed;
    });
  };
  const Next next = access_by_run(w, d, address.lane, sizeof(T), access_for(scope), able, perform,
                                  [&](const Straddle&, uint32_t) { never_straddles(w, d); });
  w.unit->atomics += count_lanes(lanes & ~w.pending);
  return retire(w, next);
}

void set(HandlerTable& table, Op op, Handler handler) {
  table.full[static_cast<uint32_t>(op)] = handler;
  table.masked[static_cast<uint32_t>(op)] = handler;
}

}  // namespace

void fill_atomic(HandlerTable& table) {
  set(table, Op::LrW, load_reserved<uint32_t>);
  set(table, Op::LrD, load_reserved<uint64_t>);
  set(table, Op::ScW, store_conditional<uint32_t>);
  set(table, Op::ScD, store_conditional<uint64_t>);
  set(table, Op::AmoSwapW, amo<atomic_operation::Swap, uint32_t>);
  set(table, Op::AmoSwapD, amo<atomic_operation::Swap, uint64_t>);
  set(table, Op::AmoAddW, amo<atomic_operation::Add, uint32_t>);
  set(table, Op::AmoAddD, amo<atomic_operation::Add, uint64_t>);
  set(table, Op::AmoXorW, amo<atomic_operation::Xor, uint32_t>);
  set(table, Op::AmoXorD, amo<atomic_operation::Xor, uint64_t>);
  set(table, Op::AmoAndW, amo<atomic_operation::And, uint32_t>);
  set(table, Op::AmoAndD, amo<atomic_operation::And, uint64_t>);
  set(table, Op::AmoOrW, amo<atomic_operation::Or, uint32_t>);
  set(table, Op::AmoOrD, amo<atomic_operation::Or, uint64_t>);
  set(table, Op::AmoMinW, amo<atomic_operation::Min, int32_t>);
  set(table, Op::AmoMinD, amo<atomic_operation::Min, int64_t>);
  set(table, Op::AmoMaxW, amo<atomic_operation::Max, int32_t>);
  set(table, Op::AmoMaxD, amo<atomic_operation::Max, int64_t>);
  set(table, Op::AmoMinuW, amo<atomic_operation::Min, uint32_t>);
  set(table, Op::AmoMinuD, amo<atomic_operation::Min, uint64_t>);
  set(table, Op::AmoMaxuW, amo<atomic_operation::Max, uint32_t>);
  set(table, Op::AmoMaxuD, amo<atomic_operation::Max, uint64_t>);
}

}  // namespace tandem::compute
