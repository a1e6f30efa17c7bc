// SPDX-License-Identifier: GPL-2.0-or-later
// Step "L1 TLB -> L2 TLB": one set-associative translation cache, used for both levels.
//
// Entries of 4 KiB, 64 KiB, 2 MiB and 1 GiB share the sets; a lookup probes one set for each size that is present, so its
// cost depends on the ways, not on the number of entries. Replacement is true LRU. The entries of an address space are
// chained, so that a kill costs the smaller of the pages in its range and the entries that the address space has.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "mmu/translation.h"

namespace tandem {

enum class SizeClass : uint32_t { Page4K, Page64K, Page2M, Page1G };
inline constexpr uint32_t kSizeClasses = 4;
inline constexpr std::array<uint32_t, kSizeClasses> kSizeShift = {TANDEM_LEAF_4K, TANDEM_LEAF_64K, TANDEM_LEAF_2M,
                                                                  TANDEM_LEAF_1G};

class Tlb {
 public:
  // sets: a power of two. Only an empty one may be copied.
  Tlb(uint32_t sets, uint32_t ways);

  // The entry that covers the address and permits the access, or nullptr. Valid until the next insert or kill.
  // pc: of the instruction that asks. It does not change the answer: an instruction mostly stays on its page, so what it
  // found last is tried first.
  const TlbEntry* lookup(Pasid pasid, Gva va, Access access, uint64_t pc = 0) {
    const uint32_t slot = last_[hint_of(pc)];
    const TlbEntry& last = entries_[slot];
    if (last.covers(va) && tags_[slot] && last.pasid == pasid && last.permits(access)) {
      used_[slot] = ++clock_;
      return &last;
    }
    return search(pasid, va, access, hint_of(pc));
  }

  // Puts an entry in; its size must be that of a class. Whatever covered its first byte before is replaced, so that an entry
  // with fewer permissions never outlives an upgrade. evicted: a valid entry of another page had to go.
  struct Inserted {
    const TlbEntry* entry;
    bool evicted;
  };
  Inserted insert(const TlbEntry& entry);

  // Kills every entry of the address space that shares a byte with [start, end), whole. Returns how many.
  uint32_t kill(Pasid pasid, Gva start, Gva end);
  uint32_t kill(Pasid pasid);
  uint32_t kill_all();
  // Those of which test(entry) is true. Looks at every entry.
  template <typename Test>
  uint32_t kill_if(Test test) {
    uint32_t killed = 0;
    for (uint32_t slot = 0; slot < capacity(); ++slot) {
      if (!tags_[slot] || !test(entries_[slot])) continue;
      remove(slot);
      ++killed;
    }
    return killed;
  }

  uint32_t valid_entries() const;
  uint32_t capacity() const { return static_cast<uint32_t>(tags_.size()); }

  template <typename Visit>
  void for_each(Visit visit) const {
    for (size_t slot = 0; slot < tags_.size(); ++slot)
      if (tags_[slot]) visit(entries_[slot]);
  }

 private:
  static constexpr uint32_t kNone = ~0u;
  struct Chain {
    uint32_t head = kNone;
    uint32_t count = 0;
  };

  static constexpr uint32_t kHints = 32;
  static uint32_t hint_of(uint64_t pc) { return static_cast<uint32_t>(pc >> 2) & (kHints - 1); }

  const TlbEntry* search(Pasid pasid, Gva va, Access access, uint32_t hint);
  Chain& chain_of(Pasid pasid);
  static uint64_t tag_of(Pasid pasid, Gva va, uint32_t size_class);
  uint32_t set_of(Pasid pasid, Gva va, uint32_t size_class) const;
  uint32_t probe(Pasid pasid, Gva va, uint32_t size_class) const;
  uint32_t victim_in(uint32_t first_slot) const;
  uint32_t pages_to_probe(Gva start, Gva end) const;
  uint32_t kill_by_probing(Pasid pasid, Gva start, Gva end);
  uint32_t kill_by_chain(Pasid pasid, Gva start, Gva end);
  void remove(uint32_t slot);

  uint32_t sets_;
  uint32_t ways_;
  std::array<uint32_t, kHints> last_{};  // slots of the last hits, by instruction
  uint32_t present_ = 0;           // bit c: some entry of size class c is valid
  uint64_t clock_ = 0;             // stamps uses
  std::array<uint32_t, kSizeClasses> counts_{};
  std::vector<uint64_t> tags_;     // 0: slot is free
  std::vector<uint64_t> used_;
  std::vector<TlbEntry> entries_;
  std::vector<uint32_t> next_, previous_;  // chain of the address space
  std::vector<Chain*> chain_of_slot_;
  std::unordered_map<uint32_t, Chain> chains_;  // stays, empty or not, for each address space that ever had an entry
  Chain* last_chain_ = nullptr;            // of the last insert
  uint32_t last_chain_pasid_ = 0;
};

}  // namespace tandem
