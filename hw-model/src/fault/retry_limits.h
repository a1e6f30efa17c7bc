// SPDX-License-Identifier: GPL-2.0-or-later
// The retry limit of queues: after so many attempts of one access that were all said to be served, and were not, the queue
// fails, as real GPUs do. Attempts are replays for the fault unit, responses of the IOMMU for page requests.
#pragma once

#include <map>

#include "fault/pending_accesses.h"

namespace tandem {

class RetryLimits {
 public:
  // 0: no limit. Queues start without.
  void set(QueueId queue, uint32_t limit);
  void queue_gone(QueueId queue);
  void address_space_gone(Pasid pasid);
  void reset();

  bool any() const { return !limits_.empty(); }
  bool reached(const TranslationRequest& request) const;
  // The accesses that wait, of queues that have a limit, are to try once more.
  void count(const AccessKey& key, const WaitingAccesses& waiters);
  // Accesses for which the test is true succeeded: if they wait again, it is something new. Test: (AccessKey, queue) -> bool.
  template <typename Test>
  void forget_if(Test test) {
    std::erase_if(retries_, [&](const auto& retry) { return test(retry.first.access, queue_id(retry.first.queue)); });
  }

 private:
  struct Key {
    uint32_t queue;
    AccessKey access;
    auto operator<=>(const Key&) const = default;
  };
  std::map<uint32_t, uint32_t> limits_;
  std::map<Key, uint32_t> retries_;
};

}  // namespace tandem
