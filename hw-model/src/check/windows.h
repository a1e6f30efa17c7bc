// SPDX-License-Identifier: GPL-2.0-or-later
// What Linux is doing to one process's memory, as the driver writes it down (tandem_check.h, struct tandem_check_space): read by the
// checker while processors go on writing it.
//
// Why it can be believed (docs/locking.md, "Windows for the checker"): a window is visible before Linux changes an entry of
// its range, and for a mirror it is opened only after the invalidation was acknowledged. So if a translation is alive in this
// device now, and the driver is right, then no window over it has been opened since it was made.
#pragma once

#include <cstdint>
#include <optional>

#include "base/types.h"

namespace tandem {

struct Window {
  uint64_t number = 0;
  Gva start, end;
  uint32_t cause = TANDEM_CAUSE_NONE;
  bool open = false;
  bool own = false;  // the driver's own section: the device keeps what it has
  uint32_t tgid = 0;

  bool overlaps(Gva va, uint64_t bytes) const { return ranges_overlap(start.value, end - start, va.value, bytes); }
};

// A view of the shared page: holds nothing of its own.
class Windows {
 public:
  explicit Windows(const tandem_check_space& shared) : shared_(shared) {}

  uint64_t root() const { return __atomic_load_n(&shared_.root, __ATOMIC_RELAXED); }
  uint32_t levels() const { return __atomic_load_n(&shared_.levels, __ATOMIC_RELAXED); }
  bool flushing() const { return __atomic_load_n(&shared_.flushing, __ATOMIC_ACQUIRE) != 0; }
  // Atomics that the CPUs can disturb are what a test wants.
  bool lax_atomics() const { return __atomic_load_n(&shared_.lax_atomics, __ATOMIC_ACQUIRE) != 0; }
  // The number of the window opened last.
  uint64_t opened() const { return __atomic_load_n(&shared_.opened, __ATOMIC_ACQUIRE); }
  // Windows are open, some that stand nowhere: then nothing is known.
  bool any_open() const { return __atomic_load_n(&shared_.open, __ATOMIC_ACQUIRE) != 0; }
  bool lost() const { return __atomic_load_n(&shared_.lost, __ATOMIC_ACQUIRE) != 0; }

  // The first window of somebody else over the range that was opened after number `since`. Of more than TANDEM_CHECK_WINDOWS the
  // oldest are forgotten.
  std::optional<Window> opened_since(uint64_t since, Gva va, uint64_t bytes) const;
  enum class Whose : uint8_t { Own, Others };
  // One over the range that is open.
  std::optional<Window> open_over(Gva va, uint64_t bytes, Whose whose) const;

 private:
  // What is in the slot; nothing while it is being written.
  std::optional<Window> read(const tandem_check_window& slot) const;

  const tandem_check_space& shared_;
};

}  // namespace tandem
