// SPDX-License-Identifier: GPL-2.0-or-later
// Step "fetches the packet through the process's address space" of the journey: one user queue.
//
//   Disabled -> Active -> Faulted -> Draining -> Disabled
//                     \------------> Draining
//
// The queue fetches packets in order up to the doorbell: it waits for the header, copies the packet, marks its slot INVALID,
// publishes the read index, and hands the packet to the command processor.
#pragma once

#include <array>
#include <cstdint>

#include "base/host.h"
#include "base/types.h"
#include "queue/virtual_access.h"
#include "trace/trace.h"

namespace tandem {

struct QueueConfig {
  Pasid pasid;
  QueueId id;
  uint32_t doorbell = 0;
  Gva ring;
  Gva indices;
  uint32_t ring_order = 0;
  uint32_t retry_limit = 0;
  Gva scratch;
  uint32_t scratch_lane_bytes = 0;
  uint32_t scratch_waves = 0;
  bool resident_only = false;
};

inline constexpr uint32_t kQueueRingOrderMax = 20;

struct FetchedPacket {
  std::array<uint64_t, TANDEM_PACKET_BYTES / sizeof(uint64_t)> words{};
  uint64_t number = 0;
  uint64_t fetched_ns = 0;

  uint16_t header() const { return static_cast<uint16_t>(words[0]); }
  uint32_t type() const { return static_cast<uint32_t>(TANDEM_FIELD_GET(TANDEM_PACKET_TYPE, header())); }
};

class UserQueue {
 public:
  enum class Fetch : uint8_t {
    Empty,    // nothing before the doorbell
    Polling,  // the header is not written yet
    Waiting,  // for a translation
    Ready,    // packet() is fetched and not taken yet
    Failed,   // error() and error_va() tell
  };

  UserQueue(const QueueConfig& config, Translator& translator, const MemoryPort& memory, Attention& attention,
            const Trace& trace, const Host& host);

  // A new write index from the doorbell. A smaller one than before is an earlier producer's that came late: it says nothing.
  // False: it runs ahead of the ring.
  bool ring_doorbell(uint64_t write_index);

  Fetch fetch();
  const FetchedPacket& packet() const { return packet_; }
  void take() { step_ = Step::Header; }

  // Nothing of the queue waits for a translation any more.
  void abandon() { access_.abandon(); }

  // Moves the queue through its life and traces it.
  void enter(tandem_queue_state state, QueueError error = TANDEM_QUEUE_OK, uint64_t va = 0, uint64_t pc = 0);
  tandem_queue_state state() const { return state_; }
  QueueError failure() const { return failure_; }

  // Where the packet with this number lies.
  Gva slot_of(uint64_t packet) const;

  const QueueConfig& config() const { return config_; }
  QueueError error() const { return access_.error(); }
  Gva error_va() const { return access_.error_va(); }
  Access error_access() const { return access_.error_access(); }
  uint64_t write_index() const { return write_index_; }
  uint64_t read_index() const { return next_; }

 private:
  enum class Step : uint8_t { Header, Invalidate, Publish, Ready };

  VirtualAccess::Status advance();
  void trace_fetch() const;

  const QueueConfig config_;
  const Trace& trace_;
  const Host& host_;
  VirtualAccess access_;
  tandem_queue_state state_ = TANDEM_QUEUE_DISABLED;
  QueueError failure_ = TANDEM_QUEUE_OK;
  Step step_ = Step::Header;
  FetchedPacket packet_;
  uint64_t next_ = 0;         // number of the packet to fetch
  uint64_t write_index_ = 0;  // as the doorbell told
};

}  // namespace tandem
