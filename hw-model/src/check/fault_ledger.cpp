// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/fault_ledger.h"

namespace tandem {

FaultLedger::Row FaultLedger::faulted(const AccessKey& key, bool permitted) {
  Place& place = place_of(key.pasid, key.page);
  if (place.pasid != key.pasid || place.page != key.page) {
    taken_ += place.pasid == 0;
    place = {.page = key.page, .pasid = key.pasid, .rows = {}};
  }
  Row& row = place.rows[static_cast<uint32_t>(key.access)];
  if (permitted) row = {.permitted = row.permitted + 1};
  else row = {.unserved = row.unserved + 1};
  return row;
}

void FaultLedger::free(Place& place) {
  place.pasid = 0;
  --taken_;
}

template <typename Visit>
void FaultLedger::for_each(Pasid pasid, Gva start, Gva end, Visit visit) {
  if (!taken_ || start >= end) return;
  const auto look = [&](Place& place) {
    if (place.pasid == pasid.value && place.page >= start.value && place.page < end.value) visit(place);
  };
  if (end - start > kPlaces * TANDEM_PAGE_BYTES)
    for (Place& place : places_) look(place);
  else
    for (Gva page = start; page < end; page = page + TANDEM_PAGE_BYTES) look(place_of(pasid.value, page.value));
}

void FaultLedger::succeeded(const TlbEntry& entry) {
  for_each(entry.pasid, entry.va, entry.va + entry.bytes, [&](Place& place) {
    for (uint32_t access = TANDEM_ACCESS_READ; access <= TANDEM_ACCESS_EXECUTE; ++access)
      if (entry.permits(static_cast<Access>(access))) place.rows[access] = {};
  });
}

void FaultLedger::invalidated(Pasid pasid, Gva start, Gva end) {
  for_each(pasid, start, end, [&](Place& place) { free(place); });
}

}  // namespace tandem
