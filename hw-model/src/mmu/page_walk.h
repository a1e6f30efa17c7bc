// SPDX-License-Identifier: GPL-2.0-or-later
// Step "translator (page walker)": one walk through the four levels of a device page table (tandem_pte.h).
//
// A walk alternates between fetch(), which reads one entry atomically and keeps it, and resolve(), which judges it. The MMU lets
// walk_latency ticks pass between the two: what fetch() read may be out of date when resolve() acts on it, just as in
// hardware, so an invalidation that overlaps the walk must restart() it (tandem_ring.h, struct tandem_invalidate).
#pragma once

#include <array>
#include <cstdint>

#include "mem/memory_port.h"
#include "mmu/translation.h"

namespace tandem {

// Host pointers of recently used page-table pages: saves asking the host for each level. Holds no table contents.
class TablePointers {
 public:
  explicit TablePointers(const MemoryPort& memory) : memory_(memory) {}
  // The table; no host pointer if it is not memory.
  MappedRun find(Iova table);
  void drop() { cache_.fill({}); }

 private:
  struct Line {
    uint64_t table = ~0ULL;
    MappedRun run;
  };
  const MemoryPort& memory_;
  std::array<Line, 256> cache_{};
};

class PageWalk {
 public:
  enum class Step : uint8_t {
    Descend,  // a directory entry: fetch the next level
    Found,    // entry() is good for the access; accessed and dirty bits are set
    Changed,  // the entry changed while it was marked: restart
    Pending,  // the IOMMU has been asked where the page is: resolve again
    Fault,    // reason() tells why
  };

  PageWalk() = default;
  PageWalk(Iova root, Gva va, Access access) : root_(root), table_(root), va_(va), access_(access) {}

  // Back to the root. What was fetched is forgotten.
  void restart() {
    table_ = root_;
    level_ = TANDEM_PT_LEVELS - 1;
    state_ = State::Empty;
    ++restarts_;
  }

  // Reads the entry of the present level, or notes that its table is not memory. False: the IOMMU has been asked where the table
  // is; fetch again.
  bool fetch(TablePointers& tables);
  bool at_root() const { return level_ == TANDEM_PT_LEVELS - 1; }
  bool has_fetched() const { return state_ != State::Empty; }
  // Judges what was fetched. After Descend and Changed the next entry must be fetched.
  Step resolve(TablePointers& tables, const MemoryPort& memory, Pasid pasid);

  // What the walk knows now rests on [start, end): on its own page, or on the leaf that it has fetched.
  bool overlaps(Gva start, Gva end) const;

  const TlbEntry& entry() const { return entry_; }
  TlbEntry& entry() { return entry_; }
  tandem_fault_reason reason() const { return reason_; }
  uint64_t fetched() const { return fetched_; }
  // Device address of the page that the fetched leaf gives for the address.
  uint64_t page_address() const;
  uint32_t restarts() const { return restarts_; }
  uint32_t levels_read() const { return levels_read_; }

 private:
  Step fault(tandem_fault_reason reason) {
    reason_ = reason;
    return Step::Fault;
  }
  Step resolve_directory();
  Step resolve_leaf(TablePointers& tables, const MemoryPort& memory, Pasid pasid);
  bool leaf_is_well_formed() const;
  bool permits_access() const;
  bool mark(TablePointers& tables, const MemoryPort& memory);
  uint32_t leaf_shift(TablePointers& tables) const;
  bool group_agrees(TablePointers& tables) const;
  enum class Built : uint8_t { Entry, Pending, Nothing };
  Built build_entry(const MemoryPort& memory, Pasid pasid, uint32_t shift);
  Built map_block(const MemoryPort& memory, Pasid pasid, uint64_t block_bytes, bool write);
  tandem_aperture aperture() const;

  enum class State : uint8_t { Empty, Fetched, NoTable };

  Iova root_{}, table_{};
  Gva va_{};
  Access access_ = Access::Read;
  int level_ = TANDEM_PT_LEVELS - 1;
  State state_ = State::Empty;
  uint64_t fetched_ = 0;
  uint32_t restarts_ = 0;
  uint32_t levels_read_ = 0;
  tandem_fault_reason reason_ = TANDEM_FAULT_NOT_PRESENT;
  TlbEntry entry_{};
};

}  // namespace tandem
