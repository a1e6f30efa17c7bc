// SPDX-License-Identifier: GPL-2.0-or-later
// One side of a copy on virtual addresses: its windows.
#include "copy/page_stream.h"

#include "check/checker.h"

namespace tandem {

PageStream::Window::State PageStream::Window::ask(Gva va) {
  if (!stands_for(va)) clear();
  if (state_ != State::Empty) return state_;
  va_ = va;
  const TranslationResult result = stream_.translator_.translate(stream_.request(va), *this);
  if (result.kind == TranslationResult::Kind::Hit) {
    entry_ = *result.entry;
    state_ = State::Valid;
  } else if (result.kind == TranslationResult::Kind::Wait) {
    state_ = State::Waiting;
  } else {
    translation_failed(result.error, va);
  }
  return state_;
}

bool PageStream::Window::stands_for(Gva va) const {
  if (state_ == State::Valid) return entry_.covers(va);
  return state_ != State::Empty && va.align_down(TANDEM_PAGE_BYTES) == va_.align_down(TANDEM_PAGE_BYTES);
}

void PageStream::Window::clear() {
  if (state_ == State::Waiting) stream_.translator_.forget(*this);
  state_ = State::Empty;
}

// The engine's next step asks again.
void PageStream::Window::translation_ready() { state_ = State::Empty; }

void PageStream::Window::translation_failed(QueueError error, Gva) {
  state_ = State::Failed;
  if (!stream_.failure_) stream_.failure_ = Failure{error, va_, stream_.access_};
  stream_.attention_.ask();
}

bool PageStream::Window::drop(Pasid pasid, Gva start, Gva end) {
  if (state_ != State::Valid || entry_.pasid != pasid) return false;
  if (!ranges_overlap(entry_.va.value, entry_.bytes, start.value, end - start)) return false;
  return drop();
}

bool PageStream::Window::drop() {
  if (state_ != State::Valid) return false;
  state_ = State::Empty;
  entry_ = {};
  return true;
}

PageStream::PageStream(const Client& client, Gva start, Access access, Translator& translator, const MemoryPort& memory,
                       Attention& attention)
    : client_(client), start_(start), access_(access), translator_(translator), memory_(memory), attention_(attention) {
  for (auto& window : windows_) window = std::make_unique<Window>(*this);
}

TranslationRequest PageStream::request(Gva va) const {
  return {.pasid = client_.pasid,
          .queue = client_.queue,
          .va = va,
          .access = access_,
          .client = TANDEM_CLIENT_COPY,
          .unit = 0,
          .pc = 0,
          .on_miss = client_.on_miss};
}

void PageStream::leave_what_is_behind(Gva here) {
  for (size_t n = 0; n < kWindows && window(0).end() <= here; ++n) present_ = (present_ + 1) % kWindows;
}

const TlbEntry* PageStream::at(uint64_t offset, uint64_t bytes) {
  leave_what_is_behind(va(offset));
  const bool found = window(0).ask(va(offset)) == Window::State::Valid;
  const Gva end = start_ + bytes;
  for (size_t n = 1; n < kWindows; ++n) {
    const Gva next = window(n - 1).end();
    if (next >= end) break;
    window(n).ask(next);
  }
  if (!found) return nullptr;
  const TlbEntry& entry = window(0).entry();
  if (Checker* check = memory_.checker()) [[unlikely]] check->used_later(entry, request(va(offset)));
  return &entry;
}

bool PageStream::drop(Pasid pasid, Gva start, Gva end) {
  bool dropped = false;
  for (const auto& window : windows_) dropped |= window->drop(pasid, start, end);
  return dropped;
}

bool PageStream::drop() {
  bool dropped = false;
  for (const auto& window : windows_) dropped |= window->drop();
  return dropped;
}

}  // namespace tandem
