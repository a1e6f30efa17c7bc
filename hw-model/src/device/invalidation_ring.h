// SPDX-License-Identifier: GPL-2.0-or-later
// Step "invalidate command ... entries killed at every level, accesses in flight drained, then the acknowledgement".
//
// The contract stands in tandem_ring.h, struct tandem_invalidate. All of it happens at one moment, invalidate_latency ticks
// after the entry was fetched: kill, drain, acknowledge. Entries are acknowledged in the order of the ring.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "base/counters.h"
#include "base/hostile.h"
#include "base/ring.h"
#include "device/interrupts.h"
#include "device/status_page.h"
#include "mmu/invalidator.h"

namespace tandem {

class InvalidationRing {
 public:
  InvalidationRing(uint32_t latency, Hostile& hostile, const MemoryPort& memory, const AddressSpaces& spaces, Invalidator& invalidator,
                   StatusPage& status, Interrupts& interrupts, ErrorSink& errors, Counters& counters, const Trace& trace,
                   const Host& host, uint32_t mutation = 0);

  // Fetches what the ring holds and acknowledges what is due. Returns the number of entries acknowledged or fetched.
  uint32_t step(uint64_t now);
  bool busy() const { return !under_way_.empty() || !ring_.empty() || !owed_.empty(); }
  std::optional<uint64_t> next_due() const;

  // The driver wrote PUT.
  void put_written();
  void set_stalled(bool stalled) { stalled_ = stalled; }
  Ring& ring() { return ring_; }
  const Ring& ring() const { return ring_; }
  void reset();
  std::optional<uint64_t> last_seqno() const { return last_seqno_; }
  void restore(const Ring& ring, std::optional<uint64_t> last_seqno) {
    reset();
    ring_ = ring;
    last_seqno_ = last_seqno;
  }

 private:
  struct UnderWay {
    tandem_invalidate entry;
    uint32_t index;  // in the ring
    uint64_t due;
    uint64_t put_ns;
  };
  struct PutTime {
    uint32_t put;
    uint64_t ns;
  };

  bool fetch(uint64_t now);
  bool well_formed(const tandem_invalidate& entry) const;
  uint64_t time_of_put(uint32_t index);
  Invalidator::Outcome carry_out(const tandem_invalidate& entry);
  void kill_a_part_early(const tandem_invalidate& entry);
  void acknowledge(const UnderWay& under_way);
  void trace_received(const tandem_invalidate& entry) const;
  void trace_done(const UnderWay& under_way, const Invalidator::Outcome& outcome) const;

  const uint32_t latency_;
  Hostile& hostile_;
  const MemoryPort& memory_;
  const AddressSpaces& spaces_;
  Invalidator& invalidator_;
  StatusPage& status_;
  Interrupts& interrupts_;
  ErrorSink& errors_;
  Counters& counters_;
  const Trace& trace_;
  const Host& host_;
  const uint32_t mutation_;  // a test's (tandem_mutation)

  Ring ring_;
  std::deque<UnderWay> under_way_;
  std::deque<PutTime> put_times_;
  std::optional<uint64_t> last_seqno_;  // of the entry fetched last
  bool stalled_ = false;
  std::vector<tandem_invalidate> owed_;  // of a mutation: acknowledged, to be carried out
};

}  // namespace tandem
