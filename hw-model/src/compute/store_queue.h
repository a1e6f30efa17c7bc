// SPDX-License-Identifier: GPL-2.0-or-later
// Step "memory": stores of a wavefront that have translated but are not yet in memory. Makes weak memory outcomes
// happen; with depth 0 it is always empty and costs one test.
//
// What stands in the queue rests on translations: see the invalidation contract in mmu/translation.h. The wavefront itself
// always sees its own stores: a load first writes out what it overlaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "base/types.h"
#include "mem/memory_port.h"

namespace tandem::compute {

// One lane's store: 1, 2, 4 or 8 bytes, naturally aligned.
struct LaneStore {
  uint64_t va = 0;
  std::byte* host = nullptr;
  uint64_t device_address = 0;
  uint64_t value = 0;
  uint64_t instruction = 0;  // lane stores of one instruction have the same number
  uint8_t bytes = 0;
  tandem_aperture aperture = TANDEM_APERTURE_SYSTEM;
};

// Chance from a seed; the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed ^ 0x9e3779b97f4a7c15) {}
  uint64_t below(uint64_t limit) {
    state_ += 0x9e3779b97f4a7c15;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (z ^ (z >> 31)) % limit;
  }

 private:
  uint64_t state_;
};

// The orders in which queued stores become visible: Fifo keeps all stores in order, Random only those which overlap.
class StoreQueue {
 public:
  bool empty() const { return queue_.empty(); }
  uint32_t instructions() const { return instructions_; }

  // All stores of one instruction are pushed with the same number, one instruction after the other.
  void push(const LaneStore& store);

  // Each writes stores to memory and returns how many. The overlapping ones come with whatever the order puts before them.
  uint32_t write_all(const MemoryPort& memory, tandem_store_drain order, Random& random);
  uint32_t write_overlapping(uint64_t va, uint64_t bytes, const MemoryPort& memory, tandem_store_drain order);
  uint32_t write_one_instruction(const MemoryPort& memory, tandem_store_drain order, Random& random);

  // Reset: they never reach memory.
  void discard();

 private:
  uint32_t write_up_to(size_t count, const MemoryPort& memory);
  uint32_t write_with_older(size_t index, const MemoryPort& memory);
  void erase(size_t index);

  std::deque<LaneStore> queue_;   // oldest first
  uint32_t instructions_ = 0;     // different instruction numbers in the queue
};

}  // namespace tandem::compute
