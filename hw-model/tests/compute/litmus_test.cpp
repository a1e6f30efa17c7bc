// SPDX-License-Identifier: GPL-2.0-or-later
// Litmus tests between wavefronts: with fences the weak outcome of each shape never occurs, without them it does (or the test
// would prove nothing), and with neither store queue nor late loads it does not, either.
#include <random>

#include "support/compute_fixture.h"

namespace tandem::test {
namespace {

using namespace rv;

// One access of a thread: stores a value to a variable, or loads it into the next result.
struct Step {
  enum Kind : uint8_t { Store, Load } kind;
  uint32_t variable;
  int32_t value = 0;
};
constexpr uint32_t X = 0, Y = 1;
constexpr Step store_to(uint32_t variable, int32_t value = 1) { return {Step::Store, variable, value}; }
constexpr Step load_from(uint32_t variable) { return {Step::Load, variable}; }

// Results of one lane's run, in the order of the loads, thread by thread.
using Results = std::array<uint64_t, 4>;
struct Shape {
  const char* name;
  std::vector<std::vector<Step>> threads;
  bool (*weak)(const Results& r);
};

const Shape kMessagePassing{"MP", {{store_to(X), store_to(Y)}, {load_from(Y), load_from(X)}},
                            [](const Results& r) { return r[0] == 1 && r[1] == 0; }};
const Shape kStoreBuffering{"SB", {{store_to(X), load_from(Y)}, {store_to(Y), load_from(X)}},
                            [](const Results& r) { return r[0] == 0 && r[1] == 0; }};
const Shape kLoadBuffering{"LB", {{load_from(X), store_to(Y)}, {load_from(Y), store_to(X)}},
                           [](const Results& r) { return r[0] == 1 && r[1] == 1; }};
const Shape kIriw{"IRIW", {{store_to(X)}, {store_to(Y)}, {load_from(X), load_from(Y)}, {load_from(Y), load_from(X)}},
                  [](const Results& r) { return r[0] == 1 && r[1] == 0 && r[2] == 1 && r[3] == 0; }};
// One variable: its order needs no fence. With a second variable in its place it is message passing.
const Shape kCoherence{"Coherence", {{store_to(X, 1), store_to(X, 2)}, {load_from(X), load_from(X)}},
                       [](const Results& r) { return r[0] > r[1]; }};
const Shape kOwnStore{"OwnStore", {{load_from(X), store_to(X), load_from(X)}},
                      [](const Results& r) { return r[0] != 0 || r[1] != 1; }};

enum class Fences { With, Without };

ComputeConfig weak_machine(uint64_t seed) {
  ComputeConfig config;
  config.store_queue_depth = 8;
  config.store_drain = TANDEM_DRAIN_RANDOM;
  config.load_reorder = true;
  config.seed = seed;
  return config;
}

constexpr uint64_t kCells = kData, kResults = kData + 0x4000;
constexpr uint32_t kCellShift = 7, kVariableBytes = 64;
constexpr int32_t kElsewhere = 64;  // in the row of results

// Each lane has a cell and a row of results of its own. s1: cell, s2: results.
Program thread_program(uint64_t at, const std::vector<Step>& steps, uint32_t first_result, Fences fences, uint64_t delay) {
  Program p(at);
  p << csrr(s0, TANDEM_CSR_LANE_ID) << slli(s1, s0, kCellShift) << add(s1, s1, a0) << lui(t0, 4) << add(s2, s1, t0);
  for (uint64_t i = 0; i < delay; ++i) p << addi(x0, x0, 0);
  // Each turn of a wavefront writes out one store, so there are some more to be written.
  for (int32_t n = 0; n < 8; ++n) p << sd(x0, s2, kElsewhere + 8 * n);
  uint32_t loaded = 0;
  for (const Step& step : steps) {
    const auto offset = static_cast<int32_t>(step.variable * kVariableBytes);
    if (&step != &steps.front() && fences == Fences::With) p << fence_rw_rw();
    if (step.kind == Step::Store) p << addi(t0, x0, step.value) << sd(t0, s1, offset);
    else p << ld(a1 + loaded++, s1, offset);
  }
  for (uint32_t n = 0; n < loaded; ++n) p << sd(a1 + n, s2, static_cast<int32_t>(8 * (first_result + n)));
  p << ret();
  return p;
}

// How many of the 32 lanes saw the weak outcome.
uint32_t run_once(const Shape& shape, const ComputeConfig& config, Fences fences) {
  std::mt19937_64 random(config.seed);
  Bench bench(config);
  std::vector<DispatchState> dispatches(shape.threads.size(), bench.dispatch);
  uint32_t results = 0;
  for (size_t n = 0; n < shape.threads.size(); ++n) {
    Program p = thread_program(kCode + n * kPage, shape.threads[n], results, fences, random() % 8);
    bench.load(p);
    dispatches[n].entry = p.base();
    for (const Step& step : shape.threads[n]) results += step.kind == Step::Load;
    bench.unit->launch({.dispatch = &dispatches[n], .group_id = {}, .scratch_slots = {static_cast<uint32_t>(n)}});
  }
  while (!bench.unit->idle()) bench.unit->run(1 + random() % 3);
  EXPECT_TRUE(bench.listener.errors.empty());
  uint32_t weak = 0;
  for (uint64_t lane = 0; lane < 32; ++lane) {
    Results r;
    for (size_t n = 0; n < r.size(); ++n) r[n] = bench.translator.get<uint64_t>(kResults + (lane << kCellShift) + 8 * n);
    weak += shape.weak(r);
  }
  return weak;
}

uint32_t weak_outcomes(const Shape& shape, Fences fences, ComputeConfig (*machine)(uint64_t), uint64_t runs) {
  uint32_t weak = 0;
  for (uint64_t seed = 0; seed < runs; ++seed) weak += run_once(shape, machine(seed), fences);
  return weak;
}

constexpr uint64_t kRuns = 300;

class Litmus : public ::testing::TestWithParam<const Shape*> {};

TEST_P(Litmus, FencesForbidTheWeakOutcome) {
  EXPECT_EQ(weak_outcomes(*GetParam(), Fences::With, weak_machine, kRuns), 0u);
}

TEST_P(Litmus, WithoutThemItOccurs) {
  EXPECT_GT(weak_outcomes(*GetParam(), Fences::Without, weak_machine, kRuns), 0u);
}

TEST_P(Litmus, AnOrderlyMachineDoesNotShowIt) {
  const auto orderly = [](uint64_t seed) {
    ComputeConfig config;
    config.seed = seed;
    return config;
  };
  EXPECT_EQ(weak_outcomes(*GetParam(), Fences::Without, orderly, kRuns), 0u);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Litmus, ::testing::Values(&kMessagePassing, &kStoreBuffering, &kLoadBuffering, &kIriw),
                         [](const auto& info) { return info.param->name; });

TEST(LitmusOfOneVariable, OrderNeedsNoFence) {
  EXPECT_EQ(weak_outcomes(kCoherence, Fences::Without, weak_machine, kRuns), 0u);
  EXPECT_EQ(weak_outcomes(kOwnStore, Fences::Without, weak_machine, kRuns), 0u);
}

}  // namespace
}  // namespace tandem::test
