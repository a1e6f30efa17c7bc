// SPDX-License-Identifier: GPL-2.0-or-later
// The host hears of every byte that was stored, once for each page, when it is told.
#include "mem/stored_pages.h"

#include <gtest/gtest.h>

#include <set>

#include "support/fake_host.h"

namespace tandem::test {
namespace {

struct StoredPagesTest : testing::Test {
  StoredPagesTest() {
    host.on_stored = [&](uint64_t address, uint64_t bytes) { told.push_back({address, bytes}); };
  }
  using Range = std::pair<uint64_t, uint64_t>;

  FakeHost host;
  const tandem_host_ops ops = host.ops();
  MemoryPort memory{ops, &host, nullptr, 0};
  StoredPages stored{memory};
  std::vector<Range> told;
};

TEST_F(StoredPagesTest, NothingIsToldBeforeItsTime) {
  stored.add(TANDEM_APERTURE_SYSTEM, 0x5000, 8);
  EXPECT_TRUE(told.empty());
  stored.tell();
  EXPECT_EQ(told, (std::vector<Range>{{0x5000, 8}}));
}

TEST_F(StoredPagesTest, WhatWasToldIsForgotten) {
  stored.add(TANDEM_APERTURE_SYSTEM, 0x5000, 8);
  stored.tell();
  stored.tell();
  EXPECT_EQ(told.size(), 1u);
  stored.add(TANDEM_APERTURE_SYSTEM, 0x5100, 8);
  stored.tell();
  EXPECT_EQ(told.back(), (Range{0x5100, 8}));
}

TEST_F(StoredPagesTest, StoresToOnePageAreOneRange) {
  stored.add(TANDEM_APERTURE_SYSTEM, 0x5100, 0x100);
  stored.add(TANDEM_APERTURE_SYSTEM, 0x5020, 8);
  stored.add(TANDEM_APERTURE_SYSTEM, 0x5ff8, 8);
  stored.tell();
  EXPECT_EQ(told, (std::vector<Range>{{0x5020, 0xfe0}}));
}

TEST_F(StoredPagesTest, OverTheEndOfAPageIsToldAtOnce) {
  stored.add(TANDEM_APERTURE_SYSTEM, 0x5ff8, 0x100);
  EXPECT_EQ(told, (std::vector<Range>{{0x5ff8, 0x100}}));
}

TEST_F(StoredPagesTest, TheSamePageOfAnotherApertureIsAnother) {
  stored.add(TANDEM_APERTURE_SYSTEM, 0x5000, 8);
  stored.add(TANDEM_APERTURE_VRAM, 0x5000, 16);
  stored.tell();
  EXPECT_EQ(told, (std::vector<Range>{{0x5000, 8}}));
  EXPECT_EQ(host.bytes_stored, 8u + 16u);
}

// More pages than there is room for: those that give way are told, none is lost.
TEST_F(StoredPagesTest, NoPageIsLost) {
  constexpr uint64_t kPages = 1000, kStride = 8 * TANDEM_PAGE_BYTES;
  std::set<uint64_t> expected, seen;
  for (uint64_t page = 0; page < kPages; ++page) {
    stored.add(TANDEM_APERTURE_SYSTEM, page * kStride + 64, 8);
    expected.insert(page * kStride + 64);
  }
  stored.tell();
  for (const auto& [address, bytes] : told) {
    EXPECT_EQ(bytes, 8u);
    EXPECT_TRUE(seen.insert(address).second) << "told twice";
  }
  EXPECT_EQ(seen, expected);
}

}  // namespace
}  // namespace tandem::test
