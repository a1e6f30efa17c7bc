// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/schedule_lanes.h"

#include <algorithm>

namespace tandem::compute {
namespace {

// The count of instructions of each lane is kept lazily: brought up to date when the active set changes.
void settle_retired(Wave& wave) {
  const uint64_t count = wave.issued - wave.group_base;
  wave.group_base = wave.issued;
  for_each_lane(wave.active, [&](uint32_t lane) {
    wave.retired_before[lane] += count;
    wave.last_run[lane] = wave.issued;
  });
}

void set_active(Wave& wave, LaneMask active) {
  if (active == wave.active) return;
  settle_retired(wave);
  wave.active = active;
  for (uint32_t lane = 0; lane < kLanes; ++lane) wave.mask.lane[lane] = active >> lane & 1 ? ~uint64_t{0} : 0;
}

uint64_t lowest_pc(const Wave& wave, LaneMask lanes) {
  uint64_t lowest = ~uint64_t{0};
  for_each_lane(lanes, [&](uint32_t lane) { lowest = std::min(lowest, wave.lane_pc[lane]); });
  return lowest;
}

LaneMask lanes_at(const Wave& wave, LaneMask lanes, uint64_t pc) {
  LaneMask at = 0;
  for_each_lane(lanes, [&](uint32_t lane) {
    if (wave.lane_pc[lane] == pc) at |= lane_bit(lane);
  });
  return at;
}

// Active lanes have not waited; their last_run is not up to date.
uint64_t pc_of_longest_waiting(const Wave& wave, LaneMask lanes) {
  const LaneMask waiting = lanes & ~wave.active ? lanes & ~wave.active : lanes;
  uint32_t chosen = first_lane(waiting);
  for_each_lane(waiting, [&](uint32_t lane) {
    if (wave.last_run[lane] < wave.last_run[chosen]) chosen = lane;
  });
  return wave.lane_pc[chosen];
}

// The nearest place ahead of the group where others wait.
uint64_t next_stop(const Wave& wave, LaneMask others) {
  uint64_t stop = kNoStop;
  for_each_lane(others, [&](uint32_t lane) {
    if (wave.lane_pc[lane] > wave.pc) stop = std::min(stop, wave.lane_pc[lane]);
  });
  return stop;
}

void run_group_at(Wave& wave, LaneMask runnable, uint64_t pc) {
  const LaneMask group = lanes_at(wave, runnable, pc);
  set_active(wave, group);
  wave.pc = pc;
  wave.stop_pc = next_stop(wave, runnable & ~group);
}

void lane_pcs_from_pc(Wave& wave) {
  for_each_lane(wave.active, [&](uint32_t lane) { wave.lane_pc[lane] = wave.pc; });
}

}  // namespace

bool choose_group(Wave& wave) {
  const LaneMask runnable = wave.runnable_lanes();
  if (!runnable) {
    set_active(wave, 0);
    return false;
  }
  if (wave.patience == 0) {
    wave.rotated = !wave.rotated;
    wave.patience = wave.rotated ? kRotation : kPatience;
    run_group_at(wave, runnable, wave.rotated ? pc_of_longest_waiting(wave, runnable) : lowest_pc(wave, runnable));
  } else if (wave.rotated && (wave.active & runnable)) {
    // Its turn goes on: those of the group that are furthest back.
    run_group_at(wave, runnable, lowest_pc(wave, wave.active & runnable));
  } else {
    run_group_at(wave, runnable, lowest_pc(wave, runnable));
  }
  if (!others_wait(wave)) {
    wave.rotated = false;
    wave.patience = kPatience;
  }
  return true;
}

bool regroup_at_pc(Wave& wave) {
  lane_pcs_from_pc(wave);
  return choose_group(wave);
}

void spend_patience(Wave& wave, uint64_t count) { wave.patience -= std::min(wave.patience, count); }

void park_active(Wave& wave, uint64_t next_pc) {
  for_each_lane(wave.active, [&](uint32_t lane) { wave.lane_pc[lane] = next_pc; });
}

void end_lanes(Wave& wave, LaneMask lanes) { wave.live &= ~lanes; }

}  // namespace tandem::compute
