// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/history.h"

#include <gtest/gtest.h>

namespace tandem::test {
namespace {

Event event(EventKind kind, uint64_t moment, uint64_t start, uint64_t bytes) {
  Event made{.kind = kind};
  made.moment = moment;
  made.start = gva(start);
  made.bytes = bytes;
  return made;
}

TEST(History, TheChainOfARangeIsInOrderAndHasTheYoungest) {
  History history;
  history.note(pasid(1), event(EventKind::Received, 1, 0x1000, 0x1000));
  history.note(pasid(1), event(EventKind::Filled, 2, 0x1000, 0x1000));
  history.note(pasid(1), event(EventKind::Filled, 3, 0x9000, 0x1000));
  history.note(pasid(2), event(EventKind::Received, 4, 0x1000, 0x1000));
  history.note(pasid(1), event(EventKind::Acknowledged, 5, 0, 0));
  const auto all = history.chain(pasid(1), gva(0x1000), 1, 10);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].moment, 1u);
  EXPECT_EQ(all[1].moment, 2u);
  EXPECT_EQ(all[2].moment, 5u);
  EXPECT_EQ(history.chain(pasid(1), gva(0x1000), 1, 1).front().moment, 5u);
}

TEST(History, OnlyReplaysThatMayAnswerAFaultOfTheRangeAreShown) {
  History history;
  history.note(pasid(1), event(EventKind::Replayed, 1, 0, 0));
  history.note(pasid(1), event(EventKind::Faulted, 2, 0x1000, 1));
  history.note(pasid(1), event(EventKind::Faulted, 3, 0x9000, 1));
  history.note(pasid(1), event(EventKind::Replayed, 4, 0, 0));
  history.note(pasid(1), event(EventKind::Replayed, 5, 0, 0));
  const auto chain = history.chain(pasid(1), gva(0x1000), 0x1000, 10);
  ASSERT_EQ(chain.size(), 2u);
  EXPECT_EQ(chain[0].moment, 2u);
  EXPECT_EQ(chain[1].moment, 4u);
}

TEST(History, ManyFillsDoNotPushOutInvalidations) {
  History history;
  history.note(pasid(1), event(EventKind::Received, 1, 0x1000, 0x1000));
  for (uint64_t moment = 2; moment < 2000; ++moment) history.note(pasid(1), event(EventKind::Filled, moment, 0x1000, 0x1000));
  EXPECT_EQ(history.chain(pasid(1), gva(0x1000), 1, 10000).front().moment, 1u);
  EXPECT_NE(history.find(pasid(1), 1999), nullptr);
  EXPECT_EQ(history.find(pasid(1), 2), nullptr) << "old fills are gone";
}

TEST(History, TheQuietestOfTooManyAddressSpacesIsForgotten) {
  History history;
  for (uint32_t n = 2; n < 4 * History::kSpaces; ++n) {
    history.note(pasid(1), event(EventKind::Received, 1, 0x1000, 0x1000));
    history.note(pasid(n), event(EventKind::Received, 1, 0x1000, 0x1000));
    EXPECT_LE(history.spaces(), History::kSpaces);
  }
  EXPECT_FALSE(history.chain(pasid(1), gva(0x1000), 1, 1).empty()) << "something happens there all the time";
  EXPECT_TRUE(history.chain(pasid(2), gva(0x1000), 1, 1).empty());
  EXPECT_FALSE(history.chain(pasid(4 * History::kSpaces - 1), gva(0x1000), 1, 1).empty());
}

TEST(History, AnInvalidationIsToldWithTheNotifierThatItIsFor) {
  Event event{.kind = EventKind::Received, .start = gva(0x5000), .bytes = 0x1000, .seqno = 7, .detail = TANDEM_CAUSE_UNMAP};
  EXPECT_TRUE(text_of(event).ends_with("invalidation 7 of [0x5000, 0x6000) came from the driver, cause: unmap"));
  event.a = 0x4000, event.b = 0x9000;
  EXPECT_TRUE(text_of(event).ends_with("cause: unmap, for a notifier of [0x4000, 0x9000)"));
}

}  // namespace
}  // namespace tandem::test
