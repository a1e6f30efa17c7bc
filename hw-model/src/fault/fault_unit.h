// SPDX-License-Identifier: GPL-2.0-or-later
// Step "no translation: fault record into the fault buffer, MSI-X" of the journey (tandem_fault.h).
//
//   raise -> pending (one for each page and access) -> record in the buffer, as soon as there is room
//         -> announce, once for all records of a scheduler step: PUT, MSI-X
//         -> REPLAY: all waiters of the address space ask again; what still finds nothing is recorded anew
//         -> CANCEL: the waiters of one queue for one page fail
//         -> SKIP: the waiters of resident-only queues for the pages of a range go on without them
#pragma once

#include <deque>
#include <vector>

#include "base/counters.h"
#include "base/host.h"
#include "base/hostile.h"
#include "base/ring.h"
#include "device/interrupts.h"
#include "device/status_page.h"
#include "fault/fault_sink.h"
#include "fault/pending_accesses.h"
#include "fault/retry_limits.h"
#include "trace/trace.h"

namespace tandem {

class FaultUnit final : public FaultSink {
 public:
  // mutation: a test's (tandem_mutation).
  FaultUnit(RetryLimits& retries, const MemoryPort& memory, StatusPage& status, Interrupts& interrupts, ErrorSink& errors,
            Counters& counters, const Trace& trace, const Host& host, Hostile& hostile, uint32_t mutation = 0);

  std::optional<QueueError> raise(const TranslationRequest& request, tandem_fault_reason reason,
                                  TranslationWaiter& waiter) override;
  void forget(TranslationWaiter& waiter) override;

  // Number of accesses released. seqno: of the command, for reports.
  uint32_t replay(Pasid pasid, uint64_t seqno = 0);
  // Number of accesses that failed.
  uint32_t cancel(Pasid pasid, QueueId queue, Gva page, QueueError error);
  // Number of accesses skipped: those of resident-only queues.
  uint32_t skip(Pasid pasid, Gva start, Gva end, Access access);

  void address_space_gone(Pasid pasid);

  // Writes the records that wait, as far as there is room. True if it wrote one.
  bool flush();
  // Publishes the records written since the last call, and interrupts once for all of them. True: there will be more.
  bool announce();
  bool unannounced() const { return unannounced_ || !late_.empty(); }
  void set_held(bool held) { held_ = held; }

  Ring& ring() { return ring_; }
  const Ring& ring() const { return ring_; }
  uint64_t last_id() const { return last_id_; }
  void restore(const Ring& ring, uint64_t last_id) {
    reset();
    ring_ = ring;
    last_id_ = last_id;
  }
  bool overflowed() const { return pending_.untold() && !held_; }
  size_t pending() const { return pending_.all().size(); }
  void reset();

  struct View {
    Pasid pasid;
    Gva page;
    Access access;
    tandem_fault_reason reason;
    uint64_t id;  // 0: not recorded yet
    size_t waiters;
  };
  std::vector<View> view() const;

 private:
  using PendingMap = PendingAccesses::Map;

  void count_replays(Pasid pasid);
  bool room() const;
  bool write_record(PendingMap::iterator pending);
  bool write_record(const PendingAccess& pending, uint64_t id);
  void write_late_records();
  // id: of the record; 0: it waits for room.
  void trace_fault(const PendingAccess& pending, uint64_t id) const;

  RetryLimits& retries_;
  const MemoryPort& memory_;
  StatusPage& status_;
  Interrupts& interrupts_;
  ErrorSink& errors_;
  Counters& counters_;
  const Trace& trace_;
  const Host& host_;
  Hostile& hostile_;
  const uint32_t most_records_;  // in the buffer at a time, however large it is
  const uint32_t mutation_;

  Ring ring_;
  PendingAccesses pending_;     // ticket: the record's id
  uint64_t last_id_ = 0;
  bool unannounced_ = false;    // records were written that PUT on the status page does not count yet
  bool held_ = false;
  struct LateRecord {
    PendingAccess pending;
    uint64_t id;
    uint32_t steps;  // until it is written
  };
  std::deque<LateRecord> late_;  // of a mutation
};

}  // namespace tandem
