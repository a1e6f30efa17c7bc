// SPDX-License-Identifier: GPL-2.0-or-later
// Performance counters of the whole device (tandem_regs.h, enum tandem_counter); every block adds to its own.
#pragma once

#include <array>
#include <cstdint>

#include "tandem_abi.h"

namespace tandem {

struct Counters {
  std::array<uint64_t, TANDEM_COUNTER_COUNT> values{};
  uint64_t& operator[](tandem_counter counter) { return values[counter]; }
  uint64_t operator[](tandem_counter counter) const { return values[counter]; }
};

// The counter's name: words joined by '-', as in "l1-hits". nullptr beyond the last.
const char* counter_name(uint32_t counter);

}  // namespace tandem
