// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": one wavefront, and the workgroup that it belongs to.
//
// Lanes and program counters. All active lanes are at Wave::pc; lanes that are live but not active are at their own
// lane_pc. While all runnable lanes are active (the common case) lane_pc is not kept up to date at all; it is written
// when lanes part, arrive at a barrier, or when another group is chosen (schedule_lanes.cpp).
//
//   Ready -> Waiting (a translation) -> Ready;  Ready -> Paused (the store of its atomic) -> Ready;
//   Ready -> AtBarrier -> Ready;  Ready -> Done | Failed
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "compute/compute_unit.h"
#include "compute/decode.h"
#include "compute/lanes.h"
#include "compute/late_loads.h"
#include "compute/skips.h"
#include "compute/store_queue.h"
#include "mem/atomic_unit.h"

namespace tandem::compute {

class UnitContext;

enum class WaveState : uint8_t { Ready, Waiting, Paused, AtBarrier, Failed, Done };

// What LR leaves for SC. It is lost by the lane's own SC, by a store of this compute unit to its bytes, and by an
// invalidation of its page; SC itself compares and swaps with the value that LR saw.
struct Reservation {
  uint64_t va = 0;
  uint64_t value = 0;
  uint32_t bytes = 0;
};

inline constexpr uint32_t kRowsRemembered = 32;

inline constexpr uint64_t kNoStop = ~uint64_t{0};

struct Wave final : TranslationWaiter, AtomicWaiter {
  // The hot part: registers. x[32] takes what is written to x0.
  Row x[33]{};
  Row f[32]{};
  Row mask{};                      // all ones in active lanes
  uint64_t lane_pc[kLanes]{};
  uint64_t pc = 0;
  LaneMask active = 0;
  LaneMask live = 0;               // have not ended
  LaneMask barrier_lanes = 0;      // have arrived and wait
  LaneMask pending = 0;            // of the instruction in `stalled`: still to be done. Not 0: it has not retired
  UnitContext* unit = nullptr;     // where it is resident
  TranslationRequest request;      // va, access and pc are filled in for each access

  // Floating point environment of each lane.
  uint8_t fflags[kLanes]{};
  uint8_t frm[kLanes]{};
  LaneMask frm_not_nearest = 0;    // lanes whose dynamic rounding mode is not round-to-nearest-even

  uint64_t row_va[kRowsRemembered]{};  // of the rows that memory instructions touched last, by their pc (fetch_ahead)
  StoreQueue stores;
  LateLoads late;                  // empty unless load-reorder is on
  Reservation reservation[kLanes];
  LaneMask reserved = 0;           // lanes that hold a reservation
  Skips skips;

  // Choice of the group that runs.
  uint64_t stop_pc = kNoStop;      // other lanes wait there: the group must not run past it
  bool rotated = false;            // the fairness rule chose the group, not lowest-pc-first
  uint64_t patience = 0;           // what the group may still run while others wait
  uint64_t last_run[kLanes]{};     // value of issued when the lane last ran while others waited
  uint64_t issued = 0;             // wavefront instructions
  uint64_t stretch_pc = 0;         // first instruction of the run that the run loop has not counted yet
  uint64_t group_base = 0;         // value of issued when the active set last changed
  uint64_t retired_before[kLanes]{};  // instructions of each lane before group_base

  Decoded stalled;
  WaveState state = WaveState::Ready;
  enum class Waits : uint8_t { Access, Fetch } waits = Waits::Access;  // what for, when Waiting
  bool synchronised = false;       // ran a fence or an atomic instruction in this turn: others may have to run
  bool has_waited = false;         // asked the MMU to tell it, and has not taken that back
  bool notified = false;           // the MMU called since the instruction began
  QueueError cancelled = TANDEM_QUEUE_OK;  // told by the MMU while waiting
  Gva cancelled_va;
  WaveError error;

  Workgroup* group = nullptr;
  uint32_t number = 0;             // in the workgroup

  void translation_ready() override {
    notified = true;
    if (state == WaveState::Waiting) state = WaveState::Ready;
  }
  void translation_failed(QueueError why, Gva va) override {
    cancelled = why;
    cancelled_va = va;
    translation_ready();
  }
  void translation_skipped(Gva page, Access access) override {
    skips.pages.push_back({page, access});
    translation_ready();
  }

  void atomics_written() override {
    if (state == WaveState::Paused) state = WaveState::Ready;
  }

  LaneMask runnable_lanes() const { return live & ~barrier_lanes; }
  LaneMask lanes_of_instruction() const { return pending ? pending : active; }
  // The instructions that a lane has retired.
  uint64_t retired(uint32_t lane) const {
    return retired_before[lane] + (active & lane_bit(lane) ? issued - group_base : 0);
  }
};

// Puts the lanes of a new wavefront at the kernel's entry (tandem_kernel_isa.h). count: work items in this wavefront.
void start_wave(Wave& wave, const WorkgroupLaunch& launch, uint32_t number, uint32_t count);

// Work items of a workgroup, which may be a partial one at the end of the grid, along each axis.
std::array<uint32_t, 3> workgroup_extent(const DispatchState& dispatch, const std::array<uint32_t, 3>& group_id);

}  // namespace tandem::compute

namespace tandem {

struct alignas(64) LdsLine {
  std::byte bytes[64];
};

struct Workgroup {
  WorkgroupLaunch launch;
  std::array<uint32_t, 3> extent{};
  std::vector<std::unique_ptr<compute::Wave>> waves;
  std::vector<LdsLine> lds_lines;
  uint32_t lds_bytes = 0;

  std::byte* lds() { return lds_lines.empty() ? nullptr : lds_lines.front().bytes; }
};

}  // namespace tandem
