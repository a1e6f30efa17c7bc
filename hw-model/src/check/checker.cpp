// SPDX-License-Identifier: GPL-2.0-or-later
// What was invalidated must not be used: translations, and accesses that rest on them.
#include "check/checker.h"

#include <algorithm>

#include "base/names.h"
#include "base/text.h"
#include "check/disassemble.h"

namespace tandem {

namespace {

using ull = unsigned long long;

constexpr size_t kChain = 12;  // events in a report

constexpr const char* kCounterNames[] = {
    "uses", "fills", "invalidations", "stale-uses", "late-accesses", "copies", "faults", "violations", "reports", "unreported",
};
static_assert(std::size(kCounterNames) == TANDEM_CHECK_COUNTER_COUNT, "each counter has a name");

struct LateWords {
  const char* key;
  const char* what;
};

LateWords words_of(LateAccess what) {
  switch (what) {
    case LateAccess::PostedWrite:
      return {"X2.posted-write-after-acknowledgement", "a queued store was written after an invalidation of its page had been acknowledged"};
    case LateAccess::LateLoad:
      return {"X2.late-load-after-acknowledgement", "a late load read after an invalidation of its page had been acknowledged"};
    case LateAccess::Copy:
      return {"X2.copy-after-acknowledgement",
              "the copy engine went on by an address that it had translated before an acknowledged invalidation"};
    case LateAccess::Atomic:
      return {"X2.atomic-after-acknowledgement", "an atomic stored after an invalidation of its page had been acknowledged"};
    case LateAccess::Code:
      return {"X2.code-after-acknowledgement", "a wavefront ran instructions that it had decoded before an acknowledged invalidation"};
  }
  return {"?", "?"};
}

const char* source_name(Invalidation::Source source) {
  switch (source) {
    case Invalidation::Source::Driver: return "the driver's invalidation";
    case Invalidation::Source::Iommu: return "the IOMMU's invalidation";
    case Invalidation::Source::Unbind: return "the end of the address space";
  }
  return "?";
}

std::string text_of_invalidation(const Invalidation& invalidation) {
  std::string text = format("it had to end with %s", source_name(invalidation.source));
  if (invalidation.source == Invalidation::Source::Driver) text += format(" %llu", static_cast<ull>(invalidation.seqno));
  return text + " of " + text_of_range(invalidation.start, invalidation.end - invalidation.start) +
         format(", acknowledged at moment %llu", static_cast<ull>(invalidation.moment));
}

std::string text_of_carrying_out(const Invalidation& invalidation) {
  if (!invalidation.carried_out) return "the MMU had not carried it out by then";
  const Invalidation::CarriedOut& done = *invalidation.carried_out;
  return format("the MMU carried it out at moment %llu for %s of address space %u", static_cast<ull>(done.moment),
                text_of_range(done.start, done.end - done.start).c_str(), done.pasid.value);
}

// What no access of the device has brought about.
TranslationRequest nobody(Pasid pasid, Gva va) {
  TranslationRequest request;
  request.pasid = pasid;
  request.va = va;
  request.client = tandem_fault_client{};
  return request;
}

}  // namespace

const char* check_counter_name(uint32_t counter) {
  return counter < TANDEM_CHECK_COUNTER_COUNT ? kCounterNames[counter] : nullptr;
}

Checker::Checker(const AddressSpaces& spaces, const MemoryPort& memory, const Host& host)
    : spaces_(spaces), host_(host), tables_(memory), reporter_(*this), vram_(memory) {}

uint64_t Checker::counter(tandem_check_counter counter) const {
  switch (counter) {
    case TANDEM_CHECK_VIOLATIONS: return reporter_.violations();
    case TANDEM_CHECK_REPORTS: return reporter_.reported();
    case TANDEM_CHECK_UNREPORTED: return reporter_.unreported();
    default: return counters_[counter];
  }
}

// ---- the clock ----

void Checker::new_round() {
  ticks_in_round_ = 0;
  if (++round_ == 0) ++round_;  // 0: an entry that was never judged
  time_ns_ = host_.now();
}

void Checker::note(Pasid pasid, Event event) {
  if (!by_pasid_.contains(pasid.value)) return;
  event.moment = moment_;
  event.time_ns = time_ns_;
  history_.note(pasid, event);
}

// ---- translations ----

// The page of the access rests on the whole walk. The other pages of a larger entry rest on nothing but the leaf, which is read last: an
// invalidation of one of them alone does not concern a walk that has not come there yet.
void Checker::filled(TlbEntry& entry, const TranslationRequest& request, uint64_t began, uint64_t read) {
  const Gva page = request.va.align_down(TANDEM_PAGE_BYTES);
  entry.began = invalidated_since(entry.pasid, began, page, TANDEM_PAGE_BYTES) ? began : read;
  entry.filled = ++moment_;
  entry.judged = 0;
  ++counters_[TANDEM_CHECK_FILLS];
  const AddressSpace* space = spaces_.find(entry.pasid);
  const bool by_iommu = space && space->translation == TANDEM_TRANSLATION_SVA;
  note(entry.pasid, {.kind = by_iommu ? EventKind::Answered : EventKind::Filled,
                     .start = entry.va,
                     .bytes = entry.bytes,
                     .a = entry.device_address,
                     .b = entry.began});
  faults_.succeeded(entry);
  if (truth_)
    if (const auto finding = truth_->judge_fill({entry, request})) violated(*finding, request, &entry, entry.bytes);
}

void Checker::used(const TlbEntry& entry, const TranslationRequest& request) {
  entry.judged = round_;
  ++counters_[TANDEM_CHECK_USES];
  if (const Invalidation* invalidation = invalidated_since(entry.pasid, entry.began, entry.va, entry.bytes))
    return violated(why_it_outlived(*invalidation, entry), request, &entry, entry.bytes);
  compare_with_device_table(entry, request);
  if (entry.aperture == TANDEM_APERTURE_VRAM)
    if (const auto finding = vram_.judge(entry.device_address + (request.va.align_down(TANDEM_PAGE_BYTES) - entry.va)))
      violated(*finding, request, &entry, entry.bytes);
  if (truth_)
    if (const auto finding = truth_->judge({entry, request})) violated(*finding, request, &entry, entry.bytes);
}

const Invalidation* Checker::invalidated_since(Pasid pasid, uint64_t moment, Gva start, uint64_t bytes) const {
  return invalidated_.after(pasid, moment, start, bytes);
}

Finding Checker::why_it_outlived(const Invalidation& invalidation, const TlbEntry& entry) {
  Finding finding;
  const auto& done = invalidation.carried_out;
  const auto overlaps = [&](Gva start, Gva end) {
    return start < end && ranges_overlap(entry.va.value, entry.bytes, start.value, end - start);
  };
  if (invalidation.source == Invalidation::Source::Unbind)
    finding = {"X10.use-after-unbind", "a translation was used that an address space had left behind, which is gone", {}};
  else if (!done && invalidation.source == Invalidation::Source::Iommu)
    finding = {"X2.atc-not-flushed", "a translation was used that the IOMMU had taken back, and that the device had said to have dropped", {}};
  else if (!done)
    finding = {"X2.acknowledged-before-drain", "a translation was used after its invalidation had been acknowledged, but before it was carried out", {}};
  else if (done->pasid != entry.pasid)
    finding = {"X10.wrong-address-space", "a translation was used because its invalidation was carried out for another address space", {}};
  else if (!overlaps(done->start, done->end))
    finding = {"X2.wrong-range", "a translation was used because its invalidation was carried out for another range", {}};
  else if (entry.filled > done->moment)
    finding = {"X2.fill-by-overlapping-walk", "a translation was used that had been read before an invalidation of its range, and was filled in after it", {}};
  else
    finding = {"X2.missed-level", "a translation was used that an acknowledged invalidation did not reach in this TLB", {}};
  finding.details = {text_of_invalidation(invalidation), text_of_carrying_out(invalidation)};
  return finding;
}

// The page table as it is now. An entry that grants more is stale: permitted until the invalidation that must come is acknowledged. One
// that agrees with its PTE must lead where the PTE says.
void Checker::compare_with_device_table(const TlbEntry& entry, const TranslationRequest& request) {
  constexpr uint64_t marks = TANDEM_PTE_ACCESSED | TANDEM_PTE_DIRTY | TANDEM_PTE_SOFTWARE | TANDEM_PTE_GROUP;
  const AddressSpace* space = spaces_.find(entry.pasid);
  if (!space || space->translation != TANDEM_TRANSLATION_MIRROR) return;
  const std::optional<DeviceLeaf> leaf = tables_.find(space->root, request.va);
  if (!leaf) return;
  const Gva page = request.va.align_down(TANDEM_PAGE_BYTES);
  const uint64_t leads_to = entry.bus_address + (page - entry.va);
  if (leaf->pte && leads_to == leaf->address && entry.aperture == leaf->aperture &&
      (!entry.write || leaf->permits(Access::Write)) && (!entry.atomic || leaf->permits(Access::Atomic)))
    return;
  const bool comparable = leaf->bytes > TANDEM_PAGE_BYTES || entry.bytes == TANDEM_PAGE_BYTES;  // each page of a group has its own
  if (!comparable || (leaf->pte ^ entry.pte) & ~marks) {
    ++counters_[TANDEM_CHECK_STALE_USES];
    return;
  }
  violated({"X2.wrong-translation",
            "an entry does not say what the page table entry says of which it was made",
            {format("the page table entry is %#llx: %s %#llx, %s", static_cast<ull>(leaf->pte), aperture_name(leaf->aperture),
                    static_cast<ull>(leaf->address), leaf->permits(Access::Write) ? "may be written" : "read only")}},
           request, &entry, entry.bytes);
}

bool Checker::done_late(LateAccess what, const TranslationRequest& request, Gva start, uint64_t bytes, uint64_t moment,
                        const TlbEntry* entry) {
  ++counters_[TANDEM_CHECK_LATE_ACCESSES];
  const Invalidation* invalidation = invalidated_since(request.pasid, moment, start, bytes);
  if (!invalidation) return true;
  const LateWords words = words_of(what);
  TranslationRequest at = request;
  at.va = start;
  violated({words.key, words.what,
            {format("it was translated at moment %llu", static_cast<ull>(moment)), text_of_invalidation(*invalidation),
             text_of_carrying_out(*invalidation)}},
           at, entry, bytes);
  return false;
}

void Checker::used_later(const TlbEntry& entry, const TranslationRequest& request) {
  const bool in_time = done_late(LateAccess::Copy, request, entry.va, entry.bytes, entry.began, &entry);
  if (in_time && wants(entry)) used(entry, request);
}

void Checker::atomic_op_ends(Pasid pasid, Gva va, uint64_t loaded, uint64_t now) {
  ++counters_[TANDEM_CHECK_LATE_ACCESSES];
  if (loaded == now) return;
  TranslationRequest request = nobody(pasid, va);
  request.access = Access::Atomic;
  violated({"X4.lost-update",
            "an atomic that has to be one AtomicOp overwrote what somebody stored between its load and its store",
            {format("it had loaded %#llx; just before its store the word was %#llx", static_cast<ull>(loaded), static_cast<ull>(now))}},
           request, nullptr, sizeof(uint64_t));
}

void Checker::moved(const CopyWitness& witness, const std::byte* source, const std::byte* destination, tandem_aperture aperture,
                    uint64_t address) {
  ++counters_[TANDEM_CHECK_COPIES];
  const std::optional<uint64_t> lost = witness.first_lost(source, destination);
  if (!lost) return;
  violated({"X4.copy-lost",
            "the copy engine told that it had copied what is not at the destination",
            {format("the first byte that is missing is at %s %#llx", aperture_name(aperture), static_cast<ull>(address + *lost))}},
           nobody(Pasid{}, gva(address)), nullptr, 1);
}

void Checker::copies_from(uint64_t offset, uint64_t bytes) {
  const uint64_t end = vram_.end(offset, bytes);
  for (uint64_t page = offset & ~(TANDEM_PAGE_BYTES - 1); page < end; page += TANDEM_PAGE_BYTES)
    if (const auto finding = vram_.judge(page)) violated(*finding, nobody(Pasid{}, gva(page)), nullptr, TANDEM_PAGE_BYTES);
}

// ---- faults ----

void Checker::faulted(const TranslationRequest& request, tandem_fault_reason reason) {
  ++counters_[TANDEM_CHECK_FAULTS];
  note(request.pasid, {.kind = EventKind::Faulted,
                       .start = request.va,
                       .bytes = 1,
                       .detail = static_cast<uint32_t>(request.access) | static_cast<uint32_t>(reason) << 8});
  if (reason == TANDEM_FAULT_PAGE_DMA || reason == TANDEM_FAULT_BAD_PTE) led_nowhere(request);
  if (reason != TANDEM_FAULT_NOT_PRESENT && reason != TANDEM_FAULT_PERMISSION) return;
  const AddressSpace* space = spaces_.find(request.pasid);
  if (!space || space->translation != TANDEM_TRANSLATION_MIRROR) return;
  const std::optional<DeviceLeaf> leaf = tables_.find(space->root, request.va);
  const FaultLedger::Row row = faults_.faulted(AccessKey::of(request), leaf && leaf->permits(request.access));
  if (row.unserved >= FaultLedger::kMostUnserved)
    violated({"X6.fault-never-served",
              format("an access has faulted %u times, was released each time, and nobody has mapped its page", FaultLedger::kMostUnserved),
              {}},
             request, nullptr, 1);
  if (row.permitted < FaultLedger::kMostInARow) return;
  violated({"X6.fault-though-permitted",
            format("an access has faulted %u times in a row although its page table permits it", row.permitted),
            {format("the page table entry is %#llx", static_cast<ull>(leaf->pte))}},
           request, nullptr, 1);
}

// No entry was made, because there is no memory where the leaf leads, or it is none: what it says is judged all the same.
void Checker::led_nowhere(const TranslationRequest& request) {
  const AddressSpace* space = spaces_.find(request.pasid);
  if (!truth_ || !space || space->translation != TANDEM_TRANSLATION_MIRROR) return;
  const std::optional<DeviceLeaf> leaf = tables_.find(space->root, request.va);
  if (!leaf || !leaf->pte) return;
  TlbEntry entry{.pasid = request.pasid, .va = request.va.align_down(TANDEM_PAGE_BYTES), .bytes = TANDEM_PAGE_BYTES};
  entry.bus_address = entry.device_address = leaf->address;
  entry.aperture = leaf->aperture;
  entry.write = leaf->permits(Access::Write);
  entry.pte = leaf->pte;
  entry.began = entry.filled = ++moment_;
  if (const auto finding = truth_->judge_fill({entry, request})) violated(*finding, request, &entry, entry.bytes);
}

void Checker::recorded(const TranslationRequest& request, uint64_t moment) {
  const auto space = by_pasid_.find(request.pasid.value);
  if (space == by_pasid_.end() || space->second.ended <= moment) return;
  violated({"X10.fault-of-ended-address-space",
            "a fault was told of an address space that has ended; its number may be another process's by now",
            {format("it had faulted at moment %llu, the address space ended at moment %llu", static_cast<ull>(moment),
                    static_cast<ull>(space->second.ended))}},
           request, nullptr, 1);
}

void Checker::cancelled(Pasid pasid, Gva page) { faults_.answered(pasid, page, page + TANDEM_PAGE_BYTES); }

void Checker::faults_forgotten(Pasid pasid) { faults_.answered(pasid, gva(0), gva(TANDEM_VA_LIMIT)); }

void Checker::replayed(Pasid pasid, uint64_t seqno, size_t released, size_t left) {
  note(pasid, {.kind = EventKind::Replayed, .seqno = seqno, .a = released});
  if (left == 0) return;
  violated({"X6.fault-left-by-a-replay", format("a replay left %zu accesses waiting that it had to release", left), {}},
           nobody(pasid, gva(0)), nullptr, 0);
}

void Checker::atomic(Pasid pasid, Gva va, bool store) {
  if (!truth_) return;
  TranslationRequest request = nobody(pasid, va);
  request.access = Access::Atomic;
  if (const auto finding = truth_->judge_atomic(pasid, va, store)) violated(*finding, request, nullptr, sizeof(uint64_t));
}

// ---- invalidations ----

void Checker::received(const tandem_invalidate& entry) {
  time_ns_ = host_.now();
  const bool all = entry.flags & TANDEM_INVALIDATE_ALL;
  note(Pasid{{entry.pasid}}, {.kind = EventKind::Received,
                              .start = gva(all ? 0 : entry.start),
                              .bytes = all ? 0 : entry.end - entry.start,
                              .seqno = entry.seqno,
                              .a = entry.notify_start,
                              .b = entry.notify_end,
                              .detail = entry.cause});
}

void Checker::carried_out(Pasid pasid, Gva start, Gva end) {
  const Invalidation::CarriedOut done{++moment_, pasid, start, end};
  note(pasid, {.kind = EventKind::CarriedOut, .start = start, .bytes = end - start});
  const auto late = std::find_if(not_carried_out_.begin(), not_carried_out_.end(), [&](const auto& each) {
    return each->pasid == pasid && each->start == start && each->end == end;
  });
  if (late == not_carried_out_.end()) return carried_out_.push_back(done);
  (*late)->carried_out = done;
  not_carried_out_.erase(late);
}

// The hardware owes it, if it is ever carried out.
void Checker::keep_not_carried_out(const std::shared_ptr<Invalidation>& invalidation) {
  constexpr size_t kMost = 64;
  if (not_carried_out_.size() == kMost) not_carried_out_.pop_front();
  not_carried_out_.push_back(invalidation);
}

void Checker::settled(const tandem_invalidate& entry, Gva start, Gva end, uint32_t index) {
  if (!truth_) return;
  if (const auto finding = truth_->judge_acknowledgement(entry, start, end, index))
    violated(*finding, nobody(Pasid{{entry.pasid}}, start), nullptr, end - start);
}

void Checker::acknowledged(Invalidation::Source source, Pasid pasid, Gva start, Gva end, uint64_t seqno) {
  new_round();
  ++counters_[TANDEM_CHECK_INVALIDATIONS];
  auto invalidation = std::make_shared<Invalidation>();
  invalidation->source = source;
  invalidation->pasid = pasid;
  invalidation->start = start;
  invalidation->end = end;
  invalidation->seqno = seqno;
  invalidation->moment = ++moment_;
  if (carried_out_.empty()) keep_not_carried_out(invalidation);
  else invalidation->carried_out = carried_out_.back();
  carried_out_.clear();
  if (spaces_.find(pasid)) invalidated_.add(invalidation);
  faults_.invalidated(pasid, start, end);
  if (truth_ && source == Invalidation::Source::Iommu) truth_->flushed(pasid, start, end);
  note(pasid, {.kind = source == Invalidation::Source::Iommu ? EventKind::AtcInvalidated : EventKind::Acknowledged,
               .start = start,
               .bytes = end - start,
               .seqno = seqno});
}

// ---- address spaces ----

void Checker::bound(Pasid pasid) {
  const AddressSpace& bound = *spaces_.find(pasid);
  Space& space = by_pasid_[pasid.value];
  space.tgid = bound.tgid;
  space.name = bound.name();
  new_round();
  note(pasid, {.kind = EventKind::Bound, .seqno = bound.tgid});
  if (bound.translation == TANDEM_TRANSLATION_SVA) look_for_its_pasid(pasid, bound);
  if (truth_) truth_->bound(pasid);
}

// A process has one PASID on the bus, however many address spaces it has here, and so have those that share its memory. Another must not be given it while the device
// may still send requests with it, or has not had all answers.
void Checker::look_for_its_pasid(Pasid pasid, const AddressSpace& bound) {
  spaces_.for_each_of(bound.bus_pasid, [&](Pasid other) {
    const AddressSpace& owner = *spaces_.find(other);
    if (owner.tgid == bound.tgid || (truth_ && truth_->share_memory(pasid, other))) return;
    violated({"X10.pasid-in-use",
              "a process was given a PASID on the bus that the device has not finished with for the process before it",
              {format("PASID %#x is that of address space %u, process %s (%u), %s", bound.bus_pasid, other.value, owner.name().c_str(),
                      owner.tgid, owner.ended_ns ? "which has ended, and has page requests unanswered" : "which has not ended")}},
             nobody(pasid, gva(0)), nullptr, 0);
  });
}

void Checker::ended(Pasid pasid) {
  acknowledged(Invalidation::Source::Unbind, pasid, gva(0), gva(TANDEM_VA_LIMIT), 0);
  by_pasid_[pasid.value].ended = moment_;
  note(pasid, {.kind = EventKind::Unbound});
  if (truth_) truth_->unbound(pasid);
}

void Checker::drop_host_pointers() {
  tables_.drop_host_pointers();
  vram_.drop_host_pointers();
  if (truth_) truth_->drop_host_pointers();
}

void Checker::reset() {
  drop_host_pointers();
  history_.reset();
  invalidated_.reset();
  by_pasid_.clear();
  kernels_.clear();
  faults_.reset();
  vram_.follow(0);
  carried_out_.clear();
  not_carried_out_.clear();
  if (truth_) truth_->reset();
}

// ---- reports ----

void Checker::violated(const Finding& finding, const TranslationRequest& request, const TlbEntry* entry, uint64_t bytes) {
  const uint64_t place = request.pc ? request.pc : request.va.value / TANDEM_PAGE_BYTES;
  const uint64_t site = place ^ uint64_t{request.pasid.value} << 48 ^ uint64_t{request.client} << 60;
  if (!reporter_.count(finding.key, site)) return;
  const Gva start = entry ? entry->va : request.va;
  reporter_.report({.finding = finding,
                    .access = text_of_access(request),
                    .entry = entry ? text_of_entry(*entry) : std::string(),
                    .chain = text_of_chain(request.pasid, start, std::max<uint64_t>(bytes, 1)),
                    .site = site});
}

void Checker::deliver(const Report& report, const std::string& text) {
  host_.check_report({.key = report.finding.key.c_str(), .text = text.c_str()});
}

std::string Checker::text_of_access(const TranslationRequest& request) {
  const auto known = by_pasid_.find(request.pasid.value);
  std::string text = known == by_pasid_.end() || known->second.name.empty()
                         ? format("address space %u", request.pasid.value)
                         : format("process %s (%u), address space %u", known->second.name.c_str(), known->second.tgid,
                                  request.pasid.value);
  if (!request.client) return request.va == gva(0) ? text : text + format(", at %#llx", static_cast<ull>(request.va.value));
  text += request.queue.value == TANDEM_TRACE_NO_QUEUE ? std::string(", the driver's command, ") : format(", queue %u, ", request.queue.value);
  if (request.client == TANDEM_CLIENT_COMPUTE)
    text += format("compute unit %u, lane %u, ", request.unit, request.lane);
  else
    text += std::string(client_name(request.client)) + ", ";
  text += format("%s of %#llx", access_name(request.access), static_cast<ull>(request.va.value));
  return text + (request.client == TANDEM_CLIENT_COMPUTE ? text_of_instruction(request) : "");
}

std::string Checker::text_of_instruction(const TranslationRequest& request) {
  std::string text;
  if (const auto kernel = kernels_.find(request.queue.value); kernel != kernels_.end())
    text += format(", kernel %#llx of packet %llu", static_cast<ull>(kernel->second.entry.value),
                   static_cast<ull>(kernel->second.packet));
  if (!request.pc) return text;
  text += format(", at pc %#llx", static_cast<ull>(request.pc));
  const std::optional<uint32_t> word = read_word(request.pasid, gva(request.pc));
  return word ? text + ": " + disassemble(*word) : text;
}

// By the table that the device walks, if it walks one that can be read here, or else by the process's own.
std::optional<uint32_t> Checker::read_word(Pasid pasid, Gva va) {
  const AddressSpace* space = spaces_.find(pasid);
  if (!space) return {};
  std::optional<uint32_t> word;
  if (space->translation == TANDEM_TRANSLATION_MIRROR) word = tables_.read_word(space->root, va);
  if (!word && truth_) word = truth_->read_word(pasid, va);
  return word;
}

std::string Checker::text_of_entry(const TlbEntry& entry) const {
  std::string text = text_of_range(entry.va, entry.bytes) +
                     format(" -> %s %#llx, %s%s", aperture_name(entry.aperture), static_cast<ull>(entry.device_address),
                            entry.write ? "read and write" : "read only", entry.atomic ? ", atomics" : "");
  text += format("; it rests on what was read from moment %llu on, and was filled at moment %llu", static_cast<ull>(entry.began),
                 static_cast<ull>(entry.filled));
  if (const Event* fill = history_.find(entry.pasid, entry.filled))
    text += format(", at about %.3f ms", static_cast<double>(fill->time_ns) / 1e6);
  return text;
}

std::vector<std::string> Checker::text_of_chain(Pasid pasid, Gva start, uint64_t bytes) const {
  std::vector<std::string> lines;
  for (const Event& event : history_.chain(pasid, start, bytes, kChain)) lines.push_back(text_of(event));
  return lines;
}

}  // namespace tandem
