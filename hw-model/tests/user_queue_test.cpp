// SPDX-License-Identifier: GPL-2.0-or-later
// One user queue by itself: doorbells, the steps of a fetch and what interrupts them, wrap-around, failure.
#include "queue/user_queue.h"

#include <gtest/gtest.h>

#include "compute/support/fake_translator.h"
#include "support/fake_host.h"

namespace tandem::test {
namespace {

using Fetch = UserQueue::Fetch;

constexpr uint64_t kRing = 0x100000, kIndices = 0x200000;
constexpr uint32_t kOrder = 2;
constexpr uint64_t kSlots = 1 << kOrder;

class UserQueueTest : public testing::Test {
 protected:
  UserQueueTest() {
    translator.map(kRing, TANDEM_PAGE_BYTES);
    translator.map(kIndices, TANDEM_PAGE_BYTES);
    for (uint64_t slot = 0; slot < kSlots; ++slot) set_header(slot, TANDEM_PACKET_INVALID);
  }
  static uint64_t slot_va(uint64_t packet) { return kRing + packet % kSlots * TANDEM_PACKET_BYTES; }
  void set_header(uint64_t packet, uint16_t type) { translator.put<uint16_t>(slot_va(packet), type); }
  uint16_t header(uint64_t packet) { return translator.get<uint16_t>(slot_va(packet)); }
  uint64_t read_index() { return translator.get<uint64_t>(kIndices + offsetof(tandem_queue_indices, read_index)); }
  void write(uint64_t packet, uint64_t payload) {
    translator.put<uint64_t>(slot_va(packet) + 56, payload);
    set_header(packet, TANDEM_PACKET_KERNEL_DISPATCH);
  }
  uint64_t payload() { return queue.packet().words[7]; }

  FakeHost host;
  FakeTranslator translator;
  tandem_host_ops ops = host.ops();
  MemoryPort memory{ops, &host, nullptr, 0};
  Attention attention;
  Host clock{ops, &host};
  Trace trace{ops, &host, true};
  UserQueue queue{{.pasid = Pasid{{1}}, .id = QueueId{{3}}, .ring = gva(kRing), .indices = gva(kIndices), .ring_order = kOrder},
                  translator, memory, attention, trace, clock};
};

TEST_F(UserQueueTest, NothingIsFetchedBeforeTheDoorbell) {
  write(0, 1);
  EXPECT_EQ(queue.fetch(), Fetch::Empty);
  EXPECT_TRUE(translator.requests.empty()) << "it does not even look";
}

TEST_F(UserQueueTest, AFetchCopiesInvalidatesAndPublishes) {
  write(0, 42);
  ASSERT_TRUE(queue.ring_doorbell(1));
  ASSERT_EQ(queue.fetch(), Fetch::Ready);
  EXPECT_EQ(payload(), 42u);
  EXPECT_EQ(queue.packet().number, 0u);
  EXPECT_EQ(header(0), TANDEM_PACKET_INVALID) << "or the slot's next packet would be taken for valid too early";
  EXPECT_EQ(read_index(), 1u);
  EXPECT_EQ(queue.fetch(), Fetch::Ready) << "until it is taken";
  queue.take();
  EXPECT_EQ(queue.fetch(), Fetch::Empty);
  ASSERT_EQ(host.traced(TANDEM_TRACE_FETCH).size(), 1u);
  EXPECT_EQ(host.traced(TANDEM_TRACE_DOORBELL).size(), 1u);
}

TEST_F(UserQueueTest, PollsForAHeaderThatIsNotWrittenYet) {
  queue.ring_doorbell(1);
  EXPECT_EQ(queue.fetch(), Fetch::Polling);
  EXPECT_EQ(read_index(), 0u);
  write(0, 7);
  ASSERT_EQ(queue.fetch(), Fetch::Ready);
  EXPECT_EQ(payload(), 7u);
}

TEST_F(UserQueueTest, EachStepMayWaitAndIsDoneOnce) {
  write(0, 9);
  queue.ring_doorbell(1);
  translator.page(kRing).present = false;
  EXPECT_EQ(queue.fetch(), Fetch::Waiting);
  translator.page(kRing).present = true;
  translator.page(kRing).write = false;  // the header cannot be marked yet
  translator.replay();
  EXPECT_EQ(queue.fetch(), Fetch::Waiting);
  translator.put<uint64_t>(slot_va(0) + 56, 10);  // too late: the packet was copied
  translator.page(kRing).write = true;
  translator.page(kIndices).present = false;
  translator.replay();
  EXPECT_EQ(queue.fetch(), Fetch::Waiting);
  EXPECT_EQ(header(0), TANDEM_PACKET_INVALID);
  EXPECT_EQ(host.traced(TANDEM_TRACE_FETCH).size(), 0u) << "not fetched before it is published";
  translator.page(kIndices).present = true;
  translator.replay();
  ASSERT_EQ(queue.fetch(), Fetch::Ready);
  EXPECT_EQ(payload(), 9u);
  EXPECT_EQ(read_index(), 1u);
}

TEST_F(UserQueueTest, AnAnswerAsksForAttention) {
  queue.ring_doorbell(1);
  translator.page(kRing).present = false;
  queue.fetch();
  attention.take();
  translator.replay();
  EXPECT_TRUE(attention.asked());
}

TEST_F(UserQueueTest, TheRingWraps) {
  for (uint64_t packet = 0; packet < 3 * kSlots; ++packet) {
    write(packet, packet + 100);
    ASSERT_TRUE(queue.ring_doorbell(packet + 1));
    ASSERT_EQ(queue.fetch(), Fetch::Ready) << packet;
    EXPECT_EQ(payload(), packet + 100);
    EXPECT_EQ(queue.packet().number, packet);
    queue.take();
  }
  EXPECT_EQ(read_index(), 3 * kSlots);
}

TEST_F(UserQueueTest, ADoorbellMayComeLateButNotAheadOfTheRing) {
  EXPECT_TRUE(queue.ring_doorbell(3));
  EXPECT_TRUE(queue.ring_doorbell(2)) << "another producer's, overtaken";
  EXPECT_EQ(queue.write_index(), 3u);
  EXPECT_TRUE(queue.ring_doorbell(kSlots)) << "full";
  EXPECT_FALSE(queue.ring_doorbell(kSlots + 1));
  EXPECT_FALSE(queue.ring_doorbell(~uint64_t{0}));
  EXPECT_EQ(queue.write_index(), kSlots);
}

TEST_F(UserQueueTest, ACancelledFaultFailsTheFetchAndSaysWhere) {
  write(0, 1);
  queue.ring_doorbell(1);
  translator.page(kIndices).present = false;
  ASSERT_EQ(queue.fetch(), Fetch::Waiting);
  translator.cancel(TANDEM_QUEUE_ADDRESS_FAULT, kIndices);
  EXPECT_EQ(queue.fetch(), Fetch::Failed);
  EXPECT_EQ(queue.error(), TANDEM_QUEUE_ADDRESS_FAULT);
  EXPECT_EQ(queue.error_va().value & ~uint64_t{TANDEM_PAGE_BYTES - 1}, kIndices);
  EXPECT_EQ(queue.error_access(), Access::Write);
}

TEST_F(UserQueueTest, AbandonedItWaitsForNothing) {
  queue.ring_doorbell(1);
  translator.page(kRing).present = false;
  queue.fetch();
  ASSERT_EQ(translator.waiting(), 1u);
  queue.abandon();
  EXPECT_EQ(translator.waiting(), 0u);
}

TEST_F(UserQueueTest, ItsLifeIsTracedWithTheReasonOfItsEnd) {
  queue.enter(TANDEM_QUEUE_ACTIVE);
  queue.enter(TANDEM_QUEUE_FAULTED, TANDEM_QUEUE_BAD_PACKET, 0x1234, 0x5678);
  EXPECT_EQ(queue.failure(), TANDEM_QUEUE_BAD_PACKET);
  const auto records = host.traced(TANDEM_TRACE_QUEUE);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[1].detail, static_cast<uint32_t>(TANDEM_QUEUE_FAULTED));
  EXPECT_EQ(records[1].a, static_cast<uint64_t>(TANDEM_QUEUE_BAD_PACKET));
  EXPECT_EQ(records[1].va, 0x1234u);
}

}  // namespace
}  // namespace tandem::test
