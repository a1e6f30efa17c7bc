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
  for (uint32_t n = 1; n < 5; ++n) EXPECT_EQ(ledger.faulted(kWrite, true), n);
  EXPECT_EQ(ledger.faulted({1, 0x6000, Access::Write}, true), 1u);
}

TEST(FaultLedger, AFaultWithReasonBeginsAnew) {
  FaultLedger ledger;
  ledger.faulted(kWrite, true);
  EXPECT_EQ(ledger.faulted(kWrite, false), 0u);
  EXPECT_EQ(ledger.faulted(kWrite, true), 1u);
}

TEST(FaultLedger, ASuccessBeginsAnewIfItPermitsTheAccess) {
  FaultLedger ledger;
  ledger.faulted(kWrite, true);
  ledger.succeeded(entry_of(0x5000, 0x1000, false));
  EXPECT_EQ(ledger.faulted(kWrite, true), 2u);
  ledger.succeeded(entry_of(0, 0x10000, true));
  EXPECT_EQ(ledger.faulted(kWrite, true), 1u);
}

TEST(FaultLedger, AnInvalidationOfThePageBeginsAnew) {
  FaultLedger ledger;
  ledger.faulted(kWrite, true);
  ledger.invalidated(pasid(1), gva(0x6000), gva(0x8000));
  ledger.invalidated(pasid(2), gva(0), gva(0x8000));
  EXPECT_EQ(ledger.faulted(kWrite, true), 2u);
  ledger.invalidated(pasid(1), gva(0x5000), gva(0x6000));
  EXPECT_EQ(ledger.faulted(kWrite, true), 1u);
}

TEST(FaultLedger, CountsFaultsThatNobodyServesUntilThereIsAnAnswer) {
  FaultLedger ledger;
  for (int n = 0; n < 3; ++n) ledger.faulted(kWrite, false);
  EXPECT_EQ(ledger.unserved(kWrite), 3u);
  EXPECT_EQ(ledger.unserved({1, 0x5000, Access::Read}), 0u);
  ledger.answered(pasid(1), gva(0x5000), gva(0x6000));
  EXPECT_EQ(ledger.unserved(kWrite), 0u);
  ledger.faulted(kWrite, false);
  ledger.faulted(kWrite, true);
  EXPECT_EQ(ledger.unserved(kWrite), 0u);
}

}  // namespace
}  // namespace tandem::test
