// SPDX-License-Identifier: GPL-2.0-or-later
// Atomics and fences of device and workgroup scope: what they need, what they cost, and for whom they hold.
#include "support/compute_fixture.h"

namespace tandem::test {
namespace {

using namespace rv;

uint64_t cell(Bench& bench, uint64_t index = 0) { return bench.translator.get<uint64_t>(kData + 8 * index); }

constexpr tandem_scope kNarrow[] = {TANDEM_SCOPE_DEVICE, TANDEM_SCOPE_WORKGROUP};

// amoadd, and an lr-sc loop, in this scope.
Program add_twice(tandem_scope scope) {
  Program p(kCode);
  p << addi(t0, x0, 1) << scoped(amo(0, doubleword, t1, t0, a0), scope);
  p.label("again");
  p << scoped(lr(doubleword, t1, a0), scope) << addi(t1, t1, 1) << scoped(sc(doubleword, t2, t1, a0), scope);
  p.branch(1, t2, x0, "again");
  p << ret();
  return p;
}

TEST(Scope, NarrowAtomicsNeedTheRightToStoreOnly) {
  for (const tandem_scope scope : kNarrow) {
    Bench bench;
    bench.translator.page(kData).atomic = false;
    Program p = add_twice(scope);
    bench.load(p);
    bench.launch();
    bench.run(false);
    EXPECT_EQ(cell(bench), 64u);
    EXPECT_EQ(bench.listener.done.size(), 1u);
  }
}

TEST(Scope, NarrowAtomicsAskForTheRightToStore) {
  for (const tandem_scope scope : kNarrow) {
    Bench bench;
    bench.translator.page(kData).write = bench.translator.page(kData).atomic = false;
    Program p = add_twice(scope);
    bench.load(p);
    bench.launch();
    bench.run(false);
    ASSERT_EQ(bench.translator.wanted.size(), 1u);
    EXPECT_EQ(bench.translator.wanted.begin()->access, Access::Write);
  }
}

TEST(Scope, NarrowAtomicsHaveNoPause) {
  for (const tandem_scope scope : kNarrow) {
    Bench bench;
    bench.port.atomics().configure(exclusive(200));
    Program p = add_twice(scope);
    bench.load(p);
    bench.launch();
    while (bench.unit->run(100)) EXPECT_FALSE(bench.port.atomics().busy());
    EXPECT_EQ(cell(bench), 64u) << "no tick has passed";
  }
}

TEST(Scope, NarrowAtomicsSeeAnAtomicThatIsUnderWay) {
  for (const tandem_scope scope : kNarrow) {
    Bench bench;
    bench.port.atomics().configure(exclusive(200));
    bench.set_size(64);
    Program p(kCode);
    p << csrr(s0, TANDEM_CSR_WAVE_ID) << addi(t0, x0, 1);
    p.branch(1, s0, x0, "narrow");
    p << amo(0, doubleword, t1, t0, a0) << ret();
    p.label("narrow");
    for (int i = 0; i < 10; ++i) p << addi(x0, x0, 0);
    p << scoped(amo(0, doubleword, t1, t0, a0), scope) << ret();
    bench.load(p);
    bench.launch();
    while (!bench.port.atomics().busy()) bench.unit->run(1);
    ASSERT_EQ(cell(bench), 0u);
    while (bench.unit->run(20)) {}
    EXPECT_EQ(cell(bench), 64u);
    EXPECT_FALSE(bench.port.atomics().busy());
    bench.run();
    EXPECT_EQ(bench.listener.done.size(), 1u);
  }
}

// Whether a store that was queued before the instruction is in memory after it, in a workgroup of so many wavefronts.
bool written_by(uint32_t instruction, uint32_t waves) {
  ComputeConfig config;
  config.store_queue_depth = 8;
  Bench bench(config);
  bench.set_size(32 * waves);
  Program p(kCode);
  p << addi(s2, a0, 64) << addi(t0, x0, 1) << sd(t0, a0, 128) << sd(t0, a0, 0) << instruction;
  p.label("forever");
  p.jump(x0, "forever");
  bench.load(p);
  bench.launch();
  bench.unit->run(5);  // the first wavefront's turn, which writes the store to cell 16 when it ends
  return cell(bench) == 1;
}

TEST(Scope, FencesWriteQueuedStoresAsFarAsOthersInTheirScopeCouldSeeThem) {
  constexpr uint32_t w = TANDEM_FENCE_WRITES, r = TANDEM_FENCE_READS;
  for (const tandem_scope scope : {TANDEM_SCOPE_SYSTEM, TANDEM_SCOPE_DEVICE, TANDEM_SCOPE_WORKGROUP}) {
    EXPECT_TRUE(written_by(scoped_fence(w, w, scope), 2)) << scope;
    EXPECT_TRUE(written_by(scoped_fence(w | r, w | r, scope), 2)) << scope;
    EXPECT_FALSE(written_by(scoped_fence(r, w | r, scope), 2)) << scope;
    EXPECT_FALSE(written_by(scoped_fence(w | r, 0, scope), 2)) << scope;
  }
  EXPECT_TRUE(written_by(scoped_fence(w, w, TANDEM_SCOPE_DEVICE), 1));
  EXPECT_FALSE(written_by(scoped_fence(w | r, w | r, TANDEM_SCOPE_WORKGROUP), 1)) << "a workgroup of one sees its own stores";
}

TEST(Scope, ReleasesDoTheSame) {
  const auto add = [](Order order, tandem_scope scope) { return scoped(amo(0, doubleword, t1, t0, s2, order), scope); };
  EXPECT_TRUE(written_by(add(rl, TANDEM_SCOPE_DEVICE), 1));
  EXPECT_TRUE(written_by(add(aqrl, TANDEM_SCOPE_WORKGROUP), 2));
  EXPECT_FALSE(written_by(add(rl, TANDEM_SCOPE_WORKGROUP), 1));
  EXPECT_FALSE(written_by(add(relaxed, TANDEM_SCOPE_DEVICE), 2));
  EXPECT_FALSE(written_by(add(aq, TANDEM_SCOPE_DEVICE), 2));
}

TEST(Scope, AWorkgroupReleaseOnAWordThatTheWavefrontHasQueuedSeesIt) {
  ComputeConfig config;
  config.store_queue_depth = 8;
  Bench bench(config);
  bench.set_size(1);
  Program p(kCode);
  p << addi(t0, x0, 5) << sd(t0, a0, 0) << scoped(amo(0, doubleword, t1, t0, a0, rl), TANDEM_SCOPE_WORKGROUP) << sd(t1, a0, 8) << ret();
  bench.run_program(p);
  EXPECT_EQ(cell(bench), 10u);
  EXPECT_EQ(cell(bench, 1), 5u);
}

}  // namespace
}  // namespace tandem::test
