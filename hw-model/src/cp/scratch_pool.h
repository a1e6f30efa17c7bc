// SPDX-License-Identifier: GPL-2.0-or-later
// The slices of a queue's scratch area, one for each wavefront that is resident or suspended.
#pragma once

#include <cstdint>
#include <vector>

namespace tandem {

class ScratchPool {
 public:
  explicit ScratchPool(uint32_t slots) : slots_(slots) {}

  bool has(uint32_t count) const { return count <= slots_ - used_; }
  // Only after has(count).
  std::vector<uint32_t> take(uint32_t count) {
    std::vector<uint32_t> taken;
    for (; count; --count) {
      if (free_.empty()) free_.push_back(untouched_++);
      taken.push_back(free_.back());
      free_.pop_back();
      ++used_;
    }
    return taken;
  }
  void give_back(const std::vector<uint32_t>& slots) {
    free_.insert(free_.end(), slots.begin(), slots.end());
    used_ -= static_cast<uint32_t>(slots.size());
  }

 private:
  uint32_t slots_;
  uint32_t used_ = 0;
  uint32_t untouched_ = 0;  // slots from here on were never taken: no list of a hostile size is ever built
  std::vector<uint32_t> free_;
};

}  // namespace tandem
