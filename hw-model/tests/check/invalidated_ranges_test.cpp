// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/invalidated_ranges.h"

#include <gtest/gtest.h>

#include <random>

namespace tandem::test {
namespace {

std::shared_ptr<const Invalidation> invalidation(uint64_t start, uint64_t end, uint64_t moment) {
  auto made = std::make_shared<Invalidation>();
  made->start = gva(start);
  made->end = gva(end);
  made->moment = moment;
  return made;
}

TEST(InvalidatedRanges, OneByteInCommonIsEnough) {
  InvalidatedRanges ranges;
  ranges.add(invalidation(0x1000, 0x3000, 5));
  EXPECT_EQ(ranges.after(4, gva(0), 0x1000), nullptr);
  EXPECT_NE(ranges.after(4, gva(0), 0x1001), nullptr);
  EXPECT_NE(ranges.after(4, gva(0x2fff), 1), nullptr);
  EXPECT_EQ(ranges.after(4, gva(0x3000), 0x1000), nullptr);
}

TEST(InvalidatedRanges, WhatBeganAtTheAcknowledgementOrAfterIsNotConcerned) {
  InvalidatedRanges ranges;
  ranges.add(invalidation(0x1000, 0x2000, 5));
  EXPECT_NE(ranges.after(4, gva(0x1000), 1), nullptr);
  EXPECT_EQ(ranges.after(5, gva(0x1000), 1), nullptr);
}

TEST(InvalidatedRanges, WhatBeganAgainWhenItWasCarriedOutIsNotConcerned) {
  InvalidatedRanges ranges;
  auto carried_out = std::make_shared<Invalidation>(*invalidation(0x1000, 0x2000, 5));
  carried_out->carried_out = {.moment = 4, .pasid = pasid(1), .start = gva(0x1000), .end = gva(0x2000)};
  ranges.add(carried_out);
  EXPECT_NE(ranges.after(3, gva(0x1000), 1), nullptr);
  EXPECT_EQ(ranges.after(4, gva(0x1000), 1), nullptr);
}

TEST(InvalidatedRanges, TheYoungestIsNamed) {
  InvalidatedRanges ranges;
  ranges.add(invalidation(0x1000, 0x9000, 5));
  ranges.add(invalidation(0x3000, 0x4000, 7));
  EXPECT_EQ(ranges.after(0, gva(0x1000), 0x8000)->moment, 7u);
  EXPECT_EQ(ranges.after(0, gva(0x4000), 0x1000)->moment, 5u);
  EXPECT_EQ(ranges.pieces(), 3u);
}

TEST(InvalidatedRanges, AgreeWithAListOfPages) {
  constexpr uint64_t kPages = 64;
  InvalidatedRanges ranges;
  std::array<uint64_t, kPages> last{};
  std::mt19937 random(1);
  for (uint64_t moment = 1; moment < 5000; ++moment) {
    const uint64_t start = random() % kPages, end = start + 1 + random() % (kPages - start);
    ranges.add(invalidation(start, end, moment));
    std::fill(last.begin() + static_cast<long>(start), last.begin() + static_cast<long>(end), moment);
    const uint64_t from = random() % kPages, count = 1 + random() % (kPages - from), since = moment - random() % 4;
    const uint64_t youngest = *std::max_element(last.begin() + static_cast<long>(from), last.begin() + static_cast<long>(from + count));
    const Invalidation* found = ranges.after(since, gva(from), count);
    ASSERT_EQ(found ? found->moment : 0, youngest > since ? youngest : 0);
  }
}

TEST(InvalidatedRanges, ForgetTheOlderHalfWhenThereAreTooMany) {
  InvalidatedRanges ranges(100);
  for (uint64_t n = 0; n < 1000; ++n) ranges.add(invalidation(n * 0x2000, n * 0x2000 + 0x1000, n + 1));
  EXPECT_LE(ranges.pieces(), 100u);
  EXPECT_NE(ranges.after(0, gva(999 * 0x2000), 1), nullptr);
  EXPECT_EQ(ranges.after(0, gva(0), 1), nullptr);
}

TEST(InvalidatedRanges, OneThatWasCutIntoManyPiecesIsForgottenToo) {
  InvalidatedRanges ranges(100);
  ranges.add(invalidation(0, TANDEM_VA_LIMIT, 1));
  for (uint64_t n = 1; n < 1000; ++n) {
    ranges.add(invalidation(n * 0x2000, n * 0x2000 + 0x1000, n + 1));
    ASSERT_LE(ranges.pieces(), 100u);
    ASSERT_NE(ranges.after(n, gva(n * 0x2000), 1), nullptr) << "the youngest stays";
  }
}

}  // namespace
}  // namespace tandem::test
