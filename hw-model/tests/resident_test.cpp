// SPDX-License-Identifier: GPL-2.0-or-later
// Resident-only queues: what the process has is used, and what it has not is skipped.
#include "support/kernels.h"
#include "support/sva.h"

namespace tandem::test {
namespace {

using namespace kernels;

constexpr uint64_t kArguments = AqlProducer::kData;
constexpr uint64_t kPage = TANDEM_PAGE_BYTES;
constexpr uint64_t kTarget = kArguments + kPage;  // what the kernels below work on
constexpr uint64_t kTargets = TANDEM_WAVE_LANES;

// a page for each lane, from kTarget on: t1 = its address, t2 = address of the lane's 32 bytes of results
Code with_page_of_lane(Code body) {
  Code code = {csrr(t0, TANDEM_CSR_LANE_ID), slli(t1, t0, TANDEM_PAGE_SHIFT), add(t1, a0, t1), lui(t3, 1), add(t1, t1, t3),
               slli(t2, t0, 5),              add(t2, a0, t2)};
  code.insert(code.end(), body.begin(), body.end());
  code.push_back(ret());
  return code;
}

// results: what was loaded, accesses skipped
Code load_page_each() {
  return with_page_of_lane({ld(t4, t1, 8), csrr(t5, TANDEM_CSR_SKIPPED), sd(t4, t2, 0), sd(t5, t2, 8)});
}

class ResidentQueue {
 public:
  explicit ResidentQueue(const tandem_model_config& config = small_config()) : driver(config), process(driver) {
    process.destroy_queue();
    tandem_command create = process.create_command();
    create.flags = TANDEM_COMMAND_RESIDENT_ONLY;
    driver.execute(create);
    arguments = process.table.map_new(kArguments, kPage);
  }

  void submit(const Code& code) {
    packets_ = driver.counter(TANDEM_COUNTER_PACKETS) + 1;
    process.submit(process.dispatch(process.load_kernel(code)));
    driver.settle();
  }
  // The driver's answer to all that waits: nothing is there.
  void skip_all() {
    while (driver.faults_waiting()) {
      const tandem_fault_record fault = driver.take_fault();
      EXPECT_EQ(fault.flags, TANDEM_FAULT_RESIDENT_ONLY);
      skip(fault.va, fault.va + kPage, fault.access);
    }
    driver.settle();
  }
  tandem_command skip_command(uint64_t start, uint64_t end, uint32_t access) {
    tandem_command skip = driver.command(TANDEM_COMMAND_SKIP, process.pasid());
    skip.u.skip.start = start;
    skip.u.skip.end = end;
    skip.u.skip.access = access;
    return skip;
  }
  void skip(uint64_t start, uint64_t end, uint32_t access) { driver.execute(skip_command(start, end, access)); }
  bool done() { return driver.counter(TANDEM_COUNTER_PACKETS) == packets_; }
  uint64_t result(uint64_t lane, uint64_t n) { return driver.host.at<uint64_t>(arguments + 32 * lane + 8 * n); }

  TestDriver driver;
  AqlProducer process;
  uint64_t arguments = 0;

 private:
  uint64_t packets_ = 0;
};

TEST(Resident, ALoadOfAPageThatIsNotThereGivesZeroAndIsCounted) {
  ResidentQueue queue;
  const uint64_t third = queue.process.table.map_new(kTarget + 3 * kPage, kPage);
  queue.driver.host.at<uint64_t>(third + 8) = 42;
  queue.submit(load_page_each());
  queue.skip_all();
  ASSERT_TRUE(queue.done());
  for (uint64_t lane = 0; lane < kTargets; ++lane) {
    EXPECT_EQ(queue.result(lane, 0), lane == 3 ? 42 : 0) << lane;
    EXPECT_EQ(queue.result(lane, 1), lane == 3 ? 0 : 1) << lane;
  }
  EXPECT_EQ(queue.driver.counter(TANDEM_COUNTER_SKIPPED), kTargets - 1);
  EXPECT_EQ(queue.driver.events_waiting(), 0u);
}

TEST(Resident, OneSkipAnswersForARangeAndForOneKindOfAccess) {
  ResidentQueue queue;
  queue.submit(load_page_each());
  queue.skip(kTarget, kTarget + kTargets * kPage, TANDEM_ACCESS_WRITE);
  queue.driver.settle();
  EXPECT_EQ(queue.driver.counter(TANDEM_COUNTER_SKIPPED), 0u);
  queue.skip(kTarget, kTarget + kTargets * kPage, TANDEM_ACCESS_READ);
  queue.driver.settle();
  EXPECT_TRUE(queue.done());
  EXPECT_EQ(queue.driver.counter(TANDEM_COUNTER_SKIPPED), kTargets);
}

TEST(Resident, APageThatTheDriverFoundIsUsedAfterReplay) {
  ResidentQueue queue;
  queue.submit(load_page_each());
  const uint64_t first = queue.process.table.map_new(kTarget, kPage);
  queue.driver.host.at<uint64_t>(first + 8) = 7;
  queue.skip(kTarget + kPage, kTarget + kTargets * kPage, TANDEM_ACCESS_READ);
  queue.driver.replay(queue.process.pasid());
  queue.driver.settle();
  ASSERT_TRUE(queue.done());
  EXPECT_EQ(queue.result(0, 0), 7u);
  EXPECT_EQ(queue.result(0, 1), 0u);
}

TEST(Resident, TheNextAccessAsksAnew) {
  ResidentQueue queue;
  queue.submit(load_page_each());
  queue.skip_all();
  ASSERT_TRUE(queue.done());
  for (uint64_t lane = 0; lane < kTargets; ++lane)
    queue.driver.host.at<uint64_t>(queue.process.table.map_new(kTarget + lane * kPage, kPage) + 8) = lane + 1;
  queue.submit(load_page_each());
  ASSERT_TRUE(queue.done());
  for (uint64_t lane = 0; lane < kTargets; ++lane) EXPECT_EQ(queue.result(lane, 0), lane + 1);
}

TEST(Resident, AStoreWithoutAPageIsDropped) {
  for (const uint32_t depth : {0, 4}) {
    tandem_model_config config = small_config();
    config.store_queue_depth = depth;
    ResidentQueue queue(config);
    queue.process.table.map_new(kTarget, kTargets * kPage, kReadOnly);
    queue.submit(with_page_of_lane({addi(t4, x0, 9), sd(t4, t1, 8), ld(t5, t1, 8), sd(t5, t2, 0)}));
    queue.skip_all();
    ASSERT_TRUE(queue.done());
    for (uint64_t lane = 0; lane < kTargets; ++lane) EXPECT_EQ(queue.result(lane, 0), 0u);
    EXPECT_EQ(queue.driver.counter(TANDEM_COUNTER_SKIPPED), kTargets);
  }
}

TEST(Resident, AnAtomicWithoutAPageIsDroppedAndGivesZeroToEachLane) {
  ResidentQueue queue;
  // All lanes at one word: none may see what another one added.
  queue.submit(with_page_of_lane({lui(t3, 1), add(t1, a0, t3), addi(t4, x0, 5), amo(0, doubleword, t5, t4, t1), sd(t5, t2, 0),
                                  amo(0, doubleword, t5, t4, t1), sd(t5, t2, 8), csrr(t5, TANDEM_CSR_SKIPPED), sd(t5, t2, 16)}));
  queue.skip_all();
  queue.skip_all();
  ASSERT_TRUE(queue.done());
  for (uint64_t lane = 0; lane < kTargets; ++lane) {
    EXPECT_EQ(queue.result(lane, 0), 0u);
    EXPECT_EQ(queue.result(lane, 1), 0u);
    EXPECT_EQ(queue.result(lane, 2), 2u);
  }
}

TEST(Resident, ALoopOfLoadReservedAndStoreConditionalEnds) {
  ResidentQueue queue;
  queue.submit(with_page_of_lane({lr(doubleword, t4, t1), addi(t4, t4, 1), sc(doubleword, t5, t4, t1), b_type(1, t5, x0, -12)}));
  for (int turn = 0; turn < 4; ++turn) queue.skip_all();
  EXPECT_TRUE(queue.done());
}

TEST(Resident, ALoadOverTheEndOfWhatIsThereIsHalfZero) {
  ResidentQueue queue;
  const uint64_t there = queue.process.table.map_new(kTarget, kPage);
  queue.driver.host.at<uint32_t>(there + kPage - 4) = 0x11223344;
  // The first lane alone: eight bytes, four of them in the page that is missing.
  queue.submit({csrr(t0, TANDEM_CSR_LANE_ID), b_type(1, t0, x0, 36), lui(t3, 2), add(t1, a0, t3), ld(t4, t1, -4), sd(t4, a0, 0),
                csrr(t5, TANDEM_CSR_SKIPPED), sd(t5, a0, 8), addi(x0, x0, 0), ret(), ret()});
  queue.skip_all();
  ASSERT_TRUE(queue.done());
  EXPECT_EQ(queue.result(0, 0), 0x11223344u);
  EXPECT_EQ(queue.result(0, 1), 1u);
}

TEST(Resident, CodeStacksAndArgumentsAreFaultedInLikeThoseOfAnyQueue) {
  ResidentQueue queue;
  for (const uint64_t va : {AqlProducer::kCode, kArguments, AqlProducer::kScratch}) {
    uint64_t& entry = queue.process.table.entry(va);
    const uint64_t hidden = entry;
    entry = 0;
    queue.submit({sd(x0, sp, -8), ld(t0, a0, 0), ret()});
    ASSERT_EQ(queue.driver.faults_waiting(), 1u) << std::hex << va;
    const tandem_fault_record fault = queue.driver.take_fault();
    EXPECT_EQ(fault.va, va);
    EXPECT_EQ(fault.flags, 0u);
    queue.process.table.entry(va) = hidden;
    queue.driver.replay(queue.process.pasid());
    queue.driver.settle();
    EXPECT_TRUE(queue.done());
    queue.driver.invalidate(queue.process.pasid(), 0, TANDEM_VA_LIMIT);
  }
}

TEST(Resident, ACancelledAccessStopsTheQueueAllTheSame) {
  ResidentQueue queue;
  queue.submit(load_page_each());
  queue.driver.cancel(queue.process.pasid(), queue.process.queue(), kTarget);
  queue.driver.settle();
  ASSERT_EQ(queue.driver.events_waiting(), 1u);
  EXPECT_EQ(queue.driver.take_event().type, TANDEM_EVENT_QUEUE_ERROR);
}

TEST(Resident, AnOrdinaryQueueIsNeverSkipped) {
  ResidentQueue queue;
  AqlProducer other(queue.driver, 2, 1);
  other.submit(other.dispatch(other.load_kernel(store_ids())));
  queue.driver.settle();
  ASSERT_EQ(queue.driver.faults_waiting(), 1u);
  EXPECT_EQ(queue.driver.take_fault().flags, 0u);
  tandem_command skip = queue.driver.command(TANDEM_COMMAND_SKIP, other.pasid());
  skip.u.skip.start = kArguments;
  skip.u.skip.end = kArguments + kPage;
  skip.u.skip.access = TANDEM_ACCESS_WRITE;
  queue.driver.execute(skip);
  queue.driver.settle();
  EXPECT_EQ(other.read_index(), 1u);
  EXPECT_EQ(queue.driver.counter(TANDEM_COUNTER_PACKETS), 0u);
  EXPECT_EQ(queue.driver.counter(TANDEM_COUNTER_SKIPPED), 0u);
}

TEST(Resident, ACopyPacketStopsTheQueue) {
  ResidentQueue queue;
  queue.process.submit(queue.process.copy(kArguments, kTarget, 64));
  queue.driver.settle();
  ASSERT_EQ(queue.driver.events_waiting(), 1u);
  EXPECT_EQ(queue.driver.take_event().code, TANDEM_QUEUE_BAD_PACKET);
}

TEST(Resident, MalformedSkipsAreRefused) {
  ResidentQueue queue;
  const auto error = [&](tandem_command command) { return queue.driver.error_of(command); };
  EXPECT_EQ(error(queue.skip_command(kTarget, kTarget, TANDEM_ACCESS_READ)), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(error(queue.skip_command(kTarget + 1, kTarget + kPage, TANDEM_ACCESS_READ)), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(error(queue.skip_command(kTarget, TANDEM_VA_LIMIT + kPage, TANDEM_ACCESS_READ)), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(error(queue.skip_command(kTarget, kTarget + kPage, 0)), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error(queue.skip_command(kTarget, kTarget + kPage, TANDEM_ACCESS_EXECUTE)), TANDEM_COMMAND_BAD_PARAMETER);
  tandem_command skip = queue.skip_command(kTarget, kTarget + kPage, TANDEM_ACCESS_READ);
  skip.pasid = 9;
  EXPECT_EQ(error(skip), TANDEM_COMMAND_BAD_PASID);
  tandem_command replay = queue.driver.command(TANDEM_COMMAND_REPLAY, queue.process.pasid());
  replay.flags = TANDEM_COMMAND_RESIDENT_ONLY;
  EXPECT_EQ(error(replay), TANDEM_COMMAND_BAD_PARAMETER);
}

TEST(Resident, ThroughTheIommuAMissIsSkippedWithoutAPageRequest) {
  Sva sva;
  sva.process.destroy_queue();
  tandem_command create = sva.process.create_command();
  create.flags = TANDEM_COMMAND_RESIDENT_ONLY;
  sva.driver.execute(create);
  sva.process.table.map_new(kArguments, kPage);
  sva.process.table.map_new(kTarget + 2 * kPage, kPage);
  sva.at(kTarget + 2 * kPage + 8) = 5;
  sva.submit(load_page_each(), 32);
  sva.iommu.settle();
  ASSERT_TRUE(sva.done());
  for (uint64_t lane = 0; lane < kTargets; ++lane) EXPECT_EQ(sva.at(kArguments + 32 * lane), lane == 2 ? 5 : 0);
  EXPECT_TRUE(sva.iommu.page_requests.empty());
  EXPECT_EQ(sva.driver.counter(TANDEM_COUNTER_SKIPPED), kTargets - 1);
}

}  // namespace
}  // namespace tandem::test
