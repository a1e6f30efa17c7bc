// SPDX-License-Identifier: GPL-2.0-or-later
// Small kernels for tests of the whole device. kernarg (a0) is the address that they work on.
#pragma once

#include <vector>

#include "compute/support/rv_asm.h"
#include "tandem_abi.h"

namespace tandem::test::kernels {

using Code = std::vector<uint32_t>;
using namespace rv;

// data[global id] = global id + 1
inline Code store_ids() {
  return {csrr(t0, TANDEM_CSR_GLOBAL_ID_X), slli(t1, t0, 3), add(t1, a0, t1), addi(t0, t0, 1), sd(t0, t1, 0), ret()};
}
// data[8 + lane] = data[0]
inline Code load_first() {
  return {ld(t2, a0, 0), csrr(t0, TANDEM_CSR_LANE_ID), slli(t1, t0, 3), add(t1, a0, t1), sd(t2, t1, 64), ret()};
}
// Ends when data[0] is not 0.
inline Code wait_for_flag() { return {ld(t0, a0, 0), b_type(0, t0, x0, -4), ret()}; }
inline Code spin_for_ever() { return {j_type(x0, 0)}; }
// data[0..7] = 7, then spins: with a store queue some of the stores are queued for a while.
inline Code store_and_spin() {
  Code code = {addi(t0, x0, 7)};
  for (int word = 0; word < 8; ++word) code.push_back(sd(t0, a0, 8 * word));
  code.push_back(j_type(x0, 0));
  return code;
}
// atomic add of 1 to data[0] by each lane
inline Code count() { return {addi(t0, x0, 1), amo(0, doubleword, x0, t0, a0), ret()}; }
inline Code illegal() { return {0}; }

}  // namespace tandem::test::kernels
