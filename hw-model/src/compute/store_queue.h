// SPDX-License-Identifier: GPL-2.0-or-later
// Step "memory": stores of a wavefront that have translated but are not yet in memory. Makes weak memory outcomes
// happen; with depth 0 it is always empty and costs one test.
//
// What stands in the queue rests on translations: see the invalidation contract in mmu/translation.h. The wavefront itself
// always sees its own stores: a load first writes out what it overlaps. Most loads overlap nothing, so the question
// must be cheap: rows know their bounds and their stride (lane_addresses.h), and lanes are compared only if these do not tell.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "base/types.h"
#include "compute/lane_addresses.h"
#include "compute/watched.h"
#include "mem/memory_port.h"

namespace tandem::compute {

// The lanes of one store instruction whose elements lie behind one host pointer.
struct StoreRow {
  LaneAddresses at;
  uint64_t value[kLanes];
  LaneMask lanes = 0;             // not yet written; 0: the row is gone
  uint64_t instruction = 0;       // rows of one instruction have the same number
  std::byte* host = nullptr;      // of the byte at `origin`
  uint64_t device_address = 0;    // of the byte at `origin`
  uint64_t origin = 0;
  tandem_aperture aperture = TANDEM_APERTURE_SYSTEM;
  Translated translated;
};

// The orders in which queued stores become visible: Fifo keeps all instructions in order, Random only stores which overlap;
// it may show some lanes of an instruction before others.
class StoreQueue {
 public:
  bool empty() const { return size_ == 0; }
  uint32_t instructions() const { return instructions_; }

  // A new row at the end, for the caller to fill in before anything else is called; its lanes must not be 0. All rows of one
  // instruction come with the same number, one instruction after the other.
  StoreRow& push(uint64_t instruction);

  // Each writes stores to memory and returns how many lanes'. The overlapping ones come with whatever the order puts before
  // them.
  uint32_t write_all(const MemoryPort& memory, tandem_store_drain order, Random& random);
  uint32_t write_overlapping(const LaneAddresses& at, const MemoryPort& memory, tandem_store_drain order);
  uint32_t write_overlapping(uint64_t va, uint64_t bytes, const MemoryPort& memory, tandem_store_drain order);
  uint32_t write_one_instruction(const MemoryPort& memory, tandem_store_drain order, Random& random);

  // Reset: they never reach memory.
  void discard();

 private:
  StoreRow& row(size_t n) { return rows_[(first_ + n) & (rows_.size() - 1)]; }
  void grow();
  template <typename Overlaps>
  uint32_t write_where(Overlaps overlaps, const MemoryPort& memory, tandem_store_drain order);
  uint32_t write_up_to(size_t count, const MemoryPort& memory);
  uint32_t write_with_older(size_t n, LaneMask lanes, const MemoryPort& memory);
  uint32_t write_lanes(size_t n, LaneMask lanes, const MemoryPort& memory);
  uint32_t write_some_lanes(const MemoryPort& memory, Random& random);
  bool is_queued(uint64_t instruction, size_t n);
  void drop_gone_rows();

  std::vector<StoreRow> rows_;    // a ring; its size is a power of two
  size_t first_ = 0;              // the oldest
  size_t size_ = 0;               // with those that are gone, which only Random leaves behind
  uint32_t instructions_ = 0;     // different instruction numbers in the queue
};

}  // namespace tandem::compute
