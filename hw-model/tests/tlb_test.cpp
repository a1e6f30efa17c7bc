// SPDX-License-Identifier: GPL-2.0-or-later
// One TLB by itself: lookup, replacement, kills, and how evenly pages spread over its sets.
#include "mmu/tlb.h"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

namespace tandem::test {
namespace {

TlbEntry entry_of(uint32_t pasid, uint64_t va, uint64_t bytes, bool write = true) {
  TlbEntry entry;
  entry.pasid = Pasid{{pasid}};
  entry.va = gva(va);
  entry.bytes = bytes;
  entry.write = entry.atomic = write;
  return entry;
}

TEST(Tlb, FindsEntriesOfEverySize) {
  Tlb tlb(16, 4);
  tlb.insert(entry_of(1, 0x1000, 4096));
  tlb.insert(entry_of(1, 0x20000, 1 << 16));
  tlb.insert(entry_of(1, 0x400000, 2 << 20));
  tlb.insert(entry_of(1, 1ULL << 30, 1 << 30));
  for (const uint64_t va : {0x1fffULL, 0x2ffffULL, 0x5fffffULL, (2ULL << 30) - 1})
    EXPECT_TRUE(tlb.lookup(Pasid{{1}}, gva(va), Access::Write)) << va;
  EXPECT_FALSE(tlb.lookup(Pasid{{1}}, gva(0x2000), Access::Read));
  EXPECT_FALSE(tlb.lookup(Pasid{{2}}, gva(0x1000), Access::Read));
  EXPECT_EQ(tlb.valid_entries(), 4u);
}

TEST(Tlb, EvictsTheLeastRecentlyUsed) {
  Tlb tlb(1, 2);
  tlb.insert(entry_of(1, 0x1000, 4096));
  tlb.insert(entry_of(1, 0x2000, 4096));
  tlb.lookup(Pasid{{1}}, gva(0x1000), Access::Read);
  EXPECT_TRUE(tlb.insert(entry_of(1, 0x3000, 4096)).evicted);
  EXPECT_TRUE(tlb.lookup(Pasid{{1}}, gva(0x1000), Access::Read));
  EXPECT_FALSE(tlb.lookup(Pasid{{1}}, gva(0x2000), Access::Read));
}

TEST(Tlb, AnUpgradeReplacesTheEntry) {
  Tlb tlb(4, 4);
  tlb.insert(entry_of(1, 0x1000, 4096, false));
  EXPECT_FALSE(tlb.lookup(Pasid{{1}}, gva(0x1000), Access::Write));
  EXPECT_FALSE(tlb.insert(entry_of(1, 0x1000, 4096, true)).evicted);
  EXPECT_TRUE(tlb.lookup(Pasid{{1}}, gva(0x1000), Access::Write));
  EXPECT_EQ(tlb.valid_entries(), 1u);
}

// Against a list of entries that is searched from end to end.
TEST(Tlb, KillsExactlyWhatOverlaps) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    Tlb tlb(64, 8);
    const uint64_t sizes[] = {4096, 1 << 16, 2 << 20, 1 << 30};
    for (int n = 0; n < 100; ++n) {
      const uint64_t bytes = sizes[random() % 4];
      tlb.insert(entry_of(1 + random() % 3, random() % (8ULL << 30) / bytes * bytes, bytes));
    }
    std::vector<TlbEntry> before;
    tlb.for_each([&](const TlbEntry& entry) { before.push_back(entry); });
    const uint64_t start = random() % (8ULL << 30) & ~4095ULL;
    const uint64_t end = start + 4096 * (1 + random() % (round % 2 ? 4 : 1 << 20));
    const auto overlaps = [&](const TlbEntry& entry) {
      return entry.pasid.value == 2 && entry.va.value < end && start < entry.va.value + entry.bytes;
    };
    const auto expected = static_cast<uint32_t>(std::count_if(before.begin(), before.end(), overlaps));
    EXPECT_EQ(tlb.kill(Pasid{{2}}, gva(start), gva(end)), expected);
    EXPECT_EQ(tlb.valid_entries(), before.size() - expected);
    tlb.for_each([&](const TlbEntry& entry) { EXPECT_FALSE(overlaps(entry)); });
  }
}

// The L1s of a device are copies of one empty TLB.
TEST(Tlb, ACopyIsIndependent) {
  const Tlb empty(4, 2);
  Tlb first(empty), second(empty);
  first.insert(entry_of(1, 0x1000, 4096));
  second.insert(entry_of(1, 0x2000, 4096));
  EXPECT_EQ(first.kill(Pasid{{1}}), 1u);
  EXPECT_EQ(second.valid_entries(), 1u);
  EXPECT_EQ(second.kill(Pasid{{1}}, gva(0x2000), gva(0x3000)), 1u);
}

TEST(Tlb, AnEntryAfterTheLastOfItsAddressSpaceWasKilledIsFoundAndKilled) {
  Tlb tlb(4, 2);
  for (int turn = 0; turn < 3; ++turn) {
    tlb.insert(entry_of(1, 0x1000, 4096));
    tlb.insert(entry_of(2, 0x1000, 4096));
    EXPECT_EQ(tlb.kill(Pasid{{1}}), 1u);
    EXPECT_EQ(tlb.kill(Pasid{{1}}), 0u);
    EXPECT_TRUE(tlb.lookup(Pasid{{2}}, gva(0x1000), Access::Read));
    EXPECT_EQ(tlb.kill_all(), 1u);
    EXPECT_FALSE(tlb.lookup(Pasid{{2}}, gva(0x1000), Access::Read));
  }
}

// A sweep over half of the entries must find nearly all again, whatever the distance between the pages.
TEST(Tlb, PagesAtAnyStrideSpreadOverTheSets) {
  for (uint64_t stride = 1; stride <= 1024; stride = stride < 8 ? stride + 1 : stride * 2) {
    Tlb tlb(32, 4);
    for (uint64_t n = 0; n < 64; ++n) tlb.insert(entry_of(1, (0x7f000 + n * stride) * 4096, 4096));
    EXPECT_GE(tlb.valid_entries(), 58u) << "pages " << stride << " apart";
  }
}

TEST(Tlb, SixtyFourPagesWithCodeAndStacksFitTheDefaultL1) {
  Tlb tlb(32, 4);
  uint64_t evictions = 0;
  for (int sweep = 0; sweep < 10; ++sweep) {
    const auto touch = [&](uint64_t page) {
      if (!tlb.lookup(Pasid{{1}}, gva(page * 4096), Access::Read)) evictions += tlb.insert(entry_of(1, page * 4096, 4096)).evicted;
    };
    for (uint64_t page = 0; page < 64; ++page) touch(0x7ffff0000 + page);
    for (uint64_t stack = 0; stack < 8; ++stack) touch(0x7fffe0000 + stack);
    for (uint64_t code = 0; code < 4; ++code) touch(0x555550000 + code);
  }
  EXPECT_LE(evictions, 8u);
}

}  // namespace
}  // namespace tandem::test
