// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/fuse.h"

#include <optional>
#include <utility>

namespace tandem::compute {
namespace {

std::optional<PairOp> pair_op(Op op) {
  switch (op) {
#define TANDEM_PAIR_CASE(name) case Op::name: return PairOp::name;
    TANDEM_PAIR_OPS(TANDEM_PAIR_CASE)
#undef TANDEM_PAIR_CASE
    default: return {};
  }
}

bool has_second_register(Op op) { return op == Op::Add || op == Op::Sub || op == Op::Xor || op == Op::Mul; }
bool operands_may_be_exchanged(Op op) { return has_second_register(op) && op != Op::Sub; }

}  // namespace

void fuse(const PairTable& pairs, Decoded& first, Decoded& second) {
  const auto a = pair_op(first.op), b = pair_op(second.op);
  if (!a || !b) return;
  const auto takes_second = [&] { return has_second_register(second.op) && second.rs2 == first.rd; };
  if (takes_second() && operands_may_be_exchanged(second.op)) std::swap(second.rs1, second.rs2);
  if (takes_second()) return;  // both operands, or the subtrahend: rare
  const Handler both =
      pairs.at[static_cast<uint32_t>(*a)][static_cast<uint32_t>(*b)][second.rs1 == first.rd][second.rd == first.rd];
  if (!both) return;
  first.full = both;
  first.length = 2;
}

}  // namespace tandem::compute
