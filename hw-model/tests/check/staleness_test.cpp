// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/staleness.h"

#include <gtest/gtest.h>

#include "support/fake_host.h"

namespace tandem::test {
namespace {

constexpr uint64_t kPage = TANDEM_PAGE_BYTES;

struct StalenessTest : testing::Test {
  TlbEntry entry(uint64_t va, uint64_t bytes = kPage, uint32_t pasid = 1) {
    TlbEntry made{.pasid = Pasid{{pasid}}, .va = gva(va), .bytes = bytes};
    made.filled = ++moment;
    return made;
  }
  // The fake clock ticks once with each question.
  void use(const TlbEntry& entry, uint64_t time) { host.clock = time - 1, staleness.is_stale(entry, entry.va, clock); }
  void flush(uint64_t start, uint64_t end, uint64_t time, uint32_t pasid = 1) {
    host.clock = time - 1;
    staleness.flushed(Pasid{{pasid}}, gva(start), gva(end), clock);
  }

  FakeHost host;
  tandem_host_ops ops = host.ops();
  Host clock{ops, &host};
  Staleness staleness;
  const Staleness::Tally& tally = staleness.tally();
  uint64_t moment = 0;
};

TEST_F(StalenessTest, IsMeasuredFromTheFirstSightToTheLastUseAndToTheFlush) {
  const TlbEntry first = entry(0x1000), second = entry(0x2000);
  use(first, 100);
  use(second, 150);
  use(first, 170);
  flush(0, 0x3000, 200);
  EXPECT_EQ(tally.translations, 2u);
  EXPECT_EQ(tally.used_longest_ns, 70u);
  EXPECT_EQ(tally.alive_longest_ns, 100u);
  EXPECT_EQ(tally.alive_total_ns, 150u);
}

TEST_F(StalenessTest, OnlyAFlushThatReachesTheEntryEndsIt) {
  use(entry(0x10000, 0x10000), 100);
  flush(0, 0x10000, 110);
  flush(0x20000, 0x30000, 120);
  flush(0, 0x40000, 130, 2);
  EXPECT_EQ(tally.translations, 0u);
  flush(0x1f000, 0x20000, 140);
  EXPECT_EQ(tally.alive_longest_ns, 40u);
}

TEST_F(StalenessTest, WhatLinuxPutBackIsNotMeasured) {
  const TlbEntry large = entry(0x10000, 0x10000);
  use(large, 100);
  staleness.is_right(large, gva(0x11000));  // another page of it
  staleness.is_right(entry(0x10000), gva(0x10000));
  flush(0x10000, 0x11000, 110);
  EXPECT_EQ(tally.translations, 1u);
  use(large, 200);
  staleness.is_right(large, gva(0x10000));
  flush(0x10000, 0x11000, 900);
  EXPECT_EQ(tally.translations, 1u);
}

TEST_F(StalenessTest, OnlySoManyAreFollowedAndTheOthersCounted) {
  for (uint64_t n = 0; n < Staleness::kMost + 3; ++n) use(entry(n * kPage), 100);
  flush(0, 1 << 20, 200);
  EXPECT_EQ(tally.translations, Staleness::kMost);
  EXPECT_EQ(tally.unmeasured, 3u);
}

}  // namespace
}  // namespace tandem::test
