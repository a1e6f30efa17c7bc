// SPDX-License-Identifier: GPL-2.0-or-later
// Step "memory": the addresses of one instruction's lanes, in a form in which "do these two touch the same byte?" is mostly
// answered without comparing lane by lane: by their bounds, or by their stride. Arrays and the lanes' stacks are strided.
#pragma once

#include <cstdint>

#include "base/types.h"
#include "compute/lanes.h"

namespace tandem::compute {

struct LaneAddresses {
  LaneMask lanes = 0;
  uint32_t bytes = 0;       // of each lane's element
  uint64_t low = 0;         // bounds of all elements
  uint64_t high = 0;        // exclusive
  uint64_t stride = 0;      // lane n is at base + n * stride; kNoStride: it is not so simple
  uint64_t base = 0;

  static constexpr uint64_t kNoStride = ~uint64_t{0};

  // lanes must not be 0. An element that wraps around the end of the address space must not be among them.
  void set(const uint64_t* address, LaneMask which, uint32_t element_bytes);
  // The same for all lanes with consecutive elements.
  void set_consecutive(uint64_t first, uint32_t element_bytes);

  bool touches(uint64_t start, uint64_t length) const;
  // Only the lanes in `which`, a part of its lanes.
  bool touches(const LaneAddresses& other, LaneMask which) const;
  bool touches(const LaneAddresses& other) const { return touches(other, lanes); }
  // The lanes below `lane` whose elements overlap its element.
  LaneMask earlier_on_same_bytes(uint32_t lane) const;
  // Of a lane in `lanes`.
  uint64_t va(uint32_t lane) const { return stride == kNoStride ? irregular_[lane] : base + lane * stride; }
  // All lanes, side by side.
  bool dense() const { return stride == bytes && lanes == kAllLanes; }
  bool lanes_are_apart() const { return stride != kNoStride && stride >= bytes; }

 private:
  uint64_t irregular_[kLanes];   // only where there is no stride
};

}  // namespace tandem::compute
