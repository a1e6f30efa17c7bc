// SPDX-License-Identifier: GPL-2.0-or-later
// What every invalidation does, whoever sent it: the driver by its ring (device/invalidation_ring.h), the IOMMU for its own
// translations (Device::atc_invalidate). The contract stands in tandem_ring.h, struct tandem_invalidate.
#pragma once

#include <vector>

#include "base/counters.h"
#include "mmu/mmu.h"

namespace tandem {

class Invalidator {
 public:
  Invalidator(Mmu& mmu, const std::vector<TranslationClient*>& clients, Counters& counters, uint32_t mutation = 0)
      : mmu_(mmu), clients_(clients), counters_(counters), mutation_(mutation) {}

  // What was found (tandem_trace.h, TANDEM_HIT_*).
  struct Outcome {
    uint32_t entries = 0;
    uint32_t stores = 0;
    uint32_t hit = 0;

    Outcome& operator+=(const Outcome& other) {
      entries += other.entries;
      stores += other.stores;
      hit |= other.hit;
      return *this;
    }
    // As traces hold it.
    uint64_t entries_and_stores() const { return entries | uint64_t{stores} << 32; }
  };
  static Outcome outcome_of(const DrainResult& drained);

  // When it returns nothing of the device rests on a translation of the range that was obtained before.
  Outcome carry_out(Pasid pasid, Gva start, Gva end);

 private:
  Mmu& mmu_;
  const std::vector<TranslationClient*>& clients_;
  Counters& counters_;
  const uint32_t mutation_;  // a test's (tandem_mutation)
};

}  // namespace tandem
