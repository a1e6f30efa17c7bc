// SPDX-License-Identifier: GPL-2.0-or-later
// Steps "system memory port, VRAM": naturally aligned accesses of 1, 2, 4 or 8 bytes through host pointers, single-copy
// atomic. On the hosts that QEMU runs on these compile to one plain load or store each.
#pragma once

#include <cstddef>

namespace tandem {

template <typename T>
T load_relaxed(const std::byte* at) {
  return __atomic_load_n(reinterpret_cast<const T*>(at), __ATOMIC_RELAXED);
}
template <typename T>
void store_relaxed(std::byte* at, T value) {
  __atomic_store_n(reinterpret_cast<T*>(at), value, __ATOMIC_RELAXED);
}

}  // namespace tandem
