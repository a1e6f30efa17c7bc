// SPDX-License-Identifier: GPL-2.0-or-later
#include "mem/access_counters.h"

#include <algorithm>

namespace tandem {

namespace {

uint32_t set_of(Pasid pasid, Gva region) {
  uint64_t mixed = (region.value / TANDEM_ACCESS_REGION) ^ uint64_t{pasid.value} << 32;
  mixed *= 0x9e3779b97f4a7c15;
  return static_cast<uint32_t>(mixed >> 56) % AccessCounters::kSets;
}

}  // namespace

void AccessCounters::set_threshold(uint32_t threshold) {
  threshold_ = threshold;
  if (threshold) return;
  std::fill(entries_.begin(), entries_.end(), Entry{});
  reached_ = 0;
}

AccessCounters::Entry* AccessCounters::find(Pasid pasid, Gva region) {
  Entry* const first = &entries_[set_of(pasid, region) * kWays];
  Entry* const found = std::find_if(first, first + kWays, [&](const Entry& entry) {
    return entry.state != State::Free && entry.pasid == pasid && entry.region == region;
  });
  return found == first + kWays ? nullptr : found;
}

// Free entries have the count 0. nullptr: the driver has not cleared what it was told of.
AccessCounters::Entry* AccessCounters::make_room(Pasid pasid, Gva region) {
  Entry* const first = &entries_[set_of(pasid, region) * kWays];
  Entry* least = nullptr;
  for (Entry* entry = first; entry != first + kWays; ++entry)
    if (entry->state <= State::Counting && (!least || entry->count < least->count)) least = entry;
  if (least) *least = {State::Counting, 0, pasid, region};
  return least;
}

void AccessCounters::count(Pasid pasid, Gva va) {
  const Gva region = va.align_down(TANDEM_ACCESS_REGION);
  Entry* entry = find(pasid, region);
  if (!entry) entry = make_room(pasid, region);
  if (!entry) return;
  if (entry->count != ~0u) ++entry->count;
  if (entry->state != State::Counting || entry->count < threshold_) return;
  entry->state = State::Reached;
  ++reached_;
}

std::optional<AccessCounters::Region> AccessCounters::take_reached() {
  if (!reached_) return {};
  Entry& entry = *std::find_if(entries_.begin(), entries_.end(), [](const Entry& e) { return e.state == State::Reached; });
  entry.state = State::Told;
  --reached_;
  return Region{entry.pasid, entry.region, entry.count};
}

void AccessCounters::free(Entry& entry) {
  if (entry.state == State::Reached) --reached_;
  entry = {};
}

void AccessCounters::clear(Pasid pasid, Gva start, Gva end) {
  for (Entry& entry : entries_)
    if (entry.state != State::Free && entry.pasid == pasid && entry.region >= start && entry.region < end) free(entry);
}

}  // namespace tandem
