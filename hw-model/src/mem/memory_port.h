// SPDX-License-Identifier: GPL-2.0-or-later
// Step "system memory port, VRAM" of the journey: the last one. Every access of the device to memory goes through here or
// through a host pointer that came from here.
//
// All accesses through host pointers are single-copy atomic at natural alignment up to 8 bytes (design page, "Atomics
// are real"): they use load()/store() below or std::atomic_ref, never memcpy, unless the bytes are private to the device.
// After each store, stored() must be called for the bytes written, before the device acknowledges anything.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/types.h"
#include "mmu/translation.h"
#include "tandem/model.h"

namespace tandem {

class MemoryPort {
 public:
  MemoryPort(const tandem_host_ops& ops, void* opaque, std::byte* vram, uint64_t vram_bytes)
      : ops_(ops), opaque_(opaque), vram_(vram), vram_bytes_(vram_bytes) {}

  // Records and ring entries: not atomic. False if a byte of it is not memory.
  [[nodiscard]] bool dma_read(Iova address, void* buffer, uint64_t bytes) const {
    return ops_.dma_read(opaque_, address.value, buffer, bytes);
  }
  [[nodiscard]] bool dma_write(Iova address, const void* buffer, uint64_t bytes) const {
    return ops_.dma_write(opaque_, address.value, buffer, bytes);
  }

  // Host pointer of a page run; shortens bytes to what is contiguous. nullptr: not memory.
  std::byte* map_system(Iova address, uint64_t& bytes, bool write) const {
    return static_cast<std::byte*>(ops_.map(opaque_, address.value, &bytes, write));
  }
  std::byte* map_vram(Vram offset, uint64_t& bytes) const {
    if (offset.value >= vram_bytes_) return nullptr;
    if (bytes > vram_bytes_ - offset.value) bytes = vram_bytes_ - offset.value;
    return vram_ + offset.value;
  }

  // Tells the host that bytes behind an entry were stored.
  void stored(const TlbEntry& entry, Gva va, uint64_t bytes) const {
    stored(entry.aperture, entry.device_address + (va - entry.va), bytes);
  }
  void stored(tandem_aperture aperture, uint64_t device_address, uint64_t bytes) const {
    if (aperture == TANDEM_APERTURE_VRAM) ops_.vram_stored(opaque_, device_address, bytes);
    else ops_.stored(opaque_, device_address, bytes);
  }

  uint64_t vram_bytes() const { return vram_bytes_; }

 private:
  const tandem_host_ops& ops_;
  void* opaque_;
  std::byte* vram_;
  uint64_t vram_bytes_;
};

// Naturally aligned accesses of 1, 2, 4 or 8 bytes, single-copy atomic. On the hosts that QEMU runs on these compile to
// one plain load or store each.
template <typename T>
T load_relaxed(const std::byte* at) {
  return __atomic_load_n(reinterpret_cast<const T*>(at), __ATOMIC_RELAXED);
}
template <typename T>
void store_relaxed(std::byte* at, T value) {
  __atomic_store_n(reinterpret_cast<T*>(at), value, __ATOMIC_RELAXED);
}

}  // namespace tandem
