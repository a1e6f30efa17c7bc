// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": which lanes of a wavefront run next when they are not all at the same place.
//
// Lowest program counter first: the group of lanes that is furthest back runs, up to the place where others wait, and
// joins them there. So lanes part and meet again without special instructions. Compilers lay out the end of a loop or of an
// if behind its body, which makes this rule find the meeting point in nearly all code.
//
// Fairness: a group may wait for another one of the same wavefront (a spin lock held by another lane). It
// has patience for so many instructions, atomics and pauses counting much more because that is what such loops are made
// of; then the lanes that have waited longest get a turn.
#pragma once

#include "compute/wave.h"

namespace tandem::compute {

inline constexpr uint64_t kPatience = 4096;        // instructions that a group runs while others wait
inline constexpr uint64_t kRotation = 128;         // instructions of the turn of those who waited longest
inline constexpr uint64_t kAtomicImpatience = 256; // an atomic costs as much patience as so many instructions
inline constexpr uint64_t kPauseImpatience = 1024;
inline constexpr uint64_t kHoldImpatience = 16;    // a tick in which the group waits for a late load

// lane_pc of the active lanes is set (they part, or leave for a barrier). Chooses the group that runs; false: no lane can.
bool choose_group(Wave& wave);

// All active lanes are at Wave::pc; others may be there, too, or it may be their turn.
bool regroup_at_pc(Wave& wave);

// The same after instructions of a group while others wait: count retired ones, extra for atomics.
void spend_patience(Wave& wave, uint64_t count);

// The active lanes come to rest at next_pc and are not active any more (barrier).
void park_active(Wave& wave, uint64_t next_pc);

// Lanes have ended.
void end_lanes(Wave& wave, LaneMask lanes);

TANDEM_ALWAYS_INLINE bool others_wait(const Wave& wave) { return wave.active != wave.runnable_lanes(); }

}  // namespace tandem::compute
