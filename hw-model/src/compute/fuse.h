// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": two neighbouring integer instructions as one handler. Each handler costs about as much for getting
// there, and for waiting until the row that the one before it wrote can be read, as for its work; a pair pays once, and what its
// second takes from its first stays in a register of the host.
//
// A pair hangs on its first instruction, and only for wavefronts whose lanes are all active. Both keep handlers of their own,
// so that a jump may lead between them, and budgets and stops are kept to the instruction.
#pragma once

#include <cstdint>

#include "compute/decode.h"

// Instructions that may be either of a pair. They touch registers only: none can fail, wait or jump.
#define TANDEM_PAIR_OPS(X) X(Add) X(Addi) X(Sub) X(Xor) X(Andi) X(Slli) X(Srli) X(Mul)

namespace tandem::compute {

enum class PairOp : uint8_t {
#define TANDEM_PAIR_NAME(name) name,
  TANDEM_PAIR_OPS(TANDEM_PAIR_NAME)
#undef TANDEM_PAIR_NAME
      Count
};
inline constexpr uint32_t kPairOps = static_cast<uint32_t>(PairOp::Count);

// [first][second][the second's rs1 is the first's rd][they have the same rd].
struct PairTable {
  Handler at[kPairOps][kPairOps][2][2] = {};
};

// Both are decoded and have their handlers. Does nothing if the table has no such pair. The second's operands may be exchanged,
// where that means the same.
void fuse(const PairTable& pairs, Decoded& first, Decoded& second);

}  // namespace tandem::compute
