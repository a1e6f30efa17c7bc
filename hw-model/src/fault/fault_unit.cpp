// SPDX-License-Identifier: GPL-2.0-or-later
// Step "no translation: fault record": the table of pending faults, the fault buffer, replay and cancel.
#include "fault/fault_unit.h"

#include <algorithm>
#include <utility>

namespace tandem {

FaultUnit::FaultUnit(const MemoryPort& memory, StatusPage& status, Interrupts& interrupts, ErrorSink& errors,
                     Counters& counters, const Trace& trace, const Host& host)
    : memory_(memory),
      status_(status),
      interrupts_(interrupts),
      errors_(errors),
      counters_(counters),
      trace_(trace),
      host_(host) {}

FaultUnit::Key FaultUnit::key_of(const TranslationRequest& request) {
  return {request.pasid.value, request.va.align_down(TANDEM_PAGE_BYTES).value, request.access};
}

std::optional<QueueError> FaultUnit::raise(const TranslationRequest& request, tandem_fault_reason reason,
                                           TranslationWaiter& waiter) {
  if (retry_limit_reached(request)) return TANDEM_QUEUE_RETRY_LIMIT;
  const Key key = key_of(request);
  const auto [at, fresh] = pending_.try_emplace(key);
  Pending& pending = at->second;
  const auto same = [&](const Waiting& other) { return other.waiter == &waiter; };
  if (std::none_of(pending.waiters.begin(), pending.waiters.end(), same)) {
    pending.waiters.push_back({&waiter, request.queue});
    keys_of_[&waiter].push_back(key);
  }
  if (!fresh) return {};

  pending.first = request;
  pending.reason = reason;
  pending.time_ns = host_.now();
  if (unrecorded_.empty() && room()) {
    write_record(pending);
  } else {
    unrecorded_.push_back(key);
    if (!held_) ++counters_[TANDEM_COUNTER_FAULT_OVERFLOWS];
    trace_fault(pending, true);
  }
  return {};
}

bool FaultUnit::room() const { return !held_ && !ring_.full(); }

bool FaultUnit::flush() {
  bool wrote = false;
  while (!unrecorded_.empty() && room()) {
    const auto pending = pending_.find(unrecorded_.front());
    unrecorded_.pop_front();
    write_record(pending->second);
    wrote = true;
  }
  return wrote;
}

void FaultUnit::write_record(Pending& pending) {
  pending.id = ++last_id_;
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
  record.id = pending.id;
  if (!memory_.dma_write(ring_.slot(ring_.put, sizeof record), &record, sizeof record)) {
    errors_.stop(TANDEM_DEVICE_RING_DMA, "the fault buffer is not in memory");
    return;
  }
  ++ring_.put;
  ++counters_[TANDEM_COUNTER_FAULTS];
  trace_fault(pending, false);
  unannounced_ = true;
}

void FaultUnit::announce() {
  if (!std::exchange(unannounced_, false)) return;
  status_.fault_put(ring_.put);
  interrupts_.raise(TANDEM_VECTOR_FAULT);
}

void FaultUnit::forget(TranslationWaiter& waiter) {
  const auto keys = keys_of_.find(&waiter);
  if (keys == keys_of_.end()) return;
  for (const Key& key : keys->second) {
    const auto pending = pending_.find(key);
    if (pending == pending_.end()) continue;
    std::erase_if(pending->second.waiters, [&](const Waiting& waiting) { return waiting.waiter == &waiter; });
    if (pending->second.waiters.empty()) erase(pending);
  }
  keys_of_.erase(keys);
}

void FaultUnit::drop_waiter_key(TranslationWaiter* waiter, const Key& key) {
  const auto keys = keys_of_.find(waiter);
  if (keys == keys_of_.end()) return;
  std::erase(keys->second, key);
  if (keys->second.empty()) keys_of_.erase(keys);
}

void FaultUnit::erase(PendingMap::iterator pending) {
  if (pending->second.id == 0) std::erase(unrecorded_, pending->first);
  pending_.erase(pending);
}

// Ends the fault; those who waited for it are the caller's.
std::vector<FaultUnit::Waiting> FaultUnit::take(PendingMap::iterator pending) {
  std::vector<Waiting> waiters = std::move(pending->second.waiters);
  for (const Waiting& waiting : waiters) drop_waiter_key(waiting.waiter, pending->first);
  erase(pending);
  return waiters;
}

uint32_t FaultUnit::replay(Pasid pasid) {
  count_replays(pasid);
  uint32_t released = 0;
  for (auto at = pending_.lower_bound({pasid.value, 0, Access{}}); at != pending_.end() && at->first.pasid == pasid.value;) {
    const std::vector<Waiting> waiters = take(at++);
    for (const Waiting& waiting : waiters) waiting.waiter->translation_ready();
    released += static_cast<uint32_t>(waiters.size());
  }
  ++counters_[TANDEM_COUNTER_REPLAYS];
  return released;
}

uint32_t FaultUnit::cancel(Pasid pasid, QueueId queue, Gva page, QueueError error) {
  uint32_t failed = 0;
  const auto first = pending_.lower_bound({pasid.value, page.value, Access{}});
  for (auto at = first; at != pending_.end() && at->first.pasid == pasid.value && at->first.page == page.value;) {
    const auto pending = at++;
    auto& waiters = pending->second.waiters;
    std::vector<Waiting> cancelled;
    std::copy_if(waiters.begin(), waiters.end(), std::back_inserter(cancelled),
                 [&](const Waiting& waiting) { return waiting.queue == queue; });
    std::erase_if(waiters, [&](const Waiting& waiting) { return waiting.queue == queue; });
    for (const Waiting& waiting : cancelled) drop_waiter_key(waiting.waiter, pending->first);
    const Gva va = pending->second.first.va;
    if (waiters.empty()) erase(pending);
    for (const Waiting& waiting : cancelled) waiting.waiter->translation_failed(error, va);
    failed += static_cast<uint32_t>(cancelled.size());
  }
  ++counters_[TANDEM_COUNTER_CANCELS];
  return failed;
}

void FaultUnit::set_retry_limit(QueueId queue, uint32_t limit) {
  if (limit) retry_limits_[queue.value] = limit;
  else retry_limits_.erase(queue.value);
}

bool FaultUnit::retry_limit_reached(const TranslationRequest& request) const {
  if (retry_limits_.empty()) return false;
  const auto limit = retry_limits_.find(request.queue.value);
  if (limit == retry_limits_.end()) return false;
  const auto retries = retries_.find({request.queue.value, key_of(request)});
  return retries != retries_.end() && retries->second >= limit->second;
}

// A count lives from replay to replay: an access that does not wait at a replay succeeded since the last one.
void FaultUnit::count_replays(Pasid pasid) {
  if (retry_limits_.empty()) return;
  std::erase_if(retries_, [&](const auto& retry) {
    if (retry.first.fault.pasid != pasid.value) return false;
    const auto pending = pending_.find(retry.first.fault);
    return pending == pending_.end() ||
           std::none_of(pending->second.waiters.begin(), pending->second.waiters.end(),
                        [&](const Waiting& waiting) { return waiting.queue.value == retry.first.queue; });
  });
  for (auto at = pending_.lower_bound({pasid.value, 0, Access{}}); at != pending_.end() && at->first.pasid == pasid.value; ++at) {
    std::vector<uint32_t> counted;
    for (const Waiting& waiting : at->second.waiters) {
      const uint32_t queue = waiting.queue.value;
      if (!retry_limits_.contains(queue) || std::find(counted.begin(), counted.end(), queue) != counted.end()) continue;
      counted.push_back(queue);
      ++retries_[{queue, at->first}];
    }
  }
}

void FaultUnit::queue_gone(QueueId queue) {
  retry_limits_.erase(queue.value);
  std::erase_if(retries_, [&](const auto& retry) { return retry.first.queue == queue.value; });
}

void FaultUnit::address_space_gone(Pasid pasid) {
  for (auto at = pending_.lower_bound({pasid.value, 0, Access{}}); at != pending_.end() && at->first.pasid == pasid.value;)
    take(at++);
  std::erase_if(retries_, [&](const auto& retry) { return retry.first.fault.pasid == pasid.value; });
}

void FaultUnit::reset() {
  ring_ = {};
  pending_.clear();
  unrecorded_.clear();
  keys_of_.clear();
  retry_limits_.clear();
  retries_.clear();
  last_id_ = 0;
  unannounced_ = false;
  held_ = false;
}

void FaultUnit::trace_fault(const Pending& pending, bool waits_for_room) const {
  if (!trace_.on()) return;
  tandem_trace_record record = shared_record(TANDEM_TRACE_FAULT, pending.first.pasid);
  if (pending.first.client == TANDEM_CLIENT_COMPUTE) record.unit = pending.first.unit;
  record.queue = pending.first.queue.value;
  record.va = pending.first.va.value;
  record.detail = static_cast<uint32_t>(pending.first.access) | static_cast<uint32_t>(pending.reason) << 8 |
                  static_cast<uint32_t>(pending.first.client) << 16;
  record.seqno = pending.id;
  record.a = pending.first.pc;
  record.b = waits_for_room;
  trace_.emit(record);
}

std::vector<FaultUnit::View> FaultUnit::view() const {
  std::vector<View> faults;
  for (const auto& [key, pending] : pending_)
    faults.push_back({Pasid{{key.pasid}}, gva(key.page), key.access, pending.reason, pending.id, pending.waiters.size()});
  return faults;
}

}  // namespace tandem
