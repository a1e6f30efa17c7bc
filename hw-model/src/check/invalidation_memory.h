// SPDX-License-Identifier: GPL-2.0-or-later
// What was invalidated, of each address space (invalidated_ranges.h), and of all together no more than so many pieces, however many
// address spaces the guest names: beyond it the older half of all is forgotten. That is 25 MiB at most.
#pragma once

#include <memory>
#include <unordered_map>

#include "check/invalidated_ranges.h"

namespace tandem {

class InvalidationMemory {
 public:
  explicit InvalidationMemory(size_t most = 131072) : most_(most) {}

  // Of the address space that it names.
  void add(const std::shared_ptr<const Invalidation>& invalidation);
  // As InvalidatedRanges::after().
  const Invalidation* after(Pasid pasid, uint64_t moment, Gva start, uint64_t bytes) const;
  size_t pieces() const { return pieces_; }
  void reset() { spaces_.clear(), pieces_ = 0; }

 private:
  void forget_older_half();

  size_t most_;
  size_t pieces_ = 0;  // of all
  std::unordered_map<uint32_t, InvalidatedRanges> spaces_;
};

}  // namespace tandem
