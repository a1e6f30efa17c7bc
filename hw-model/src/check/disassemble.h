// SPDX-License-Identifier: GPL-2.0-or-later
// The instruction of an access, for a person: loads, stores and atomics, which is what accesses memory.
#pragma once

#include <cstdint>
#include <string>

namespace tandem {

// As an assembler would write it, such as "lw a0, 8(a1)"; the word as a number if it is none of them.
std::string disassemble(uint32_t word);

}  // namespace tandem
