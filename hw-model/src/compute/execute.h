// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": the table from an operation to the code that runs it over the lanes.
//
// The hot handlers are compiled once for each x86-64 level and chosen when a unit is built. So that no code of a higher
// level can be linked into a lower one, everything in those sources has internal linkage (anonymous namespaces, static
// templates) except the fill functions below, which live in a namespace of their level; inline functions that they use
// from headers are always inlined. tests/compute/level_symbols.sh checks it.
//
// A later engine that translates blocks to host code replaces handlers in decoded pages, as fuse.h does for pairs; nothing
// else knows what a handler does.
#pragma once

#include <cstdint>

#include "compute/decode.h"
#include "compute/fuse.h"

namespace tandem::compute {

struct HandlerTable {
  Handler full[kOps] = {};    // for wavefronts whose 32 lanes are all active
  Handler masked[kOps] = {};  // for any mask
  PairTable pairs;
};

// Which instruction set the hot handlers use: x86-64-v2 (SSE4.2), v3 (AVX2, FMA), v4 (AVX-512).
enum class IsaLevel : uint8_t { Best = 0, V2 = 2, V3 = 3, V4 = 4 };

bool level_supported(IsaLevel level);
// Best, or a level that the host cannot run, gives the best one that it can.
HandlerTable handlers_for(IsaLevel level);

#define TANDEM_DECLARE_LEVEL(level)              \
  namespace level {                              \
  void fill_int(HandlerTable& table);            \
  void fill_pairs(PairTable& table);             \
  void fill_muldiv(HandlerTable& table);         \
  void fill_control(HandlerTable& table);        \
  void fill_memory(HandlerTable& table);         \
  void fill_float(HandlerTable& table);          \
  }
TANDEM_DECLARE_LEVEL(v2)
TANDEM_DECLARE_LEVEL(v3)
TANDEM_DECLARE_LEVEL(v4)
#undef TANDEM_DECLARE_LEVEL

// Scalar by nature, compiled once.
void fill_atomic(HandlerTable& table);
void fill_csr(HandlerTable& table);

}  // namespace tandem::compute
