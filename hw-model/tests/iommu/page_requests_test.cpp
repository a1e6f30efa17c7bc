// SPDX-License-Identifier: GPL-2.0-or-later
// Page requests by themselves: groups, allowance, responses, waiters that go away.
#include "iommu/page_requests.h"

#include "support/fake_host.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace tandem::test {
namespace {

constexpr uint32_t kBus = 0x1000;  // + number of the address space

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

class PageRequestsTest : public testing::Test {
 protected:
  PageRequestsTest() {
    host.on_page_request = [this](const tandem_page_request& request) { sent.push_back(request); };
    for (const uint32_t pasid : {1u, 2u})
      spaces.bind(Pasid{{pasid}}, AddressSpace{.root = {}, .translation = TANDEM_TRANSLATION_SVA, .bus_pasid = kBus + pasid});
    unit.set_allowance(8);
  }
  std::optional<QueueError> raise(Waiter& waiter, uint64_t page, Access access = Access::Read, uint32_t pasid = 1,
                                  tandem_fault_reason reason = TANDEM_FAULT_NOT_PRESENT, uint32_t queue = 0) {
    return unit.raise({.pasid = Pasid{{pasid}}, .queue = queue_id(queue), .va = gva(page * 4096 + 8), .access = access}, reason,
                      waiter);
  }
  // Sends, and returns what is new as "group numbers as they come, pages".
  std::vector<tandem_page_request> send() {
    sent.clear();
    unit.send();
    return sent;
  }
  bool respond(const tandem_page_request& of, uint32_t code) { return unit.respond(of.pasid, of.group, code); }

  FakeHost host{4096};
  tandem_host_ops ops = host.ops();
  Host clock{ops, &host};
  Trace trace{ops, &host, true};
  Counters counters;
  AddressSpaces spaces{16};
  RetryLimits retries;
  PageRequests unit{spaces, retries, counters, trace, clock};
  std::vector<tandem_page_request> sent;
  Waiter a, b, c;
};

TEST_F(PageRequestsTest, RightsAreThoseThatTheAccessNeeds) {
  raise(a, 1, Access::Read);
  raise(a, 2, Access::Write);
  raise(a, 3, Access::Atomic);
  raise(a, 4, Access::Execute);
  const auto group = send();
  ASSERT_EQ(group.size(), 4u);
  EXPECT_TRUE(group[0].read && !group[0].write);
  EXPECT_TRUE(!group[1].read && group[1].write);
  EXPECT_TRUE(group[2].read && group[2].write);
  EXPECT_TRUE(group[3].read && !group[3].write);
  for (size_t n = 0; n < 4; ++n) {
    EXPECT_EQ(group[n].address, (n + 1) * 4096);
    EXPECT_EQ(group[n].pasid, kBus + 1);
    EXPECT_EQ(group[n].group, group[0].group);
    EXPECT_EQ(group[n].last, n == 3);
  }
}

TEST_F(PageRequestsTest, OneRequestForAllWhoWait) {
  raise(a, 1);
  raise(b, 1);
  raise(a, 1);
  EXPECT_EQ(send().size(), 1u);
  raise(c, 1);
  EXPECT_TRUE(send().empty()) << "it is outstanding";
  EXPECT_TRUE(unit.respond(kBus + 1, host.traced(TANDEM_TRACE_PAGE_REQUEST)[0].seqno >> 32, TANDEM_PAGE_RESPONSE_SUCCESS));
  EXPECT_EQ(a.ready + b.ready + c.ready, 3);
  EXPECT_EQ(host.traced(TANDEM_TRACE_PAGE_RESPONSE).back().a, 3u);
  raise(a, 1);
  EXPECT_EQ(send().size(), 1u) << "what still finds nothing is requested anew";
}

TEST_F(PageRequestsTest, AGroupIsOfOneAddressSpaceAndKeepsTheOrder) {
  raise(a, 5, Access::Read, 2);
  raise(a, 1);
  raise(a, 4, Access::Read, 2);
  raise(a, 2);
  const auto requests = send();
  ASSERT_EQ(requests.size(), 4u);
  const uint64_t pages[] = {5, 4, 1, 2};
  for (size_t n = 0; n < 4; ++n) {
    EXPECT_EQ(requests[n].address, pages[n] * 4096);
    EXPECT_EQ(requests[n].pasid, kBus + (n < 2 ? 2 : 1));
    EXPECT_EQ(requests[n].last, n % 2 == 1);
  }
  EXPECT_NE(requests[0].group, requests[2].group);
  EXPECT_EQ(unit.outstanding(Pasid{{1}}), 2u);
  EXPECT_EQ(unit.outstanding(), 4u);
}

TEST_F(PageRequestsTest, WhatExceedsTheAllowanceWaitsInOrder) {
  for (uint64_t page = 0; page < 20; ++page) raise(a, page);
  const auto first = send();
  ASSERT_EQ(first.size(), 8u);
  EXPECT_TRUE(first.back().last);
  EXPECT_TRUE(send().empty());
  raise(b, 30, Access::Read, 2);
  respond(first[0], TANDEM_PAGE_RESPONSE_SUCCESS);
  const auto second = send();
  ASSERT_EQ(second.size(), 8u);
  EXPECT_EQ(second[0].address, 8u * 4096);
  EXPECT_NE(second[0].group, first[0].group);
  respond(second[0], TANDEM_PAGE_RESPONSE_SUCCESS);
  const auto third = send();
  ASSERT_EQ(third.size(), 5u);
  EXPECT_EQ(third[3].address, 19u * 4096);
  EXPECT_EQ(third[4].pasid, kBus + 2);
}

TEST_F(PageRequestsTest, InvalidOfOnePageIsFinalAndTellsWhatWasMissing) {
  raise(a, 1, Access::Write, 1, TANDEM_FAULT_PERMISSION);
  respond(send()[0], TANDEM_PAGE_RESPONSE_INVALID);
  EXPECT_EQ(a.error, TANDEM_QUEUE_PERMISSION_FAULT);
  EXPECT_EQ(a.va, 4096u + 8);
  raise(b, 1, Access::Write, 1, TANDEM_FAULT_NOT_PRESENT);
  respond(send()[0], TANDEM_PAGE_RESPONSE_INVALID);
  EXPECT_EQ(b.error, TANDEM_QUEUE_ADDRESS_FAULT);
  EXPECT_EQ(unit.pending(), 0u);
}

TEST_F(PageRequestsTest, InvalidOfSeveralPagesAsksForEachByItself) {
  raise(a, 1);
  raise(b, 2);
  raise(c, 3);
  const auto group = send();
  respond(group[0], TANDEM_PAGE_RESPONSE_INVALID);
  EXPECT_EQ(a.error | b.error | c.error, TANDEM_QUEUE_OK) << "nobody has failed yet";
  Waiter d;
  raise(d, 4);
  raise(d, 5);
  const auto alone = send();
  ASSERT_EQ(alone.size(), 5u);
  std::map<uint32_t, std::vector<tandem_page_request>> groups;
  for (const auto& request : alone) groups[request.group].push_back(request);
  ASSERT_EQ(groups.size(), 4u) << "three by themselves; 4 and 5 together as ever";
  for (const auto& [number, of] : groups)
    unit.respond(kBus + 1, number, of[0].address == 2 * 4096 ? TANDEM_PAGE_RESPONSE_INVALID : TANDEM_PAGE_RESPONSE_SUCCESS);
  EXPECT_EQ(b.error, TANDEM_QUEUE_ADDRESS_FAULT);
  EXPECT_EQ(a.ready, 1);
  EXPECT_EQ(c.ready, 1);
  EXPECT_EQ(d.ready, 2);
  raise(a, 1);
  raise(a, 6);
  EXPECT_EQ(send()[0].last, false) << "a page that was had is requested together with others again";
}

TEST_F(PageRequestsTest, WhatIsToBeRequestedAloneJoinsNoGroupThatIsBeforeIt) {
  unit.set_allowance(2);
  raise(a, 1);
  raise(a, 2);
  raise(b, 3);  // waits for room, and is first in the row when the others come back
  const auto group = send();
  ASSERT_EQ(group.size(), 2u);
  respond(group[0], TANDEM_PAGE_RESPONSE_INVALID);
  const auto next = send();
  ASSERT_EQ(next.size(), 2u);
  EXPECT_EQ(next[0].address, 3u * 4096);
  EXPECT_EQ(next[1].address, 1u * 4096);
  EXPECT_TRUE(next[0].last);
  EXPECT_NE(next[0].group, next[1].group);
}

TEST_F(PageRequestsTest, FailureFailsAllAndLeavesOtherGroupsToBeAnswered) {
  raise(a, 1);
  const auto first = send();
  raise(b, 2, Access::Read, 2);
  const auto second = send();
  raise(c, 3);
  EXPECT_TRUE(respond(first[0], TANDEM_PAGE_RESPONSE_FAILURE));
  for (const Waiter* waiter : {&a, &b, &c}) EXPECT_EQ(waiter->error, TANDEM_QUEUE_SERVICE_FAILED);
  EXPECT_TRUE(send().empty());
  EXPECT_EQ(raise(a, 1), TANDEM_QUEUE_SERVICE_FAILED);
  EXPECT_EQ(unit.outstanding(Pasid{{2}}), 1u);
  EXPECT_TRUE(respond(second[0], TANDEM_PAGE_RESPONSE_SUCCESS));
  EXPECT_EQ(b.ready, 0);
  unit.set_allowance(8);
  EXPECT_EQ(raise(a, 1), std::nullopt);
  EXPECT_EQ(send().size(), 1u);
}

TEST_F(PageRequestsTest, AForgottenWaiterIsNotToldAndItsUnsentRequestIsNotSent) {
  raise(a, 1);
  raise(b, 2);
  unit.forget(b);
  const auto group = send();
  ASSERT_EQ(group.size(), 1u);
  EXPECT_TRUE(group[0].last);
  unit.forget(a);
  EXPECT_EQ(unit.outstanding(), 1u);
  EXPECT_TRUE(respond(group[0], TANDEM_PAGE_RESPONSE_SUCCESS));
  EXPECT_EQ(a.ready + b.ready, 0);
  EXPECT_EQ(unit.outstanding(), 0u);
}

TEST_F(PageRequestsTest, AnAddressSpaceThatGoesLeavesItsGroupsAndNothingElse) {
  raise(a, 1);
  const auto group = send();
  raise(a, 2);
  raise(b, 3, Access::Read, 2);
  unit.address_space_gone(Pasid{{1}});
  const auto others = send();
  ASSERT_EQ(others.size(), 1u);
  EXPECT_EQ(others[0].pasid, kBus + 2);
  EXPECT_EQ(unit.outstanding(Pasid{{1}}), 1u);
  EXPECT_TRUE(respond(group[0], TANDEM_PAGE_RESPONSE_SUCCESS));
  EXPECT_EQ(unit.outstanding(Pasid{{1}}), 0u);
  EXPECT_EQ(a.ready, 0);
}

TEST_F(PageRequestsTest, GroupNumbersGoRoundAndSkipThoseOutstanding) {
  raise(b, 1000);
  const uint32_t kept = send()[0].group;
  std::set<uint32_t> used;
  for (int turn = 0; turn < 511; ++turn) {
    raise(a, 1);
    const auto group = send();
    ASSERT_EQ(group.size(), 1u);
    EXPECT_LT(group[0].group, 512u);
    EXPECT_NE(group[0].group, kept);
    EXPECT_TRUE(used.insert(group[0].group).second) << "used again before all others were";
    respond(group[0], TANDEM_PAGE_RESPONSE_SUCCESS);
  }
  raise(a, 1);
  EXPECT_TRUE(used.contains(send()[0].group));
}

TEST_F(PageRequestsTest, ALateResponseFitsNothingAfterAReset) {
  raise(a, 1);
  const auto before = send()[0];
  unit.reset();
  raise(b, 1);
  EXPECT_NE(send()[0].group, before.group);
  EXPECT_FALSE(respond(before, TANDEM_PAGE_RESPONSE_SUCCESS));
  EXPECT_EQ(host.errors.size(), 1u);
  EXPECT_EQ(a.ready + b.ready, 0);
}

TEST_F(PageRequestsTest, MoreThanAllGroupNumbersAreNeverOutstanding) {
  unit.set_allowance(10000);
  std::vector<Waiter> waiters(600);
  for (uint64_t page = 0; page < 600; ++page) {
    raise(waiters[page], page);
    unit.send();  // each a group
  }
  EXPECT_EQ(sent.size(), 512u);
  EXPECT_TRUE(respond(sent[7], TANDEM_PAGE_RESPONSE_SUCCESS));
  const auto rest = send();
  EXPECT_EQ(rest.size(), 88u);
  for (const auto& request : rest) EXPECT_EQ(request.group, rest[0].group);
}

TEST_F(PageRequestsTest, RetriesAreCountedForEachQueueAndPage) {
  retries.set(queue_id(0), 2);
  for (int turn = 0; turn < 2; ++turn) {
    EXPECT_EQ(raise(a, 1), std::nullopt);
    EXPECT_EQ(raise(b, 1, Access::Read, 1, TANDEM_FAULT_NOT_PRESENT, 1), std::nullopt);
    respond(send()[0], TANDEM_PAGE_RESPONSE_SUCCESS);
  }
  EXPECT_EQ(raise(a, 1), TANDEM_QUEUE_RETRY_LIMIT);
  EXPECT_EQ(raise(b, 1, Access::Read, 1, TANDEM_FAULT_NOT_PRESENT, 1), std::nullopt) << "no limit there";
  EXPECT_EQ(raise(a, 2), std::nullopt) << "another page";
  // An entry of a larger block, without the right to store: reads are over, stores are not.
  unit.succeeded({.pasid = Pasid{{1}}, .va = gva(0), .bytes = 65536});
  EXPECT_EQ(raise(a, 1), std::nullopt);
}

TEST_F(PageRequestsTest, ASuccessOfAnotherKindDoesNotCount) {
  retries.set(queue_id(0), 1);
  raise(a, 1, Access::Write);
  respond(send()[0], TANDEM_PAGE_RESPONSE_SUCCESS);
  unit.succeeded({.pasid = Pasid{{1}}, .va = gva(4096), .bytes = 4096});                    // read only
  unit.succeeded({.pasid = Pasid{{1}}, .va = gva(8192), .bytes = 4096, .write = true});    // another page
  unit.succeeded({.pasid = Pasid{{2}}, .va = gva(4096), .bytes = 4096, .write = true});    // another process
  EXPECT_EQ(raise(a, 1, Access::Write), TANDEM_QUEUE_RETRY_LIMIT);
  unit.succeeded({.pasid = Pasid{{1}}, .va = gva(4096), .bytes = 4096, .write = true});
  EXPECT_EQ(raise(a, 1, Access::Write), std::nullopt);
}

}  // namespace
}  // namespace tandem::test
