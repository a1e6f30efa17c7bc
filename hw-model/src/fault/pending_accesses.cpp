// SPDX-License-Identifier: GPL-2.0-or-later
// The table of accesses that wait for somebody to provide a page.
#include "fault/pending_accesses.h"

#include <algorithm>
#include <utility>

namespace tandem {

PendingAccesses::Added PendingAccesses::add(const TranslationRequest& request, tandem_fault_reason reason,
                                            TranslationWaiter& waiter, const Host& host) {
  const AccessKey key = AccessKey::of(request);
  const auto [at, fresh] = pending_.try_emplace(key);
  PendingAccess& pending = at->second;
  const auto same = [&](const WaitingAccess& other) { return other.waiter == &waiter; };
  if (std::none_of(pending.waiters.begin(), pending.waiters.end(), same)) {
    pending.waiters.push_back({&waiter, request.queue});
    keys_of_[&waiter].push_back(key);
  }
  if (fresh) {
    pending.first = request;
    pending.reason = reason;
    pending.time_ns = host.now();
    untold_.push_back(key);
  }
  return {at, fresh};
}

void PendingAccesses::announced(Map::iterator at, uint64_t ticket) {
  if (at->second.ticket == 0) {
    // Mostly the first one.
    const auto untold = std::find(untold_.begin(), untold_.end(), at->first);
    if (untold != untold_.end()) untold_.erase(untold);
  }
  at->second.ticket = ticket;
}

void PendingAccesses::untell(Map::iterator at) {
  if (at->second.ticket == 0) return;
  at->second.ticket = 0;
  untold_.push_back(at->first);
}

void PendingAccesses::forget(TranslationWaiter& waiter) {
  const auto keys = keys_of_.find(&waiter);
  if (keys == keys_of_.end()) return;
  for (const AccessKey& key : keys->second) {
    const auto pending = pending_.find(key);
    if (pending == pending_.end()) continue;
    std::erase_if(pending->second.waiters, [&](const WaitingAccess& waiting) { return waiting.waiter == &waiter; });
    if (pending->second.waiters.empty()) erase(pending);
  }
  keys_of_.erase(keys);
}

void PendingAccesses::drop_waiter_key(TranslationWaiter* waiter, const AccessKey& key) {
  const auto keys = keys_of_.find(waiter);
  if (keys == keys_of_.end()) return;
  std::erase(keys->second, key);
  if (keys->second.empty()) keys_of_.erase(keys);
}

void PendingAccesses::erase(Map::iterator at) {
  if (at->second.ticket == 0) std::erase(untold_, at->first);
  pending_.erase(at);
}

WaitingAccesses PendingAccesses::take(Map::iterator at) {
  WaitingAccesses waiters = std::move(at->second.waiters);
  for (const WaitingAccess& waiting : waiters) drop_waiter_key(waiting.waiter, at->first);
  erase(at);
  return waiters;
}

WaitingAccesses PendingAccesses::take(Map::iterator at, QueueId queue) {
  WaitingAccesses& waiters = at->second.waiters;
  WaitingAccesses taken;
  const auto of_queue = [&](const WaitingAccess& waiting) { return waiting.queue == queue; };
  std::copy_if(waiters.begin(), waiters.end(), std::back_inserter(taken), of_queue);
  std::erase_if(waiters, of_queue);
  for (const WaitingAccess& waiting : taken) drop_waiter_key(waiting.waiter, at->first);
  if (waiters.empty()) erase(at);
  return taken;
}

void PendingAccesses::drop(Pasid pasid) {
  for (auto at = first_of(pasid); in_space(at, pasid);) take(at++);
}

void PendingAccesses::clear() {
  pending_.clear();
  untold_.clear();
  keys_of_.clear();
}

void tell_ready(const WaitingAccesses& waiters) {
  for (const WaitingAccess& waiting : waiters) waiting.waiter->translation_ready();
}

void tell_failed(const WaitingAccesses& waiters, QueueError error, Gva va) {
  for (const WaitingAccess& waiting : waiters) waiting.waiter->translation_failed(error, va);
}

void tell_skipped(const WaitingAccesses& waiters, Gva page, Access access) {
  for (const WaitingAccess& waiting : waiters) waiting.waiter->translation_skipped(page, access);
}

}  // namespace tandem
