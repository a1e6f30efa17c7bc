// SPDX-License-Identifier: GPL-2.0-or-later
// Step "system memory port, VRAM": host pointers of the three apertures.
#include "mem/memory_port.h"

namespace tandem {

MappedRun MemoryPort::map(tandem_aperture aperture, uint64_t device_address, uint64_t bytes, bool write) const {
  switch (aperture) {
    case TANDEM_APERTURE_SYSTEM: return map_system(iova(device_address), bytes, write);
    case TANDEM_APERTURE_VRAM: return map_vram(device_address, bytes);
    case TANDEM_APERTURE_PEER: return map_peer(device_address, bytes, write);
  }
  return {};
}

MappedRun MemoryPort::map_memory(uint64_t address, uint64_t bytes, bool write) const {
  void* host = ops_.map(opaque_, address, &bytes, write);
  return {static_cast<std::byte*>(host), address, bytes};
}

MappedRun MemoryPort::map_vram(uint64_t offset, uint64_t bytes) const {
  if (offset >= vram_bytes_) return {};
  bytes = own_poison_.sound_bytes(offset, std::min(bytes, vram_bytes_ - offset));
  if (!bytes) return {};
  return {vram_ + offset, offset, bytes};
}

MappedRun MemoryPort::map_peer(uint64_t address, uint64_t bytes, bool write) const {
  const uint32_t peer = peer_of(address);
  if (peer >= TANDEM_FABRIC_LIMIT || !(peers_ >> peer & 1)) return {};
  bytes = peer_poison_.sound_bytes(address, bytes);
  if (!bytes) return {};
  void* host = ops_.map_peer(opaque_, peer, peer_offset(address), &bytes, write);
  return {static_cast<std::byte*>(host), address, bytes};
}

template <typename Transfer>
Dma MemoryPort::transfer(Iova address, uint64_t bytes, bool write, Transfer run) const {
  uint64_t memory = address.value;
  if (bus_) {
    const Iova page = address.align_down(TANDEM_PAGE_BYTES);
    const MappedRun mapped = bus_->find(page, TANDEM_PAGE_BYTES, write);
    if (mapped.pending) return Dma::Pending;
    if (!mapped.host || address - page + bytes > mapped.bytes) return Dma::NoMemory;
    memory = mapped.address + (address - page);
  }
  return run(memory) ? Dma::Done : Dma::NoMemory;
}

Dma MemoryPort::dma_read(Iova address, void* buffer, uint64_t bytes) const {
  return transfer(address, bytes, false,
                  [&](uint64_t memory) { return ops_.dma_read(opaque_, memory, buffer, bytes); });
}

Dma MemoryPort::dma_write(Iova address, const void* buffer, uint64_t bytes) const {
  return transfer(address, bytes, true,
                  [&](uint64_t memory) { return ops_.dma_write(opaque_, memory, buffer, bytes); });
}

bool MemoryPort::is_poisoned(tandem_aperture aperture, uint64_t device_address) const {
  if (aperture == TANDEM_APERTURE_VRAM) return own_poison_.contains(device_address);
  return aperture == TANDEM_APERTURE_PEER && peer_poison_.contains(device_address);
}

}  // namespace tandem
