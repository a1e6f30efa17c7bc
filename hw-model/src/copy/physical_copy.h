// SPDX-License-Identifier: GPL-2.0-or-later
// Copy engine on physical addresses, for kernel commands: DMA addresses and offsets into VRAM.
#pragma once

#include <optional>

#include "base/counters.h"
#include "copy/copy_engine.h"
#include "copy/physical_run.h"

namespace tandem {

struct PhysicalCopyRequest {
  CopyKind kind = CopyKind::Linear;
  tandem_aperture source_aperture = TANDEM_APERTURE_SYSTEM;
  tandem_aperture destination_aperture = TANDEM_APERTURE_SYSTEM;
  uint64_t source = 0;  // device address (in the peer aperture: peer_address()), or pattern
  uint64_t destination = 0;
  uint64_t bytes = 0;
  bool drops_last_piece = false;  // a test's mutation: it is counted as moved
  std::optional<uint64_t> fails_after;  // test hook: the copy fails when so many bytes are written
};

class PhysicalCopy final : public CommandJob {
 public:
  PhysicalCopy(const PhysicalCopyRequest& request, const MemoryPort& memory, Counters& counters)
      : request_(request), memory_(memory), counters_(counters) {
    if (request.fails_after == 0) error_ = TANDEM_COMMAND_COPY_FAILED;
  }

  bool step(uint64_t chunk) override;
  bool ended() const override { return error_ != TANDEM_COMMAND_OK || done_ == request_.bytes; }
  tandem_command_error error() const override { return error_; }
  std::optional<uint64_t> poisoned_page() const override { return poisoned_page_; }
  bool drain(Pasid, Gva, Gva) override { return false; }
  bool drain_all() override;

 private:
  void note_failure(tandem_command_error if_poisoned, tandem_aperture aperture, uint64_t address);
  void move(const MappedRun& to, const MappedRun& from, uint64_t bytes);

  const PhysicalCopyRequest request_;
  const MemoryPort& memory_;
  Counters& counters_;
  PhysicalRun source_, destination_;
  uint64_t done_ = 0;
  tandem_command_error error_ = TANDEM_COMMAND_OK;
  std::optional<uint64_t> poisoned_page_;
};

}  // namespace tandem
