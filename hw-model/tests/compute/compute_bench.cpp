// SPDX-License-Identifier: GPL-2.0-or-later
// Speed of the wavefront engine on the hash kernel (kernels/hash.c), with native scalar code on the same work in the same
// run. items_per_second counts elements, lane_instructions is per second. stores: the depth of the store queue; level 0: the
// best of this host.
#include <benchmark/benchmark.h>

#include <fstream>
#include <iterator>
#include <vector>

#include "compute/compute_unit.h"

extern "C" {
#include "kernels/hash.h"
}

namespace {

using namespace tandem;

constexpr uint64_t kElements = 1 << 20;
constexpr uint64_t kBase = 0x40000000;   // everything lies in one run of memory
constexpr uint64_t kIn = 0x100000, kOut = kIn + kElements * 8, kArgs = 0x80000, kBytes = kOut + kElements * 8;

// One TLB entry that always hits: what remains is the engine.
class OneEntry final : public Translator {
 public:
  explicit OneEntry(std::byte* host) {
    entry_ = {.pasid = pasid(1), .va = gva(kBase), .bytes = uint64_t{1} << 30, .host = host, .write = true, .atomic = true};
  }
  const TlbEntry* lookup(const TranslationRequest&) override { return &entry_; }
  TranslationResult translate(const TranslationRequest&, TranslationWaiter&) override {
    return {.kind = TranslationResult::Kind::Hit, .entry = &entry_};
  }
  void forget(TranslationWaiter&) override {}

 private:
  TlbEntry entry_;
};

class Nobody final : public WorkgroupListener {
 public:
  void workgroup_done(const WorkgroupLaunch&) override {}
  void wave_failed(const DispatchState&, const WaveError&) override { failed = true; }
  bool failed = false;
};

void fill(std::vector<uint64_t>& memory) {
  for (uint64_t i = 0; i < kElements; ++i) memory[kIn / 8 + i] = i * 0x9e3779b97f4a7c15;
  const uint64_t arguments[] = {kBase + kIn, kBase + kOut, kElements};
  for (uint64_t i = 0; i < 3; ++i) memory[kArgs / 8 + i] = arguments[i];
}

void load_kernel(std::vector<uint64_t>& memory) {
  std::ifstream file(TANDEM_HASH_KERNEL, std::ios::binary);
  const std::vector<char> image(std::istreambuf_iterator<char>(file), {});
  for (size_t i = 0; i < image.size(); ++i) reinterpret_cast<char*>(memory.data())[i] = image[i];
}

void wavefronts(benchmark::State& state) {
  std::vector<uint64_t> memory(kBytes / 8 + 1024);
  fill(memory);
  load_kernel(memory);
  tandem_host_ops ops{};
  ops.stored = [](void*, const tandem_stored_range*, uint32_t) {};
  MemoryPort port(ops, nullptr, nullptr, 0);
  OneEntry translator(reinterpret_cast<std::byte*>(memory.data()));
  Nobody listener;
  Counters counters;
  ComputeConfig config;
  config.isa_level = static_cast<uint8_t>(state.range(0));
  config.store_queue_depth = static_cast<uint32_t>(state.range(2));
  ComputeUnit unit(config, translator, port, listener, counters, [] { return 0; }, [] { return false; });
  DispatchState dispatch{.pasid = pasid(1), .queue = queue_id(1), .entry = kBase, .kernarg = kBase + kArgs};
  const auto lanes = static_cast<uint32_t>(state.range(1)) * TANDEM_WAVE_LANES;
  dispatch.workgroup_size = {lanes, 1, 1};
  dispatch.grid_size = {lanes, 1, 1};
  for (auto _ : state) {
    unit.launch({.dispatch = &dispatch, .group_id = {}, .scratch_slots = {}});
    while (unit.run(1 << 20)) {
    }
  }
  if (listener.failed || !unit.idle()) state.SkipWithError("the kernel failed");
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kElements));
  state.counters["lane_instructions"] =
      benchmark::Counter(static_cast<double>(counters[TANDEM_COUNTER_LANE_INSTRUCTIONS]), benchmark::Counter::kIsRate);
}

// Scalar, as the RISC-V code is: the compiler must not vectorise it.
__attribute__((optimize("no-tree-vectorize"))) void native_scalar(benchmark::State& state) {
  std::vector<uint64_t> memory(kBytes / 8 + 1024);
  fill(memory);
  const hash_arguments arguments{memory.data() + kIn / 8, memory.data() + kOut / 8, kElements};
  for (auto _ : state) {
    hash_elements(&arguments, 0, 1);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kElements));
}

BENCHMARK(wavefronts)->ArgNames({"level", "waves", "stores"})->ArgsProduct({{2, 3, 4}, {1, 8}, {0}})->ArgsProduct({{0}, {1, 8}, {4}});
BENCHMARK(native_scalar);

}  // namespace

BENCHMARK_MAIN();
