// SPDX-License-Identifier: GPL-2.0-or-later
// Pages of the system's memory as the checker reads them: by physical address, past any IOMMU, because what it looks at was never
// meant for the device.
#pragma once

#include <array>

#include "mem/memory_port.h"

namespace tandem {

class PhysicalPages {
 public:
  explicit PhysicalPages(const MemoryPort& memory) : memory_(memory) {}

  // The page at an aligned address; nullptr if there is no memory. Good until drop().
  const std::byte* find(uint64_t address) {
    Line& line = cache_[(address >> TANDEM_PAGE_SHIFT) % cache_.size()];
    if (line.host && line.address == address) return line.host;
    const MappedRun run = memory_.map_memory(address, TANDEM_PAGE_BYTES, false);
    if (!run.host || run.bytes < TANDEM_PAGE_BYTES) return nullptr;
    line = {address, run.host};
    return run.host;
  }
  // The host's memory map changed.
  void drop() { cache_.fill({}); }

 private:
  struct Line {
    uint64_t address = 0;
    const std::byte* host = nullptr;
  };
  const MemoryPort& memory_;
  std::array<Line, 512> cache_{};
};

}  // namespace tandem
