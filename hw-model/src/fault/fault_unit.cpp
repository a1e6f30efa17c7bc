// SPDX-License-Identifier: GPL-2.0-or-later
// Step "no translation: fault record": the fault buffer, replay and cancel.
#include "fault/fault_unit.h"

#include <algorithm>
#include <utility>

#include "check/checker.h"

namespace tandem {

namespace {
constexpr uint32_t kLate = 1 << 17;    // scheduler steps that a late record takes: an address space can end meanwhile
constexpr uint64_t kSmallBuffer = 16;  // at most, with hostile timing
}  // namespace

FaultUnit::FaultUnit(RetryLimits& retries, const MemoryPort& memory, StatusPage& status, Interrupts& interrupts,
                     ErrorSink& errors, Counters& counters, const Trace& trace, const Host& host, Hostile& hostile,
                     uint32_t mutation)
    : retries_(retries),
      memory_(memory),
      status_(status),
      interrupts_(interrupts),
      errors_(errors),
      counters_(counters),
      trace_(trace),
      host_(host),
      hostile_(hostile),
      most_records_(hostile.on() ? static_cast<uint32_t>(hostile.part(kSmallBuffer)) : ~0u),
      mutation_(mutation) {}

std::optional<QueueError> FaultUnit::raise(const TranslationRequest& request, tandem_fault_reason reason,
                                           TranslationWaiter& waiter) {
  if (retries_.reached(request)) return TANDEM_QUEUE_RETRY_LIMIT;
  const bool others_wait = pending_.untold();
  const auto [pending, fresh] = pending_.add(request, reason, waiter, host_);
  if (!fresh) return {};
  if (Checker* check = memory_.checker()) {
    pending->second.moment = check->moment();
    check->faulted(request, reason);
  }
  if (others_wait || !room() || !write_record(pending)) {
    if (!held_) ++counters_[TANDEM_COUNTER_FAULT_OVERFLOWS];
    trace_fault(pending->second, 0);
  }
  return {};
}

bool FaultUnit::room() const { return !held_ && !ring_.full() && ring_.fill() < most_records_; }

bool FaultUnit::flush() {
  bool wrote = false;
  while (pending_.untold() && room()) {
    const size_t next = hostile_.pick(pending_.untold_keys().size());
    if (!write_record(pending_.find(pending_.untold_keys()[next]))) break;
    wrote = true;
  }
  return wrote;
}

// False: not yet, or never.
bool FaultUnit::write_record(PendingMap::iterator at) {
  if (mutation_ == TANDEM_MUTATION_LATE_FAULT) late_.push_back({at->second, last_id_ + 1, kLate});
  else if (!write_record(at->second, last_id_ + 1)) return false;
  pending_.announced(at, ++last_id_);
  return true;
}

bool FaultUnit::write_record(const PendingAccess& pending, uint64_t id) {
  tandem_fault_record record{};
  record.va = pending.first.va.align_down(TANDEM_PAGE_BYTES).value;
  record.pasid = pending.first.pasid.value;
  record.queue = pending.first.queue.value;
  record.access = static_cast<uint8_t>(pending.first.access);
  record.reason = static_cast<uint8_t>(pending.reason);
  record.client = static_cast<uint8_t>(pending.first.client);
  record.unit = pending.first.unit;
  record.flags = pending.first.resident_only ? TANDEM_FAULT_RESIDENT_ONLY : 0;
  record.pc = pending.first.pc;
  record.time_ns = pending.time_ns;
  record.id = id;
  const Dma dma = memory_.dma_write(ring_.slot(ring_.put, sizeof record), &record, sizeof record);
  if (dma == Dma::NoMemory) errors_.stop(TANDEM_DEVICE_RING_DMA, "the fault buffer is not in memory");
  if (dma != Dma::Done) return false;
  ++ring_.put;
  ++counters_[TANDEM_COUNTER_FAULTS];
  trace_fault(pending, id);
  if (Checker* check = memory_.checker()) check->recorded(pending.first, pending.moment);
  unannounced_ = true;
  return true;
}

void FaultUnit::write_late_records() {
  for (LateRecord& record : late_) --record.steps;
  while (!late_.empty() && late_.front().steps == 0) {
    write_record(late_.front().pending, late_.front().id);
    late_.pop_front();
  }
}

bool FaultUnit::announce() {
  if (!late_.empty()) [[unlikely]] write_late_records();
  if (std::exchange(unannounced_, false)) {
    status_.fault_put(ring_.put);
    interrupts_.raise(TANDEM_VECTOR_FAULT);
  }
  return !late_.empty();
}

void FaultUnit::forget(TranslationWaiter& waiter) { pending_.forget(waiter); }

uint32_t FaultUnit::replay(Pasid pasid, uint64_t seqno) {
  count_replays(pasid);
  uint32_t released = 0;
  auto at = pending_.first_of(pasid);
  if (mutation_ == TANDEM_MUTATION_REPLAY_LOST && pending_.in_space(at, pasid)) ++at;
  while (pending_.in_space(at, pasid)) {
    const WaitingAccesses waiters = pending_.take(at++);
    tell_ready(waiters);
    released += static_cast<uint32_t>(waiters.size());
  }
  ++counters_[TANDEM_COUNTER_REPLAYS];
  if (Checker* check = memory_.checker()) {
    size_t left = 0;
    for (at = pending_.first_of(pasid); pending_.in_space(at, pasid); ++at) ++left;
    check->replayed(pasid, seqno, released, left);
  }
  return released;
}

uint32_t FaultUnit::cancel(Pasid pasid, QueueId queue, Gva page, QueueError error) {
  uint32_t failed = 0;
  for (auto at = pending_.first_of(pasid, page); pending_.in_space(at, pasid) && at->first.page == page.value;) {
    const Gva va = at->second.first.va;
    const WaitingAccesses cancelled = pending_.take(at++, queue);
    tell_failed(cancelled, error, va);
    failed += static_cast<uint32_t>(cancelled.size());
  }
  ++counters_[TANDEM_COUNTER_CANCELS];
  return failed;
}

uint32_t FaultUnit::skip(Pasid pasid, Gva start, Gva end, Access access) {
  uint32_t skipped = 0;
  for (auto at = pending_.first_of(pasid, start); pending_.in_space(at, pasid) && at->first.page < end.value;) {
    const auto present = at++;
    const AccessKey key = present->first;
    if (!key.resident_only || key.access != access) continue;
    const WaitingAccesses waiters = pending_.take(present);
    if (Checker* check = memory_.checker()) check->cancelled(pasid, gva(key.page));
    tell_skipped(waiters, gva(key.page), access);
    skipped += static_cast<uint32_t>(waiters.size());
  }
  return skipped;
}

// A count lives from replay to replay: an access that does not wait at a replay succeeded since the last one.
void FaultUnit::count_replays(Pasid pasid) {
  if (!retries_.any()) return;
  retries_.forget_if([&](const AccessKey& access, QueueId queue) {
    if (access.pasid != pasid.value) return false;
    const auto pending = pending_.find(access);
    return pending == pending_.end() || std::none_of(pending->second.waiters.begin(), pending->second.waiters.end(),
                                                     [&](const WaitingAccess& waiting) { return waiting.queue == queue; });
  });
  for (auto at = pending_.first_of(pasid); pending_.in_space(at, pasid); ++at) retries_.count(at->first, at->second.waiters);
}

void FaultUnit::address_space_gone(Pasid pasid) { pending_.drop(pasid); }

void FaultUnit::reset() {
  ring_ = {};
  pending_.clear();
  last_id_ = 0;
  unannounced_ = false;
  held_ = false;
  late_.clear();
}

void FaultUnit::trace_fault(const PendingAccess& pending, uint64_t id) const {
  if (!trace_.on()) return;
  tandem_trace_record record = shared_record(TANDEM_TRACE_FAULT, pending.first.pasid);
  if (pending.first.client == TANDEM_CLIENT_COMPUTE) record.unit = pending.first.unit;
  record.queue = pending.first.queue.value;
  record.va = pending.first.va.value;
  record.detail = static_cast<uint32_t>(pending.first.access) | static_cast<uint32_t>(pending.reason) << 8 |
                  static_cast<uint32_t>(pending.first.client) << 16;
  record.seqno = id;
  record.a = pending.first.pc;
  record.b = id == 0;
  trace_.emit(record);
}

std::vector<FaultUnit::View> FaultUnit::view() const {
  std::vector<View> faults;
  for (const auto& [key, pending] : pending_.all())
    faults.push_back({Pasid{{key.pasid}}, gva(key.page), key.access, pending.reason, pending.ticket, pending.waiters.size()});
  return faults;
}

}  // namespace tandem
