// SPDX-License-Identifier: GPL-2.0-or-later
// Step "command processor" of the journey: takes packets from the user queues, starts them in the order of the AQL rules,
// and completes them: release fence, time stamps, signal, event.
//
// step() goes on with whatever can go on; it never waits. A mistake of a process ends its queue and nothing else.
#pragma once

#include "cp/dispatcher.h"
#include "fault/retry_limits.h"
#include "queue/event_ring.h"

namespace tandem {

struct CommandProcessorConfig {
  uint32_t max_queues = 1;
  uint32_t waves_per_cu = 1;
  uint32_t lds_bytes = 0;
  uint32_t time_slice = 0;
};

class CommandProcessor final : public WorkgroupListener {
 public:
  CommandProcessor(const CommandProcessorConfig& config, const ComputeUnits& units, Translator& translator,
                   const MemoryPort& memory, CopyEngine& copies, RetryLimits& retries, EventRing& events,
                   Attention& attention, Counters& counters, const Trace& trace, const Host& host);

  tandem_command_error create_queue(const QueueConfig& config);
  // When it returns no access of the queue is under way or will come.
  tandem_command_error destroy_queue(Pasid pasid, QueueId queue);
  // The same for all queues of the address space; its decoded code goes, too, before another process gets the PASID.
  void address_space_gone(Pasid pasid);
  bool has_queue(Pasid pasid, QueueId queue) const;
  // Where a wavefront of the queue that fails is described; 0: nowhere.
  void set_report(Pasid pasid, QueueId queue, Iova address);

  void ring_doorbell(Pasid pasid, uint32_t doorbell, uint64_t write_index);

  // True if something went on.
  bool step();
  // A queue waits for memory to change: a header, or a barrier packet's signals.
  bool polling() const { return polling_; }
  bool share(uint64_t instructions, bool nothing_runs) { return dispatcher_.share(instructions, nothing_runs); }
  void note_outside_event() { dispatcher_.note_outside_event(); }
  void reset();

  const QueueContexts& queues() const { return queues_; }

  void workgroup_done(const WorkgroupLaunch& launch) override;
  void wave_failed(const DispatchState& dispatch, const WaveError& error) override;

 private:
  struct FailedQueue {
    QueueId queue;
    WaveError error;
  };

  bool step_queue(QueueContext& context);
  bool step_fetch(QueueContext& context);
  bool step_run(QueueContext& context, PacketRun& run);
  bool admit(QueueContext& context, PacketRun& run);
  bool acquire(PacketRun& run);
  bool prepare(QueueContext& context, PacketRun& run);
  bool prepare_dispatch(QueueContext& context, PacketRun& run);
  bool prepare_barrier(QueueContext& context, PacketRun& run);
  std::optional<bool> signal_is_zero(QueueContext& context, PacketRun& run, uint64_t signal);
  std::optional<bool> all_signals_are_zero(QueueContext& context, PacketRun& run);
  std::optional<bool> any_signal_is_zero(QueueContext& context, PacketRun& run);
  bool prepare_copy(QueueContext& context, PacketRun& run);
  bool check_run(QueueContext& context, PacketRun& run);
  void end_run(PacketRun& run);
  bool stamp(QueueContext& context, PacketRun& run, uint64_t offset, uint64_t value, PacketRun::Stage next);
  bool read_event(QueueContext& context, PacketRun& run);
  bool signal(QueueContext& context, PacketRun& run);
  void retire(PacketRun& run);
  // True if the access is done; false if it waits. A failure ends the queue.
  bool settled(QueueContext& context, const VirtualAccess& access, VirtualAccess::Status status);
  bool fail_failed_waves();
  void fail(QueueContext& context, const WaveError& error);
  void tell_failures();
  bool tell(const FailedQueue& failed);
  Dma write_report(const QueueContext& context, const WaveError& error) const;
  void stop_work(QueueContext& context);
  void remove(QueueContexts::iterator at);
  void trace_fence(const PacketRun& run, uint32_t kind, uint64_t scope, uint64_t va, uint64_t value) const;
  void trace_dispatch(const PacketRun& run) const;
  void trace_copy(const PacketRun& run) const;

  const CommandProcessorConfig config_;
  const ComputeUnits& units_;
  Translator& translator_;
  const MemoryPort& memory_;
  CopyEngine& copies_;
  RetryLimits& retries_;
  EventRing& events_;
  Attention& attention_;
  Counters& counters_;
  const Trace& trace_;
  const Host& host_;

  QueueContexts queues_;
  Dispatcher dispatcher_;
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> doorbells_;  // PASID, doorbell -> queue
  std::vector<FailedQueue> failed_;  // by a wavefront
  std::deque<FailedQueue> untold_;   // of which the driver has not heard
  bool polling_ = false;
};

}  // namespace tandem
