// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": one turn of one wavefront: fetch, decoded code, handlers, and what follows from an instruction.
#pragma once

#include "compute/unit_context.h"

namespace tandem::compute {

struct Turn {
  uint64_t instructions = 0;       // wavefront instructions retired
  uint64_t lane_instructions = 0;
  uint32_t lanes_ended = 0;
  bool waits = false;              // for a translation, or the store of an atomic
  bool held = false;               // it spent a tick waiting for a late load
  bool lanes_rested = false;       // lanes ended or arrived at a barrier: look at the workgroup
};

// Runs a Ready wavefront until it has retired limit instructions, cannot go on, ought to let others run, or the host wishes the
// unit to yield. An instruction that waits has not retired and is taken up again by the next turn.
Turn run_wave(UnitContext& unit, Wave& wave, uint64_t limit);

}  // namespace tandem::compute
