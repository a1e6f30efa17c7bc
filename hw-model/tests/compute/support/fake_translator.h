// SPDX-License-Identifier: GPL-2.0-or-later
// Test support: memory of one or more address spaces in pages of 4 KiB, and a Translator over it of which a test can make
// pages miss, be read-only, refuse atomics, fail or disappear. Also the host operations behind a MemoryPort, which
// record what was stored.
#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "mem/memory_port.h"
#include "mmu/translation.h"

namespace tandem::test {

inline constexpr uint64_t kPage = 4096;

struct FakePage {
  alignas(4096) std::byte bytes[kPage]{};
  bool present = true;
  bool write = true;
  bool atomic = true;
  QueueError failure = TANDEM_QUEUE_OK;   // translate() fails at once
  tandem_aperture aperture = TANDEM_APERTURE_SYSTEM;
};

class FakeTranslator final : public Translator {
 public:
  struct Wanted {
    uint32_t pasid;
    uint64_t page;
    Access access;
    auto operator<=>(const Wanted&) const = default;
  };

  FakePage& page(uint64_t va, uint32_t space = 1) {
    auto& slot = pages_[{space, va / kPage}];
    if (!slot) slot = std::make_unique<FakePage>();
    return *slot;
  }
  void map(uint64_t va, uint64_t bytes, uint32_t space = 1) {
    for (uint64_t at = va & ~(kPage - 1); at < va + bytes; at += kPage) page(at, space);
  }
  std::byte* at(uint64_t va, uint32_t space = 1) { return page(va, space).bytes + va % kPage; }

  template <typename T>
  T get(uint64_t va, uint32_t space = 1) {
    T value;
    for (size_t i = 0; i < sizeof(T); ++i) std::memcpy(reinterpret_cast<char*>(&value) + i, at(va + i, space), 1);
    return value;
  }
  template <typename T>
  void put(uint64_t va, T value, uint32_t space = 1) {
    for (size_t i = 0; i < sizeof(T); ++i) std::memcpy(at(va + i, space), reinterpret_cast<const char*>(&value) + i, 1);
  }

  // Entries stay cached (a lookup finds them) until the test invalidates; nothing is cached for missing pages.
  const TlbEntry* lookup(const TranslationRequest& request) override {
    ++lookups;
    if (!cache_entries) return nullptr;
    const auto it = entries_.find({request.pasid.value, request.va.value / kPage});
    return it != entries_.end() && it->second.permits(request.access) ? &it->second : nullptr;
  }

  TranslationResult translate(const TranslationRequest& request, TranslationWaiter& waiter) override {
    if (before_translate) before_translate(request);
    requests.push_back(request);
    const auto it = pages_.find({request.pasid.value, request.va.value / kPage});
    FakePage* found = it == pages_.end() ? nullptr : it->second.get();
    if (found && found->failure != TANDEM_QUEUE_OK)
      return {.kind = TranslationResult::Kind::Failed, .entry = nullptr, .error = found->failure};
    if (!found || !found->present || !permits(*found, request.access)) {
      waiters_.insert(&waiter);
      wanted.insert({request.pasid.value, request.va.value / kPage * kPage, request.access});
      return {.kind = TranslationResult::Kind::Wait};
    }
    TlbEntry& entry = entries_[{request.pasid.value, request.va.value / kPage}];
    entry = {.pasid = request.pasid, .va = request.va.align_down(kPage), .bytes = kPage, .host = found->bytes,
             .device_address = request.va.align_down(kPage).value + (uint64_t{request.pasid.value} << 48),
             .aperture = found->aperture, .write = found->write, .atomic = found->atomic, .pte = 0};
    return {.kind = TranslationResult::Kind::Hit, .entry = &entry};
  }

  void forget(TranslationWaiter& waiter) override { waiters_.erase(&waiter); }

  void invalidate(uint64_t va, uint64_t bytes, uint32_t space = 1) {
    std::erase_if(entries_, [&](const auto& e) {
      return e.first.first == space && e.first.second * kPage < va + bytes && va < e.first.second * kPage + kPage;
    });
  }

  // The driver serviced something: all who wait may ask again.
  void replay() {
    wanted.clear();
    for (TranslationWaiter* waiter : std::exchange(waiters_, {})) waiter->translation_ready();
  }
  // Tells that something came, and goes on holding the waiters' other waits.
  void tell_ready() {
    for (TranslationWaiter* waiter : waiters_) waiter->translation_ready();
  }
  void cancel(QueueError error, uint64_t va) {
    wanted.clear();
    for (TranslationWaiter* waiter : std::exchange(waiters_, {})) waiter->translation_failed(error, gva(va));
  }
  size_t waiting() const { return waiters_.size(); }

  bool cache_entries = true;
  uint64_t lookups = 0;
  std::vector<TranslationRequest> requests;   // all calls of translate()
  std::set<Wanted> wanted;                    // pages that somebody waits for
  std::function<void(const TranslationRequest&)> before_translate;

 private:
  static bool permits(const FakePage& page, Access access) {
    return access == Access::Write ? page.write : access == Access::Atomic ? page.atomic : true;
  }
  std::map<std::pair<uint32_t, uint64_t>, std::unique_ptr<FakePage>> pages_;
  std::map<std::pair<uint32_t, uint64_t>, TlbEntry> entries_;
  std::set<TranslationWaiter*> waiters_;
};

// Only what a compute unit's MemoryPort uses.
class StoreLog {
 public:
  struct Store {
    uint64_t address;
    uint64_t bytes;
  };

  StoreLog() {
    ops_.size = sizeof ops_;
    ops_.stored = [](void* opaque, const tandem_stored_range* ranges, uint32_t count) {
      StoreLog& log = *static_cast<StoreLog*>(opaque);
      for (uint32_t i = 0; i < count; ++i) {
        log.system.push_back({ranges[i].address, ranges[i].bytes});
        if (log.on_system) log.on_system(log.system.back());
      }
    };
    ops_.vram_stored = [](void* opaque, uint64_t address, uint64_t bytes) {
      static_cast<StoreLog*>(opaque)->vram.push_back({address, bytes});
    };
  }
  const tandem_host_ops& ops() const { return ops_; }

  std::vector<Store> system, vram;
  std::function<void(const Store&)> on_system;

 private:
  tandem_host_ops ops_{};
};

}  // namespace tandem::test
