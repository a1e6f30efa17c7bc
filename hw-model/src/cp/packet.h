// SPDX-License-Identifier: GPL-2.0-or-later
// Step "command processor: decodes" of the journey: AQL packets and kernel descriptors, checked once, as values.
#pragma once

#include <array>
#include <expected>

#include "compute/compute_unit.h"
#include "copy/virtual_copy.h"
#include "queue/user_queue.h"

namespace tandem {

// What the hardware and the queue have room for.
struct DispatchLimits {
  uint32_t waves_per_cu = 0;
  uint32_t lds_bytes = 0;
  uint32_t scratch_lane_bytes = 0;
  uint32_t scratch_waves = 0;
};

struct DecodedDispatch {
  std::array<uint32_t, 3> workgroup_size{1, 1, 1};
  std::array<uint32_t, 3> grid_size{1, 1, 1};
  std::array<uint32_t, 3> groups{1, 1, 1};
  uint64_t group_count = 1;
  uint32_t group_bytes = 0;
  uint32_t private_bytes = 0;
  uint64_t kernel_object = 0;
  uint64_t kernarg = 0;
};

struct DecodedBarrier {
  bool any = false;  // BARRIER_OR
  std::array<uint64_t, 5> dependencies{};
};

// All packets keep their completion signal at the same place. 0: none.
uint64_t completion_signal(const FetchedPacket& packet);

// What all types share: a known type, a well-aligned signal.
QueueError check_packet(const FetchedPacket& packet);

std::expected<DecodedDispatch, QueueError> decode_dispatch(const FetchedPacket& packet);
std::expected<DecodedBarrier, QueueError> decode_barrier(const FetchedPacket& packet);
std::expected<VirtualCopyRequest, QueueError> decode_copy(const FetchedPacket& packet);

// Puts packet and descriptor together. The caller fills in what belongs to the queue.
std::expected<DispatchState, QueueError> decode_kernel(const DecodedDispatch& dispatch,
                                                       const tandem_kernel_descriptor& descriptor,
                                                       const DispatchLimits& limits);

}  // namespace tandem
