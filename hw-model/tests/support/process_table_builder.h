// SPDX-License-Identifier: GPL-2.0-or-later
// Builds the page table of a process in the fake host's memory, in a format of its own: the checker knows none.
#pragma once

#include "page_table_builder.h"

namespace tandem::test {

class ProcessTableBuilder {
 public:
  // A format that is no processor's.
  static constexpr uint64_t kPresent = TANDEM_BIT(3), kUser = TANDEM_BIT(5), kWrite = TANDEM_BIT(9), kLarge = TANDEM_BIT(2),
                            kNoRight = TANDEM_BIT(8), kIgnored = TANDEM_BIT(0), kAddress = TANDEM_MASK(47, 12),
                            kType = TANDEM_MASK(63, 59), kOffset = TANDEM_MASK(58, 10);
  static constexpr uint64_t kReadable = kPresent | kUser, kWritable = kReadable | kWrite;
  enum Type : uint64_t { kSwap = 0, kMigration = 20, kDeviceRead = 21, kDeviceWrite = 22, kExclusive = 23, kPoison = 24, kMarker = 25 };

  ProcessTableBuilder(FakeHost& host, PageAllocator& pages, uint32_t levels = 4)
      : host_(host), pages_(pages), levels_(levels), root_(pages.take()), format_(pages.take()) {
    tandem_check_format& format = this->format();
    format.ignored = kIgnored;
    format.present = kPresent;
    format.user = kUser;
    format.write = kWrite;
    format.large = kLarge;
    format.address = kAddress;
    format.none_right = kNoRight;
    format.type = kType;
    format.offset = kOffset;
    format.offset_flip = ~0ULL;
    format.offset_frame = TANDEM_MASK(35, 0);
    for (uint64_t type = 0; type < 20; ++type) format.kinds[type] = TANDEM_CHECK_SWAP;
    format.kinds[kMigration] = TANDEM_CHECK_MIGRATION;
    format.kinds[kDeviceRead] = TANDEM_CHECK_DEVICE_READ;
    format.kinds[kDeviceWrite] = TANDEM_CHECK_DEVICE_WRITE;
    format.kinds[kExclusive] = TANDEM_CHECK_EXCLUSIVE;
    format.kinds[kPoison] = TANDEM_CHECK_POISON;
    format.kinds[kMarker] = TANDEM_CHECK_MARKER;
  }

  uint64_t root() const { return root_; }
  uint32_t levels() const { return levels_; }
  uint64_t format_address() const { return format_; }
  tandem_check_format& format() { return host_.at<tandem_check_format>(format_); }

  // The entry of va at a level; makes the tables above it.
  uint64_t& entry(uint64_t va, uint32_t level = 0) {
    uint64_t table = root_;
    for (uint32_t at = levels_ - 1; at > level; --at) {
      uint64_t& directory = slot(table, va, at);
      if (!directory) directory = pages_.take() | kWritable;
      table = directory & kAddress;
    }
    return slot(table, va, level);
  }
  void map(uint64_t va, uint64_t address, uint64_t flags = kWritable, uint32_t level = 0) {
    entry(va, level) = address | flags | (level ? kLarge : 0);
  }
  void put_soft(uint64_t va, Type type, uint64_t offset, uint32_t level = 0) {
    entry(va, level) = TANDEM_FIELD_PUT(kType, type) | (~TANDEM_FIELD_PUT(kOffset, offset) & kOffset);
  }
  void clear(uint64_t va, uint32_t level = 0) { entry(va, level) = 0; }

 private:
  uint64_t& slot(uint64_t table, uint64_t va, uint32_t level) {
    const uint64_t index = va >> (TANDEM_PAGE_SHIFT + TANDEM_CHECK_LEVEL_BITS * level) & (TANDEM_CHECK_TABLE_ENTRIES - 1);
    return host_.at<uint64_t>(table + index * sizeof(uint64_t));
  }

  FakeHost& host_;
  PageAllocator& pages_;
  uint32_t levels_;
  uint64_t root_, format_;
};

// What the driver writes down of one process's memory.
class ProcessWindows {
 public:
  ProcessWindows(FakeHost& host, PageAllocator& pages, const ProcessTableBuilder& table) : host_(host), page_(pages.take()) {
    shared().root = table.root();
    shared().levels = table.levels();
  }

  uint64_t address() const { return page_; }
  tandem_check_space& shared() { return host_.at<tandem_check_space>(page_); }

  uint64_t open(uint64_t start, uint64_t end, bool own = false, uint32_t cause = TANDEM_CAUSE_UNMAP) {
    const uint64_t number = shared().opened + 1;
    tandem_check_window& slot = shared().windows[number % TANDEM_CHECK_WINDOWS];
    slot = {.number = number, .start = start, .end = end, .cause = cause, .open = 1, .own = own, .tgid = 42, .reserved = 0};
    ++shared().open;
    shared().opened = number;
    return number;
  }
  void close(uint64_t number) {
    shared().windows[number % TANDEM_CHECK_WINDOWS].open = 0;
    --shared().open;
  }
  // A notifier that did all that it had to do.
  void pass(uint64_t start, uint64_t end, bool own = false) { close(open(start, end, own)); }

 private:
  FakeHost& host_;
  uint64_t page_;
};

}  // namespace tandem::test
