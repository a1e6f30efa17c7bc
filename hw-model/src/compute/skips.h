// SPDX-License-Identifier: GPL-2.0-or-later
// Step "memory" of resident-only queues (tandem_ring.h, TANDEM_COMMAND_RESIDENT_ONLY): what a wavefront was told about pages that
// the process does not have.
//
// The answer holds for the instruction that asked. Its lanes are done on a page of nothing, which reads as zeros and keeps
// nothing, and it retires like any other; the next access asks anew.
#pragma once

#include <algorithm>
#include <vector>

#include "base/types.h"
#include "compute/lanes.h"

namespace tandem::compute {

struct Skips {
  struct Page {
    Gva va;
    Access access;
    bool operator==(const Page&) const = default;
  };

  std::vector<Page> pages;     // that are not there, for the instruction that waits
  uint32_t count[kLanes]{};    // accesses of each lane that were skipped so far

  bool contains(Gva va, Access access) const {
    const Page page{va.align_down(TANDEM_PAGE_BYTES), access};
    return std::ranges::find(pages, page) != pages.end();
  }
};

}  // namespace tandem::compute
