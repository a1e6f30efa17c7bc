// SPDX-License-Identifier: GPL-2.0-or-later
// Pairs of instructions against the same instructions one by one: random programs of what may be fused, over few registers, so
// that all ways in which one instruction takes from another occur, x0 among them.
#include <random>

#include "support/compute_fixture.h"

namespace tandem::test {
namespace {

using namespace rv;

constexpr uint32_t kRegisters[] = {x0, t0, t1, t2, s2, s3};
constexpr uint32_t kInstructions = 60;
constexpr uint32_t kStride = 64;  // of the lanes' data

class RandomProgram {
 public:
  explicit RandomProgram(uint32_t seed) : random_(seed) {}

  uint32_t instruction() {
    const uint32_t rd = one(), rs1 = one(), rs2 = one();
    const auto imm = static_cast<int32_t>(random_() % 4096) - 2048;
    const auto shift = static_cast<int32_t>(random_() % 64);
    switch (random_() % 9) {
      case 0: return add(rd, rs1, rs2);
      case 1: return addi(rd, rs1, imm);
      case 2: return sub(rd, rs1, rs2);
      case 3: return xor_(rd, rs1, rs2);
      case 4: return andi(rd, rs1, imm);
      case 5: return slli(rd, rs1, shift);
      case 6: return srli(rd, rs1, shift);
      case 7: return mul(rd, rs1, rs2);
      default: return srai(rd, rs1, shift);  // one that is never fused
    }
  }

  // Each lane loads its registers, computes, and stores them again.
  Program make() {
    Program p(kCode);
    p << csrr(s0, TANDEM_CSR_LANE_ID) << slli(s1, s0, 6) << add(s1, s1, a0);
    for (uint32_t n = 1; n < std::size(kRegisters); ++n) p << ld(kRegisters[n], s1, static_cast<int32_t>(8 * n));
    for (uint32_t n = 0; n < kInstructions; ++n) p << instruction();
    for (uint32_t n = 0; n < std::size(kRegisters); ++n) p << sd(kRegisters[n], s1, static_cast<int32_t>(8 * n));
    p << ret();
    return p;
  }

 private:
  uint32_t one() { return kRegisters[random_() % std::size(kRegisters)]; }
  std::mt19937 random_;
};

// What the lanes store, if so many instructions are run at a time.
std::vector<uint64_t> results(uint32_t seed, uint8_t level, uint64_t at_a_time) {
  ComputeConfig config;
  config.isa_level = level;
  Bench bench(config);
  std::mt19937_64 random(seed);
  for (uint32_t at = 0; at < 32 * kStride; at += 8) bench.translator.put<uint64_t>(kData + at, random());
  Program program = RandomProgram(seed).make();
  bench.load(program);
  bench.launch();
  uint64_t ran = 0;
  while (const uint64_t step = bench.unit->run(at_a_time)) {
    EXPECT_LE(step, at_a_time);
    ran += step;
  }
  EXPECT_EQ(ran, program.words().size()) << "each of a pair counts";
  EXPECT_EQ(bench.listener.done.size(), 1u);
  std::vector<uint64_t> stored;
  for (uint32_t lane = 0; lane < 32; ++lane)
    for (uint32_t n = 0; n < std::size(kRegisters); ++n)
      stored.push_back(bench.translator.get<uint64_t>(kData + kStride * lane + 8 * n));
  return stored;
}

TEST(Fuse, PairsGiveWhatTheirInstructionsGive) {
  for (const uint8_t level : host_levels())
    for (uint32_t seed = 0; seed < 50; ++seed) {
      const std::vector<uint64_t> one_by_one = results(seed, level, 1);
      ASSERT_EQ(results(seed, level, 1000), one_by_one) << "level " << int{level} << " seed " << seed;
      ASSERT_EQ(results(seed, level, 7), one_by_one) << "cut in the middle of pairs; level " << int{level} << " seed " << seed;
      ASSERT_EQ(one_by_one[0], 0u) << "x0";
    }
}

TEST(Fuse, AJumpMayLeadToTheSecondOfAPair) {
  Bench bench;
  Program p(kCode);
  p << addi(t0, x0, 5) << addi(t1, x0, 0);
  p.jump(x0, "second");
  p << addi(t0, t0, 100);
  p.label("second");
  p << add(t1, t1, t0) << sd(t1, a0, 0) << ret();
  bench.run_program(p);
  EXPECT_EQ(bench.translator.get<uint64_t>(kData), 5u);
}

}  // namespace
}  // namespace tandem::test
