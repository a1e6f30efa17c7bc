// SPDX-License-Identifier: GPL-2.0-or-later
// Which pages the device may have written to since the driver last told Linux so. Linux may call a page clean as soon as the
// notifier returns, so the driver must have told before: each of its invalidations says how many pages it told of, and those that
// the ledger knows must be among them.
//
// A page counts from the fill of a translation that may store, for which the walker has set its dirty bit. Only what was filled
// before the driver sent the invalidation can be asked of it: what came later belongs to an entry that the driver wrote since. An
// invalidation because of an upgrade also covers entries that live on; of those nothing is asked, and nothing is known
// afterwards.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "base/types.h"
#include "check/range_map.h"

namespace tandem {

class DirtyLedger {
 public:
  // Entries that the driver has sent so far are those before this index of the invalidation ring.
  void may_store(Pasid pasid, Gva start, uint64_t bytes, uint32_t put) {
    spaces_[pasid.value].set(start.value, start.value + bytes, put);
  }
  // Pages of which the invalidation with this index must tell. They leave the ledger.
  uint64_t settle(Pasid pasid, Gva start, Gva end, uint32_t index);
  void forget(Pasid pasid) { spaces_.erase(pasid.value); }
  void reset() { spaces_.clear(); }

 private:
  std::unordered_map<uint32_t, RangeMap<uint32_t>> spaces_;
};

}  // namespace tandem
