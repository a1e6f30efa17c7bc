// SPDX-License-Identifier: GPL-2.0-or-later
// Test support: one compute unit over a FakeTranslator, a program at kCode, its argument block at kData.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compute/compute_unit.h"
#include "support/fake_translator.h"
#include "support/rv_asm.h"

namespace tandem::test {

inline constexpr uint64_t kCode = 0x10000;
inline constexpr uint64_t kData = 0x400000;
inline constexpr uint64_t kDataBytes = 0x40000;
inline constexpr uint64_t kScratch = 0x800000;
inline constexpr uint32_t kScratchLane = 1024;

class Listener final : public WorkgroupListener {
 public:
  void workgroup_done(const WorkgroupLaunch& launch) override { done.push_back(launch.group_id); }
  void wave_failed(const DispatchState&, const WaveError& error) override { errors.push_back(error); }
  std::vector<std::array<uint32_t, 3>> done;
  std::vector<WaveError> errors;
};

// The unit and what it needs; a test may have several.
struct Bench {
  explicit Bench(ComputeConfig config = {}) : config(config) {
    make_unit();
    translator.map(kData, kDataBytes);
    translator.map(kScratch, uint64_t{kScratchLane} * 32 * 32);
    dispatch.pasid = pasid(1);
    dispatch.queue = queue_id(7);
    dispatch.entry = kCode;
    dispatch.kernarg = kData;
    dispatch.scratch = kScratch;
    dispatch.scratch_lane_bytes = kScratchLane;
    set_size(32);
  }

  void make_unit() {
    unit = std::make_unique<ComputeUnit>(config, translator, port, listener, counters, [this] { return ++clock; },
                                         [this] { return yield; });
  }

  void set_size(uint32_t group, uint32_t grid = 0) {
    dispatch.workgroup_size = {group, 1, 1};
    dispatch.grid_size = {grid ? grid : group, 1, 1};
  }

  void load(rv::Program& program) {
    const auto& words = program.words();
    for (size_t i = 0; i < words.size(); ++i) translator.put<uint32_t>(program.base() + 4 * i, words[i]);
  }

  void launch(std::array<uint32_t, 3> group_id = {}) {
    WorkgroupLaunch launch{.dispatch = &dispatch, .group_id = group_id, .scratch_slots = {}};
    for (uint32_t w = 0; w < ComputeUnit::waves_needed(dispatch, group_id); ++w) launch.scratch_slots.push_back(slot++);
    unit->launch(std::move(launch));
  }

  // Ticks pass: one for each instruction, at least one.
  uint64_t run_slice(uint64_t budget) {
    const uint64_t ran = unit->run(budget);
    port.atomics().tick(ticks += ran + 1);
    return ran;
  }

  // Runs until nothing can run; replays every wait if service is set. Bounded: a test that hangs fails.
  void run(bool service = true, uint64_t limit = 4'000'000) {
    for (uint64_t done = 0; done < limit;) {
      const uint64_t ran = run_slice(1000);
      done += ran + 1;
      if (ran || port.atomics().busy()) continue;
      if (unit->runnable()) continue;
      if (!service || !translator.waiting()) return;
      for (const auto& want : translator.wanted) translator.page(want.page, want.pasid).present = true;
      translator.replay();
    }
    ADD_FAILURE() << "still running after " << limit << " instructions";
  }

  void run_program(rv::Program& program) {
    load(program);
    launch();
    run();
  }

  std::vector<std::string> description() const {
    std::vector<std::string> lines;
    unit->describe([&](const std::string& line) { lines.push_back(line); });
    return lines;
  }

  ComputeConfig config;
  FakeTranslator translator;
  StoreLog log;
  MemoryPort port{log.ops(), &log, nullptr, 0};
  Listener listener;
  Counters counters;
  uint64_t clock = 0;
  uint64_t ticks = 0;
  bool yield = false;
  DispatchState dispatch;
  uint32_t slot = 0;
  std::unique_ptr<ComputeUnit> unit;
};

// Atomics on system memory are a load and a store, so many ticks apart.
inline AtomicConfig exclusive(uint32_t pause = 0) {
  return {.mode = TANDEM_ATOMICS_EXCLUSIVE, .pause = pause, .vram_is_shared = false};
}

// Runs one register instruction in all lanes, and again with only the even lanes, at every x86-64 level of the host.
// Inputs: lane l has a[l % n], b[l % n], c in t0, t1, t2 and ft0..ft2 raw; gives t3 (or ft3) and the flags raised.
struct LaneValues {
  uint64_t a = 0, b = 0, c = 0;
};
struct LaneResult {
  uint64_t x = 0;      // t3
  uint64_t f = 0;      // f28
  uint64_t fcsr = 0;
};

inline constexpr uint32_t kArgA = rv::t0, kArgB = rv::t1, kArgC = rv::t2, kResult = rv::t3;
inline constexpr uint64_t kUntouched = 0xdeadbeefcafef00d;

inline std::vector<LaneResult> run_lanes(uint32_t instruction, const std::vector<LaneValues>& values, uint32_t fcsr,
                                         uint8_t level, bool only_even = false) {
  using namespace rv;
  ComputeConfig config;
  config.isa_level = level;
  Bench bench(config);
  Program p(kCode);
  constexpr int kStride = 64;
  p << csrr(s0, TANDEM_CSR_LANE_ID) << slli(s1, s0, 6) << add(s1, s1, a0);
  for (int i = 0; i < 3; ++i) {
    p << ld(kArgA + static_cast<uint32_t>(i), s1, 8 * i);
    p << fld(kArgA + static_cast<uint32_t>(i), s1, 8 * i);
  }
  p << ld(kResult, s1, 24) << fld(kResult, s1, 24);
  p << addi(s2, x0, static_cast<int32_t>(fcsr)) << csrrw(x0, 3, s2);
  if (only_even) {
    p << andi(s3, s0, 1);
    p.branch(1, s3, x0, "skip");
  }
  p << instruction;
  p.label("skip");
  p << csrr(s4, 3) << sd(kResult, s1, 24) << fsd(kResult, s1, 32) << sd(s4, s1, 40) << ret();
  for (uint64_t lane = 0; lane < 32; ++lane) {
    const LaneValues& v = values[lane % values.size()];
    const uint64_t at = kData + lane * kStride;
    bench.translator.put(at, v.a);
    bench.translator.put(at + 8, v.b);
    bench.translator.put(at + 16, v.c);
    bench.translator.put(at + 24, kUntouched);
  }
  bench.run_program(p);
  EXPECT_EQ(bench.listener.done.size(), 1u) << std::hex << instruction;
  std::vector<LaneResult> results;
  for (uint64_t lane = 0; lane < 32; ++lane) {
    const uint64_t at = kData + lane * kStride;
    results.push_back({bench.translator.get<uint64_t>(at + 24), bench.translator.get<uint64_t>(at + 32),
                       bench.translator.get<uint64_t>(at + 40)});
  }
  return results;
}

inline std::vector<uint8_t> host_levels() {
  __builtin_cpu_init();
  std::vector<uint8_t> levels{2};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) levels.push_back(3);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) levels.push_back(4);
  return levels;
}

}  // namespace tandem::test
