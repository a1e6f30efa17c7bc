// SPDX-License-Identifier: GPL-2.0-or-later
// C programs compiled by clang for riscv64 (kernels/programs.h), run by every lane and by the host: the same bytes.
#include <cstring>
#include <fstream>
#include <iterator>

#include "support/compute_fixture.h"

extern "C" {
#include "kernels/programs.h"
}

namespace tandem::test {
namespace {

struct Kind {
  uint8_t level;
  uint32_t store_queue;
  bool load_reorder = false;
};

class Programs : public testing::TestWithParam<Kind> {};

TEST_P(Programs, EveryLaneComputesWhatTheHostDoes) {
  constexpr uint32_t kItems = 96, kStack = 16384;
  ComputeConfig config;
  config.isa_level = GetParam().level;
  config.store_queue_depth = GetParam().store_queue;
  config.store_drain = TANDEM_DRAIN_RANDOM;
  config.load_reorder = GetParam().load_reorder;
  Bench bench(config);
  std::ifstream file(TANDEM_PROGRAMS_KERNEL, std::ios::binary);
  const std::vector<char> image(std::istreambuf_iterator<char>(file), {});
  ASSERT_FALSE(image.empty());
  for (size_t i = 0; i < image.size(); ++i) bench.translator.put<char>(kCode + i, image[i]);
  std::vector<program_data> expected(kItems);
  for (uint32_t i = 0; i < kItems; ++i) {
    expected[i].seed = i + (i % 12 == 0 ? 1 : 0) + 13;
    bench.translator.put(kData + i * sizeof(program_data), expected[i].seed);
    run_programs(&expected[i]);
  }
  bench.set_size(kItems);
  bench.dispatch.scratch_lane_bytes = kStack;
  bench.translator.map(kScratch, kItems * kStack);
  bench.launch();
  bench.run(true, 50'000'000);
  for (const WaveError& e : bench.listener.errors)
    ADD_FAILURE() << "error " << e.error << std::hex << " pc " << e.pc << " va " << e.va << " word " << e.detail;
  ASSERT_EQ(bench.listener.done.size(), 1u);
  for (uint32_t i = 0; i < kItems; ++i) {
    const auto got = bench.translator.get<program_data>(kData + i * sizeof(program_data));
    EXPECT_EQ(std::memcmp(got.keys, expected[i].keys, sizeof got.keys), 0) << i;
    EXPECT_EQ(std::memcmp(got.text, expected[i].text, sizeof got.text), 0) << i;
    EXPECT_EQ(std::memcmp(got.matrix, expected[i].matrix, sizeof got.matrix), 0) << i;
    EXPECT_EQ(std::memcmp(got.series, expected[i].series, sizeof got.series), 0) << i;
    EXPECT_EQ(std::memcmp(got.words, expected[i].words, sizeof got.words), 0) << i;
  }
}

std::vector<Kind> kinds() {
  std::vector<Kind> all;
  for (const uint8_t level : host_levels()) all.push_back({level, 0});
  all.push_back({0, 6});
  all.push_back({0, 6, true});
  return all;
}
INSTANTIATE_TEST_SUITE_P(Levels, Programs, testing::ValuesIn(kinds()));

}  // namespace
}  // namespace tandem::test
