// SPDX-License-Identifier: GPL-2.0-or-later
// One side of a copy on virtual addresses: a row of windows, the translation in use and those of the pages after it, asked for
// early, so that walks and faults of several pages go on at a time. They are kept from tick to tick, so an invalidation that
// overlaps one makes the stream forget it and ask again.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "queue/virtual_access.h"

namespace tandem {

class PageStream {
 public:
  // Whose accesses these are, and what becomes of one that finds nothing.
  struct Client {
    Pasid pasid;
    QueueId queue;
    OnMiss on_miss = OnMiss::Fault;
  };
  struct Failure {
    QueueError error;
    Gva va;
    Access access;
  };

  PageStream(const Client& client, Gva start, Access access, Translator& translator, const MemoryPort& memory,
             Attention& attention);
  PageStream(const PageStream&) = delete;
  PageStream& operator=(const PageStream&) = delete;

  // The entry for the byte at offset, to be used now, or nullptr: it waits or failed. Asks for the pages after it, too, up to bytes.
  const TlbEntry* at(uint64_t offset, uint64_t bytes);
  Gva va(uint64_t offset) const { return start_ + offset; }
  // Of the first page that failed. The attention is asked for.
  const std::optional<Failure>& failure() const { return failure_; }

  // As of TranslationClient. True if it held an entry.
  bool drop(Pasid pasid, Gva start, Gva end);
  bool drop();

 private:
  class Window final : public TranslationWaiter {
   public:
    enum class State : uint8_t { Empty, Waiting, Valid, Failed };
    explicit Window(PageStream& stream) : stream_(stream) {}
    ~Window() override { stream_.translator_.forget(*this); }

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

    PageStream& stream_;
    State state_ = State::Empty;
    Gva va_{};
    TlbEntry entry_;
  };

  static constexpr size_t kWindows = 8;

  Window& window(size_t n) { return *windows_[(present_ + n) % kWindows]; }
  TranslationRequest request(Gva va) const;
  void leave_what_is_behind(Gva here);

  const Client client_;
  const Gva start_;
  const Access access_;
  Translator& translator_;
  const MemoryPort& memory_;
  Attention& attention_;
  std::optional<Failure> failure_;
  std::array<std::unique_ptr<Window>, kWindows> windows_;  // in the order of their addresses, from present_ on
  size_t present_ = 0;
};

}  // namespace tandem
