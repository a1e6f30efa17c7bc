// SPDX-License-Identifier: GPL-2.0-or-later
// Step "no translation: fault record": the fault buffer, replay and cancel.
#include "fault/fault_unit.h"

#include <algorithm>
#include <utility>

namespace tandem {

namespace {
constexpr uint64_t kSmallBuffer = 16;  // at most, with hostile timing
}  // namespace

FaultUnit::FaultUnit(RetryLimits& retries, const MemoryPort& memory, StatusPage& status, Interrupts& interrupts,
                     ErrorSink& errors, Counters& counters, const Trace& trace, const Host& host, Hostile& hostile)
    : retries_(retries),
      memory_(memory),
      status_(status),
      interrupts_(interrupts),
      errors_(errors),
      counters_(counters),
      trace_(trace),
      host_(host),
      hostile_(hostile),
      most_records_(hostile.on() ? static_cast<uint32_t>(hostile.part(kSmallBuffer)) : ~0u) {}

std::optional<QueueError> FaultUnit::raise(const TranslationRequest& request, tandem_fault_reason reason,
                                           TranslationWaiter& waiter) {
  if (retries_.reached(request)) return TANDEM_QUEUE_RETRY_LIMIT;
  const bool others_wait = pending_.untold();
  const auto [pending, fresh] = pending_.add(request, reason, waiter, host_);
  if (!fresh) return {};
  if (others_wait || !room() || !write_record(pending)) {
    if (!held_) ++counters_[TANDEM_COUNTER_FAULT_OVERFLOWS];
    trace_fault(pending->second, true);
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
  const PendingAccess& pending = at->second;
  tandem_fault_record record{};
  record.va = pending.first.va.align_down(TANDEM_PAGE_BYTES).value;
  record.pasid = pending.first.pasid.value;
  record.queue = pending.first.queue.value;
  record.access = static_cast<uint8_t>(pending.first.access);
  record.reason = static_cast<uint8_t>(pending.reason);
  record.client = static_cast<uint8_t>(pending.first.client);
  record.unit = pending.first.unit;
  record.pc = pending.first.pc;
  record.time_ns = pending.time_ns;
  record.id = last_id_ + 1;
  const Dma dma = memory_.dma_write(ring_.slot(ring_.put, sizeof record), &record, sizeof record);
  if (dma == Dma::NoMemory) errors_.stop(TANDEM_DEVICE_RING_DMA, "the fault buffer is not in memory");
  if (dma != Dma::Done) return false;
  pending_.announced(at, ++last_id_);
  ++ring_.put;
  ++counters_[TANDEM_COUNTER_FAULTS];
  trace_fault(pending, false);
  unannounced_ = true;
  return true;
}

void FaultUnit::announce() {
  if (!std::exchange(unannounced_, false)) return;
  status_.fault_put(ring_.put);
  interrupts_.raise(TANDEM_VECTOR_FAULT);
}

void FaultUnit::forget(TranslationWaiter& waiter) { pending_.forget(waiter); }

uint32_t FaultUnit::replay(Pasid pasid) {
  count_replays(pasid);
  uint32_t released = 0;
  for (auto at = pending_.first_of(pasid); pending_.in_space(at, pasid);) {
    const WaitingAccesses waiters = pending_.take(at++);
    tell_ready(waiters);
    released += static_cast<uint32_t>(waiters.size());
  }
  ++counters_[TANDEM_COUNTER_REPLAYS];
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
}

void FaultUnit::trace_fault(const PendingAccess& pending, bool waits_for_room) const {
  if (!trace_.on()) return;
  tandem_trace_record record = shared_record(TANDEM_TRACE_FAULT, pending.first.pasid);
  if (pending.first.client == TANDEM_CLIENT_COMPUTE) record.unit = pending.first.unit;
  record.queue = pending.first.queue.value;
  record.va = pending.first.va.value;
  record.detail = static_cast<uint32_t>(pending.first.access) | static_cast<uint32_t>(pending.reason) << 8 |
                  static_cast<uint32_t>(pending.first.client) << 16;
  record.seqno = pending.ticket;
  record.a = pending.first.pc;
  record.b = waits_for_room;
  trace_.emit(record);
}

std::vector<FaultUnit::View> FaultUnit::view() const {
  std::vector<View> faults;
  for (const auto& [key, pending] : pending_.all())
    faults.push_back({Pasid{{key.pasid}}, gva(key.page), key.access, pending.reason, pending.ticket, pending.waiters.size()});
  return faults;
}

}  // namespace tandem
