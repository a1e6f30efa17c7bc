// SPDX-License-Identifier: GPL-2.0-or-later
// Step "fetches the packet through the process's address space": doorbell, packet fetch, read index, life of a queue.
#include "queue/user_queue.h"

#include <cassert>

namespace tandem {

UserQueue::UserQueue(const QueueConfig& config, Translator& translator, const MemoryPort& memory, Attention& attention,
                     const Trace& trace, const Host& host)
    : config_(config),
      trace_(trace),
      host_(host),
      access_(config.pasid, config.id, translator, memory, attention) {}

bool UserQueue::ring_doorbell(uint64_t write_index) {
  if (trace_.on()) {
    tandem_trace_record record = shared_record(TANDEM_TRACE_DOORBELL, config_.pasid);
    record.queue = config_.id.value;
    record.a = write_index;
    trace_.emit(record);
  }
  if (write_index <= write_index_) return true;
  if (write_index - next_ > 1ULL << config_.ring_order) return false;
  write_index_ = write_index;
  return true;
}

Gva UserQueue::slot_of(uint64_t packet) const {
  return config_.ring + (packet & ((1ULL << config_.ring_order) - 1)) * TANDEM_PACKET_BYTES;
}

UserQueue::Fetch UserQueue::fetch() {
  if (step_ == Step::Ready) return Fetch::Ready;
  if (step_ == Step::Header && next_ >= write_index_) return Fetch::Empty;
  for (;;) {
    const VirtualAccess::Status status = advance();
    if (status == VirtualAccess::Status::Wait) return Fetch::Waiting;
    if (status == VirtualAccess::Status::Failed) return Fetch::Failed;
    if (step_ == Step::Header) return Fetch::Polling;
    if (step_ == Step::Ready) return Fetch::Ready;
  }
}

VirtualAccess::Status UserQueue::advance() {
  using Status = VirtualAccess::Status;
  Status status = Status::Done;
  switch (step_) {
    case Step::Header:
      status = access_.read(slot_of(next_), packet_.words.data(), TANDEM_PACKET_BYTES);
      if (status == Status::Done && packet_.type() != TANDEM_PACKET_INVALID) step_ = Step::Invalidate;
      break;
    case Step::Invalidate:
      // The slot's next packet must not be taken for valid before its header is written.
      status = access_.store16(slot_of(next_), TANDEM_PACKET_INVALID);
      if (status == Status::Done) step_ = Step::Publish;
      break;
    case Step::Publish:
      status = access_.store64(config_.indices + offsetof(tandem_queue_indices, read_index), next_ + 1);
      if (status != Status::Done) break;
      packet_.number = next_;
      packet_.fetched_ns = host_.now();
      trace_fetch();
      ++next_;
      step_ = Step::Ready;
      break;
    case Step::Ready:
      break;
  }
  return status;
}

void UserQueue::enter(tandem_queue_state state, QueueError error, uint64_t va, uint64_t pc) {
  assert(state_ != state);
  state_ = state;
  if (error != TANDEM_QUEUE_OK) failure_ = error;
  if (!trace_.on()) return;
  tandem_trace_record record = shared_record(TANDEM_TRACE_QUEUE, config_.pasid);
  record.queue = config_.id.value;
  record.detail = state;
  record.va = va;
  record.a = error;
  record.b = pc;
  trace_.emit(record);
}

void UserQueue::trace_fetch() const {
  if (!trace_.on()) return;
  tandem_trace_record record = shared_record(TANDEM_TRACE_FETCH, config_.pasid);
  record.queue = config_.id.value;
  record.va = slot_of(next_).value;
  record.seqno = packet_.number;
  record.detail = packet_.type();
  trace_.emit(record);
}

}  // namespace tandem
