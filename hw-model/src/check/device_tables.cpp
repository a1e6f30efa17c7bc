// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/device_tables.h"

namespace tandem {

namespace {

DeviceLeaf leaf_of(uint64_t pte, uint32_t shift, Gva va) {
  DeviceLeaf leaf{.pte = pte, .bytes = uint64_t{1} << shift};
  leaf.aperture = static_cast<tandem_aperture>(TANDEM_FIELD_GET(TANDEM_PTE_APERTURE, pte));
  leaf.address = (pte & TANDEM_PTE_ADDRESS) + (va.value & (leaf.bytes - 1) & ~(TANDEM_PAGE_BYTES - 1));
  if (leaf.aperture == TANDEM_APERTURE_PEER)
    leaf.address = peer_address(static_cast<uint32_t>(TANDEM_FIELD_GET(TANDEM_PTE_PEER, pte)), leaf.address);
  return leaf;
}

}  // namespace

bool DeviceLeaf::permits(Access access) const {
  if (!pte) return false;
  if (access == Access::Write) return pte & TANDEM_PTE_WRITE;
  if (access == Access::Atomic) return (pte & TANDEM_PTE_WRITE) && (pte & TANDEM_PTE_ATOMIC);
  return true;
}

std::optional<DeviceLeaf> DeviceTables::find(Iova root, Gva va) {
  if (memory_.bus_is_translated()) return {};  // the IOMMU would have to be asked, which the device would notice
  Iova table = root;
  for (int level = TANDEM_PT_LEVELS - 1; level >= 0; --level) {
    const std::byte* host = tables_.find(table).host;
    if (!host) return {};
    const auto* entries = reinterpret_cast<const uint64_t*>(host);
    const uint64_t pte = __atomic_load_n(entries + TANDEM_LEVEL_INDEX(va.value, level), __ATOMIC_ACQUIRE);
    if (!(pte & TANDEM_PTE_VALID)) return DeviceLeaf{};
    if (level == 0 || pte & TANDEM_PTE_LEAF) return leaf_of(pte, TANDEM_LEVEL_SHIFT(level), va);
    table = iova(pte & TANDEM_PTE_ADDRESS);
  }
  return {};
}

std::optional<uint32_t> DeviceTables::read_word(Iova root, Gva va) {
  const std::optional<DeviceLeaf> leaf = find(root, va);
  if (!leaf || !leaf->pte) return {};
  const MappedRun page = memory_.map(leaf->aperture, leaf->address, TANDEM_PAGE_BYTES, false);
  if (!page.host) return {};
  return load_relaxed<uint32_t>(page.host + va.value % TANDEM_PAGE_BYTES);
}

}  // namespace tandem
