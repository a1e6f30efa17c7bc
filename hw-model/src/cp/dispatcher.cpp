// SPDX-License-Identifier: GPL-2.0-or-later
// Step "command processor: dispatches": placing, suspending and resuming workgroups.
#include "cp/dispatcher.h"

namespace tandem {

bool Dispatcher::place() {
  bool placed = false;
  for (bool again = true; again;) {
    again = false;
    // One workgroup of each queue in turn, beginning after the queue that was served last.
    auto at = queues_.upper_bound(turn_);
    for (size_t n = queues_.size(); n > 0; --n, ++at) {
      if (at == queues_.end()) at = queues_.begin();
      if (!at->second->wants_room() || !place_one(*at->second)) continue;
      turn_ = at->first;
      placed = again = true;
    }
  }
  return placed;
}

bool Dispatcher::place_one(QueueContext& context) {
  // What was begun goes first: new workgroups must not overtake suspended ones for ever.
  return context.suspended.empty() ? launch_one(context) : resume_one(context);
}

bool Dispatcher::resume_one(QueueContext& context) {
  for (size_t n = 0; n < units_.size(); ++n) {
    const auto index = static_cast<uint32_t>((unit_turn_ + n) % units_.size());
    if (!units_[index]->has_room(*context.suspended.front())) continue;
    if (trace_.on()) trace_move(context, *context.suspended.front(), index, 1);
    units_[index]->resume(std::move(context.suspended.front()));
    context.suspended.pop_front();
    ++context.resident_groups;
    unit_turn_ = index + 1;
    return true;
  }
  return false;
}

ComputeUnit* Dispatcher::unit_with_room(const WorkgroupLaunch& launch) {
  for (size_t n = 0; n < units_.size(); ++n) {
    const auto index = static_cast<uint32_t>((unit_turn_ + n) % units_.size());
    if (!units_[index]->has_room(launch)) continue;
    unit_turn_ = index + 1;
    return units_[index].get();
  }
  return nullptr;
}

bool Dispatcher::launch_one(QueueContext& context) {
  PacketRun& run = *context.starting();
  WorkgroupLaunch launch{.dispatch = &run, .group_id = run.next_group, .scratch_slots = {}};
  const uint32_t waves = ComputeUnit::waves_needed(run, run.next_group);
  if (!context.scratch.has(waves)) return false;
  launch.scratch_slots.resize(waves);  // has_room() looks at sizes only
  ComputeUnit* unit = unit_with_room(launch);
  if (!unit) return false;
  launch.scratch_slots = context.scratch.take(waves);
  unit->launch(std::move(launch));
  ++context.resident_groups;
  ++run.groups_launched;
  for (size_t d = 0; d < 3; ++d) {
    if (++run.next_group[d] < run.dispatch->groups[d]) break;
    run.next_group[d] = 0;
  }
  if (run.groups_launched == run.dispatch->group_count) run.stage = PacketRun::Stage::Run;
  return true;
}

// The next queue, in turn, that waits for room and has nothing resident.
QueueContext* Dispatcher::starving() {
  auto at = queues_.upper_bound(turn_);
  for (size_t n = queues_.size(); n > 0; --n, ++at) {
    if (at == queues_.end()) at = queues_.begin();
    if (at->second->resident_groups == 0 && at->second->wants_room()) return at->second.get();
  }
  return nullptr;
}

QueueContext* Dispatcher::largest_resident(const QueueContext& except) {
  QueueContext* largest = nullptr;
  for (const auto& [id, context] : queues_)
    if (context.get() != &except && context->resident_groups &&
        (!largest || context->resident_groups > largest->resident_groups))
      largest = context.get();
  return largest;
}

bool Dispatcher::share(uint64_t instructions, bool nothing_runs) {
  if (time_slice_ == 0) return false;
  if (instructions) idle_turns_ = 0;
  QueueContext* next = starving();
  if (!next) {
    waited_ = 0;
    return false;
  }
  waited_ += instructions;
  // If all that is resident waits for the driver, the others need not wait for the end of the slice; but turning round more
  // than once without a single instruction would be turning for ever.
  const bool idle_turn = nothing_runs && idle_turns_ <= queues_.size();
  if (waited_ < time_slice_ && !idle_turn) return false;
  QueueContext* victim = largest_resident(*next);
  if (!victim) return false;
  waited_ = 0;
  ++idle_turns_;
  suspend(*victim);
  while (next->wants_room() && place_one(*next)) {
  }
  turn_ = next->queue.config().id.value;
  return true;
}

void Dispatcher::suspend(QueueContext& victim) {
  for (uint32_t index = 0; index < units_.size(); ++index) {
    for (WorkgroupPtr& workgroup : units_[index]->suspend(victim.queue.config().id)) {
      if (trace_.on()) trace_move(victim, *workgroup, index, 0);
      victim.suspended.push_back(std::move(workgroup));
      --victim.resident_groups;
    }
  }
}

void Dispatcher::queue_gone(QueueId queue) {
  for (const auto& unit : units_) unit->kill(queue);
}

void Dispatcher::reset() {
  turn_ = unit_turn_ = idle_turns_ = 0;
  waited_ = 0;
}

void Dispatcher::trace_move(const QueueContext& context, const Workgroup& workgroup, uint32_t unit, uint64_t returns) const {
  const WorkgroupLaunch& launch = launch_of(workgroup);
  tandem_trace_record record = shared_record(TANDEM_TRACE_SUSPEND, context.queue.config().pasid);
  record.unit = static_cast<uint16_t>(unit);
  record.queue = context.queue.config().id.value;
  record.seqno = launch.dispatch->packet;
  record.a = returns;
  trace_.emit(record);
}

}  // namespace tandem
