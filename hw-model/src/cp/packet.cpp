// SPDX-License-Identifier: GPL-2.0-or-later
// Step "command processor: decodes": every check of what a process wrote into its queue.
#include "cp/packet.h"

#include <cstring>

namespace tandem {

namespace {

constexpr uint64_t kGroupsMax = 1ULL << 48;
constexpr uint64_t kInstructionAlign = 4;

template <typename Layout>
Layout as(const FetchedPacket& packet) {
  static_assert(sizeof(Layout) == TANDEM_PACKET_BYTES);
  Layout layout;
  std::memcpy(&layout, packet.words.data(), sizeof layout);
  return layout;
}

bool word_aligned(uint64_t va) { return va % sizeof(uint64_t) == 0; }

}  // namespace

uint64_t completion_signal(const FetchedPacket& packet) { return packet.words[7]; }

QueueError check_packet(const FetchedPacket& packet) {
  switch (packet.type()) {
    case TANDEM_PACKET_VENDOR:
    case TANDEM_PACKET_KERNEL_DISPATCH:
    case TANDEM_PACKET_BARRIER_AND:
    case TANDEM_PACKET_BARRIER_OR:
      return word_aligned(completion_signal(packet)) ? TANDEM_QUEUE_OK : TANDEM_QUEUE_BAD_PACKET;
    default:
      return TANDEM_QUEUE_BAD_PACKET;
  }
}

std::expected<DecodedDispatch, QueueError> decode_dispatch(const FetchedPacket& packet) {
  const auto raw = as<tandem_dispatch_packet>(packet);
  const auto dimensions = TANDEM_FIELD_GET(TANDEM_DISPATCH_DIMENSIONS, raw.setup);
  if (dimensions == 0) return std::unexpected(TANDEM_QUEUE_BAD_PACKET);

  DecodedDispatch dispatch{.group_bytes = raw.group_bytes,
                           .private_bytes = raw.private_bytes,
                           .kernel_object = raw.kernel_object,
                           .kernarg = raw.kernarg_address};
  uint64_t items = 1;
  for (uint64_t d = 0; d < dimensions; ++d) {
    const uint32_t size = raw.workgroup_size[d], grid = raw.grid_size[d];
    if (size == 0 || grid == 0) return std::unexpected(TANDEM_QUEUE_BAD_PACKET);
    dispatch.workgroup_size[d] = size;
    dispatch.grid_size[d] = grid;
    dispatch.groups[d] = (grid - 1) / size + 1;
    items *= size;
    if (items > TANDEM_WORKGROUP_MAX) return std::unexpected(TANDEM_QUEUE_BAD_PACKET);
    if (dispatch.groups[d] > kGroupsMax / dispatch.group_count) return std::unexpected(TANDEM_QUEUE_BAD_PACKET);
    dispatch.group_count *= dispatch.groups[d];
  }
  if (!word_aligned(raw.kernel_object)) return std::unexpected(TANDEM_QUEUE_BAD_KERNEL);
  return dispatch;
}

std::expected<DecodedBarrier, QueueError> decode_barrier(const FetchedPacket& packet) {
  const auto raw = as<tandem_barrier_packet>(packet);
  DecodedBarrier barrier{.any = packet.type() == TANDEM_PACKET_BARRIER_OR};
  for (size_t n = 0; n < barrier.dependencies.size(); ++n) {
    if (!word_aligned(raw.dependency[n])) return std::unexpected(TANDEM_QUEUE_BAD_PACKET);
    barrier.dependencies[n] = raw.dependency[n];
  }
  return barrier;
}

std::expected<VirtualCopyRequest, QueueError> decode_copy(const FetchedPacket& packet) {
  const auto raw = as<tandem_copy_packet>(packet);
  const bool linear = raw.operation == TANDEM_COPY_LINEAR;
  if (!linear && raw.operation != TANDEM_COPY_FILL) return std::unexpected(TANDEM_QUEUE_BAD_PACKET);
  if (raw.destination > TANDEM_VA_LIMIT || raw.bytes > TANDEM_VA_LIMIT - raw.destination)
    return std::unexpected(TANDEM_QUEUE_ADDRESS_RANGE);
  if (linear) {
    if (raw.source > TANDEM_VA_LIMIT || raw.bytes > TANDEM_VA_LIMIT - raw.source)
      return std::unexpected(TANDEM_QUEUE_ADDRESS_RANGE);
    if (raw.bytes && ranges_overlap(raw.source, raw.bytes, raw.destination, raw.bytes))
      return std::unexpected(TANDEM_QUEUE_BAD_PACKET);
  }
  VirtualCopyRequest request;
  request.kind = linear ? CopyKind::Linear : CopyKind::Fill;
  request.source = raw.source;
  request.destination = gva(raw.destination);
  request.bytes = raw.bytes;
  return request;
}

std::expected<DispatchState, QueueError> decode_kernel(const DecodedDispatch& dispatch,
                                                       const tandem_kernel_descriptor& descriptor,
                                                       const DispatchLimits& limits) {
  const bool well_formed = descriptor.magic == TANDEM_KERNEL_MAGIC && descriptor.abi_major == TANDEM_ABI_MAJOR &&
                           descriptor.entry % kInstructionAlign == 0 && descriptor.entry < TANDEM_VA_LIMIT;
  const uint64_t lds = uint64_t{dispatch.group_bytes} + descriptor.group_bytes;
  const uint32_t stack = std::max(dispatch.private_bytes, descriptor.private_bytes);
  if (!well_formed || lds > limits.lds_bytes || stack > limits.scratch_lane_bytes)
    return std::unexpected(TANDEM_QUEUE_BAD_KERNEL);

  DispatchState state;
  state.entry = descriptor.entry;
  state.global_pointer = descriptor.global_pointer;
  state.kernarg = dispatch.kernarg;
  state.lds_bytes = static_cast<uint32_t>(lds);
  state.workgroup_size = dispatch.workgroup_size;
  state.grid_size = dispatch.grid_size;
  const uint32_t items = state.workgroup_size[0] * state.workgroup_size[1] * state.workgroup_size[2];
  const uint32_t waves = (items + TANDEM_WAVE_LANES - 1) / TANDEM_WAVE_LANES;
  if (waves > limits.waves_per_cu || waves > limits.scratch_waves) return std::unexpected(TANDEM_QUEUE_BAD_KERNEL);
  return state;
}

}  // namespace tandem
