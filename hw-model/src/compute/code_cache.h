// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit": decoded code pages of one unit, by address space and page. A page is fetched and decoded whole, once.
//
// A decoded page rests on the translation of its code page, so it is dropped by an invalidation of it (drain), by the
// acquire fence of a dispatch, and by fence.i. All of them may come while an instruction of that very page runs: dropped
// pages stay allocated, unreachable, until reclaim().
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/types.h"
#include "compute/decode.h"
#include "compute/execute.h"

namespace tandem::compute {

inline constexpr uint64_t kCodePageBytes = TANDEM_PAGE_BYTES;
inline constexpr uint32_t kCodePageWords = kCodePageBytes / 4;

struct CodePage {
  Decoded code[kCodePageWords];
  uint64_t moment = 0;          // the checker's, when its translation was found
  mutable uint32_t judged = 0;  // its round
};

class CodeCache {
 public:
  explicit CodeCache(const HandlerTable& handlers) : handlers_(handlers) {}

  // nullptr: not there. page: address of its first byte.
  const CodePage* find(Pasid pasid, uint64_t page) const;
  // Decodes the page at host, which must be readable for kCodePageBytes.
  const CodePage* fill(Pasid pasid, uint64_t page, const std::byte* host, uint64_t moment = 0);

  // Each says whether anything was dropped.
  bool drop(Pasid pasid);
  bool drop(Pasid pasid, uint64_t start, uint64_t end);
  bool drop_all();

  // Nothing of a dropped page is in use any more.
  void reclaim() { dropped_.clear(); }

 private:
  struct Key {
    uint32_t pasid;
    uint64_t page;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const { return key.page * 0x9e3779b97f4a7c15 ^ key.pasid; }
  };
  template <typename Select>
  bool drop_if(Select select);

  static constexpr size_t kMaxPages = 64;  // 3 MiB; more code than that is decoded again
  HandlerTable handlers_;
  std::unordered_map<Key, std::unique_ptr<CodePage>, KeyHash> pages_;
  std::vector<std::unique_ptr<CodePage>> dropped_;
};

}  // namespace tandem::compute
