// SPDX-License-Identifier: GPL-2.0-or-later
// One side of a copy on physical addresses: what of it the host has mapped.
#pragma once

#include "mem/memory_port.h"

namespace tandem {

class PhysicalRun {
 public:
  // The memory behind the address, of whose bytes the copy wants the next `left`; shortens bytes to what lies behind one pointer.
  // No memory: it is none, or poisoned.
  MappedRun at(const MemoryPort& memory, tandem_aperture aperture, uint64_t address, uint64_t left, bool write,
               uint64_t& bytes);
  // True if it held a pointer.
  bool drop();

 private:
  uint64_t address_ = 0;  // device address of its first byte
  MappedRun mapped_;
};

}  // namespace tandem
