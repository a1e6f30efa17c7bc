// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/execute.h"

#include <initializer_list>

namespace tandem::compute {
namespace {

IsaLevel best_level() {
  for (const IsaLevel level : {IsaLevel::V4, IsaLevel::V3})
    if (level_supported(level)) return level;
  return IsaLevel::V2;
}

#define TANDEM_FILL_LEVEL(level)  \
  do {                            \
    level::fill_int(table);       \
    level::fill_pairs(table.pairs); \
    level::fill_muldiv(table);    \
    level::fill_control(table);   \
    level::fill_memory(table);    \
    level::fill_float(table);     \
  } while (0)

void fill_level(HandlerTable& table, IsaLevel level) {
  switch (level) {
    case IsaLevel::V4: TANDEM_FILL_LEVEL(v4); return;
    case IsaLevel::V3: TANDEM_FILL_LEVEL(v3); return;
    default: TANDEM_FILL_LEVEL(v2); return;
  }
}

}  // namespace

bool level_supported(IsaLevel level) {
  __builtin_cpu_init();
  switch (level) {
    case IsaLevel::V4:
      return level_supported(IsaLevel::V3) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    case IsaLevel::V3:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
             __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("lzcnt") && __builtin_cpu_supports("f16c") &&
             __builtin_cpu_supports("movbe");
    default:
      return true;
  }
}

HandlerTable handlers_for(IsaLevel level) {
  HandlerTable table;
  fill_level(table, level != IsaLevel::Best && level_supported(level) ? level : best_level());
  fill_atomic(table);
  fill_csr(table);
  return table;
}

}  // namespace tandem::compute
