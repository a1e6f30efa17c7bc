// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/dirty_ledger.h"

namespace tandem {

uint64_t DirtyLedger::settle(Pasid pasid, Gva start, Gva end, uint32_t index) {
  const auto space = spaces_.find(pasid.value);
  if (space == spaces_.end()) return 0;
  uint64_t pages = 0;
  space->second.take(start.value, end.value, [&](uint64_t from, uint64_t to, uint32_t put) {
    // Indices run freely over 32 bits.
    if (static_cast<int32_t>(put - index) <= 0) pages += (to - from) / TANDEM_PAGE_BYTES;
  });
  return pages;
}

}  // namespace tandem
