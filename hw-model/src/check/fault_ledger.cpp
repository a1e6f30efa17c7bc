// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/fault_ledger.h"

namespace tandem {

uint32_t FaultLedger::faulted(const AccessKey& key, bool permitted) {
  if (!permitted) {
    in_a_row_.erase(key);
    return 0;
  }
  if (in_a_row_.size() >= kMost && !in_a_row_.contains(key)) in_a_row_.clear();
  return ++in_a_row_[key];
}

void FaultLedger::succeeded(const TlbEntry& entry) {
  if (in_a_row_.empty()) return;
  auto at = in_a_row_.lower_bound({entry.pasid.value, entry.va.value, Access{}});
  while (at != in_a_row_.end() && at->first.pasid == entry.pasid.value && entry.covers(gva(at->first.page)))
    at = entry.permits(at->first.access) ? in_a_row_.erase(at) : std::next(at);
}

void FaultLedger::invalidated(Pasid pasid, Gva start, Gva end) {
  if (in_a_row_.empty()) return;
  in_a_row_.erase(in_a_row_.lower_bound({pasid.value, start.value, Access{}}),
                  in_a_row_.lower_bound({pasid.value, end.value, Access{}}));
}

}  // namespace tandem
