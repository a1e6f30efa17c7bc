// SPDX-License-Identifier: GPL-2.0-or-later
// Addresses and numbers as distinct types: mixing them does not compile. Everything in the model speaks these.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

#include "tandem_abi.h"

namespace tandem {

// A number that is only comparable with its own kind.
template <typename Tag, typename Rep>
struct Strong {
  Rep value{};
  constexpr auto operator<=>(const Strong&) const = default;
};

template <typename Tag>
struct Address : Strong<Tag, uint64_t> {
  constexpr Address operator+(uint64_t bytes) const { return Address{{this->value + bytes}}; }
  constexpr Address operator-(uint64_t bytes) const { return Address{{this->value - bytes}}; }
  constexpr uint64_t operator-(Address other) const { return this->value - other.value; }
  constexpr Address align_down(uint64_t power_of_two) const { return Address{{this->value & ~(power_of_two - 1)}}; }
};

using Gva = Address<struct GvaTag>;    // virtual address of a process, translated by the GPU
using Iova = Address<struct IovaTag>;  // bus (DMA) address of system memory
using Vram = Address<struct VramTag>;  // offset into video memory
using Pasid = Strong<struct PasidTag, uint32_t>;
using QueueId = Strong<struct QueueTag, uint32_t>;

constexpr Gva gva(uint64_t v) { return Gva{{v}}; }
constexpr Iova iova(uint64_t v) { return Iova{{v}}; }
constexpr Pasid pasid(uint32_t v) { return Pasid{{v}}; }
constexpr QueueId queue_id(uint32_t v) { return QueueId{{v}}; }

enum class Access : uint8_t {
  Read = TANDEM_ACCESS_READ,
  Write = TANDEM_ACCESS_WRITE,
  Atomic = TANDEM_ACCESS_ATOMIC,
  Execute = TANDEM_ACCESS_EXECUTE,
};

using QueueError = tandem_queue_error;

// True if [a, a+a_bytes) and [b, b+b_bytes) share a byte; neither may wrap.
constexpr bool ranges_overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

}  // namespace tandem
