// SPDX-License-Identifier: GPL-2.0-or-later
// Random blocks of instructions, run by the wavefront engine and by QEMU's user-mode emulation of riscv64: registers, flags and
// memory must agree bit for bit, in whole wavefronts and in partial ones whose lanes part at every branch.
//
// TANDEM_SEED=n begins with another seed; TANDEM_DIFFERENTIAL_RUNS=n does n of them (a soak).
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>

#include "support/compute_fixture.h"
#include "support/random_block.h"

namespace tandem::test {
namespace {

static_assert(sizeof(long) == 8, "struct differential_run is shared with a 64-bit program");
using RunPtr = std::unique_ptr<differential_run>;

uint64_t setting(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

// Values at which instructions change their minds.
uint64_t interesting(RandomBlock& random) {
  static constexpr uint64_t kValues[] = {0, 1, ~0ull, 1ull << 63, (1ull << 63) - 1, 1ull << 31, (1ull << 31) - 1, 0xffffffff80000000,
                                         63, 64, 0x00000000ffffffff};
  return random.below(3) ? random.any() : kValues[random.below(std::size(kValues))];
}

uint64_t interesting_float(RandomBlock& random) {
  static constexpr uint32_t kSingles[] = {0, 0x80000000, 1, 0x007fffff, 0x00800000, 0x3f800000, 0xbf800000, 0x7f7fffff, 0x7f800000,
                                          0xff800000, 0x7fc00000, 0x7f800001, 0x4f000000, 0xcf000000, 0x5f000000, 0x3effffff};
  static constexpr uint64_t kDoubles[] = {0, 1ull << 63, 1, 0x000fffffffffffff, 0x0010000000000000, 0x3ff0000000000000,
                                          0xbff8000000000000, 0x7fefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000,
                                          0x7ff8000000000000, 0x7ff0000000000001, 0x41e0000000000000, 0xc3e0000000000000,
                                          0x36a0000000000000, 0x47efffffe0000001};
  constexpr uint64_t kBox = 0xffffffffull << 32;
  switch (random.below(6)) {
    case 0: return kBox | kSingles[random.below(std::size(kSingles))];
    case 1: return kDoubles[random.below(std::size(kDoubles))];
    case 2: return kBox | (random.any() & 0xffffffff);
    case 3: return kBox | (0x3f000000 + random.below(0x2000000));                        // of about the size of 1
    case 4: return 0x3fe0000000000000 + (random.any() & 0x003fffffffffffff);
    default: return random.any();
  }
}

RunPtr make_run(uint64_t seed) {
  RunPtr run = std::make_unique<differential_run>();
  RandomBlock random(seed);
  for (int block = 0; block < DIFFERENTIAL_BLOCKS; ++block) {
    random.fill(run->code[block]);
    for (differential_state& state : run->state[block]) {
      for (unsigned long& x : state.x) x = interesting(random);
      for (unsigned long& f : state.f) f = interesting_float(random);
      for (unsigned char& byte : state.memory) byte = static_cast<unsigned char>(random.any());
      state.fcsr = random.below(5) << 5 | random.below(32);
    }
  }
  return run;
}

struct Kind {
  const char* name;
  uint8_t level;
  uint32_t store_queue;
};

// The registers that blocks leave alone hold addresses, or what was there before.
RunPtr run_by_engine(const differential_run& before, const Kind& kind) {
  ComputeConfig config;
  config.isa_level = kind.level;
  config.store_queue_depth = kind.store_queue;
  config.store_drain = TANDEM_DRAIN_RANDOM;
  Bench bench(config);
  constexpr uint64_t kRun = 0x4000000;
  bench.translator.map(kRun, (sizeof before + 4095) & ~uint64_t{4095});
  bench.translator.put(kRun, before);
  bench.dispatch.kernarg = kRun;
  std::ifstream file(TANDEM_DIFFERENTIAL_KERNEL, std::ios::binary);
  const std::vector<char> image(std::istreambuf_iterator<char>(file), {});
  for (size_t i = 0; i < image.size(); ++i) bench.translator.put<char>(kCode + i, image[i]);
  bench.set_size(DIFFERENTIAL_LANES);
  bench.dispatch.scratch_lane_bytes = 4096;
  bench.translator.map(kScratch, DIFFERENTIAL_LANES * 4096);
  bench.launch();
  bench.run(true, 50'000'000);
  for (const WaveError& e : bench.listener.errors)
    ADD_FAILURE() << "error " << e.error << std::hex << " pc " << e.pc << " va " << e.va << " word " << e.detail;
  return std::make_unique<differential_run>(bench.translator.get<differential_run>(kRun));
}

RunPtr run_by_qemu(const differential_run& before) {
  const std::string path = testing::TempDir() + "tandem_differential_" + std::to_string(::getpid());
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(&before), sizeof before);
  const std::string command = "qemu-riscv64 " TANDEM_DIFFERENTIAL_USER " < '" + path + "'";
  FILE* pipe = ::popen(command.c_str(), "r");
  RunPtr after = std::make_unique<differential_run>();
  const size_t got = pipe ? std::fread(after.get(), 1, sizeof *after, pipe) : 0;
  const int status = pipe ? ::pclose(pipe) : -1;
  std::remove(path.c_str());
  EXPECT_EQ(got, sizeof *after);
  EXPECT_EQ(status, 0) << command;
  return got == sizeof *after && status == 0 ? std::move(after) : nullptr;
}

std::string listing(const uint32_t* code) {
  std::string text;
  for (int i = 0; i < DIFFERENTIAL_WORDS; ++i) {
    char word[16];
    std::snprintf(word, sizeof word, "%s%08x", i % 8 ? " " : "\n", code[i]);
    text += word;
  }
  return text;
}

// Empty if they agree.
std::string difference(const differential_state& engine, const differential_state& reference) {
  char text[128];
  const auto differ = [&](const char* what, int n, unsigned long a, unsigned long b) {
    std::snprintf(text, sizeof text, "%s%d: engine %016lx, reference %016lx", what, n, a, b);
    return std::string(text);
  };
  for (int i = 1; i < 30; ++i)
    if (i != 27 && i != 28 && engine.x[i] != reference.x[i]) return differ("x", i, engine.x[i], reference.x[i]);
  for (int i = 0; i < 32; ++i)
    if (engine.f[i] != reference.f[i]) return differ("f", i, engine.f[i], reference.f[i]);
  if (engine.fcsr != reference.fcsr) return differ("fcsr", 0, engine.fcsr, reference.fcsr);
  for (int i = 0; i < DIFFERENTIAL_MEMORY; ++i)
    if (engine.memory[i] != reference.memory[i]) return differ("memory byte ", i, engine.memory[i], reference.memory[i]);
  return {};
}

void compare(const differential_run& before, const differential_run& engine, const differential_run& reference, const std::string& of) {
  for (int block = 0; block < DIFFERENTIAL_BLOCKS; ++block) {
    for (int lane = 0; lane < DIFFERENTIAL_LANES; ++lane) {
      const std::string found = difference(engine.state[block][lane], reference.state[block][lane]);
      if (found.empty()) continue;
      ADD_FAILURE() << of << ", block " << block << ", lane " << lane << ": " << found << listing(before.code[block]);
      break;
    }
  }
}

std::vector<Kind> kinds() {
  std::vector<Kind> all;
  for (const uint8_t level : host_levels()) all.push_back({"level", level, 0});
  all.push_back({"store queue", host_levels().back(), 4});
  return all;
}

TEST(Differential, TheEngineAgreesWithQemuToTheBit) {
  ASSERT_EQ(std::system("command -v qemu-riscv64 > /dev/null"), 0) << "install the Debian package qemu-user, or run ./tandem setup";
  const uint64_t first = setting("TANDEM_SEED", 1), runs = setting("TANDEM_DIFFERENTIAL_RUNS", 4);
  for (uint64_t seed = first; seed < first + runs && !HasFailure(); ++seed) {
    const RunPtr before = make_run(seed);
    const RunPtr reference = run_by_qemu(*before);
    ASSERT_TRUE(reference);
    for (const Kind& kind : kinds())
      compare(*before, *run_by_engine(*before, kind), *reference,
              "seed " + std::to_string(seed) + ", " + kind.name + " " + std::to_string(kind.level));
  }
}

}  // namespace
}  // namespace tandem::test
