// SPDX-License-Identifier: GPL-2.0-or-later
// The retry limit of queues.
#include "fault/retry_limits.h"

#include <algorithm>

namespace tandem {

void RetryLimits::set(QueueId queue, uint32_t limit) {
  if (limit) limits_[queue.value] = limit;
  else limits_.erase(queue.value);
}

bool RetryLimits::reached(const TranslationRequest& request) const {
  if (!any()) return false;
  const auto limit = limits_.find(request.queue.value);
  if (limit == limits_.end()) return false;
  const auto retries = retries_.find({request.queue.value, AccessKey::of(request)});
  return retries != retries_.end() && retries->second >= limit->second;
}

void RetryLimits::count(const AccessKey& key, const WaitingAccesses& waiters) {
  if (!any()) return;
  std::vector<uint32_t> counted;
  for (const WaitingAccess& waiting : waiters) {
    const uint32_t queue = waiting.queue.value;
    if (!limits_.contains(queue) || std::find(counted.begin(), counted.end(), queue) != counted.end()) continue;
    counted.push_back(queue);
    ++retries_[{queue, key}];
  }
}

void RetryLimits::queue_gone(QueueId queue) {
  limits_.erase(queue.value);
  forget_if([&](const AccessKey&, QueueId of) { return of == queue; });
}

void RetryLimits::address_space_gone(Pasid pasid) {
  forget_if([&](const AccessKey& access, QueueId) { return access.pasid == pasid.value; });
}

void RetryLimits::reset() {
  limits_.clear();
  retries_.clear();
}

}  // namespace tandem
