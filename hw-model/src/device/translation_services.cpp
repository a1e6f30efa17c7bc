// SPDX-License-Identifier: GPL-2.0-or-later
// What the IOMMU says to the device (PCI Express, chapter 10): answers, responses, invalidations, and whether it may ask at all.
#include <algorithm>
#include <utility>

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
  if (!possible || page_requests == 0) held_responses_.clear();  // their groups have gone
  if (!possible && atc_.enabled()) {
    // No invalidation will come any more for what the device holds.
    let_go_of({.pasid = TANDEM_NO_PASID, .global = true});
    atc_.set_enabled(false);
    mmu_.ats_gone();
  }
  if (possible) atc_.set_enabled(true);
  processor_.note_outside_event();
}

void Device::ats_answer(uint64_t id, const tandem_ats_answer& answer) {
  if (hostile_.on() && running()) held_answers_.push_back({id, answer});
  else take_answer(id, answer);
}

void Device::take_answer(uint64_t id, const tandem_ats_answer& answer) {
  const std::optional<Atc::Reply> reply = atc_.answer(id, answer);
  if (!reply) return;
  if (reply->pasid == Pasid{}) bus_answer(*reply);
  else mmu_.ats_answer(*reply);
  processor_.note_outside_event();
}

// Whatever had to wait for an address of the device's own may be able to go on.
void Device::bus_answer(const Atc::Reply& reply) {
  bus_.answered(reply);
  mmu_.bus_answer();
  status_page_.flush();
  if (!running()) return;
  events_.flush();
  faults_.flush();
  attention_.ask();
}

void Device::set_bus_translation(bool on) {
  drop_host_pointers();
  bus_.drop_entries();
  memory_.set_bus_translation(on ? &bus_ : nullptr);
  attention_.ask();
}

bool Device::page_response(uint32_t bus_pasid, uint32_t group, uint32_t code) {
  const bool late = hostile_.on() || responses_are_stalled();
  if (!late || !running() || !page_requests_.knows(bus_pasid, group)) return take_response(bus_pasid, group, code);
  held_responses_.push_back({bus_pasid, group, code});
  return true;
}

bool Device::take_response(uint32_t bus_pasid, uint32_t group, uint32_t code) {
  const bool known = page_requests_.respond(bus_pasid, group, code);
  if (known) processor_.note_outside_event();
  return known;
}

void Device::take_held_responses() {
  for (const HeldResponse& held : std::exchange(held_responses_, {})) take_response(held.bus_pasid, held.group, held.code);
}

// The device may take its time, and go on with what it holds meanwhile: the IOMMU waits.
void Device::atc_invalidate(const tandem_atc_invalidation& invalidation) {
  if (hostile_.on() && running()) run(hostile_.delay());
  const Released released = let_go_of(invalidation);
  ++counters_[TANDEM_COUNTER_ATC_INVALIDATES];
  if (trace_.on()) trace_atc_invalidated(invalidation, invalidation.global ? Pasid{} : released.last, released.outcome);
}

Device::Released Device::let_go_of(const tandem_atc_invalidation& invalidation) {
  const Range range = user_range(invalidation);
  Released released;
  if (invalidation.pasid == TANDEM_NO_PASID) released.outcome += invalidate_bus(range.start, range.end);
  const auto carry_out = [&](Pasid pasid) {
    released.last = pasid;
    if (config_.mutation != TANDEM_MUTATION_ATC_KEPT)
      released.outcome += invalidator_.carry_out(pasid, range.start, range.end);
    if (checker_) checker_->acknowledged(Invalidation::Source::Iommu, pasid, range.start, range.end, 0);
  };
  if (!invalidation.global) spaces_.for_each_of(invalidation.pasid, carry_out);
  else
    for (const auto& [number, space] : spaces_.all())
      if (space.translation == TANDEM_TRANSLATION_SVA) carry_out(Pasid{{number}});
  return released;
}

// Addresses of the device itself. Clients know what they keep by the process's addresses: they let go of all of it.
Invalidator::Outcome Device::invalidate_bus(Gva start, Gva end) {
  Invalidator::Outcome outcome;
  const Atc::Killed in_atc = atc_.kill(Pasid{}, start, end);
  const bool kept = bus_.kill(start, end);
  outcome.entries = in_atc.entries + kept;
  outcome.hit = (outcome.entries ? TANDEM_HIT_ATC : 0) | (in_atc.requests ? TANDEM_HIT_ATS : 0);
  if (!memory_.bus_is_translated()) return outcome;
  const Mmu::Killed in_tlbs = mmu_.invalidate_bus(start, end);
  outcome.entries += in_tlbs.entries;
  outcome.hit |= in_tlbs.hit;
  for (TranslationClient* client : clients_) outcome += Invalidator::outcome_of(client->drain_all());
  status_page_.drop_host_pointers();
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
