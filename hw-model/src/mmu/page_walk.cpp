// SPDX-License-Identifier: GPL-2.0-or-later
// Step "translator (page walker)": reading, checking and marking page-table entries.
#include "mmu/page_walk.h"

#include <atomic>

#include "mmu/tlb.h"

namespace tandem {

MappedRun TablePointers::find(Iova table) {
  Line& line = cache_[(table.value >> TANDEM_PAGE_SHIFT) % cache_.size()];
  if (line.run.host && line.table == table.value) return line.run;
  // Writable, for the accessed and dirty bits.
  const MappedRun run = memory_.map_system(table, TANDEM_PT_BYTES, true);
  if (run.pending) return run;
  if (!run.host || run.bytes < TANDEM_PT_BYTES) return {};
  line = {table.value, run};
  return run;
}

bool PageWalk::fetch(TablePointers& tables) {
  const MappedRun table = tables.find(table_);
  if (table.pending) return false;
  if (!table.host) {
    state_ = State::NoTable;
    return true;
  }
  const uint64_t index = TANDEM_LEVEL_INDEX(va_.value, level_);
  // Pairs with the driver's release when it publishes a table: what a directory entry points to is read after it.
  fetched_ = __atomic_load_n(reinterpret_cast<const uint64_t*>(table.host) + index, __ATOMIC_ACQUIRE);
  ++levels_read_;
  state_ = State::Fetched;
  return true;
}

PageWalk::Step PageWalk::resolve(TablePointers& tables, const MemoryPort& memory, Pasid pasid) {
  if (state_ == State::NoTable) return fault(TANDEM_FAULT_TABLE_DMA);
  if (!(fetched_ & TANDEM_PTE_VALID)) return fault(TANDEM_FAULT_NOT_PRESENT);
  if (level_ > 0 && !(fetched_ & TANDEM_PTE_LEAF)) return resolve_directory();
  return resolve_leaf(tables, memory, pasid);
}

PageWalk::Step PageWalk::resolve_directory() {
  if (fetched_ & TANDEM_PDE_RESERVED) return fault(TANDEM_FAULT_BAD_PTE);
  table_ = iova(fetched_ & TANDEM_PTE_ADDRESS);
  --level_;
  state_ = State::Empty;
  return Step::Descend;
}

PageWalk::Step PageWalk::resolve_leaf(TablePointers& tables, const MemoryPort& memory, Pasid pasid) {
  if (!leaf_is_well_formed()) return fault(TANDEM_FAULT_BAD_PTE);
  if (!permits_access()) return fault(TANDEM_FAULT_PERMISSION);
  if (!mark(tables, memory)) return Step::Changed;
  switch (build_entry(memory, pasid, leaf_shift(tables))) {
    case Built::Entry: return Step::Found;
    case Built::Pending: return Step::Pending;
    case Built::Nothing: break;
  }
  return fault(memory.is_poisoned(aperture(), page_address()) ? TANDEM_FAULT_POISON : TANDEM_FAULT_PAGE_DMA);
}

// A driver that frees a table invalidates all that the table covered first, and so the page of each walk that went through it.
bool PageWalk::overlaps(Gva start, Gva end) const {
  uint32_t shift = TANDEM_LEAF_4K;
  if (state_ == State::Fetched && fetched_ & TANDEM_PTE_LEAF)
    shift = level_ > 0 ? TANDEM_LEVEL_SHIFT(level_) : fetched_ & TANDEM_PTE_GROUP ? TANDEM_LEAF_64K : TANDEM_LEAF_4K;
  return ranges_overlap(va_.align_down(1ULL << shift).value, 1ULL << shift, start.value, end - start);
}

bool PageWalk::leaf_is_well_formed() const {
  if (level_ == 3 || !(fetched_ & TANDEM_PTE_LEAF) || fetched_ & TANDEM_PTE_RESERVED) return false;
  const uint64_t aperture = TANDEM_FIELD_GET(TANDEM_PTE_APERTURE, fetched_);
  if (aperture > TANDEM_APERTURE_PEER) return false;
  if (aperture != TANDEM_APERTURE_PEER && fetched_ & TANDEM_PTE_PEER) return false;
  const uint64_t address = fetched_ & TANDEM_PTE_ADDRESS;
  if (level_ > 0) return !(fetched_ & TANDEM_PTE_GROUP) && address % (1ULL << TANDEM_LEVEL_SHIFT(level_)) == 0;
  if (!(fetched_ & TANDEM_PTE_GROUP)) return true;
  const uint64_t page_in_group = TANDEM_LEVEL_INDEX(va_.value, 0) % TANDEM_GROUP_PAGES;
  return (address - page_in_group * TANDEM_PAGE_BYTES) % (1ULL << TANDEM_LEAF_64K) == 0;
}

bool PageWalk::permits_access() const {
  if (access_ == Access::Write) return fetched_ & TANDEM_PTE_WRITE;
  if (access_ == Access::Atomic) return (fetched_ & TANDEM_PTE_WRITE) && (fetched_ & TANDEM_PTE_ATOMIC);
  return true;
}

// Sets accessed, and dirty before a store, by compare-and-swap on the whole entry: if the driver exchanged it meanwhile the swap
// fails, so a cleared entry never comes back to life and no dirty bit is set that the driver will not see.
bool PageWalk::mark(TablePointers& tables, const MemoryPort& memory) {
  const bool stores = access_ == Access::Write || access_ == Access::Atomic;
  const uint64_t marked = fetched_ | TANDEM_PTE_ACCESSED | (stores ? TANDEM_PTE_DIRTY : 0);
  if (marked == fetched_) return true;
  const MappedRun table = tables.find(table_);
  if (!table.host) return false;  // the map changed: the next fetch reports it
  const uint64_t offset = TANDEM_LEVEL_INDEX(va_.value, level_) * sizeof(uint64_t);
  std::atomic_ref<uint64_t> slot(*reinterpret_cast<uint64_t*>(table.host + offset));
  uint64_t expected = fetched_;
  if (!slot.compare_exchange_strong(expected, marked, std::memory_order_acq_rel)) return false;
  memory.stored(TANDEM_APERTURE_SYSTEM, table.address + offset, sizeof(uint64_t));
  fetched_ = marked;
  return true;
}

uint32_t PageWalk::leaf_shift(TablePointers& tables) const {
  if (level_ > 0) return TANDEM_LEVEL_SHIFT(level_);
  return fetched_ & TANDEM_PTE_GROUP && group_agrees(tables) ? TANDEM_LEAF_64K : TANDEM_LEAF_4K;
}

// The driver writes and clears the 16 entries of a group one after the other. While they do not agree, only the page itself
// may be cached.
bool PageWalk::group_agrees(TablePointers& tables) const {
  const std::byte* table = tables.find(table_).host;
  if (!table) return false;
  constexpr uint64_t marks = TANDEM_PTE_ACCESSED | TANDEM_PTE_DIRTY | TANDEM_PTE_SOFTWARE;
  const uint64_t index = TANDEM_LEVEL_INDEX(va_.value, 0);
  const uint64_t first = index & ~uint64_t{TANDEM_GROUP_PAGES - 1};
  for (uint64_t page = 0; page < TANDEM_GROUP_PAGES; ++page) {
    const uint64_t expected = (fetched_ & ~marks) + (first + page - index) * TANDEM_PAGE_BYTES;
    const uint64_t found = __atomic_load_n(reinterpret_cast<const uint64_t*>(table) + first + page, __ATOMIC_RELAXED);
    if ((found & ~marks) != expected) return false;
  }
  return true;
}

tandem_aperture PageWalk::aperture() const {
  return static_cast<tandem_aperture>(TANDEM_FIELD_GET(TANDEM_PTE_APERTURE, fetched_));
}

// A 4 KiB or group entry names its own page, a larger leaf its first byte.
uint64_t PageWalk::page_address() const {
  const uint64_t leaf = 1ULL << TANDEM_LEVEL_SHIFT(level_);
  const uint64_t address = (fetched_ & TANDEM_PTE_ADDRESS) + (va_.align_down(TANDEM_PAGE_BYTES) - va_.align_down(leaf));
  return aperture() == TANDEM_APERTURE_PEER
             ? peer_address(static_cast<uint32_t>(TANDEM_FIELD_GET(TANDEM_PTE_PEER, fetched_)), address)
             : address;
}

// The largest block around the address that lies behind one host pointer: the whole leaf, or a smaller page size if the host's
// run is shorter, or a page near by is poisoned ("fractured" entry).
PageWalk::Built PageWalk::build_entry(const MemoryPort& memory, Pasid pasid, uint32_t shift) {
  const bool stores = access_ == Access::Write || access_ == Access::Atomic;
  const bool may_store = (fetched_ & TANDEM_PTE_WRITE) && (fetched_ & TANDEM_PTE_DIRTY);
  for (int size_class = kSizeClasses - 1; size_class >= 0; --size_class) {
    if (kSizeShift[size_class] > shift) continue;
    const uint64_t block = 1ULL << kSizeShift[size_class];
    Built built = map_block(memory, pasid, block, may_store);
    // Memory that cannot be stored to can still be read, whatever the entry says.
    if (built == Built::Nothing && may_store && !stores) built = map_block(memory, pasid, block, false);
    if (built != Built::Nothing) return built;
  }
  return Built::Nothing;
}

PageWalk::Built PageWalk::map_block(const MemoryPort& memory, Pasid pasid, uint64_t block_bytes, bool write) {
  const Gva block_va = va_.align_down(block_bytes);
  const uint64_t address = page_address() - (va_.align_down(TANDEM_PAGE_BYTES) - block_va);
  const MappedRun run = memory.map(aperture(), address, block_bytes, write);
  if (run.pending) return Built::Pending;
  if (!run.host || run.bytes < block_bytes) return Built::Nothing;

  entry_ = TlbEntry{.pasid = pasid,
                    .va = block_va,
                    .bytes = block_bytes,
                    .host = run.host,
                    .device_address = run.address,
                    .aperture = aperture(),
                    .write = write,
                    .atomic = write && fetched_ & TANDEM_PTE_ATOMIC,
                    .counted = aperture() != TANDEM_APERTURE_VRAM && memory.access_counters().on(),
                    .pte = fetched_,
                    .bus_address = address};
  return Built::Entry;
}

}  // namespace tandem
