// SPDX-License-Identifier: GPL-2.0-or-later
// The unit as the command processor sees it: room, turns, suspend and resume, kill, reset, drain, code fetch.
#include "support/compute_fixture.h"

namespace tandem::test {
namespace {

using namespace rv;

uint64_t cell(Bench& bench, uint64_t index) { return bench.translator.get<uint64_t>(kData + 8 * index); }

// cell[id] = sum of 1 .. 200 + id, by way of memory: long enough to be cut anywhere
Program long_program() {
  Program p(kCode);
  p << csrr(s0, TANDEM_CSR_GLOBAL_ID_X) << slli(s1, s0, 3) << add(s1, s1, a0) << addi(t0, s0, 200);
  p.label("loop");
  p << ld(t1, s1, 0) << add(t1, t1, t0) << sd(t1, s1, 0) << addi(t0, t0, -1);
  p.branch(1, t0, x0, "loop");
  p << ret();
  return p;
}

void expect_long_results(Bench& bench, uint64_t items) {
  for (uint64_t i = 0; i < items; ++i) ASSERT_EQ(cell(bench, i), (200 + i) * (201 + i) / 2) << i;
}

void forever(Program& p) {
  p.label("forever");
  p << addi(t0, t0, 1);
  p.jump(x0, "forever");
}

TEST(ComputeUnit, RoomIsCountedInWavefrontsAndLds) {
  ComputeConfig config;
  config.waves = 4;
  config.lds_bytes = 1024;
  Bench bench(config);
  Program p(kCode);
  forever(p);
  bench.load(p);
  bench.set_size(96, 960);
  bench.dispatch.lds_bytes = 512;
  EXPECT_EQ(ComputeUnit::waves_needed(bench.dispatch, {}), 3u);
  const WorkgroupLaunch next{.dispatch = &bench.dispatch, .group_id = {1, 0, 0}, .scratch_slots = {}};
  EXPECT_TRUE(bench.unit->has_room(next));
  bench.launch();
  EXPECT_FALSE(bench.unit->has_room(next)) << "one slot is left, three are needed";
  bench.set_size(32, 320);
  EXPECT_TRUE(bench.unit->has_room(next));
  bench.dispatch.lds_bytes = 513;
  EXPECT_FALSE(bench.unit->has_room(next)) << "512 bytes of LDS are left";
  EXPECT_EQ(bench.unit->resident_waves(), 3u);
  EXPECT_EQ(bench.unit->resident_waves(queue_id(7)), 3u);
  EXPECT_EQ(bench.unit->resident_waves(queue_id(8)), 0u);
  EXPECT_FALSE(bench.unit->idle());
}

TEST(ComputeUnit, APartialLastWorkgroupHasFewerLanes) {
  Bench bench;
  bench.set_size(64, 100);
  Program p(kCode);
  p << csrr(s0, TANDEM_CSR_GLOBAL_ID_X) << slli(s1, s0, 3) << add(s1, s1, a0) << addi(t0, x0, 1) << sd(t0, s1, 0) << ret();
  bench.load(p);
  bench.launch({0, 0, 0});
  bench.launch({1, 0, 0});
  bench.run();
  for (uint64_t i = 0; i < 128; ++i) EXPECT_EQ(cell(bench, i), i < 100 ? 1 : 0);
  EXPECT_EQ(bench.counters[TANDEM_COUNTER_LANES], 100u);
  EXPECT_EQ(bench.counters[TANDEM_COUNTER_WAVES], 4u);
  EXPECT_EQ(bench.counters[TANDEM_COUNTER_WORKGROUPS], 2u);
}

TEST(ComputeUnit, BudgetIsKeptAndYieldIsHeeded) {
  Bench bench;
  Program p(kCode);
  forever(p);
  bench.load(p);
  bench.launch();
  EXPECT_EQ(bench.unit->run(10), 10u);
  EXPECT_EQ(bench.unit->run(1000), 1000u);
  bench.yield = true;
  EXPECT_LE(bench.unit->run(1'000'000), 64u);
  EXPECT_EQ(bench.counters[TANDEM_COUNTER_LANE_INSTRUCTIONS], bench.counters[TANDEM_COUNTER_INSTRUCTIONS] * 32);
  EXPECT_EQ(bench.dispatch.lane_instructions, bench.counters[TANDEM_COUNTER_LANE_INSTRUCTIONS]);
}

TEST(ComputeUnit, WavefrontsTakeTurns) {
  Bench bench;
  bench.set_size(64);
  Program p(kCode);
  // both spin on what the other sets: no progress unless both get turns
  p << csrr(s0, TANDEM_CSR_WAVE_ID) << slli(s1, s0, 3) << add(s1, s1, a0) << xori(s2, s0, 1) << slli(s2, s2, 3) << add(s2, s2, a0)
    << addi(t0, x0, 1) << sd(t0, s1, 0);
  p.label("spin");
  p << ld(t1, s2, 0);
  p.branch(0, t1, x0, "spin");
  p << ret();
  bench.run_program(p);
  EXPECT_EQ(bench.listener.done.size(), 1u);
}

// Turns are long, but not for one that may be spinning.
TEST(ComputeUnit, AWavefrontThatSynchronisesLetsOthersRunSoon) {
  const auto runs_in_time = [](bool synchronises) {
    Bench bench;
    bench.set_size(64);
    Program p(kCode);
    p << csrr(s0, TANDEM_CSR_WAVE_ID);
    p.branch(1, s0, x0, "second");
    p.label("spin");
    p << (synchronises ? amo(0, doubleword, t0, x0, a0) : ld(t0, a0, 0));
    p.jump(x0, "spin");
    p.label("second");
    p << addi(t0, x0, 1) << sd(t0, a0, 8) << ret();
    bench.load(p);
    bench.launch();
    bench.unit->run(200);
    return cell(bench, 1) != 0;
  };
  EXPECT_TRUE(runs_in_time(true));
  EXPECT_FALSE(runs_in_time(false)) << "a long turn";
}

TEST(ComputeUnit, SuspendAndResumeAnywhereGivesTheSameResult) {
  for (uint64_t step = 1; step < 2000; step = step * 3 + 1) {
    Bench bench;
    bench.set_size(64);
    Program p = long_program();
    bench.load(p);
    bench.launch();
    Listener& listener = bench.listener;
    ComputeConfig second = bench.config;
    second.unit = 1;
    ComputeUnit other(second, bench.translator, bench.port, listener, bench.counters, [] { return 0; }, [] { return false; });
    ComputeUnit* here = bench.unit.get();
    ComputeUnit* there = &other;
    for (int turn = 0; turn < 100000 && listener.done.empty(); ++turn) {
      here->run(step);
      if (!here->runnable()) bench.translator.replay();
      auto taken = here->suspend(queue_id(7));
      EXPECT_TRUE(here->idle());
      for (WorkgroupPtr& group : taken) {
        EXPECT_TRUE(there->has_room(*group));
        there->resume(std::move(group));
      }
      std::swap(here, there);
    }
    expect_long_results(bench, 64);
  }
}

TEST(ComputeUnit, SuspendWhileLanesWaitKeepsWhatIsDone) {
  Bench bench;
  Program p(kCode);
  p << csrr(s0, TANDEM_CSR_LANE_ID) << slli(s1, s0, 12) << add(s1, s1, a0) << addi(t0, x0, 1) << amo(0, doubleword, t1, t0, s1) << ret();
  bench.translator.map(kData, 32 << 12);
  for (uint64_t lane = 0; lane < 32; lane += 2) bench.translator.page(kData + (lane << 12)).present = false;
  bench.load(p);
  bench.launch();
  bench.run(false);
  auto taken = bench.unit->suspend(queue_id(7));
  EXPECT_EQ(bench.translator.waiting(), 0u) << "a suspended wavefront waits for nothing";
  bench.unit->acquire(pasid(1));
  bench.unit->resume(std::move(taken.at(0)));
  bench.run();
  for (uint64_t lane = 0; lane < 32; ++lane) EXPECT_EQ(bench.translator.get<uint64_t>(kData + (lane << 12)), 1u);
}

TEST(ComputeUnit, KillEndsOneQueueOnly) {
  Bench bench;
  Program p(kCode);
  forever(p);
  bench.load(p);
  bench.launch();
  DispatchState other = bench.dispatch;
  other.queue = queue_id(8);
  bench.unit->launch({.dispatch = &other, .group_id = {}, .scratch_slots = {0}});
  bench.unit->run(500);
  bench.unit->kill(queue_id(7));
  EXPECT_EQ(bench.unit->resident_waves(queue_id(7)), 0u);
  EXPECT_EQ(bench.unit->resident_waves(queue_id(8)), 1u);
  EXPECT_TRUE(bench.listener.done.empty());
  EXPECT_GT(bench.unit->run(500), 0u);
  bench.unit->reset();
  EXPECT_TRUE(bench.unit->idle());
  EXPECT_EQ(bench.unit->run(500), 0u);
}

TEST(ComputeUnit, ResetDropsQueuedStoresAndWaiters) {
  ComputeConfig config;
  config.store_queue_depth = 8;
  Bench bench(config);
  Program p(kCode);
  p << addi(t0, x0, 1) << sd(t0, a0, 0) << lui(t1, 0x900) << ld(t2, t1, 0) << ret();
  bench.load(p);
  bench.launch();
  bench.unit->run(4);   // fetch, addi, sd; the load waits within this call or the next
  bench.unit->reset();
  EXPECT_EQ(bench.translator.waiting(), 0u);
  EXPECT_TRUE(bench.unit->idle());
}

TEST(ComputeUnit, AFailedWavefrontIsReportedOnceAndStopsRunning) {
  Bench bench;
  bench.set_size(64);
  Program p(kCode);
  p << csrr(s0, TANDEM_CSR_WAVE_ID);
  p.branch(1, s0, x0, "spin");
  p << ebreak();
  p.label("spin");
  p.jump(x0, "spin");
  bench.load(p);
  bench.launch();
  bench.unit->run(2000);
  EXPECT_EQ(bench.listener.errors.size(), 1u);
  EXPECT_TRUE(bench.unit->runnable()) << "the other wavefront: stopping the queue is the command processor's";
  bench.unit->kill(queue_id(7));
  EXPECT_TRUE(bench.unit->idle());
}

TEST(ComputeUnit, DescribesEachWavefront) {
  Bench bench;
  bench.set_size(40);
  Program p(kCode);
  forever(p);
  bench.load(p);
  bench.launch();
  bench.unit->run(100);
  const auto lines = bench.description();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find("queue 7"), std::string::npos);
  EXPECT_NE(lines[1].find("live 000000ff"), std::string::npos) << lines[1];
}

TEST(CodeFetch, IsTranslatedWaitsAndCanFail) {
  Bench bench;
  Program p(kCode);
  p << addi(t0, x0, 5) << sd(t0, a0, 0) << ret();
  bench.load(p);
  bench.translator.page(kCode).present = false;
  bench.launch();
  bench.run(false);
  ASSERT_EQ(bench.translator.wanted.size(), 1u);
  EXPECT_EQ(bench.translator.wanted.begin()->access, Access::Execute);
  EXPECT_EQ(bench.translator.wanted.begin()->page, kCode);
  bench.run();
  EXPECT_EQ(cell(bench, 0), 5u);

  bench.unit->acquire(pasid(1));
  bench.translator.page(kCode).present = false;
  bench.translator.invalidate(kCode, 4096);
  bench.launch();
  bench.run(false);
  bench.translator.cancel(TANDEM_QUEUE_ADDRESS_FAULT, kCode);
  bench.run(false);
  ASSERT_EQ(bench.listener.errors.size(), 1u);
  EXPECT_EQ(bench.listener.errors[0].error, TANDEM_QUEUE_ADDRESS_FAULT);
  EXPECT_EQ(bench.listener.errors[0].pc, kCode);
  EXPECT_EQ(bench.listener.errors[0].detail, static_cast<uint32_t>(TANDEM_ACCESS_EXECUTE));
}

TEST(CodeFetch, RunsFromOnePageIntoTheNext) {
  Bench bench;
  Program p(kCode + 4096 - 8);
  p << addi(t0, x0, 1) << addi(t0, t0, 2) << addi(t0, t0, 4) << sd(t0, a0, 0) << ret();
  bench.dispatch.entry = p.base();
  bench.run_program(p);
  EXPECT_EQ(cell(bench, 0), 7u);
}

TEST(CodeFetch, ADrainOfTheCodePageFetchesAnew) {
  Bench bench;
  Program p(kCode);
  p << addi(t0, x0, 100);
  p.label("loop");
  p << addi(t1, t1, 1) << addi(t0, t0, -1);
  p.branch(1, t0, x0, "loop");
  p << sd(t1, a0, 0) << ret();
  bench.load(p);
  bench.launch();
  bench.unit->run(31);   // addi, then ten rounds
  bench.translator.put<uint32_t>(kCode + 4, addi(t1, t1, 2));
  bench.translator.invalidate(kCode, 4096);
  EXPECT_FALSE(bench.unit->drain(pasid(2), gva(kCode), gva(kCode + 4096)).code_dropped) << "another address space";
  EXPECT_FALSE(bench.unit->drain(pasid(1), gva(kCode + 4096), gva(kCode + 8192)).code_dropped) << "another page";
  EXPECT_TRUE(bench.unit->drain(pasid(1), gva(kCode), gva(kCode + 4096)).code_dropped);
  bench.run();
  EXPECT_EQ(cell(bench, 0), 10 + 90 * 2u);
}

TEST(CodeFetch, FenceISeesWhatTheWavefrontWrote) {
  ComputeConfig config;
  config.store_queue_depth = 16;
  Bench bench(config);
  bench.set_size(1);
  Program p(kCode);
  p << auipc(t0, 0) << lw(t1, a0, 8) << sw(t1, t0, 20) << fence_i() << addi(x0, x0, 0) << addi(t2, x0, 1) << sd(t2, a0, 0) << ret();
  bench.translator.put<uint32_t>(kData + 8, addi(t2, x0, 42));
  bench.run_program(p);
  EXPECT_EQ(cell(bench, 0), 42u);
}

// An invalidation of the code page arrives while an instruction of this page is being translated.
TEST(CodeFetch, ADrainDuringAnInstructionOfThePage) {
  Bench bench;
  Program p(kCode);
  p << csrr(s0, TANDEM_CSR_LANE_ID) << slli(s1, s0, 12) << add(s1, s1, a0) << addi(t0, x0, 3) << sd(t0, s1, 0) << addi(t0, x0, 7)
    << sd(t0, s1, 8) << ret();
  bench.translator.map(kData, 32 << 12);
  bench.translator.before_translate = [&](const TranslationRequest& r) {
    if (r.access == Access::Write) bench.unit->drain(pasid(1), gva(kCode), gva(kCode + 4096));
  };
  bench.run_program(p);
  for (uint64_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(bench.translator.get<uint64_t>(kData + (lane << 12)), 3u);
    EXPECT_EQ(bench.translator.get<uint64_t>(kData + (lane << 12) + 8), 7u);
  }
}

TEST(Determinism, SameInputsGiveTheSameRunToTheInstruction) {
  const auto trace = [] {
    ComputeConfig config;
    config.store_queue_depth = 5;
    config.store_drain = TANDEM_DRAIN_RANDOM;
    config.seed = 42;
    Bench bench(config);
    bench.set_size(128);
    Program p = long_program();
    bench.load(p);
    bench.launch();
    std::vector<uint64_t> events;
    for (int i = 0; i < 400; ++i) {
      events.push_back(bench.unit->run(97));
      events.push_back(bench.log.system.size());
      if (!bench.log.system.empty()) events.push_back(bench.log.system.back().address);
    }
    return events;
  };
  EXPECT_EQ(trace(), trace());
}

}  // namespace
}  // namespace tandem::test
