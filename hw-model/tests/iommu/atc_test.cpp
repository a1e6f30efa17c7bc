// SPDX-License-Identifier: GPL-2.0-or-later
// The address translation cache by itself: what becomes of answers.
#include "iommu/atc.h"

#include "support/fake_host.h"

#include <gtest/gtest.h>

namespace tandem::test {
namespace {

using Kind = Atc::Reply::Kind;

constexpr uint64_t kVa = 0x7f1234567000;
constexpr uint64_t kGiga = 1ULL << 30;

class AtcTest : public testing::Test {
 protected:
  AtcTest() {
    host.on_ats_request = [this](const tandem_ats_request& request) { asked.push_back(request); };
    // Memory without end that nobody touches; the host's runs end at multiples of longest_run.
    ops.map = [](void* self, uint64_t address, uint64_t* bytes, bool write) -> void* {
      const FakeHost& host = *static_cast<FakeHost*>(self);
      if (write && address < kGiga) return nullptr;
      *bytes = std::min(*bytes, host.longest_run - address % host.longest_run);
      return reinterpret_cast<void*>(address + kGiga);
    };
    for (const uint32_t pasid : {1u, 2u})
      spaces.bind(Pasid{{pasid}}, AddressSpace{.root = {}, .translation = TANDEM_TRANSLATION_SVA, .bus_pasid = 70 + pasid});
    atc.set_enabled(true);
  }
  void ask(uint64_t va, Access access = Access::Read, uint32_t pasid = 1) {
    atc.ask({.pasid = Pasid{{pasid}}, .queue = {}, .va = gva(va), .access = access});
  }
  std::optional<Atc::Reply> answer(uint64_t translated, uint64_t bytes, bool write = true) {
    return atc.answer(asked.back().id, {.translated = translated, .bytes = bytes, .read = true, .write = write});
  }
  std::optional<Atc::Reply> ask_and_answer(uint64_t va, Access access, uint64_t translated, uint64_t bytes, bool write = true) {
    ask(va, access);
    return answer(translated, bytes, write);
  }
  const TlbEntry* find(uint64_t va, Access access = Access::Read, uint32_t pasid = 1) {
    return atc.lookup(Pasid{{pasid}}, gva(va), access);
  }

  FakeHost host{4096};
  tandem_host_ops ops = host.ops();
  MemoryPort memory{ops, &host, nullptr, 0};
  Host clock{ops, &host};
  Trace trace{ops, &host, true};
  Counters counters;
  AddressSpaces spaces{16};
  Atc atc{4, 4, spaces, memory, counters, trace, clock};
  std::vector<tandem_ats_request> asked;
};

TEST_F(AtcTest, OneRequestForAPageAndOneForWritingIt) {
  ask(kVa + 5);
  ask(kVa + 4095, Access::Execute);
  EXPECT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].address, kVa);
  EXPECT_EQ(asked[0].pasid, 71u);
  EXPECT_FALSE(asked[0].write);
  ask(kVa, Access::Write);
  ask(kVa, Access::Atomic);
  EXPECT_EQ(asked.size(), 2u);
  EXPECT_TRUE(asked[1].write);
  ask(kVa, Access::Read, 2);
  ask(kVa + 4096);
  EXPECT_EQ(asked.size(), 4u);
  EXPECT_EQ(counters[TANDEM_COUNTER_ATS_REQUESTS], 4u);
  EXPECT_EQ(atc.requests_under_way(Pasid{{1}}), 3u);
}

TEST_F(AtcTest, AnswersBecomeTheLargestSizeThatFitsIntoThem) {
  const struct {
    uint64_t answered, kept;
  } sizes[] = {{4096, 4096},     {8192, 4096},          {32768, 4096},       {65536, 65536},    {1 << 20, 65536},
               {2 << 20, 2 << 20}, {512 << 20, 2 << 20}, {kGiga, kGiga}, {256 * kGiga, kGiga}};
  for (const auto& size : sizes) {
    const uint64_t translated = 1024 * kGiga;
    const auto reply = ask_and_answer(kVa + 0x123, Access::Write, translated, size.answered);
    ASSERT_TRUE(reply && reply->kind == Kind::Entry);
    EXPECT_EQ(reply->entry.bytes, size.kept);
    EXPECT_EQ(reply->entry.va.value, kVa & ~(size.kept - 1));
    // Whatever was cut away: the byte lies where the answer says.
    const uint64_t offset_of_entry = reply->entry.va.value & (size.answered - 1);
    EXPECT_EQ(reply->entry.device_address, translated + offset_of_entry);
    EXPECT_EQ(reply->entry.at(gva(kVa + 0x123)), reinterpret_cast<std::byte*>(translated + kGiga + ((kVa + 0x123) & (size.answered - 1))));
    EXPECT_TRUE(find(kVa, Access::Write));
    atc.kill(Pasid{{1}}, gva(kVa), gva(kVa + 4096));
    EXPECT_FALSE(find(kVa));
  }
}

TEST_F(AtcTest, WhatLiesBehindSeveralHostPointersIsCutFurther) {
  host.longest_run = 1 << 20;
  const auto reply = ask_and_answer(kVa, Access::Read, 64 * kGiga, kGiga);
  EXPECT_EQ(reply->entry.bytes, 65536u);
}

TEST_F(AtcTest, MemoryThatCannotBeStoredToCanBeRead) {
  EXPECT_EQ(ask_and_answer(kVa, Access::Read, 0x10000, 4096)->kind, Kind::Entry);
  EXPECT_EQ(ask_and_answer(kVa, Access::Write, 0x10000, 4096)->kind, Kind::NoMemory);
}

TEST_F(AtcTest, OnlyARequestForWritingGivesTheRightToStore) {
  EXPECT_FALSE(ask_and_answer(kVa, Access::Read, 8 * kGiga, 4096)->entry.write);
  EXPECT_FALSE(find(kVa, Access::Write));
  EXPECT_FALSE(ask_and_answer(kVa, Access::Write, 8 * kGiga, 4096, false)->entry.write);
  EXPECT_TRUE(ask_and_answer(kVa, Access::Write, 8 * kGiga, 4096)->entry.write);
  EXPECT_TRUE(find(kVa, Access::Write));
  EXPECT_TRUE(find(kVa, Access::Atomic));
  EXPECT_EQ(atc.entries().valid_entries(), 1u) << "the upgrade took the place of the entry for reading";
}

TEST_F(AtcTest, WithoutAtomicOpsNoEntryPermitsAtomics) {
  memory.atomics().set_requester(false);
  const auto reply = ask_and_answer(kVa, Access::Atomic, 8 * kGiga, 4096);
  EXPECT_TRUE(reply->entry.write);
  EXPECT_FALSE(reply->entry.atomic);
}

TEST_F(AtcTest, AnAnswerOvertakenForItsPageIsStaleOnce) {
  ask(kVa);
  EXPECT_EQ(atc.kill(Pasid{{1}}, gva(kVa), gva(kVa + 4096)).requests, 1u);
  EXPECT_EQ(atc.kill(Pasid{{1}}, gva(kVa), gva(kVa + 4096)).requests, 0u) << "it is stale already";
  EXPECT_EQ(answer(8 * kGiga, 4096)->kind, Kind::Stale);
  EXPECT_FALSE(find(kVa));
  EXPECT_EQ(counters[TANDEM_COUNTER_ATS_STALE], 1u);
  EXPECT_FALSE(answer(8 * kGiga, 4096)) << "its id is used up";
}

TEST_F(AtcTest, OfAnAnswerOvertakenNearbyTheSoundPartIsKept) {
  const uint64_t block = kVa & ~((2ULL << 20) - 1);
  const struct {
    uint64_t start, end, kept;
  } hits[] = {
      {kVa + 4096, kVa + 8192, 4096},                       // in the same 64 KiB
      {block, block + 4096, 65536},                         // in the same 2 MiB
      {block - 4096, block, 2 << 20},                       // in the same 1 GiB
      {block - 4096, block + 4096, 65536},
      {kVa - (1ULL << 35), kVa - (1ULL << 34), kGiga},      // far away
      {kVa + (1ULL << 34), kVa + (1ULL << 35), kGiga},
  };
  for (const auto& hit : hits) {
    ask(kVa);
    EXPECT_EQ(atc.kill(Pasid{{1}}, gva(hit.start), gva(hit.end)).requests, 0u);
    atc.kill(Pasid{{2}}, gva(0), gva(TANDEM_VA_LIMIT));  // another address space's business
    const auto reply = answer(1024 * kGiga, kGiga);
    ASSERT_EQ(reply->kind, Kind::Entry);
    EXPECT_EQ(reply->entry.bytes, hit.kept) << std::hex << hit.start;
    EXPECT_FALSE(ranges_overlap(reply->entry.va.value, reply->entry.bytes, hit.start, hit.end - hit.start));
    atc.kill(Pasid{{1}}, gva(0), gva(TANDEM_VA_LIMIT));
  }
}

TEST_F(AtcTest, MixedSizesDieByOnePage) {
  ask_and_answer(kVa, Access::Read, 1024 * kGiga, kGiga);
  ask_and_answer(kVa, Access::Write, 2048 * kGiga, 4096);  // another size above it
  const uint64_t other = kVa ^ (1ULL << 40);
  ask_and_answer(other, Access::Read, 1024 * kGiga, 65536);
  EXPECT_GE(atc.kill(Pasid{{1}}, gva(kVa), gva(kVa + 4096)).entries, 1u);
  EXPECT_FALSE(find(kVa));
  EXPECT_FALSE(find(kVa + 65536));
  EXPECT_TRUE(find(other));
}

TEST_F(AtcTest, NothingOfAnAddressSpaceThatIsGoneIsLeft) {
  ask_and_answer(kVa, Access::Read, 8 * kGiga, 4096);
  ask(kVa + 4096);
  const uint64_t late = asked.back().id;
  ask(kVa, Access::Read, 2);
  EXPECT_EQ(atc.remove(Pasid{{1}}), 1u);
  EXPECT_FALSE(find(kVa));
  EXPECT_FALSE(atc.answer(late, {.translated = 8 * kGiga, .bytes = 4096, .read = true, .write = true}));
  EXPECT_EQ(atc.requests_under_way(Pasid{{1}}), 0u);
  EXPECT_EQ(atc.requests_under_way(Pasid{{2}}), 1u);
}

TEST_F(AtcTest, IdsAreNeverUsedAgain) {
  ask(kVa);
  const uint64_t before = asked.back().id;
  atc.reset();
  ask(kVa);
  EXPECT_GT(asked.back().id, before);
  atc.set_enabled(false);
  atc.set_enabled(true);
  ask(kVa);
  EXPECT_GT(asked.back().id, before + 1);
  EXPECT_FALSE(atc.answer(before, {.translated = 8 * kGiga, .bytes = 4096, .read = true, .write = true}));
}

}  // namespace
}  // namespace tandem::test
