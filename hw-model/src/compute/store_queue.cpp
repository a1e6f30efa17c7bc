// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/store_queue.h"

#include <algorithm>

#include "check/checker.h"

namespace tandem::compute {
namespace {

constexpr size_t kFirstRows = 8;

template <typename T>
void store_element(std::byte* to, uint64_t value) {
  if (reinterpret_cast<uintptr_t>(to) % sizeof(T) == 0) return store_relaxed(to, static_cast<T>(value));
  for (size_t byte = 0; byte < sizeof(T); ++byte) store_relaxed(to + byte, static_cast<uint8_t>(value >> 8 * byte));
}

template <typename T>
void store_lanes(const StoreRow& row, LaneMask lanes) {
  std::byte* const host = row.host;
  if (lanes == kAllLanes && row.at.dense() && row.at.base % sizeof(T) == 0) {
    std::byte* const to = host + (row.at.base - row.origin);
    for (uint32_t i = 0; i < kLanes; ++i) store_relaxed(to + i * sizeof(T), static_cast<T>(row.value[i]));
    return;
  }
  for_each_lane(lanes, [&](uint32_t i) { store_element<T>(host + (row.at.va(i) - row.origin), row.value[i]); });
}

// Atomics under way there are completed first.
void before_store(const StoreRow& row, LaneMask lanes, const MemoryPort& memory) {
  if (!memory.atomics().busy()) return;
  for_each_lane(lanes, [&](uint32_t i) { memory.before_store(row.host + (row.at.va(i) - row.origin), row.at.bytes); });
}

void store_lanes_of_any_width(const StoreRow& row, LaneMask lanes) {
  switch (row.at.bytes) {
    case 1: return store_lanes<uint8_t>(row, lanes);
    case 2: return store_lanes<uint16_t>(row, lanes);
    case 4: return store_lanes<uint32_t>(row, lanes);
    default: return store_lanes<uint64_t>(row, lanes);
  }
}

void tell_host(const StoreRow& row, uint64_t low, uint64_t high, const MemoryPort& memory) {
  memory.stored(row.aperture, row.device_address + (low - row.origin), high - low);
}

// Page by page: lanes far apart must not make the host believe in stores to all that lies between them.
void tell_host(const StoreRow& row, LaneMask lanes, const MemoryPort& memory) {
  const auto page_of = [](uint64_t va) { return va / TANDEM_PAGE_BYTES; };
  if (page_of(row.at.low) == page_of(row.at.high - 1)) return tell_host(row, row.at.low, row.at.high, memory);
  while (lanes) {
    const uint64_t page = page_of(row.at.va(first_lane(lanes)));
    uint64_t low = ~uint64_t{0}, high = 0;
    LaneMask here = 0;
    for_each_lane(lanes, [&](uint32_t i) {
      if (page_of(row.at.va(i)) != page) return;
      here |= lane_bit(i);
      low = std::min(low, row.at.va(i));
      high = std::max(high, row.at.va(i) + row.at.bytes);
    });
    tell_host(row, low, high, memory);
    lanes &= ~here;
  }
}

}  // namespace

StoreRow& StoreQueue::push(uint64_t instruction) {
  if (size_ == rows_.size()) grow();
  if (!is_queued(instruction, size_)) ++instructions_;
  StoreRow& fresh = row(size_++);
  fresh.instruction = instruction;
  return fresh;
}

void StoreQueue::grow() {
  std::vector<StoreRow> larger(std::max(kFirstRows, 2 * rows_.size()));
  for (size_t n = 0; n < size_; ++n) larger[n] = row(n);
  rows_ = std::move(larger);
  first_ = 0;
}

// Some row of the instruction, whose rows stand next to position n, has a lane left.
bool StoreQueue::is_queued(uint64_t instruction, size_t n) {
  for (size_t before = n; before-- > 0 && row(before).instruction == instruction;)
    if (row(before).lanes) return true;
  for (; n < size_ && row(n).instruction == instruction; ++n)
    if (row(n).lanes) return true;
  return false;
}

void StoreQueue::drop_gone_rows() {
  while (size_ && row(0).lanes == 0) {
    first_ = (first_ + 1) & (rows_.size() - 1);
    --size_;
  }
}

uint32_t StoreQueue::write_lanes(size_t n, LaneMask lanes, const MemoryPort& memory) {
  StoreRow& stored = row(n);
  before_store(stored, lanes, memory);
  stored.translated.done(memory, LateAccess::PostedWrite, stored.at, lanes);
  store_lanes_of_any_width(stored, lanes);
  tell_host(stored, lanes, memory);
  stored.lanes &= ~lanes;
  if (!stored.lanes && !is_queued(stored.instruction, n)) --instructions_;
  return count_lanes(lanes);
}

uint32_t StoreQueue::write_up_to(size_t count, const MemoryPort& memory) {
  uint32_t written = 0;
  for (size_t n = 0; n < count; ++n)
    if (row(n).lanes) written += write_lanes(n, row(n).lanes, memory);
  drop_gone_rows();
  return written;
}

// Stores to the same bytes stay in order: older ones go first. Leaves rows that are gone in their place.
uint32_t StoreQueue::write_with_older(size_t n, LaneMask lanes, const MemoryPort& memory) {
  uint32_t written = 0;
  for (size_t older = 0; older < n; ++older) {
    const StoreRow& before = row(older);
    if (before.lanes && row(n).at.touches(before.at, lanes)) written += write_with_older(older, before.lanes, memory);
  }
  return written + write_lanes(n, lanes, memory);
}

template <typename Overlaps>
uint32_t StoreQueue::write_where(Overlaps overlaps, const MemoryPort& memory, tandem_store_drain order) {
  uint32_t written = 0;
  for (size_t n = size_; n-- > 0;) {
    if (!row(n).lanes || !overlaps(row(n).at)) continue;
    if (order == TANDEM_DRAIN_FIFO) return write_up_to(n + 1, memory);
    written += write_with_older(n, row(n).lanes, memory);
  }
  drop_gone_rows();
  return written;
}

uint32_t StoreQueue::write_overlapping(const LaneAddresses& at, const MemoryPort& memory, tandem_store_drain order) {
  return write_where([&](const LaneAddresses& stored) { return stored.touches(at); }, memory, order);
}

uint32_t StoreQueue::write_overlapping(uint64_t va, uint64_t bytes, const MemoryPort& memory, tandem_store_drain order) {
  return write_where([&](const LaneAddresses& stored) { return stored.touches(va, bytes); }, memory, order);
}

uint32_t StoreQueue::write_all(const MemoryPort& memory, tandem_store_drain order, Random& random) {
  if (order == TANDEM_DRAIN_FIFO) return write_up_to(size_, memory);
  uint32_t written = 0;
  while (!empty()) written += write_some_lanes(memory, random);
  return written;
}

// Some lanes of some row, with the earlier lanes and older rows that must go before them.
uint32_t StoreQueue::write_some_lanes(const MemoryPort& memory, Random& random) {
  size_t n = random.below(size_);
  while (!row(n).lanes) n = (n + 1) % size_;
  const StoreRow& chosen = row(n);
  LaneMask lanes = chosen.lanes & static_cast<LaneMask>(random.next());
  if (!lanes) lanes = chosen.lanes;
  if (!chosen.at.lanes_are_apart())
    for (uint32_t lane = kLanes; lane-- > 0;)  // downwards: what is added is looked at, too
      if (lanes & lane_bit(lane)) lanes |= chosen.at.earlier_on_same_bytes(lane) & chosen.lanes;
  const uint32_t written = write_with_older(n, lanes, memory);
  drop_gone_rows();
  return written;
}

uint32_t StoreQueue::write_one_instruction(const MemoryPort& memory, tandem_store_drain order, Random& random) {
  if (empty()) return 0;
  const uint32_t before = instructions_;
  uint32_t written = 0;
  while (instructions_ == before) {
    if (order == TANDEM_DRAIN_FIFO) written += write_up_to(1, memory);
    else written += write_some_lanes(memory, random);
  }
  return written;
}

void StoreQueue::discard() {
  first_ = size_ = 0;
  instructions_ = 0;
}

}  // namespace tandem::compute
