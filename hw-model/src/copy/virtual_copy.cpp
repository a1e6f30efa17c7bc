// SPDX-License-Identifier: GPL-2.0-or-later
// Copy engine on a process's virtual addresses: chunks.
#include "copy/virtual_copy.h"

#include <algorithm>

#include "copy/move_bytes.h"

namespace tandem {

VirtualCopy::VirtualCopy(const VirtualCopyRequest& request, Translator& translator, const MemoryPort& memory,
                         Attention& attention, Counters& counters)
    : request_(request),
      memory_(memory),
      attention_(attention),
      counters_(counters),
      source_({request.pasid, request.queue}, gva(request.source), Access::Read, translator, memory, attention),
      destination_({request.pasid, request.queue}, request.destination, Access::Write, translator, memory, attention) {}

bool VirtualCopy::step(uint64_t chunk) {
  uint64_t moved = 0;
  while (moved < chunk && !ended()) {
    const uint64_t bytes = move_piece(chunk - moved);
    if (!bytes) break;
    moved += bytes;
  }
  if (ended()) attention_.ask();
  return moved != 0;
}

// What lies behind one entry on either side. 0: a translation is missing.
uint64_t VirtualCopy::move_piece(uint64_t most) {
  const bool linear = request_.kind == CopyKind::Linear;
  // Both are asked before either is used: a translation lasts only until the next question, so windows hold copies.
  const TlbEntry* from = linear ? source_.at(done_, request_.bytes) : nullptr;
  const TlbEntry* to = destination_.at(done_, request_.bytes);
  if (failure() || !to || (linear && !from)) return 0;

  const Gva to_va = destination_.va(done_);
  uint64_t bytes = std::min({most, request_.bytes - done_, to->va + to->bytes - to_va});
  const Gva from_va = source_.va(done_);
  if (linear) bytes = std::min(bytes, from->va + from->bytes - from_va);
  memory_.before_store(to->at(to_va), bytes);
  if (linear) {
    move_bytes(to->at(to_va), from->at(from_va), bytes);
    apertures_ = static_cast<uint32_t>(from->aperture) << 8;
  } else {
    fill_bytes(to->at(to_va), request_.source, done_, bytes);
    apertures_ = 0;
  }
  apertures_ |= static_cast<uint32_t>(to->aperture) << 16;
  memory_.stored(*to, to_va, bytes);
  counters_[TANDEM_COUNTER_COPY_BYTES] += bytes;
  done_ += bytes;
  return bytes;
}

bool VirtualCopy::drain(Pasid pasid, Gva start, Gva end) {
  return source_.drop(pasid, start, end) | destination_.drop(pasid, start, end);
}

bool VirtualCopy::drain_all() { return source_.drop() | destination_.drop(); }

}  // namespace tandem
