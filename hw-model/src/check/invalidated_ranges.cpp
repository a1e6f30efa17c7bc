// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/invalidated_ranges.h"

#include <algorithm>
#include <utility>

namespace tandem {

void InvalidatedRanges::add(const std::shared_ptr<const Invalidation>& invalidation) {
  const uint64_t start = invalidation->start.value, end = invalidation->end.value;
  if (start >= end) return;
  clear(start, end);
  pieces_[start] = {end, invalidation};
  if (pieces_.size() <= most_) return;
  std::vector<uint64_t> moments;
  list_moments(moments);
  forget_until(middle_of(std::move(moments)));
}

// Cuts the range out of what is there.
void InvalidatedRanges::clear(uint64_t start, uint64_t end) {
  auto at = pieces_.upper_bound(start);
  if (at != pieces_.begin()) --at;
  while (at != pieces_.end() && at->first < end) {
    const uint64_t piece_start = at->first;
    const Piece piece = at->second;
    if (piece.end <= start) {
      ++at;
      continue;
    }
    at = pieces_.erase(at);
    if (piece_start < start) pieces_[piece_start] = {start, piece.invalidation};
    if (piece.end > end) pieces_[end] = {piece.end, piece.invalidation};
  }
}

const Invalidation* InvalidatedRanges::after(uint64_t moment, Gva start, uint64_t bytes) const {
  const Invalidation* youngest = nullptr;
  auto at = pieces_.upper_bound(start.value);
  if (at != pieces_.begin()) --at;
  for (; at != pieces_.end() && at->first < start.value + bytes; ++at) {
    const Invalidation* here = at->second.invalidation.get();
    if (at->second.end <= start.value || here->binds() <= moment) continue;
    if (!youngest || here->moment > youngest->moment) youngest = here;
  }
  return youngest;
}

void InvalidatedRanges::list_moments(std::vector<uint64_t>& moments) const {
  for (const auto& [start, piece] : pieces_) moments.push_back(piece.invalidation->moment);
}

void InvalidatedRanges::forget_until(uint64_t moment) {
  std::erase_if(pieces_, [&](const auto& each) { return each.second.invalidation->moment <= moment; });
}

uint64_t middle_of(std::vector<uint64_t> moments) {
  const auto middle = moments.begin() + static_cast<std::ptrdiff_t>(moments.size() / 2);
  std::nth_element(moments.begin(), middle, moments.end());
  return *middle;
}

}  // namespace tandem
