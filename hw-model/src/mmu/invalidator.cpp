// SPDX-License-Identifier: GPL-2.0-or-later
// What every invalidation does: kill, drain.
#include "mmu/invalidator.h"

namespace tandem {

Invalidator::Outcome Invalidator::carry_out(Pasid pasid, Gva start, Gva end) {
  Outcome outcome;
  // Kill before drain: a client that translates anew while it drains must not find the old entry.
  const Mmu::Killed killed = mmu_.invalidate(pasid, start, end);
  outcome.entries = killed.entries;
  outcome.hit = killed.hit;
  for (TranslationClient* client : clients_) {
    const DrainResult drained = client->drain(pasid, start, end);
    outcome.stores += drained.stores_written;
    if (drained.stores_written) outcome.hit |= TANDEM_HIT_STORES;
    if (drained.code_dropped) outcome.hit |= TANDEM_HIT_CODE;
    if (drained.copy_restarted) outcome.hit |= TANDEM_HIT_COPY;
  }
  counters_[TANDEM_COUNTER_ENTRIES_KILLED] += outcome.entries;
  counters_[TANDEM_COUNTER_STORES_DRAINED] += outcome.stores;
  return outcome;
}

}  // namespace tandem
