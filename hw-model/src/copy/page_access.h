// SPDX-License-Identifier: GPL-2.0-or-later
// The driver's accesses to a process's pages by their virtual addresses (tandem_ring.h, TANDEM_COMMAND_ACCESS). They go through
// the TLBs like everybody's, but a page that is not mapped ends them: the driver, not a fault record, decides what comes next.
#pragma once

#include "base/counters.h"
#include "copy/copy_engine.h"
#include "copy/page_stream.h"
#include "copy/physical_run.h"
#include "queue/virtual_access.h"

namespace tandem {

struct PageAccessRequest {
  Pasid pasid;
  Access access = Access::Read;
  Gva va;
  uint64_t bytes = 0;
  uint64_t address = 0;  // of the bus
};

// Between pages of a process and a buffer on the bus, in either direction.
class PageTransfer final : public CommandJob {
 public:
  PageTransfer(const PageAccessRequest& request, Translator& translator, const MemoryPort& memory, Counters& counters);

  bool step(uint64_t chunk) override;
  bool ended() const override { return error_ != TANDEM_COMMAND_OK || done_ == request_.bytes; }
  tandem_command_error error() const override { return error_; }
  bool drain(Pasid pasid, Gva start, Gva end) override { return pages_.drop(pasid, start, end); }
  bool drain_all() override { return pages_.drop() | buffer_.drop(); }

 private:
  void move(const TlbEntry& page, const MappedRun& buffer, uint64_t bytes);

  const PageAccessRequest request_;
  const MemoryPort& memory_;
  Counters& counters_;
  Attention attention_;  // the engine asks by itself
  PageStream pages_;
  PhysicalRun buffer_;
  uint64_t done_ = 0;
  tandem_command_error error_ = TANDEM_COMMAND_OK;
};

// One atomic of system scope on the first word of each page; the word keeps its value.
class PageAtomics final : public CommandJob {
 public:
  PageAtomics(const PageAccessRequest& request, Translator& translator, const MemoryPort& memory);

  bool step(uint64_t chunk) override;
  bool ended() const override { return error_ != TANDEM_COMMAND_OK || done_ == request_.bytes; }
  tandem_command_error error() const override { return error_; }
  // Nothing is kept but the atomic under way, which is in the atomic unit.
  bool drain(Pasid, Gva, Gva) override { return false; }
  bool drain_all() override { return false; }

 private:
  const PageAccessRequest request_;
  Attention attention_;
  VirtualAccess word_;
  uint64_t done_ = 0;
  tandem_command_error error_ = TANDEM_COMMAND_OK;
};

}  // namespace tandem
