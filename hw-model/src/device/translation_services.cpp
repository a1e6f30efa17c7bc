// SPDX-License-Identifier: GPL-2.0-or-later
// What the IOMMU says to the device (PCI Express, chapter 10): answers, responses, invalidations, and whether it may ask at all.
#include <algorithm>

#include "device/device.h"

namespace tandem {

namespace {

constexpr uint64_t kLimit = TANDEM_VA_LIMIT;

struct Range {
  Gva start, end;
};

// Whole pages of what a process can have; bytes 0 is everything.
Range user_range(const tandem_atc_invalidation& invalidation) {
  if (invalidation.bytes == 0) return {gva(0), gva(kLimit)};
  const uint64_t start = std::min(invalidation.address, kLimit);
  const uint64_t end = start + std::min(invalidation.bytes, kLimit - start);
  return {gva(start).align_down(TANDEM_PAGE_BYTES), gva(end + TANDEM_PAGE_BYTES - 1).align_down(TANDEM_PAGE_BYTES)};
}

}  // namespace

void Device::set_ats(bool ats, uint32_t page_requests) {
  const bool possible = ats && host_.has_translation_services();
  if (ats && !possible) host_.guest_error("ATS was enabled, but this host has no operations for it");
  page_requests_.set_allowance(possible ? page_requests : 0);
  if (!possible && atc_.enabled()) {
    // No invalidation will come any more for what the device holds.
    invalidate_all_through_iommu(gva(0), gva(kLimit));
    atc_.set_enabled(false);
    mmu_.ats_gone();
  }
  if (possible) atc_.set_enabled(true);
  processor_.note_outside_event();
}

void Device::ats_answer(uint64_t id, const tandem_ats_answer& answer) {
  mmu_.ats_answer(id, answer);
  processor_.note_outside_event();
}

bool Device::page_response(uint32_t bus_pasid, uint32_t group, uint32_t code) {
  const bool known = page_requests_.respond(bus_pasid, group, code);
  if (known) processor_.note_outside_event();
  return known;
}

void Device::atc_invalidate(const tandem_atc_invalidation& invalidation) {
  const Range range = user_range(invalidation);
  const std::optional<Pasid> pasid = invalidation.global ? std::nullopt : spaces_.find_by_bus_pasid(invalidation.pasid);
  Invalidator::Outcome outcome;
  if (invalidation.global) outcome = invalidate_all_through_iommu(range.start, range.end);
  else if (pasid) outcome = invalidator_.carry_out(*pasid, range.start, range.end);
  ++counters_[TANDEM_COUNTER_ATC_INVALIDATES];
  if (trace_.on()) trace_atc_invalidated(invalidation, pasid.value_or(Pasid{}), outcome);
}

Invalidator::Outcome Device::invalidate_all_through_iommu(Gva start, Gva end) {
  Invalidator::Outcome outcome;
  for (const auto& [pasid, space] : spaces_.all())
    if (space.translation == TANDEM_TRANSLATION_SVA) outcome += invalidator_.carry_out(Pasid{{pasid}}, start, end);
  return outcome;
}

void Device::trace_atc_invalidated(const tandem_atc_invalidation& invalidation, Pasid pasid,
                                   const Invalidator::Outcome& outcome) const {
  const Range range = user_range(invalidation);
  tandem_trace_record record = shared_record(TANDEM_TRACE_ATC_INVALIDATED, pasid);
  record.va = range.start.value;
  record.bytes = range.end - range.start;
  record.seqno = invalidation.pasid;
  record.detail = invalidation.global;
  record.a = outcome.entries_and_stores();
  record.b = invalidation.waited_ns;
  record.queue = outcome.hit;
  trace_.emit(record);
}

}  // namespace tandem
