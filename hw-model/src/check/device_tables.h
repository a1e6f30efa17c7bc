// SPDX-License-Identifier: GPL-2.0-or-later
// The checker's own walk through a device page table as it is now (tandem_pte.h): written anew, so that it does not share the
// mistakes of the hardware's (mmu/page_walk.h), and without marking anything.
#pragma once

#include <optional>

#include "mmu/page_walk.h"

namespace tandem {

// What the table gives for the page of one address.
struct DeviceLeaf {
  uint64_t pte = 0;         // 0: nothing is mapped there
  uint64_t bytes = 0;       // of the leaf; a group counts as its page
  uint64_t address = 0;     // of the page, in the aperture
  tandem_aperture aperture = TANDEM_APERTURE_SYSTEM;

  bool permits(Access access) const;
  bool operator==(const DeviceLeaf&) const = default;
};

class DeviceTables {
 public:
  explicit DeviceTables(const MemoryPort& memory) : memory_(memory), tables_(memory) {}

  // Nothing: it cannot be told now, because a table is not memory, or the IOMMU has to be asked for it.
  std::optional<DeviceLeaf> find(Iova root, Gva va);
  // Does the leaf say itself which physical page it leads to? With an IOMMU in between only the IOMMU knows.
  bool tells_address(const DeviceLeaf& leaf) const {
    return leaf.pte && (leaf.aperture != TANDEM_APERTURE_SYSTEM || !memory_.bus_is_translated());
  }
  // The word at the address, by the table; for the instruction in a report.
  std::optional<uint32_t> read_word(Iova root, Gva va);
  void drop_host_pointers() { tables_.drop(); }

 private:
  const MemoryPort& memory_;
  TablePointers tables_;
};

}  // namespace tandem
