// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/copy_witness.h"

#include <cstring>

namespace tandem {

CopyWitness::CopyWitness(const std::byte* source, uint64_t bytes) : before_(source, source + bytes) {}

std::optional<uint64_t> CopyWitness::first_lost(const std::byte* source, const std::byte* destination) const {
  if (std::memcmp(before_.data(), destination, before_.size()) == 0) return {};
  for (uint64_t n = 0; n < before_.size(); ++n)
    if (before_[n] == source[n] && before_[n] != destination[n]) return n;
  return {};
}

}  // namespace tandem
