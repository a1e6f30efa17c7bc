// SPDX-License-Identifier: GPL-2.0-or-later
// Windows as the checker reads them.
#include "check/windows.h"

#include <gtest/gtest.h>

#include "support/process_table_builder.h"

namespace tandem::test {
namespace {

using Whose = Windows::Whose;

constexpr uint64_t kVa = 0x10000, kPage = TANDEM_PAGE_BYTES;

struct WindowsTest : testing::Test {
  std::optional<Window> since(uint64_t number, uint64_t va = kVa) { return windows.opened_since(number, gva(va), kPage); }

  FakeHost host;
  PageAllocator pages{host};
  ProcessTableBuilder table{host, pages};
  ProcessWindows linux{host, pages, table};
  Windows windows{linux.shared()};
};

TEST_F(WindowsTest, NothingHasBeenOpenedAtFirst) {
  EXPECT_EQ(windows.opened(), 0u);
  EXPECT_FALSE(since(0));
  EXPECT_FALSE(windows.open_over(gva(kVa), kPage, Whose::Others));
}

TEST_F(WindowsTest, AWindowIsKnownByItsRangeWhileItIsOpenAndAfterwards) {
  const uint64_t number = linux.open(kVa, kVa + 2 * kPage, false, TANDEM_CAUSE_CLEAR);
  ASSERT_TRUE(since(0));
  EXPECT_EQ(since(0)->number, number);
  EXPECT_EQ(since(0)->cause, TANDEM_CAUSE_CLEAR);
  EXPECT_TRUE(since(0)->open);
  EXPECT_TRUE(windows.open_over(gva(kVa + kPage), kPage, Whose::Others));
  linux.close(number);
  EXPECT_FALSE(since(0)->open);
  EXPECT_FALSE(windows.open_over(gva(kVa), kPage, Whose::Others));
}

TEST_F(WindowsTest, OnlyWindowsOverThePageAndOfTheTimeAfterCount) {
  linux.pass(kVa + kPage, kVa + 2 * kPage);
  EXPECT_FALSE(since(0)) << "the page before it";
  linux.pass(kVa, kVa + kPage);
  EXPECT_TRUE(since(0));
  EXPECT_TRUE(since(1));
  EXPECT_FALSE(since(2)) << "it was open already";
}

TEST_F(WindowsTest, TheDriversOwnAreNotOthers) {
  const uint64_t number = linux.open(kVa, kVa + kPage, true);
  EXPECT_FALSE(since(0));
  EXPECT_FALSE(windows.open_over(gva(kVa), kPage, Whose::Others));
  EXPECT_TRUE(windows.open_over(gva(kVa), kPage, Whose::Own));
  linux.close(number);
  EXPECT_FALSE(windows.open_over(gva(kVa), kPage, Whose::Own));
}

TEST_F(WindowsTest, TheWholeAddressSpaceIsARange) {
  linux.pass(0, ~0ULL);
  EXPECT_TRUE(since(0));
}

TEST_F(WindowsTest, TheOldestAreForgottenNotMistaken) {
  linux.pass(kVa, kVa + kPage);
  for (uint32_t n = 1; n < TANDEM_CHECK_WINDOWS; ++n) linux.pass(0x900000, 0x901000);
  EXPECT_TRUE(since(0)) << "the last chance to see it";
  linux.pass(0x900000, 0x901000);
  EXPECT_FALSE(since(0));
}

TEST_F(WindowsTest, ASlotThatIsBeingWrittenSaysNothing) {
  const uint64_t number = linux.open(kVa, kVa + kPage);
  linux.shared().windows[number % TANDEM_CHECK_WINDOWS].number = 0;
  EXPECT_FALSE(since(0));
}

TEST_F(WindowsTest, TheLastOfAllNumbersEndsTheSearch) {
  linux.shared().opened = ~0ULL;
  EXPECT_FALSE(since(0));
  EXPECT_FALSE(since(~0ULL - 1));
}

TEST_F(WindowsTest, NonsenseIsNoRange) {
  linux.pass(kVa + kPage, kVa);
  EXPECT_FALSE(since(0));
}

}  // namespace
}  // namespace tandem::test
