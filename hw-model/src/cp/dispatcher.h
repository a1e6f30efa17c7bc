// SPDX-License-Identifier: GPL-2.0-or-later
// Step "command processor: dispatches" of the journey: places workgroups on compute units, queue after queue.
//
// Queues share the units in space as long as there is room. A queue that has nothing on any unit and finds no room for a whole
// time slice gets it: the queue that holds most is suspended, and waits for its own turn.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "cp/queue_context.h"

namespace tandem {

using QueueContexts = std::map<uint32_t, std::unique_ptr<QueueContext>>;
using ComputeUnits = std::vector<std::unique_ptr<ComputeUnit>>;

class Dispatcher {
 public:
  Dispatcher(QueueContexts& queues, const ComputeUnits& units, uint32_t time_slice, const Trace& trace)
      : queues_(queues), units_(units), time_slice_(time_slice), trace_(trace) {}

  // Places what fits. True if it placed something.
  bool place();

  // The units ran so many instructions: takes the room from a queue whose slice is over. nothing_runs: no wavefront can go on.
  // True if it took something.
  bool share(uint64_t instructions, bool nothing_runs);
  // The driver did something that may let wavefronts go on.
  void note_outside_event() { idle_turns_ = 0; }
  void queue_gone(QueueId queue);
  void reset();

 private:
  bool place_one(QueueContext& context);
  bool resume_one(QueueContext& context);
  bool launch_one(QueueContext& context);
  ComputeUnit* unit_with_room(const WorkgroupLaunch& launch);
  QueueContext* starving();
  QueueContext* largest_resident(const QueueContext& except);
  void suspend(QueueContext& victim);
  void trace_move(const QueueContext& context, const Workgroup& workgroup, uint32_t unit, uint64_t returns) const;

  QueueContexts& queues_;
  const ComputeUnits& units_;
  const uint32_t time_slice_;
  const Trace& trace_;
  uint32_t turn_ = 0;             // queue after which the next place() begins
  uint32_t unit_turn_ = 0;
  uint64_t waited_ = 0;           // instructions that ran while some queue starved
  uint32_t idle_turns_ = 0;       // suspensions since something ran
};

}  // namespace tandem
