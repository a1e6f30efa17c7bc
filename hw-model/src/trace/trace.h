// SPDX-License-Identifier: GPL-2.0-or-later
// The one sink of trace records. Each event is emitted at the place where it happens:
//
//   if (trace.on()) trace.emit({.type = TANDEM_TRACE_DOORBELL, .pasid = ..., .a = ...});
//
// so that a trace that is off costs one predictable branch. emit() stamps the device clock.
#pragma once

#include "base/types.h"
#include "tandem/model.h"

namespace tandem {

class Trace {
 public:
  Trace(const tandem_host_ops& ops, void* opaque, bool on) : ops_(ops), opaque_(opaque) { set(on); }

  bool on() const { return on_; }
  void set(bool on) { on_ = on && ops_.trace; }

  void emit(tandem_trace_record record) const {
    record.time_ns = ops_.now(opaque_);
    ops_.trace(opaque_, &record);
  }

 private:
  const tandem_host_ops& ops_;
  void* opaque_;
  bool on_ = false;
};

// A record of the shared parts of the device: no compute unit, no queue.
constexpr tandem_trace_record shared_record(tandem_trace_type type, Pasid pasid) {
  tandem_trace_record record{};
  record.type = static_cast<uint16_t>(type);
  record.unit = TANDEM_TRACE_NO_UNIT;
  record.queue = TANDEM_TRACE_NO_QUEUE;
  record.pasid = pasid.value;
  return record;
}

}  // namespace tandem
