// SPDX-License-Identifier: GPL-2.0-or-later
// Faults from the access to the answer: that a page which may be accessed does not go on faulting. Counted in faults, not in time.
#pragma once

#include <cstdint>
#include <map>

#include "fault/pending_accesses.h"

namespace tandem {

class FaultLedger {
 public:
  // So often in a row an access may fault at a page that its page table permits: between the walk and the look at the table the
  // driver may have mapped it, and each replay may meet that again.
  static constexpr uint32_t kMostInARow = 8;
  // And so often at a page that nobody maps, although what waits is released each time: more than a fault storm, of which each batch
  // serves a part, can bring about.
  static constexpr uint32_t kMostUnserved = 256;

  // An access faults; permitted: the page table, as it is now, lets it through. Returns how often that has been so, one fault after
  // the other, with nothing invalidated and no success in between.
  uint32_t faulted(const AccessKey& key, bool permitted);
  // The same for accesses that the page table does not permit, with no answer in between.
  uint32_t unserved(const AccessKey& key) const;
  // Whoever waits for pages of the range has been told that they cannot be had.
  void answered(Pasid pasid, Gva start, Gva end) { invalidated(pasid, start, end); }
  void succeeded(const TlbEntry& entry);
  void invalidated(Pasid pasid, Gva start, Gva end);
  bool empty() const { return rows_.empty(); }
  void reset() { rows_.clear(); }

 private:
  static constexpr size_t kMost = 4096;
  struct Row {
    uint32_t permitted = 0;
    uint32_t unserved = 0;
  };
  std::map<AccessKey, Row> rows_;
};

}  // namespace tandem
