// SPDX-License-Identifier: GPL-2.0-or-later
// One side of a copy on physical addresses.
#include "copy/physical_run.h"

#include <algorithm>

namespace tandem {

namespace {
constexpr uint64_t kRunBytes = 2ULL << 20;  // asked of the host at a time
}

MappedRun PhysicalRun::at(const MemoryPort& memory, tandem_aperture aperture, uint64_t address, uint64_t left, bool write,
                          uint64_t& bytes) {
  if (!mapped_.host || address - address_ >= mapped_.bytes) {
    address_ = address & ~(TANDEM_PAGE_BYTES - 1);
    const uint64_t wanted = address - address_ + std::min(kRunBytes, left);
    const uint64_t pages = (wanted + TANDEM_PAGE_BYTES - 1) & ~(TANDEM_PAGE_BYTES - 1);
    mapped_ = memory.map(aperture, address_, pages, write);
    if (!mapped_.host || address - address_ >= mapped_.bytes) {
      const bool pending = mapped_.pending;
      mapped_ = {};
      return {.pending = pending};
    }
  }
  const uint64_t offset = address - address_;
  bytes = std::min(bytes, mapped_.bytes - offset);
  return {mapped_.host + offset, mapped_.address + offset, bytes};
}

bool PhysicalRun::drop() {
  const bool held = mapped_.host;
  mapped_ = {};
  return held;
}

}  // namespace tandem
