// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/invalidation_memory.h"

#include <utility>
#include <vector>

namespace tandem {

void InvalidationMemory::add(const std::shared_ptr<const Invalidation>& invalidation) {
  InvalidatedRanges& space = spaces_[invalidation->pasid.value];
  pieces_ -= space.pieces();
  space.add(invalidation);
  pieces_ += space.pieces();
  if (pieces_ > most_) forget_older_half();
}

const Invalidation* InvalidationMemory::after(Pasid pasid, uint64_t moment, Gva start, uint64_t bytes) const {
  const auto space = spaces_.find(pasid.value);
  return space == spaces_.end() ? nullptr : space->second.after(moment, start, bytes);
}

void InvalidationMemory::forget_older_half() {
  std::vector<uint64_t> moments;
  for (const auto& [pasid, space] : spaces_) space.list_moments(moments);
  const uint64_t middle = middle_of(std::move(moments));
  pieces_ = 0;
  for (auto& [pasid, space] : spaces_) {
    space.forget_until(middle);
    pieces_ += space.pieces();
  }
  std::erase_if(spaces_, [](const auto& each) { return each.second.pieces() == 0; });
}

}  // namespace tandem
