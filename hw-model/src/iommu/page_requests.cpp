// SPDX-License-Identifier: GPL-2.0-or-later
// Page requests: groups on their way out, responses on their way back.
#include "iommu/page_requests.h"

namespace tandem {

namespace {

constexpr uint32_t kGroups = 512;  // page request group indices have 9 bits

// A page that is there and does not permit the access, or no page.
QueueError refusal(tandem_fault_reason reason) {
  return reason == TANDEM_FAULT_PERMISSION ? TANDEM_QUEUE_PERMISSION_FAULT : TANDEM_QUEUE_ADDRESS_FAULT;
}

}  // namespace

PageRequests::PageRequests(const AddressSpaces& spaces, RetryLimits& retries, Counters& counters, const Trace& trace,
                           const Host& host)
    : spaces_(spaces), retries_(retries), counters_(counters), trace_(trace), host_(host) {}

void PageRequests::set_allowance(uint32_t requests) {
  allowance_ = requests;
  failed_ = false;
  if (requests) return;
  fail_all();
  groups_.clear();
  group_of_.clear();
  outstanding_ = 0;
}

std::optional<QueueError> PageRequests::raise(const TranslationRequest& request, tandem_fault_reason reason,
                                              TranslationWaiter& waiter) {
  if (!usable()) return TANDEM_QUEUE_SERVICE_FAILED;
  if (retries_.reached(request)) return TANDEM_QUEUE_RETRY_LIMIT;
  const auto [pending, fresh] = pending_.add(request, reason, waiter, host_);
  if (!fresh) return {};
  // Those who waited for it have gone; its response is still to come.
  if (const auto group = group_of_.find(pending->first); group != group_of_.end())
    pending_.announced(pending, group->second + 1);
  return {};
}

// ---- requests ----

void PageRequests::send() {
  while (can_send()) send_group(next_group());
}

bool PageRequests::can_send() const {
  return usable() && pending_.untold() && outstanding_ < allowance_ && groups_.size() < kGroups;
}

std::vector<AccessKey> PageRequests::next_group() const {
  const AccessKey first = pending_.untold_keys().front();
  if (pending_.all().at(first).alone) return {first};
  const size_t room = allowance_ - outstanding_;
  std::vector<AccessKey> group;
  for (const AccessKey& key : pending_.untold_keys()) {
    if (key.pasid != first.pasid || pending_.all().at(key).alone) continue;
    group.push_back(key);
    if (group.size() == room) break;
  }
  return group;
}

void PageRequests::send_group(const std::vector<AccessKey>& keys) {
  const Pasid pasid{{keys.front().pasid}};
  const uint32_t number = free_number();
  Group& group = groups_[number];
  group = {.pasid = pasid, .bus_pasid = spaces_.find(pasid)->bus_pasid, .last_sent_ns = host_.now(), .pages = keys};
  outstanding_ += static_cast<uint32_t>(keys.size());
  for (const AccessKey& key : keys) send_request(number, group, key, &key == &keys.back());
}

void PageRequests::send_request(uint32_t number, const Group& group, const AccessKey& key, bool last) {
  const auto pending = pending_.find(key);
  pending_.announced(pending, number + 1);
  group_of_[key] = number;
  ++counters_[TANDEM_COUNTER_PAGE_REQUESTS];
  if (trace_.on()) trace_request(number, group, pending->second, last);
  const bool write = key.access == Access::Write || key.access == Access::Atomic;
  host_.page_request({.address = key.page,
                      .pasid = group.bus_pasid,
                      .group = number,
                      .read = key.access != Access::Write,
                      .write = write,
                      .last = last});
}

uint32_t PageRequests::free_number() {
  do last_number_ = (last_number_ + 1) % kGroups;
  while (groups_.contains(last_number_));
  return last_number_;
}

// ---- responses ----

bool PageRequests::knows(uint32_t bus_pasid, uint32_t group) const {
  const auto at = groups_.find(group);
  return at != groups_.end() && at->second.bus_pasid == bus_pasid;
}

bool PageRequests::respond(uint32_t bus_pasid, uint32_t group, uint32_t code) {
  if (!knows(bus_pasid, group)) {
    host_.guest_error("a response to page request group %u of PASID %#x, which is not outstanding", group, bus_pasid);
    return false;
  }
  const auto at = groups_.find(group);
  const Group answered = at->second;
  end(at);
  const uint32_t accesses = serve(answered, code);
  if (trace_.on()) trace_response(group, answered, code, accesses);
  return true;
}

void PageRequests::end(Groups::iterator group) {
  for (const AccessKey& key : group->second.pages) group_of_.erase(key);
  outstanding_ -= static_cast<uint32_t>(group->second.pages.size());
  groups_.erase(group);
}

// Returns the number of accesses that wait no more.
uint32_t PageRequests::serve(const Group& group, uint32_t code) {
  if (code != TANDEM_PAGE_RESPONSE_SUCCESS && code != TANDEM_PAGE_RESPONSE_INVALID) {
    failed_ = true;
    return fail_all();
  }
  uint32_t accesses = 0;
  for (const AccessKey& key : group.pages) {
    const auto pending = pending_.find(key);
    if (pending == pending_.end()) continue;
    if (code == TANDEM_PAGE_RESPONSE_SUCCESS) accesses += release(pending);
    else if (group.pages.size() == 1) accesses += refuse(pending);
    else request_alone(pending);
  }
  return accesses;
}

uint32_t PageRequests::release(PendingMap::iterator pending) {
  retries_.count(pending->first, pending->second.waiters);
  const WaitingAccesses waiters = pending_.take(pending);
  tell_ready(waiters);
  return static_cast<uint32_t>(waiters.size());
}

uint32_t PageRequests::refuse(PendingMap::iterator pending) {
  const QueueError error = refusal(pending->second.reason);
  const Gva va = pending->second.first.va;
  const WaitingAccesses waiters = pending_.take(pending);
  tell_failed(waiters, error, va);
  return static_cast<uint32_t>(waiters.size());
}

void PageRequests::request_alone(PendingMap::iterator pending) {
  pending->second.alone = true;
  pending_.untell(pending);
}

uint32_t PageRequests::fail_all() {
  uint32_t failed = 0;
  while (pending_.begin() != pending_.end()) {
    const Gva va = pending_.begin()->second.first.va;
    const WaitingAccesses waiters = pending_.take(pending_.begin());
    tell_failed(waiters, TANDEM_QUEUE_SERVICE_FAILED, va);
    failed += static_cast<uint32_t>(waiters.size());
  }
  return failed;
}

void PageRequests::succeeded(const TlbEntry& entry) {
  if (!retries_.any()) return;
  retries_.forget_if([&](const AccessKey& access, QueueId) {
    return access.pasid == entry.pasid.value && entry.covers(gva(access.page)) && entry.permits(access.access);
  });
}

uint32_t PageRequests::outstanding(Pasid pasid) const {
  uint32_t requests = 0;
  for (const auto& [number, group] : groups_)
    if (group.pasid == pasid) requests += static_cast<uint32_t>(group.pages.size());
  return requests;
}

void PageRequests::reset() {
  pending_.clear();
  groups_.clear();
  group_of_.clear();
  outstanding_ = 0;
}

// ---- trace and monitor ----

void PageRequests::trace_request(uint32_t number, const Group& group, const PendingAccess& pending, bool last) const {
  tandem_trace_record record = shared_record(TANDEM_TRACE_PAGE_REQUEST, group.pasid);
  record.queue = pending.first.queue.value;
  record.va = pending.first.va.align_down(TANDEM_PAGE_BYTES).value;
  record.detail = static_cast<uint32_t>(pending.first.access) | uint32_t{last} << 8;
  record.seqno = group.bus_pasid | uint64_t{number} << 32;
  trace_.emit(record);
}

void PageRequests::trace_response(uint32_t number, const Group& group, uint32_t code, uint32_t accesses) const {
  tandem_trace_record record = shared_record(TANDEM_TRACE_PAGE_RESPONSE, group.pasid);
  record.detail = code;
  record.seqno = group.bus_pasid | uint64_t{number} << 32;
  record.a = accesses;
  record.b = host_.now() - group.last_sent_ns;
  trace_.emit(record);
}

std::vector<PageRequests::View> PageRequests::view() const {
  std::vector<View> requests;
  for (const auto& [key, pending] : pending_.all())
    requests.push_back({Pasid{{key.pasid}}, gva(key.page), key.access, pending.ticket != 0,
                        pending.ticket ? static_cast<uint32_t>(pending.ticket - 1) : 0, pending.waiters.size()});
  return requests;
}

}  // namespace tandem
