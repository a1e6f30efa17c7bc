// SPDX-License-Identifier: GPL-2.0-or-later
// Builds device page tables in the fake host's memory, through the abi helpers.
#pragma once

#include <stdexcept>

#include "fake_host.h"
#include "tandem_abi.h"

namespace tandem::test {

// Hands out zeroed pages of the fake host's memory from the bottom up.
class PageAllocator {
 public:
  explicit PageAllocator(FakeHost& host) : host_(host) {}
  uint64_t take(uint64_t bytes = TANDEM_PAGE_BYTES, uint64_t align = TANDEM_PAGE_BYTES) {
    next_ = (next_ + align - 1) & ~(align - 1);
    const uint64_t address = next_;
    next_ += bytes;
    if (next_ > host_.ram_bytes()) throw std::runtime_error("the fake host's memory is used up");
    std::memset(host_.ram(address), 0, bytes);
    return address;
  }
  void rewind() { next_ = TANDEM_PAGE_BYTES; }

 private:
  FakeHost& host_;
  uint64_t next_ = TANDEM_PAGE_BYTES;
};

inline constexpr uint64_t kReadOnly = TANDEM_PTE_VALID | TANDEM_PTE_LEAF;
inline constexpr uint64_t kReadWrite = kReadOnly | TANDEM_PTE_WRITE | TANDEM_PTE_ATOMIC;

class PageTableBuilder {
 public:
  PageTableBuilder(FakeHost& host, PageAllocator& pages) : host_(host), pages_(pages), root_(pages.take()) {}

  uint64_t root() const { return root_; }

  // The entry of va at a level; makes the tables above it.
  uint64_t& entry(uint64_t va, int level = 0) {
    uint64_t table = root_;
    for (int at = TANDEM_PT_LEVELS - 1; at > level; --at) {
      uint64_t& directory = slot(table, va, at);
      if (!directory) directory = TANDEM_PTE_VALID | pages_.take();
      table = directory & TANDEM_PTE_ADDRESS;
    }
    return slot(table, va, level);
  }

  static uint64_t aperture(tandem_aperture aperture) { return TANDEM_FIELD_PUT(TANDEM_PTE_APERTURE, aperture); }

  void map(uint64_t va, uint64_t address, uint64_t flags = kReadWrite, int level = 0) {
    entry(va, level) = address | flags;
  }
  // 16 entries that form one 64 KiB leaf.
  void map_group(uint64_t va, uint64_t address, uint64_t flags = kReadWrite) {
    for (uint64_t page = 0; page < TANDEM_GROUP_PAGES; ++page)
      map(va + page * TANDEM_PAGE_BYTES, address + page * TANDEM_PAGE_BYTES, flags | TANDEM_PTE_GROUP);
  }
  // New pages for [va, va+bytes). Returns the address of the first; they are consecutive.
  uint64_t map_new(uint64_t va, uint64_t bytes, uint64_t flags = kReadWrite) {
    const uint64_t address = pages_.take(bytes);
    for (uint64_t offset = 0; offset < bytes; offset += TANDEM_PAGE_BYTES) map(va + offset, address + offset, flags);
    return address;
  }

 private:
  uint64_t& slot(uint64_t table, uint64_t va, int level) {
    return host_.at<uint64_t>(table + TANDEM_LEVEL_INDEX(va, level) * sizeof(uint64_t));
  }

  FakeHost& host_;
  PageAllocator& pages_;
  uint64_t root_;
};

}  // namespace tandem::test
