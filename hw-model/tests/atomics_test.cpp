// SPDX-License-Identifier: GPL-2.0-or-later
// Atomics under way, seen from the whole device: invalidations, copies, signals, the end of a queue, resets, time.
#include "support/aql_producer.h"
#include "support/kernels.h"

namespace tandem::test {
namespace {

constexpr uint64_t kData = AqlProducer::kData;
constexpr uint32_t kPause = 400;

tandem_model_config exclusive_config(uint32_t pause = kPause) {
  tandem_model_config config = small_config();
  config.atomics = TANDEM_ATOMICS_EXCLUSIVE;
  config.atomic_pause = pause;
  return config;
}

struct Atomics : ::testing::Test {
  Atomics() : driver(exclusive_config()), process(driver) {
    data = process.table.map_new(kData, 4096);
    word() = 100;
  }
  uint64_t& word() { return driver.host.at<uint64_t>(data); }
  uint64_t atomics() { return driver.counter(TANDEM_COUNTER_ATOMICS); }
  // A kernel of one lane that adds 1 to the word, up to the middle of its atomic.
  void begin() {
    process.submit(process.dispatch(process.load_kernel(kernels::count()), 1, 1));
    const uint64_t before = atomics();
    ASSERT_TRUE(driver.run_until([&] { return atomics() > before; }));
    ASSERT_EQ(word(), 100u);
  }

  TestDriver driver;
  AqlProducer process;
  uint64_t data = 0;
};

TEST_F(Atomics, AnInvalidationIsAcknowledgedAfterTheStore) {
  begin();
  bool early = false;
  driver.host.on_stored = [&](uint64_t address, uint64_t) {
    if (address == driver.status_page + offsetof(tandem_status_page, invalidate_done)) early |= word() != 101;
  };
  driver.invalidate(1, kData, kData + 4096);
  EXPECT_FALSE(early);
  EXPECT_EQ(word(), 101u);
  word() = 7;  // somebody else's page now
  driver.settle();
  EXPECT_EQ(word(), 7u);
  const auto done = driver.host.traced(TANDEM_TRACE_INVALIDATED);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_TRUE(done[0].queue & TANDEM_HIT_STORES);
}

TEST_F(Atomics, AnInvalidationOfAnotherPageLeavesThePause) {
  begin();
  driver.invalidate(1, kData + 4096, kData + 8192);
  EXPECT_EQ(word(), 100u);
  driver.settle();
  EXPECT_EQ(word(), 101u);
}

TEST_F(Atomics, TimeDoesNotJumpOverAPause) {
  begin();
  for (uint32_t tick = 0; tick < kPause / 2; ++tick) driver.run(1);
  EXPECT_EQ(word(), 100u) << "nothing else is to be done, and still it waits";
  driver.settle();
  EXPECT_EQ(word(), 101u);
}

TEST_F(Atomics, ACopyOverTheWordComesAfterIt) {
  AqlProducer other(driver, 2, 1);
  const uint64_t source = other.table.map_new(kData + 0x10000, 4096);
  other.table.map(kData, data);  // the same page, in another address space
  driver.host.at<uint64_t>(source) = 5000;
  begin();
  other.submit(other.copy(kData + 0x10000, kData, 64));
  ASSERT_TRUE(driver.run_until([&] { return word() != 100; }, kPause / 2));
  driver.settle();
  EXPECT_EQ(word(), 5000u);
}

TEST_F(Atomics, ACommandsFillOverTheWordComesAfterIt) {
  begin();
  tandem_command fill = driver.command(TANDEM_COMMAND_FILL);
  fill.u.copy.source = 0x1111111111111111;
  fill.u.copy.destination = data;
  fill.u.copy.bytes = 64;
  driver.execute(fill);
  driver.settle();
  EXPECT_EQ(word(), 0x1111111111111111u);
}

TEST_F(Atomics, ASignalIsUnderWayLikeAnyAtomic) {
  process.signal(0).value = 3;
  process.signal(0).event_id = 42;
  auto packet = process.dispatch(process.load_kernel(kernels::store_ids()), 1, 1);
  packet.completion_signal = process.signal_va(0);
  process.submit(packet);
  ASSERT_TRUE(driver.run_until([&] { return process.signal(0).end_ns != 0; }));
  driver.run(20);
  EXPECT_EQ(process.signal(0).value, 3);
  EXPECT_EQ(driver.events_waiting(), 0u);
  process.signal(0).value = 90;  // a CPU in between is lost
  driver.settle();
  EXPECT_EQ(process.signal(0).value, 2);
  ASSERT_EQ(driver.events_waiting(), 1u) << "told after the store";
  EXPECT_EQ(driver.take_event().value, 42u);
}

TEST_F(Atomics, AQueueThatEndsCompletesItsAtomicsAndItsSignal) {
  begin();
  process.destroy_queue();
  EXPECT_EQ(word(), 101u);

  process.restart();
  process.signal(0).value = 3;
  auto packet = process.dispatch(process.load_kernel(kernels::store_ids()), 1, 1);
  packet.completion_signal = process.signal_va(0);
  process.submit(packet);
  ASSERT_TRUE(driver.run_until([&] { return process.signal(0).end_ns != 0; }));
  driver.run(20);
  ASSERT_EQ(process.signal(0).value, 3);
  process.destroy_queue();
  EXPECT_EQ(process.signal(0).value, 2);
}

TEST_F(Atomics, AfterAResetNothingIsWritten) {
  begin();
  driver.write32(TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
  EXPECT_EQ(word(), 100u);
  driver.set_up();
  driver.settle();
  EXPECT_EQ(word(), 100u);
}

TEST_F(Atomics, AChangeOfTheMemoryMapCompletesThem) {
  begin();
  tandem_model_memory_map_changed(driver.model());
  EXPECT_EQ(word(), 101u);
  driver.settle();
  EXPECT_EQ(word(), 101u);
}

TEST_F(Atomics, WavefrontsOfAllUnitsAndSignalsLoseNothing) {
  process.signal(0).value = 12;
  for (int n = 0; n < 6; ++n) {
    auto packet = process.dispatch(process.load_kernel(kernels::count()), 2048, 64);
    packet.completion_signal = process.signal_va(0);
    process.submit(packet);
  }
  driver.settle(2000);
  EXPECT_EQ(word(), 100u + 6 * 2048);
  EXPECT_EQ(process.signal(0).value, 6);
}

TEST_F(Atomics, TheMonitorShowsThem) {
  begin();
  std::string text;
  tandem_model_describe(driver.model(), "all", [](void* to, const char* line) { *static_cast<std::string*>(to) += line; }, &text);
  EXPECT_NE(text.find("atomics: exclusive, pause 400 ticks, 1 words under way"), std::string::npos) << text;
  EXPECT_NE(text.find(" atomic stores"), std::string::npos) << text;
}

TEST(AtomicsSetting, AtomicOpsThatTheBusDoesNotDoAreALoadAndAStore) {
  tandem_model_config config = exclusive_config();
  config.atomics = TANDEM_ATOMICS_PCIE;
  TestDriver driver(config);
  AqlProducer process(driver);
  const uint64_t data = process.table.map_new(kData, 4096);
  const auto& word = driver.host.at<uint64_t>(data);
  const uint64_t kernel = process.load_kernel(kernels::count());
  const auto add_one = [&] {
    const uint64_t before = driver.counter(TANDEM_COUNTER_ATOMICS);
    process.submit(process.dispatch(kernel, 1, 1));
    ASSERT_TRUE(driver.run_until([&] { return driver.counter(TANDEM_COUNTER_ATOMICS) > before; }));
  };
  add_one();
  EXPECT_EQ(word, 1u) << "a host atomic, at once";
  tandem_model_set_atomic_requester(driver.model(), false);
  EXPECT_TRUE(driver.read32(TANDEM_REG_FEATURES) & TANDEM_FEATURE_PCIE_ATOMICS) << "what the GPU could do";
  add_one();
  EXPECT_EQ(word, 1u) << "under way";
  tandem_model_set_atomic_requester(driver.model(), true);
  EXPECT_EQ(word, 2u);
  add_one();
  EXPECT_EQ(word, 3u);
}

TEST(AtomicsSetting, LimitsAreChecked) {
  const tandem_host_ops ops = FakeHost().ops();
  tandem_model_config config = exclusive_config();
  char error[256];
  config.atomics = 3;
  EXPECT_EQ(tandem_model_create(&config, &ops, nullptr, nullptr, error, sizeof error), nullptr);
  EXPECT_NE(std::string(error).find("atomics=3"), std::string::npos);
  config.atomics = TANDEM_ATOMICS_VRAM;
  config.atomic_pause = (1u << 20) + 1;
  EXPECT_EQ(tandem_model_create(&config, &ops, nullptr, nullptr, error, sizeof error), nullptr);
  EXPECT_NE(std::string(error).find("atomic-pause"), std::string::npos);
}

}  // namespace
}  // namespace tandem::test
