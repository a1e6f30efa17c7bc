// SPDX-License-Identifier: GPL-2.0-or-later
// Step "atomic unit": LR/SC and AMOs (A extension). Lanes that meet at one address act one after the other, in lane order.
//
// On system memory and VRAM these are host atomics on the page that the vCPUs use (design page, "Atomics are real"). Without
// PCIe AtomicOps an atomic on system memory is a plain load, modify and store: exclusive access is then the
// driver's duty, and its absence shows as a lost update. All host atomics are sequentially consistent, which gives each
// of aq, rl and aqrl what it asks for; rl also writes out the queued stores first.
#include <type_traits>

#include "compute/execute.h"
#include "compute/lane_access.h"
#include "compute/schedule_lanes.h"

namespace tandem::compute {
namespace {

constexpr uint32_t kReleaseBit = 1u << 25;

// An operation as a function of the old value and the operand, and as one host atomic.
#define TANDEM_BUILTIN_AMO(name, builtin, expression)                                          \
  struct name {                                                                                \
    template <typename T>                                                                      \
    static T apply(T old, T v) { return static_cast<T>(expression); }                          \
    template <typename T>                                                                      \
    static T atomic(T* at, T v) { return builtin(at, v, __ATOMIC_SEQ_CST); }                   \
  };
TANDEM_BUILTIN_AMO(Swap, __atomic_exchange_n, ((void)old, v))
TANDEM_BUILTIN_AMO(Add, __atomic_fetch_add, old + v)
TANDEM_BUILTIN_AMO(Xor, __atomic_fetch_xor, old ^ v)
TANDEM_BUILTIN_AMO(And, __atomic_fetch_and, old & v)
TANDEM_BUILTIN_AMO(Or, __atomic_fetch_or, old | v)
#undef TANDEM_BUILTIN_AMO

template <typename Choice>
struct ByCompareAndSwap {
  template <typename T>
  static T apply(T old, T v) { return Choice::template apply<T>(old, v); }
  template <typename T>
  static T atomic(T* at, T v) {
    T old = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(at, &old, apply(old, v), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {}
    return old;
  }
};
struct Smaller {
  template <typename T>
  static T apply(T old, T v) { return v < old ? v : old; }
};
struct Greater {
  template <typename T>
  static T apply(T old, T v) { return v > old ? v : old; }
};
using Min = ByCompareAndSwap<Smaller>;
using Max = ByCompareAndSwap<Greater>;

// How an atomic is done on a run of memory.
enum class Means : uint8_t {
  HostAtomic,
  Plain,        // LDS: the workgroup's own, and it runs on one unit, so that there is nobody to race with
  OverTheBus,   // a read and a write on the bus, and whatever the CPUs do meanwhile
};

Means means_for(const UnitContext& unit, const MemoryRun& run) {
  if (run.lds) return Means::Plain;
  return run.aperture != TANDEM_APERTURE_SYSTEM || unit.config.pcie_atomics ? Means::HostAtomic : Means::OverTheBus;
}

// Between the read and the write. A bus takes longer; this is enough for a CPU that should not be there to be noticed.
void wait_for_the_bus() {
  constexpr int kPauses = 4;
  for (int i = 0; i < kPauses; ++i) __builtin_ia32_pause();
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
  if (d.word & kReleaseBit) w.unit->write_queued(w);
  else w.unit->write_queued_overlapping(w, address, lanes, bytes);
  w.synchronised = true;
  if (others_wait(w)) spend_patience(w, kAtomicImpatience);
}

Next never_straddles(Wave& w, const Decoded& d) { return fail(w, d, TANDEM_QUEUE_MISALIGNED_ATOMIC, 0, 0, 0); }

template <typename Operation, typename T>
T modify(Means means, std::byte* at, T operand) {
  if (means == Means::HostAtomic) return Operation::atomic(reinterpret_cast<T*>(at), operand);
  const T old = load_relaxed<T>(at);
  if (means == Means::OverTheBus) wait_for_the_bus();
  store_relaxed<T>(at, Operation::template apply<T>(old, operand));
  return old;
}

template <typename Operation, typename T>
Next amo(Wave& w, const Decoded& d) {
  const Row address = w.x[d.rs1];  // copies: rd may be rs1 or rs2
  const Row operand = w.x[d.rs2];
  if (!all_aligned<T>(w, d, address.lane)) return Next::Failed;
  const LaneMask lanes = w.lanes_of_instruction();
  order_queued_stores(w, d, address.lane, lanes, sizeof(T));
  const auto perform = [&](const MemoryRun& run, LaneMask here) {
    const Means means = means_for(*w.unit, run);
    for_each_lane(here, [&](uint32_t i) {
      std::byte* at = run.host + (address.lane[i] - run.va);
      w.x[d.rd].lane[i] = extend(modify<Operation, T>(means, at, static_cast<T>(operand.lane[i])));
    });
    w.unit->stored(w, run, address.lane, here, sizeof(T));
  };
  const Next next = access_by_run(w, d, address.lane, sizeof(T), Access::Atomic, lanes, perform,
                                  [&](const Straddle&, uint32_t) { never_straddles(w, d); });
  w.unit->atomics += count_lanes(lanes & ~w.pending);
  return next;
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
      const T value = __atomic_load_n(reinterpret_cast<const T*>(run.host + (address.lane[i] - run.va)), __ATOMIC_SEQ_CST);
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

template <typename T>
bool swap_if_unchanged(Means means, std::byte* at, T expected, T desired) {
  if (means == Means::HostAtomic)
    return __atomic_compare_exchange_n(reinterpret_cast<T*>(at), &expected, desired, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
  if (load_relaxed<T>(at) != expected) return false;
  if (means == Means::OverTheBus) wait_for_the_bus();
  store_relaxed<T>(at, desired);
  return true;
}

// One lane of SC. A success breaks the reservations of all other lanes on these bytes, so of the lanes that do this
// together the lowest wins and the others fail, even if the value did not change.
template <typename T>
bool store_conditional_lane(Wave& w, const MemoryRun& run, uint32_t lane, uint64_t va, T value) {
  if (!(w.reserved & lane_bit(lane))) return false;
  w.reserved &= ~lane_bit(lane);
  const T expected = static_cast<T>(w.reservation[lane].value);
  if (!swap_if_unchanged<T>(means_for(*w.unit, run), run.host + (va - run.va), expected, value)) return false;
  w.unit->stored_range(w, run, va, sizeof(T));
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
  const auto perform = [&](const MemoryRun& run, LaneMask here) {
    for_each_lane(here, [&](uint32_t i) {
      const bool stored = store_conditional_lane<T>(w, run, i, address.lane[i], static_cast<T>(value.lane[i]));
      w.x[d.rd].lane[i] = stored ? 0 : kFailed;
    });
  };
  const Next next = access_by_run(w, d, address.lane, sizeof(T), Access::Atomic, able, perform,
                                  [&](const Straddle&, uint32_t) { never_straddles(w, d); });
  w.unit->atomics += count_lanes(lanes & ~w.pending);
  return next;
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
  set(table, Op::AmoSwapW, amo<Swap, uint32_t>);
  set(table, Op::AmoSwapD, amo<Swap, uint64_t>);
  set(table, Op::AmoAddW, amo<Add, uint32_t>);
  set(table, Op::AmoAddD, amo<Add, uint64_t>);
  set(table, Op::AmoXorW, amo<Xor, uint32_t>);
  set(table, Op::AmoXorD, amo<Xor, uint64_t>);
  set(table, Op::AmoAndW, amo<And, uint32_t>);
  set(table, Op::AmoAndD, amo<And, uint64_t>);
  set(table, Op::AmoOrW, amo<Or, uint32_t>);
  set(table, Op::AmoOrD, amo<Or, uint64_t>);
  set(table, Op::AmoMinW, amo<Min, int32_t>);
  set(table, Op::AmoMinD, amo<Min, int64_t>);
  set(table, Op::AmoMaxW, amo<Max, int32_t>);
  set(table, Op::AmoMaxD, amo<Max, int64_t>);
  set(table, Op::AmoMinuW, amo<Min, uint32_t>);
  set(table, Op::AmoMinuD, amo<Min, uint64_t>);
  set(table, Op::AmoMaxuW, amo<Max, uint32_t>);
  set(table, Op::AmoMaxuD, amo<Max, uint64_t>);
}

}  // namespace tandem::compute
