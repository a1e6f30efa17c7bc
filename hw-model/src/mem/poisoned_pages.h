// SPDX-License-Identifier: GPL-2.0-or-later
// Step "VRAM" of the journey: pages that must not be used any more because what they held is lost (TANDEM_EVENT_POISON).
//
// A set of device addresses of pages: offsets into this GPU's VRAM, and for its peers' pages what peer_address() makes of them.
// Memory is only ever handed out in runs that contain no such page (MemoryPort::map).
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include "base/types.h"

namespace tandem {

class PoisonedPages {
 public:
  // False if it was there already.
  bool add(uint64_t page) { return pages_.insert(page).second; }
  void replace(const std::vector<uint64_t>& pages) { pages_ = {pages.begin(), pages.end()}; }
  void clear() { pages_.clear(); }

  bool contains(uint64_t address) const { return pages_.contains(address & ~(TANDEM_PAGE_BYTES - 1)); }
  // How many of the bytes from a page's start on come before the first poisoned one.
  uint64_t sound_bytes(uint64_t address, uint64_t bytes) const {
    const auto next = pages_.lower_bound(address);
    return next == pages_.end() ? bytes : std::min(bytes, *next - address);
  }
  const std::set<uint64_t>& all() const { return pages_; }

 private:
  std::set<uint64_t> pages_;
};

}  // namespace tandem
