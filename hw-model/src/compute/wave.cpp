// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/wave.h"

#include <algorithm>

namespace tandem::compute {
namespace {

constexpr uint32_t kRa = 1, kSp = 2, kGp = 3, kA0 = 10;
constexpr uint64_t kStackAlignment = 16;

uint64_t stack_top(const WorkgroupLaunch& launch, uint32_t wave, uint32_t lane) {
  const DispatchState& dispatch = *launch.dispatch;
  if (wave >= launch.scratch_slots.size()) return 0;  // the queue has no scratch
  const uint64_t slice = uint64_t{launch.scratch_slots[wave]} * kLanes + lane;
  return (dispatch.scratch + (slice + 1) * dispatch.scratch_lane_bytes) & ~(kStackAlignment - 1);
}

}  // namespace

std::array<uint32_t, 3> workgroup_extent(const DispatchState& dispatch, const std::array<uint32_t, 3>& group_id) {
  std::array<uint32_t, 3> extent{};
  for (unsigned axis = 0; axis < 3; ++axis) {
    const uint64_t first = uint64_t{group_id[axis]} * dispatch.workgroup_size[axis];
    const uint64_t rest = first < dispatch.grid_size[axis] ? dispatch.grid_size[axis] - first : 0;
    extent[axis] = static_cast<uint32_t>(std::min<uint64_t>(dispatch.workgroup_size[axis], rest));
  }
  return extent;
}

void start_wave(Wave& wave, const WorkgroupLaunch& launch, uint32_t number, uint32_t count) {
  const DispatchState& dispatch = *launch.dispatch;
  wave.number = number;
  wave.pc = dispatch.entry;
  wave.live = count >= kLanes ? kAllLanes : lane_bit(count) - 1;
  wave.request.pasid = dispatch.pasid;
  wave.request.queue = dispatch.queue;
  wave.request.client = TANDEM_CLIENT_COMPUTE;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    wave.lane_pc[lane] = dispatch.entry;
    wave.x[kRa].lane[lane] = TANDEM_LANE_EXIT_PC;
    wave.x[kSp].lane[lane] = stack_top(launch, number, lane);
    wave.x[kGp].lane[lane] = dispatch.global_pointer;
    wave.x[kA0].lane[lane] = dispatch.kernarg;
  }
}

}  // namespace tandem::compute

namespace tandem {

void WorkgroupDeleter::operator()(Workgroup* workgroup) const { delete workgroup; }
const WorkgroupLaunch& launch_of(const Workgroup& workgroup) { return workgroup.launch; }

}  // namespace tandem
