// SPDX-License-Identifier: GPL-2.0-or-later
// The registers of one ring in system memory and what can be computed from them (tandem_regs.h, "Rings").
#pragma once

#include "base/types.h"

namespace tandem {

struct Ring {
  uint64_t base = 0;
  uint32_t order = 0;
  uint32_t get = 0;  // consumer
  uint32_t put = 0;  // producer

  uint32_t entries() const { return 1u << order; }
  uint32_t fill() const { return put - get; }
  bool empty() const { return put == get; }
  bool full() const { return fill() >= entries(); }
  bool sane() const { return fill() <= entries(); }

  // Base and order are in the range that the device accepts when it is enabled.
  bool configured(uint64_t entry_bytes) const {
    return order >= TANDEM_RING_ORDER_MIN && order <= TANDEM_RING_ORDER_MAX && base % TANDEM_PAGE_BYTES == 0 &&
           base <= ~0ULL - (entry_bytes << order);
  }
  Iova slot(uint32_t index, uint64_t entry_bytes) const {
    return iova(base + (index & (entries() - 1)) * entry_bytes);
  }
};

}  // namespace tandem
