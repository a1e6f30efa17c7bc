// SPDX-License-Identifier: GPL-2.0-or-later
// The address spaces that the driver has bound: PASID -> page table, and whose it is. Walks and queues look here.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>

#include "base/types.h"

namespace tandem {

struct AddressSpace {
  Iova root;                     // MIRROR: level 3 table
  tandem_translation translation = TANDEM_TRANSLATION_MIRROR;
  uint32_t bus_pasid = 0;        // SVA: by which the IOMMU knows it
  uint32_t tgid = 0;
  std::array<char, 16> comm{};

  // The process's name with everything but printable ASCII replaced: it comes from the guest and goes to a terminal.
  std::string name() const {
    std::string text;
    for (const char c : comm) {
      if (!c) break;
      text += c >= ' ' && c <= '~' ? c : '?';
    }
    return text;
  }
};

class AddressSpaces {
 public:
  explicit AddressSpaces(uint32_t limit) : limit_(limit) {}

  // PASIDs that can be bound: 1 .. limit-1.
  bool in_range(Pasid pasid) const { return pasid.value > 0 && pasid.value < limit_; }
  const AddressSpace* find(Pasid pasid) const {
    const auto found = spaces_.find(pasid.value);
    return found == spaces_.end() ? nullptr : &found->second;
  }
  // The one that the IOMMU knows by this PASID, or nothing.
  std::optional<Pasid> find_by_bus_pasid(uint32_t bus_pasid) const {
    for (const auto& [pasid, space] : spaces_)
      if (space.translation == TANDEM_TRANSLATION_SVA && space.bus_pasid == bus_pasid) return Pasid{{pasid}};
    return {};
  }
  void bind(Pasid pasid, const AddressSpace& space) { spaces_[pasid.value] = space; }
  void unbind(Pasid pasid) { spaces_.erase(pasid.value); }
  void reset() { spaces_.clear(); }
  const std::map<uint32_t, AddressSpace>& all() const { return spaces_; }

 private:
  uint32_t limit_;
  std::map<uint32_t, AddressSpace> spaces_;
};

}  // namespace tandem
