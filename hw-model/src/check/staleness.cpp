// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/staleness.h"

#include <algorithm>

namespace tandem {

void Staleness::is_stale(const TlbEntry& entry, Gva page, const Host& clock) {
  const uint64_t now = clock.now();
  const auto known = std::find_if(stale_.begin(), stale_.end(), [&](const Stale& each) { return each.entry.filled == entry.filled; });
  if (known != stale_.end()) known->used_ns = now;
  else if (stale_.size() < kMost) stale_.push_back({.entry = entry, .page = page, .since_ns = now, .used_ns = now});
  else ++tally_.unmeasured;
}

void Staleness::is_right(const TlbEntry& entry, Gva page) {
  std::erase_if(stale_, [&](const Stale& each) { return each.entry.filled == entry.filled && each.page == page; });
}

void Staleness::flushed(Pasid pasid, Gva start, Gva end, const Host& clock) {
  if (stale_.empty()) return;
  const uint64_t now = clock.now();
  std::erase_if(stale_, [&](const Stale& each) {
    if (each.entry.pasid != pasid || !ranges_overlap(each.entry.va.value, each.entry.bytes, start.value, end - start)) return false;
    measure(each, now);
    return true;
  });
}

void Staleness::measure(const Stale& stale, uint64_t now) {
  const uint64_t alive = now - stale.since_ns;
  ++tally_.translations;
  tally_.used_longest_ns = std::max(tally_.used_longest_ns, stale.used_ns - stale.since_ns);
  tally_.alive_longest_ns = std::max(tally_.alive_longest_ns, alive);
  tally_.alive_total_ns += alive;
}

}  // namespace tandem
