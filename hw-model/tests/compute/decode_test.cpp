// SPDX-License-Identifier: GPL-2.0-or-later
// The decoder against the encoding tables of the specification, and hostile code: random words in every position.
#include "compute/decode.h"

#include <random>
#include <set>

#include "support/compute_fixture.h"

namespace tandem::test {
namespace {

using namespace rv;
using compute::decode;
using compute::Op;

bool legal(uint32_t word) { return decode(word, kCode).op != Op::Illegal; }

TEST(Decode, ImmediatesOfEachFormat) {
  EXPECT_EQ(decode(addi(t0, t1, -2048), 0).imm, -2048);
  EXPECT_EQ(decode(addi(t0, t1, 2047), 0).imm, 2047);
  EXPECT_EQ(decode(sd(t0, t1, -1), 0).imm, -1);
  EXPECT_EQ(decode(sd(t0, t1, 0x555), 0).imm, 0x555);
  for (const int32_t offset : {-4096, 4094, 2, -2, 0x554, 0xaaa}) EXPECT_EQ(decode(b_type(0, t0, t1, offset), 0x10000).imm, 0x10000 + offset);
  for (const int32_t offset : {-1048576, 1048574, 2, -2, 0x55554, 0xaaaaa}) EXPECT_EQ(decode(j_type(t0, offset), 0x1000000).imm, 0x1000000 + offset);
  EXPECT_EQ(decode(lui(t0, 0xfffff), 0).imm, -4096);
  EXPECT_EQ(decode(auipc(t0, 0x80000), 0x1000).imm, 0x1000 - 0x80000000LL);
}

TEST(Decode, RegistersAreWhereTheyShouldBe) {
  const auto d = decode(fma(0x43, D, 1, 2, 3, 31, 0), 0);
  EXPECT_EQ(d.rd, 1);
  EXPECT_EQ(d.rs1, 2);
  EXPECT_EQ(d.rs2, 3);
  EXPECT_EQ(d.rs3, 31);
}

TEST(Decode, CompressedEncodingsAreIllegal) {
  for (uint32_t low = 0; low < 3; ++low)
    for (uint32_t rest = 0; rest < 0x4000; rest += 7) ASSERT_FALSE(legal(rest << 2 | low));
}

// Each major opcode of the unprivileged specification that is not in RV64IMAFD or our custom space.
TEST(Decode, ReservedMajorOpcodesAreIllegal) {
  const std::set<uint32_t> known{0x03, 0x07, 0x0b, 0x0f, 0x13, 0x17, 0x1b, 0x23, 0x27, 0x2b, 0x2f, 0x33, 0x37, 0x3b,
                                 0x43, 0x47, 0x4b, 0x4f, 0x53, 0x5b, 0x63, 0x67, 0x6f, 0x73};
  std::mt19937 random(1);
  for (uint32_t opcode = 0; opcode < 128; ++opcode) {
    if (known.count(opcode)) continue;
    for (int i = 0; i < 200; ++i) ASSERT_FALSE(legal((random() & ~0x7fu) | opcode)) << opcode;
  }
}

// How many combinations of the fields that choose the instruction are legal, counted by hand from the listings of the
// specification: RV32/64 instruction set listings, tables for I, M, A, F, D.
TEST(Decode, NumberOfLegalEncodingsPerOpcode) {
  const auto count = [](uint32_t opcode, bool f7, uint32_t rs2 = 6) {
    int n = 0;
    for (uint32_t f3 = 0; f3 < 8; ++f3)
      for (uint32_t funct7 = 0; funct7 < (f7 ? 128u : 1u); ++funct7) n += legal(r_type(opcode, f3, funct7, 5, 7, rs2));
    return n;
  };
  EXPECT_EQ(count(0x03, false), 7);               // loads
  EXPECT_EQ(count(0x23, false), 4);               // stores
  EXPECT_EQ(count(0x07, false), 2);               // flw, fld
  EXPECT_EQ(count(0x27, false), 2);
  EXPECT_EQ(count(0x63, false), 6);               // branches
  EXPECT_EQ(count(0x67, false), 1);
  EXPECT_EQ(count(0x0f, false), 2);               // fence, fence.i
  EXPECT_EQ(count(0x33, true), 10 + 8);           // I and M
  EXPECT_EQ(count(0x3b, true), 5 + 5);
  EXPECT_EQ(count(0x13, true), 6 * 128 + 2 + 2 + 2);   // slli, srli, srai: funct7 bit 0 is part of the shift
  EXPECT_EQ(count(0x1b, true), 128 + 3);
  EXPECT_EQ(count(0x2f, true, 6), 2 * 4 * 10);    // nine AMOs and SC, W and D, aq and rl
  EXPECT_EQ(count(0x2f, true, 0), 2 * 4 * 11);    // and LR, whose rs2 is 0
  EXPECT_EQ(count(0x2b, true, 6) + count(0x5b, true, 6), 2 * 2 * 4 * 10);   // the same in narrower scopes
  EXPECT_EQ(count(0x73, false), 6);               // the CSR instructions: rs2 and funct7 are the CSR
  EXPECT_EQ(count(0x0b, true, 0), 2);             // rd is not x0: ballot and shuffle only
  EXPECT_EQ(count(0x43, true), 6 * 2 * 32);       // rounding modes but 5 and 6; two formats; any rs3
  EXPECT_EQ(count(0x53, true, 6), 2 * (4 * 6 + 3 + 2 + 3));
  EXPECT_EQ(count(0x53, true, 0), 2 * (4 * 6 + 6 + 3 + 2 + 3 + 6 + 6 + 2 + 1) + 6);   // sqrt, fcvt.w.s, fcvt.s.w, fmv, fclass, fcvt.d.s
}

// Runs pages of random words, biased to legal opcodes, from hostile registers. Whatever they do, the unit ends each wavefront
// with an error or goes on, and never touches what is not mapped for it.
TEST(HostileCode, RandomWordsNeverHarmTheUnit) {
  const uint32_t opcodes[] = {0x03, 0x07, 0x0b, 0x0f, 0x13, 0x17, 0x1b, 0x23, 0x27, 0x2b, 0x2f, 0x33, 0x37, 0x3b, 0x43, 0x53, 0x5b, 0x63, 0x67, 0x6f, 0x73};
  for (uint32_t seed = 0; seed < 150; ++seed) {
    std::mt19937_64 random(seed);
    ComputeConfig config;
    config.isa_level = static_cast<uint8_t>(2 + seed % 3);
    config.store_queue_depth = seed % 2 * 4;
    config.store_drain = seed % 4 == 3 ? TANDEM_DRAIN_RANDOM : TANDEM_DRAIN_FIFO;
    config.load_reorder = seed % 7 == 3;
    Bench bench(config);
    if (seed % 5 == 0) bench.port.atomics().configure(exclusive(seed % 10 ? 70 : 0));
    bench.set_size(48);
    bench.dispatch.lds_bytes = 200;
    for (uint64_t page = kCode; page < kCode + 0x4000; page += kPage) {
      for (uint64_t at = 0; at < kPage; at += 4) {
        auto word = static_cast<uint32_t>(random());
        if (random() % 8) word = (word & ~0x7fu) | opcodes[random() % std::size(opcodes)];
        if ((word & 0x7f) == 0x33 || (word & 0x7f) == 0x3b) word &= 0x02007fffu | 0x01ff8000u;
        if ((word & 0x7f) == 0x53 && random() % 2) word = (word & ~0x7000u & ~0x06000000u) | (random() % 2 ? 0x02000000u : 0);
        if ((word & 0x7f) == 0x73 && random() % 2) word = csrr(word >> 7 & 31, random() % 2 ? 0xcc0 + random() % 24 : 1 + random() % 3);
        bench.translator.put<uint32_t>(page + at, word);
      }
    }
    for (int launch = 0; launch < 12; ++launch) {
      bench.dispatch.entry = kCode + random() % 0x3000 / 4 * 4;
      bench.dispatch.kernarg = random() % 3 ? kData + random() % kDataBytes : random();
      bench.dispatch.global_pointer = random() % 2 ? kData : TANDEM_LDS_BASE + random() % 300;
      bench.launch();
      for (int slice = 0; slice < 30; ++slice) {
        bench.run_slice(100);
        if (random() % 8 == 0) bench.unit->drain(pasid(1), gva(kData), gva(kData + kDataBytes));
        if (random() % 8 == 0) bench.unit->drain_all();
        if (bench.translator.waiting() && random() % 2) bench.translator.replay();
        if (bench.translator.waiting() && random() % 3 == 0)
          bench.translator.cancel(TANDEM_QUEUE_ADDRESS_FAULT, bench.translator.wanted.empty() ? 0 : bench.translator.wanted.begin()->page);
      }
      bench.unit->kill(queue_id(7));
      ASSERT_TRUE(bench.unit->idle());
    }
    for (const auto& store : bench.log.system) ASSERT_LE(store.bytes, kPage);
  }
}

}  // namespace
}  // namespace tandem::test
