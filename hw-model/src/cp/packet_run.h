// SPDX-License-Identifier: GPL-2.0-or-later
// One packet between its fetch and its completion.
//
//   Admit -> Acquire -> Prepare -> Launch -> Run -> StampStart -> StampEnd -> ReadEvent -> Signal -> Retired
//
// Up to Launch the packet holds the queue's next packet back. Kernels launch workgroups, copies submit a job, barriers poll
// their signals in Prepare and run nothing.
#pragma once

#include <memory>
#include <optional>

#include "cp/packet.h"
#include "queue/virtual_access.h"

namespace tandem {

// The dispatch comes first so that the compute units' DispatchState leads back here.
struct PacketRun : DispatchState {
  enum class Stage : uint8_t { Admit, Acquire, Prepare, Launch, Run, StampStart, StampEnd, ReadEvent, Signal, Retired };

  PacketRun(const FetchedPacket& fetched, Pasid pasid, QueueId queue, Translator& translator, const MemoryPort& memory,
            Attention& attention)
      : fetched(fetched), access(pasid, queue, translator, memory, attention) {}

  bool holds_queue() const { return stage <= Stage::Launch; }

  const FetchedPacket fetched;
  Stage stage = Stage::Admit;
  VirtualAccess access;
  uint64_t start_ns = 0;
  uint64_t end_ns = 0;
  uint32_t event_id = 0;

  // Kernel dispatch
  std::optional<DecodedDispatch> dispatch;
  tandem_kernel_descriptor descriptor{};
  std::array<uint32_t, 3> next_group{};
  uint64_t groups_launched = 0;
  uint64_t groups_done = 0;

  // Copy
  std::optional<VirtualCopyRequest> copy_request;
  std::unique_ptr<VirtualCopy> copy;

  // Barrier
  std::optional<DecodedBarrier> barrier;
  size_t next_dependency = 0;
};

}  // namespace tandem
