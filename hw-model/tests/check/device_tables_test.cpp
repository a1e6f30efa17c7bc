// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/device_tables.h"

#include <gtest/gtest.h>

#include "support/page_table_builder.h"

namespace tandem::test {
namespace {

struct DeviceTables : ::testing::Test {
  std::optional<DeviceLeaf> find(uint64_t va) { return tables.find(iova(table.root()), gva(va)); }

  FakeHost host{32 << 20, 4 << 20};
  PageAllocator pages{host};
  PageTableBuilder table{host, pages};
  tandem_host_ops ops = host.ops();
  MemoryPort memory{ops, &host, host.vram(), 4 << 20};
  tandem::DeviceTables tables{memory};
};

TEST_F(DeviceTables, ALeafOfEachSizeGivesThePageOfTheAddress) {
  const uint64_t block = pages.take(2 << 20, 2 << 20);
  table.map(0x1000, block + 0x5000, kReadOnly);
  table.map(0x400000, block, kReadWrite, 1);
  EXPECT_EQ(find(0x1234)->address, block + 0x5000);
  EXPECT_EQ(find(0x1234)->bytes, TANDEM_PAGE_BYTES);
  EXPECT_EQ(find(0x403456)->address, block + 0x3000);
  EXPECT_EQ(find(0x403456)->bytes, 2u << 20);
}

TEST_F(DeviceTables, TellsTheApertureAndThePeer) {
  table.map(0x1000, 0x3000, kReadOnly | PageTableBuilder::aperture(TANDEM_APERTURE_VRAM));
  table.map(0x2000, 0x3000, kReadOnly | PageTableBuilder::aperture(TANDEM_APERTURE_PEER) | TANDEM_FIELD_PUT(TANDEM_PTE_PEER, 5));
  EXPECT_EQ(find(0x1000)->aperture, TANDEM_APERTURE_VRAM);
  EXPECT_EQ(find(0x2000)->address, peer_address(5, 0x3000));
}

TEST_F(DeviceTables, PermitsWhatTheEntryPermits) {
  table.map(0x1000, pages.take(), kReadOnly);
  table.map(0x2000, pages.take(), kReadOnly | TANDEM_PTE_WRITE);
  EXPECT_TRUE(find(0x1000)->permits(Access::Execute));
  EXPECT_FALSE(find(0x1000)->permits(Access::Write));
  EXPECT_TRUE(find(0x2000)->permits(Access::Write));
  EXPECT_FALSE(find(0x2000)->permits(Access::Atomic));
  EXPECT_FALSE(find(0x3000)->permits(Access::Read)) << "nothing is mapped there";
}

TEST_F(DeviceTables, MarksNothing) {
  table.map(0x1000, pages.take());
  find(0x1000);
  EXPECT_FALSE(table.entry(0x1000) & (TANDEM_PTE_ACCESSED | TANDEM_PTE_DIRTY));
}

TEST_F(DeviceTables, DoesNotKnowWhereATableIsNoMemory) {
  table.entry(0x1000, 1) = TANDEM_PTE_VALID | (64ULL << 20);
  EXPECT_EQ(find(0x1000), std::nullopt);
  EXPECT_TRUE(find(0x40000000).has_value());
}

TEST_F(DeviceTables, ReadsTheInstructionOfAReport) {
  const uint64_t page = table.map_new(0x1000, TANDEM_PAGE_BYTES);
  host.at<uint32_t>(page + 0x10) = 0x8067;
  EXPECT_EQ(tables.read_word(iova(table.root()), gva(0x1010)), 0x8067u);
  EXPECT_EQ(tables.read_word(iova(table.root()), gva(0x5000)), std::nullopt);
}

}  // namespace
}  // namespace tandem::test
