// SPDX-License-Identifier: GPL-2.0-or-later
// Has a copy arrived? The source as it was before, compared with both ends after. Others may store to the source meanwhile, so a
// word that has changed there proves nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace tandem {

class CopyWitness {
 public:
  CopyWitness(const std::byte* source, uint64_t bytes);
  // The first byte that did not change at the source and is another one at the destination.
  std::optional<uint64_t> first_lost(const std::byte* source, const std::byte* destination) const;

 private:
  std::vector<std::byte> before_;
};

}  // namespace tandem
