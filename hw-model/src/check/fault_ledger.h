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

  // An access faults; permitted: the page table, as it is now, lets it through. Returns how often that has been so, one fault after
  // the other, with nothing invalidated and no success in between.
  uint32_t faulted(const AccessKey& key, bool permitted);
  void succeeded(const TlbEntry& entry);
  void invalidated(Pasid pasid, Gva start, Gva end);
  bool empty() const { return in_a_row_.empty(); }
  void reset() { in_a_row_.clear(); }

 private:
  static constexpr size_t kMost = 4096;
  std::map<AccessKey, uint32_t> in_a_row_;
};

}  // namespace tandem
