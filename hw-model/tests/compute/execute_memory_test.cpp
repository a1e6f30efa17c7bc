// SPDX-License-Identifier: GPL-2.0-or-later
// Loads and stores: widths, alignment, coalescing, pages that come one at a time, LDS, address errors.
#include "support/compute_fixture.h"

namespace tandem::test {
namespace {

using namespace rv;

// s0 = lane, s1 = kernarg + lane * (1 << shift)
void lane_address(Program& p, int shift) {
  p << csrr(s0, TANDEM_CSR_LANE_ID) << slli(s1, s0, shift) << add(s1, s1, a0);
}

struct LoadCase {
  uint32_t f3;
  uint64_t expected;
};

TEST(ExecuteMemory, LoadsOfEachWidthExtendAsTheySay) {
  constexpr uint64_t kPattern = 0xfedcba9876543280;
  const LoadCase cases[] = {{0, 0xffffffffffffff80}, {1, 0x3280}, {2, 0x76543280}, {3, kPattern},
                            {4, 0x80},               {5, 0x3280}, {6, 0x76543280}};
  for (const LoadCase& c : cases) {
    Bench bench;
    Program p(kCode);
    p << load(c.f3, t0, a0, 0) << load(c.f3, t1, a0, 4) << sd(t0, a0, 8) << ret();
    bench.translator.put(kData, kPattern);
    bench.run_program(p);
    EXPECT_EQ(bench.translator.get<uint64_t>(kData + 8), c.expected) << c.f3;
  }
}

TEST(ExecuteMemory, SignedLoadsOfNegativeValues) {
  Bench bench;
  Program p(kCode);
  p << load(1, t0, a0, 6) << sd(t0, a0, 8) << load(2, t0, a0, 4) << sd(t0, a0, 16) << load(6, t0, a0, 4) << sd(t0, a0, 24)
    << ret();
  bench.translator.put<uint64_t>(kData, 0xfedcba9876543280);
  bench.run_program(p);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData + 8), 0xfffffffffffffedc);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData + 16), 0xfffffffffedcba98);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData + 24), 0xfedcba98u);
}

// Every alignment of every width, over a page end, all lanes at once and at each x86-64 level.
TEST(ExecuteMemory, MisalignedAccessesOverPageEnds) {
  for (const uint8_t level : host_levels()) {
    for (uint32_t f3 = 0; f3 < 4; ++f3) {
      ComputeConfig config;
      config.isa_level = level;
      Bench bench(config);
      Program p(kCode);
      // lane l: loads at page end - 16 + l, stores the value at the same distance from another page's end
      p << csrr(s0, TANDEM_CSR_LANE_ID) << add(s1, s0, a0) << lui(s2, 1) << add(s1, s1, s2) << addi(s1, s1, -16)
        << load(f3 == 3 ? 3 : f3 + 4, t0, s1, 0);
      p << slli(s3, s0, 13) << add(s4, s1, s3) << lui(s2, 16) << add(s4, s4, s2) << store(f3, t0, s4, 0) << ret();
      for (uint64_t i = 0; i < 64; ++i) bench.translator.put<uint8_t>(kData + 4096 - 16 + i, static_cast<uint8_t>(i * 7 + 1));
      bench.translator.map(kData, 0x100000);
      bench.run_program(p);
      ASSERT_EQ(bench.listener.done.size(), 1u);
      const uint32_t bytes = 1u << f3;
      for (uint64_t lane = 0; lane < 32; ++lane) {
        const uint64_t to = kData + 4096 - 16 + lane + (lane << 13) + (16 << 12);
        for (uint64_t i = 0; i < bytes; ++i)
          ASSERT_EQ(bench.translator.get<uint8_t>(to + i), static_cast<uint8_t>((lane + i) * 7 + 1)) << "lane " << lane;
        ASSERT_EQ(bench.translator.get<uint8_t>(to + bytes), 0);
        ASSERT_EQ(bench.translator.get<uint8_t>(to - 1), 0);
      }
    }
  }
}

TEST(ExecuteMemory, OneTranslationServesAllLanesOfAPage) {
  Bench bench;
  Program p(kCode);
  lane_address(p, 3);
  p << ld(t0, s1, 0) << ret();
  bench.run_program(p);
  const auto data = std::count_if(bench.translator.requests.begin(), bench.translator.requests.end(),
                                  [](const TranslationRequest& r) { return r.access == Access::Read; });
  EXPECT_EQ(data, 1);
}

// Each lane adds one to its own cell, the cells lie on 32 pages, and the pages come one at a time: every cell must end as
// one, whatever the order, and all missing pages must be asked for at once.
TEST(ExecuteMemory, StoresUnderPartialFaultsHappenExactlyOnce) {
  Bench bench;
  Program p(kCode);
  lane_address(p, 13);
  p << ld(t0, s1, 0) << addi(t0, t0, 1) << sd(t0, s1, 0) << ret();
  bench.translator.map(kData, 32 << 13);
  for (uint64_t lane = 0; lane < 32; ++lane) bench.translator.page(kData + (lane << 13)).write = false;
  for (uint64_t lane = 1; lane < 32; lane += 2) bench.translator.page(kData + (lane << 13)).present = false;
  bench.load(p);
  bench.launch();
  bench.run(false);
  EXPECT_EQ(bench.translator.wanted.size(), 16u);   // the missing pages, in one batch
  for (uint64_t lane = 1; lane < 32; lane += 2) bench.translator.page(kData + (lane << 13)).present = true;
  bench.translator.replay();
  bench.run(false);
  EXPECT_EQ(bench.translator.wanted.size(), 32u);   // now all are read-only
  for (uint64_t i = 0; i < 32; ++i) {
    const uint64_t lane = i * 11 % 32;
    bench.translator.page(kData + (lane << 13)).write = true;
    bench.translator.replay();
    bench.run(false);
    EXPECT_EQ(bench.translator.get<uint64_t>(kData + (lane << 13)), 1u);
  }
  for (uint64_t lane = 0; lane < 32; ++lane) EXPECT_EQ(bench.translator.get<uint64_t>(kData + (lane << 13)), 1u);
  EXPECT_EQ(bench.listener.done.size(), 1u);
  EXPECT_EQ(bench.counters[TANDEM_COUNTER_STORES], 32u);
  EXPECT_EQ(bench.counters[TANDEM_COUNTER_LOADS], 32u);
}

TEST(ExecuteMemory, ALoadMayOverwriteItsOwnAddressUnderPartialFaults) {
  Bench bench;
  Program p(kCode);
  lane_address(p, 12);
  p << ld(s1, s1, 0) << slli(t0, s0, 3) << lui(t1, 48) << add(t1, t1, a0) << add(t0, t0, t1) << sd(s1, t0, 0) << ret();
  bench.translator.map(kData, 64 << 12);
  for (uint64_t lane = 0; lane < 32; ++lane) {
    bench.translator.put<uint64_t>(kData + (lane << 12), 0xabc000 + lane);
    bench.translator.page(kData + (lane << 12)).present = lane % 3 == 0;
  }
  bench.run_program(p);
  for (uint64_t lane = 0; lane < 32; ++lane)
    EXPECT_EQ(bench.translator.get<uint64_t>(kData + 0x30000 + lane * 8), 0xabc000 + lane);
}

TEST(ExecuteMemory, AStoreOverTwoPagesTouchesNothingUntilBothAreThere) {
  Bench bench;
  Program p(kCode);
  p << lui(t0, 1) << add(t0, t0, a0) << addi(t1, x0, -1) << sd(t1, t0, -4) << ret();
  bench.set_size(1);
  bench.translator.page(kData + 4096).present = false;
  bench.load(p);
  bench.launch();
  bench.run(false);
  EXPECT_EQ(bench.translator.get<uint32_t>(kData + 4092), 0u);
  bench.run();
  EXPECT_EQ(bench.translator.get<uint64_t>(kData + 4092), ~uint64_t{0});
}

TEST(ExecuteMemory, AnInvalidationBetweenTheTwoPagesOfAnAccessMakesItStartAgain) {
  Bench bench;
  Program p(kCode);
  p << lui(t0, 1) << add(t0, t0, a0) << ld(t1, t0, -4) << sd(t1, a0, 0) << ret();
  bench.set_size(1);
  bench.translator.put<uint64_t>(kData + 4092, 0x1122334455667788);
  FakePage moved;                       // what the first page is replaced by while the second is looked up
  int drains = 0;
  bench.translator.before_translate = [&](const TranslationRequest& r) {
    if (r.va.value != kData + 4096 || drains++) return;
    bench.translator.invalidate(kData, 4096);
    bench.translator.put<uint32_t>(kData + 4092, 0x99aabbcc);
    bench.unit->drain(pasid(1), gva(kData), gva(kData + 4096));
  };
  bench.run_program(p);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData), 0x1122334499aabbccu);
}

TEST(ExecuteMemory, TheHostIsToldOfEveryStoredByteOncePerPage) {
  Bench bench;
  Program p(kCode);
  lane_address(p, 8);                   // 256 bytes apart: sixteen lanes on each of two pages
  p << sw(s0, s1, 4) << ret();
  bench.run_program(p);
  ASSERT_EQ(bench.log.system.size(), 2u);
  std::ranges::sort(bench.log.system, {}, &StoreLog::Store::address);
  const uint64_t device = kData + (uint64_t{1} << 48);
  EXPECT_EQ(bench.log.system[0].address, device + 4);
  EXPECT_EQ(bench.log.system[0].bytes, 15 * 256 + 4u);
  EXPECT_EQ(bench.log.system[1].address, device + 4096 + 4);
}

TEST(ExecuteMemory, TheHostIsToldOfRowsOnOnePageOnce) {
  Bench bench;
  Program p(kCode);
  lane_address(p, 3);
  p << sd(s0, s1, 0) << sd(s0, s1, 512) << sd(s0, s1, 256) << ret();
  bench.run_program(p);
  ASSERT_EQ(bench.log.system.size(), 1u);
  EXPECT_EQ(bench.log.system[0].bytes, 768u);
}

// Code that the GPU writes must be known to the host before the flag that says that it is there.
TEST(ExecuteMemory, TheHostIsToldBeforeWhatIsBehindAFence) {
  Bench bench;
  Program p(kCode);
  lane_address(p, 3);
  p << addi(t0, x0, 9) << lui(t1, 1) << add(t1, t1, s1) << sd(t0, s1, 0) << fence_rw_rw() << sd(t0, t1, 0) << ret();
  std::vector<uint64_t> flags;
  bench.log.on_system = [&](const StoreLog::Store&) { flags.push_back(bench.translator.get<uint64_t>(kData + 4096)); };
  bench.run_program(p);
  EXPECT_EQ(flags, (std::vector<uint64_t>{0, 9})) << "the flag when the host is told of the first page, and of the second";
}

TEST(ExecuteMemory, StoresToVramAreToldAsSuch) {
  Bench bench;
  Program p(kCode);
  lane_address(p, 3);
  p << sd(s0, s1, 0) << ret();
  bench.translator.page(kData).aperture = TANDEM_APERTURE_VRAM;
  bench.run_program(p);
  ASSERT_EQ(bench.log.vram.size(), 1u);
  EXPECT_EQ(bench.log.vram[0].bytes, 256u);
  EXPECT_TRUE(bench.log.system.empty());
}

TEST(ExecuteMemory, TheHighestOfSeveralLanesToOneAddressWins) {
  Bench bench;
  Program p(kCode);
  p << csrr(s0, TANDEM_CSR_LANE_ID) << sd(s0, a0, 0) << ret();
  bench.run_program(p);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData), 31u);
}

TEST(ExecuteMemory, LdsIsPrivateToItsWorkgroupAndHasItsSize) {
  Bench bench;
  Program p(kCode);
  lane_address(p, 3);
  p << csrr(s2, TANDEM_CSR_LDS_BASE) << slli(t0, s0, 3) << add(t0, t0, s2);
  p << ld(t1, t0, 0) << csrr(t2, TANDEM_CSR_GROUP_ID_X) << addi(t2, t2, 5) << add(t1, t1, t2) << sd(t1, t0, 0) << ld(t3, t0, 0);
  p << csrr(t4, TANDEM_CSR_GROUP_ID_X) << slli(t4, t4, 8) << add(s1, s1, t4) << sd(t3, s1, 0) << ret();
  bench.dispatch.lds_bytes = 256;
  bench.set_size(32, 64);
  bench.load(p);
  bench.launch({0, 0, 0});
  bench.launch({1, 0, 0});
  bench.run();
  EXPECT_EQ(bench.listener.done.size(), 2u);
  for (uint64_t i = 0; i < 64; ++i) EXPECT_EQ(bench.translator.get<uint64_t>(kData + 8 * i), 5 + i / 32);
}

struct BadAddress {
  uint64_t va;
  uint32_t bytes_f3;
};

TEST(ExecuteMemory, AddressesOutsideUserRangeAndLdsAreQueueErrors) {
  const BadAddress bad[] = {{TANDEM_VA_LIMIT, 0},       {TANDEM_VA_LIMIT - 4, 3}, {~uint64_t{0}, 0},   {0xffff800000000000, 3},
                            {TANDEM_LDS_BASE + 256, 0}, {TANDEM_LDS_BASE + 252, 3}, {TANDEM_LDS_BASE - 4, 3}, {~uint64_t{0} - 3, 3}};
  for (const BadAddress& b : bad) {
    for (const bool is_store : {false, true}) {
      Bench bench;
      Program p(kCode);
      p.li(s1, b.va);
      const uint64_t pc = p.here();
      p << (is_store ? store(b.bytes_f3, t0, s1, 0) : load(b.bytes_f3, t0, s1, 0)) << ret();
      bench.dispatch.lds_bytes = 256;
      bench.run_program(p);
      ASSERT_EQ(bench.listener.errors.size(), 1u) << std::hex << b.va;
      const WaveError& e = bench.listener.errors[0];
      EXPECT_EQ(e.error, TANDEM_QUEUE_ADDRESS_RANGE);
      EXPECT_EQ(e.va, b.va);
      EXPECT_EQ(e.pc, pc);
      EXPECT_EQ(e.detail, static_cast<uint32_t>(is_store ? TANDEM_ACCESS_WRITE : TANDEM_ACCESS_READ));
      EXPECT_FALSE(bench.unit->runnable());
    }
  }
}

TEST(ExecuteMemory, ACancelledFaultNamesLaneAddressAndAccess) {
  Bench bench;
  Program p(kCode);
  lane_address(p, 12);
  const uint64_t pc = p.here();
  p << sd(s0, s1, 16) << ret();
  bench.translator.page(kData + (5 << 12)).write = false;
  bench.load(p);
  bench.launch();
  bench.run(false);
  bench.translator.cancel(TANDEM_QUEUE_PERMISSION_FAULT, kData + (5 << 12));
  bench.run(false);
  ASSERT_EQ(bench.listener.errors.size(), 1u);
  const WaveError& e = bench.listener.errors[0];
  EXPECT_EQ(e.error, TANDEM_QUEUE_PERMISSION_FAULT);
  EXPECT_EQ(e.lane, 5u);
  EXPECT_EQ(e.va, kData + (5 << 12) + 16);
  EXPECT_EQ(e.pc, pc);
  EXPECT_EQ(e.detail, static_cast<uint32_t>(TANDEM_ACCESS_WRITE));
}

TEST(ExecuteMemory, AnAnswerThatComesTooLateDoesNotFailTheWavefront) {
  Bench bench;
  Program p(kCode);
  lane_address(p, 12);
  p << ld(t0, s1, 0);
  p.label("forever");
  p.jump(x0, "forever");
  bench.translator.map(kData, 32 << 12);
  bench.translator.page(kData + (5 << 12)).present = false;
  bench.load(p);
  bench.launch();
  bench.unit->run(100);
  EXPECT_EQ(bench.translator.waiting(), 1u);
  bench.translator.page(kData + (5 << 12)).present = true;
  bench.translator.tell_ready();
  bench.unit->run(100);
  EXPECT_EQ(bench.translator.waiting(), 0u) << "the wavefront took its wait back";
  bench.translator.cancel(TANDEM_QUEUE_ADDRESS_FAULT, kData + (5 << 12));
  bench.unit->run(100);
  EXPECT_TRUE(bench.listener.errors.empty());
  EXPECT_TRUE(bench.unit->runnable());
}

TEST(ExecuteMemory, ATranslationThatFailsAtOnceIsAQueueError) {
  Bench bench;
  Program p(kCode);
  p << ld(t0, a0, 0) << ret();
  bench.translator.page(kData).failure = TANDEM_QUEUE_DMA_ERROR;
  bench.run_program(p);
  ASSERT_EQ(bench.listener.errors.size(), 1u);
  EXPECT_EQ(bench.listener.errors[0].error, TANDEM_QUEUE_DMA_ERROR);
  EXPECT_EQ(bench.listener.errors[0].va, kData);
}

TEST(ExecuteMemory, FloatLoadsBoxSinglesAndStoresTakeTheLowHalf) {
  Bench bench;
  Program p(kCode);
  p << flw(1, a0, 0) << fsd(1, a0, 8) << fld(2, a0, 16) << fsw(2, a0, 24) << ret();
  bench.translator.put<uint32_t>(kData, 0x3f800000);
  bench.translator.put<uint64_t>(kData + 16, 0x1122334455667788);
  bench.translator.put<uint64_t>(kData + 24, 0);
  bench.run_program(p);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData + 8), 0xffffffff3f800000);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData + 24), 0x55667788u);
}

TEST(ExecuteMemory, NothingIsTakenFromTheTlbTwiceWithoutAsking) {
  Bench bench;
  Program p(kCode);
  lane_address(p, 3);
  p << ld(t0, s1, 0) << ld(t1, s1, 0) << ret();
  bench.translator.cache_entries = false;   // each access must go through translate()
  bench.run_program(p);
  const auto data = std::count_if(bench.translator.requests.begin(), bench.translator.requests.end(),
                                  [](const TranslationRequest& r) { return r.access == Access::Read; });
  EXPECT_EQ(data, 2);
}

}  // namespace
}  // namespace tandem::test
