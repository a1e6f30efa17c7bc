// SPDX-License-Identifier: GPL-2.0-or-later
// Step "MSI-X": which vectors were raised, and which may be.
#pragma once

#include "base/host.h"

namespace tandem {

class Interrupts {
 public:
  explicit Interrupts(const Host& host) : host_(host) {}

  void raise(tandem_vector vector) {
    status_ |= bit(vector);
    if (enable_ & bit(vector)) host_.interrupt(vector);
  }
  void clear(uint32_t bits) { status_ &= ~bits; }

  // A vector that was raised while it was disabled is raised when it is enabled: the driver misses none.
  void set_enable(uint32_t bits) {
    const uint32_t late = bits & ~enable_ & status_;
    enable_ = bits & (bit(TANDEM_VECTOR_COUNT) - 1);
    for (uint32_t vector = 0; vector < TANDEM_VECTOR_COUNT; ++vector)
      if (late & bit(vector)) host_.interrupt(static_cast<tandem_vector>(vector));
  }
  uint32_t status() const { return status_; }
  uint32_t enable() const { return enable_; }
  void reset() { status_ = enable_ = 0; }

 private:
  static constexpr uint32_t bit(uint32_t vector) { return 1u << vector; }

  const Host& host_;
  uint32_t status_ = 0;
  uint32_t enable_ = 0;
};

}  // namespace tandem
