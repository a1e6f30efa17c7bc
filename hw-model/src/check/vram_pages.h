// SPDX-License-Identifier: GPL-2.0-or-later
// The life of each page of video memory. The driver counts, in an array that it shares with the checker (tandem_check.h), how often
// the page was given out and came back; the copy engine tells what it has filled. What the device reaches must be somebody's, and
// have been filled since it is. Where the driver shares no array nothing is judged.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "check/physical_pages.h"
#include "check/truth.h"

namespace tandem {

class VramPages {
 public:
  explicit VramPages(const MemoryPort& memory) : shared_(memory), filled_in_(memory.vram_bytes() / TANDEM_PAGE_BYTES) {}

  uint64_t bytes() const { return filled_in_.size() * TANDEM_PAGE_BYTES; }
  // Where the driver's array is, a multiple of 4; 0: there is none.
  void follow(uint64_t lives) { lives_ = lives; }
  // A copy or fill by the driver has ended well: whole pages of [offset, offset + bytes) have their contents.
  void filled(uint64_t offset, uint64_t bytes);
  // Where [offset, offset + bytes), which a guest may have made up, ends in the memory that there is; offset: all of it lies beyond.
  uint64_t end(uint64_t offset, uint64_t bytes) const;
  // The page at this offset is reached: by a translation, or as the source of a copy.
  std::optional<Finding> judge(uint64_t offset);
  void drop_host_pointers() { shared_.drop(); }

 private:
  static constexpr uint64_t kLifeBytes = sizeof(uint32_t);

  std::optional<uint32_t> life_of(uint64_t number);

  PhysicalPages shared_;
  std::vector<uint32_t> filled_in_;  // which life; outlives a reset, as the contents do
  uint64_t lives_ = 0;
};

}  // namespace tandem
