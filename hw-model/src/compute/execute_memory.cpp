// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": loads and stores. Compiled for several x86-64 levels; see execute.h.
//
// Single-copy atomicity (design page, "Atomics are real"). Naturally aligned elements are read and written either one by one
// with load_relaxed() and store_relaxed(), or, when the lanes' addresses are consecutive, by loops that the compiler turns
// into vector moves. On x86 a vector move whose elements are naturally aligned never tears an element: the processor splits it
// at 8-byte granules at the finest, at cache line ends, and an aligned element of up to 8 bytes lies within one granule. What would
// break it is a library memcpy, so this source is built with -fno-tree-loop-distribute-patterns. Misaligned elements
// go byte by byte and are not atomic.
#include "compute/execute.h"
#include "compute/float_lane.h"
#include "compute/lane_access.h"
#include "compute/row_tests.h"

namespace tandem::compute {
namespace {

using u64 = uint64_t;

template <typename T>
struct AliasOf { using type [[gnu::may_alias]] = T; };
template <typename T>
using Alias = typename AliasOf<T>::type;

// How a loaded element becomes a register value.
struct Extend {
  template <typename T>
  static u64 of(T value) { return static_cast<u64>(static_cast<int64_t>(value)); }  // by the signedness of T
};
struct NanBox {
  template <typename T>
  static u64 of(T value) { return u64{value} | kBox; }
};

template <typename T>
TANDEM_ALWAYS_INLINE bool aligned(u64 va) { return va % sizeof(T) == 0; }

template <typename T>
T load_bytes(const std::byte* from, uint32_t bytes, uint32_t done = 0, T value = 0) {
  for (uint32_t i = 0; i < bytes; ++i)
    value = static_cast<T>(u64(value) | u64{load_relaxed<uint8_t>(from + i)} << 8 * (done + i));
  return value;
}

void store_bytes(std::byte* to, uint32_t bytes, u64 value) {
  for (uint32_t i = 0; i < bytes; ++i) store_relaxed(to + i, static_cast<uint8_t>(value >> 8 * i));
}

template <typename T>
TANDEM_ALWAYS_INLINE T load_element(const std::byte* from, u64 va) {
  return aligned<T>(va) ? load_relaxed<T>(from) : load_bytes<T>(from, sizeof(T));
}

template <typename T>
TANDEM_ALWAYS_INLINE void store_element(std::byte* to, u64 va, u64 value) {
  if (aligned<T>(va)) store_relaxed(to, static_cast<T>(value));
  else store_bytes(to, sizeof(T), value);
}

TANDEM_ALWAYS_INLINE void addresses(const Wave& w, const Decoded& d, u64* address) {
  const u64* base = w.x[d.rs1].lane;
  const u64 imm = static_cast<u64>(d.imm);
  TANDEM_FOR_LANES(i) address[i] = base[i] + imm;
}

// Whether the lanes' elements lie side by side: of addresses, or of the base register, to which all lanes add the same.
template <typename T>
TANDEM_ALWAYS_INLINE bool consecutive(const u64* address) {
  return rises_by(address, sizeof(T));
}

TANDEM_ALWAYS_INLINE bool same_for_all(const u64* address) {
  return rises_by(address, 0);
}

// [va, va + bytes) is aligned for T and not LDS; whether it is mapped is another question.
template <typename T>
TANDEM_ALWAYS_INLINE bool in_memory(u64 va, u64 bytes) { return aligned<T>(va) && va <= TANDEM_VA_LIMIT - bytes; }

TANDEM_ALWAYS_INLINE const TlbEntry* look_up(Wave& w, const Decoded& d, u64 va, Access access) {
  w.request.va = Gva{{va}};
  w.request.access = access;
  w.request.lane = 0;
  w.request.pc = d.pc;
  return w.unit->translator.lookup(w.request);
}

// One element for all 32 lanes: arguments, bounds, loop-invariant pointers. False: take the general path.
template <typename T, typename Convert>
TANDEM_ALWAYS_INLINE bool load_broadcast(Wave& w, const Decoded& d, Row& to, u64 va) {
  if (!in_memory<T>(va, sizeof(T))) return false;
  if (!w.stores.empty()) w.unit->write_queued_overlapping(w, va, sizeof(T));
  const TlbEntry* entry = look_up(w, d, va, Access::Read);
  if (!entry) return false;
  if (entry->counted) [[unlikely]] w.unit->count_access(w, va);
  const u64 value = Convert::of(load_relaxed<T>(entry->host + (va - entry->va.value)));
  TANDEM_FOR_LANES(i) to.lane[i] = value;
  return true;
}

// A wavefront that walks through memory takes large steps (the whole grid is between its rows), which the host's prefetchers
// do not follow, so that each row would be waited for. What the instruction will touch two steps on is fetched now, if it goes
// on as it did and stays in its page.
template <typename T>
TANDEM_ALWAYS_INLINE void fetch_ahead(Wave& w, const Decoded& d, const TlbEntry& entry, u64 va) {
  constexpr u64 kRowBytes = kLanes * sizeof(T), kLineBytes = 64;
  u64& last = w.row_va[d.pc / 4 % kRowsRemembered];
  const u64 ahead = va + 2 * (va - last) - entry.va.value;
  last = va;
  if (ahead >= entry.bytes - kRowBytes) return;
  for (u64 at = 0; at < kRowBytes; at += kLineBytes) __builtin_prefetch(entry.host + ahead + at);
}

// The hot path: all lanes, consecutive and aligned elements, one TLB hit. nullptr: take the general path.
template <typename T>
TANDEM_ALWAYS_INLINE const TlbEntry* whole_row(Wave& w, const Decoded& d, u64 va, Access access) {
  constexpr u64 kRowBytes = kLanes * sizeof(T);
  if (!in_memory<T>(va, kRowBytes)) return nullptr;
  const TlbEntry* entry = look_up(w, d, va, access);
  if (!entry || va - entry->va.value > entry->bytes - kRowBytes) return nullptr;
  if (entry->counted) [[unlikely]] w.unit->count_row(w, va, kRowBytes);
  fetch_ahead<T>(w, d, *entry, va);
  return entry;
}

// The same, read. False: take the general path.
template <typename T, typename Convert>
TANDEM_ALWAYS_INLINE bool load_row(Wave& w, const Decoded& d, Row& to, u64 va) {
  if (!w.stores.empty() && va < TANDEM_VA_LIMIT) w.unit->write_queued_overlapping(w, va, kLanes * sizeof(T));
  const TlbEntry* entry = whole_row<T>(w, d, va, Access::Read);
  if (!entry) return false;
  const auto* from = reinterpret_cast<const Alias<T>*>(entry->host + (va - entry->va.value));
  TANDEM_FOR_LANES(i) to.lane[i] = Convert::of(T{from[i]});
  return true;
}

template <typename T, typename Convert>
void load_lanes(Row& to, const MemoryRun& run, const u64* address, LaneMask lanes) {
  if (lanes == kAllLanes && consecutive<T>(address) && aligned<T>(address[0])) {
    const auto* from = reinterpret_cast<const Alias<T>*>(run.host + (address[0] - run.va));
    TANDEM_FOR_LANES(i) to.lane[i] = Convert::of(T{from[i]});
    return;
  }
  for_each_lane(lanes, [&](uint32_t i) {
    to.lane[i] = Convert::of(load_element<T>(run.host + (address[i] - run.va), address[i]));
  });
}

// The wavefront sees its own stores: those which it now reads have to be in memory first.
template <typename T>
TANDEM_ALWAYS_INLINE void write_what_is_read(Wave& w, const u64* address) {
  const LaneMask lanes = w.lanes_of_instruction();
  if (lanes == kAllLanes && consecutive<T>(address) && address[0] < TANDEM_VA_LIMIT)
    w.unit->write_queued_overlapping(w, address[0], kLanes * sizeof(T));
  else
    w.unit->write_queued_overlapping(w, address, lanes, sizeof(T));
}

template <typename T, typename Convert>
[[gnu::noinline]] Next load_general(Wave& w, const Decoded& d, Row& to) {
  alignas(64) u64 address[kLanes];
  addresses(w, d, address);
  if (!w.stores.empty()) write_what_is_read<T>(w, address);
  const auto whole = [&](const MemoryRun& run, LaneMask lanes) { load_lanes<T, Convert>(to, run, address, lanes); };
  const auto split = [&](const Straddle& s, uint32_t lane) {
    const T low = load_bytes<T>(s.first.host + (address[lane] - s.first.va), s.first_bytes);
    to.lane[lane] = Convert::of(
        load_bytes<T>(s.second.host, static_cast<uint32_t>(sizeof(T)) - s.first_bytes, s.first_bytes, low));
  };
  const LaneMask lanes = w.lanes_of_instruction();
  const Next next = access_by_run(w, d, address, sizeof(T), Access::Read, lanes, whole, split);
  w.unit->loads += count_lanes(lanes & ~w.pending);
  return next;
}

template <typename T, typename Convert, bool kFloat, bool kFull>
Next load(Wave& w, const Decoded& d) {
  Row& to = kFloat ? w.f[d.rd] : w.x[d.rd];
  const u64* base = w.x[d.rs1].lane;
  const u64 first = base[0] + static_cast<u64>(d.imm);
  if (kFull && !w.pending &&
      (consecutive<T>(base) ? load_row<T, Convert>(w, d, to, first)
                            : same_for_all(base) && load_broadcast<T, Convert>(w, d, to, first))) {
    w.unit->loads += kLanes;
    return Next::Sequential;
  }
  return load_general<T, Convert>(w, d, to);
}

template <typename T>
void store_lanes(Wave& w, const Row& value, const MemoryRun& run, const u64* address, LaneMask lanes) {
  if (w.unit->stores_are_queued() && !run.lds) {
    w.unit->enqueue(w, run, address, value.lane, lanes, sizeof(T));
    return;
  }
  w.unit->before_store(run, address, lanes, sizeof(T));
  for_each_lane(lanes, [&](uint32_t i) {
    store_element<T>(run.host + (address[i] - run.va), address[i], value.lane[i]);
  });
  w.unit->stored(w, run, address, lanes, sizeof(T));
}

// Two neighbouring runs, byte by byte, each told or queued on its own.
void store_split(Wave& w, const Straddle& s, u64 va, u64 value, uint32_t bytes) {
  const auto piece = [&](const MemoryRun& run, u64 at, u64 part, uint32_t count) {
    if (w.unit->stores_are_queued() && !run.lds) {
      u64 address[kLanes] = {}, byte[kLanes] = {};
      for (uint32_t i = 0; i < count; ++i) {
        address[i] = at + i;
        byte[i] = part >> 8 * i & 0xff;
      }
      w.unit->enqueue(w, run, address, byte, (LaneMask{1} << count) - 1, 1);
      return;
    }
    w.unit->before_store(run.host + (at - run.va), count);
    store_bytes(run.host + (at - run.va), count, part);
    w.unit->stored_range(w, run, at, count);
  };
  piece(s.first, va, value, s.first_bytes);
  piece(s.second, va + s.first_bytes, value >> 8 * s.first_bytes, bytes - s.first_bytes);
}

template <typename T>
[[gnu::noinline]] Next store_general(Wave& w, const Decoded& d, const Row& value) {
  alignas(64) u64 address[kLanes];
  addresses(w, d, address);
  if (w.unit->stores_are_queued()) w.unit->begin_store_instruction(w);
  const auto whole = [&](const MemoryRun& run, LaneMask lanes) { store_lanes<T>(w, value, run, address, lanes); };
  const auto split = [&](const Straddle& s, uint32_t lane) {
    store_split(w, s, address[lane], value.lane[lane], sizeof(T));
  };
  const LaneMask lanes = w.lanes_of_instruction();
  const Next next = access_by_run(w, d, address, sizeof(T), Access::Write, lanes, whole, split);
  w.unit->stores += count_lanes(lanes & ~w.pending);
  return next;
}

// False: take the general path.
template <typename T>
TANDEM_ALWAYS_INLINE bool store_row(Wave& w, const Decoded& d, const Row& value, u64 va) {
  const TlbEntry* entry = whole_row<T>(w, d, va, Access::Write);
  if (!entry) return false;
  const MemoryRun run{.va = entry->va.value, .bytes = entry->bytes, .host = entry->host,
                      .device_address = entry->device_address, .aperture = entry->aperture, .lds = false};
  if (w.unit->stores_are_queued()) {
    w.unit->begin_store_instruction(w);
    w.unit->enqueue_consecutive(w, run, va, value.lane, sizeof(T));
    return true;
  }
  w.unit->before_store(run.host + (va - run.va), kLanes * sizeof(T));
  auto* to = reinterpret_cast<Alias<T>*>(run.host + (va - run.va));
  TANDEM_FOR_LANES(i) to[i] = static_cast<T>(value.lane[i]);
  w.unit->stored_range(w, run, va, kLanes * sizeof(T));
  return true;
}

template <typename T, bool kFloat, bool kFull>
Next store(Wave& w, const Decoded& d) {
  const Row& value = kFloat ? w.f[d.rs2] : w.x[d.rs2];
  const u64* base = w.x[d.rs1].lane;
  if (kFull && !w.pending && consecutive<T>(base) && store_row<T>(w, d, value, base[0] + static_cast<u64>(d.imm))) {
    w.unit->stores += kLanes;
    return Next::Sequential;
  }
  return store_general<T>(w, d, value);
}

void set(HandlerTable& table, Op op, Handler full, Handler masked) {
  table.full[static_cast<u64>(op)] = full;
  table.masked[static_cast<u64>(op)] = masked;
}
template <typename T>
void set_load(HandlerTable& table, Op op) {
  set(table, op, load<T, Extend, false, true>, load<T, Extend, false, false>);
}
template <typename T>
void set_store(HandlerTable& table, Op op) {
  set(table, op, store<T, false, true>, store<T, false, false>);
}

}  // namespace

namespace TANDEM_LEVEL {

void fill_memory(HandlerTable& table) {
  set_load<int8_t>(table, Op::Lb);
  set_load<int16_t>(table, Op::Lh);
  set_load<int32_t>(table, Op::Lw);
  set_load<int64_t>(table, Op::Ld);
  set_load<uint8_t>(table, Op::Lbu);
  set_load<uint16_t>(table, Op::Lhu);
  set_load<uint32_t>(table, Op::Lwu);
  set_store<uint8_t>(table, Op::Sb);
  set_store<uint16_t>(table, Op::Sh);
  set_store<uint32_t>(table, Op::Sw);
  set_store<uint64_t>(table, Op::Sd);
  set(table, Op::Flw, load<uint32_t, NanBox, true, true>, load<uint32_t, NanBox, true, false>);
  set(table, Op::Fld, load<uint64_t, Extend, true, true>, load<uint64_t, Extend, true, false>);
  set(table, Op::Fsw, store<uint32_t, true, true>, store<uint32_t, true, false>);
  set(table, Op::Fsd, store<uint64_t, true, true>, store<uint64_t, true, false>);
}

}  // namespace TANDEM_LEVEL
}  // namespace tandem::compute
