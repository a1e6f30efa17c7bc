// SPDX-License-Identifier: GPL-2.0-or-later
// Step "MSI-X": which vectors were raised, and which may be.
#pragma once

#include "base/host.h"
#include "base/hostile.h"

namespace tandem {

class Interrupts {
 public:
  Interrupts(const Host& host, Hostile& hostile) : host_(host), hostile_(hostile) {}

  void raise(tandem_vector vector) {
    status_ |= bit(vector);
    if (!(enable_ & bit(vector))) return;
    if (hostile_.on()) late_ |= bit(vector);
    else host_.interrupt(vector);
  }
  // Hostile timing: those that were raised go out when the scheduler lets them, in an order of its own.
  bool any_late() const { return late_ != 0; }
  void send_late() {
    const uint64_t first = hostile_.pick(TANDEM_VECTOR_COUNT);
    for (uint64_t n = 0; n < TANDEM_VECTOR_COUNT; ++n) {
      const auto vector = static_cast<tandem_vector>((first + n) % TANDEM_VECTOR_COUNT);
      if (late_ & bit(vector)) host_.interrupt(vector);
    }
    late_ = 0;
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
  void reset() { status_ = enable_ = late_ = 0; }
  void restore(uint32_t status, uint32_t enable) {
    status_ = status;
    enable_ = enable;
    late_ = 0;
  }

 private:
  static constexpr uint32_t bit(uint32_t vector) { return 1u << vector; }

  const Host& host_;
  Hostile& hostile_;
  uint32_t late_ = 0;  // raised, not yet sent
  uint32_t status_ = 0;
  uint32_t enable_ = 0;
};

}  // namespace tandem
