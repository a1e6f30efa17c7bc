// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/code_cache.h"

#include "mem/memory_port.h"

namespace tandem::compute {

const CodePage* CodeCache::find(Pasid pasid, uint64_t page) const {
  const auto it = pages_.find(Key{pasid.value, page});
  return it == pages_.end() ? nullptr : it->second.get();
}

const CodePage* CodeCache::fill(Pasid pasid, uint64_t page, const std::byte* host, uint64_t moment) {
  if (pages_.size() >= kMaxPages) drop_all();
  auto fresh = std::make_unique<CodePage>();
  fresh->moment = moment;
  for (uint32_t i = 0; i < kCodePageWords; ++i) {
    Decoded& d = fresh->code[i];
    d = decode(load_relaxed<uint32_t>(host + 4 * i), page + 4 * i);
    d.full = d.alone = handlers_.full[static_cast<uint32_t>(d.op)];
    d.masked = handlers_.masked[static_cast<uint32_t>(d.op)];
  }
  for (uint32_t i = 0; i + 1 < kCodePageWords; ++i) fuse(handlers_.pairs, fresh->code[i], fresh->code[i + 1]);
  return (pages_[Key{pasid.value, page}] = std::move(fresh)).get();
}

template <typename Select>
bool CodeCache::drop_if(Select select) {
  bool any = false;
  for (auto it = pages_.begin(); it != pages_.end();) {
    if (!select(it->first)) {
      ++it;
      continue;
    }
    dropped_.push_back(std::move(it->second));
    it = pages_.erase(it);
    any = true;
  }
  return any;
}

bool CodeCache::drop(Pasid pasid) {
  return drop_if([&](const Key& key) { return key.pasid == pasid.value; });
}

bool CodeCache::drop(Pasid pasid, uint64_t start, uint64_t end) {
  return drop_if([&](const Key& key) {
    return key.pasid == pasid.value && key.page < end && start < key.page + kCodePageBytes;
  });
}

bool CodeCache::drop_all() {
  return drop_if([](const Key&) { return true; });
}

}  // namespace tandem::compute
