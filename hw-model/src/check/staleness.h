// SPDX-License-Identifier: GPL-2.0-or-later
// How long translations through the IOMMU go on after the process's table has changed. Linux changes an entry first and flushes
// then, so such a translation is excused until the flush has reached the device; this measures what the excuse costs.
//
// A translation is stale from the moment at which the checker first finds it so (which is at most a round after the change, if it
// is used), until the IOMMU takes it back or its address space ends. At most kMost are followed at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "base/host.h"
#include "mmu/translation.h"

namespace tandem {

class Staleness {
 public:
  static constexpr size_t kMost = 64;

  // In ns of the device's clock.
  struct Tally {
    uint64_t translations = 0;      // that were measured to their end
    uint64_t unmeasured = 0;        // uses of others, for want of room
    uint64_t used_longest_ns = 0;   // to the last use that was looked at
    uint64_t alive_longest_ns = 0;  // to the end
    uint64_t alive_total_ns = 0;
  };

  // A use of the entry for a page that the process's table does not grant.
  void is_stale(const TlbEntry& entry, Gva page, const Host& clock);
  // The table grants the page: if it was stale, Linux has put it back, and nothing came of it.
  void is_right(const TlbEntry& entry, Gva page);
  // No translation that overlaps is left.
  void flushed(Pasid pasid, Gva start, Gva end, const Host& clock);
  void reset() { stale_.clear(); }
  const Tally& tally() const { return tally_; }

 private:
  struct Stale {
    TlbEntry entry;
    Gva page;  // that was found to be stale first
    uint64_t since_ns, used_ns;
  };
  void measure(const Stale& stale, uint64_t now);

  std::vector<Stale> stale_;
  Tally tally_;
};

}  // namespace tandem
