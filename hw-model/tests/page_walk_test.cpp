// SPDX-License-Identifier: GPL-2.0-or-later
// One walk by itself, step by step: what it reads at each level, what it judges, and what a change between the two does.
#include "mmu/page_walk.h"

#include <gtest/gtest.h>

#include "support/page_table_builder.h"

namespace tandem::test {
namespace {

using Step = PageWalk::Step;

constexpr uint64_t kVa = 0x12345678000;
constexpr Pasid kPasid{{7}};

class PageWalkTest : public testing::Test {
 protected:
  PageWalk start(uint64_t va = kVa, Access access = Access::Read) { return PageWalk(iova(table.root()), gva(va), access); }
  Step step(PageWalk& walk) {
    walk.fetch(tables);
    return walk.resolve(tables, memory, kPasid);
  }
  // Until something else than a directory was found.
  Step finish(PageWalk& walk) {
    Step last = step(walk);
    while (last == Step::Descend) last = step(walk);
    return last;
  }
  int reason_of(uint64_t va, Access access = Access::Read) {
    PageWalk walk = start(va, access);
    return finish(walk) == Step::Fault ? static_cast<int>(walk.reason()) : -1;
  }

  FakeHost host{32 << 20, 4 << 20};
  PageAllocator pages{host};
  PageTableBuilder table{host, pages};
  tandem_host_ops ops = host.ops();
  MemoryPort memory{ops, &host, host.vram(), 4 << 20};
  TablePointers tables{memory};
};

TEST_F(PageWalkTest, GoesDownOneLevelAtATime) {
  const uint64_t page = table.map_new(kVa, TANDEM_PAGE_BYTES);
  PageWalk walk = start(kVa + 0x123);
  for (int level = TANDEM_PT_LEVELS - 1; level > 0; --level) ASSERT_EQ(step(walk), Step::Descend) << level;
  ASSERT_EQ(step(walk), Step::Found);
  EXPECT_EQ(walk.levels_read(), static_cast<uint32_t>(TANDEM_PT_LEVELS));
  EXPECT_EQ(walk.entry().va.value, kVa);
  EXPECT_EQ(walk.entry().bytes, TANDEM_PAGE_BYTES);
  EXPECT_EQ(walk.entry().device_address, page);
  EXPECT_EQ(walk.entry().host, host.ram(page));
  EXPECT_EQ(walk.entry().pasid, kPasid);
}

TEST_F(PageWalkTest, AReadMarksAccessedAStoreDirtyAsWell) {
  table.map_new(kVa, TANDEM_PAGE_BYTES);
  PageWalk read = start();
  ASSERT_EQ(finish(read), Step::Found);
  EXPECT_EQ(table.entry(kVa) & (TANDEM_PTE_ACCESSED | TANDEM_PTE_DIRTY), TANDEM_PTE_ACCESSED);
  EXPECT_FALSE(read.entry().write) << "a store has to come back, and mark the entry dirty";
  PageWalk write = start(kVa, Access::Write);
  ASSERT_EQ(finish(write), Step::Found);
  EXPECT_TRUE(table.entry(kVa) & TANDEM_PTE_DIRTY);
  EXPECT_TRUE(write.entry().write);
  PageWalk again = start();
  ASSERT_EQ(finish(again), Step::Found);
  EXPECT_TRUE(again.entry().write) << "it is dirty already";
}

TEST_F(PageWalkTest, MarkingTellsTheHostOfTheEntryOnce) {
  table.map_new(kVa, TANDEM_PAGE_BYTES);
  PageWalk first = start();
  finish(first);
  EXPECT_EQ(host.bytes_stored, sizeof(uint64_t));
  PageWalk second = start();
  finish(second);
  EXPECT_EQ(host.bytes_stored, sizeof(uint64_t)) << "nothing was stored";
}

TEST_F(PageWalkTest, AnEntryThatChangesBetweenReadAndMarkIsReadAgain) {
  table.map_new(kVa, TANDEM_PAGE_BYTES);
  PageWalk walk = start();
  for (int level = TANDEM_PT_LEVELS - 1; level > 0; --level) step(walk);
  walk.fetch(tables);
  table.entry(kVa) = 0;  // the driver
  EXPECT_EQ(walk.resolve(tables, memory, kPasid), Step::Changed);
  EXPECT_EQ(table.entry(kVa), 0u) << "it does not come back to life";
  walk.restart();
  EXPECT_EQ(finish(walk), Step::Fault);
  EXPECT_EQ(walk.reason(), TANDEM_FAULT_NOT_PRESENT);
  EXPECT_EQ(walk.restarts(), 1u);
}

TEST_F(PageWalkTest, EachFaultHasItsReason) {
  table.map_new(kVa, TANDEM_PAGE_BYTES, kReadOnly);
  EXPECT_EQ(reason_of(kVa), -1);
  EXPECT_EQ(reason_of(kVa, Access::Execute), -1);
  EXPECT_EQ(reason_of(kVa, Access::Write), TANDEM_FAULT_PERMISSION);
  EXPECT_EQ(reason_of(kVa, Access::Atomic), TANDEM_FAULT_PERMISSION);
  EXPECT_EQ(reason_of(kVa + TANDEM_PAGE_BYTES), TANDEM_FAULT_NOT_PRESENT);
  table.entry(kVa) = (64ull << 20) | kReadOnly;
  EXPECT_EQ(reason_of(kVa), TANDEM_FAULT_PAGE_DMA);
  table.entry(kVa, 1) = TANDEM_PTE_VALID | (64ull << 20);
  EXPECT_EQ(reason_of(kVa), TANDEM_FAULT_TABLE_DMA);
  table.entry(kVa, 1) = TANDEM_PTE_VALID | (1ull << 20) | TANDEM_PDE_RESERVED;
  EXPECT_EQ(reason_of(kVa), TANDEM_FAULT_BAD_PTE);
}

TEST_F(PageWalkTest, AFaultMarksNothing) {
  table.map_new(kVa, TANDEM_PAGE_BYTES, kReadOnly);
  const uint64_t before = table.entry(kVa);
  EXPECT_EQ(reason_of(kVa, Access::Write), TANDEM_FAULT_PERMISSION);
  EXPECT_EQ(table.entry(kVa), before);
}

TEST_F(PageWalkTest, RestsOnItsPageUntilALeafIsRead) {
  constexpr uint64_t kLarge = 2ull << 20;
  constexpr uint64_t kLargeVa = kVa & ~(kLarge - 1);
  table.map(kLargeVa, pages.take(kLarge, kLarge), kReadWrite, 1);
  PageWalk walk = start(kLargeVa + 5 * TANDEM_PAGE_BYTES);
  const auto overlaps = [&](uint64_t offset) {
    return walk.overlaps(gva(kLargeVa + offset), gva(kLargeVa + offset + TANDEM_PAGE_BYTES));
  };
  EXPECT_TRUE(overlaps(5 * TANDEM_PAGE_BYTES));
  EXPECT_FALSE(overlaps(4 * TANDEM_PAGE_BYTES));
  ASSERT_EQ(step(walk), Step::Descend);
  ASSERT_EQ(step(walk), Step::Descend);
  walk.fetch(tables);
  EXPECT_TRUE(overlaps(0)) << "the whole leaf, now";
  EXPECT_TRUE(overlaps(kLarge - TANDEM_PAGE_BYTES));
  EXPECT_FALSE(overlaps(kLarge));
  ASSERT_EQ(walk.resolve(tables, memory, kPasid), Step::Found);
  EXPECT_EQ(walk.entry().bytes, kLarge);
}

TEST_F(PageWalkTest, AGroupIsOneEntryOnlyWhileItsPagesAgree) {
  constexpr uint64_t kGroup = TANDEM_GROUP_PAGES * TANDEM_PAGE_BYTES;
  constexpr uint64_t kGroupVa = kVa & ~(kGroup - 1);
  table.map_group(kGroupVa, pages.take(kGroup, kGroup));
  PageWalk whole = start(kGroupVa + 3 * TANDEM_PAGE_BYTES);
  ASSERT_EQ(finish(whole), Step::Found);
  EXPECT_EQ(whole.entry().bytes, kGroup);
  table.entry(kGroupVa + 9 * TANDEM_PAGE_BYTES) = 0;
  PageWalk page = start(kGroupVa + 3 * TANDEM_PAGE_BYTES);
  ASSERT_EQ(finish(page), Step::Found);
  EXPECT_EQ(page.entry().bytes, TANDEM_PAGE_BYTES);
}

}  // namespace
}  // namespace tandem::test
