// SPDX-License-Identifier: GPL-2.0-or-later
// Step "atomic unit": words under way, from their load to their store.
#include "mem/atomic_unit.h"

#include "check/checker.h"
#include "mem/memory_port.h"

namespace tandem {

namespace {
constexpr uint64_t kLongestWord = sizeof(uint64_t);
}

// VRAM is the GPU's own only while neither a CPU nor a peer reaches it: memory that others reach does their atomics, too.
AtomicUnit::Means AtomicUnit::promised_means_for(tandem_aperture aperture) const {
  const bool pcie = config_.mode == TANDEM_ATOMICS_PCIE;
  const Means own = config_.pause ? Means::Paused : Means::Plain;
  switch (aperture) {
    case TANDEM_APERTURE_SYSTEM: return pcie && requester_ ? Means::Host : own;
    case TANDEM_APERTURE_VRAM: return pcie || config_.vram_is_shared || memory_.peers() ? Means::Host : own;
    case TANDEM_APERTURE_PEER: return Means::Host;
  }
  return own;
}

void AtomicUnit::set_requester(bool on) {
  if (on == requester_) return;
  drain_all();  // by the means that were right when they began
  requester_ = on;
}

// ---- the two ends ----

void AtomicUnit::watch(const AtomicWord& word, bool store) const {
  Checker* check = memory_.checker();
  if (check && word.system_scope && promised_means_for(word.aperture) != Means::Host) check->atomic(word.pasid, word.va, store);
}

void AtomicUnit::begin(const AtomicWord& word, uint32_t bytes, uint64_t loaded, uint64_t value, AtomicWaiter& waiter) {
  watch(word, false);
  const uint64_t moment = memory_.checker() ? memory_.checker()->moment() : 0;
  const auto at = in_order_.insert(in_order_.end(), {word, bytes, loaded, value, moment, now_ + config_.pause, &waiter});
  by_host_[word.host] = at;
  ++waiter.under_way_;
}

void AtomicUnit::judge(const UnderWay& atomic, Checker& check) const {
  TranslationRequest request;
  request.pasid = atomic.word.pasid;
  request.va = atomic.word.va;
  request.access = Access::Atomic;
  request.client = tandem_fault_client{};
  check.done_late(LateAccess::Atomic, request, atomic.word.va, atomic.bytes, atomic.moment);
  if (promised_means_for(atomic.word.aperture) != Means::Host) return;
  const uint64_t now = atomic.bytes == sizeof(uint32_t) ? load_relaxed<uint32_t>(atomic.word.host) : load_relaxed<uint64_t>(atomic.word.host);
  const uint64_t loaded = atomic.bytes == sizeof(uint32_t) ? static_cast<uint32_t>(atomic.loaded) : atomic.loaded;
  check.atomic_op_ends(atomic.word.pasid, atomic.word.va, loaded, now);
}

void AtomicUnit::store(const UnderWay& atomic) {
  if (Checker* check = memory_.checker()) judge(atomic, *check);
  watch(atomic.word, true);
  // Sequentially consistent, as host atomics are: what comes after it is not seen before it.
  if (atomic.bytes == sizeof(uint32_t))
    __atomic_store_n(reinterpret_cast<uint32_t*>(atomic.word.host), static_cast<uint32_t>(atomic.value), __ATOMIC_SEQ_CST);
  else
    __atomic_store_n(reinterpret_cast<uint64_t*>(atomic.word.host), atomic.value, __ATOMIC_SEQ_CST);
  memory_.stored(atomic.word.aperture, atomic.word.device_address, atomic.bytes);
}

// ---- words under way ----

void AtomicUnit::end(List::iterator at) {
  AtomicWaiter& waiter = *at->waiter;
  by_host_.erase(at->word.host);
  in_order_.erase(at);
  if (--waiter.under_way_ == 0) waiter.atomics_written();
}

AtomicUnit::UnderWay* AtomicUnit::word_of(const std::byte* host, uint32_t bytes, const AtomicWaiter& waiter) {
  if (!waiter.atomics_under_way()) return nullptr;
  const auto found = by_host_.find(host);
  if (found == by_host_.end()) return nullptr;
  UnderWay& atomic = *found->second;
  return atomic.waiter == &waiter && atomic.bytes == bytes ? &atomic : nullptr;
}

void AtomicUnit::complete_overlapping(const std::byte* host, uint64_t bytes) {
  const auto start = reinterpret_cast<uintptr_t>(host);
  auto at = by_host_.lower_bound(reinterpret_cast<const std::byte*>(start - (kLongestWord - 1)));
  while (at != by_host_.end() && reinterpret_cast<uintptr_t>(at->first) < start + bytes) {
    const List::iterator atomic = (at++)->second;
    if (!ranges_overlap(reinterpret_cast<uintptr_t>(atomic->word.host), atomic->bytes, start, bytes)) continue;
    store(*atomic);
    end(atomic);
  }
}

template <typename Which>
uint32_t AtomicUnit::complete_if(Which which) {
  uint32_t completed = 0;
  for (auto at = in_order_.begin(); at != in_order_.end();) {
    const auto atomic = at++;
    if (!which(*atomic)) continue;
    store(*atomic);
    end(atomic);
    ++completed;
  }
  return completed;
}

void AtomicUnit::tick(uint64_t now) {
  now_ = now;
  while (busy() && in_order_.front().due <= now) {
    store(in_order_.front());
    end(in_order_.begin());
  }
}

void AtomicUnit::complete(AtomicWaiter& waiter) {
  if (waiter.atomics_under_way()) complete_if([&](const UnderWay& atomic) { return atomic.waiter == &waiter; });
}

void AtomicUnit::discard(AtomicWaiter& waiter) {
  for (auto at = in_order_.begin(); waiter.atomics_under_way();) {
    const auto atomic = at++;
    if (atomic->waiter == &waiter) end(atomic);
  }
}

void AtomicUnit::reset() {
  while (busy()) end(in_order_.begin());
}

DrainResult AtomicUnit::drain(Pasid pasid, Gva start, Gva end) {
  DrainResult result;
  if (!busy() || start >= end) return result;
  result.stores_written = complete_if([&](const UnderWay& atomic) {
    return atomic.word.pasid == pasid && ranges_overlap(atomic.word.va.value, atomic.bytes, start.value, end - start);
  });
  return result;
}

DrainResult AtomicUnit::drain_all() {
  DrainResult result;
  result.stores_written = complete_if([](const UnderWay&) { return true; });
  return result;
}

}  // namespace tandem
