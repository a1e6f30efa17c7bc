// SPDX-License-Identifier: GPL-2.0-or-later
// Translations against the process's own page table: what is reported, and what must not be.
#include "check/process_truth.h"

#include <gtest/gtest.h>

#include "support/process_table_builder.h"

namespace tandem::test {
namespace {

using Builder = ProcessTableBuilder;

constexpr Pasid kPasid{{1}};
constexpr uint64_t kVa = 0x40000000, kPage = TANDEM_PAGE_BYTES, kFrame = 0x600000;
constexpr uint64_t kFrames = 0x100000;  // the first of this GPU's memory

class ProcessTruthTest : public testing::Test {
 protected:
  ProcessTruthTest() {
    table.format().frames[TANDEM_CHECK_FRAMES_OWN] = {kFrames, 512, TANDEM_APERTURE_VRAM, 0};
    EXPECT_TRUE(truth.set_format(table.format_address()));
    bind(TANDEM_TRANSLATION_MIRROR);
    table.map(kVa, kFrame);
  }
  void bind(tandem_translation translation) {
    spaces.reset();
    spaces.bind(kPasid, {.root = {}, .translation = translation, .bus_pasid = 5, .check = linux.address()});
  }

  // What the device makes of a page table entry.
  TlbEntry make_entry(bool write = true, uint64_t address = kFrame, uint64_t bytes = kPage) {
    TlbEntry entry;
    entry.pasid = kPasid;
    entry.va = gva(kVa);
    entry.bytes = bytes;
    entry.device_address = address;
    entry.write = write;
    entry.filled = ++moment;
    return entry;
  }
  TlbEntry fill(bool write = true, uint64_t address = kFrame, uint64_t bytes = kPage) {
    const TlbEntry entry = make_entry(write, address, bytes);
    EXPECT_EQ(key(truth.judge_fill({entry, request_of(entry)})), "");
    return entry;
  }
  static TranslationRequest request_of(const TlbEntry& entry) {
    TranslationRequest request;
    request.pasid = entry.pasid;
    request.va = entry.va + 0x10;
    return request;
  }
  static std::string key(const std::optional<Finding>& finding) { return finding ? finding->key : ""; }
  std::string use(const TlbEntry& entry) { return key(truth.judge({entry, request_of(entry)})); }
  // The driver writes AT_REST.
  std::string rest(bool alive = true) {
    const auto confirmed = truth.at_rest([&](const TlbEntry&) { return alive; });
    return confirmed.empty() ? "" : confirmed.front().finding.key;
  }
  std::string acknowledge(uint32_t index, uint32_t dirty, uint16_t cause = TANDEM_CAUSE_UNMAP) {
    tandem_invalidate entry{};
    entry.pasid = kPasid.value;
    entry.cause = cause;
    entry.dirty = dirty;
    return key(truth.judge_acknowledgement(entry, gva(kVa), gva(kVa + 16 * kPage), index));
  }

  FakeHost host;
  PageAllocator pages{host};
  Builder table{host, pages};
  ProcessWindows linux{host, pages, table};
  tandem_host_ops ops = host.ops();
  MemoryPort memory{ops, &host, nullptr, 0};
  AddressSpaces spaces{16};
  Ring ring;
  Host clock{ops, &host};
  ProcessTruth truth{spaces, memory, ring, clock};
  uint64_t moment = 0;
};

// ---- what the table grants ----

TEST_F(ProcessTruthTest, AddressSpacesOfOnePageTableShareTheirMemory) {
  const Pasid other{{kPasid.value + 1}};
  EXPECT_FALSE(truth.share_memory(kPasid, other)) << "nobody knows it";
  spaces.bind(other, {.root = {}, .translation = TANDEM_TRANSLATION_SVA, .bus_pasid = 5, .check = linux.address()});
  EXPECT_TRUE(truth.share_memory(kPasid, other));
}

TEST_F(ProcessTruthTest, WhatTheTableGrantsMayBeUsed) {
  const TlbEntry entry = fill();
  EXPECT_EQ(use(entry), "");
  EXPECT_EQ(truth.suspicions(), 0u);
}

TEST_F(ProcessTruthTest, LessThanIsGrantedMayBeUsed) { EXPECT_EQ(use(fill(false)), ""); }

TEST_F(ProcessTruthTest, AnotherPageIsFound) {
  const TlbEntry entry = fill();
  table.map(kVa, kFrame + kPage);
  EXPECT_EQ(use(entry), "X1.wrong-page");
}

TEST_F(ProcessTruthTest, WritingWhereTheTableDoesNotPermitItIsFound) {
  const TlbEntry entry = fill();
  table.map(kVa, kFrame, Builder::kReadable);
  EXPECT_EQ(use(entry), "X1.permission-too-wide");
  EXPECT_EQ(use(fill(false)), "");
}

TEST_F(ProcessTruthTest, ATranslationOfWhatWasSwappedOutOrIsMigratingIsStale) {
  const TlbEntry entry = fill();
  table.put_soft(kVa, Builder::kSwap, 7);
  EXPECT_EQ(use(entry), "X1.stale-translation");
  table.put_soft(kVa, Builder::kMigration, kFrame >> 12);
  EXPECT_EQ(use(entry), "X1.stale-translation");
}

TEST_F(ProcessTruthTest, APageThatADeviceHasToItselfIsTheSamePage) {
  const TlbEntry entry = fill();
  table.put_soft(kVa, Builder::kExclusive, kFrame >> 12);
  EXPECT_EQ(use(entry), "");
}

TEST_F(ProcessTruthTest, APageOfVramIsUsedAtItsOffsetOnly) {
  table.put_soft(kVa, Builder::kDeviceWrite, kFrames + 3);
  TlbEntry entry = make_entry(true, 3 * kPage);
  entry.aperture = TANDEM_APERTURE_VRAM;
  EXPECT_EQ(use(entry), "");
  entry.device_address = 4 * kPage;
  EXPECT_EQ(use(entry), "X1.wrong-page");
  entry.device_address = 3 * kPage;
  table.put_soft(kVa, Builder::kDeviceRead, kFrames + 3);
  EXPECT_EQ(use(entry), "X1.permission-too-wide");
}

TEST_F(ProcessTruthTest, EveryPageOfAFillIsLookedAt) {
  for (uint64_t n = 0; n < 16; ++n) table.map(kVa + n * kPage, kFrame + n * kPage);
  fill(true, kFrame, 16 * kPage);
  table.map(kVa + 9 * kPage, kFrame);
  const TlbEntry entry = make_entry(true, kFrame, 16 * kPage);
  EXPECT_EQ(key(truth.judge_fill({entry, request_of(entry)})), "X1.wrong-page");
}

TEST_F(ProcessTruthTest, ALargePageIsLookedAtOnce) {
  table.map(2ULL << 30, 2ULL << 30, Builder::kWritable, 1);
  TlbEntry entry = make_entry(true, 2ULL << 30, 1ULL << TANDEM_LEAF_2M);
  entry.va = gva(2ULL << 30);
  EXPECT_EQ(key(truth.judge_fill({entry, request_of(entry)})), "");
}

TEST_F(ProcessTruthTest, AnAddressSpaceOfWhichNothingIsToldIsNotJudged) {
  spaces.reset();
  spaces.bind(kPasid, {});
  table.clear(kVa);
  EXPECT_EQ(use(make_entry()), "");
  bind(TANDEM_TRANSLATION_MIRROR);
  EXPECT_TRUE(truth.set_format(0));
  EXPECT_EQ(use(make_entry()), "");
}

// ---- windows ----

TEST_F(ProcessTruthTest, ATranslationThatOutlivesTheStartOfANotifierIsFoundAtOnce) {
  const TlbEntry entry = fill();
  linux.open(kVa, kVa + kPage);
  EXPECT_EQ(use(entry), "X1.kept-over-a-notifier") << "although Linux has changed nothing yet";
}

TEST_F(ProcessTruthTest, AndAfterTheNotifierHasEndedEvenIfThePageIsThereAgain) {
  const TlbEntry entry = fill();
  linux.pass(kVa, kVa + kPage);
  EXPECT_EQ(use(entry), "X1.kept-over-a-notifier");
}

TEST_F(ProcessTruthTest, NotifiersBeforeTheFillOrElsewhereAreNoneOfItsBusiness) {
  linux.pass(kVa, kVa + kPage);
  const TlbEntry entry = fill();
  linux.pass(kVa + kPage, kVa + 2 * kPage);
  EXPECT_EQ(use(entry), "");
}

TEST_F(ProcessTruthTest, EachTranslationHasItsOwnTime) {
  const TlbEntry old = fill();
  linux.pass(kVa, kVa + kPage);
  const TlbEntry young = fill();
  EXPECT_EQ(use(young), "");
  EXPECT_EQ(use(old), "X1.kept-over-a-notifier");
}

TEST_F(ProcessTruthTest, TheDriversOwnSectionIsExcusedWhileItIsOpen) {
  const TlbEntry entry = fill();
  const uint64_t own = linux.open(kVa, kVa + kPage, true, TANDEM_CAUSE_EXCLUSIVE);
  table.put_soft(kVa, Builder::kMigration, 1);
  EXPECT_EQ(use(entry), "");
  EXPECT_EQ(truth.tally().own_section, 1u);
  linux.close(own);
  EXPECT_EQ(use(entry), "X1.stale-translation");
}

TEST_F(ProcessTruthTest, NothingIsSaidWhileWindowsAreLost) {
  const TlbEntry entry = fill();
  linux.shared().lost = 1;
  table.map(kVa, kFrame + kPage);
  EXPECT_EQ(use(entry), "");
  EXPECT_EQ(truth.tally().windows_lost, 1u);
  linux.shared().lost = 0;
  EXPECT_EQ(use(entry), "X1.wrong-page");
}

TEST_F(ProcessTruthTest, WhatWasMappedInsideAWindowIsNamedSo) {
  const uint64_t number = linux.open(kVa, kVa + kPage);
  const TlbEntry entry = fill();
  EXPECT_EQ(use(entry), "") << "the window's end may be under way";
  table.map(kVa, kFrame + kPage);
  linux.close(number);
  EXPECT_EQ(use(entry), "X1.mapped-inside-a-window");
}

// ---- what may pass ----

TEST_F(ProcessTruthTest, AnEmptyEntryIsSuspectedAndForgivenWhenItIsWrittenBack) {
  const TlbEntry entry = fill();
  table.clear(kVa);
  EXPECT_EQ(use(entry), "");
  EXPECT_TRUE(truth.wishes_rest());
  table.map(kVa, kFrame);
  EXPECT_EQ(rest(), "");
  EXPECT_EQ(truth.suspicions(), 0u);
  EXPECT_FALSE(truth.wishes_rest());
}

TEST_F(ProcessTruthTest, AnEntryThatIsEmptyAtRestIsStale) {
  const TlbEntry entry = fill();
  table.clear(kVa);
  EXPECT_EQ(use(entry), "");
  EXPECT_EQ(rest(), "X1.stale-translation");
  EXPECT_EQ(truth.tally().confirmed, 1u);
}

TEST_F(ProcessTruthTest, SoIsALargeEntryInTransit) {
  table.map(1ULL << 40, 2ULL << 30, Builder::kWritable, 1);
  TlbEntry entry = make_entry(true, 2ULL << 30);
  entry.va = gva(1ULL << 40);
  table.entry(1ULL << 40, 1) &= ~Builder::kPresent;
  EXPECT_EQ(use(entry), "");
  EXPECT_EQ(rest(), "X1.stale-translation");
}

TEST_F(ProcessTruthTest, ASuspectThatIsGoneByThenIsLeftAlone) {
  const TlbEntry entry = fill();
  table.clear(kVa);
  use(entry);
  EXPECT_EQ(rest(false), "");
}

TEST_F(ProcessTruthTest, ASuspectDiesWithItsAddressSpace) {
  const TlbEntry entry = fill();
  table.clear(kVa);
  use(entry);
  truth.unbound(kPasid);
  EXPECT_EQ(truth.suspicions(), 0u);
}

TEST_F(ProcessTruthTest, RestIsAskedForOnceAtATime) {
  const TlbEntry entry = fill();
  table.clear(kVa);
  use(entry);
  truth.rest_is_asked_for();
  use(entry);
  EXPECT_FALSE(truth.wishes_rest());
  rest();
  use(entry);
  EXPECT_TRUE(truth.wishes_rest());
}

// ---- through the IOMMU ----

TEST_F(ProcessTruthTest, ThroughTheIommuATranslationMayLiveUntilTheFlush) {
  bind(TANDEM_TRANSLATION_SVA);
  const TlbEntry entry = fill();
  const uint64_t number = linux.open(kVa, kVa + kPage);
  table.clear(kVa);
  EXPECT_EQ(use(entry), "");
  EXPECT_EQ(rest(), "") << "the notifier has not ended";
  use(entry);
  linux.close(number);
  linux.shared().flushing = 1;
  EXPECT_EQ(rest(), "") << "the flush is to come";
  use(entry);
  linux.shared().flushing = 0;
  EXPECT_EQ(rest(), "X1.stale-translation");
  EXPECT_EQ(truth.tally().before_flush, 3u);
}

TEST_F(ProcessTruthTest, ThroughTheIommuItIsMeasuredHowLongATranslationIsStale) {
  bind(TANDEM_TRANSLATION_SVA);
  const TlbEntry entry = fill();
  table.clear(kVa);
  host.clock = 1000;
  use(entry);
  host.clock = 1400;
  use(entry);
  host.clock = 1900;
  truth.flushed(kPasid, gva(kVa), gva(kVa + kPage));
  EXPECT_EQ(truth.staleness().translations, 1u);
  EXPECT_EQ(truth.staleness().used_longest_ns, 400u);
  EXPECT_EQ(truth.staleness().alive_longest_ns, 900u);
}

TEST_F(ProcessTruthTest, WhatIsStaleIsMeasuredUntilItsAddressSpaceEnds) {
  bind(TANDEM_TRANSLATION_SVA);
  const TlbEntry entry = fill();
  table.clear(kVa);
  host.clock = 1000;
  use(entry);
  host.clock = 1900;
  truth.unbound(kPasid);
  EXPECT_EQ(truth.staleness().alive_longest_ns, 900u);
}

TEST_F(ProcessTruthTest, AMirrorsTranslationIsNeverExcusedAndNotMeasured) {
  const TlbEntry entry = fill();
  table.clear(kVa);
  use(entry);
  truth.unbound(kPasid);
  EXPECT_EQ(truth.staleness().translations, 0u);
}

// ---- instructions ----

TEST_F(ProcessTruthTest, AWordIsReadWhereTheProcessHasIt) {
  bind(TANDEM_TRANSLATION_SVA);
  host.at<uint32_t>(kFrame + 0x10) = 0x00052283;
  EXPECT_EQ(truth.read_word(kPasid, gva(kVa + 0x10)), 0x00052283u);
  EXPECT_EQ(truth.read_word(kPasid, gva(kVa + 0x11)), std::nullopt) << "no instruction begins there";
  EXPECT_EQ(truth.read_word(Pasid{{2}}, gva(kVa + 0x10)), std::nullopt) << "nobody's address space";
  table.clear(kVa);
  EXPECT_EQ(truth.read_word(kPasid, gva(kVa + 0x10)), std::nullopt);
  table.map(kVa, kFrames << 12);
  EXPECT_EQ(truth.read_word(kPasid, gva(kVa + 0x10)), std::nullopt) << "in video memory";
}

TEST_F(ProcessTruthTest, ThroughTheIommuRestIsAskedForWhenASuspectIsSeenAgain) {
  bind(TANDEM_TRANSLATION_SVA);
  const TlbEntry entry = fill();
  table.clear(kVa);
  use(entry);
  EXPECT_FALSE(truth.wishes_rest()) << "the flush may be under way";
  use(entry);
  EXPECT_TRUE(truth.wishes_rest());
}

TEST_F(ProcessTruthTest, ThroughTheIommuATranslationMayOutliveNotifiers) {
  bind(TANDEM_TRANSLATION_SVA);
  const TlbEntry entry = fill();
  linux.pass(kVa, kVa + kPage);
  EXPECT_EQ(use(entry), "");
}

// ---- atomics ----

TEST_F(ProcessTruthTest, AnAtomicOfLoadAndStoreNeedsAPageThatNoCpuReaches) {
  EXPECT_EQ(key(truth.judge_atomic(kPasid, gva(kVa + 8), false)), "X5.cpu-reaches-page");
  table.put_soft(kVa, Builder::kExclusive, kFrame >> 12);
  EXPECT_EQ(key(truth.judge_atomic(kPasid, gva(kVa + 8), true)), "");
  table.map(kVa, kFrames << 12);
  EXPECT_EQ(key(truth.judge_atomic(kPasid, gva(kVa + 8), true)), "") << "in video memory";
}

TEST_F(ProcessTruthTest, ATestMayWantAtomicsThatTheCpusDisturb) {
  linux.shared().lax_atomics = 1;
  EXPECT_EQ(key(truth.judge_atomic(kPasid, gva(kVa), true)), "");
}

// ---- dirty pages ----

TEST_F(ProcessTruthTest, LinuxHasToBeToldOfEveryPageThatMayHaveBeenWritten) {
  fill();
  EXPECT_EQ(acknowledge(0, 0), "X9.dirty-lost");
  fill();
  EXPECT_EQ(acknowledge(0, 1), "");
  fill(false);
  EXPECT_EQ(acknowledge(0, 0), "") << "it permitted no writing";
}

TEST_F(ProcessTruthTest, AnUpgradeIsAskedForNothing) {
  fill();
  EXPECT_EQ(acknowledge(0, 0, TANDEM_CAUSE_UPGRADE), "");
  EXPECT_EQ(acknowledge(0, 0), "") << "the entry was another one since";
}

TEST_F(ProcessTruthTest, WhatTheDriverSentBeforeTheStoreIsAskedForNothing) {
  ring.put = 5;
  fill();
  EXPECT_EQ(acknowledge(4, 0), "");
  fill();
  EXPECT_EQ(acknowledge(5, 0), "X9.dirty-lost");
}

}  // namespace
}  // namespace tandem::test
