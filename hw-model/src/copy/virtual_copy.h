// SPDX-License-Identifier: GPL-2.0-or-later
// Copy engine on a process's virtual addresses (tandem_aql.h, struct tandem_copy_packet).
//
// Each side is a stream of pages (page_stream.h). What an invalidation overlaps is asked for again; the chunk under way has always
// been written.
#pragma once

#include <optional>

#include "base/counters.h"
#include "copy/copy_engine.h"
#include "copy/page_stream.h"

namespace tandem {

struct VirtualCopyRequest {
  Pasid pasid;
  QueueId queue;
  CopyKind kind = CopyKind::Linear;
  uint64_t source = 0;  // VA or pattern
  Gva destination;
  uint64_t bytes = 0;
};

class VirtualCopy final : public CopyJob {
 public:
  VirtualCopy(const VirtualCopyRequest& request, Translator& translator, const MemoryPort& memory, Attention& attention,
              Counters& counters);

  bool step(uint64_t chunk) override;
  bool ended() const override { return failure() || done_ == request_.bytes; }
  bool drain(Pasid pasid, Gva start, Gva end) override;
  bool drain_all() override;

  const std::optional<PageStream::Failure>& failure() const {
    return source_.failure() ? source_.failure() : destination_.failure();
  }
  // For the trace: source << 8 | destination << 16.
  uint32_t apertures() const { return apertures_; }

 private:
  uint64_t move_piece(uint64_t most);

  const VirtualCopyRequest request_;
  const MemoryPort& memory_;
  Attention& attention_;
  Counters& counters_;
  PageStream source_, destination_;
  uint64_t done_ = 0;
  uint32_t apertures_ = 0;
};

}  // namespace tandem
