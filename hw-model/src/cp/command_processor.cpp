// SPDX-License-Identifier: GPL-2.0-or-later
// Step "command processor": queues, and the steps of a packet from its fetch to its launch.
#include "cp/command_processor.h"

#include <algorithm>
#include <atomic>

#include "check/checker.h"

namespace tandem {

namespace {

using Stage = PacketRun::Stage;

// Packets of one queue that run at a time.
constexpr size_t kRunsPerQueue = 16;

uint64_t acquire_scope(const FetchedPacket& packet) { return TANDEM_FIELD_GET(TANDEM_PACKET_ACQUIRE, packet.header()); }

WaveError packet_error(QueueError error, uint64_t va = 0, uint32_t detail = 0) {
  return {.error = error, .va = va, .pc = 0, .detail = detail, .lane = 0, .report = {}};
}

}  // namespace

CommandProcessor::CommandProcessor(const CommandProcessorConfig& config, const ComputeUnits& units,
                                   Translator& translator, const MemoryPort& memory, CopyEngine& copies,
                                   RetryLimits& retries, EventRing& events, Attention& attention, Counters& counters,
                                   const Trace& trace, const Host& host)
    : config_(config),
      units_(units),
      translator_(translator),
      memory_(memory),
      copies_(copies),
      retries_(retries),
      events_(events),
      attention_(attention),
      counters_(counters),
      trace_(trace),
      host_(host),
      dispatcher_(queues_, units, config.time_slice, trace) {}

// ---- queues ----

tandem_command_error CommandProcessor::create_queue(const QueueConfig& config) {
  if (config.id.value >= config_.max_queues || queues_.contains(config.id.value)) return TANDEM_COMMAND_BAD_QUEUE;
  const std::pair doorbell{config.pasid.value, config.doorbell};
  if (config.doorbell >= TANDEM_DOORBELLS_PER_PAGE || doorbells_.contains(doorbell)) return TANDEM_COMMAND_BAD_QUEUE;
  // Kernels without stacks need no slices.
  const uint32_t slots = config.scratch_lane_bytes ? config.scratch_waves : ~0u;
  auto context = std::make_unique<QueueContext>(config, translator_, memory_, attention_, trace_, host_,
                                                slots);
  context->queue.enter(TANDEM_QUEUE_ACTIVE);
  retries_.set(config.id, config.retry_limit);
  doorbells_[doorbell] = config.id.value;
  queues_[config.id.value] = std::move(context);
  return TANDEM_COMMAND_OK;
}

bool CommandProcessor::has_queue(Pasid pasid, QueueId queue) const {
  const auto at = queues_.find(queue.value);
  return at != queues_.end() && at->second->queue.config().pasid == pasid;
}

tandem_command_error CommandProcessor::destroy_queue(Pasid pasid, QueueId queue) {
  if (!has_queue(pasid, queue)) return TANDEM_COMMAND_BAD_QUEUE;
  remove(queues_.find(queue.value));
  return TANDEM_COMMAND_OK;
}

void CommandProcessor::set_report(Pasid pasid, QueueId queue, Iova address) {
  if (has_queue(pasid, queue)) queues_.at(queue.value)->report = address;
}

void CommandProcessor::address_space_gone(Pasid pasid) {
  for (auto at = queues_.begin(); at != queues_.end();) {
    const auto present = at++;
    if (present->second->queue.config().pasid == pasid) remove(present);
  }
  for (const auto& unit : units_) unit->acquire(pasid);
}

void CommandProcessor::remove(QueueContexts::iterator at) {
  QueueContext& context = *at->second;
  const QueueConfig& config = context.queue.config();
  context.queue.enter(TANDEM_QUEUE_DRAINING);
  stop_work(context);
  retries_.queue_gone(config.id);
  events_.queue_gone(config.id);
  const auto is_its = [&](const FailedQueue& failed) { return failed.queue == config.id; };
  std::erase_if(failed_, is_its);
  std::erase_if(untold_, is_its);
  doorbells_.erase({config.pasid.value, config.doorbell});
  context.queue.enter(TANDEM_QUEUE_DISABLED);
  queues_.erase(at);
}

// Everything of the queue ends here: wavefronts, copies, and whatever waits for a translation.
void CommandProcessor::stop_work(QueueContext& context) {
  dispatcher_.queue_gone(context.queue.config().id);
  context.suspended.clear();
  context.resident_groups = 0;
  for (const auto& run : context.runs)
    if (run->copy) copies_.remove(*run->copy);
  context.runs.clear();
  context.queue.abandon();
}

void CommandProcessor::fail(QueueContext& context, const WaveError& error) {
  context.queue.enter(TANDEM_QUEUE_FAULTED, error.error, error.va, error.pc);
  stop_work(context);
  untold_.push_back({context.queue.config().id, error});
  tell_failures();
}

// In order. What waits for the IOMMU is told by a later step.
void CommandProcessor::tell_failures() {
  while (!untold_.empty() && tell(untold_.front())) untold_.pop_front();
}

// The report goes before the event, which tells the driver that it may look. False: the IOMMU is asked where the report goes.
bool CommandProcessor::tell(const FailedQueue& failed) {
  const QueueContext& context = *queues_.at(failed.queue.value);
  const WaveError& error = failed.error;
  if (write_report(context, error) == Dma::Pending) return false;
  tandem_event event{};
  event.type = TANDEM_EVENT_QUEUE_ERROR;
  event.code = static_cast<uint16_t>(error.error);
  event.pasid = context.queue.config().pasid.value;
  event.queue = failed.queue.value;
  event.detail = error.detail;
  event.value = error.va;
  event.pc = error.pc;
  events_.post(event);
  return true;
}

Dma CommandProcessor::write_report(const QueueContext& context, const WaveError& error) const {
  if (!error.report || context.report.value == 0) return Dma::Done;
  const Dma dma = memory_.dma_write(context.report, &*error.report, sizeof *error.report);
  if (dma == Dma::NoMemory)
    host_.guest_error("queue %u: the place for its report is not memory", context.queue.config().id.value);
  return dma;
}

void CommandProcessor::ring_doorbell(Pasid pasid, uint32_t doorbell, uint64_t write_index) {
  const auto at = doorbells_.find({pasid.value, doorbell});
  if (at == doorbells_.end()) {
    host_.guest_error("doorbell %u of PASID %u belongs to no queue", doorbell, pasid.value);
    return;
  }
  QueueContext& context = *queues_.at(at->second);
  if (!context.active()) return;
  attention_.ask();
  if (context.queue.ring_doorbell(write_index)) return;
  host_.guest_error("queue %u: write index %#llx runs ahead of the ring", at->second,
                    static_cast<unsigned long long>(write_index));
  fail(context, packet_error(TANDEM_QUEUE_BAD_INDEX, write_index));
}

void CommandProcessor::reset() {
  for (auto& [id, context] : queues_) stop_work(*context);
  queues_.clear();
  doorbells_.clear();
  failed_.clear();
  untold_.clear();
  dispatcher_.reset();
  polling_ = false;
}

// ---- the compute units' news ----

void CommandProcessor::workgroup_done(const WorkgroupLaunch& launch) {
  auto& run = static_cast<PacketRun&>(*launch.dispatch);
  QueueContext& context = *queues_.at(run.queue.value);
  context.scratch.give_back(launch.scratch_slots);
  --context.resident_groups;
  ++run.groups_done;
  attention_.ask();
}

void CommandProcessor::wave_failed(const DispatchState& dispatch, const WaveError& error) {
  failed_.push_back({dispatch.queue, error});
  attention_.ask();
}

bool CommandProcessor::fail_failed_waves() {
  if (failed_.empty()) return false;
  const std::vector<FailedQueue> failed = std::move(failed_);
  failed_.clear();
  for (const FailedQueue& each : failed) {
    const auto at = queues_.find(each.queue.value);
    if (at != queues_.end() && at->second->active()) fail(*at->second, each.error);
  }
  return true;
}

// ---- packets ----

bool CommandProcessor::step() {
  tell_failures();
  bool progress = fail_failed_waves();
  polling_ = false;
  for (auto& [id, context] : queues_)
    if (context->active()) progress |= step_queue(*context);
  progress |= dispatcher_.place();
  return progress;
}

bool CommandProcessor::step_queue(QueueContext& context) {
  bool progress = false;
  for (auto at = context.runs.begin(); at != context.runs.end() && context.active();) {
    PacketRun& run = **at;
    while (context.active() && step_run(context, run)) progress = true;
    if (!context.active()) return true;
    if (run.stage == Stage::Retired) at = context.runs.erase(at);
    else ++at;
  }
  return step_fetch(context) || progress;
}

bool CommandProcessor::step_fetch(QueueContext& context) {
  if (context.starting() || context.runs.size() >= kRunsPerQueue) return false;
  UserQueue& queue = context.queue;
  switch (queue.fetch()) {
    case UserQueue::Fetch::Empty:
    case UserQueue::Fetch::Waiting:
      return false;
    case UserQueue::Fetch::Polling:
      polling_ = true;
      return false;
    case UserQueue::Fetch::Failed:
      fail(context, packet_error(queue.error(), queue.error_va().value, static_cast<uint32_t>(queue.error_access())));
      return true;
    case UserQueue::Fetch::Ready:
      break;
  }
  auto run = std::make_unique<PacketRun>(queue.packet(), queue.config().pasid, queue.config().id, translator_, memory_,
                                         attention_);
  run->pasid = queue.config().pasid;
  run->queue = queue.config().id;
  run->packet = run->fetched.number;
  queue.take();
  const QueueError error = check_packet(run->fetched);
  context.runs.push_back(std::move(run));
  if (error != TANDEM_QUEUE_OK) fail(context, packet_error(error, context.queue.slot_of(context.queue.read_index() - 1).value));
  else attention_.ask();
  return true;
}

// One step of a packet's way. False if it has to wait.
bool CommandProcessor::step_run(QueueContext& context, PacketRun& run) {
  switch (run.stage) {
    case Stage::Admit: return admit(context, run);
    case Stage::Acquire: return acquire(run);
    case Stage::Prepare: return prepare(context, run);
    case Stage::Launch: return false;  // the dispatcher's turn
    case Stage::Run: return check_run(context, run);
    case Stage::StampStart:
      return stamp(context, run, offsetof(tandem_signal, start_ns), run.start_ns, Stage::StampEnd);
    case Stage::StampEnd:
      return stamp(context, run, offsetof(tandem_signal, end_ns), run.end_ns, Stage::ReadEvent);
    case Stage::ReadEvent: return read_event(context, run);
    case Stage::Signal: return signal(context, run);
    case Stage::Retired: return false;
  }
  return false;
}

bool CommandProcessor::admit(QueueContext& context, PacketRun& run) {
  const bool first = context.runs.front().get() == &run;
  if (run.fetched.header() & TANDEM_PACKET_BARRIER && !first) return false;
  run.stage = Stage::Acquire;
  return true;
}

bool CommandProcessor::acquire(PacketRun& run) {
  if (const uint64_t scope = acquire_scope(run.fetched)) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (const auto& unit : units_) unit->acquire(run.pasid);
    trace_fence(run, TANDEM_TRACE_FENCE_ACQUIRE, scope, 0, 0);
  }
  run.start_ns = host_.now();
  run.stage = Stage::Prepare;
  return true;
}

bool CommandProcessor::prepare(QueueContext& context, PacketRun& run) {
  switch (run.fetched.type()) {
    case TANDEM_PACKET_KERNEL_DISPATCH: return prepare_dispatch(context, run);
    case TANDEM_PACKET_VENDOR: return prepare_copy(context, run);
    default: return prepare_barrier(context, run);
  }
}

bool CommandProcessor::prepare_dispatch(QueueContext& context, PacketRun& run) {
  if (!run.dispatch) {
    const auto decoded = decode_dispatch(run.fetched);
    if (!decoded) {
      fail(context, packet_error(decoded.error(), context.queue.slot_of(run.packet).value));
      return true;
    }
    run.dispatch = *decoded;
  }
  const uint64_t object = run.dispatch->kernel_object;
  if (!settled(context, run.access, run.access.read(gva(object), &run.descriptor, sizeof run.descriptor))) return false;

  const QueueConfig& queue = context.queue.config();
  const DispatchLimits limits{.waves_per_cu = config_.waves_per_cu,
                              .lds_bytes = config_.lds_bytes,
                              .scratch_lane_bytes = queue.scratch_lane_bytes,
                              .scratch_waves = queue.scratch_lane_bytes ? queue.scratch_waves : ~0u};
  auto state = decode_kernel(*run.dispatch, run.descriptor, limits);
  if (!state) {
    fail(context, packet_error(state.error(), object));
    return true;
  }
  state->pasid = run.pasid;
  state->queue = run.queue;
  state->packet = run.fetched.number;
  state->scratch = queue.scratch.value;
  state->scratch_lane_bytes = queue.scratch_lane_bytes;
  state->scratch_bytes = uint64_t{queue.scratch_lane_bytes} * TANDEM_WAVE_LANES * queue.scratch_waves;
  state->resident_only = queue.resident_only;
  static_cast<DispatchState&>(run) = *state;
  run.stage = Stage::Launch;
  trace_dispatch(run);
  if (Checker* check = memory_.checker()) check->dispatched(run.queue, run.packet, gva(run.entry));
  return true;
}

bool CommandProcessor::prepare_copy(QueueContext& context, PacketRun& run) {
  auto request = decode_copy(run.fetched);
  // The copy engine knows no access that is skipped.
  if (request && context.queue.config().resident_only) request = std::unexpected(TANDEM_QUEUE_BAD_PACKET);
  if (!request) {
    fail(context, packet_error(request.error(), context.queue.slot_of(run.packet).value));
    return true;
  }
  request->pasid = run.pasid;
  request->queue = run.queue;
  run.copy_request = *request;
  run.copy = std::make_unique<VirtualCopy>(*request, translator_, memory_, attention_, counters_);
  copies_.submit(*run.copy);
  run.stage = Stage::Run;
  return true;
}

// A barrier runs nothing: it is over when its signals are 0.
bool CommandProcessor::prepare_barrier(QueueContext& context, PacketRun& run) {
  if (!run.barrier) {
    const auto decoded = decode_barrier(run.fetched);
    if (!decoded) {
      fail(context, packet_error(decoded.error(), context.queue.slot_of(run.packet).value));
      return true;
    }
    run.barrier = *decoded;
  }
  const std::optional<bool> open = run.barrier->any ? any_signal_is_zero(context, run) : all_signals_are_zero(context, run);
  if (!open) return false;
  if (!*open) {
    polling_ = true;
    return false;
  }
  end_run(run);
  return true;
}

// Nothing: an access has to wait, or failed.
std::optional<bool> CommandProcessor::signal_is_zero(QueueContext& context, PacketRun& run, uint64_t signal) {
  int64_t value = 0;
  const Gva va = gva(signal + offsetof(tandem_signal, value));
  if (!settled(context, run.access, run.access.read(va, &value, sizeof value))) return {};
  return value == 0;
}

// AND: a signal that was seen at 0 is not looked at again.
std::optional<bool> CommandProcessor::all_signals_are_zero(QueueContext& context, PacketRun& run) {
  const auto& dependencies = run.barrier->dependencies;
  for (size_t& n = run.next_dependency; n < dependencies.size(); ++n) {
    if (!dependencies[n]) continue;
    const std::optional<bool> zero = signal_is_zero(context, run, dependencies[n]);
    if (!zero || !*zero) return zero;
  }
  return true;
}

// OR: one of those that are given; without any the barrier is open.
std::optional<bool> CommandProcessor::any_signal_is_zero(QueueContext& context, PacketRun& run) {
  const auto& dependencies = run.barrier->dependencies;
  for (size_t& n = run.next_dependency; n < dependencies.size(); ++n) {
    if (!dependencies[n]) continue;
    const std::optional<bool> zero = signal_is_zero(context, run, dependencies[n]);
    if (!zero || *zero) return zero;
  }
  run.next_dependency = 0;
  return std::none_of(dependencies.begin(), dependencies.end(), [](uint64_t signal) { return signal != 0; });
}

// ---- completion ----

bool CommandProcessor::check_run(QueueContext& context, PacketRun& run) {
  if (run.copy) {
    if (!run.copy->ended()) return false;
    copies_.remove(*run.copy);
    if (const auto& failure = run.copy->failure()) {
      fail(context, packet_error(failure->error, failure->va.value, static_cast<uint32_t>(failure->access)));
      return true;
    }
    trace_copy(run);
    run.copy.reset();
  } else if (run.groups_done < run.dispatch->group_count) {
    return false;
  }
  end_run(run);
  return true;
}

// What the packet did is in memory: the compute units wrote their stores before they reported, and a copy writes at once. The
// fence orders it before the signal.
void CommandProcessor::end_run(PacketRun& run) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const uint64_t scope = TANDEM_FIELD_GET(TANDEM_PACKET_RELEASE, run.fetched.header());
  if (scope) trace_fence(run, TANDEM_TRACE_FENCE_RELEASE, scope, 0, 0);
  run.end_ns = host_.now();
  if (completion_signal(run.fetched)) run.stage = Stage::StampStart;
  else retire(run);
}

bool CommandProcessor::stamp(QueueContext& context, PacketRun& run, uint64_t offset, uint64_t value, Stage next) {
  const Gva va = gva(completion_signal(run.fetched) + offset);
  if (!settled(context, run.access, run.access.store64(va, value))) return false;
  run.stage = next;
  return true;
}

// Before the decrement: after it the process may reuse the signal's memory.
bool CommandProcessor::read_event(QueueContext& context, PacketRun& run) {
  const Gva va = gva(completion_signal(run.fetched) + offsetof(tandem_signal, event_id));
  uint64_t word = 0;
  if (!settled(context, run.access, run.access.read(va, &word, sizeof word))) return false;
  run.event_id = static_cast<uint32_t>(word);
  run.stage = Stage::Signal;
  return true;
}

bool CommandProcessor::signal(QueueContext& context, PacketRun& run) {
  if (run.event_id && !events_.has_room()) {
    events_.note_refused();
    return false;
  }
  const Gva va = gva(completion_signal(run.fetched) + offsetof(tandem_signal, value));
  int64_t value = 0;
  if (!settled(context, run.access, run.access.add64(va, -1, value))) return false;
  trace_fence(run, TANDEM_TRACE_FENCE_SIGNAL, TANDEM_FENCE_SYSTEM, va.value, static_cast<uint64_t>(value));
  if (run.event_id) {
    tandem_event event{};
    event.type = TANDEM_EVENT_SIGNAL;
    event.pasid = run.pasid.value;
    event.queue = run.queue.value;
    event.value = run.event_id;
    events_.post(event);
  }
  retire(run);
  return true;
}

void CommandProcessor::retire(PacketRun& run) {
  run.stage = Stage::Retired;
  ++counters_[TANDEM_COUNTER_PACKETS];
  attention_.ask();  // a packet with the barrier bit may be next
  if (!trace_.on()) return;
  tandem_trace_record record = shared_record(TANDEM_TRACE_RETIRE, run.pasid);
  record.queue = run.queue.value;
  record.seqno = run.packet;
  record.a = host_.now() - run.fetched.fetched_ns;
  record.b = run.lane_instructions;
  trace_.emit(record);
}

bool CommandProcessor::settled(QueueContext& context, const VirtualAccess& access, VirtualAccess::Status status) {
  if (status == VirtualAccess::Status::Done) return true;
  if (status == VirtualAccess::Status::Failed)
    fail(context, packet_error(access.error(), access.error_va().value, static_cast<uint32_t>(access.error_access())));
  return false;
}

// ---- trace ----

void CommandProcessor::trace_fence(const PacketRun& run, uint32_t kind, uint64_t scope, uint64_t va, uint64_t value) const {
  if (!trace_.on()) return;
  tandem_trace_record record = shared_record(TANDEM_TRACE_FENCE, run.pasid);
  record.queue = run.queue.value;
  record.detail = kind | static_cast<uint32_t>(scope) << 8;
  record.seqno = run.packet;
  record.va = va;
  record.a = value;
  trace_.emit(record);
}

void CommandProcessor::trace_dispatch(const PacketRun& run) const {
  if (!trace_.on()) return;
  tandem_trace_record record = shared_record(TANDEM_TRACE_DISPATCH, run.pasid);
  record.queue = run.queue.value;
  record.seqno = run.packet;
  record.va = run.entry;
  record.a = run.dispatch->group_count;
  record.b = uint64_t{run.grid_size[0]} * run.grid_size[1] * run.grid_size[2];
  trace_.emit(record);
}

void CommandProcessor::trace_copy(const PacketRun& run) const {
  if (!trace_.on()) return;
  tandem_trace_record record = shared_record(TANDEM_TRACE_COPY, run.pasid);
  record.queue = run.queue.value;
  record.seqno = run.packet;
  record.va = run.copy_request->destination.value;
  record.bytes = run.copy_request->bytes;
  record.a = run.copy_request->source;
  record.b = host_.now() - run.start_ns;
  record.detail = TANDEM_TRACE_COPY_VIRTUAL | run.copy->apertures();
  trace_.emit(record);
}

}  // namespace tandem
