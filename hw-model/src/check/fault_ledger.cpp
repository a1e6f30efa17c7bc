// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/fault_ledger.h"

namespace tandem {

uint32_t FaultLedger::faulted(const AccessKey& key, bool permitted) {
  if (rows_.size() >= kMost && !rows_.contains(key)) rows_.clear();
  Row& row = rows_[key];
  if (permitted) row = {.permitted = row.permitted + 1};
  else row = {.unserved = row.unserved + 1};
  return row.permitted;
}

uint32_t FaultLedger::unserved(const AccessKey& key) const {
  const auto row = rows_.find(key);
  return row == rows_.end() ? 0 : row->second.unserved;
}

void FaultLedger::succeeded(const TlbEntry& entry) {
  if (rows_.empty()) return;
  auto at = rows_.lower_bound({entry.pasid.value, entry.va.value, Access{}});
  while (at != rows_.end() && at->first.pasid == entry.pasid.value && entry.covers(gva(at->first.page)))
    at = entry.permits(at->first.access) ? rows_.erase(at) : std::next(at);
}

void FaultLedger::invalidated(Pasid pasid, Gva start, Gva end) {
  if (rows_.empty()) return;
  rows_.erase(rows_.lower_bound({pasid.value, start.value, Access{}}),
                  rows_.lower_bound({pasid.value, end.value, Access{}}));
}

}  // namespace tandem
