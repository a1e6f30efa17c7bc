// SPDX-License-Identifier: GPL-2.0-or-later
// The table of accesses that wait for somebody to provide a page: one line for each (address space, page, access), however many
// wavefronts, queues and copies wait for it. The fault unit has one (it waits for the driver), the page requests another (they wait
// for the IOMMU's page requests to be answered).
//
// Each begins in the queue of those that nobody has been told of: the buffer may be full, too many page requests outstanding.
#pragma once

#include <deque>
#include <map>
#include <unordered_map>
#include <vector>

#include "base/host.h"
#include "mmu/translation.h"

namespace tandem {

// What an access waits for.
struct AccessKey {
  uint32_t pasid;
  uint64_t page;
  Access access;
  bool resident_only = false;
  auto operator<=>(const AccessKey&) const = default;

  static AccessKey of(const TranslationRequest& request) {
    return {request.pasid.value, request.va.align_down(TANDEM_PAGE_BYTES).value, request.access, request.resident_only};
  }
};

struct WaitingAccess {
  TranslationWaiter* waiter;
  QueueId queue;
};
using WaitingAccesses = std::vector<WaitingAccess>;

struct PendingAccess {
  TranslationRequest first;
  tandem_fault_reason reason = TANDEM_FAULT_NOT_PRESENT;
  uint64_t time_ns = 0;  // when the first one came
  uint64_t moment = 0;   // the checker's, of then
  uint64_t ticket = 0;   // given by announced(): the number by which it was told; 0: not yet
  bool alone = false;    // to be told by itself, not together with others
  WaitingAccesses waiters;
};

class PendingAccesses {
 public:
  using Map = std::map<AccessKey, PendingAccess>;

  // The access waits; a waiter that does already is not noted twice. fresh: nobody waited for this before. It is untold then.
  struct Added {
    Map::iterator at;
    bool fresh;
  };
  Added add(const TranslationRequest& request, tandem_fault_reason reason, TranslationWaiter& waiter, const Host& host);
  // The waiter goes away, and with it what only it waited for.
  void forget(TranslationWaiter& waiter);
  // It is over; those who waited are the caller's.
  WaitingAccesses take(Map::iterator at);
  // The same for the waiters of one queue.
  WaitingAccesses take(Map::iterator at, QueueId queue);
  // Nobody is told.
  void drop(Pasid pasid);
  void clear();

  // Those that nobody was told of, in order.
  bool untold() const { return !untold_.empty(); }
  const std::deque<AccessKey>& untold_keys() const { return untold_; }
  // Somebody was told, under this number.
  void announced(Map::iterator at, uint64_t ticket);
  // Back into the queue, as its last.
  void untell(Map::iterator at);

  // Of one address space: [first, end of it), see in_space().
  Map::iterator first_of(Pasid pasid) { return pending_.lower_bound({pasid.value, 0, Access{}}); }
  Map::iterator first_of(Pasid pasid, Gva page) { return pending_.lower_bound({pasid.value, page.value, Access{}}); }
  bool in_space(Map::iterator at, Pasid pasid) const { return at != pending_.end() && at->first.pasid == pasid.value; }
  Map::iterator find(const AccessKey& key) { return pending_.find(key); }
  Map::iterator begin() { return pending_.begin(); }
  Map::iterator end() { return pending_.end(); }
  const Map& all() const { return pending_; }

 private:
  void drop_waiter_key(TranslationWaiter* waiter, const AccessKey& key);
  void erase(Map::iterator at);

  Map pending_;
  std::deque<AccessKey> untold_;
  std::unordered_map<TranslationWaiter*, std::vector<AccessKey>> keys_of_;
};

// Told "ask again", that it failed, or that it is skipped.
void tell_ready(const WaitingAccesses& waiters);
void tell_failed(const WaitingAccesses& waiters, QueueError error, Gva va);
void tell_skipped(const WaitingAccesses& waiters, Gva page, Access access);

}  // namespace tandem
