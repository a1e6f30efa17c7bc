// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/vram_pages.h"

#include <gtest/gtest.h>

namespace tandem::test {
namespace {

using State = VramPages::State;

std::string key_of(const std::optional<Finding>& finding) { return finding ? finding->key : ""; }

TEST(VramPages, NothingIsJudgedBeforeTheDriverHasTold) {
  const VramPages pages(16 * TANDEM_PAGE_BYTES);
  EXPECT_EQ(pages.judge(0x3000), std::nullopt);
}

TEST(VramPages, ThePageMustBeAllocatedAndFilled) {
  VramPages pages(16 * TANDEM_PAGE_BYTES);
  pages.set(2, 2, State::Allocated, 7);
  EXPECT_EQ(pages.judge(0x2000), std::nullopt);
  EXPECT_EQ(key_of(pages.judge(0x4000)), "X3.vram-never-allocated");
  pages.set(3, 1, State::Filling, 7);
  EXPECT_EQ(key_of(pages.judge(0x3fff)), "X4.use-before-copy");
  pages.set(3, 1, State::Ready, 7);
  EXPECT_EQ(pages.judge(0x3000), std::nullopt);
  pages.set(3, 1, State::Free, 0);
  EXPECT_EQ(key_of(pages.judge(0x3000)), "X3.vram-use-after-free");
  EXPECT_NE(pages.judge(0x3000)->details.front().find("of process 7"), std::string::npos);
}

TEST(VramPages, WhatTheDriverTellsBeyondTheMemoryIsLeftOut) {
  VramPages pages(4 * TANDEM_PAGE_BYTES);
  pages.set(3, ~uint64_t{0}, State::Ready, 1);
  pages.set(~uint64_t{0}, 2, State::Ready, 1);
  EXPECT_EQ(pages.judge(0x3000), std::nullopt);
  EXPECT_EQ(pages.judge(0x10000), std::nullopt);
}

}  // namespace
}  // namespace tandem::test
