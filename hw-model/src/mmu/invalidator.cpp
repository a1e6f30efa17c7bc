// SPDX-License-Identifier: GPL-2.0-or-later
// What every invalidation does: kill, drain.
#include "mmu/invalidator.h"

namespace tandem {

Invalidator::Outcome Invalidator::outcome_of(const DrainResult& drained) {
  return {.stores = drained.stores_written,
          .hit = static_cast<uint32_t>((drained.stores_written ? TANDEM_HIT_STORES : 0) |
                                       (drained.code_dropped ? TANDEM_HIT_CODE : 0) |
                                       (drained.copy_restarted ? TANDEM_HIT_COPY : 0))};
}

Invalidator::Outcome Invalidator::carry_out(Pasid pasid, Gva start, Gva end) {
  Outcome outcome;
  if (mutation_ == TANDEM_MUTATION_RANGE_SHORT) end = end - TANDEM_PAGE_BYTES;
  if (mutation_ == TANDEM_MUTATION_WRONG_SPACE) pasid.value ^= 1;
  // Kill before drain: a client that translates anew while it drains must not find the old entry.
  const Mmu::Killed killed = mmu_.invalidate(pasid, start, end);
  outcome.entries = killed.entries;
  outcome.hit = killed.hit;
  for (TranslationClient* client : clients_) outcome += outcome_of(client->drain(pasid, start, end));
  counters_[TANDEM_COUNTER_ENTRIES_KILLED] += outcome.entries;
  counters_[TANDEM_COUNTER_STORES_DRAINED] += outcome.stores;
  return outcome;
}

}  // namespace tandem
