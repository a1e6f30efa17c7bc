// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/windows.h"

namespace tandem {

namespace {

template <typename T>
T word(const T& shared) {
  return __atomic_load_n(&shared, __ATOMIC_RELAXED);
}

}  // namespace

// Pairs with tandem_check_open(), which writes number 0, the rest, and number again.
std::optional<Window> Windows::read(const tandem_check_window& slot) const {
  const uint64_t number = __atomic_load_n(&slot.number, __ATOMIC_ACQUIRE);
  if (!number) return {};
  const Window window{.number = number,
                      .start = gva(word(slot.start)),
                      .end = gva(word(slot.end)),
                      .cause = word(slot.cause),
                      .open = word(slot.open) != 0,
                      .own = word(slot.own) != 0,
                      .tgid = word(slot.tgid)};
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  // The end may wrap to the end of the address space: then it is no range of the guest's.
  if (word(slot.number) != number || window.start.value >= window.end.value) return {};
  return window;
}

std::optional<Window> Windows::opened_since(uint64_t since, Gva va, uint64_t bytes) const {
  const uint64_t until = opened();
  if (until <= since) return {};
  uint64_t number = until - since > TANDEM_CHECK_WINDOWS ? until - TANDEM_CHECK_WINDOWS : since;
  while (number < until) {  // which may be the last of all numbers: the guest wrote it
    const std::optional<Window> window = read(shared_.windows[++number % TANDEM_CHECK_WINDOWS]);
    if (window && window->number == number && !window->own && window->overlaps(va, bytes)) return window;
  }
  return {};
}

std::optional<Window> Windows::open_over(Gva va, uint64_t bytes, Whose whose) const {
  if (!any_open()) return {};
  for (const tandem_check_window& slot : shared_.windows) {
    const std::optional<Window> window = read(slot);
    if (window && window->open && window->own == (whose == Whose::Own) && window->overlaps(va, bytes)) return window;
  }
  return {};
}

}  // namespace tandem
