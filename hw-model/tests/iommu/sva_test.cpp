// SPDX-License-Identifier: GPL-2.0-or-later
// Address spaces whose page table the IOMMU walks, seen from the whole device: bind, translation, page requests, errors, unbind.
#include <optional>

#include "support/kernels.h"
#include "support/sva.h"

namespace tandem::test {
namespace {

constexpr uint64_t kData = AqlProducer::kData;
constexpr uint64_t kPage = TANDEM_PAGE_BYTES;

// Each lane of the wavefront stores to a page of its own.
kernels::Code store_page_each() {
  using namespace kernels;
  return {csrr(t0, TANDEM_CSR_LANE_ID), slli(t1, t0, TANDEM_PAGE_SHIFT), add(t1, a0, t1), sd(t0, t1, 0), ret()};
}

size_t requests_for(const Sva& sva, uint64_t va, bool write) {
  size_t count = 0;
  for (const tandem_ats_request& request : sva.iommu.ats_requests) count += request.address == va && request.write == write;
  return count;
}

std::string described(TestDriver& driver, const char* topic) {
  std::string text;
  tandem_model_describe(driver.model(), topic,
                        [](void* to, const char* piece) { *static_cast<std::string*>(to) += piece; }, &text);
  return text;
}

// ---- translation ----

TEST(Sva, KernelPacketsAndSignalsUseTheProcessesPageTable) {
  Sva sva;
  sva.process.table.map_new(kData, kPage);
  sva.submit(kernels::store_ids(), 64);
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
  for (uint64_t item = 0; item < 64; ++item) EXPECT_EQ(sva.at(kData + 8 * item), item + 1);
  EXPECT_EQ(sva.driver.counter(TANDEM_COUNTER_WALKS), 0u);
  EXPECT_EQ(sva.driver.counter(TANDEM_COUNTER_ATS_REQUESTS), sva.iommu.ats_requests.size());
  EXPECT_TRUE(sva.iommu.page_requests.empty());
  EXPECT_EQ(sva.driver.faults_waiting(), 0u);
  for (const tandem_ats_request& request : sva.iommu.ats_requests) EXPECT_EQ(request.pasid, kBus);
}

TEST(Sva, CopiesUseTheProcessesPageTableAndAskForPagesAhead) {
  Sva sva;
  constexpr uint64_t kTo = kData + 0x100000;
  constexpr uint64_t kBytes = 20 * kPage;
  sva.process.table.map_new(kData, kBytes);
  sva.process.table.map_new(kTo, kBytes);
  for (uint64_t offset = 0; offset < kBytes; offset += 8) sva.at(kData + offset) = offset;
  sva.process.submit(sva.process.copy(kData, kTo, kBytes));
  ASSERT_TRUE(sva.iommu.settle_until([&] { return sva.iommu.asked_for(kTo) != nullptr; }));
  EXPECT_GE(sva.iommu.asked.size(), 4u);
  sva.iommu.settle();
  for (uint64_t offset = 0; offset < kBytes; offset += 8) ASSERT_EQ(sva.at(kTo + offset), offset);
}

TEST(Sva, MissesOfOnePageShareARequestAndBecomeOneAtcEntry) {
  tandem_model_config config = small_config();
  config.compute_units = 4;
  Sva sva(config);
  sva.process.table.map_new(kData, kPage);
  sva.submit(kernels::store_ids(), 4 * 32);
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
  EXPECT_EQ(requests_for(sva, kData, true), 1u);
}

TEST(Sva, WorksWithAnL2ThatTakesItsTime) {
  tandem_model_config config = small_config();
  config.l2_latency = 7;
  config.walk_latency = 3;
  Sva sva(config);
  sva.map_on_demand();
  sva.submit(store_page_each(), 32);
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
  for (uint64_t lane = 0; lane < 32; ++lane) EXPECT_EQ(sva.at(kData + lane * kPage), lane);
}

TEST(Sva, TheAtcServesWhatTheTlbsHaveLost) {
  tandem_model_config config = small_config();
  config.l1_sets = config.l1_ways = config.l2_sets = config.l2_ways = 1;
  for (const uint32_t l2_latency : {0u, 5u}) {
    config.l2_latency = l2_latency;
    Sva sva(config);
    sva.process.table.map_new(kData, 32 * kPage);
    sva.submit(store_page_each(), 32);
    sva.iommu.settle();
    EXPECT_TRUE(sva.done());
    EXPECT_EQ(requests_for(sva, kData + 5 * kPage, true), 1u);
    const size_t requests = sva.iommu.ats_requests.size();
    sva.submit(store_page_each(), 32);
    sva.driver.settle();
    EXPECT_TRUE(sva.done());
    EXPECT_EQ(sva.iommu.ats_requests.size(), requests);
  }
}

TEST(Sva, ALoadDoesNotMarkThePageDirtyAndTheFirstStoreDoes) {
  Sva sva;
  sva.process.table.map_new(kData, kPage);
  sva.submit(kernels::wait_for_flag());
  ASSERT_TRUE(sva.iommu.settle_until([&] { return requests_for(sva, kData, false) == 1; }));
  sva.iommu.answer_all();  // says that writing is permitted, without having been asked
  sva.driver.run(100);
  EXPECT_EQ(sva.pte(kData) & TANDEM_PTE_DIRTY, 0u);
  sva.at(kData) = 1;
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
  EXPECT_EQ(sva.pte(kData) & TANDEM_PTE_DIRTY, 0u);
  sva.submit(kernels::store_ids());
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
  EXPECT_EQ(requests_for(sva, kData, true), 1u);
  EXPECT_TRUE(sva.pte(kData) & TANDEM_PTE_DIRTY);
}

TEST(Sva, AWholeLargePageIsOneRequest) {
  Sva sva(small_config(), {.ram_bytes = 32 << 20});
  constexpr uint64_t kBlock = 0x40000000;
  sva.process.table.map(kBlock, sva.driver.pages.take(2 << 20, 2 << 20), kReadWrite, 1);
  sva.submit(store_page_each(), 32, kBlock);
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
  size_t in_block = 0;
  for (const auto& request : sva.iommu.ats_requests) in_block += request.address >= kBlock;
  EXPECT_LE(in_block, 32u);
  sva.submit(store_page_each(), 32, kBlock + 64 * kPage);
  const size_t before = sva.iommu.ats_requests.size();
  sva.driver.settle();
  EXPECT_TRUE(sva.done());
  EXPECT_EQ(sva.iommu.ats_requests.size(), before);
}

TEST(Sva, AtomicsReachSystemMemory) {
  Sva sva;
  sva.process.table.map_new(kData, kPage);
  sva.submit(kernels::count(), 64);
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
  EXPECT_EQ(sva.at(kData), 64u);
}

TEST(Sva, AnAtomicThatWouldBeNoneAgainstTheCpusFails) {
  tandem_model_config config = small_config();
  config.atomics = TANDEM_ATOMICS_EXCLUSIVE;
  Sva sva(config);
  sva.process.table.map_new(kData, kPage);
  sva.submit(kernels::count());
  sva.iommu.settle();
  EXPECT_EQ(sva.error(), TANDEM_QUEUE_ATOMIC_FAULT);
  EXPECT_EQ(sva.error_va, kData);
  EXPECT_EQ(requests_for(sva, kData, true), 0u);
}

TEST(Sva, EntriesLoseTheRightToAtomicsWithTheBus) {
  Sva sva;
  sva.process.table.map_new(kData, kPage);
  sva.submit(kernels::count());
  sva.iommu.settle();
  ASSERT_TRUE(sva.done());
  // Taken away between request and answer, too: the pages of the packet are known by now, that of the data is not any more.
  sva.iommu.invalidate(kBus, kData, kPage);
  sva.submit(kernels::count());
  ASSERT_TRUE(sva.iommu.settle_until([&] { return sva.iommu.asked_for(kData) != nullptr; }));
  tandem_model_set_atomic_requester(sva.driver.model(), false);
  sva.iommu.settle();
  EXPECT_EQ(sva.error(), TANDEM_QUEUE_ATOMIC_FAULT);
  EXPECT_EQ(sva.at(kData), 1u);

  Sva cached;
  cached.process.table.map_new(kData, kPage);
  cached.submit(kernels::count());
  cached.iommu.settle();
  tandem_model_set_atomic_requester(cached.driver.model(), false);
  cached.submit(kernels::count());
  cached.iommu.settle();
  EXPECT_EQ(cached.error(), TANDEM_QUEUE_ATOMIC_FAULT);
  EXPECT_EQ(cached.at(kData), 1u);
}

TEST(Sva, MirrorAndSvaAddressSpacesRunSideBySide) {
  TestDriver driver;
  FakeIommu iommu(driver);
  AqlProducer mirror(driver, 1, 0), sva(driver, 2, 1, {.bus_pasid = kBus});
  iommu.attach(kBus, sva.table);
  uint64_t pages[2];
  for (int n = 0; n < 2; ++n) {
    AqlProducer& process = n ? sva : mirror;
    pages[n] = process.table.map_new(kData, kPage);
    process.submit(process.dispatch(process.load_kernel(kernels::store_ids()), 32));
  }
  iommu.settle();
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 2u);
  for (const uint64_t page : pages) EXPECT_EQ(driver.host.at<uint64_t>(page + 8 * 31), 32u);
  for (const auto& walk : driver.host.traced(TANDEM_TRACE_WALK)) EXPECT_EQ(walk.pasid, 1u);
  for (const auto& request : driver.host.traced(TANDEM_TRACE_ATS_REQUEST)) EXPECT_EQ(request.pasid, 2u);
}

// ---- page requests ----

TEST(Sva, AMissingPageIsRequestedWithTheRightsThatTheAccessNeeds) {
  Sva sva;
  sva.map_on_demand();
  sva.submit(kernels::load_first());  // loads data[0], then stores
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
  ASSERT_EQ(sva.iommu.page_requests.size(), 1u);
  const tandem_page_request& load = sva.iommu.page_requests[0];
  EXPECT_EQ(load.address, kData);
  EXPECT_EQ(load.pasid, kBus);
  EXPECT_TRUE(load.read && !load.write && load.last);
  EXPECT_EQ(sva.driver.counter(TANDEM_COUNTER_PAGE_REQUESTS), 1u);
  EXPECT_EQ(sva.driver.counter(TANDEM_COUNTER_FAULTS), 0u);
}

TEST(Sva, AReadOnlyPageIsUpgradedWithoutAnInvalidation) {
  Sva sva;
  sva.process.table.map_new(kData, kPage, kReadOnly);
  sva.iommu.service = [&](const FakeIommu::Group& group) {
    EXPECT_EQ(group.size(), 1u);
    EXPECT_TRUE(group[0].write && !group[0].read);
    sva.process.table.entry(kData) |= TANDEM_PTE_WRITE;
    return TANDEM_PAGE_RESPONSE_SUCCESS;
  };
  sva.submit(kernels::load_first());
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
  EXPECT_EQ(sva.iommu.page_requests.size(), 1u);
  // Before the page request the IOMMU was asked whether writing is permitted, after it again.
  EXPECT_EQ(requests_for(sva, kData, true), 2u);
}

TEST(Sva, PagesOfOneStepAreOneGroup) {
  Sva sva(small_config(), {.allowance = 64});
  sva.map_on_demand();
  sva.submit(store_page_each(), 32);
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
  std::map<uint32_t, uint32_t> sizes;
  for (const tandem_page_request& request : sva.iommu.page_requests)
    if (request.address >= kData) ++sizes[request.group];
  EXPECT_EQ(sizes.size(), 1u);
  EXPECT_EQ(sizes.begin()->second, 32u);
}

TEST(Sva, WhatExceedsTheAllowanceWaitsForRoom) {
  for (const uint32_t allowance : {1u, 3u, 5u}) {
    Sva sva(small_config(), {.allowance = allowance});
    sva.map_on_demand();
    sva.submit(store_page_each(), 32);
    sva.iommu.settle();  // the fake IOMMU checks how many are outstanding
    EXPECT_TRUE(sva.done());
    EXPECT_EQ(sva.iommu.page_requests.size(), 32u) << "none was lost, none came twice";
    for (uint64_t lane = 0; lane < 32; ++lane) EXPECT_EQ(sva.at(kData + lane * kPage), lane);
  }
}

TEST(Sva, APageThatIsNotToBeHadEndsTheQueue) {
  Sva nothing;
  nothing.submit(kernels::store_ids());
  nothing.iommu.settle();
  EXPECT_EQ(nothing.error(), TANDEM_QUEUE_ADDRESS_FAULT);
  EXPECT_EQ(nothing.error_va, kData);

  Sva read_only;
  read_only.process.table.map_new(kData, kPage, kReadOnly);
  read_only.submit(kernels::store_ids());
  read_only.iommu.settle();
  EXPECT_EQ(read_only.error(), TANDEM_QUEUE_PERMISSION_FAULT);
}

// Some IOMMUs say "nothing" to a request for writing. That the page is there was learnt from the load before.
TEST(Sva, WhatTheAtcKnowsTellsAPermissionFromAnAddress) {
  Sva sva;
  sva.process.table.map_new(kData, kPage, kReadOnly);
  sva.submit(kernels::load_first());
  ASSERT_TRUE(sva.iommu.settle_until([&] { return sva.iommu.asked_for(kData) && sva.iommu.asked_for(kData)->write; }));
  sva.iommu.answer(*sva.iommu.asked_for(kData), {});
  sva.iommu.settle();
  EXPECT_EQ(sva.error(), TANDEM_QUEUE_PERMISSION_FAULT);
}

TEST(Sva, OneBadPageOfAGroupFailsAlone) {
  Sva sva(small_config(), {.allowance = 64});
  constexpr uint64_t kBad = kData + 7 * kPage;
  sva.iommu.service = [&](const FakeIommu::Group& group) {
    for (const tandem_page_request& request : group) {
      if (request.address == kBad) return TANDEM_PAGE_RESPONSE_INVALID;
      if (!(sva.pte(request.address) & TANDEM_PTE_VALID)) sva.process.table.map_new(request.address, kPage);
    }
    return TANDEM_PAGE_RESPONSE_SUCCESS;
  };
  sva.submit(store_page_each(), 32);
  sva.iommu.settle();
  EXPECT_EQ(sva.error(), TANDEM_QUEUE_ADDRESS_FAULT);
  EXPECT_EQ(sva.error_va & ~(kPage - 1), kBad);
}

TEST(Sva, AFailureStopsPageRequestsUntilTheyAreAllowedAnew) {
  Sva sva;
  sva.iommu.service = [](const FakeIommu::Group&) { return TANDEM_PAGE_RESPONSE_FAILURE; };
  sva.submit(kernels::store_ids());
  sva.iommu.settle();
  EXPECT_EQ(sva.error(), TANDEM_QUEUE_SERVICE_FAILED);
  EXPECT_NE(described(sva.driver, "summary").find("stopped by a failure"), std::string::npos);

  sva.process.destroy_queue();
  sva.process.restart();
  sva.submit(kernels::store_ids());
  sva.iommu.settle();
  EXPECT_EQ(sva.error(), TANDEM_QUEUE_SERVICE_FAILED);
  EXPECT_EQ(sva.iommu.page_requests.size(), 1u);

  sva.iommu.allow(true, 4);
  sva.map_on_demand();
  sva.process.destroy_queue();
  sva.process.restart();
  sva.submit(kernels::store_ids());
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
}

TEST(Sva, RetryLimitEndsAQueueWhosePageNeverComes) {
  Sva sva(small_config(), {.retry_limit = 3});
  sva.iommu.service = [](const FakeIommu::Group&) { return TANDEM_PAGE_RESPONSE_SUCCESS; };
  sva.submit(kernels::store_ids());
  sva.iommu.settle();
  EXPECT_EQ(sva.error(), TANDEM_QUEUE_RETRY_LIMIT);
  EXPECT_EQ(sva.iommu.page_requests.size(), 3u);
}

TEST(Sva, ASuccessInBetweenBeginsTheCountOfRetriesAnew) {
  Sva sva(small_config(), {.retry_limit = 3});
  int served = 0;
  sva.iommu.service = [&](const FakeIommu::Group& group) {
    if (++served % 3 == 0) sva.process.table.map_new(group[0].address, kPage);
    return TANDEM_PAGE_RESPONSE_SUCCESS;
  };
  for (int turn = 0; turn < 3; ++turn) {
    sva.submit(kernels::store_ids());
    sva.iommu.settle();
    ASSERT_TRUE(sva.done()) << turn;
    sva.process.table.entry(kData) = 0;
    sva.iommu.invalidate(kBus, kData, kPage);
  }
  EXPECT_EQ(served, 9);
}

TEST(Sva, WhoWaitsForAPageDoesNotHoldUpAnotherProcess) {
  tandem_model_config config = small_config();
  config.compute_units = 1;
  config.waves_per_cu = 1;
  TestDriver driver(config);
  FakeIommu iommu(driver);
  AqlProducer sva(driver, 1, 0, {.bus_pasid = kBus}), mirror(driver, 2, 1);
  iommu.attach(kBus, sva.table);
  sva.submit(sva.dispatch(sva.load_kernel(kernels::store_ids()), 1, 1));
  ASSERT_TRUE(iommu.settle_until([&] { return !iommu.groups.empty(); }));
  mirror.table.map_new(kData, kPage);
  mirror.submit(mirror.dispatch(mirror.load_kernel(kernels::store_ids()), 1, 1));
  driver.settle();
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
  EXPECT_EQ(iommu.groups.size(), 1u);
}

// ---- off, garbage ----

TEST(Sva, WithoutAtsEveryAccessFails) {
  for (const uint32_t l2_latency : {0u, 4u}) {
    tandem_model_config config = small_config();
    config.l2_latency = l2_latency;
    Sva sva(config);
    sva.iommu.allow(false, 0);
    sva.submit(kernels::store_ids());
    sva.driver.settle();
    EXPECT_EQ(sva.error(), TANDEM_QUEUE_SERVICE_FAILED);
    EXPECT_TRUE(sva.iommu.ats_requests.empty());
  }
}

TEST(Sva, WithoutPageRequestsAMissingPageFails) {
  Sva sva(small_config(), {.allowance = 0});
  sva.submit(kernels::store_ids());
  sva.iommu.settle();
  EXPECT_EQ(sva.error(), TANDEM_QUEUE_SERVICE_FAILED);
  EXPECT_TRUE(sva.iommu.page_requests.empty());
}

TEST(Sva, AnswersThatBreakTheRulesAreNothingAndAGuestError) {
  const tandem_ats_answer bad[] = {
      {.translated = 0x1000, .bytes = 0, .read = true, .write = true},
      {.translated = 0x1000, .bytes = 2048, .read = true, .write = true},
      {.translated = 0x3000, .bytes = 0x3000, .read = true, .write = true},
      {.translated = 0x1000, .bytes = 0x2000, .read = true, .write = true},
      {.translated = 0x1001, .bytes = 0x1000, .read = true, .write = true},
      {.translated = ~0ULL, .bytes = ~0ULL, .read = true, .write = true},
      {.translated = 0x1000, .bytes = 1ULL << 63, .read = true, .write = true},
  };
  for (const tandem_ats_answer& answer : bad) {
    Sva sva;
    sva.submit(kernels::store_ids());
    ASSERT_TRUE(sva.iommu.settle_until([&] { return sva.iommu.asked_for(kData) != nullptr; }));
    sva.driver.host.errors.clear();
    sva.iommu.answer(*sva.iommu.asked_for(kData), answer);
    EXPECT_EQ(sva.driver.host.errors.size(), 1u) << std::hex << answer.bytes;
    sva.iommu.settle();
    EXPECT_EQ(sva.error(), TANDEM_QUEUE_ADDRESS_FAULT);
  }
  // Nothing is nothing, whatever else it says; and so is a page that may only be written.
  for (const tandem_ats_answer& answer : {tandem_ats_answer{.translated = 1, .bytes = 3, .read = false, .write = false},
                                          tandem_ats_answer{.translated = 0x1000, .bytes = 0x1000, .read = false, .write = true}}) {
    Sva sva;
    sva.submit(kernels::store_ids());
    ASSERT_TRUE(sva.iommu.settle_until([&] { return sva.iommu.asked_for(kData) != nullptr; }));
    sva.iommu.answer(*sva.iommu.asked_for(kData), answer);
    EXPECT_TRUE(sva.driver.host.errors.empty());
    sva.iommu.settle();
    EXPECT_EQ(sva.error(), TANDEM_QUEUE_ADDRESS_FAULT);
  }
}

TEST(Sva, ATranslationToNoMemoryIsADmaError) {
  for (const uint64_t nowhere : {1ULL << 40, 0xfffffffffffff000ULL}) {
    Sva sva;
    sva.submit(kernels::store_ids());
    ASSERT_TRUE(sva.iommu.settle_until([&] { return sva.iommu.asked_for(kData) != nullptr; }));
    sva.iommu.answer(*sva.iommu.asked_for(kData), {.translated = nowhere, .bytes = kPage, .read = true, .write = true});
    sva.iommu.settle();
    EXPECT_EQ(sva.error(), TANDEM_QUEUE_DMA_ERROR);
    EXPECT_TRUE(sva.iommu.page_requests.empty());
  }
}

TEST(Sva, ResponsesForUnknownGroupsAreRefused) {
  Sva sva;
  sva.submit(kernels::store_ids());
  ASSERT_TRUE(sva.iommu.settle_until([&] { return !sva.iommu.groups.empty(); }));
  const uint32_t group = sva.iommu.groups.begin()->first;
  for (const auto& [pasid, number] : {std::pair{kBus, group + 1}, {kBus + 1, group}, {kBus, 512u}, {TANDEM_NO_PASID, group}}) {
    sva.driver.host.errors.clear();
    EXPECT_FALSE(tandem_model_page_response(sva.driver.model(), pasid, number, TANDEM_PAGE_RESPONSE_SUCCESS));
    EXPECT_EQ(sva.driver.host.errors.size(), 1u);
  }
  sva.map_on_demand();
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
  EXPECT_FALSE(tandem_model_page_response(sva.driver.model(), kBus, group, TANDEM_PAGE_RESPONSE_SUCCESS)) << "a second time";
}

TEST(Sva, UnknownResponseCodesAreFailures) {
  for (const uint32_t code : {2u, 14u, 0xffffffffu}) {
    Sva sva;
    sva.iommu.service = [&](const FakeIommu::Group&) { return code; };
    sva.submit(kernels::store_ids());
    sva.iommu.settle();
    EXPECT_EQ(sva.error(), TANDEM_QUEUE_SERVICE_FAILED);
  }
}

// ---- bind, commands, displays ----

TEST(Sva, BindChecksThePasidOnTheBus) {
  TestDriver driver;
  const auto error_of = [&](auto&& spoil) {
    tandem_command bind = driver.bind_sva_command(2, 5);
    spoil(bind);
    driver.execute(bind);
    if (driver.events_waiting() == 0) {
      driver.unbind(2);
      return uint16_t{TANDEM_COMMAND_OK};
    }
    return driver.take_event().code;
  };
  using Command = tandem_command&;
  EXPECT_EQ(error_of([](Command) {}), TANDEM_COMMAND_OK);
  EXPECT_EQ(error_of([](Command c) { c.u.bind.bus_pasid = (1 << TANDEM_PCI_PASID_BITS) - 1; }), TANDEM_COMMAND_OK);
  EXPECT_EQ(error_of([](Command c) { c.u.bind.bus_pasid = 0; }), TANDEM_COMMAND_BAD_PASID);
  EXPECT_EQ(error_of([](Command c) { c.u.bind.bus_pasid = 1 << TANDEM_PCI_PASID_BITS; }), TANDEM_COMMAND_BAD_PASID);
  EXPECT_EQ(error_of([](Command c) { c.u.bind.root = 0x1000; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error_of([](Command c) { c.u.bind.reserved0 = 1; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error_of([](Command c) { c.u.bind.check = 1; }), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(error_of([](Command c) { c.u.bind.translation = TANDEM_TRANSLATION_SOFTTLB; }), TANDEM_COMMAND_BAD_PARAMETER);
  driver.execute(driver.bind_sva_command(3, 5));
  EXPECT_EQ(error_of([&](Command c) { c.u.bind.tgid = driver.bind_sva_command(3, 5).u.bind.tgid; }), TANDEM_COMMAND_OK)
      << "a process may have several address spaces";
  driver.unbind(3);
  tandem_command mirror = driver.command(TANDEM_COMMAND_BIND, 2);
  mirror.u.bind.translation = TANDEM_TRANSLATION_MIRROR;
  mirror.u.bind.root = driver.pages.take();
  mirror.u.bind.bus_pasid = 7;
  driver.execute(mirror);
  EXPECT_EQ(driver.take_event().code, TANDEM_COMMAND_BAD_PARAMETER);
}

TEST(Sva, ReplayAndCancelAreForFaultRecords) {
  Sva sva;
  sva.driver.replay(1);
  EXPECT_EQ(sva.driver.take_event().code, TANDEM_COMMAND_BAD_PASID);
  sva.driver.cancel(1, 0, kData);
  EXPECT_EQ(sva.driver.take_event().code, TANDEM_COMMAND_BAD_PASID);
}

TEST(Sva, TheMonitorShowsKindRequestsAndAtc) {
  Sva sva;
  sva.submit(kernels::store_ids());
  ASSERT_TRUE(sva.iommu.settle_until([&] { return !sva.iommu.groups.empty(); }));
  EXPECT_NE(described(sva.driver, "address-spaces").find("pasid 1: sva, PASID 0x3fe on the bus, 0 ATS and 1 page requests outstanding"),
            std::string::npos)
      << described(sva.driver, "address-spaces");
  EXPECT_NE(described(sva.driver, "tlbs").find("ATC: "), std::string::npos);
  EXPECT_NE(described(sva.driver, "faults").find("page request: pasid 1 va 0x000020000000 write, group"), std::string::npos)
      << described(sva.driver, "faults");
  EXPECT_NE(described(sva.driver, "summary").find("ats: on, ATC 512x8, 1 of 16 page requests outstanding\n"), std::string::npos)
      << described(sva.driver, "summary");
}

TEST(Sva, TheTraceTellsTheWayOfAPage) {
  Sva sva;
  sva.map_on_demand();
  sva.submit(kernels::store_ids());
  sva.iommu.settle();
  const auto of_data = [&](tandem_trace_type type) {
    auto records = sva.driver.host.traced(type);
    std::erase_if(records, [](const auto& record) { return record.va != kData; });
    return records;
  };
  const auto bind = sva.driver.host.traced(TANDEM_TRACE_BIND);
  ASSERT_EQ(bind.size(), 1u);
  EXPECT_EQ(bind[0].detail, TANDEM_TRANSLATION_SVA);
  EXPECT_EQ(bind[0].seqno, kBus);
  const auto asked = of_data(TANDEM_TRACE_ATS_REQUEST), answered = of_data(TANDEM_TRACE_ATS_ANSWER);
  ASSERT_EQ(asked.size(), 2u);
  ASSERT_EQ(answered.size(), 2u);
  EXPECT_EQ(asked[0].detail, TANDEM_ACCESS_WRITE);
  EXPECT_EQ(asked[0].seqno, kBus);
  EXPECT_EQ(asked[0].pasid, 1u);
  EXPECT_EQ(answered[0].detail, TANDEM_ACCESS_WRITE);
  EXPECT_EQ(answered[0].a, 0u);
  EXPECT_GT(answered[0].b, 0u);
  EXPECT_EQ(answered[1].detail, TANDEM_ACCESS_WRITE | (TANDEM_ATS_READ | TANDEM_ATS_WRITE) << 8);
  EXPECT_EQ(answered[1].a, sva.pte(kData) & TANDEM_PTE_ADDRESS);
  EXPECT_EQ(answered[1].bytes, kPage);
  const auto requests = of_data(TANDEM_TRACE_PAGE_REQUEST);
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].detail, TANDEM_ACCESS_WRITE | 1u << 8);
  EXPECT_EQ(requests[0].seqno, kBus | uint64_t{sva.iommu.page_requests[0].group} << 32);
  const auto responses = sva.driver.host.traced(TANDEM_TRACE_PAGE_RESPONSE);
  ASSERT_EQ(responses.size(), 1u);
  EXPECT_EQ(responses[0].detail, TANDEM_PAGE_RESPONSE_SUCCESS);
  EXPECT_EQ(responses[0].seqno, requests[0].seqno);
  EXPECT_EQ(responses[0].a, 1u);
  EXPECT_GT(responses[0].b, 0u);
  EXPECT_LT(asked[0].time_ns, answered[0].time_ns);
  EXPECT_LT(answered[0].time_ns, requests[0].time_ns);
  EXPECT_LT(requests[0].time_ns, responses[0].time_ns);
  EXPECT_LT(responses[0].time_ns, asked[1].time_ns);
  const auto fills = of_data(TANDEM_TRACE_FILL);
  ASSERT_FALSE(fills.empty());
  EXPECT_EQ(fills[0].a & TANDEM_PTE_ADDRESS, answered[1].a);
}

TEST(Sva, TheSameInputsGiveTheSameTrace) {
  const auto trace = [] {
    Sva sva(small_config(), {.allowance = 5});
    sva.map_on_demand();
    sva.submit(store_page_each(), 32);
    sva.iommu.settle();
    return std::move(sva.driver.host.trace);
  };
  const auto first = trace(), second = trace();
  ASSERT_EQ(first.size(), second.size());
  EXPECT_EQ(std::memcmp(first.data(), second.data(), first.size() * sizeof first[0]), 0);
}

}  // namespace
}  // namespace tandem::test
