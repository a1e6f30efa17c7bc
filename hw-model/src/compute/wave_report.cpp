// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/wave_report.h"

#include "compute/unit_context.h"

namespace tandem::compute {
namespace {

constexpr uint32_t kRoundingModeShift = 5;  // in fcsr

void describe_place(const Wave& wave, uint32_t lane, tandem_wave_report& report) {
  const WorkgroupLaunch& launch = wave.group->launch;
  const auto& extent = wave.group->extent;
  const uint32_t item = wave.number * kLanes + lane;
  const uint32_t local[3] = {item % extent[0], item / extent[0] % extent[1], item / extent[0] / extent[1]};
  report.pasid = launch.dispatch->pasid.value;
  report.queue = launch.dispatch->queue.value;
  report.packet = launch.dispatch->packet;
  report.wave = wave.number;
  report.compute_unit = wave.unit->config.unit;
  for (unsigned axis = 0; axis < 3; ++axis) {
    report.group_id[axis] = launch.group_id[axis];
    report.local_id[axis] = local[axis];
  }
}

void describe_registers(const Wave& wave, uint32_t lane, tandem_wave_report& report) {
  for (unsigned number = 0; number < 32; ++number) {
    report.x[number] = wave.x[number].lane[lane];
    report.f[number] = wave.f[number].lane[lane];
  }
  report.fcsr = wave.fflags[lane] | uint32_t{wave.frm[lane]} << kRoundingModeShift;
}

}  // namespace

tandem_wave_report report_of(const Wave& wave) {
  const WaveError& error = wave.error;
  tandem_wave_report report{};
  report.version = TANDEM_WAVE_REPORT_VERSION;
  report.error = error.error;
  report.pc = error.pc;
  report.va = error.va;
  report.detail = error.detail;
  report.lane = error.lane;
  report.active_lanes = wave.active;
  report.live_lanes = wave.live;
  describe_place(wave, error.lane, report);
  describe_registers(wave, error.lane, report);
  return report;
}

}  // namespace tandem::compute
