// SPDX-License-Identifier: GPL-2.0-or-later
// The copy engine's data path.
#include "copy/move_bytes.h"

#include <algorithm>
#include <bit>

#include "mem/memory_port.h"

namespace tandem {

namespace {

// Both pointers are aligned to T. Four words at a time: the loads of one round do not wait for its stores.
template <typename T>
uint64_t move_words(std::byte* to, const std::byte* from, uint64_t bytes) {
  uint64_t done = 0;
  for (; done + 4 * sizeof(T) <= bytes; done += 4 * sizeof(T)) {
    const T a = load_relaxed<T>(from + done), b = load_relaxed<T>(from + done + sizeof(T));
    const T c = load_relaxed<T>(from + done + 2 * sizeof(T)), d = load_relaxed<T>(from + done + 3 * sizeof(T));
    store_relaxed<T>(to + done, a);
    store_relaxed<T>(to + done + sizeof(T), b);
    store_relaxed<T>(to + done + 2 * sizeof(T), c);
    store_relaxed<T>(to + done + 3 * sizeof(T), d);
  }
  for (; done + sizeof(T) <= bytes; done += sizeof(T)) store_relaxed<T>(to + done, load_relaxed<T>(from + done));
  return done;
}

uint64_t low_bits(const std::byte* pointer) { return reinterpret_cast<uintptr_t>(pointer) % sizeof(uint64_t); }

template <typename T>
void move_aligned_to(std::byte* to, const std::byte* from, uint64_t bytes) {
  const uint64_t head = std::min(bytes, (sizeof(T) - low_bits(to) % sizeof(T)) % sizeof(T));
  move_words<uint8_t>(to, from, head);
  const uint64_t body = head + move_words<T>(to + head, from + head, bytes - head);
  move_words<uint8_t>(to + body, from + body, bytes - body);
}

// An aligned 2- or 4-byte piece in the head or tail stays whole, too.
void move_word_aligned(std::byte* to, const std::byte* from, uint64_t bytes) {
  uint64_t done = 0;
  const auto piece = [&](uint64_t size) { return low_bits(to + done) % size == 0 && bytes - done >= size; };
  while (done < bytes && low_bits(to + done)) {
    if (piece(4)) done += move_words<uint32_t>(to + done, from + done, 4);
    else if (piece(2)) done += move_words<uint16_t>(to + done, from + done, 2);
    else done += move_words<uint8_t>(to + done, from + done, 1);
  }
  done += move_words<uint64_t>(to + done, from + done, bytes - done);
  while (done < bytes) {
    if (piece(4)) done += move_words<uint32_t>(to + done, from + done, 4);
    else if (piece(2)) done += move_words<uint16_t>(to + done, from + done, 2);
    else done += move_words<uint8_t>(to + done, from + done, 1);
  }
}

}  // namespace

void move_bytes(std::byte* to, const std::byte* from, uint64_t bytes) {
  const uint64_t skew = low_bits(to) ^ low_bits(from);
  if (skew == 0) move_word_aligned(to, from, bytes);
  else if (skew % 4 == 0) move_aligned_to<uint32_t>(to, from, bytes);
  else if (skew % 2 == 0) move_aligned_to<uint16_t>(to, from, bytes);
  else move_words<uint8_t>(to, from, bytes);
}

void fill_bytes(std::byte* to, uint64_t pattern, uint64_t offset, uint64_t bytes) {
  const auto byte_at = [&](uint64_t index) { return static_cast<uint8_t>(pattern >> (offset + index) % 8 * 8); };
  uint64_t done = 0;
  for (; done < bytes && low_bits(to + done); ++done) store_relaxed<uint8_t>(to + done, byte_at(done));
  const uint64_t word = std::rotr(pattern, static_cast<int>((offset + done) % 8 * 8));
  for (; done + sizeof word <= bytes; done += sizeof word) store_relaxed<uint64_t>(to + done, word);
  for (; done < bytes; ++done) store_relaxed<uint8_t>(to + done, byte_at(done));
}

}  // namespace tandem
