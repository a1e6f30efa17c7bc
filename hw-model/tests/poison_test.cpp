// SPDX-License-Identifier: GPL-2.0-or-later
// Poisoned pages of VRAM: found, told of, met by accesses and copies, own and a peer's.
#include <set>

#include "support/aql_producer.h"
#include "support/kernels.h"

namespace tandem::test {
namespace {

constexpr uint64_t kData = AqlProducer::kData;
constexpr uint64_t kPage = TANDEM_PAGE_BYTES;
constexpr uint64_t kHuge = 2 << 20;

tandem_model_config vram_config() {
  tandem_model_config config = small_config();
  config.vram_bytes = 2 * kHuge;
  config.fabric = 0;
  return config;
}

uint64_t in_vram(uint64_t offset) { return offset | PageTableBuilder::aperture(TANDEM_APERTURE_VRAM); }

struct Poison : ::testing::Test {
  TestDriver driver{vram_config(), 32 << 20};

  void poison(uint64_t offset) { EXPECT_TRUE(tandem_model_poison(driver.model(), offset)); }
  std::vector<uint64_t> told() {
    std::vector<uint64_t> pages;
    while (driver.events_waiting()) {
      const tandem_event event = driver.take_event();
      if (event.type == TANDEM_EVENT_POISON) pages.push_back(event.value);
    }
    return pages;
  }
  std::vector<uint64_t> listed() {
    std::vector<uint64_t> pages(tandem_model_poisoned_pages(driver.model(), nullptr, 0));
    tandem_model_poisoned_pages(driver.model(), pages.data(), pages.size());
    return pages;
  }
  int copy(uint64_t from, int from_aperture, uint64_t to, int to_aperture, uint64_t bytes) {
    tandem_command command = driver.command(TANDEM_COMMAND_COPY);
    command.u.copy.source = from;
    command.u.copy.source_aperture = static_cast<uint8_t>(from_aperture);
    command.u.copy.destination = to;
    command.u.copy.destination_aperture = static_cast<uint8_t>(to_aperture);
    command.u.copy.bytes = bytes;
    driver.execute(command);
    return driver.events_waiting() ? driver.take_event().code : 0;
  }
};

using Pages = std::vector<uint64_t>;

TEST_F(Poison, IsToldOnceWhenFoundAndAgainAfterEachEnable) {
  poison(3 * kPage + 17);
  poison(3 * kPage);
  poison(kHuge);
  driver.settle();
  EXPECT_EQ(told(), (Pages{3 * kPage, kHuge}));
  EXPECT_EQ(driver.host.poison_changes, 2u);
  EXPECT_EQ(listed(), (Pages{3 * kPage, kHuge}));
  std::string text;
  tandem_model_describe(driver.model(), "summary", [](void* to, const char* piece) { *static_cast<std::string*>(to) += piece; }, &text);
  EXPECT_NE(text.find("poisoned: page at 0x3000"), std::string::npos) << text;
  EXPECT_EQ(driver.host.traced(TANDEM_TRACE_POISON).front().va, 3 * kPage);
  driver.write32(TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
  driver.set_up();
  driver.settle();
  EXPECT_EQ(told(), (Pages{3 * kPage, kHuge}));
}

TEST_F(Poison, EndsWithThePower) {
  poison(kPage);
  tandem_model_reset(driver.model(), TANDEM_RESET_POWER);
  driver.set_up();
  driver.settle();
  EXPECT_EQ(told(), Pages{});
  EXPECT_EQ(listed(), Pages{});
  EXPECT_EQ(driver.host.poison_changes, 2u);
}

TEST_F(Poison, BeyondVramThereIsNone) {
  EXPECT_FALSE(tandem_model_poison(driver.model(), 2 * kHuge));
  EXPECT_FALSE(tandem_model_poison(driver.model(), ~0ULL));
  EXPECT_EQ(listed(), Pages{});
}

TEST_F(Poison, TheTestRegisterPoisonsAndReadsAsZero) {
  driver.write64(TANDEM_REG_TEST_POISON, 5 * kPage);
  EXPECT_EQ(driver.read64(TANDEM_REG_TEST_POISON), 0u);
  driver.write32(TANDEM_REG_TEST_POISON, 6 * kPage);  // in halves
  driver.write32(TANDEM_REG_TEST_POISON + 4, 0);
  EXPECT_EQ(listed(), (Pages{5 * kPage, 6 * kPage}));
  driver.write64(TANDEM_REG_TEST_POISON, 1ULL << 40);
  EXPECT_EQ(driver.host.errors.size(), 1u);
}

TEST_F(Poison, EventsWaitForRoomAndNoneIsLost) {
  for (uint64_t n = 0; n < 40; ++n) poison(n * kPage);  // the ring has 16 entries
  std::set<uint64_t> pages;
  for (int round = 0; round < 10; ++round) {
    driver.settle();
    for (const uint64_t page : told()) EXPECT_TRUE(pages.insert(page).second) << "twice: " << page;
  }
  EXPECT_EQ(pages.size(), 40u);
}

TEST_F(Poison, AnAccessFaultsAndTheDriversCancelEndsTheQueue) {
  AqlProducer process(driver);
  process.table.map(kData, in_vram(7 * kPage));
  poison(7 * kPage);
  driver.settle();
  ASSERT_EQ(told(), Pages{7 * kPage});
  process.submit(process.dispatch(process.load_kernel(kernels::store_ids())));
  driver.settle();
  ASSERT_EQ(driver.faults_waiting(), 1u);
  EXPECT_EQ(driver.take_fault().reason, TANDEM_FAULT_POISON);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_POISON_HITS), 1u);
  const auto met = driver.host.traced(TANDEM_TRACE_POISON).back();
  EXPECT_EQ(met.va, 7 * kPage);
  EXPECT_EQ(met.a, 1u);
  EXPECT_EQ(met.pasid, 1u);
  driver.cancel(1, 0, kData, TANDEM_QUEUE_MEMORY_ERROR);
  driver.settle();
  const tandem_event event = driver.take_event();
  EXPECT_EQ(event.type, TANDEM_EVENT_QUEUE_ERROR);
  EXPECT_EQ(event.code, TANDEM_QUEUE_MEMORY_ERROR);
}

TEST_F(Poison, TranslationsOfThePageAreGoneWhenItIsFound) {
  AqlProducer process(driver);
  process.table.map(kData, in_vram(7 * kPage));
  const auto packet = process.dispatch(process.load_kernel(kernels::store_ids()));
  process.submit(packet);
  driver.settle();
  ASSERT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
  poison(7 * kPage);
  process.submit(packet);
  driver.settle();
  ASSERT_EQ(driver.faults_waiting(), 1u);
  EXPECT_EQ(driver.fault().reason, TANDEM_FAULT_POISON);
}

// The walk has read the entry when the page goes bad: what it fills must not cover the page.
TEST(PoisonWalk, ThatIsUnderWayDoesNotFill) {
  tandem_model_config config = vram_config();
  config.walk_latency = 50;
  TestDriver driver(config, 32 << 20);
  AqlProducer process(driver);
  process.table.map(kData, in_vram(7 * kPage));
  process.submit(process.dispatch(process.load_kernel(kernels::store_ids())));
  const auto data_walked = [&] {
    const auto fills = driver.host.traced(TANDEM_TRACE_FILL);
    return std::any_of(fills.begin(), fills.end(), [](const auto& fill) { return fill.va == AqlProducer::kCode; });
  };
  ASSERT_TRUE(driver.run_until(data_walked));
  driver.run(190);  // four levels: the leaf is read, not judged
  ASSERT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 0u);
  ASSERT_TRUE(tandem_model_poison(driver.model(), 7 * kPage));
  driver.settle();
  ASSERT_EQ(driver.faults_waiting(), 1u);
  EXPECT_EQ(driver.fault().reason, TANDEM_FAULT_POISON);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 0u);
}

TEST_F(Poison, TheRestOfALargePageGoesOn) {
  AqlProducer process(driver);
  process.table.map(kData, in_vram(kHuge), kReadWrite, 1);
  poison(kHuge + 20 * kPage);
  const uint64_t kernel = process.load_kernel(kernels::store_ids());
  const auto touch = [&](uint64_t page) {
    auto packet = process.dispatch(kernel);
    packet.kernarg_address = kData + page * kPage;
    process.submit(packet);
    driver.settle();
  };
  for (const uint64_t page : {0u, 15u, 16u, 19u, 21u, 31u, 32u, 511u}) touch(page);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 8u);
  EXPECT_EQ(driver.faults_waiting(), 0u);
  for (const auto& fill : driver.host.traced(TANDEM_TRACE_FILL)) {
    if (fill.va < kData || fill.va >= kData + kHuge) continue;
    EXPECT_TRUE(fill.va + fill.bytes <= kData + 20 * kPage || fill.va > kData + 20 * kPage) << std::hex << fill.va;
  }
  touch(20);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 8u);
  ASSERT_EQ(driver.faults_waiting(), 1u);
  EXPECT_EQ(driver.fault().va, kData + 20 * kPage);
}

TEST_F(Poison, ACopysSourceIsItsOwnErrorAndTheDestinationAFailure) {
  const uint64_t ram = driver.pages.take(4 * kPage);
  poison(2 * kPage);
  driver.settle();
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(copy(0, TANDEM_APERTURE_VRAM, ram, TANDEM_APERTURE_SYSTEM, 2 * kPage), 0);
  EXPECT_EQ(copy(3 * kPage, TANDEM_APERTURE_VRAM, ram, TANDEM_APERTURE_SYSTEM, kPage), 0);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_POISON_HITS), 0u);
  EXPECT_EQ(copy(0, TANDEM_APERTURE_VRAM, ram, TANDEM_APERTURE_SYSTEM, 2 * kPage + 1), TANDEM_COMMAND_POISONED);
  EXPECT_EQ(copy(2 * kPage + 8, TANDEM_APERTURE_VRAM, ram, TANDEM_APERTURE_SYSTEM, 8), TANDEM_COMMAND_POISONED);
  EXPECT_EQ(copy(ram, TANDEM_APERTURE_SYSTEM, kPage, TANDEM_APERTURE_VRAM, 4 * kPage), TANDEM_COMMAND_COPY_FAILED);
  EXPECT_EQ(copy(2 * kPage, TANDEM_APERTURE_VRAM, 2 * kPage + kHuge, TANDEM_APERTURE_VRAM, 8), TANDEM_COMMAND_POISONED);
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_POISON_HITS), 4u);
  EXPECT_EQ(driver.host.traced(TANDEM_TRACE_POISON).back().va, 2 * kPage);
}

TEST_F(Poison, ACopyUnderWayStopsAtThePage) {
  const uint64_t ram = driver.pages.take(kHuge);
  std::memset(driver.host.vram(), 0x5a, kHuge);
  tandem_command command = driver.command(TANDEM_COMMAND_COPY);
  command.u.copy.source_aperture = TANDEM_APERTURE_VRAM;
  command.u.copy.destination = ram;
  command.u.copy.bytes = kHuge;
  driver.send(command);
  ASSERT_TRUE(driver.run_until([&] { return driver.counter(TANDEM_COUNTER_COPY_BYTES) > 0; }));
  poison(kHuge - kPage);
  driver.settle();
  EXPECT_EQ(driver.status().command_done, command.seqno);
  EXPECT_EQ(driver.host.at<uint8_t>(ram + kHuge - kPage - 1), 0x5a);
  EXPECT_EQ(driver.host.at<uint8_t>(ram + kHuge - kPage), 0) << "the poisoned page was read";
  EXPECT_EQ(told(), Pages{kHuge - kPage});
}

TEST_F(Poison, AProcesssCopyFaultsLikeAnyAccess) {
  AqlProducer process(driver);
  process.table.map(kData, in_vram(0));
  process.table.map_new(kData + kPage, kPage);
  poison(0);
  process.submit(process.copy(kData, kData + kPage, 64));
  driver.settle();
  ASSERT_EQ(driver.faults_waiting(), 1u);
  EXPECT_EQ(driver.fault().reason, TANDEM_FAULT_POISON);
  EXPECT_EQ(driver.fault().client, TANDEM_CLIENT_COPY);
}

TEST_F(Poison, OfAPeerIsMetAcrossTheLinkAndNotAnnounced) {
  FakeHost other(4096, kHuge);
  driver.host.peers[1] = &other;
  const uint64_t bad = 3 * kPage;
  const auto link = [&](size_t poisoned) {
    const tandem_model_peer peer{1, &bad, poisoned};
    tandem_model_set_peers(driver.model(), &peer, 1);
  };
  link(0);
  AqlProducer process(driver);
  process.table.map(kData, bad | PageTableBuilder::aperture(TANDEM_APERTURE_PEER) | TANDEM_FIELD_PUT(TANDEM_PTE_PEER, 1));
  const auto packet = process.dispatch(process.load_kernel(kernels::store_ids()));
  process.submit(packet);
  driver.settle();
  ASSERT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
  link(1);
  process.submit(packet);
  driver.settle();
  ASSERT_EQ(driver.faults_waiting(), 1u);
  EXPECT_EQ(driver.fault().reason, TANDEM_FAULT_POISON);
  EXPECT_EQ(told(), Pages{});
  EXPECT_EQ(listed(), Pages{});
  tandem_command command = driver.command(TANDEM_COMMAND_COPY);
  command.u.copy.source = bad;
  command.u.copy.source_aperture = TANDEM_APERTURE_PEER;
  command.u.copy.source_peer = 1;
  command.u.copy.destination_aperture = TANDEM_APERTURE_VRAM;
  command.u.copy.bytes = 8;
  driver.execute(command);
  EXPECT_EQ(driver.take_event().code, TANDEM_COMMAND_POISONED);
  link(0);
  driver.replay(1);
  driver.settle();
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 2u);
}

}  // namespace
}  // namespace tandem::test
