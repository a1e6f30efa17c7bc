// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/compute_unit.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "compute/run_wave.h"
#include "compute/schedule_lanes.h"
#include "compute/wave_report.h"

namespace tandem {

using compute::kLanes;
using compute::LaneMask;
using compute::Turn;
using compute::UnitContext;
using compute::Wave;
using compute::WaveState;

namespace {

// Instructions of one turn. Long, because the registers of a wavefront that comes back are no longer in the host's nearest
// caches (all resident ones together fill its second level); run_wave() sees to it that nobody waits for the end of it.
constexpr uint64_t kTurn = 4096;
// Once a wavefront waits for a translation: the walk makes its steps between the calls of run().
constexpr uint64_t kRestWhileOneWaits = 64;

uint32_t lane_count(const std::array<uint32_t, 3>& extent) { return extent[0] * extent[1] * extent[2]; }
uint32_t waves_for(uint32_t lanes) { return (lanes + kLanes - 1) / kLanes; }

const char* name_of(WaveState state) {
  switch (state) {
    case WaveState::Ready: return "ready";
    case WaveState::Waiting: return "waiting";
    case WaveState::Paused: return "atomic";
    case WaveState::AtBarrier: return "barrier";
    case WaveState::Failed: return "failed";
    case WaveState::Done: return "done";
  }
  return "?";
}

}  // namespace

struct ComputeUnit::Impl {
  Impl(const ComputeConfig& config, Translator& translator, MemoryPort& memory, WorkgroupListener& listener,
       Counters& counters, std::function<uint64_t()> now, std::function<bool()> should_yield)
      : context(config, translator, memory, std::move(now), std::move(should_yield)), listener(listener), counters(counters) {}

  UnitContext context;
  WorkgroupListener& listener;
  Counters& counters;
  std::vector<WorkgroupPtr> groups;
  size_t turn = 0;          // index into context.waves of the next wavefront's turn
  uint32_t lds_used = 0;

  bool fits(size_t waves, uint32_t lds_bytes) const {
    return context.waves.size() + waves <= context.config.waves && lds_bytes <= context.config.lds_bytes - lds_used;
  }

  void admit(WorkgroupPtr group) {
    lds_used += group->lds_bytes;
    for (auto& wave : group->waves) {
      wave->unit = &context;
      wave->request.unit = static_cast<uint8_t>(context.config.unit);
      context.waves.push_back(wave.get());
    }
    groups.push_back(std::move(group));
  }

  // Off the unit: nothing here knows it any more.
  WorkgroupPtr take(size_t index) {
    WorkgroupPtr group = std::move(groups[index]);
    groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(index));
    lds_used -= group->lds_bytes;
    for (auto& wave : group->waves) {
      context.translator.forget(*wave);
      wave->translation_ready();  // it has to ask again
      wave->reserved = 0;         // drain() will not find it
      const auto at = std::find(context.waves.begin(), context.waves.end(), wave.get());
      const auto position = static_cast<size_t>(at - context.waves.begin());
      context.waves.erase(at);
      if (position < turn) --turn;
      wave->unit = nullptr;
    }
    return group;
  }

  size_t index_of(const Workgroup& group) const {
    return static_cast<size_t>(std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.get() == &group; }) -
                               groups.begin());
  }

  template <typename Body>
  void take_queue(QueueId queue, Body body) {
    for (size_t i = 0; i < groups.size();) {
      if (groups[i]->launch.dispatch->queue != queue) {
        ++i;
        continue;
      }
      for (auto& wave : groups[i]->waves) {
        context.write_queued(*wave);
        context.memory.atomics().complete(*wave);
        wave->late.bind_all(*wave);
      }
      body(take(i));
    }
  }

  // Lanes of the workgroup came to rest: is the barrier complete, or the workgroup done?
  void settle(Workgroup& group) {
    LaneMask live = 0, moving = 0;
    for (const auto& wave : group.waves) {
      live |= wave->live;
      moving |= wave->runnable_lanes();
    }
    if (!live) return finish(group);
    if (!moving) release_barrier(group);
  }

  void release_barrier(Workgroup& group) {
    for (auto& wave : group.waves) {
      if (!wave->live) continue;
      wave->barrier_lanes = 0;
      wave->state = WaveState::Ready;
    }
  }

  void finish(Workgroup& group) {
    counters[TANDEM_COUNTER_WORKGROUPS] += 1;
    counters[TANDEM_COUNTER_WAVES] += group.waves.size();
    const WorkgroupPtr done = take(index_of(group));
    listener.workgroup_done(done->launch);
  }

  void account(const Wave& wave, const Turn& turn) {
    counters[TANDEM_COUNTER_INSTRUCTIONS] += turn.instructions;
    counters[TANDEM_COUNTER_LANE_INSTRUCTIONS] += turn.lane_instructions;
    counters[TANDEM_COUNTER_LANES] += turn.lanes_ended;
    counters[TANDEM_COUNTER_LOADS] += std::exchange(context.loads, 0);
    counters[TANDEM_COUNTER_STORES] += std::exchange(context.stores, 0);
    counters[TANDEM_COUNTER_ATOMICS] += std::exchange(context.atomics, 0);
    counters[TANDEM_COUNTER_SKIPPED] += std::exchange(context.skipped, 0);
    wave.group->launch.dispatch->lane_instructions += turn.lane_instructions;
  }

  // The wavefront, and its workgroup, may be gone afterwards.
  Turn give_turn(Wave& wave, uint64_t limit) {
    const Turn turn = compute::run_wave(context, wave, limit);
    account(wave, turn);
    context.write_oldest(wave);
    if (wave.state == WaveState::Failed) {
      context.write_queued(wave);
      wave.late.bind_all(wave);
      wave.error.report = compute::report_of(wave);
      listener.wave_failed(*wave.group->launch.dispatch, wave.error);
    } else if (turn.lanes_rested) {
      settle(*wave.group);
    }
    return turn;
  }

  // The next Ready wavefront in turn, or nullptr.
  Wave* next_ready() {
    for (size_t tried = 0; tried < context.waves.size(); ++tried) {
      if (turn >= context.waves.size()) turn = 0;
      Wave* wave = context.waves[turn++];
      if (wave->state == WaveState::Ready) return wave;
    }
    return nullptr;
  }

  uint64_t run(uint64_t budget) {
    uint64_t done = 0;
    // A turn may retire nothing and leave its wavefront ready (a translation came while it was asked for): not for ever.
    for (size_t barren = 0; done < budget && barren <= context.waves.size();) {
      if (done && context.should_yield()) return done;
      Wave* wave = next_ready();
      if (!wave) break;
      const Turn turn = give_turn(*wave, std::min(kTurn, budget - done));
      const uint64_t ticks = turn.instructions + turn.held;
      barren = ticks ? 0 : barren + 1;
      done += ticks;
      if (turn.waits) budget = std::min(budget, done + kRestWhileOneWaits);
    }
    return done;
  }

  void write_all_queued() {
    for (Wave* wave : context.waves) context.write_queued(*wave);
  }

  void lose_reservations(Pasid pasid, uint64_t start, uint64_t end) {
    for (Wave* wave : context.waves) {
      if (wave->request.pasid != pasid) continue;
      compute::for_each_lane(wave->reserved, [&](uint32_t lane) {
        const uint64_t va = wave->reservation[lane].va;
        if (va < end && start < va + wave->reservation[lane].bytes) wave->reserved &= ~compute::lane_bit(lane);
      });
    }
  }
};

ComputeUnit::ComputeUnit(const ComputeConfig& config, Translator& translator, MemoryPort& memory,
                         WorkgroupListener& listener, Counters& counters, std::function<uint64_t()> now,
                         std::function<bool()> should_yield)
    : impl_(std::make_unique<Impl>(config, translator, memory, listener, counters, std::move(now), std::move(should_yield))) {}

ComputeUnit::~ComputeUnit() {
  for (Wave* wave : impl_->context.waves) {
    impl_->context.translator.forget(*wave);
    impl_->context.memory.atomics().discard(*wave);
  }
}

uint32_t ComputeUnit::waves_needed(const DispatchState& dispatch, const std::array<uint32_t, 3>& group_id) {
  return waves_for(lane_count(compute::workgroup_extent(dispatch, group_id)));
}

bool ComputeUnit::has_room(const WorkgroupLaunch& launch) const {
  return impl_->fits(waves_needed(*launch.dispatch, launch.group_id), launch.dispatch->lds_bytes);
}

bool ComputeUnit::has_room(const Workgroup& workgroup) const {
  return impl_->fits(workgroup.waves.size(), workgroup.lds_bytes);
}

void ComputeUnit::launch(WorkgroupLaunch launch) {
  WorkgroupPtr group(new Workgroup);
  const DispatchState& dispatch = *launch.dispatch;
  group->extent = compute::workgroup_extent(dispatch, launch.group_id);
  group->launch = std::move(launch);
  group->lds_bytes = dispatch.lds_bytes;
  group->lds_lines.resize((dispatch.lds_bytes + sizeof(LdsLine) - 1) / sizeof(LdsLine));
  const uint32_t lanes = lane_count(group->extent);
  for (uint32_t number = 0; number < waves_for(lanes); ++number) {
    auto wave = std::make_unique<Wave>();
    wave->group = group.get();
    compute::start_wave(*wave, group->launch, number, std::min(kLanes, lanes - number * kLanes));
    group->waves.push_back(std::move(wave));
  }
  impl_->admit(std::move(group));
}

uint64_t ComputeUnit::run(uint64_t budget) {
  const uint64_t done = impl_->run(budget);
  if (!runnable()) impl_->write_all_queued();
  impl_->context.untold.tell();
  return done;
}

bool ComputeUnit::idle() const { return impl_->groups.empty(); }

bool ComputeUnit::runnable() const {
  return std::ranges::any_of(impl_->context.waves, [](const Wave* wave) { return wave->state == WaveState::Ready; });
}

uint32_t ComputeUnit::resident_waves() const { return static_cast<uint32_t>(impl_->context.waves.size()); }

uint32_t ComputeUnit::resident_waves(QueueId queue) const {
  return static_cast<uint32_t>(
      std::ranges::count_if(impl_->context.waves, [&](const Wave* wave) { return wave->request.queue == queue; }));
}

std::vector<WorkgroupPtr> ComputeUnit::suspend(QueueId queue) {
  std::vector<WorkgroupPtr> taken;
  impl_->take_queue(queue, [&](WorkgroupPtr group) { taken.push_back(std::move(group)); });
  impl_->counters[TANDEM_COUNTER_SUSPENDS] += taken.size();
  return taken;
}

void ComputeUnit::resume(WorkgroupPtr workgroup) { impl_->admit(std::move(workgroup)); }

void ComputeUnit::kill(QueueId queue) {
  impl_->take_queue(queue, [](WorkgroupPtr) {});
}

void ComputeUnit::acquire(Pasid pasid) { impl_->context.code.drop(pasid); }

void ComputeUnit::reset() {
  while (!impl_->groups.empty()) {
    for (auto& wave : impl_->groups.back()->waves) {
      wave->stores.discard();
      wave->late.discard();
      impl_->context.memory.atomics().discard(*wave);
    }
    impl_->take(impl_->groups.size() - 1);
  }
  impl_->context.code.drop_all();
  ++impl_->context.generation;
}

DrainResult ComputeUnit::drain(Pasid pasid, Gva start, Gva end) {
  UnitContext& context = impl_->context;
  DrainResult result;
  ++context.generation;
  if (start.value >= end.value) return result;
  for (Wave* wave : context.waves) {
    if (wave->request.pasid != pasid) continue;
    const uint64_t bytes = end - start;
    wave->late.drain(*wave, start.value, bytes);  // before stores: they are older than what is queued there
    if (context.config.mutation == TANDEM_MUTATION_STORE_PASSES_ACK) continue;
    result.stores_written += wave->stores.write_overlapping(start.value, bytes, context.memory, context.config.store_drain);
  }
  impl_->lose_reservations(pasid, start.value, end.value);
  if (context.config.mutation != TANDEM_MUTATION_CODE_KEPT)
    result.code_dropped = context.code.drop(pasid, start.value, end.value);
  return result;
}

DrainResult ComputeUnit::drain_all() {
  UnitContext& context = impl_->context;
  DrainResult result;
  ++context.generation;
  for (Wave* wave : context.waves) {
    wave->late.drain(*wave, 0, TANDEM_VA_LIMIT);
    result.stores_written += context.write_queued(*wave);
    wave->reserved = 0;
  }
  result.code_dropped = context.code.drop_all();
  return result;
}

void ComputeUnit::describe(const std::function<void(const std::string&)>& line) const {
  for (const Wave* wave : impl_->context.waves) {
    const auto& id = wave->group->launch.group_id;
    char text[200];
    std::snprintf(text, sizeof text, "cu %u queue %u workgroup %u,%u,%u wave %u pc 0x%llx active %08x live %08x %s%s stores %u%s",
                  impl_->context.config.unit, wave->request.queue.value, id[0], id[1], id[2], wave->number,
                  static_cast<unsigned long long>(wave->pc), wave->active, wave->live, name_of(wave->state),
                  wave->state == WaveState::Waiting && wave->waits == Wave::Waits::Fetch ? " (fetch)" : "",
                  wave->stores.instructions(), wave->late.empty() ? "" : " late loads");
    line(text);
  }
}

}  // namespace tandem
