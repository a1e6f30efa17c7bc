// SPDX-License-Identifier: GPL-2.0-or-later
// Addresses of the bus: known, pending, refused.
#include "iommu/bus_addresses.h"

#include <algorithm>

namespace tandem {

namespace {

constexpr Pasid kNoPasid{{0}};
constexpr size_t kMostRefused = 1024;  // of which nobody was told: whoever asked has gone

Gva as_gva(Iova address) { return gva(address.value); }

}  // namespace

MappedRun BusAddresses::run_of(const TlbEntry& entry, Iova address, uint64_t bytes) {
  const uint64_t offset = as_gva(address) - entry.va;
  return {entry.host + offset, entry.device_address + offset, std::min(bytes, entry.bytes - offset)};
}

MappedRun BusAddresses::find(Iova address, uint64_t bytes, bool write) {
  const Access access = write ? Access::Write : Access::Read;
  const uint64_t page = address.align_down(TANDEM_PAGE_BYTES).value;
  if (page >= TANDEM_VA_LIMIT || !atc_.enabled()) return {};
  if (const auto kept = kept_.find(page); kept != kept_.end() && kept->second) return run_of(*kept->second, address, bytes);
  if (const TlbEntry* entry = atc_.lookup(kNoPasid, as_gva(address), access)) return run_of(*entry, address, bytes);
  if (refused_.erase(page)) return {};
  atc_.ask({.pasid = kNoPasid, .va = gva(page), .access = kept_.contains(page) ? Access::Write : access});
  return {.pending = true};
}

void BusAddresses::keep(Iova start, uint64_t bytes) {
  // By offset: the last page may end where 64 bits do.
  for (uint64_t offset = 0; offset < bytes; offset += TANDEM_PAGE_BYTES) kept_.try_emplace(start.value + offset);
}

void BusAddresses::answered(const Atc::Reply& reply) {
  using Kind = Atc::Reply::Kind;
  const bool granted = reply.kind == Kind::Entry && (reply.entry.write || !reply.write);
  if (!granted && reply.kind != Kind::Stale) {
    if (refused_.size() >= kMostRefused) refused_.clear();
    refused_.insert(reply.page.value);
  }
  const auto kept = kept_.find(reply.page.value);
  if (kept != kept_.end() && granted && reply.entry.write) kept->second = reply.entry;
}

bool BusAddresses::kill(Gva start, Gva end) {
  bool known = false;
  for (auto kept = kept_.begin(); kept != kept_.end(); ++kept) {
    if (!kept->second) continue;
    if (!ranges_overlap(kept->second->va.value, kept->second->bytes, start.value, end - start)) continue;
    kept->second.reset();
    known = true;
  }
  refused_.clear();  // what was not there may be now
  return known;
}

void BusAddresses::drop_entries() {
  for (auto& [page, entry] : kept_) entry.reset();
}

void BusAddresses::reset() {
  kept_.clear();
  refused_.clear();
}

}  // namespace tandem
