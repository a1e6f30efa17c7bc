// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/fault_ledger.h"

#include <gtest/gtest.h>

namespace tandem::test {
namespace {

constexpr AccessKey kWrite{1, 0x5000, Access::Write};

TlbEntry entry_of(uint64_t va, uint64_t bytes, bool write) {
  TlbEntry entry;
  entry.pasid = pasid(1);
  entry.va = gva(va);
  entry.bytes = bytes;
  entry.write = write;
  return entry;
}

TEST(FaultLedger, CountsFaultsAtAPermittedPageInARow) {
  FaultLedger ledger;
  for (uint32_t n = 1; n < 5; ++n) EXPECT_EQ(ledger.faulted(kWrite, true).permitted, n);
  EXPECT_EQ(ledger.faulted({1, 0x6000, Access::Write}, true).permitted, 1u);
}

TEST(FaultLedger, AFaultWithReasonBeginsAnew) {
  FaultLedger ledger;
  ledger.faulted(kWrite, true);
  EXPECT_EQ(ledger.faulted(kWrite, false).permitted, 0u);
  EXPECT_EQ(ledger.faulted(kWrite, true).permitted, 1u);
}

TEST(FaultLedger, ASuccessBeginsAnewIfItPermitsTheAccess) {
  FaultLedger ledger;
  ledger.faulted(kWrite, true);
  ledger.succeeded(entry_of(0x5000, 0x1000, false));
  EXPECT_EQ(ledger.faulted(kWrite, true).permitted, 2u);
  ledger.succeeded(entry_of(0, 0x10000, true));
  EXPECT_EQ(ledger.faulted(kWrite, true).permitted, 1u);
}

TEST(FaultLedger, AnInvalidationOfThePageBeginsAnew) {
  FaultLedger ledger;
  ledger.faulted(kWrite, true);
  ledger.invalidated(pasid(1), gva(0x6000), gva(0x8000));
  ledger.invalidated(pasid(2), gva(0), gva(0x8000));
  EXPECT_EQ(ledger.faulted(kWrite, true).permitted, 2u);
  ledger.invalidated(pasid(1), gva(0x5000), gva(0x6000));
  EXPECT_EQ(ledger.faulted(kWrite, true).permitted, 1u);
}

TEST(FaultLedger, CountsFaultsThatNobodyServesUntilThereIsAnAnswer) {
  FaultLedger ledger;
  for (uint32_t n = 1; n < 4; ++n) EXPECT_EQ(ledger.faulted(kWrite, false).unserved, n);
  EXPECT_EQ(ledger.faulted({1, 0x5000, Access::Read}, false).unserved, 1u) << "counted by themselves";
  ledger.answered(pasid(1), gva(0x5000), gva(0x6000));
  EXPECT_EQ(ledger.faulted(kWrite, false).unserved, 1u);
  EXPECT_EQ(ledger.faulted(kWrite, true).unserved, 0u);
}

TEST(FaultLedger, ThousandsOfPagesInARowAreCountedEach) {
  FaultLedger ledger;
  for (int round = 0; round < 2; ++round)
    for (uint64_t page = 0; page < 4096; ++page) ledger.faulted({1, page * 0x1000, Access::Write}, true);
  EXPECT_EQ(ledger.faulted({1, 0, Access::Write}, true).permitted, 3u);
  EXPECT_EQ(ledger.faulted({1, 4095 * 0x1000, Access::Write}, true).permitted, 3u);
  ledger.invalidated(pasid(1), gva(0), gva(TANDEM_VA_LIMIT));
  EXPECT_EQ(ledger.faulted({1, 0, Access::Write}, true).permitted, 1u);
  EXPECT_EQ(ledger.faulted({1, 4095 * 0x1000, Access::Write}, true).permitted, 1u);
}

TEST(FaultLedger, APageThatIsDrivenOutOfItsPlaceBeginsAnew) {
  FaultLedger ledger;
  ledger.faulted(kWrite, true);
  EXPECT_EQ(ledger.faulted({1, 0x5000 + 4096 * 0x1000, Access::Write}, true).permitted, 1u);
  EXPECT_EQ(ledger.faulted(kWrite, true).permitted, 1u);
}

}  // namespace
}  // namespace tandem::test
