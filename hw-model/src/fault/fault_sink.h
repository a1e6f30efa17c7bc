// SPDX-License-Identifier: GPL-2.0-or-later
// Where the MMU puts accesses that found no sufficient translation.
#pragma once

#include <optional>

#include "mmu/translation.h"

namespace tandem {

class FaultSink {
 public:
  virtual ~FaultSink() = default;

  // The access waits until replay or cancel; the waiter will be told. A value: it may not wait, it fails at once with this
  // error (the queue's retry limit is reached).
  virtual std::optional<QueueError> raise(const TranslationRequest& request, tandem_fault_reason reason,
                                          TranslationWaiter& waiter) = 0;

  // The waiter goes away.
  virtual void forget(TranslationWaiter& waiter) = 0;
};

}  // namespace tandem
