// SPDX-License-Identifier: GPL-2.0-or-later
// Step "system memory port, VRAM" of the journey: the last one. Every access of the device to memory goes through here or
// through a host pointer that came from here.
//
// All accesses through host pointers are single-copy atomic at natural alignment up to 8 bytes (design page, "Atomics
// are real"): they use load()/store() below or std::atomic_ref, never memcpy, unless the bytes are private to the device.
// Before each store that atomics may meet, before_store() must be called for the bytes to be written; after it stored(), before
// the device acknowledges anything.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/types.h"
#include "mem/access_counters.h"
#include "mem/atomic_unit.h"
#include "mem/host_words.h"
#include "mem/poisoned_pages.h"
#include "mmu/translation.h"
#include "tandem/model.h"

namespace tandem {

class Checker;

// A device address in the peer aperture: which peer, and the offset into its VRAM. (aperture, device address) names any byte
// that the device can reach.
inline constexpr uint32_t kPeerShift = 56;
inline constexpr uint64_t kPeerOffsetLimit = 1ULL << kPeerShift;
constexpr uint64_t peer_address(uint32_t peer, uint64_t offset) { return uint64_t{peer} << kPeerShift | offset; }
constexpr uint32_t peer_of(uint64_t address) { return static_cast<uint32_t>(address >> kPeerShift); }
constexpr uint64_t peer_offset(uint64_t address) { return address & (kPeerOffsetLimit - 1); }

// A run of memory behind one host pointer.
struct MappedRun {
  std::byte* host = nullptr;  // nullptr: no memory, or pending
  uint64_t address = 0;       // how the host knows the first byte, for stored(); in the aperture that was asked for
  uint64_t bytes = 0;         // contiguous and sound; may be less than was asked for
  bool pending = false;       // the IOMMU has been asked where the address leads: try again when something has come
};

// Where addresses of the bus lead when an IOMMU translates them (iommu/bus_addresses.h).
class BusTranslation {
 public:
  virtual ~BusTranslation() = default;
  virtual MappedRun find(Iova address, uint64_t bytes, bool write) = 0;
};

// How a DMA ended that cannot wait.
enum class Dma : uint8_t { Done, Pending, NoMemory };

class MemoryPort {
 public:
  MemoryPort(const tandem_host_ops& ops, void* opaque, std::byte* vram, uint64_t vram_bytes)
      : ops_(ops), opaque_(opaque), vram_(vram), vram_bytes_(vram_bytes) {}

  // Records and ring entries, none of which crosses a page: not atomic.
  [[nodiscard]] Dma dma_read(Iova address, void* buffer, uint64_t bytes) const;
  [[nodiscard]] Dma dma_write(Iova address, const void* buffer, uint64_t bytes) const;

  // A run of pages from a page's address on. No memory: it is none, or poisoned. Good until the device drops all host pointers
  // (Device::drop_host_pointers).
  MappedRun map(tandem_aperture aperture, uint64_t device_address, uint64_t bytes, bool write) const;
  // The same for an address of the bus.
  MappedRun map_system(Iova address, uint64_t bytes, bool write) const {
    return bus_ ? bus_->find(address, bytes, write) : map_memory(address.value, bytes, write);
  }
  // The same for an address of memory itself: what an IOMMU answers.
  MappedRun map_memory(uint64_t address, uint64_t bytes, bool write) const;

  // nullptr: addresses of the bus are those of memory.
  void set_bus_translation(BusTranslation* bus) { bus_ = bus; }
  bool bus_is_translated() const { return bus_ != nullptr; }
  bool is_poisoned(tandem_aperture aperture, uint64_t device_address) const;

  // Atomics under way on the bytes are completed: the store comes after them.
  void before_store(const std::byte* host, uint64_t bytes) const { atomics_.complete(host, bytes); }

  // Tells the host that bytes behind an entry were stored.
  void stored(const TlbEntry& entry, Gva va, uint64_t bytes) const {
    stored(entry.aperture, entry.device_address + (va - entry.va), bytes);
  }
  void stored(tandem_aperture aperture, uint64_t device_address, uint64_t bytes) const {
    const tandem_stored_range range{device_address, bytes};
    if (aperture == TANDEM_APERTURE_SYSTEM) stored_to_system(&range, 1);
    else if (aperture == TANDEM_APERTURE_VRAM) ops_.vram_stored(opaque_, device_address, bytes);
    else ops_.peer_stored(opaque_, peer_of(device_address), peer_offset(device_address), bytes);
  }

  void stored_to_system(const tandem_stored_range* ranges, uint32_t count) const { ops_.stored(opaque_, ranges, count); }

  uint64_t vram_bytes() const { return vram_bytes_; }

  // The GPUs on the link besides this one: bit n is number n.
  uint32_t peers() const { return peers_; }
  void set_peers(uint32_t peers) { peers_ = peers; }

  PoisonedPages& own_poison() { return own_poison_; }
  const PoisonedPages& own_poison() const { return own_poison_; }
  PoisonedPages& peer_poison() { return peer_poison_; }

  // Who watches the accesses; nullptr: nobody. Blocks ask when they are made, or at each access.
  Checker* checker() const { return checker_; }
  void set_checker(Checker* checker) { checker_ = checker; }

  // Of memory's contents, not of the port's.
  AtomicUnit& atomics() const { return atomics_; }

  AccessCounters& access_counters() { return access_counters_; }
  const AccessCounters& access_counters() const { return access_counters_; }

 private:
  MappedRun map_vram(uint64_t offset, uint64_t bytes) const;
  MappedRun map_peer(uint64_t address, uint64_t bytes, bool write) const;
  template <typename Transfer>
  Dma transfer(Iova address, uint64_t bytes, bool write, Transfer run) const;

  const tandem_host_ops& ops_;
  void* opaque_;
  std::byte* vram_;
  uint64_t vram_bytes_;
  uint32_t peers_ = 0;
  BusTranslation* bus_ = nullptr;
  Checker* checker_ = nullptr;
  PoisonedPages own_poison_, peer_poison_;
  AccessCounters access_counters_;
  mutable AtomicUnit atomics_{*this};
};

}  // namespace tandem
