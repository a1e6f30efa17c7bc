// SPDX-License-Identifier: GPL-2.0-or-later
// What the page table of a process grants, entry by entry.
#include "check/process_tables.h"

#include <gtest/gtest.h>

#include "support/process_table_builder.h"

namespace tandem::test {
namespace {

using Why = Grant::Why;
using Builder = ProcessTableBuilder;

constexpr uint64_t kVa = 0x12345678000;
constexpr uint64_t k2M = 1ULL << TANDEM_LEAF_2M;

class ProcessTablesTest : public testing::Test {
 protected:
  ProcessTablesTest() { EXPECT_TRUE(tables.set_format(table.format_address())); }
  Grant look(uint64_t va = kVa) { return tables.look(table.root(), table.levels(), gva(va)); }
  // Frames from `first` on are the memory of a GPU.
  void put_frames(uint32_t slot, uint64_t first, uint64_t pages, tandem_aperture aperture, uint32_t peer = 0) {
    table.format().frames[slot] = {first, pages, static_cast<uint32_t>(aperture), peer};
    ASSERT_TRUE(tables.set_format(table.format_address()));
  }
  void expect_nothing(Why why, uint64_t va = kVa) {
    const Grant grant = look(va);
    EXPECT_EQ(grant.why, why) << words_of(grant.why);
    EXPECT_FALSE(grant.read);
    EXPECT_FALSE(grant.write);
  }

  FakeHost host;
  PageAllocator pages{host};
  Builder table{host, pages};
  tandem_host_ops ops = host.ops();
  MemoryPort memory{ops, &host, nullptr, 0};
  PhysicalPages physical{memory};
  ProcessTables tables{physical};
};

TEST_F(ProcessTablesTest, APresentEntryGrantsReadingAndItsBitWriting) {
  table.map(kVa, 0x5000, Builder::kReadable);
  EXPECT_EQ(look(), (Grant{Why::Present, true, false, TANDEM_APERTURE_SYSTEM, 0x5000, 12, 0x5000 | Builder::kReadable}));
  table.map(kVa, 0x5000);
  EXPECT_TRUE(look().write);
}

TEST_F(ProcessTablesTest, WritingNeedsItsBitAtEveryLevel) {
  table.map(kVa, 0x5000);
  table.entry(kVa, 2) &= ~Builder::kWrite;
  EXPECT_TRUE(look().read);
  EXPECT_FALSE(look().write);
}

TEST_F(ProcessTablesTest, WhatIsTheKernelsAloneGrantsNothing) {
  table.map(kVa, 0x5000, Builder::kPresent | Builder::kWrite);
  expect_nothing(Why::NoRight);
  table.map(kVa, 0x5000);
  table.entry(kVa, 1) &= ~Builder::kUser;
  expect_nothing(Why::NoRight);
}

TEST_F(ProcessTablesTest, LargeLeavesGrantEachOfTheirPages) {
  table.map(kVa, 4 * k2M, Builder::kWritable, 1);
  EXPECT_EQ(look().shift, 21u);
  EXPECT_EQ(look().address, 4 * k2M + kVa % k2M);
  table.map(1ULL << 40, 1ULL << 30, Builder::kReadable, 2);
  EXPECT_EQ(look((1ULL << 40) + 0x3456000).address, (1ULL << 30) + 0x3456000);
  EXPECT_EQ(look(1ULL << 40).shift, 30u);
}

TEST_F(ProcessTablesTest, AddressBitsBelowALargeLeafsSizeMeanSomethingElse) {
  table.map(kVa, 4 * k2M | 0x1000, Builder::kWritable, 1);
  EXPECT_EQ(look().address, 4 * k2M + kVa % k2M);
}

TEST_F(ProcessTablesTest, FiveLevelsAreOneMore) {
  Builder deep(host, pages, 5);
  ASSERT_TRUE(tables.set_format(deep.format_address()));
  deep.map(kVa, 0x7000);
  EXPECT_EQ(tables.look(deep.root(), 5, gva(kVa)).address, 0x7000u);
  EXPECT_EQ(tables.look(deep.root(), 5, gva(kVa | 1ULL << 48)).why, Why::Empty);
}

TEST_F(ProcessTablesTest, AnEntryWithNothingButIgnoredBitsIsEmpty) {
  expect_nothing(Why::Empty);
  EXPECT_EQ(look().shift, 39u) << "at the top";
  table.entry(kVa) = Builder::kIgnored;
  expect_nothing(Why::Empty);
  EXPECT_EQ(look().shift, 12u);
}

TEST_F(ProcessTablesTest, NoRightIsNoRightAtAnyLevel) {
  table.entry(kVa) = 0x5000 | Builder::kNoRight | Builder::kUser;
  expect_nothing(Why::NoRight);
  table.entry(1ULL << 40, 1) = 4 * k2M | Builder::kNoRight | Builder::kLarge;
  expect_nothing(Why::NoRight, 1ULL << 40);
}

TEST_F(ProcessTablesTest, ALargeEntryThatIsNotPresentIsInTransit) {
  table.entry(kVa, 1) = 4 * k2M | Builder::kLarge | Builder::kWrite;
  expect_nothing(Why::InTransit);
}

TEST_F(ProcessTablesTest, SoftEntriesGrantNothingUnlessADeviceHasThePage) {
  const std::pair<Builder::Type, Why> kinds[] = {{Builder::kSwap, Why::Swapped},
                                                 {Builder::kMigration, Why::Migrating},
                                                 {Builder::kPoison, Why::Poisoned},
                                                 {Builder::kMarker, Why::Marker},
                                                 {Builder::kDeviceWrite, Why::ForeignDevice},
                                                 {static_cast<Builder::Type>(30), Why::Unknown}};
  for (const auto& [type, why] : kinds) {
    table.put_soft(kVa, type, 0x77);
    expect_nothing(why);
  }
}

TEST_F(ProcessTablesTest, AnExclusivePageStaysGrantedToDevices) {
  table.put_soft(kVa, Builder::kExclusive, 0x5);
  EXPECT_EQ(look().why, Why::Exclusive);
  EXPECT_TRUE(look().write);
  EXPECT_EQ(look().address, 0x5000u);
  EXPECT_EQ(look().aperture, TANDEM_APERTURE_SYSTEM);
}

TEST_F(ProcessTablesTest, BitsBeyondTheFrameAreNoPartOfIt) {
  table.put_soft(kVa, Builder::kExclusive, 0x5 | 1ULL << 40);
  EXPECT_EQ(look().address, 0x5000u);
}

TEST_F(ProcessTablesTest, APageOfThisGpuIsAtItsOffset) {
  put_frames(TANDEM_CHECK_FRAMES_OWN, 0x100000, 512, TANDEM_APERTURE_VRAM);
  table.put_soft(kVa, Builder::kDeviceWrite, 0x100003);
  EXPECT_EQ(look().why, Why::DevicePage);
  EXPECT_EQ(look().aperture, TANDEM_APERTURE_VRAM);
  EXPECT_EQ(look().address, 0x3000u);
  EXPECT_TRUE(look().write);
  table.put_soft(kVa, Builder::kDeviceRead, 0x100003);
  EXPECT_TRUE(look().read);
  EXPECT_FALSE(look().write);
  table.put_soft(kVa, Builder::kDeviceWrite, 0x100000 + 512);
  expect_nothing(Why::ForeignDevice);
}

TEST_F(ProcessTablesTest, AHugePageOfThisGpuNamesItsFirstFrame) {
  put_frames(TANDEM_CHECK_FRAMES_OWN, 0x100000, 1024, TANDEM_APERTURE_VRAM);
  table.put_soft(kVa, Builder::kDeviceWrite, 0x100200, 1);
  EXPECT_EQ(look().address, k2M + kVa % k2M);
  EXPECT_EQ(look().shift, 21u);
}

TEST_F(ProcessTablesTest, PagesThatTheCpusReachMayLieInAGpu) {
  put_frames(TANDEM_CHECK_FRAMES_OWN, 0x100000, 512, TANDEM_APERTURE_VRAM);
  put_frames(3, 0x200000, 512, TANDEM_APERTURE_PEER, 3);
  table.map(kVa, 0x100004ULL << 12);
  EXPECT_EQ(look().why, Why::Present);
  EXPECT_EQ(look().aperture, TANDEM_APERTURE_VRAM);
  EXPECT_EQ(look().address, 0x4000u);
  table.map(kVa, 0x200004ULL << 12);
  EXPECT_EQ(look().aperture, TANDEM_APERTURE_PEER);
  EXPECT_EQ(look().address, peer_address(3, 0x4000));
}

TEST_F(ProcessTablesTest, ATableThatIsNotInMemoryCannotBeRead) {
  table.map(kVa, 0x5000);
  table.entry(kVa, 1) = (host.ram_bytes() + 0x1000) | Builder::kWritable;
  expect_nothing(Why::Unreadable);
}

TEST_F(ProcessTablesTest, WithoutAFormatNothingIsSaid) {
  table.map(kVa, 0x5000);
  EXPECT_TRUE(tables.set_format(0));
  expect_nothing(Why::Unreadable);
  EXPECT_FALSE(tables.set_format(0x123)) << "not aligned";
  EXPECT_FALSE(tables.set_format(host.ram_bytes())) << "not in memory";
  table.format().present = 0;
  EXPECT_FALSE(tables.set_format(table.format_address())) << "every entry would be present";
}

TEST_F(ProcessTablesTest, AFormatThatNamesWhatDoesNotExistIsRefused) {
  const tandem_check_format good = table.format();
  const auto refuses = [&](auto change) {
    table.format() = good;
    change(table.format());
    return !tables.set_format(table.format_address());
  };
  EXPECT_FALSE(refuses([](auto&) {}));
  EXPECT_TRUE(refuses([](auto& format) { format.kinds[17] = TANDEM_CHECK_MARKER + 1; }));
  EXPECT_TRUE(refuses([](auto& format) { format.vram_lives = 0x5002; }));
  EXPECT_TRUE(refuses([](auto& format) { format.frames[0] = {0, 1, TANDEM_APERTURE_SYSTEM, 0}; }));
  EXPECT_TRUE(refuses([](auto& format) { format.frames[1] = {0, 1, TANDEM_APERTURE_PEER + 1, 0}; }));
  EXPECT_TRUE(refuses([](auto& format) { format.frames[1] = {0, 1, TANDEM_APERTURE_PEER, TANDEM_FABRIC_LIMIT}; }));
}

TEST_F(ProcessTablesTest, LevelsBeyondAllReasonAreRefused) {
  table.map(kVa, 0x5000);
  EXPECT_EQ(tables.look(table.root(), 0, gva(kVa)).why, Why::Unreadable);
  EXPECT_EQ(tables.look(table.root(), 6, gva(kVa)).why, Why::Unreadable);
}

}  // namespace
}  // namespace tandem::test
