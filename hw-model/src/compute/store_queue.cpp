// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/store_queue.h"

#include <algorithm>

namespace tandem::compute {
namespace {

void write(const LaneStore& store, const MemoryPort& memory) {
  switch (store.bytes) {
    case 1: store_relaxed(store.host, static_cast<uint8_t>(store.value)); break;
    case 2: store_relaxed(store.host, static_cast<uint16_t>(store.value)); break;
    case 4: store_relaxed(store.host, static_cast<uint32_t>(store.value)); break;
    default: store_relaxed(store.host, store.value); break;
  }
  memory.stored(store.aperture, store.device_address, store.bytes);
}

bool overlap(const LaneStore& store, uint64_t va, uint64_t bytes) {
  return ranges_overlap(store.va, store.bytes, va, bytes);
}

}  // namespace

void StoreQueue::push(const LaneStore& store) {
  if (queue_.empty() || queue_.back().instruction != store.instruction) ++instructions_;
  queue_.push_back(store);
}

// An instruction stays counted until its last lane store is gone.
void StoreQueue::erase(size_t index) {
  const uint64_t instruction = queue_[index].instruction;
  queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(index));
  const bool left = std::any_of(queue_.begin(), queue_.end(), [&](const LaneStore& s) { return s.instruction == instruction; });
  if (!left) --instructions_;
}

uint32_t StoreQueue::write_up_to(size_t count, const MemoryPort& memory) {
  for (size_t i = 0; i < count; ++i) {
    write(queue_.front(), memory);
    erase(0);
  }
  return static_cast<uint32_t>(count);
}

// Stores to the same bytes stay in order: older ones go first.
uint32_t StoreQueue::write_with_older(size_t index, const MemoryPort& memory) {
  uint32_t written = 0;
  const LaneStore chosen = queue_[index];
  for (size_t older = 0; older < index;) {
    if (!overlap(queue_[older], chosen.va, chosen.bytes)) {
      ++older;
      continue;
    }
    const uint32_t count = write_with_older(older, memory);
    written += count;
    index -= count;
    older = 0;
  }
  write(chosen, memory);
  erase(index);
  return written + 1;
}

uint32_t StoreQueue::write_all(const MemoryPort& memory, tandem_store_drain order, Random& random) {
  uint32_t written = 0;
  while (!queue_.empty()) written += write_one_instruction(memory, order, random);
  return written;
}

uint32_t StoreQueue::write_overlapping(uint64_t va, uint64_t bytes, const MemoryPort& memory, tandem_store_drain order) {
  uint32_t written = 0;
  for (size_t i = queue_.size(); i-- > 0;) {
    if (i >= queue_.size() || !overlap(queue_[i], va, bytes)) continue;
    if (order == TANDEM_DRAIN_FIFO) return written + write_up_to(i + 1, memory);
    written += write_with_older(i, memory);
  }
  return written;
}

uint32_t StoreQueue::write_one_instruction(const MemoryPort& memory, tandem_store_drain order, Random& random) {
  if (queue_.empty()) return 0;
  const uint32_t before = instructions_;
  uint32_t written = 0;
  while (instructions_ == before) {
    if (order == TANDEM_DRAIN_FIFO) written += write_up_to(1, memory);
    else written += write_with_older(random.below(queue_.size()), memory);
  }
  return written;
}

void StoreQueue::discard() {
  queue_.clear();
  instructions_ = 0;
}

}  // namespace tandem::compute
