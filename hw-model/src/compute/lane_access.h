// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit" meets "mmu": one memory instruction's lanes, coalesced by translation. Each stretch of memory is
// asked for once; lanes that find it are done at once and for good; lanes whose page is missing stay pending, and all missing
// pages are asked for in the same pass, so that the driver gets them as one batch.
//
// Included by sources of several x86-64 levels: internal linkage throughout.
#pragma once

#include "compute/unit_context.h"

namespace tandem::compute {
namespace {

TANDEM_ALWAYS_INLINE LaneMask lanes_within(const MemoryRun& run, const uint64_t* address, uint32_t bytes) {
  if (run.bytes < bytes) return 0;
  const uint64_t start = run.va, room = run.bytes - bytes;
  return lanes_where([&](uint32_t i) { return address[i] - start <= room; });
}

TANDEM_ALWAYS_INLINE LaneMask lanes_on_page(uint64_t va, const uint64_t* address) {
  return lanes_where([&](uint32_t i) { return ((address[i] ^ va) & ~(TANDEM_PAGE_BYTES - 1)) == 0; });
}

// More stretches than this make an instruction a slow one (Next::Refetch).
inline constexpr uint32_t kQuickRuns = 4;

// A misaligned access over the end of a run: its pieces.
struct Straddle {
  MemoryRun first, second;
  uint32_t first_bytes = 0;
};

// One lane after the other, so that none finds what another one left.
template <typename Perform>
void perform_on_nothing(UnitContext& unit, Wave& w, const MemoryRun& run, LaneMask lanes, Perform perform) {
  for_each_lane(lanes, [&](uint32_t lane) {
    perform(run, lane_bit(lane));
    unit.skip(w, lane);
  });
}

// todo: the lanes to do. Calls perform(run, lanes) for lanes that lie within one run, and straddle(pieces, lane) for one that needs two.
// Every lane is done exactly once, however often the instruction has to be taken up again.
template <typename Perform, typename PerformStraddle>
Next access_by_run(Wave& w, const Decoded& d, const uint64_t* address, uint32_t bytes, Access access, LaneMask todo,
                   Perform perform, PerformStraddle perform_straddle) {
  UnitContext& unit = *w.unit;
  const uint64_t generation = unit.generation;
  LaneMask waiting = 0;
  uint32_t runs = 0;
  using Reach = UnitContext::Reach;
  while (todo) {
    const uint32_t lane = first_lane(todo);
    const uint64_t va = address[lane];
    if (!unit.address_allowed(w, d, lane, va, bytes, access)) return Next::Failed;
    ++runs;
    MemoryRun run;
    const Reach reach = unit.reach(w, d, lane, va, access, run);
    if (reach == Reach::Failed) return Next::Failed;
    if (reach == Reach::Wait) {
      const LaneMask same_page = lanes_on_page(va, address) & todo;
      waiting |= same_page;
      todo &= ~same_page;
      continue;
    }
    const LaneMask within = lanes_within(run, address, bytes) & todo;
    if (within & lane_bit(lane)) {
      if (run.absent) [[unlikely]] perform_on_nothing(unit, w, run, within, perform);
      else perform(run, within);
      if (run.counted) unit.count_accesses(w, address, within);
      todo &= ~within;
      continue;
    }
    // Over the end of the run. Both pieces must be there before a byte is touched; if an invalidation came while the second
    // was looked for, the first may be gone.
    const uint64_t before = unit.generation;
    Straddle pieces{.first = run, .second = {}, .first_bytes = static_cast<uint32_t>(run.va + run.bytes - va)};
    const Reach second = unit.reach(w, d, lane, run.va + run.bytes, access, pieces.second);
    if (second == Reach::Failed) return Next::Failed;
    if (second == Reach::Hit && unit.generation != before) continue;
    if (second == Reach::Hit) {
      perform_straddle(pieces, lane);
      if (pieces.first.absent || pieces.second.absent) unit.skip(w, lane);
      if (pieces.first.counted) unit.count_access(w, va);
      if (pieces.second.counted) unit.count_access(w, pieces.second.va);
    } else {
      waiting |= lane_bit(lane);
    }
    todo &= ~lane_bit(lane);
  }
  w.pending = waiting;
  if (waiting) return Next::Wait;
  return unit.generation == generation && runs <= kQuickRuns ? Next::Sequential : Next::Refetch;
}

}  // namespace
}  // namespace tandem::compute
