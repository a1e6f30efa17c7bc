// SPDX-License-Identifier: GPL-2.0-or-later
// Step "L1 TLB -> L2 TLB": lookup, replacement, and kills by page, range and address space.
#include "mmu/tlb.h"

#include <algorithm>
#include <cassert>

namespace tandem {

namespace {

uint32_t class_of(uint64_t bytes) {
  const auto shift = static_cast<uint32_t>(std::countr_zero(bytes));
  for (uint32_t size_class = 0; size_class < kSizeClasses; ++size_class)
    if (kSizeShift[size_class] == shift) return size_class;
  assert(!"a TLB entry of a size that no leaf has");
  return 0;
}

}  // namespace

Tlb::Tlb(uint32_t sets, uint32_t ways)
    : sets_(sets),
      ways_(ways),
      tags_(size_t{sets} * ways),
      used_(tags_.size()),
      entries_(tags_.size()),
      next_(tags_.size(), kNone),
      previous_(tags_.size(), kNone),
      chain_of_slot_(tags_.size()) {
  assert(std::has_single_bit(sets) && ways > 0);
}

// Bit 63 marks a valid slot; 16 bits of PASID, 35 bits of page number and 2 bits of size fit below it.
uint64_t Tlb::tag_of(Pasid pasid, Gva va, uint32_t size_class) {
  const uint64_t page = va.align_down(1ULL << kSizeShift[size_class]).value >> TANDEM_PAGE_SHIFT;
  return 1ULL << 63 | uint64_t{pasid.value} << 37 | page << 2 | size_class;
}

// The page number folded onto the bits of the index: neighbouring pages fill all sets evenly, and pages at any stride, such as
// the lanes' stacks, nearly so.
uint32_t Tlb::set_of(Pasid pasid, Gva va, uint32_t size_class) const {
  const uint64_t page = va.value >> kSizeShift[size_class];
  const int bits = std::countr_zero(sets_);
  uint64_t folded = page ^ uint64_t{pasid.value} * 0x9e37 ^ size_class * 0x55;
  folded ^= folded >> bits;
  folded ^= folded >> 2 * bits;
  if (bits < 16) folded ^= folded >> 4 * bits;
  return static_cast<uint32_t>(folded) & (sets_ - 1);
}

uint32_t Tlb::probe(Pasid pasid, Gva va, uint32_t size_class) const {
  const uint64_t tag = tag_of(pasid, va, size_class);
  const uint32_t first = set_of(pasid, va, size_class) * ways_;
  for (uint32_t slot = first; slot < first + ways_; ++slot)
    if (tags_[slot] == tag) return slot;
  return kNone;
}

const TlbEntry* Tlb::search(Pasid pasid, Gva va, Access access, uint32_t hint) {
  for (uint32_t sizes = present_; sizes; sizes &= sizes - 1) {
    const uint32_t slot = probe(pasid, va, static_cast<uint32_t>(std::countr_zero(sizes)));
    if (slot == kNone || !entries_[slot].permits(access)) continue;
    used_[slot] = ++clock_;
    last_[hint] = slot;
    return &entries_[slot];
  }
  return nullptr;
}

uint32_t Tlb::victim_in(uint32_t first_slot) const {
  uint32_t victim = first_slot;
  for (uint32_t slot = first_slot; slot < first_slot + ways_; ++slot) {
    if (!tags_[slot]) return slot;
    if (used_[slot] < used_[victim]) victim = slot;
  }
  return victim;
}

Tlb::Inserted Tlb::insert(const TlbEntry& entry) {
  for (uint32_t sizes = present_; sizes; sizes &= sizes - 1) {
    const uint32_t stale = probe(entry.pasid, entry.va, static_cast<uint32_t>(std::countr_zero(sizes)));
    if (stale != kNone) remove(stale);
  }
  const uint32_t size_class = class_of(entry.bytes);
  const uint32_t slot = victim_in(set_of(entry.pasid, entry.va, size_class) * ways_);
  const bool evicted = tags_[slot] != 0;
  if (evicted) remove(slot);

  tags_[slot] = tag_of(entry.pasid, entry.va, size_class);
  entries_[slot] = entry;
  used_[slot] = ++clock_;
  if (counts_[size_class]++ == 0) present_ |= 1u << size_class;

  Chain& chain = chain_of(entry.pasid);
  chain_of_slot_[slot] = &chain;
  next_[slot] = chain.head;
  previous_[slot] = kNone;
  if (chain.head != kNone) previous_[chain.head] = slot;
  chain.head = slot;
  ++chain.count;
  return {&entries_[slot], evicted};
}

Tlb::Chain& Tlb::chain_of(Pasid pasid) {
  if (!last_chain_ || last_chain_pasid_ != pasid.value) {
    last_chain_ = &chains_[pasid.value];
    last_chain_pasid_ = pasid.value;
  }
  return *last_chain_;
}

void Tlb::remove(uint32_t slot) {
  const auto size_class = static_cast<uint32_t>(tags_[slot] & 3);
  if (--counts_[size_class] == 0) present_ &= ~(1u << size_class);
  Chain& chain = *chain_of_slot_[slot];
  if (previous_[slot] != kNone) next_[previous_[slot]] = next_[slot];
  else chain.head = next_[slot];
  if (next_[slot] != kNone) previous_[next_[slot]] = previous_[slot];
  --chain.count;
  tags_[slot] = 0;
  entries_[slot].host = nullptr;
}

uint32_t Tlb::pages_to_probe(Gva start, Gva end) const {
  uint64_t pages = 0;
  for (uint32_t sizes = present_; sizes; sizes &= sizes - 1) {
    const uint32_t shift = kSizeShift[static_cast<uint32_t>(std::countr_zero(sizes))];
    pages += ((end.value - 1) >> shift) - (start.value >> shift) + 1;
  }
  return static_cast<uint32_t>(std::min<uint64_t>(pages, ~0u));
}

uint32_t Tlb::kill_by_probing(Pasid pasid, Gva start, Gva end) {
  uint32_t killed = 0;
  for (uint32_t sizes = present_; sizes; sizes &= sizes - 1) {
    const auto size_class = static_cast<uint32_t>(std::countr_zero(sizes));
    const uint64_t bytes = 1ULL << kSizeShift[size_class];
    for (Gva va = start.align_down(bytes); va < end; va = va + bytes) {
      const uint32_t slot = probe(pasid, va, size_class);
      if (slot == kNone) continue;
      remove(slot);
      ++killed;
    }
  }
  return killed;
}

uint32_t Tlb::kill_by_chain(Pasid pasid, Gva start, Gva end) {
  uint32_t killed = 0;
  for (uint32_t slot = chains_.find(pasid.value)->second.head; slot != kNone;) {
    const uint32_t next = next_[slot];
    const TlbEntry& entry = entries_[slot];
    if (ranges_overlap(entry.va.value, entry.bytes, start.value, end - start)) {
      remove(slot);
      ++killed;
    }
    slot = next;
  }
  return killed;
}

uint32_t Tlb::kill(Pasid pasid, Gva start, Gva end) {
  const auto chain = chains_.find(pasid.value);
  if (chain == chains_.end() || chain->second.count == 0 || end <= start) return 0;
  return pages_to_probe(start, end) <= chain->second.count ? kill_by_probing(pasid, start, end)
                                                           : kill_by_chain(pasid, start, end);
}

uint32_t Tlb::kill(Pasid pasid) {
  if (!chains_.contains(pasid.value)) return 0;
  return kill_by_chain(pasid, gva(0), gva(TANDEM_VA_LIMIT));
}

uint32_t Tlb::kill_all() {
  const uint32_t killed = valid_entries();
  std::fill(tags_.begin(), tags_.end(), 0);
  std::fill(entries_.begin(), entries_.end(), TlbEntry{});
  chains_.clear();
  last_chain_ = nullptr;
  counts_ = {};
  present_ = 0;
  return killed;
}

uint32_t Tlb::valid_entries() const {
  uint32_t valid = 0;
  for (const uint32_t count : counts_) valid += count;
  return valid;
}

}  // namespace tandem
