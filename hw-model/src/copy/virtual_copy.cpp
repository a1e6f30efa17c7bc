// SPDX-License-Identifier: GPL-2.0-or-later
// Copy engine on a process's virtual addresses: translation windows and chunks.
#include "copy/virtual_copy.h"

#include <algorithm>

#include "check/checker.h"
#include "copy/move_bytes.h"

namespace tandem {

VirtualCopy::VirtualCopy(const VirtualCopyRequest& request, Translator& translator, const MemoryPort& memory,
                         Attention& attention, Counters& counters)
    : request_(request),
      translator_(translator),
      memory_(memory),
      attention_(attention),
      counters_(counters),
      source_(*this, gva(request.source), Access::Read),
      destination_(*this, request.destination, Access::Write) {}

VirtualCopy::Window::State VirtualCopy::Window::ask(Gva va) {
  if (!stands_for(va)) clear();
  if (state_ != State::Empty) return state_;
  va_ = va;
  const TranslationRequest request{.pasid = copy_.request_.pasid,
                                   .queue = copy_.request_.queue,
                                   .va = va,
                                   .access = access_,
                                   .client = TANDEM_CLIENT_COPY,
                                   .unit = 0,
                                   .pc = 0};
  const TranslationResult result = copy_.translator_.translate(request, *this);
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

bool VirtualCopy::Window::stands_for(Gva va) const {
  if (state_ == State::Valid) return entry_.covers(va);
  return state_ != State::Empty && va.align_down(TANDEM_PAGE_BYTES) == va_.align_down(TANDEM_PAGE_BYTES);
}

void VirtualCopy::Window::clear() {
  if (state_ == State::Waiting) copy_.translator_.forget(*this);
  state_ = State::Empty;
}

// The engine's next step asks again.
void VirtualCopy::Window::translation_ready() { state_ = State::Empty; }

void VirtualCopy::Window::translation_failed(QueueError error, Gva) {
  state_ = State::Failed;
  if (!copy_.failure_) copy_.failure_ = Failure{error, va_, access_};
  copy_.attention_.ask();
}

bool VirtualCopy::Window::drop(Pasid pasid, Gva start, Gva end) {
  if (state_ != State::Valid || entry_.pasid != pasid) return false;
  if (!ranges_overlap(entry_.va.value, entry_.bytes, start.value, end - start)) return false;
  return drop();
}

bool VirtualCopy::Window::drop() {
  if (state_ != State::Valid) return false;
  state_ = State::Empty;
  entry_ = {};
  return true;
}

VirtualCopy::Side::Side(VirtualCopy& copy, Gva start, Access access) : start_(start) {
  for (auto& window : windows_) window = std::make_unique<Window>(copy, access);
}

void VirtualCopy::Side::leave_what_is_behind(Gva here) {
  for (size_t n = 0; n < kWindows && window(0).end() <= here; ++n) present_ = (present_ + 1) % kWindows;
}

const TlbEntry* VirtualCopy::Side::at(uint64_t offset, uint64_t bytes) {
  leave_what_is_behind(va(offset));
  const bool found = window(0).ask(va(offset)) == Window::State::Valid;
  const Gva end = start_ + bytes;
  for (size_t n = 1; n < kWindows; ++n) {
    const Gva next = window(n - 1).end();
    if (next >= end) break;
    window(n).ask(next);
  }
  return found ? &window(0).entry() : nullptr;
}

bool VirtualCopy::Side::drop(Pasid pasid, Gva start, Gva end) {
  bool dropped = false;
  for (const auto& window : windows_) dropped |= window->drop(pasid, start, end);
  return dropped;
}

bool VirtualCopy::Side::drop() {
  bool dropped = false;
  for (const auto& window : windows_) dropped |= window->drop();
  return dropped;
}

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
  if (failure_ || !to || (linear && !from)) return 0;

  const Gva to_va = destination_.va(done_);
  uint64_t bytes = std::min({most, request_.bytes - done_, to->va + to->bytes - to_va});
  const Gva from_va = source_.va(done_);
  if (linear) bytes = std::min(bytes, from->va + from->bytes - from_va);
  if (memory_.checker()) [[unlikely]] {
    if (linear) judge(*from, from_va, Access::Read);
    judge(*to, to_va, Access::Write);
  }
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

// Windows hold copies of entries for a long time.
void VirtualCopy::judge(const TlbEntry& entry, Gva va, Access access) const {
  TranslationRequest request;
  request.pasid = request_.pasid;
  request.queue = request_.queue;
  request.va = va;
  request.access = access;
  request.client = TANDEM_CLIENT_COPY;
  memory_.checker()->done_late(LateAccess::Copy, request, entry.va, entry.bytes, entry.began);
}

bool VirtualCopy::drain(Pasid pasid, Gva start, Gva end) {
  return source_.drop(pasid, start, end) | destination_.drop(pasid, start, end);
}

bool VirtualCopy::drain_all() { return source_.drop() | destination_.drop(); }

}  // namespace tandem
