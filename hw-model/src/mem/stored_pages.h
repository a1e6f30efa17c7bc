// SPDX-License-Identifier: GPL-2.0-or-later
// Step "system memory port": stores of which the host has not been told yet (MemoryPort::stored), collected page by page.
//
// The host's part (dirty bits, code that it made from the page) costs a memory barrier, which keeps the loads behind it from
// overlapping with anything before: once for each row that a wavefront stores is a fifth of a kernel that stores much. What may
// be late: the host has to hear of a store before the end of its call (tandem/model.h), and before whatever the store is ordered
// before can be seen, so whoever collects calls tell() at fences, at releases and at the end of its run.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "mem/memory_port.h"

namespace tandem {

class StoredPages {
 public:
  explicit StoredPages(const MemoryPort& memory) : memory_(memory) {}

  // As MemoryPort::stored(), later.
  void add(tandem_aperture aperture, uint64_t address, uint64_t bytes) {
    const uint64_t offset = address % TANDEM_PAGE_BYTES;
    if (offset + bytes > TANDEM_PAGE_BYTES) return memory_.stored(aperture, address, bytes);
    const uint64_t page = address - offset;
    const uint32_t number = slot_of(page);
    Slot& slot = slots_[number];
    const bool used = used_ >> number & 1;
    if (used && slot.page == page && slot.aperture == aperture) {
      slot.low = std::min(slot.low, offset);
      slot.high = std::max(slot.high, offset + bytes);
      return;
    }
    if (used) tell(slot);
    used_ |= uint64_t{1} << number;
    slot = {page, offset, offset + bytes, aperture};
  }

  void tell() {
    std::array<tandem_stored_range, kSlots> system;
    uint32_t count = 0;
    for (; used_; used_ &= used_ - 1) {
      const Slot& slot = slots_[static_cast<uint32_t>(std::countr_zero(used_))];
      if (slot.aperture == TANDEM_APERTURE_SYSTEM) system[count++] = {slot.page + slot.low, slot.high - slot.low};
      else tell(slot);
    }
    if (count) memory_.stored_to_system(system.data(), count);
  }

 private:
  static constexpr uint32_t kSlots = 64;

  struct Slot {
    uint64_t page, low, high;
    tandem_aperture aperture;
  };

  static uint32_t slot_of(uint64_t page) {
    return static_cast<uint32_t>(page / TANDEM_PAGE_BYTES * 0x9e3779b97f4a7c15 >> 58);
  }
  void tell(const Slot& slot) const { memory_.stored(slot.aperture, slot.page + slot.low, slot.high - slot.low); }

  const MemoryPort& memory_;
  std::array<Slot, kSlots> slots_;
  uint64_t used_ = 0;
};

}  // namespace tandem
