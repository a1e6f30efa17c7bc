// SPDX-License-Identifier: GPL-2.0-or-later
// The driver's accesses to a process's pages.
#include "copy/page_access.h"

#include <algorithm>

#include "copy/move_bytes.h"

namespace tandem {

namespace {

constexpr QueueId kNoQueue{{TANDEM_TRACE_NO_QUEUE}};

tandem_command_error command_error(QueueError error) {
  switch (error) {
    case TANDEM_QUEUE_MEMORY_ERROR: return TANDEM_COMMAND_POISONED;
    case TANDEM_QUEUE_DMA_ERROR: return TANDEM_COMMAND_COPY_FAILED;
    default: return TANDEM_COMMAND_NOT_MAPPED;
  }
}

}  // namespace

PageTransfer::PageTransfer(const PageAccessRequest& request, Translator& translator, const MemoryPort& memory,
                           Counters& counters)
    : request_(request),
      memory_(memory),
      counters_(counters),
      pages_({request.pasid, kNoQueue, OnMiss::Fail}, request.va, request.access, translator, memory, attention_) {}

bool PageTransfer::step(uint64_t chunk) {
  const TlbEntry* page = pages_.at(done_, request_.bytes);
  if (pages_.failure()) {
    error_ = command_error(pages_.failure()->error);
    return true;
  }
  if (!page) return false;

  const uint64_t left = request_.bytes - done_;
  uint64_t bytes = std::min({chunk, left, page->va + page->bytes - pages_.va(done_)});
  const bool write = request_.access == Access::Read;
  const MappedRun buffer =
      buffer_.at(memory_, TANDEM_APERTURE_SYSTEM, request_.address + done_, left, write, bytes);
  if (buffer.pending) return false;
  if (buffer.host) move(*page, buffer, bytes);
  else error_ = TANDEM_COMMAND_COPY_FAILED;
  return true;
}

void PageTransfer::move(const TlbEntry& page, const MappedRun& buffer, uint64_t bytes) {
  const Gva va = pages_.va(done_);
  std::byte* const at = page.at(va);
  if (request_.access == Access::Read) {
    memory_.before_store(buffer.host, bytes);
    move_bytes(buffer.host, at, bytes);
    memory_.stored(TANDEM_APERTURE_SYSTEM, buffer.address, bytes);
  } else {
    memory_.before_store(at, bytes);
    move_bytes(at, buffer.host, bytes);
    memory_.stored(page, va, bytes);
  }
  counters_[TANDEM_COUNTER_COPY_BYTES] += bytes;
  done_ += bytes;
}

PageAtomics::PageAtomics(const PageAccessRequest& request, Translator& translator, const MemoryPort& memory)
    : request_(request), word_(request.pasid, kNoQueue, translator, memory, attention_, OnMiss::Fail) {}

bool PageAtomics::step(uint64_t) {
  int64_t value;
  switch (word_.add64(request_.va + done_, 0, value)) {
    case VirtualAccess::Status::Wait: return false;
    case VirtualAccess::Status::Failed: error_ = command_error(word_.error()); break;
    case VirtualAccess::Status::Done: done_ += TANDEM_PAGE_BYTES; break;
  }
  return true;
}

}  // namespace tandem
