// SPDX-License-Identifier: GPL-2.0-or-later
// Copy engine on a process's virtual addresses (tandem_aql.h, struct tandem_copy_packet).
//
// Each side has a row of windows: the translation in use and those of the pages after it, asked for early, so that walks and
// faults of several pages go on at a time. They are kept from tick to tick, so an invalidation that overlaps one makes the
// copy forget it and ask again; the chunk under way has always been written.
#pragma once

#include <array>
#include <memory>
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

    // Asks for the translation of va, if that is not known or under way. Whatever else it stood for is forgotten: pages turn
    // out to be larger or smaller than they were taken for.
    State ask(Gva va);
    // True if it held an entry of the range.
    bool drop(Pasid pasid, Gva start, Gva end);
    bool drop();
    // First byte after what it stands for; a page, as long as the answer is not there.
    Gva end() const {
      return state_ == State::Valid ? entry_.va + entry_.bytes : va_.align_down(TANDEM_PAGE_BYTES) + TANDEM_PAGE_BYTES;
    }
    const TlbEntry& entry() const { return entry_; }
    void translation_ready() override;
    void translation_failed(QueueError error, Gva va) override;

   private:
    bool stands_for(Gva va) const;
    // Back to Empty, whatever it was; nobody will tell it anything.
    void clear();

    VirtualCopy& copy_;
    const Access access_;
    State state_ = State::Empty;
    Gva va_{};
    TlbEntry entry_;
  };

  // The stream of pages of one side.
  class Side {
   public:
    Side(VirtualCopy& copy, Gva start, Access access);
    // The entry for the byte at offset, or nullptr: it waits or failed. Asks for the pages after it, too, up to bytes.
    const TlbEntry* at(uint64_t offset, uint64_t bytes);
    bool drop(Pasid pasid, Gva start, Gva end);
    bool drop();
    Gva va(uint64_t offset) const { return start_ + offset; }

   private:
    static constexpr size_t kWindows = 8;

    Window& window(size_t n) { return *windows_[(present_ + n) % kWindows]; }
    void leave_what_is_behind(Gva here);

    Gva start_;
    std::array<std::unique_ptr<Window>, kWindows> windows_;  // in the order of their addresses, from present_ on
    size_t present_ = 0;
  };

  uint64_t move_piece(uint64_t most);
  void judge(const TlbEntry& entry, Gva va, Access access) const;

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
