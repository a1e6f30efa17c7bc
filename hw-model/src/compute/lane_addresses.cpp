// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/lane_addresses.h"

#include <algorithm>

namespace tandem::compute {
namespace {

bool elements_overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes) {
  // Unsigned: a - b is small if a starts within b, and b - a if b starts within a.
  return a - b < b_bytes || b - a < a_bytes;
}

// Two strided sets with the same stride: the distance between an element of one and the nearest below it of the other. Says
// yes, too, if they would only meet beyond their last lanes.
bool strides_may_meet(const LaneAddresses& a, const LaneAddresses& b) {
  const uint64_t distance = a.base >= b.base ? (a.base - b.base) % a.stride
                                             : (a.stride - (b.base - a.base) % a.stride) % a.stride;
  return distance < b.bytes || a.stride - distance < a.bytes;
}

}  // namespace

void LaneAddresses::set(const uint64_t* address, LaneMask which, uint32_t element_bytes) {
  lanes = which;
  bytes = element_bytes;
  const uint32_t first = first_lane(which);
  const LaneMask rest = which & (which - 1);
  const uint32_t second = rest ? first_lane(rest) : first;
  const uint64_t between = address[second] - address[first];
  const uint64_t steps = second - first;
  const uint64_t step = steps > 1 ? between / steps : between;
  const uint64_t origin = address[first] - first * step;
  uint64_t off = 0;
  if (which == kAllLanes) {
    TANDEM_FOR_LANES(i) off |= address[i] ^ (origin + i * step);
  } else {
    for_each_lane(which, [&](uint32_t i) { off |= address[i] ^ (origin + i * step); });
  }
  const uint32_t last = 31 - static_cast<uint32_t>(__builtin_clz(which));
  // A stride that goes down, or wraps, is treated as none.
  if (off == 0 && step <= TANDEM_VA_LIMIT) {
    stride = step;
    base = origin;
    low = address[first];
    high = address[last] + element_bytes;
    return;
  }
  stride = kNoStride;
  low = ~uint64_t{0};
  high = 0;
  for_each_lane(which, [&](uint32_t i) {
    irregular_[i] = address[i];
    low = std::min(low, address[i]);
    high = std::max(high, address[i] + element_bytes);
  });
}

void LaneAddresses::set_consecutive(uint64_t first, uint32_t element_bytes) {
  lanes = kAllLanes;
  bytes = element_bytes;
  stride = element_bytes;
  low = base = first;
  high = low + kLanes * element_bytes;
}

bool LaneAddresses::touches(uint64_t start, uint64_t length) const {
  if (low >= start + length || high <= start) return false;
  if (dense() || (low >= start && high <= start + length)) return true;
  bool any = false;
  for_each_lane(lanes, [&](uint32_t i) { any |= elements_overlap(va(i), bytes, start, length); });
  return any;
}

bool LaneAddresses::touches(const LaneAddresses& other, LaneMask which) const {
  if (low >= other.high || high <= other.low) return false;
  if (stride == other.stride && stride != kNoStride && stride != 0 && !strides_may_meet(*this, other)) return false;
  // Where all lanes are at one address, one stands for them all.
  const LaneMask ours = stride == 0 ? which & -which : which;
  const LaneMask theirs = other.stride == 0 ? other.lanes & -other.lanes : other.lanes;
  bool any = false;
  for_each_lane(theirs, [&](uint32_t n) {
    if (any) return;
    for_each_lane(ours, [&](uint32_t i) { any |= elements_overlap(va(i), bytes, other.va(n), other.bytes); });
  });
  return any;
}

LaneMask LaneAddresses::earlier_on_same_bytes(uint32_t lane) const {
  LaneMask earlier = 0;
  for_each_lane(lanes & (lane_bit(lane) - 1), [&](uint32_t i) {
    if (elements_overlap(va(i), bytes, va(lane), bytes)) earlier |= lane_bit(i);
  });
  return earlier;
}

}  // namespace tandem::compute
