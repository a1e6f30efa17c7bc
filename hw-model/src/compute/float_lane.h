// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": one float instruction for one lane, on register values: NaN boxing, soft_float.h, sign extension of
// results. The exact path of execute_float.cpp.
#pragma once

#include <cstdint>

#include "compute/ops.h"

namespace tandem::compute {

inline constexpr uint64_t kBox = 0xffffffff00000000;
inline constexpr uint32_t kCanonicalNan32 = 0x7fc00000;
// The same, where the host's FPU is to see it: a comparison with a NaN that the compiler knows is folded, and the flag that it
// would have raised is lost.
extern const uint32_t kUnboxed32;

struct FloatResult {
  uint64_t value = 0;  // of the x or f register
  uint8_t flags = 0;   // raised
};

// a, b, c: source registers (x register for conversions from integers and moves). rounding: 0..4.
FloatResult float_lane(Op op, uint64_t a, uint64_t b, uint64_t c, uint32_t rounding);

}  // namespace tandem::compute
