// SPDX-License-Identifier: GPL-2.0-or-later
// The whole device: packets in, results, signals and events out; its life; who may disturb whom.
#include "support/aql_producer.h"
#include "support/kernels.h"

namespace tandem::test {
namespace {

TEST(Device, RunsAKernelAndSignals) {
  TestDriver driver;
  AqlProducer process(driver);
  const uint64_t data = process.table.map_new(AqlProducer::kData, 8192);
  process.signal(0).value = 1;
  process.signal(0).event_id = 42;
  auto packet = process.dispatch(process.load_kernel(kernels::store_ids()), 1000, 64);
  packet.completion_signal = process.signal_va(0);
  process.submit(packet);
  EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
  for (uint64_t n = 0; n < 1000; ++n) ASSERT_EQ(driver.host.at<uint64_t>(data + 8 * n), n + 1);
  EXPECT_EQ(process.signal(0).value, 0);
  EXPECT_LT(process.signal(0).start_ns, process.signal(0).end_ns);
  EXPECT_EQ(process.read_index(), 1u);
  ASSERT_EQ(driver.events_waiting(), 1u);
  const tandem_event event = driver.take_event();
  EXPECT_EQ(event.type, TANDEM_EVENT_SIGNAL);
  EXPECT_EQ(event.value, 42u);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_LANES), 1000u);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
  EXPECT_TRUE(driver.host.errors.empty()) << driver.host.errors.front();
}

TEST(Device, RunsAKernelWithEveryLatency) {
  tandem_model_config config = small_config();
  config.walk_latency = 5;
  config.l2_latency = 3;
  config.walkers = 1;
  config.l1_sets = config.l1_ways = 1;
  config.l2_sets = config.l2_ways = 1;
  config.store_queue_depth = 4;
  config.invalidate_latency = 7;
  TestDriver driver(config);
  AqlProducer process(driver);
  const uint64_t data = process.table.map_new(AqlProducer::kData, 8192);
  process.submit(process.dispatch(process.load_kernel(kernels::store_ids()), 1000, 64));
  EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
  for (uint64_t n = 0; n < 1000; ++n) ASSERT_EQ(driver.host.at<uint64_t>(data + 8 * n), n + 1);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
}

TEST(Device, AtomicsOfAllLanesAreCounted) {
  TestDriver driver;
  AqlProducer process(driver);
  const uint64_t data = process.table.map_new(AqlProducer::kData, 4096);
  process.submit(process.dispatch(process.load_kernel(kernels::count()), 4096, 256));
  driver.settle();
  EXPECT_EQ(driver.host.at<uint64_t>(data), 4096u);
}

TEST(Device, FaultsAreServicedAndReplayed) {
  TestDriver driver;
  AqlProducer process(driver);
  process.submit(process.dispatch(process.load_kernel(kernels::store_ids())));
  EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
  ASSERT_EQ(driver.faults_waiting(), 1u);
  EXPECT_EQ(driver.host.interrupts_of(TANDEM_VECTOR_FAULT), 1u);
  const tandem_fault_record fault = driver.take_fault();
  EXPECT_EQ(fault.va, AqlProducer::kData);
  EXPECT_EQ(fault.access, TANDEM_ACCESS_WRITE);
  EXPECT_EQ(fault.reason, TANDEM_FAULT_NOT_PRESENT);
  EXPECT_EQ(fault.client, TANDEM_CLIENT_COMPUTE);
  EXPECT_EQ(fault.id, 1u);
  const uint64_t data = process.table.map_new(AqlProducer::kData, 4096);
  driver.replay(1);
  driver.settle();
  EXPECT_EQ(driver.host.at<uint64_t>(data + 8 * 31), 32u);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
}

TEST(Device, PacketFetchAndSignalsFaultLikeAnyAccess) {
  TestDriver driver;
  AqlProducer process(driver);
  process.table.map_new(AqlProducer::kData, 4096);
  process.signal(0).value = 1;
  auto packet = process.dispatch(process.load_kernel(kernels::store_ids()));
  packet.completion_signal = process.signal_va(0);
  std::vector<std::pair<uint64_t, uint64_t>> hidden;
  for (const uint64_t va : {AqlProducer::kRing, AqlProducer::kIndices, AqlProducer::kSignals, AqlProducer::kCode}) {
    hidden.emplace_back(va, process.table.entry(va));
    process.table.entry(va) = 0;
  }
  process.submit(packet);
  for (int turn = 0; turn < 20 && process.signal(0).value != 0; ++turn) {
    driver.settle();
    while (driver.faults_waiting()) {
      const uint64_t va = driver.take_fault().va;
      for (const auto& [page, pte] : hidden)
        if (page == va) process.table.entry(page) = pte;
    }
    driver.replay(1);
  }
  EXPECT_EQ(process.signal(0).value, 0);
}

TEST(Device, CancelEndsTheQueueAndNoOther) {
  TestDriver driver;
  AqlProducer bad(driver, 1, 0), good(driver, 2, 1);
  bad.submit(bad.dispatch(bad.load_kernel(kernels::store_ids())));
  good.submit(good.dispatch(good.load_kernel(kernels::store_ids())));
  driver.settle();
  ASSERT_EQ(driver.faults_waiting(), 2u);
  driver.cancel(1, 0, AqlProducer::kData);
  driver.settle();
  ASSERT_EQ(driver.events_waiting(), 1u);
  const tandem_event event = driver.take_event();
  EXPECT_EQ(event.type, TANDEM_EVENT_QUEUE_ERROR);
  EXPECT_EQ(event.code, TANDEM_QUEUE_ADDRESS_FAULT);
  EXPECT_EQ(event.queue, 0u);
  EXPECT_EQ(event.value & ~0xfffULL, AqlProducer::kData);
  const uint64_t data = good.table.map_new(AqlProducer::kData, 4096);
  driver.replay(2);
  driver.settle();
  EXPECT_EQ(driver.host.at<uint64_t>(data), 1u);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
}

TEST(Device, RetryLimitEndsTheQueue) {
  TestDriver driver;
  AqlProducer process(driver, 1, 0, {.ring_order = 3, .retry_limit = 3});
  process.submit(process.dispatch(process.load_kernel(kernels::store_ids())));
  for (int turn = 0; turn < 3; ++turn) {
    driver.settle();
    ASSERT_EQ(driver.faults_waiting(), 1u) << turn;
    driver.take_fault();
    driver.replay(1);
  }
  driver.settle();
  ASSERT_EQ(driver.events_waiting(), 1u);
  EXPECT_EQ(driver.take_event().code, TANDEM_QUEUE_RETRY_LIMIT);
  EXPECT_EQ(driver.faults_waiting(), 0u);
}

TEST(Device, IllegalInstructionEndsTheQueueWithItsPlace) {
  TestDriver driver;
  AqlProducer process(driver);
  const uint64_t kernel = process.load_kernel(kernels::illegal());
  process.submit(process.dispatch(kernel));
  driver.settle();
  ASSERT_EQ(driver.events_waiting(), 1u);
  const tandem_event event = driver.take_event();
  EXPECT_EQ(event.code, TANDEM_QUEUE_ILLEGAL_INSTRUCTION);
  EXPECT_EQ(event.pc, kernel + 64);
}

TEST(Device, FaultBufferOverflowLosesNoProgress) {
  TestDriver driver(small_config(), 32 << 20, 1);  // two records
  AqlProducer process(driver);
  constexpr uint64_t kPages = 16;
  // One lane of each workgroup stores to its own page.
  using namespace rv;
  const kernels::Code code = {csrr(t0, TANDEM_CSR_GLOBAL_ID_X), slli(t1, t0, 12), add(t1, a0, t1), addi(t0, t0, 1),
                              sd(t0, t1, 0), ret()};
  process.submit(process.dispatch(process.load_kernel(code), kPages, 1));
  driver.settle();
  EXPECT_EQ(driver.faults_waiting(), 2u);
  EXPECT_TRUE(driver.read32(TANDEM_REG_STATUS) & TANDEM_STATUS_FAULT_OVERFLOW);
  uint64_t pages[kPages] = {};
  for (int turn = 0; turn < 100 && driver.counter(TANDEM_COUNTER_PACKETS) == 0; ++turn) {
    while (driver.faults_waiting()) {
      const uint64_t page = (driver.take_fault().va - AqlProducer::kData) / 4096;
      ASSERT_LT(page, kPages);
      if (!pages[page]) pages[page] = process.table.map_new(AqlProducer::kData + page * 4096, 4096);
    }
    driver.replay(1);
    driver.settle();
  }
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
  EXPECT_GT(driver.counter(TANDEM_COUNTER_FAULT_OVERFLOWS), 0u);
  for (uint64_t page = 0; page < kPages; ++page) EXPECT_EQ(driver.host.at<uint64_t>(pages[page]), page + 1);
}

TEST(Device, AnEndlessKernelDoesNotStarveAnotherQueue) {
  tandem_model_config config = small_config();
  config.compute_units = 1;
  config.waves_per_cu = 2;
  config.time_slice = 500;
  TestDriver driver(config);
  AqlProducer endless(driver, 1, 0), other(driver, 2, 1);
  endless.submit(endless.dispatch(endless.load_kernel(kernels::spin_for_ever()), 64 * 32, 64));
  EXPECT_EQ(driver.run(1000), TANDEM_RUN_READY);
  const uint64_t data = other.table.map_new(AqlProducer::kData, 8192);
  other.submit(other.dispatch(other.load_kernel(kernels::store_ids()), 640, 64));
  for (int turn = 0; turn < 50; ++turn) driver.run(1000);
  EXPECT_EQ(driver.host.at<uint64_t>(data + 8 * 639), 640u);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
  EXPECT_GT(driver.counter(TANDEM_COUNTER_SUSPENDS), 0u);
  EXPECT_EQ(driver.run(1000), TANDEM_RUN_READY);  // the endless one has the unit again
  endless.destroy_queue();
  EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
}

TEST(Device, QueuesThatWaitForFaultsGiveWay) {
  tandem_model_config config = small_config();
  config.compute_units = 1;
  config.waves_per_cu = 1;
  TestDriver driver(config);
  AqlProducer waiting(driver, 1, 0), other(driver, 2, 1);
  waiting.submit(waiting.dispatch(waiting.load_kernel(kernels::store_ids())));
  driver.settle();
  const uint64_t data = other.table.map_new(AqlProducer::kData, 4096);
  other.submit(other.dispatch(other.load_kernel(kernels::store_ids())));
  EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
  EXPECT_EQ(driver.host.at<uint64_t>(data), 1u);
  const uint64_t late = waiting.table.map_new(AqlProducer::kData, 4096);
  driver.replay(1);
  driver.settle();
  EXPECT_EQ(driver.host.at<uint64_t>(late), 1u);
}

TEST(Device, DestroyingAQueueWhoseWavesWaitLeavesNothing) {
  for (const bool unbind : {false, true}) {
    tandem_model_config config = small_config();
    config.walk_latency = 3;
    TestDriver driver(config);
    AqlProducer process(driver);
    process.submit(process.dispatch(process.load_kernel(kernels::store_ids()), 256, 64));
    driver.run(40);
    if (unbind) driver.unbind(1);
    else process.destroy_queue();
    EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
    EXPECT_FALSE(driver.read32(TANDEM_REG_STATUS) & TANDEM_STATUS_BUSY);
    const uint64_t stored = driver.host.bytes_stored;
    process.table.map_new(AqlProducer::kData, 4096);
    if (!unbind) driver.replay(1);
    driver.settle();
    EXPECT_LE(driver.host.bytes_stored - stored, 64u);  // the status page only
    EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 0u);
  }
}

TEST(Device, ResetWhileBusyLeavesNothingAndStartsAnew) {
  tandem_model_config config = small_config();
  config.walk_latency = 4;
  config.store_queue_depth = 4;
  TestDriver driver(config);
  for (int round = 0; round < 3; ++round) {
    AqlProducer process(driver);
    process.table.map_new(AqlProducer::kData, 4096);
    process.submit(process.dispatch(process.load_kernel(kernels::spin_for_ever()), 512, 64));
    process.submit(process.copy(AqlProducer::kData, AqlProducer::kData + 0x100000, 4096));
    driver.run(50 + 37 * round);
    if (round % 2) tandem_model_reset(driver.model(), TANDEM_RESET_POWER);
    else driver.write32(TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
    EXPECT_EQ(driver.read32(TANDEM_REG_STATUS), 0u);
    EXPECT_EQ(driver.counter(TANDEM_COUNTER_INSTRUCTIONS), 0u);
    const uint64_t stored = driver.host.bytes_stored;
    EXPECT_EQ(driver.run(), TANDEM_RUN_IDLE);
    EXPECT_EQ(driver.host.bytes_stored, stored);
    driver.set_up();
  }
}

TEST(Device, WaitsForAHeaderThatIsNotWrittenYet) {
  TestDriver driver;
  AqlProducer process(driver);
  const uint64_t data = process.table.map_new(AqlProducer::kData, 4096);
  const uint64_t late = process.reserve();
  auto packet = process.dispatch(process.load_kernel(kernels::store_ids()));
  process.submit(packet);
  EXPECT_EQ(driver.settle(), TANDEM_RUN_WAIT);
  EXPECT_EQ(driver.host.at<uint64_t>(data), 0u);
  std::memcpy(driver.host.ram(process.slot(late)), &packet, sizeof packet);
  EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 2u);
}

TEST(Device, BarrierAndWaitsForAllItsSignals) {
  TestDriver driver;
  AqlProducer process(driver);
  const uint64_t data = process.table.map_new(AqlProducer::kData, 4096);
  auto barrier = process.barrier(TANDEM_PACKET_BARRIER_AND);
  barrier.dependency[0] = process.signal_va(0);
  barrier.dependency[3] = process.signal_va(1);
  barrier.completion_signal = process.signal_va(2);
  process.signal(0).value = process.signal(1).value = process.signal(2).value = 1;
  process.write(barrier);
  process.submit(process.dispatch(process.load_kernel(kernels::store_ids())));
  EXPECT_EQ(driver.settle(), TANDEM_RUN_WAIT);
  process.signal(1).value = 0;
  EXPECT_EQ(driver.settle(), TANDEM_RUN_WAIT);
  EXPECT_EQ(driver.host.at<uint64_t>(data), 0u);
  process.signal(0).value = 0;
  EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
  EXPECT_EQ(driver.host.at<uint64_t>(data), 1u);
  EXPECT_EQ(process.signal(2).value, 0);
}

TEST(Device, BarrierOrWaitsForOneOfItsSignals) {
  TestDriver driver;
  AqlProducer process(driver);
  auto barrier = process.barrier(TANDEM_PACKET_BARRIER_OR);
  barrier.dependency[1] = process.signal_va(0);
  barrier.dependency[4] = process.signal_va(1);
  process.signal(0).value = process.signal(1).value = 1;
  process.submit(barrier);
  EXPECT_EQ(driver.settle(), TANDEM_RUN_WAIT);
  process.signal(1).value = 0;
  EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
}

TEST(Device, BarrierBitWaitsForThePacketsBefore) {
  TestDriver driver;
  AqlProducer process(driver);
  const uint64_t data = process.table.map_new(AqlProducer::kData, 4096);
  process.table.map_new(AqlProducer::kData + 4096, 4096);
  process.write(process.dispatch(process.load_kernel(kernels::wait_for_flag(), 0)));
  auto second = process.dispatch(process.load_kernel(kernels::store_ids(), 1));
  second.header |= TANDEM_PACKET_BARRIER;
  second.kernarg_address = AqlProducer::kData + 4096;
  process.submit(second);
  driver.run(2000);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 0u);
  driver.host.at<uint64_t>(data) = 1;
  EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 2u);
}

TEST(Device, PacketsWithoutBarrierBitOverlap) {
  TestDriver driver;
  AqlProducer process(driver);
  const uint64_t data = process.table.map_new(AqlProducer::kData, 4096);
  const uint64_t other = process.table.map_new(AqlProducer::kData + 4096, 4096);
  process.write(process.dispatch(process.load_kernel(kernels::wait_for_flag(), 0)));
  auto second = process.dispatch(process.load_kernel(kernels::store_ids(), 1));
  second.kernarg_address = AqlProducer::kData + 4096;
  process.submit(second);
  driver.run(20000);  // some turns of both
  EXPECT_EQ(driver.host.at<uint64_t>(other), 1u);
  driver.host.at<uint64_t>(data) = 1;
  EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
}

TEST(Device, TheRingOfPacketsWraps) {
  TestDriver driver;
  AqlProducer process(driver, 1, 0, {.ring_order = 1, .retry_limit = 0});
  const uint64_t data = process.table.map_new(AqlProducer::kData, 4096);
  const uint64_t kernel = process.load_kernel(kernels::count());
  for (int turn = 0; turn < 9; ++turn) {
    process.write(process.dispatch(kernel, 1, 1));
    process.submit(process.dispatch(kernel, 1, 1));
    ASSERT_EQ(driver.settle(), TANDEM_RUN_IDLE);
  }
  EXPECT_EQ(driver.host.at<uint64_t>(data), 18u);
  EXPECT_EQ(process.read_index(), 18u);
}

TEST(Device, AWriteIndexAheadOfTheRingEndsTheQueue) {
  TestDriver driver;
  AqlProducer process(driver);
  process.ring_doorbell(9);
  driver.settle();
  ASSERT_EQ(driver.events_waiting(), 1u);
  EXPECT_EQ(driver.take_event().code, TANDEM_QUEUE_BAD_INDEX);
}

TEST(Device, ALateSmallerDoorbellSaysNothing) {
  TestDriver driver;
  AqlProducer process(driver);
  process.table.map_new(AqlProducer::kData, 4096);
  const uint64_t kernel = process.load_kernel(kernels::count());
  process.write(process.dispatch(kernel, 1, 1));
  process.submit(process.dispatch(kernel, 1, 1));
  process.ring_doorbell(1);
  driver.settle();
  EXPECT_EQ(driver.events_waiting(), 0u);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 2u);
}

TEST(Device, BadPacketsEndTheirQueue) {
  const auto code_of = [](auto&& spoil) {
    TestDriver driver;
    AqlProducer process(driver);
    process.table.map_new(AqlProducer::kData, 4096);
    auto packet = process.dispatch(process.load_kernel(kernels::store_ids()));
    spoil(packet, process.descriptor());
    process.submit(packet);
    driver.settle();
    return driver.events_waiting() ? driver.take_event().code : 0;
  };
  using Packet = tandem_dispatch_packet&;
  using Kernel = tandem_kernel_descriptor&;
  EXPECT_EQ(code_of([](Packet, Kernel) {}), 0);
  EXPECT_EQ(code_of([](Packet p, Kernel) { p.header = 77; }), TANDEM_QUEUE_BAD_PACKET);
  EXPECT_EQ(code_of([](Packet p, Kernel) { p.header = TANDEM_PACKET_AGENT_DISPATCH; }), TANDEM_QUEUE_BAD_PACKET);
  EXPECT_EQ(code_of([](Packet p, Kernel) { p.setup = 0; }), TANDEM_QUEUE_BAD_PACKET);
  EXPECT_EQ(code_of([](Packet p, Kernel) { p.workgroup_size[0] = 1025; }), TANDEM_QUEUE_BAD_PACKET);
  EXPECT_EQ(code_of([](Packet p, Kernel) { p.grid_size[0] = 0; }), TANDEM_QUEUE_BAD_PACKET);
  EXPECT_EQ(code_of([](Packet p, Kernel) { p.completion_signal = 3; }), TANDEM_QUEUE_BAD_PACKET);
  EXPECT_EQ(code_of([](Packet p, Kernel) { p.kernel_object = TANDEM_VA_LIMIT; }), TANDEM_QUEUE_ADDRESS_RANGE);
  EXPECT_EQ(code_of([](Packet p, Kernel) { p.group_bytes = ~0u; }), TANDEM_QUEUE_BAD_KERNEL);
  EXPECT_EQ(code_of([](Packet p, Kernel) { p.private_bytes = AqlProducer::kLaneBytes + 1; }), TANDEM_QUEUE_BAD_KERNEL);
  EXPECT_EQ(code_of([](Packet, Kernel k) { k.magic = 0; }), TANDEM_QUEUE_BAD_KERNEL);
  EXPECT_EQ(code_of([](Packet, Kernel k) { k.abi_major = 99; }), TANDEM_QUEUE_BAD_KERNEL);
  EXPECT_EQ(code_of([](Packet, Kernel k) { k.entry = 2; }), TANDEM_QUEUE_BAD_KERNEL);
}

TEST(Device, FullEventRingHoldsCompletionsBackAndLosesNone) {
  TestDriver driver(small_config(), 16 << 20, 1);  // two events
  AqlProducer process(driver);
  process.table.map_new(AqlProducer::kData, 4096);
  const uint64_t kernel = process.load_kernel(kernels::count());
  for (uint32_t n = 0; n < 6; ++n) {
    process.signal(n).value = 1;
    process.signal(n).event_id = n + 1;
    auto packet = process.dispatch(kernel, 1, 1);
    packet.completion_signal = process.signal_va(n);
    process.write(packet);
  }
  process.ring_doorbell();
  driver.settle();
  EXPECT_EQ(driver.events_waiting(), 2u);
  EXPECT_TRUE(driver.read32(TANDEM_REG_STATUS) & TANDEM_STATUS_EVENT_OVERFLOW);
  uint64_t seen = 0;
  for (int turn = 0; turn < 20 && seen < 6; ++turn) {
    while (driver.events_waiting()) {
      driver.take_event();
      ++seen;
    }
    driver.settle();
  }
  EXPECT_EQ(seen, 6u);
  for (uint32_t n = 0; n < 6; ++n) EXPECT_EQ(process.signal(n).value, 0);
}

TEST(Device, TheSameInputsGiveTheSameTrace) {
  const auto trace = [] {
    tandem_model_config config = small_config();
    config.walk_latency = 2;
    config.store_queue_depth = 4;
    config.store_drain = TANDEM_DRAIN_RANDOM;
    TestDriver driver(config);
    AqlProducer first(driver, 1, 0), second(driver, 2, 1);
    first.table.map_new(AqlProducer::kData, 65536);
    second.table.map_new(AqlProducer::kData, 65536);
    first.submit(first.dispatch(first.load_kernel(kernels::store_ids()), 4096, 256));
    second.submit(second.dispatch(second.load_kernel(kernels::count()), 512, 64));
    driver.run(700);
    driver.invalidate(1, AqlProducer::kData, AqlProducer::kData + 8192);
    driver.settle();
    return driver.host.trace;
  };
  const auto a = trace(), b = trace();
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]), 0);
}

TEST(Device, DescribesEveryTopicAndRefusesOthers) {
  TestDriver driver;
  AqlProducer process(driver);
  process.submit(process.dispatch(process.load_kernel(kernels::store_ids())));
  driver.settle();
  std::string text;
  const auto write = [](void* to, const char* piece) { *static_cast<std::string*>(to) += piece; };
  for (const char* topic : {"summary", "tlbs", "address-spaces", "queues", "waves", "faults", "counters", "all"}) {
    text.clear();
    EXPECT_TRUE(tandem_model_describe(driver.model(), topic, write, &text)) << topic;
    EXPECT_FALSE(text.empty()) << topic;
  }
  EXPECT_NE(text.find("not-present"), std::string::npos);
  EXPECT_FALSE(tandem_model_describe(driver.model(), "weather", write, &text));
}

TEST(Device, MemoryMapChangeDropsEveryHostPointer) {
  TestDriver driver;
  AqlProducer process(driver);
  const uint64_t data = process.table.map_new(AqlProducer::kData, 4096);
  process.submit(process.dispatch(process.load_kernel(kernels::wait_for_flag())));
  driver.run(1000);
  const uint64_t maps = driver.host.maps;
  driver.run(1000);
  EXPECT_EQ(driver.host.maps, maps);
  tandem_model_memory_map_changed(driver.model());
  driver.host.at<uint64_t>(data) = 1;
  EXPECT_EQ(driver.settle(), TANDEM_RUN_IDLE);
  EXPECT_GT(driver.host.maps, maps);
}

}  // namespace
}  // namespace tandem::test
