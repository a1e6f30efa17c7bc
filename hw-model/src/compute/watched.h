// SPDX-License-Identifier: GPL-2.0-or-later
// Tells the checker of lanes' accesses that were translated some time before they are done (check/checker.h).
#pragma once

#include "compute/lane_addresses.h"
#include "mem/memory_port.h"

namespace tandem {

enum class LateAccess : uint8_t;  // check/checker.h

}  // namespace tandem

namespace tandem::compute {

// By whom and when the translation was found. Empty while nobody watches.
struct Translated {
  TranslationRequest request;
  uint64_t moment = 0;

  // Now, by this access.
  void note(const MemoryPort& memory, const TranslationRequest& now) {
    if (memory.checker()) [[unlikely]] note(*memory.checker(), now);
  }

  // The lanes' elements are done now.
  void done(const MemoryPort& memory, LateAccess what, const LaneAddresses& at, LaneMask lanes) const {
    if (Checker* check = memory.checker()) [[unlikely]] tell(*check, what, at, lanes);
  }

 private:
  void note(const Checker& check, const TranslationRequest& now);
  void tell(Checker& check, LateAccess what, const LaneAddresses& at, LaneMask lanes) const;
};

}  // namespace tandem::compute
