// SPDX-License-Identifier: GPL-2.0-or-later
// Step "no translation" where the IOMMU walks the process's page table: page requests (PCI Express, 10.4) instead of fault records.
//
//   raise -> pending (one for each page and access), in order -> send(), once a scheduler step: what waits of one address space is
//   one group, as far as the number outstanding allows -> response:
//     SUCCESS  the waiters ask the ATC again; what still finds nothing is requested anew
//     INVALID  of one page: its waiters fail. Of several: each of them is requested again by itself, to find the bad one
//     FAILURE  all waiters fail; nothing is requested any more until the host allows it anew
//
// A group lasts until its response has come, whoever still waits for it: its number is not free before, and its address space
// cannot be unbound. Only a reset and the host's switching page requests off end it early.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/counters.h"
#include "base/host.h"
#include "fault/fault_sink.h"
#include "fault/pending_accesses.h"
#include "fault/retry_limits.h"
#include "mmu/address_spaces.h"
#include "trace/trace.h"

namespace tandem {

class PageRequests final : public FaultSink {
 public:
  PageRequests(const AddressSpaces& spaces, RetryLimits& retries, Counters& counters, const Trace& trace, const Host& host);

  // How many may be outstanding; 0: page requests are off, what waits fails, responses are not waited for. Any other number ends
  // the state after a FAILURE.
  void set_allowance(uint32_t requests);

  std::optional<QueueError> raise(const TranslationRequest& request, tandem_fault_reason reason,
                                  TranslationWaiter& waiter) override;
  void forget(TranslationWaiter& waiter) override { pending_.forget(waiter); }

  // At the end of a scheduler step: as many as may be.
  void send();
  bool can_send() const;
  bool knows(uint32_t bus_pasid, uint32_t group) const;
  // False: no such group.
  bool respond(uint32_t bus_pasid, uint32_t group, uint32_t code);
  // The access was translated by this entry: what was counted for the retry limit is over.
  void succeeded(const TlbEntry& entry);

  // Nobody waits any more, nothing will be sent; groups that were sent go on.
  void address_space_gone(Pasid pasid) { pending_.drop(pasid); }
  uint32_t outstanding(Pasid pasid) const;
  uint32_t outstanding() const { return outstanding_; }
  uint32_t last_number() const { return last_number_; }
  void restore(uint32_t last_number) { last_number_ = last_number; }
  uint32_t allowance() const { return allowance_; }
  bool usable() const { return allowance_ && !failed_; }
  size_t pending() const { return pending_.all().size(); }
  void reset();

  struct View {
    Pasid pasid;
    Gva page;
    Access access;
    bool sent;
    uint32_t group;
    size_t waiters;
  };
  std::vector<View> view() const;

 private:
  struct Group {
    Pasid pasid;
    uint32_t bus_pasid = 0;
    uint64_t last_sent_ns = 0;
    std::vector<AccessKey> pages;
  };
  using Groups = std::map<uint32_t, Group>;
  using PendingMap = PendingAccesses::Map;

  std::vector<AccessKey> next_group() const;
  void send_group(const std::vector<AccessKey>& keys);
  void send_request(uint32_t number, const Group& group, const AccessKey& key, bool last);
  uint32_t free_number();
  void end(Groups::iterator group);
  uint32_t serve(const Group& group, uint32_t code);
  uint32_t release(PendingMap::iterator pending);
  uint32_t refuse(PendingMap::iterator pending);
  void request_alone(PendingMap::iterator pending);
  uint32_t fail_all();
  void trace_request(uint32_t number, const Group& group, const PendingAccess& pending, bool last) const;
  void trace_response(uint32_t number, const Group& group, uint32_t code, uint32_t accesses) const;

  const AddressSpaces& spaces_;
  RetryLimits& retries_;
  Counters& counters_;
  const Trace& trace_;
  const Host& host_;

  PendingAccesses pending_;  // ticket: 1 + the group's number
  std::map<AccessKey, uint32_t> group_of_;  // of what was requested and is not answered
  Groups groups_;                           // outstanding ones, by number
  uint32_t outstanding_ = 0;                // requests in them
  uint32_t last_number_ = 0;                // goes round, over resets too: a late response fits nothing for a while
  uint32_t allowance_ = 0;
  bool failed_ = false;
};

}  // namespace tandem
