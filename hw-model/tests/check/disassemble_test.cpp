// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/disassemble.h"

#include <gtest/gtest.h>

#include "compute/support/rv_asm.h"
#include "tandem_abi.h"

namespace tandem::test {
namespace {

using namespace rv;

TEST(Disassemble, LoadsAndStores) {
  EXPECT_EQ(disassemble(ld(t0, a0, 0)), "ld t0, 0(a0)");
  EXPECT_EQ(disassemble(ld(t0, a0, -8)), "ld t0, -8(a0)");
  EXPECT_EQ(disassemble(sd(t2, t1, 64)), "sd t2, 64(t1)");
  EXPECT_EQ(disassemble(sd(t2, t1, -16)), "sd t2, -16(t1)");
  EXPECT_EQ(disassemble(0x0005a507), "flw f10, 0(a1)");
}

TEST(Disassemble, AtomicsWithTheirOrderAndScope) {
  EXPECT_EQ(disassemble(amo(0, doubleword, x0, t0, a0)).substr(0, 8), "amoadd.d");
  EXPECT_EQ(disassemble(0x1005a52f), "lr.w a0, zero, (a1)");
  EXPECT_EQ(disassemble(0x06c5a52f), "amoadd.w.aqrl a0, a2, (a1)");
  EXPECT_NE(disassemble((0x00c5a52fu & ~0x7fu) | TANDEM_OPCODE_AMO_DEVICE).find("(device scope)"), std::string::npos);
}

TEST(Disassemble, AnythingElseIsANumber) { EXPECT_EQ(disassemble(0x00008067), "instruction word 0x00008067"); }

}  // namespace
}  // namespace tandem::test
