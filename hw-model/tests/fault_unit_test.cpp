// SPDX-License-Identifier: GPL-2.0-or-later
// The fault unit by itself: records, overflow, replay, cancel, retry limit.
#include "fault/fault_unit.h"

#include "support/page_table_builder.h"

#include <gtest/gtest.h>

namespace tandem::test {
namespace {

struct Waiter final : TranslationWaiter {
  void translation_ready() override { ++ready; }
  void translation_failed(QueueError why, Gva at) override {
    error = why;
    va = at.value;
  }
  int ready = 0;
  QueueError error = TANDEM_QUEUE_OK;
  uint64_t va = 0;
};

struct Errors final : ErrorSink {
  void stop(tandem_device_error why, const char*) override { error = why; }
  tandem_device_error error = TANDEM_DEVICE_OK;
};

class FaultUnitTest : public testing::Test {
 protected:
  static constexpr uint32_t kOrder = 2;  // four records

  FaultUnitTest() {
    status.set_address(pages.take());
    unit.ring().base = pages.take();
    unit.ring().order = kOrder;
    interrupts.set_enable(~0u);
  }

  static TranslationRequest request(uint64_t va, Access access = Access::Read, uint32_t pasid = 1, uint32_t queue = 0) {
    return {.pasid = Pasid{{pasid}}, .queue = queue_id(queue), .va = gva(va), .access = access,
            .client = TANDEM_CLIENT_COMPUTE, .unit = 3, .pc = 0x5000};
  }
  std::optional<QueueError> raise(Waiter& waiter, const TranslationRequest& what) {
    return unit.raise(what, TANDEM_FAULT_NOT_PRESENT, waiter);
  }
  tandem_fault_record record(uint32_t n) {
    return host.at<tandem_fault_record>(unit.ring().base + n % (1u << kOrder) * sizeof(tandem_fault_record));
  }
  void driver_takes(uint32_t count) {
    unit.ring().get += count;
    unit.flush();
    unit.announce();
  }
  uint32_t published() { return host.at<tandem_status_page>(status.address()).fault_put; }

  FakeHost host;
  PageAllocator pages{host};
  tandem_host_ops ops = host.ops();
  MemoryPort memory{ops, &host, nullptr, 0};
  Host clock{ops, &host};
  Trace trace{ops, &host, true};
  Hostile plain{0};
  Interrupts interrupts{clock, plain};
  Errors errors;
  StatusPage status{memory, errors};
  Counters counters;
  RetryLimits retries;
  FaultUnit unit{retries, memory, status, interrupts, errors, counters, trace, clock, plain};
  Waiter a, b, c;
};

TEST_F(FaultUnitTest, ARecordTellsAllOfTheAccess) {
  raise(a, request(0x12345678, Access::Atomic, 5, 9));
  const tandem_fault_record fault = record(0);
  EXPECT_EQ(fault.va, 0x12345000u);
  EXPECT_EQ(fault.pasid, 5u);
  EXPECT_EQ(fault.queue, 9u);
  EXPECT_EQ(fault.access, TANDEM_ACCESS_ATOMIC);
  EXPECT_EQ(fault.reason, TANDEM_FAULT_NOT_PRESENT);
  EXPECT_EQ(fault.client, TANDEM_CLIENT_COMPUTE);
  EXPECT_EQ(fault.unit, 3u);
  EXPECT_EQ(fault.pc, 0x5000u);
  EXPECT_EQ(fault.id, 1u);
}

TEST_F(FaultUnitTest, OnePageAndAccessIsOneRecordForAllWhoWait) {
  raise(a, request(0x1000));
  raise(b, request(0x1ff8, Access::Read, 1, 4));
  raise(a, request(0x1008));
  EXPECT_EQ(counters[TANDEM_COUNTER_FAULTS], 1u);
  raise(c, request(0x1000, Access::Write));
  raise(c, request(0x1000, Access::Read, 2));
  EXPECT_EQ(counters[TANDEM_COUNTER_FAULTS], 3u);
  EXPECT_EQ(unit.replay(Pasid{{1}}), 3u);
  EXPECT_EQ(a.ready, 1);
  EXPECT_EQ(b.ready, 1);
}

TEST_F(FaultUnitTest, ManyRecordsOfAStepAreOneInterruptAndOnePut) {
  raise(a, request(0x1000));
  raise(b, request(0x2000));
  EXPECT_EQ(host.interrupts.size(), 0u);
  EXPECT_EQ(published(), 0u);
  unit.announce();
  EXPECT_EQ(host.interrupts_of(TANDEM_VECTOR_FAULT), 1u);
  EXPECT_EQ(published(), 2u);
  unit.announce();
  EXPECT_EQ(host.interrupts.size(), 1u);
}

TEST_F(FaultUnitTest, WhatOverflowsWaitsInOrderAndIsWrittenWhenThereIsRoom) {
  for (uint64_t page = 1; page <= 7; ++page) raise(a, request(page * 4096));
  EXPECT_EQ(counters[TANDEM_COUNTER_FAULTS], 4u);
  EXPECT_EQ(counters[TANDEM_COUNTER_FAULT_OVERFLOWS], 3u);
  EXPECT_TRUE(unit.overflowed());
  driver_takes(1);
  EXPECT_EQ(record(4).va, 5u * 4096);
  EXPECT_TRUE(unit.overflowed());
  raise(b, request(0x9000));  // comes after those that wait, though there is room again soon
  driver_takes(4);
  EXPECT_EQ(record(5).va, 6u * 4096);
  EXPECT_EQ(record(6).va, 7u * 4096);
  EXPECT_EQ(record(7).va, 0x9000u);
  EXPECT_FALSE(unit.overflowed());
  EXPECT_EQ(record(7).id, 8u);
}

TEST_F(FaultUnitTest, ReplayReleasesTheAddressSpaceAndWhatHasNoRecordYet) {
  for (uint64_t page = 1; page <= 6; ++page) raise(a, request(page * 4096));
  raise(b, request(0x1000, Access::Read, 2));
  EXPECT_EQ(unit.replay(Pasid{{1}}), 6u);
  EXPECT_EQ(b.ready, 0);
  EXPECT_EQ(unit.pending(), 1u);
  driver_takes(4);
  EXPECT_EQ(counters[TANDEM_COUNTER_FAULTS], 5u) << "only the other address space's is left to be written";
  EXPECT_EQ(record(4).pasid, 2u);
}

TEST_F(FaultUnitTest, CancelFailsOneQueuesWaitersForOnePage) {
  raise(a, request(0x1008, Access::Read, 1, 0));
  raise(b, request(0x1010, Access::Read, 1, 1));
  raise(c, request(0x2000, Access::Read, 1, 0));
  EXPECT_EQ(unit.cancel(Pasid{{1}}, queue_id(0), gva(0x1000), TANDEM_QUEUE_ADDRESS_FAULT), 1u);
  EXPECT_EQ(a.error, TANDEM_QUEUE_ADDRESS_FAULT);
  EXPECT_EQ(a.va & ~4095ULL, 0x1000u);
  EXPECT_EQ(b.error, TANDEM_QUEUE_OK);
  EXPECT_EQ(c.error, TANDEM_QUEUE_OK);
  EXPECT_EQ(unit.replay(Pasid{{1}}), 2u);
  EXPECT_EQ(a.ready, 0) << "it failed and waits no more";
}

TEST_F(FaultUnitTest, CancelReachesEveryKindOfAccessToThePage) {
  raise(a, request(0x1000, Access::Read));
  raise(b, request(0x1000, Access::Write));
  EXPECT_EQ(unit.cancel(Pasid{{1}}, queue_id(0), gva(0x1000), TANDEM_QUEUE_ADDRESS_FAULT), 2u);
  EXPECT_EQ(unit.pending(), 0u);
}

TEST_F(FaultUnitTest, AForgottenWaiterIsNeverToldAndItsUnwrittenRecordNeverComes) {
  for (uint64_t page = 1; page <= 6; ++page) raise(page == 5 ? b : a, request(page * 4096));
  unit.forget(b);
  driver_takes(4);
  EXPECT_EQ(record(4).va, 6u * 4096);
  EXPECT_EQ(unit.replay(Pasid{{1}}), 5u);
  EXPECT_EQ(b.ready, 0);
  EXPECT_EQ(unit.pending(), 0u);
}

TEST_F(FaultUnitTest, RetryLimitCountsReplaysWithoutSuccessOfOneQueue) {
  retries.set(queue_id(0), 2);
  for (int turn = 0; turn < 2; ++turn) {
    EXPECT_EQ(raise(a, request(0x1000)), std::nullopt);
    raise(b, request(0x1000, Access::Read, 1, 1));
    unit.replay(Pasid{{1}});
  }
  EXPECT_EQ(raise(b, request(0x1000, Access::Read, 1, 1)), std::nullopt) << "no limit there";
  EXPECT_EQ(raise(a, request(0x1000)), TANDEM_QUEUE_RETRY_LIMIT);
  EXPECT_EQ(raise(a, request(0x2000)), std::nullopt) << "another page";
}

TEST_F(FaultUnitTest, AnAccessThatSucceedsInBetweenStartsItsCountAnew) {
  retries.set(queue_id(0), 2);
  raise(a, request(0x1000));
  unit.replay(Pasid{{1}});
  unit.replay(Pasid{{1}});  // it did not wait for this one
  for (int turn = 0; turn < 2; ++turn) {
    EXPECT_EQ(raise(a, request(0x1000)), std::nullopt) << turn;
    unit.replay(Pasid{{1}});
  }
  EXPECT_EQ(raise(a, request(0x1000)), TANDEM_QUEUE_RETRY_LIMIT);
}

TEST_F(FaultUnitTest, ANewQueueOfTheSameNumberHasNoPast) {
  retries.set(queue_id(0), 1);
  raise(a, request(0x1000));
  unit.replay(Pasid{{1}});
  retries.queue_gone(queue_id(0));
  retries.set(queue_id(0), 1);
  EXPECT_EQ(raise(a, request(0x1000)), std::nullopt);
}

TEST_F(FaultUnitTest, NothingOfAnAddressSpaceThatIsGoneIsLeft) {
  for (uint64_t page = 1; page <= 6; ++page) raise(a, request(page * 4096));
  raise(b, request(0x1000, Access::Read, 2));
  unit.address_space_gone(Pasid{{1}});
  EXPECT_EQ(unit.pending(), 1u);
  driver_takes(4);
  EXPECT_EQ(record(4).pasid, 2u);
  EXPECT_EQ(a.ready, 0);
}

TEST_F(FaultUnitTest, HeldRecordsComeWhenTheyAreLetGo) {
  unit.set_held(true);
  raise(a, request(0x1000));
  EXPECT_FALSE(unit.overflowed());
  EXPECT_EQ(counters[TANDEM_COUNTER_FAULTS] + counters[TANDEM_COUNTER_FAULT_OVERFLOWS], 0u);
  unit.set_held(false);
  EXPECT_TRUE(unit.flush());
  EXPECT_EQ(record(0).va, 0x1000u);
}

TEST_F(FaultUnitTest, ABufferThatIsNotMemoryStopsTheDevice) {
  unit.ring().base = 1ULL << 40;
  raise(a, request(0x1000));
  EXPECT_EQ(errors.error, TANDEM_DEVICE_RING_DMA);
  unit.announce();
  EXPECT_EQ(host.interrupts.size(), 0u);
}

}  // namespace
}  // namespace tandem::test
