// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/vram_pages.h"

#include <gtest/gtest.h>

#include "support/fake_host.h"

namespace tandem::test {
namespace {

constexpr uint64_t kVramPages = 16;
constexpr uint64_t kLives = 0x5000;  // physical address of the driver's array

class VramPagesTest : public ::testing::Test {
 protected:
  // The driver gives the page out, or takes it back.
  void turn(uint64_t number) { ++host_.at<uint32_t>(kLives + 4 * number); }
  std::string key_of(uint64_t offset) {
    const auto finding = pages_.judge(offset);
    return finding ? finding->key : "";
  }

  FakeHost host_;
  tandem_host_ops ops_ = host_.ops();
  std::vector<std::byte> vram_ = std::vector<std::byte>(kVramPages * TANDEM_PAGE_BYTES);
  MemoryPort memory_{ops_, &host_, vram_.data(), vram_.size()};
  VramPages pages_{memory_};
};

TEST_F(VramPagesTest, NothingIsJudgedBeforeTheDriverHasTold) {
  EXPECT_EQ(key_of(0x3000), "");
  pages_.follow(kLives);
  EXPECT_EQ(key_of(0x3000), "X3.vram-never-allocated");
}

TEST_F(VramPagesTest, APageMustBeGivenOutAndFilledInEachOfItsLives) {
  pages_.follow(kLives);
  turn(3);
  EXPECT_EQ(key_of(0x3fff), "X4.use-before-copy");
  pages_.filled(0x2000, 2 * TANDEM_PAGE_BYTES);
  EXPECT_EQ(key_of(0x3000), "");
  turn(3);
  EXPECT_EQ(key_of(0x3000), "X3.vram-use-after-free");
  turn(3);
  EXPECT_EQ(key_of(0x3000), "X4.use-before-copy");
}

TEST_F(VramPagesTest, PartOfAPageDoesNotFillIt) {
  pages_.follow(kLives);
  turn(3);
  pages_.filled(0x3000, TANDEM_PAGE_BYTES - 1);
  pages_.filled(0x3001, TANDEM_PAGE_BYTES);
  EXPECT_EQ(key_of(0x3000), "X4.use-before-copy");
}

TEST_F(VramPagesTest, WhatLiesBeyondTheMemoryIsNotJudged) {
  EXPECT_EQ(pages_.bytes(), kVramPages * TANDEM_PAGE_BYTES);
  pages_.follow(kLives);
  pages_.filled(kVramPages * TANDEM_PAGE_BYTES, TANDEM_PAGE_BYTES);
  EXPECT_EQ(key_of(kVramPages * TANDEM_PAGE_BYTES), "");
  pages_.filled(0x3000, ~0ull);  // a guest's number: it ends where the memory ends
  EXPECT_EQ(pages_.end(0x3000, ~0ull), kVramPages * TANDEM_PAGE_BYTES);
  EXPECT_EQ(pages_.end(~0ull, ~0ull), ~0ull);
}

}  // namespace
}  // namespace tandem::test
