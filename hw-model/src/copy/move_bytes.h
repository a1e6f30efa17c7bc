// SPDX-License-Identifier: GPL-2.0-or-later
// The copy engine's data path: moves bytes between host pointers with single-copy atomicity at natural alignment, as far as
// source and destination are aligned to each other (design page, "Atomics are real").
#pragma once

#include <cstddef>
#include <cstdint>

namespace tandem {

// The ranges must not overlap.
void move_bytes(std::byte* to, const std::byte* from, uint64_t bytes);

// Byte i of the whole fill is byte i % 8 of the pattern; this piece begins with byte `offset` of it.
void fill_bytes(std::byte* to, uint64_t pattern, uint64_t offset, uint64_t bytes);

}  // namespace tandem
