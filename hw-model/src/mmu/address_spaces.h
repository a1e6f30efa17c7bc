// SPDX-License-Identifier: GPL-2.0-or-later
// The address spaces that the driver has bound: PASID -> page table, and whose it is. Walks and queues look here.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <unordered_map>

#include "base/types.h"

namespace tandem {

struct AddressSpace {
  Iova root;                     // MIRROR: level 3 table
  tandem_translation translation = TANDEM_TRANSLATION_MIRROR;
  uint32_t bus_pasid = 0;        // SVA: by which the IOMMU knows it
  uint64_t check = 0;            // physical address of struct tandem_check_space; 0: the checker knows nothing of the process
  uint64_t ended_ns = 0;         // SVA: when UNBIND found page requests to be answered yet; 0: it is alive
  uint64_t drained = 0;          // and how many
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
  // The same, unless it is being unbound.
  const AddressSpace* find_alive(Pasid pasid) const {
    const AddressSpace* space = find(pasid);
    return space && !space->ended_ns ? space : nullptr;
  }
  AddressSpace* change(Pasid pasid) {
    const auto found = spaces_.find(pasid.value);
    return found == spaces_.end() ? nullptr : &found->second;
  }
  // Calls visit(Pasid) for each that the IOMMU knows by this PASID: a process may have several.
  template <typename Visit>
  void for_each_of(uint32_t bus_pasid, Visit visit) const {
    const auto [first, end] = by_bus_pasid_.equal_range(bus_pasid);
    for (auto at = first; at != end; ++at) visit(Pasid{{at->second}});
  }
  void bind(Pasid pasid, const AddressSpace& space) {
    spaces_[pasid.value] = space;
    if (space.translation == TANDEM_TRANSLATION_SVA) by_bus_pasid_.emplace(space.bus_pasid, pasid.value);
  }
  void unbind(Pasid pasid) {
    const auto space = spaces_.find(pasid.value);
    if (space == spaces_.end()) return;
    const auto [first, end] = by_bus_pasid_.equal_range(space->second.bus_pasid);
    const auto own = std::find_if(first, end, [&](const auto& each) { return each.second == pasid.value; });
    if (own != end) by_bus_pasid_.erase(own);
    spaces_.erase(space);
  }
  void reset() {
    spaces_.clear();
    by_bus_pasid_.clear();
  }
  const std::map<uint32_t, AddressSpace>& all() const { return spaces_; }

 private:
  uint32_t limit_;
  std::map<uint32_t, AddressSpace> spaces_;
  std::unordered_multimap<uint32_t, uint32_t> by_bus_pasid_;
};

}  // namespace tandem
