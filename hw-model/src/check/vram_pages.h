// SPDX-License-Identifier: GPL-2.0-or-later
// The life of each page of video memory, as the driver tells it: free -> allocated -> being filled -> ready -> free. What the device
// reaches must be ready. Until the driver has told of anything nothing is judged.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "check/truth.h"

namespace tandem {

class VramPages {
 public:
  enum class State : uint8_t { Free, Allocated, Filling, Ready };

  explicit VramPages(uint64_t bytes) : pages_(bytes / TANDEM_PAGE_BYTES) {}

  // Pages [first, first + count) by number; what lies beyond the memory is left out. owner: process, for reports.
  void set(uint64_t first, uint64_t count, State state, uint32_t owner);
  // The page that a translation leads to, at this offset.
  std::optional<Finding> judge(uint64_t offset) const;
  void reset();

 private:
  struct Page {
    State state = State::Free;
    uint32_t owner = 0;       // the last one
    bool was_used = false;    // has ever been allocated
  };
  std::vector<Page> pages_;
  bool told_ = false;
};

}  // namespace tandem
