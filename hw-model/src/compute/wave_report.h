// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": what a failed wavefront leaves for people to read.
#pragma once

#include "compute/wave.h"

namespace tandem::compute {

// The state of the lane that Wave::error names, at the instruction that failed. Call it before the wavefront is taken off.
tandem_wave_report report_of(const Wave& wave);

}  // namespace tandem::compute
