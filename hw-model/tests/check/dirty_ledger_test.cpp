// SPDX-License-Identifier: GPL-2.0-or-later
// Of how many pages an invalidation has to tell.
#include "check/dirty_ledger.h"

#include <gtest/gtest.h>

namespace tandem::test {
namespace {

constexpr Pasid kPasid{{3}};
constexpr uint64_t kPage = TANDEM_PAGE_BYTES;

struct DirtyLedgerTest : testing::Test {
  void store(uint64_t page, uint64_t pages, uint32_t put = 0) { ledger.may_store(kPasid, gva(page * kPage), pages * kPage, put); }
  uint64_t settle(uint64_t page, uint64_t pages, uint32_t index = 0) {
    return ledger.settle(kPasid, gva(page * kPage), gva((page + pages) * kPage), index);
  }
  DirtyLedger ledger;
};

TEST_F(DirtyLedgerTest, EachPageIsAskedForOnce) {
  store(10, 1);
  store(10, 1);
  EXPECT_EQ(settle(0, 100), 1u);
  EXPECT_EQ(settle(0, 100), 0u);
}

TEST_F(DirtyLedgerTest, OnlyWhatIsInTheRangeIsAskedFor) {
  store(10, 16);
  EXPECT_EQ(settle(12, 2), 2u);
  EXPECT_EQ(settle(0, 12), 2u);
  EXPECT_EQ(settle(0, 100), 12u);
}

TEST_F(DirtyLedgerTest, LeavesThatOverlapAreCountedOnce) {
  store(16, 1);
  store(16, 16);
  store(20, 1);
  EXPECT_EQ(settle(0, 100), 16u);
}

TEST_F(DirtyLedgerTest, WhatWasStoredAfterItWasSentIsNotAskedOfAnInvalidation) {
  store(10, 1, 7);
  EXPECT_EQ(settle(0, 100, 6), 0u) << "the device knew of entries 0 to 6 when it stored";
  store(10, 1, 7);
  EXPECT_EQ(settle(0, 100, 7), 1u);
}

TEST_F(DirtyLedgerTest, IndicesOfTheRingWrap) {
  store(10, 1, 0xffffffff);
  EXPECT_EQ(settle(0, 100, 2), 1u);
  store(10, 1, 3);
  EXPECT_EQ(settle(0, 100, 0xffffffff), 0u);
}

TEST_F(DirtyLedgerTest, AddressSpacesAreApart) {
  store(10, 1);
  EXPECT_EQ(ledger.settle(Pasid{{4}}, gva(0), gva(100 * kPage), 0), 0u);
  ledger.forget(kPasid);
  EXPECT_EQ(settle(0, 100), 0u);
}

}  // namespace
}  // namespace tandem::test
