// SPDX-License-Identifier: GPL-2.0-or-later
// The driver's commands (tandem_ring.h, struct tandem_command), carried out one after the other. One tick of work at most for
// each step(); a copy lasts until the copy engine has done it, an UNBIND until the page requests of the address space are answered.
#pragma once

#include <memory>
#include <optional>

#include "copy/copy_engine.h"
#include "cp/command_processor.h"
#include "fault/fault_unit.h"
#include "mmu/mmu.h"

namespace tandem {

class KernelRing {
 public:
  KernelRing(MemoryPort& memory, AddressSpaces& spaces, Mmu& mmu, CommandProcessor& processor, CopyEngine& copies,
             FaultUnit& faults, PageRequests& page_requests, EventRing& events, StatusPage& status,
             Interrupts& interrupts, ErrorSink& errors, Counters& counters, const Trace& trace, const Host& host,
             uint32_t mutation = 0);

  // True if something went on.
  bool step();
  // A command is under way or waits in the ring.
  bool busy() const { return current_ || !ring_.empty(); }
  void set_stalled(bool stalled) { stalled_ = stalled; }
  // Test hook: so many of the copies and fills that begin from now on fail half-way.
  void set_copies_to_fail(uint32_t count) { copies_to_fail_ = count; }
  uint32_t copies_to_fail() const { return copies_to_fail_; }
  Ring& ring() { return ring_; }
  const Ring& ring() const { return ring_; }
  void reset();
  uint64_t last_seqno() const { return last_seqno_; }
  void restore(const Ring& ring, uint64_t last_seqno, uint32_t copies_to_fail) {
    reset();
    ring_ = ring;
    last_seqno_ = last_seqno;
    copies_to_fail_ = copies_to_fail;
  }

 private:
  struct Current {
    tandem_command command;
    uint64_t fetched_ns = 0;
    std::optional<tandem_command_error> error;  // known: the command is over
    std::unique_ptr<CommandJob> job;  // of the copy engine
  };

  bool fetch();
  void execute();
  bool check_job();
  bool complete();
  tandem_command_error check_common(const tandem_command& command) const;
  // Those that give nothing go on in a later step.
  std::optional<tandem_command_error> bind(const tandem_command& command);
  std::optional<tandem_command_error> check_translation(const tandem_command& command) const;
  tandem_command_error unbind(const tandem_command& command);
  void end(Pasid pasid);
  tandem_command_error create_queue(const tandem_command& command);
  tandem_command_error destroy_queue(const tandem_command& command);
  std::optional<tandem_command_error> report_queue(const tandem_command& command);
  tandem_command_error replay(const tandem_command& command);
  tandem_command_error cancel(const tandem_command& command);
  tandem_command_error skip(const tandem_command& command);
  tandem_command_error note(const tandem_command& command);
  tandem_command_error migrated(const tandem_command& command);
  tandem_command_error clear_accesses(const tandem_command& command);
  // Nothing: the copy engine has begun.
  std::optional<tandem_command_error> copy(const tandem_command& command, CopyKind kind);
  std::optional<tandem_command_error> access(const tandem_command& command);
  void begin(std::unique_ptr<CommandJob> job);
  void note_poison(uint64_t page);
  void trace_bind(const tandem_command& command) const;
  void trace_unbound(Pasid pasid, const AddressSpace& space) const;
  void trace_replay(const tandem_command& command, uint32_t released) const;
  void trace_cancel(const tandem_command& command, uint32_t failed) const;
  void trace_copy(const tandem_command& command, CopyKind kind) const;
  void trace_command() const;

  MemoryPort& memory_;
  AddressSpaces& spaces_;
  Mmu& mmu_;
  CommandProcessor& processor_;
  CopyEngine& copies_;
  FaultUnit& faults_;
  PageRequests& page_requests_;
  EventRing& events_;
  StatusPage& status_;
  Interrupts& interrupts_;
  ErrorSink& errors_;
  Counters& counters_;
  const Trace& trace_;
  const Host& host_;
  const uint32_t mutation_;  // a test's (tandem_mutation)

  Ring ring_;
  std::optional<Current> current_;
  uint64_t last_seqno_ = 0;
  uint32_t copies_to_fail_ = 0;
  uint32_t copies_begun_ = 0;  // counted, while a mutation drops some
  bool error_posted_ = false;
  bool stalled_ = false;
};

}  // namespace tandem
