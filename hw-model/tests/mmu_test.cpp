// SPDX-License-Identifier: GPL-2.0-or-later
// Page walks and the MMU by themselves.
#include "mmu/mmu.h"

#include <utility>

#include "support/page_table_builder.h"

#include <gtest/gtest.h>

namespace tandem::test {
namespace {

struct Waiter final : TranslationWaiter {
  void translation_ready() override { ++ready; }
  void translation_failed(QueueError error, Gva) override { failed = error; }
  int ready = 0;
  QueueError failed = TANDEM_QUEUE_OK;
};

struct RecordingFaults final : FaultSink {
  std::optional<QueueError> raise(const TranslationRequest& request, tandem_fault_reason why, TranslationWaiter&) override {
    requests.push_back(request);
    reason = why;
    return {};
  }
  void forget(TranslationWaiter&) override {}
  std::vector<TranslationRequest> requests;
  int reason = 0;
};

class MmuTest : public testing::Test {
 protected:
  void make(uint32_t walk_latency = 0, uint32_t l2_latency = 0, uint32_t walkers = 2) {
    spaces.bind(Pasid{{1}}, AddressSpace{.root = iova(table.root())});
    mmu = std::make_unique<Mmu>(MmuConfig{.compute_units = 2, .l1_sets = 4, .l1_ways = 2, .l2_sets = 16, .l2_ways = 4,
                                          .walkers = walkers, .walk_latency = walk_latency, .l2_latency = l2_latency},
                                spaces, memory, faults, atc, page_requests, counters, trace, clock);
  }
  TranslationResult translate(uint64_t va, Access access = Access::Read, uint8_t unit = 0) {
    return mmu->translate({.pasid = Pasid{{1}}, .queue = {}, .va = gva(va), .access = access,
                           .client = TANDEM_CLIENT_COMPUTE, .unit = unit, .pc = 0}, waiter);
  }
  void ticks(uint64_t count) {
    for (; count; --count) mmu->tick(++now);
  }
  bool hits(uint64_t va, Access access = Access::Read) { return translate(va, access).kind == TranslationResult::Kind::Hit; }
  int fault_of(uint64_t va, Access access = Access::Read) {
    faults.reason = 0;
    translate(va, access);
    return faults.reason;
  }

  FakeHost host{32 << 20, 4 << 20};
  PageAllocator pages{host};
  PageTableBuilder table{host, pages};
  tandem_host_ops ops = host.ops();
  MemoryPort memory{ops, &host, host.vram(), 4 << 20};
  Host clock{ops, &host};
  Trace trace{ops, &host, true};
  Counters counters;
  AddressSpaces spaces{16};
  RecordingFaults faults;
  RetryLimits retries;
  PageRequests page_requests{spaces, retries, counters, trace, clock};
  Atc atc{4, 4, spaces, memory, counters, trace, clock};
  std::unique_ptr<Mmu> mmu;
  Waiter waiter;
  uint64_t now = 0;
};

TEST_F(MmuTest, TranslatesLeavesOfEverySize) {
  make();
  const uint64_t block = pages.take(2 << 20, 2 << 20);
  table.map(0x1000, block + 0x5000);
  table.map_group(0x20000, block + 0x10000);
  table.map(0x400000, block, kReadWrite, 1);
  EXPECT_EQ(translate(0x1234).entry->at(gva(0x1234)), host.ram(block + 0x5234));
  const TlbEntry group = *translate(0x2f123).entry;
  EXPECT_EQ(group.bytes, 1u << 16);
  EXPECT_EQ(group.at(gva(0x20000)), host.ram(block + 0x10000));
  const TlbEntry large = *translate(0x5fffff).entry;
  EXPECT_EQ(large.bytes, 2u << 20);
  EXPECT_EQ(large.at(gva(0x400000)), host.ram(block));
}

TEST_F(MmuTest, SetsAccessedAndDirtyBeforeTheAccess) {
  make();
  table.map_new(0x1000, 4096);
  const TlbEntry read = *translate(0x1000).entry;
  EXPECT_FALSE(read.write);
  EXPECT_EQ(table.entry(0x1000) & (TANDEM_PTE_ACCESSED | TANDEM_PTE_DIRTY), TANDEM_PTE_ACCESSED);
  const TlbEntry written = *translate(0x1000, Access::Write).entry;
  EXPECT_TRUE(written.write);
  EXPECT_TRUE(table.entry(0x1000) & TANDEM_PTE_DIRTY);
  EXPECT_TRUE(hits(0x1000, Access::Atomic));
}

TEST_F(MmuTest, AWriteNeverHitsACleanEntryInL2) {
  make();
  table.map_new(0x1000, 4096);
  translate(0x1000, Access::Read, 0);
  const uint64_t walks = counters[TANDEM_COUNTER_WALKS];
  translate(0x1000, Access::Write, 1);  // other unit: its L1 is empty, L2 has the clean entry
  EXPECT_EQ(counters[TANDEM_COUNTER_WALKS], walks + 1);
  EXPECT_TRUE(table.entry(0x1000) & TANDEM_PTE_DIRTY);
  mmu->l2().for_each([](const TlbEntry& entry) { EXPECT_TRUE(entry.write); });
}

TEST_F(MmuTest, FractionsOfALeafWhenTheHostsRunIsShorter) {
  make();
  const uint64_t block = pages.take(2 << 20, 2 << 20);
  table.map(0x400000, block, kReadWrite, 1);
  host.longest_run = 1 << 20;
  const TlbEntry part = *translate(0x512345).entry;
  EXPECT_EQ(part.bytes, 1u << 16);
  EXPECT_EQ(part.at(gva(0x512345)), host.ram(block + 0x112345));
  host.longest_run = 4096;
  const TlbEntry page = *translate(0x433333).entry;
  EXPECT_EQ(page.bytes, 4096u);
  EXPECT_EQ(page.at(gva(0x433333)), host.ram(block + 0x33333));
}

TEST_F(MmuTest, AGroupThatDoesNotAgreeIsCachedPageByPage) {
  make();
  const uint64_t block = pages.take(1 << 16, 1 << 16);
  table.map_group(0x20000, block);
  table.entry(0x25000) = 0;
  EXPECT_EQ(translate(0x23000).entry->bytes, 4096u);
  EXPECT_EQ(fault_of(0x25000), TANDEM_FAULT_NOT_PRESENT);
}

TEST_F(MmuTest, BadEntriesAreFaultsWithTheirReason) {
  make();
  const uint64_t page = pages.take();
  EXPECT_EQ(fault_of(0x1000), TANDEM_FAULT_NOT_PRESENT);
  table.map(0x1000, page, kReadOnly);
  EXPECT_EQ(fault_of(0x1000, Access::Write), TANDEM_FAULT_PERMISSION);
  table.map(0x2000, page, kReadOnly | TANDEM_PTE_WRITE);
  EXPECT_EQ(fault_of(0x2000, Access::Atomic), TANDEM_FAULT_PERMISSION);
  table.map(0x3000, page, TANDEM_PTE_VALID);  // level 0 without LEAF
  EXPECT_EQ(fault_of(0x3000), TANDEM_FAULT_BAD_PTE);
  table.map(0x4000, page, kReadWrite | TANDEM_BIT(7));
  EXPECT_EQ(fault_of(0x4000), TANDEM_FAULT_BAD_PTE);
  table.map(0x5000, page, kReadWrite | TANDEM_FIELD_PUT(TANDEM_PTE_APERTURE, 3));
  EXPECT_EQ(fault_of(0x5000), TANDEM_FAULT_BAD_PTE);
  table.map(0x6000, page, kReadWrite | TANDEM_PTE_GROUP);
  EXPECT_EQ(fault_of(0x6000), TANDEM_FAULT_BAD_PTE);  // page 6 of a group is not 64 KiB aligned there
  table.map(0x7000, 1ULL << 40, kReadWrite);
  EXPECT_EQ(fault_of(0x7000), TANDEM_FAULT_PAGE_DMA);
  table.map(0x8000, 4 << 20, kReadWrite | PageTableBuilder::aperture(TANDEM_APERTURE_VRAM));
  EXPECT_EQ(fault_of(0x8000), TANDEM_FAULT_PAGE_DMA);
  table.map(1 << 21, page, kReadWrite, 1);  // a 2 MiB leaf at a 4 KiB address
  EXPECT_EQ(fault_of(1 << 21), TANDEM_FAULT_BAD_PTE);
  table.entry(1ULL << 40, 3) = TANDEM_PTE_VALID | 1ULL << 45;
  EXPECT_EQ(fault_of(1ULL << 40), TANDEM_FAULT_TABLE_DMA);
  table.entry(2ULL << 40, 3) = TANDEM_PTE_VALID | TANDEM_PTE_DIRTY | page;
  EXPECT_EQ(fault_of(2ULL << 40), TANDEM_FAULT_BAD_PTE);
  EXPECT_EQ(translate(TANDEM_VA_LIMIT).error, TANDEM_QUEUE_ADDRESS_RANGE);
}

TEST_F(MmuTest, VideoMemoryIsTranslated) {
  make();
  table.map(0x200000, 2 << 20, kReadWrite | PageTableBuilder::aperture(TANDEM_APERTURE_VRAM), 1);
  const TlbEntry entry = *translate(0x234567).entry;
  EXPECT_EQ(entry.aperture, TANDEM_APERTURE_VRAM);
  EXPECT_EQ(entry.at(gva(0x234567)), host.vram((2 << 20) + 0x34567));
}

TEST_F(MmuTest, WalksOfTheSamePageAreOne) {
  make(3);
  table.map_new(0x1000, 4096);
  Waiter other;
  EXPECT_EQ(translate(0x1000).kind, TranslationResult::Kind::Wait);
  mmu->translate({.pasid = Pasid{{1}}, .queue = {}, .va = gva(0x1800), .access = Access::Read,
                  .client = TANDEM_CLIENT_COMPUTE, .unit = 1, .pc = 0}, other);
  translate(0x1000);
  ticks(50);
  EXPECT_EQ(counters[TANDEM_COUNTER_WALKS], 1u);
  EXPECT_EQ(waiter.ready, 1);
  EXPECT_EQ(other.ready, 1);
  EXPECT_EQ(mmu->l1(1).valid_entries(), 1u);
}

TEST_F(MmuTest, WalkersAreLimited) {
  make(5, 0, 1);
  for (uint64_t page = 1; page <= 3; ++page) table.map_new(page * 4096, 4096);
  for (uint64_t page = 1; page <= 3; ++page) translate(page * 4096);
  ticks(22);
  EXPECT_EQ(counters[TANDEM_COUNTER_WALKS], 1u);
  ticks(60);
  EXPECT_EQ(counters[TANDEM_COUNTER_WALKS], 3u);
  EXPECT_FALSE(mmu->busy());
}

// The driver exchanges the entry between the walker's read and its compare-and-swap.
TEST_F(MmuTest, AnEntryClearedBetweenReadAndSwapStaysCleared) {
  make(4);
  table.map_new(0x1000, 4096);
  translate(0x1000, Access::Write);
  ticks(3 * 4 + 2);  // the leaf is read and not judged
  const uint64_t taken = std::exchange(table.entry(0x1000), 0);
  EXPECT_FALSE(taken & TANDEM_PTE_DIRTY);
  ticks(100);
  EXPECT_EQ(table.entry(0x1000), 0u);
  EXPECT_EQ(faults.reason, TANDEM_FAULT_NOT_PRESENT);
  EXPECT_EQ(mmu->l2().valid_entries(), 0u);
}

TEST_F(MmuTest, AWalkThatNobodyWaitsForEnds) {
  make(4);
  table.map_new(0x1000, 4096);
  translate(0x1000);
  mmu->forget(waiter);
  EXPECT_FALSE(mmu->busy());
  ticks(50);
  EXPECT_EQ(waiter.ready, 0);
}

TEST_F(MmuTest, AnInvalidationOfAnotherPageDoesNotRestartTheWalk) {
  make(4);
  table.map_new(0x1000, 8192);
  translate(0x1000);
  for (int n = 0; n < 40; ++n) {
    mmu->invalidate(Pasid{{1}}, gva(0x2000), gva(0x3000));
    ticks(1);
  }
  EXPECT_EQ(waiter.ready, 1);
  EXPECT_EQ(counters[TANDEM_COUNTER_WALK_RESTARTS], 0u);
}

TEST_F(MmuTest, DroppedHostPointersAreAskedForAgain) {
  make(4);
  table.map_new(0x1000, 4096);
  translate(0x1000);
  ticks(9);
  const uint64_t maps = host.maps;
  mmu->drop_host_pointers();
  EXPECT_EQ(host.maps, maps) << "the host is not asked while its map changes";
  ticks(50);
  EXPECT_EQ(waiter.ready, 1);
  mmu->drop_host_pointers();
  EXPECT_EQ(mmu->l2().valid_entries() + mmu->l1(0).valid_entries(), 0u);
}

}  // namespace
}  // namespace tandem::test
