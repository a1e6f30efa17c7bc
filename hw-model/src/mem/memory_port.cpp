// SPDX-License-Identifier: GPL-2.0-or-later
// Step "system memory port, VRAM": host pointers of the three apertures.
#include "mem/memory_port.h"

namespace tandem {

std::byte* MemoryPort::map(tandem_aperture aperture, uint64_t device_address, uint64_t& bytes, bool write) const {
  switch (aperture) {
    case TANDEM_APERTURE_SYSTEM: return map_system(iova(device_address), bytes, write);
    case TANDEM_APERTURE_VRAM: return map_vram(device_address, bytes);
    case TANDEM_APERTURE_PEER: return map_peer(device_address, bytes, write);
  }
  return nullptr;
}

std::byte* MemoryPort::map_vram(uint64_t offset, uint64_t& bytes) const {
  if (offset >= vram_bytes_) return nullptr;
  bytes = own_poison_.sound_bytes(offset, std::min(bytes, vram_bytes_ - offset));
  return bytes ? vram_ + offset : nullptr;
}

std::byte* MemoryPort::map_peer(uint64_t address, uint64_t& bytes, bool write) const {
  const uint32_t peer = peer_of(address);
  if (peer >= TANDEM_FABRIC_LIMIT || !(peers_ >> peer & 1)) return nullptr;
  bytes = peer_poison_.sound_bytes(address, bytes);
  if (!bytes) return nullptr;
  return static_cast<std::byte*>(ops_.map_peer(opaque_, peer, peer_offset(address), &bytes, write));
}

bool MemoryPort::is_poisoned(tandem_aperture aperture, uint64_t device_address) const {
  if (aperture == TANDEM_APERTURE_VRAM) return own_poison_.contains(device_address);
  return aperture == TANDEM_APERTURE_PEER && peer_poison_.contains(device_address);
}

}  // namespace tandem
