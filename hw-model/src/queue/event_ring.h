// SPDX-License-Identifier: GPL-2.0-or-later
// Step "MSI-X" of the journey: events for the driver (tandem_ring.h, struct tandem_event).
//
// An event for which there is no room waits, in order. Packets hold their completion back while has_room() is false, so what
// waits is bounded by one error for each queue and one for the command under way.
#pragma once

#include <deque>

#include "base/host.h"
#include "base/ring.h"
#include "device/interrupts.h"
#include "device/status_page.h"
#include "mem/memory_port.h"

namespace tandem {

class EventRing {
 public:
  EventRing(const MemoryPort& memory, StatusPage& status, Interrupts& interrupts, ErrorSink& errors)
      : memory_(memory), status_(status), interrupts_(interrupts), errors_(errors) {}

  bool has_room() const { return waiting_.empty() && !ring_.full(); }
  bool all_written() const { return waiting_.empty(); }
  // Packets wait for room, too: has_room() was asked in vain.
  void note_refused() { refused_ = true; }
  bool overflowed() const { return (!waiting_.empty() || refused_) && ring_.full(); }

  void post(const tandem_event& event) {
    waiting_.push_back(event);
    flush();
  }

  // Writes what waits as far as there is room. True if it wrote one.
  bool flush() {
    bool wrote = false;
    while (!waiting_.empty() && !ring_.full()) {
      if (!write(waiting_.front())) return wrote;
      waiting_.pop_front();
      wrote = true;
    }
    if (!ring_.full()) refused_ = false;
    return wrote;
  }

  // The queue is destroyed: its events that were not written are not wanted any more.
  void queue_gone(QueueId queue) {
    std::erase_if(waiting_, [&](const tandem_event& event) {
      return event.type == TANDEM_EVENT_QUEUE_ERROR && event.queue == queue.value;
    });
  }

  Ring& ring() { return ring_; }
  const Ring& ring() const { return ring_; }
  void restore(const Ring& ring) {
    reset();
    ring_ = ring;
  }
  void reset() {
    ring_ = {};
    waiting_.clear();
    refused_ = false;
  }

 private:
  bool write(const tandem_event& event) {
    const Dma dma = memory_.dma_write(ring_.slot(ring_.put, sizeof event), &event, sizeof event);
    if (dma == Dma::NoMemory) errors_.stop(TANDEM_DEVICE_RING_DMA, "the event ring is not in memory");
    if (dma != Dma::Done) return false;
    ++ring_.put;
    status_.event_put(ring_.put);
    interrupts_.raise(TANDEM_VECTOR_EVENT);
    return true;
  }

  const MemoryPort& memory_;
  StatusPage& status_;
  Interrupts& interrupts_;
  ErrorSink& errors_;
  Ring ring_;
  std::deque<tandem_event> waiting_;
  bool refused_ = false;
};

}  // namespace tandem
