// SPDX-License-Identifier: GPL-2.0-or-later
// Cost of the MMU's steps: an L1 hit in TLBs of 64 and of 4096 entries, a page walk, a page invalidated. The names are read by
// tools/frontend/bench_model.py. Pages are asked for in a random order that is fixed beforehand, so that neither the hardware
// nor the shortcut for the last hit makes the large TLB look better than it is.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "mmu/mmu.h"
#include "support/page_table_builder.h"

namespace tandem::test {
namespace {

constexpr uint32_t kWays = 4;
constexpr uint64_t kBase = 0x40000000;
constexpr uint64_t kPages = 4096;

class NoFaults final : public FaultSink {
 public:
  std::optional<QueueError> raise(const TranslationRequest&, tandem_fault_reason, TranslationWaiter&) override {
    faulted = true;
    return {};
  }
  void forget(TranslationWaiter&) override {}
  bool faulted = false;
};

class NoWaiter final : public TranslationWaiter {
  void translation_ready() override {}
  void translation_failed(QueueError, Gva) override {}
};

// kPages pages that are mapped, and an MMU whose L1 has so many entries.
class Bench {
 public:
  Bench(uint32_t l1_entries, uint32_t l2_entries, uint32_t walk_latency = 0) {
    address_ = table_.map_new(kBase, kPages * TANDEM_PAGE_BYTES);
    spaces_.bind(Pasid{{1}}, AddressSpace{.root = iova(table_.root())});
    mmu = std::make_unique<Mmu>(MmuConfig{.compute_units = 1, .l1_sets = l1_entries / kWays, .l1_ways = kWays,
                                          .l2_sets = l2_entries / kWays, .l2_ways = kWays, .walkers = 8,
                                          .walk_latency = walk_latency},
                                spaces_, memory_, faults, atc_, page_requests_, counters_, trace_, clock_);
  }

  static std::vector<uint64_t> shuffled(uint64_t pages) {
    std::vector<uint64_t> order(pages);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
    for (uint64_t& page : order) page = kBase + page * TANDEM_PAGE_BYTES;
    return order;
  }
  static TranslationRequest request(uint64_t va) { return {.pasid = Pasid{{1}}, .queue = {}, .va = gva(va)}; }

  const TlbEntry* translate(uint64_t va) { return mmu->translate(request(va), waiter_).entry; }

  NoFaults faults;
  std::unique_ptr<Mmu> mmu;

 private:
  FakeHost host_{64 << 20};
  PageAllocator pages_{host_};
  PageTableBuilder table_{host_, pages_};
  tandem_host_ops ops_ = host_.ops();
  MemoryPort memory_{ops_, &host_, nullptr, 0};
  Host clock_{ops_, &host_};
  Trace trace_{ops_, &host_, false};
  Counters counters_;
  AddressSpaces spaces_{16};
  RetryLimits retries_;
  PageRequests page_requests_{spaces_, retries_, counters_, trace_, clock_};
  Atc atc_{1, kWays, spaces_, memory_, counters_, trace_, clock_};
  NoWaiter waiter_;
  uint64_t address_ = 0;
};

void tlb_hit(benchmark::State& state) {
  const auto entries = static_cast<uint32_t>(state.range(0));
  Bench bench(entries, 2 * entries);
  std::vector<uint64_t> order = Bench::shuffled(entries);
  for (const uint64_t va : order) bench.translate(va);
  // Conflicts in a set throw a few out: what stayed is asked for.
  std::erase_if(order, [&](uint64_t va) { return !bench.mmu->lookup(Bench::request(va)); });
  if (order.size() < entries / 2) state.SkipWithError("the TLB does not keep what it has room for");
  std::vector<TranslationRequest> requests;
  for (size_t n = 0; n < kPages; ++n) requests.push_back(Bench::request(order[n % order.size()]));
  for (auto _ : state)
    for (const TranslationRequest& request : requests) benchmark::DoNotOptimize(bench.mmu->lookup(request));
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * requests.size()));
}

// TLBs of one set: what comes next has always been thrown out.
void walk(benchmark::State& state) {
  Bench bench(kWays, kWays);
  const std::vector<uint64_t> order = Bench::shuffled(kPages);
  for (auto _ : state)
    for (const uint64_t va : order) benchmark::DoNotOptimize(bench.translate(va));
  if (bench.faults.faulted) state.SkipWithError("a walk found nothing");
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * order.size()));
}

// So many walks asked for at once, with the default device's walkers and latency: most wait for a walker.
void walks_waiting(benchmark::State& state) {
  const auto walks = static_cast<uint64_t>(state.range(0));
  Bench bench(kWays, kWays, 2);
  const std::vector<uint64_t> order = Bench::shuffled(walks);
  uint64_t now = 0;
  for (auto _ : state) {
    for (const uint64_t va : order) bench.translate(va);
    while (const auto due = bench.mmu->next_due()) bench.mmu->tick(now = std::max(now, *due));
  }
  if (bench.faults.faulted || bench.mmu->busy()) state.SkipWithError("a walk did not end");
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * walks));
}

// Each page is in L1 and L2; filling them again is not timed.
void invalidate_page(benchmark::State& state) {
  const auto entries = static_cast<uint32_t>(state.range(0));
  Bench bench(entries, entries);
  const std::vector<uint64_t> order = Bench::shuffled(entries);
  for (auto _ : state) {
    state.PauseTiming();
    for (const uint64_t va : order) bench.translate(va);
    state.ResumeTiming();
    for (const uint64_t va : order)
      benchmark::DoNotOptimize(bench.mmu->invalidate(Pasid{{1}}, gva(va), gva(va + TANDEM_PAGE_BYTES)));
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * order.size()));
}

BENCHMARK(tlb_hit)->Arg(64)->Arg(4096);
BENCHMARK(walk);
BENCHMARK(walks_waiting)->Arg(64)->Arg(4096);
BENCHMARK(invalidate_page)->Arg(4096);

}  // namespace
}  // namespace tandem::test

BENCHMARK_MAIN();
