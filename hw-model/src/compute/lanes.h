// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": the shape of a wavefront's data. A register is a row of 32 lane values side by side, so that one
// instruction is one plain loop which the compiler turns into vector code.
//
// This header is compiled at several x86-64 levels into one program. Whatever is not a plain struct must be inlined
// always, or one level's code could be linked into another's (see execute.h).
#pragma once

#include <cstdint>

#include "tandem_abi.h"

#define TANDEM_ALWAYS_INLINE [[gnu::always_inline]] inline

// A loop over all lanes. Source and destination rows may be the same row, never partly overlapping ones: no iteration
// depends on another.
#define TANDEM_FOR_LANES(i) _Pragma("GCC ivdep") for (uint32_t i = 0; i < tandem::compute::kLanes; ++i)

namespace tandem::compute {

inline constexpr uint32_t kLanes = TANDEM_WAVE_LANES;
using LaneMask = uint32_t;
inline constexpr LaneMask kAllLanes = 0xffffffffu;
static_assert(kLanes == 32, "lane masks are 32-bit words");

struct alignas(64) Row {
  uint64_t lane[kLanes];
};

TANDEM_ALWAYS_INLINE LaneMask lane_bit(uint32_t lane) { return LaneMask{1} << lane; }
TANDEM_ALWAYS_INLINE uint32_t first_lane(LaneMask mask) { return static_cast<uint32_t>(__builtin_ctz(mask)); }
TANDEM_ALWAYS_INLINE uint32_t count_lanes(LaneMask mask) { return static_cast<uint32_t>(__builtin_popcount(mask)); }

inline constexpr struct LaneBits {
  uint64_t of[kLanes]{};
  constexpr LaneBits() {
    for (uint32_t i = 0; i < kLanes; ++i) of[i] = uint64_t{1} << i;
  }
} kLaneBits;

// The mask of the lanes for which test(lane) holds. Whole words and a table of bits: gcc vectorises it, which it does not if
// the bit is shifted, nor if it is added under a branch.
template <typename Test>
TANDEM_ALWAYS_INLINE LaneMask lanes_where(Test test) {
  uint64_t mask = 0;
  TANDEM_FOR_LANES(i) mask |= (test(i) ? ~uint64_t{0} : 0) & kLaneBits.of[i];
  return static_cast<LaneMask>(mask);
}

template <typename Body>
TANDEM_ALWAYS_INLINE void for_each_lane(LaneMask mask, Body body) {
  for (; mask; mask &= mask - 1) body(first_lane(mask));
}

TANDEM_ALWAYS_INLINE uint64_t sign_extend_32(uint64_t value) {
  return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(value)));
}

}  // namespace tandem::compute
