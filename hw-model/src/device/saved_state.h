// SPDX-License-Identifier: GPL-2.0-or-later
// What a GPU is that nobody uses: the state that a snapshot holds, and its form as bytes.
//
// Translations, host pointers and the like are not in it: they are looked up again. Address spaces and queues are not in it either:
// a GPU with processes is not saved. The bytes come from a file that anybody may have written: decode() takes nothing that encode()
// does not write, and Device::load() nothing that a device of this shape cannot be.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/ring.h"

namespace tandem {

struct SavedState {
  // The shape that it was saved from.
  uint32_t address_spaces = 0, max_queues = 0, compute_units = 0;
  uint64_t vram_bytes = 0;
  bool test_hooks = false;

  bool enabled = false;
  uint32_t error = 0;
  uint32_t test_control = 0;
  uint32_t copies_to_fail = 0;
  uint32_t access_threshold = 0;
  uint32_t interrupt_status = 0, interrupt_enable = 0;
  uint64_t status_page = 0;
  Ring commands, invalidates, faults, events;
  uint64_t last_command = 0;
  std::optional<uint64_t> last_invalidate;
  uint64_t last_fault = 0;
  uint32_t last_page_group = 0;
  uint64_t ticks = 0;
  Counters counters;
  std::vector<uint64_t> poisoned, unannounced;  // offsets in VRAM
};

std::vector<std::byte> encode(const SavedState& state);

// Nothing, and a sentence, if these are not the bytes of a state.
std::optional<SavedState> decode(std::span<const std::byte> bytes, std::string& problem);

}  // namespace tandem
