// SPDX-License-Identifier: GPL-2.0-or-later
// Copy engine on a process's virtual addresses (tandem_aql.h, struct tandem_copy_packet).
//
// Each side has two windows: the translation in use and the one of the page after it, asked for early. Both are kept
// from tick to tick, so an invalidation that overlaps one makes the copy forget it and ask again; the chunk under way has
// always been written.
#pragma once

#include <array>
#include <optional>

#include "base/counters.h"
#include "copy/copy_engine.h"
#include "mem/memory_port.h"
#include "queue/virtual_access.h"

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
  bool ended() const override { return failure_ || done_ == request_.bytes; }
  bool drain(Pasid pasid, Gva start, Gva end) override;
  bool drain_all() override;

  struct Failure {
    QueueError error;
    Gva va;
    Access access;
  };
  const std::optional<Failure>& failure() const { return failure_; }
  // For the trace: source << 8 | destination << 16.
  uint32_t apertures() const { return apertures_; }

 private:
  class Window final : public TranslationWaiter {
   public:
    enum class State : uint8_t { Empty, Waiting, Valid, Failed };
    Window(VirtualCopy& copy, Access access) : copy_(copy), access_(access) {}
    ~Window() override { copy_.translator_.forget(*this); }

    // Asks for the translation of va, if that is not known or under way already.
    State ask(Gva va);
    // True if it held an entry of the range.
    bool drop(Pasid pasid, Gva start, Gva end);
    bool drop();
    State state() const { return state_; }
    const TlbEntry& entry() const { return entry_; }
    void translation_ready() override;
    void translation_failed(QueueError error, Gva va) override;

   private:
    VirtualCopy& copy_;
    const Access access_;
    State state_ = State::Empty;
    Gva va_{};
    TlbEntry entry_;
  };

  // The stream of pages of one side.
  class Side {
   public:
    Side(VirtualCopy& copy, Gva start, Access access)
        : start_(start), windows_{Window(copy, access), Window(copy, access)} {}
    // The entry for the byte at offset, or nullptr: it waits or failed. Asks for the next page, too, if it is below end.
    const TlbEntry* at(uint64_t offset, uint64_t bytes);
    bool drop(Pasid pasid, Gva start, Gva end) { return windows_[0].drop(pasid, start, end) | windows_[1].drop(pasid, start, end); }
    bool drop() { return windows_[0].drop() | windows_[1].drop(); }
    Gva va(uint64_t offset) const { return start_ + offset; }

   private:
    Gva start_;
    std::array<Window, 2> windows_;
    uint32_t present_ = 0;
  };

  uint64_t piece(const TlbEntry& entry, Gva va, uint64_t bytes) const;

  const VirtualCopyRequest request_;
  Translator& translator_;
  const MemoryPort& memory_;
  Attention& attention_;
  Counters& counters_;
  std::optional<Failure> failure_;
  Side source_, destination_;
  uint64_t done_ = 0;
  uint32_t apertures_ = 0;
};

}  // namespace tandem
