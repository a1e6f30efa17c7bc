// SPDX-License-Identifier: GPL-2.0-or-later
// All that the command processor keeps of one user queue.
#pragma once

#include <deque>
#include <list>
#include <memory>

#include "cp/packet_run.h"
#include "cp/scratch_pool.h"
#include "queue/user_queue.h"

namespace tandem {

struct QueueContext {
  QueueContext(const QueueConfig& config, Translator& translator, const MemoryPort& memory, Attention& attention,
               const Trace& trace, const Host& host, uint32_t scratch_slots)
      : queue(config, translator, memory, attention, trace, host), scratch(scratch_slots) {}

  bool active() const { return queue.state() == TANDEM_QUEUE_ACTIVE; }
  // The packet that holds the queue back, or nullptr.
  PacketRun* starting() { return !runs.empty() && runs.back()->holds_queue() ? runs.back().get() : nullptr; }
  // Workgroups wait for a place on a compute unit.
  bool wants_room() {
    return active() && (!suspended.empty() || (starting() && starting()->stage == PacketRun::Stage::Launch));
  }

  UserQueue queue;
  ScratchPool scratch;
  std::list<std::unique_ptr<PacketRun>> runs;  // in packet order; the last may still be starting
  std::deque<WorkgroupPtr> suspended;          // taken off at the end of a time slice
  uint32_t resident_groups = 0;
  Iova report{};                               // of struct tandem_wave_report, or 0
};

}  // namespace tandem
