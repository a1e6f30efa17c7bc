// SPDX-License-Identifier: GPL-2.0-or-later
// Copy engine on a process's virtual addresses: translation windows and chunks.
#include "copy/virtual_copy.h"

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
  if (state_ == State::Valid && !entry_.covers(va)) state_ = State::Empty;
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

void VirtualCopy::Window::translation_ready() {
  state_ = State::Empty;
  copy_.attention_.ask();
}

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

const TlbEntry* VirtualCopy::Side::at(uint64_t offset, uint64_t bytes) {
  const Gva here = va(offset);
  if (windows_[present_].state() == Window::State::Valid && !windows_[present_].entry().covers(here)) present_ ^= 1;
  if (windows_[present_].ask(here) != Window::State::Valid) return nullptr;
  const TlbEntry& entry = windows_[present_].entry();
  const Gva next = entry.va + entry.bytes;
  if (next - start_ < bytes) windows_[present_ ^ 1].ask(next);
  return &entry;
}

uint64_t VirtualCopy::piece(const TlbEntry& entry, Gva va, uint64_t bytes) const {
  return std::min(bytes, entry.bytes - (va - entry.va));
}

bool VirtualCopy::step(uint64_t chunk) {
  const bool linear = request_.kind == CopyKind::Linear;
  // Both are asked before either is used: a translation lasts only until the next question, so windows hold copies.
  const TlbEntry* from = linear ? source_.at(done_, request_.bytes) : nullptr;
  const TlbEntry* to = destination_.at(done_, request_.bytes);
  if (failure_ || !to || (linear && !from)) return false;

  const Gva to_va = destination_.va(done_);
  uint64_t bytes = piece(*to, to_va, std::min(chunk, request_.bytes - done_));
  if (linear) {
    const Gva from_va = source_.va(done_);
    bytes = piece(*from, from_va, bytes);
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
  if (ended()) attention_.ask();
  return true;
}

bool VirtualCopy::drain(Pasid pasid, Gva start, Gva end) {
  return source_.drop(pasid, start, end) | destination_.drop(pasid, start, end);
}

bool VirtualCopy::drain_all() { return source_.drop() | destination_.drop(); }

}  // namespace tandem
