// SPDX-License-Identifier: GPL-2.0-or-later
// Step "translator (ATS)": requests, answers, and the entries made of them.
#include "iommu/atc.h"

#include <bit>

#include "check/checker.h"

namespace tandem {

namespace {

constexpr uint64_t kLargestBlock = 1ULL << kSizeShift[kSizeClasses - 1];

// For traces and displays, which know the device's own page tables.
uint64_t as_pte(const TlbEntry& entry) {
  return (entry.device_address & TANDEM_PTE_ADDRESS) | TANDEM_PTE_VALID | TANDEM_PTE_LEAF | TANDEM_PTE_ACCESSED |
         (entry.write ? TANDEM_PTE_WRITE | TANDEM_PTE_DIRTY : 0) | (entry.atomic ? TANDEM_PTE_ATOMIC : 0);
}

}  // namespace

Atc::Atc(uint32_t sets, uint32_t ways, const AddressSpaces& spaces, const MemoryPort& memory, Counters& counters,
         const Trace& trace, const Host& host, uint32_t mutation)
    : spaces_(spaces),
      memory_(memory),
      counters_(counters),
      trace_(trace),
      host_(host),
      mutation_(mutation),
      entries_(sets, ways) {}

Atc::Key Atc::key_of(const TranslationRequest& request) {
  return {request.pasid.value, request.va.align_down(TANDEM_PAGE_BYTES).value, writes(request)};
}

uint32_t Atc::bus_pasid(Pasid pasid) const {
  const AddressSpace* space = spaces_.find(pasid);
  return space ? space->bus_pasid : TANDEM_NO_PASID;
}

void Atc::set_enabled(bool enabled) {
  enabled_ = enabled;
  if (!enabled) reset();
}

void Atc::reset() {
  entries_.kill_all();
  ids_.clear();
  under_way_.clear();
}

// ---- requests ----

void Atc::ask(const TranslationRequest& request) {
  const Key key = key_of(request);
  const auto [at, fresh] = ids_.try_emplace(key, last_id_ + 1);
  if (!fresh) return;
  ++last_id_;
  ++counters_[TANDEM_COUNTER_ATS_REQUESTS];
  const Checker* check = memory_.checker();
  under_way_[last_id_] = {.first = request,
                          .asked_ns = trace_.on() ? host_.now() : 0,
                          .began = check ? check->moment() : 0,
                          .sound_bytes = kLargestBlock};
  if (trace_.on()) trace_request(request);
  host_.ats_request({.id = last_id_, .address = key.page, .pasid = bus_pasid(request.pasid), .write = key.write});
}

// ---- answers ----

std::optional<Atc::Reply> Atc::answer(uint64_t id, const tandem_ats_answer& answer) {
  const auto at = under_way_.find(id);
  if (at == under_way_.end()) return {};
  const UnderWay asked = at->second;
  const Key key = key_of(asked.first);
  under_way_.erase(at);
  ids_.erase(key);
  if (trace_.on()) trace_answer(asked, answer);

  Reply reply{.kind = Reply::Kind::Nothing, .pasid = asked.first.pasid, .page = gva(key.page), .write = key.write, .entry = {}};
  if (asked.sound_bytes == 0) {
    ++counters_[TANDEM_COUNTER_ATS_STALE];
    reply.kind = Reply::Kind::Stale;
    return reply;
  }
  const tandem_ats_answer truth = believed(answer, asked);
  if (!truth.read) return reply;
  if (!build_entry(truth, asked, reply.entry)) {
    reply.kind = Reply::Kind::NoMemory;
    return reply;
  }
  reply.kind = Reply::Kind::Entry;
  if (Checker* check = memory_.checker()) check->filled(reply.entry, asked.first, asked.began, asked.began);
  entries_.insert(reply.entry);
  return reply;
}

bool Atc::well_formed(const tandem_ats_answer& answer) {
  return std::has_single_bit(answer.bytes) && answer.bytes >= TANDEM_PAGE_BYTES && answer.translated % answer.bytes == 0;
}

// Without what the device may not make use of.
tandem_ats_answer Atc::believed(const tandem_ats_answer& answer, const UnderWay& asked) const {
  tandem_ats_answer truth = answer;
  if (!answer.read && !answer.write) return truth;
  if (!well_formed(answer)) {
    host_.guest_error("the answer to ATS request of %#llx is malformed: %#llx bytes at %#llx",
                      static_cast<unsigned long long>(asked.first.va.value), static_cast<unsigned long long>(answer.bytes),
                      static_cast<unsigned long long>(answer.translated));
    truth.read = truth.write = false;
  }
  truth.write &= writes(asked.first);
  return truth;
}

// The largest size that the answer covers, that nothing has invalidated, and that lies behind one host pointer.
bool Atc::build_entry(const tandem_ats_answer& answer, const UnderWay& asked, TlbEntry& entry) const {
  const Gva va = asked.first.va;
  for (int size_class = kSizeClasses - 1; size_class >= 0; --size_class) {
    const uint64_t block = 1ULL << kSizeShift[size_class];
    if (block > answer.bytes || block > asked.sound_bytes) continue;
    const Gva block_va = va.align_down(block);
    const uint64_t address = answer.translated + (block_va.value & (answer.bytes - 1));
    const MappedRun run = memory_.map_memory(address, block, answer.write);
    if (!run.host || run.bytes < block) continue;
    entry = TlbEntry{.pasid = asked.first.pasid,
                     .va = block_va,
                     .bytes = block,
                     .host = run.host,
                     .device_address = run.address,
                     .aperture = TANDEM_APERTURE_SYSTEM,
                     .write = answer.write,
                     .atomic = answer.write && memory_.atomics().reach_system_memory(),
                     .counted = memory_.access_counters().on()};
    entry.pte = as_pte(entry);
    return true;
  }
  return false;
}

// ---- the end of answers ----

Atc::Killed Atc::kill_range(Pasid pasid, Gva start, Gva end) {
  Killed killed;
  if (end <= start) return killed;
  killed.entries = entries_.kill(pasid, start, end);
  if (mutation_ == TANDEM_MUTATION_ATC_REFILL) return killed;
  const auto overlaps = [&](Gva va, uint64_t bytes) {
    return ranges_overlap(va.align_down(bytes).value, bytes, start.value, end - start);
  };
  for (auto& [id, asked] : under_way_) {
    if (asked.first.pasid != pasid || asked.sound_bytes == 0) continue;
    while (asked.sound_bytes > TANDEM_PAGE_BYTES && overlaps(asked.first.va, asked.sound_bytes)) asked.sound_bytes /= 2;
    if (!overlaps(asked.first.va, TANDEM_PAGE_BYTES)) continue;
    asked.sound_bytes = 0;
    ++killed.requests;
  }
  return killed;
}

uint32_t Atc::remove(Pasid pasid) {
  std::erase_if(ids_, [&](const auto& each) { return each.first.pasid == pasid.value; });
  std::erase_if(under_way_, [&](const auto& each) { return each.second.first.pasid == pasid; });
  return entries_.kill(pasid);
}

size_t Atc::requests_under_way(Pasid pasid) const {
  size_t count = 0;
  for (const auto& [key, id] : ids_) count += key.pasid == pasid.value;
  return count;
}

// ---- trace ----

void Atc::trace_request(const TranslationRequest& request) const {
  tandem_trace_record record = shared_record(TANDEM_TRACE_ATS_REQUEST, request.pasid);
  record.queue = request.queue.value;
  record.va = request.va.align_down(TANDEM_PAGE_BYTES).value;
  record.detail = static_cast<uint32_t>(request.access);
  record.seqno = bus_pasid(request.pasid);
  trace_.emit(record);
}

void Atc::trace_answer(const UnderWay& asked, const tandem_ats_answer& answer) const {
  const uint64_t bytes = well_formed(answer) ? answer.bytes : TANDEM_PAGE_BYTES;
  const uint32_t granted = (answer.read ? TANDEM_ATS_READ : 0) | (answer.write ? TANDEM_ATS_WRITE : 0) |
                           (asked.sound_bytes == 0 ? TANDEM_ATS_STALE : 0);
  tandem_trace_record record = shared_record(TANDEM_TRACE_ATS_ANSWER, asked.first.pasid);
  record.queue = asked.first.queue.value;
  record.va = asked.first.va.align_down(bytes).value;
  record.bytes = bytes;
  record.detail = static_cast<uint32_t>(asked.first.access) | granted << 8;
  record.seqno = bus_pasid(asked.first.pasid);
  record.a = answer.read || answer.write ? answer.translated : 0;
  record.b = asked.asked_ns ? host_.now() - asked.asked_ns : 0;
  trace_.emit(record);
}

}  // namespace tandem
