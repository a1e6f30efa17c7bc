// SPDX-License-Identifier: GPL-2.0-or-later
// Time slices: workgroups that are taken off a compute unit and come back, and what may happen to them in between. And what
// one process may leave behind for the next one with its PASID.
#include "support/aql_producer.h"
#include "support/kernels.h"

namespace tandem::test {
namespace {

constexpr uint64_t kData = AqlProducer::kData;

// One unit with room for one wavefront: two queues take turns.
tandem_model_config one_wave(uint32_t time_slice = 200) {
  tandem_model_config config = small_config();
  config.compute_units = 1;
  config.waves_per_cu = 1;
  config.time_slice = time_slice;
  return config;
}

size_t moves(TestDriver& driver, uint32_t queue, uint64_t returns) {
  size_t count = 0;
  for (const auto& record : driver.host.traced(TANDEM_TRACE_SUSPEND)) count += record.queue == queue && record.a == returns;
  return count;
}

bool is_suspended(TestDriver& driver, uint32_t queue) { return moves(driver, queue, 0) > moves(driver, queue, 1); }

struct TwoQueues {
  explicit TwoQueues(tandem_model_config config = one_wave()) : driver(config), first(driver, 1, 0), second(driver, 2, 1) {}
  // The first queue's workgroup is off the unit.
  void wait_until_first_is_off() {
    ASSERT_TRUE(driver.run_until([&] { return is_suspended(driver, 0); }));
  }
  TestDriver driver;
  AqlProducer first, second;
};

TEST(Dispatcher, SuspensionsAreCountedOnce) {
  TwoQueues two;
  for (AqlProducer* process : {&two.first, &two.second})
    process->submit(process->dispatch(process->load_kernel(kernels::spin_for_ever())));
  two.driver.run(5000);
  const uint64_t suspended = moves(two.driver, 0, 0) + moves(two.driver, 1, 0);
  EXPECT_GE(suspended, 10u);
  EXPECT_EQ(two.driver.counter(TANDEM_COUNTER_SUSPENDS), suspended);
}

TEST(Dispatcher, EndlessQueuesShareTheUnitEvenly) {
  TwoQueues two;
  for (AqlProducer* process : {&two.first, &two.second})
    process->submit(process->dispatch(process->load_kernel(kernels::spin_for_ever())));
  two.driver.run(20000);
  const size_t a = moves(two.driver, 0, 1), b = moves(two.driver, 1, 1);
  EXPECT_LE(std::max(a, b) - std::min(a, b), 2u);
}

TEST(Dispatcher, ASliceOfZeroNeverSuspends) {
  TwoQueues two(one_wave(0));
  for (AqlProducer* process : {&two.first, &two.second})
    process->submit(process->dispatch(process->load_kernel(kernels::spin_for_ever())));
  two.driver.run(20000);
  EXPECT_EQ(two.driver.counter(TANDEM_COUNTER_SUSPENDS), 0u);
}

// The page moves while the workgroup that polled it is not on any unit: nobody drains it there.
TEST(Dispatcher, AWorkgroupThatWasOffDuringAnInvalidationSeesTheNewPage) {
  TwoQueues two;
  TestDriver& driver = two.driver;
  const uint64_t old_page = two.first.table.map_new(kData, 4096);
  two.first.submit(two.first.dispatch(two.first.load_kernel(kernels::wait_for_flag())));
  driver.run(100);
  two.second.submit(two.second.dispatch(two.second.load_kernel(kernels::spin_for_ever())));
  two.wait_until_first_is_off();
  const uint64_t new_page = driver.pages.take();
  two.first.table.map(kData, new_page);
  driver.invalidate(1, kData, kData + 4096);
  driver.host.at<uint64_t>(new_page) = 1;
  EXPECT_TRUE(driver.run_until([&] { return driver.counter(TANDEM_COUNTER_PACKETS) == 1; }));
  EXPECT_EQ(driver.host.at<uint64_t>(old_page), 0u);
}

// The same for its code.
TEST(Dispatcher, AWorkgroupThatWasOffDuringAnInvalidationRunsTheNewCode) {
  TwoQueues two;
  TestDriver& driver = two.driver;
  two.first.submit(two.first.dispatch(two.first.load_kernel(kernels::spin_for_ever())));
  driver.run(100);
  two.second.submit(two.second.dispatch(two.second.load_kernel(kernels::spin_for_ever())));
  two.wait_until_first_is_off();
  two.first.load_kernel(kernels::Code{rv::ret()});
  driver.invalidate(1, AqlProducer::kCode, AqlProducer::kCode + 4096);
  EXPECT_TRUE(driver.run_until([&] { return driver.counter(TANDEM_COUNTER_PACKETS) == 1; }));
}

TEST(Dispatcher, StoresOfAWorkgroupThatGoesOffAreWrittenFirst) {
  tandem_model_config config = one_wave();
  config.store_queue_depth = 16;
  TwoQueues two(config);
  const uint64_t page = two.first.table.map_new(kData, 4096);
  two.first.submit(two.first.dispatch(two.first.load_kernel(kernels::store_and_spin()), 1, 1));
  two.second.submit(two.second.dispatch(two.second.load_kernel(kernels::spin_for_ever())));
  two.wait_until_first_is_off();
  for (uint64_t word = 0; word < 8; ++word) EXPECT_EQ(two.driver.host.at<uint64_t>(page + 8 * word), 7u);
}

// Off the unit while it waits for a fault; the replay comes before it is back.
TEST(Dispatcher, AReplayWhileTheWorkgroupIsOffIsNotLost) {
  TwoQueues two;
  TestDriver& driver = two.driver;
  two.first.submit(two.first.dispatch(two.first.load_kernel(kernels::store_ids())));
  driver.settle();
  ASSERT_EQ(driver.faults_waiting(), 1u);
  two.second.submit(two.second.dispatch(two.second.load_kernel(kernels::spin_for_ever())));
  two.wait_until_first_is_off();
  const uint64_t page = two.first.table.map_new(driver.take_fault().va, 4096);
  driver.replay(1);
  EXPECT_TRUE(driver.run_until([&] { return driver.counter(TANDEM_COUNTER_PACKETS) == 1; }));
  EXPECT_EQ(driver.host.at<uint64_t>(page + 8 * 31), 32u);
}

TEST(Dispatcher, ASuspendedQueueThatIsDestroyedLeavesNothing) {
  TwoQueues two;
  TestDriver& driver = two.driver;
  two.first.submit(two.first.dispatch(two.first.load_kernel(kernels::store_ids())));
  driver.settle();
  two.second.submit(two.second.dispatch(two.second.load_kernel(kernels::spin_for_ever())));
  two.wait_until_first_is_off();
  two.first.destroy_queue();
  two.first.table.map_new(kData, 4096);
  driver.replay(1);
  two.second.destroy_queue();
  EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
  EXPECT_FALSE(driver.read32(TANDEM_REG_STATUS) & TANDEM_STATUS_BUSY);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 0u);
}

// The next process gets the PASID and has other code at the same address; its packets ask for no acquire fence.
TEST(AddressSpaceReuse, DecodedCodeOfTheProcessBeforeNeverRuns) {
  TestDriver driver;
  for (uint64_t turn = 1; turn <= 3; ++turn) {
    AqlProducer process(driver);
    const uint64_t data = process.table.map_new(kData, 4096);
    using namespace rv;
    auto packet = process.dispatch(
        process.load_kernel(kernels::Code{addi(t0, x0, static_cast<int32_t>(turn)), sd(t0, a0, 0), ret()}), 64, 1);
    packet.header = static_cast<uint16_t>(TANDEM_FIELD_PUT(TANDEM_PACKET_TYPE, TANDEM_PACKET_KERNEL_DISPATCH));
    process.submit(packet);
    driver.settle();
    EXPECT_EQ(driver.host.at<uint64_t>(data), turn);
    driver.unbind(1);
  }
}

TEST(Queue, ASlotIsInvalidBeforeItsIndexIsPublished) {
  TestDriver driver;
  AqlProducer process(driver, 1, 0, {.ring_order = 1, .retry_limit = 0});
  process.table.map_new(kData, 4096);
  bool checked = false;
  driver.host.on_stored = [&](uint64_t, uint64_t) {
    if (process.read_index() == 0 || checked) return;
    checked = true;
    EXPECT_EQ(driver.host.at<uint16_t>(process.slot(0)) & 0xff, TANDEM_PACKET_INVALID);
  };
  process.submit(process.dispatch(process.load_kernel(kernels::count())));
  driver.settle();
  EXPECT_TRUE(checked);
}

void check_signals(tandem_atomics mode, uint32_t pause) {
  tandem_model_config config = small_config();
  config.atomics = mode;
  config.atomic_pause = pause;
  TestDriver driver(config);
  const uint32_t features = driver.read32(TANDEM_REG_FEATURES);
  EXPECT_EQ(bool(features & TANDEM_FEATURE_PCIE_ATOMICS), mode == TANDEM_ATOMICS_PCIE);
  EXPECT_EQ(bool(features & TANDEM_FEATURE_EXCLUSIVE_ATOMICS), mode == TANDEM_ATOMICS_EXCLUSIVE);
  AqlProducer process(driver);
  const uint64_t data = process.table.map_new(kData, 4096);
  process.signal(0).value = 3;
  auto packet = process.dispatch(process.load_kernel(kernels::count()), 256, 64);
  packet.completion_signal = process.signal_va(0);
  process.submit(packet);
  driver.settle();
  EXPECT_EQ(process.signal(0).value, 2);
  EXPECT_EQ(driver.host.at<uint64_t>(data), 256u);
}

TEST(Queue, SignalsWorkWhateverAtomicsAreWorth) {
  check_signals(TANDEM_ATOMICS_PCIE, 0);
  for (const tandem_atomics mode : {TANDEM_ATOMICS_EXCLUSIVE, TANDEM_ATOMICS_VRAM})
    for (const uint32_t pause : {0, 1, 200}) check_signals(mode, pause);
}

// Without the right in the PTE an atomic faults, whoever does it: the process must own the page exclusively first.
TEST(Queue, AtomicsNeedTheAtomicBit) {
  TestDriver driver;
  AqlProducer process(driver);
  process.table.map_new(kData, 4096, kReadWrite & ~uint64_t{TANDEM_PTE_ATOMIC});
  process.submit(process.dispatch(process.load_kernel(kernels::count())));
  driver.settle();
  ASSERT_EQ(driver.faults_waiting(), 1u);
  const tandem_fault_record fault = driver.take_fault();
  EXPECT_EQ(fault.access, TANDEM_ACCESS_ATOMIC);
  EXPECT_EQ(fault.reason, TANDEM_FAULT_PERMISSION);
  process.table.entry(kData) |= TANDEM_PTE_ATOMIC;
  driver.replay(1);
  driver.settle();
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
}

}  // namespace
}  // namespace tandem::test
