// SPDX-License-Identifier: GPL-2.0-or-later
// ATC invalidations, unbind, reset and switching off, each in the middle of something: a request without its answer, an answer
// just used, stores in a queue, a page request without its response.
#include <optional>

#include "support/kernels.h"
#include "support/sva.h"

namespace tandem::test {
namespace {

constexpr uint64_t kData = AqlProducer::kData;
constexpr uint64_t kPage = TANDEM_PAGE_BYTES;

tandem_trace_record last_invalidation(Sva& sva) { return sva.driver.host.traced(TANDEM_TRACE_ATC_INVALIDATED).back(); }

// The request for kData is under way; everything else is translated.
void ask_for_data(Sva& sva, std::span<const uint32_t> code) {
  sva.submit(code);
  ASSERT_TRUE(sva.iommu.settle_until([&] { return sva.iommu.asked_for(kData) != nullptr; }));
}
// The page request for kData is outstanding.
void request_data(Sva& sva) {
  sva.submit(kernels::store_ids());
  ASSERT_TRUE(sva.iommu.settle_until([&] { return !sva.iommu.groups.empty(); }));
  ASSERT_EQ(sva.iommu.page_requests.back().address, kData);
}

// ---- invalidations ----

TEST(SvaRaces, AnAnswerOvertakenByAnInvalidationIsDroppedAndAskedAnew) {
  for (const bool hits : {true, false}) {
    Sva sva;
    const uint64_t old_page = sva.process.table.map_new(kData, kPage);
    ask_for_data(sva, kernels::store_ids());
    const tandem_ats_request request = *sva.iommu.asked_for(kData);
    const tandem_ats_answer old_answer = sva.iommu.translate(request);
    if (hits) sva.move_page(kData);
    else sva.iommu.invalidate(kBus, kData + kPage, kPage);
    EXPECT_EQ(bool(last_invalidation(sva).queue & TANDEM_HIT_ATS), hits);
    sva.iommu.answer(request, old_answer);
    sva.iommu.settle();
    EXPECT_TRUE(sva.done());
    EXPECT_EQ(sva.driver.host.at<uint64_t>(old_page), hits ? 0u : 1u);
    EXPECT_EQ(sva.at(kData), 1u);
    EXPECT_EQ(sva.driver.counter(TANDEM_COUNTER_ATS_STALE), hits ? 1u : 0u);
    uint32_t stale = 0;
    for (const auto& record : sva.driver.host.traced(TANDEM_TRACE_ATS_ANSWER)) stale += record.detail >> 8 & TANDEM_ATS_STALE ? 1 : 0;
    EXPECT_EQ(stale, hits ? 1u : 0u);
  }
}

TEST(SvaRaces, AnOvertakenRefusalIsNoRefusal) {
  Sva sva;
  ask_for_data(sva, kernels::store_ids());
  const tandem_ats_request request = *sva.iommu.asked_for(kData);
  sva.move_page(kData);
  sva.iommu.answer(request, {});
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
  EXPECT_TRUE(sva.iommu.page_requests.empty());
}

TEST(SvaRaces, OfALargeAnswerOnlyWhatNothingHasInvalidatedIsKept) {
  Sva sva(small_config(), {.ram_bytes = 32 << 20});
  constexpr uint64_t kBlock = 0x40000000, kVictim = kBlock + 9 * kPage;
  const uint64_t block = sva.driver.pages.take(2 << 20, 2 << 20);
  sva.process.table.map(kBlock, block, kReadWrite, 1);
  sva.submit(kernels::store_ids(), 1, kBlock);
  ASSERT_TRUE(sva.iommu.settle_until([&] { return sva.iommu.asked_for(kBlock) != nullptr; }));
  const tandem_ats_request request = *sva.iommu.asked_for(kBlock);
  const tandem_ats_answer answer = sva.iommu.translate(request);
  ASSERT_EQ(answer.bytes, 2u << 20);
  // The table is split, one page of it moves.
  sva.process.table.entry(kBlock, 1) = 0;
  for (uint64_t page = 0; page < 512; ++page) sva.process.table.map(kBlock + page * kPage, block + page * kPage);
  const uint64_t moved = sva.move_page(kVictim);
  EXPECT_FALSE(last_invalidation(sva).queue & TANDEM_HIT_ATS) << "the page asked for is not concerned";
  sva.iommu.answer(request, answer);
  sva.iommu.settle();
  ASSERT_TRUE(sva.done());
  EXPECT_EQ(sva.driver.host.at<uint64_t>(block), 1u);
  sva.submit(kernels::store_ids(), 1, kVictim);
  sva.iommu.settle();
  ASSERT_TRUE(sva.done());
  EXPECT_EQ(sva.driver.host.at<uint64_t>(moved), 1u);
  EXPECT_EQ(sva.driver.host.at<uint64_t>(block + 9 * kPage), 0u);
}

TEST(SvaRaces, EveryLevelLosesThePage) {
  Sva sva;
  const uint64_t old_page = sva.process.table.map_new(kData, kPage);
  sva.submit(kernels::wait_for_flag());
  for (int turn = 0; turn < 20; ++turn) {
    sva.iommu.answer_all();
    sva.driver.run(100);
  }
  const uint64_t new_page = sva.move_page(kData);
  const auto done = last_invalidation(sva);
  EXPECT_EQ(done.queue & (TANDEM_HIT_ATC | TANDEM_HIT_L2 | TANDEM_HIT_L1), uint32_t{TANDEM_HIT_ATC | TANDEM_HIT_L2 | TANDEM_HIT_L1});
  EXPECT_EQ(done.a, 3u);
  EXPECT_EQ(done.va, kData);
  EXPECT_EQ(done.bytes, kPage);
  EXPECT_EQ(done.seqno, kBus);
  EXPECT_EQ(done.pasid, 1u);
  EXPECT_EQ(sva.driver.counter(TANDEM_COUNTER_ATC_INVALIDATES), 1u);
  EXPECT_EQ(sva.driver.counter(TANDEM_COUNTER_ENTRIES_KILLED), 3u);
  sva.driver.host.at<uint64_t>(new_page) = 1;
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
  EXPECT_EQ(sva.driver.host.at<uint64_t>(old_page), 0u);
}

TEST(SvaRaces, OnePageKillsALargeEntryWhole) {
  Sva sva(small_config(), {.ram_bytes = 32 << 20});
  constexpr uint64_t kBlock = 0x40000000;
  sva.process.table.map(kBlock, sva.driver.pages.take(2 << 20, 2 << 20), kReadWrite, 1);
  sva.submit(kernels::wait_for_flag(), 1, kBlock);
  for (int turn = 0; turn < 20; ++turn) {
    sva.iommu.answer_all();
    sva.driver.run(100);
  }
  const uint64_t new_block = sva.driver.pages.take(2 << 20, 2 << 20);
  sva.process.table.map(kBlock, new_block, kReadWrite, 1);
  sva.iommu.invalidate(kBus, kBlock + (1 << 20), kPage);
  EXPECT_EQ(last_invalidation(sva).a, 3u);
  sva.driver.host.at<uint64_t>(new_block) = 1;
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
}

TEST(SvaRaces, QueuedStoresAreWrittenBeforeTheInvalidationReturns) {
  tandem_model_config config = small_config();
  config.store_queue_depth = 8;
  config.compute_units = 1;
  Sva sva(config);
  const uint64_t page = sva.process.table.map_new(kData, kPage);
  const auto stored = [&] {
    uint64_t words = 0;
    for (uint64_t word = 0; word < 8; ++word) words += sva.driver.host.at<uint64_t>(page + 8 * word) == 7;
    return words;
  };
  sva.submit(kernels::store_and_spin());
  for (int turn = 0; turn < 200 && sva.driver.counter(TANDEM_COUNTER_STORES) == 0; ++turn) {
    sva.iommu.answer_all();
    sva.driver.run(64);
  }
  const uint64_t before = stored();
  ASSERT_LT(before, 8u) << "the store queue held no store: nothing is tested";
  sva.process.table.entry(kData) = 0;
  sva.iommu.invalidate(kBus, kData, kPage);
  EXPECT_EQ(stored(), 8u);
  EXPECT_TRUE(last_invalidation(sva).queue & TANDEM_HIT_STORES);
  EXPECT_EQ(last_invalidation(sva).a >> 32, 8 - before);
}

TEST(SvaRaces, CopiesForgetTheirAddresses) {
  tandem_model_config config = small_config();
  config.copy_chunk_bytes = 64;
  Sva sva(config);
  constexpr uint64_t kTo = kData + 0x100000;
  sva.process.table.map_new(kData, kPage);
  const uint64_t to = sva.process.table.map_new(kTo, kPage);
  std::memset(sva.driver.host.ram(sva.pte(kData) & TANDEM_PTE_ADDRESS), 0x11, kPage);
  sva.process.submit(sva.process.copy(kData, kTo, kPage));
  ASSERT_TRUE(sva.iommu.settle_until([&] { return sva.driver.host.at<uint64_t>(to + 256) != 0; }));
  const uint64_t new_page = sva.move_page(kTo);
  EXPECT_TRUE(last_invalidation(sva).queue & TANDEM_HIT_COPY);
  const std::vector<std::byte> old_bytes(sva.driver.host.ram(to), sva.driver.host.ram(to) + kPage);
  sva.iommu.settle();
  EXPECT_EQ(std::memcmp(old_bytes.data(), sva.driver.host.ram(to), kPage), 0);
  EXPECT_EQ(sva.driver.host.at<uint64_t>(new_page + kPage - 8), 0x1111111111111111u);
}

TEST(SvaRaces, AnInvalidationWhileAPageRequestIsOutstandingChangesNothing) {
  Sva sva;
  request_data(sva);
  sva.iommu.invalidate(kBus, kData, kPage);
  EXPECT_EQ(last_invalidation(sva).queue, 0u);
  sva.map_on_demand();
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
  EXPECT_EQ(sva.iommu.page_requests.size(), 1u);
}

TEST(SvaRaces, InvalidationsReachTheirAddressSpaceAndGlobalOnesAll) {
  const auto survivors = [](uint32_t bus_pasid, uint64_t address, uint64_t bytes, bool global) {
    TestDriver driver;
    FakeIommu iommu(driver);
    AqlProducer first(driver, 1, 0, {.bus_pasid = 5}), second(driver, 2, 1, {.bus_pasid = 6}), mirror(driver, 3, 2);
    iommu.attach(5, first.table);
    iommu.attach(6, second.table);
    for (AqlProducer* process : {&first, &second, &mirror}) {
      process->table.map_new(kData, kPage);
      process->submit(process->dispatch(process->load_kernel(kernels::wait_for_flag()), 1, 1));
    }
    for (int turn = 0; turn < 20; ++turn) {
      iommu.answer_all();
      driver.run(100);
    }
    iommu.invalidate(bus_pasid, address, bytes, global);
    const uint64_t walks = driver.counter(TANDEM_COUNTER_WALKS);
    iommu.asked.clear();
    driver.run(1000);
    const auto asks = [&](uint32_t pasid) {
      return std::any_of(iommu.asked.begin(), iommu.asked.end(), [&](const auto& request) { return request.pasid == pasid; });
    };
    std::string left;  // who needed no new translation
    if (!asks(5)) left += "5";
    if (!asks(6)) left += "6";
    if (driver.counter(TANDEM_COUNTER_WALKS) == walks) left += "m";
    return left;
  };
  EXPECT_EQ(survivors(5, kData, kPage, false), "6m");
  EXPECT_EQ(survivors(6, 0, 0, false), "5m");
  EXPECT_EQ(survivors(5, kData, kPage, true), "m");
  EXPECT_EQ(survivors(5, kData + kPage, kPage, true), "56m");
  EXPECT_EQ(survivors(99, 0, 0, false), "56m");
  EXPECT_EQ(survivors(TANDEM_NO_PASID, 0, 0, false), "56m");
  // Ranges that no process can have, that wrap, that are not aligned.
  EXPECT_EQ(survivors(5, 0xffff800000000000, kPage, false), "56m");
  EXPECT_EQ(survivors(5, kData, ~0ULL, false), "6m");
  EXPECT_EQ(survivors(5, kData + 8, 8, false), "6m");
  EXPECT_EQ(survivors(5, 0, ~0ULL, true), "m");
}

TEST(SvaRaces, TheDriversOwnInvalidationsWorkToo) {
  Sva sva;
  const uint64_t old_page = sva.process.table.map_new(kData, kPage);
  ask_for_data(sva, kernels::store_ids());
  const tandem_ats_request request = *sva.iommu.asked_for(kData);
  const tandem_ats_answer old_answer = sva.iommu.translate(request);
  sva.process.table.map(kData, sva.driver.pages.take());
  sva.driver.invalidate(1, kData, kData + kPage);
  EXPECT_TRUE(sva.driver.host.traced(TANDEM_TRACE_INVALIDATED).back().queue & TANDEM_HIT_ATS);
  sva.iommu.answer(request, old_answer);
  sva.iommu.settle();
  EXPECT_EQ(sva.driver.host.at<uint64_t>(old_page), 0u);
  EXPECT_EQ(sva.at(kData), 1u);
  sva.driver.invalidate(1, kData, kData + kPage);
  EXPECT_TRUE(sva.driver.host.traced(TANDEM_TRACE_INVALIDATED).back().queue & TANDEM_HIT_ATC);
}

TEST(SvaRaces, AChangeOfTheMemoryMapDropsTheAtc) {
  Sva sva;
  sva.process.table.map_new(kData, kPage);
  sva.submit(kernels::store_ids());
  sva.iommu.settle();
  const size_t before = sva.iommu.ats_requests.size();
  tandem_model_memory_map_changed(sva.driver.model());
  sva.submit(kernels::store_ids());
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
  EXPECT_GT(sva.iommu.ats_requests.size(), before);
}

// ---- unbind ----

TEST(SvaRaces, UnbindIsNotDoneBeforeEveryPageRequestIsAnsweredAndHoldsNothingUp) {
  Sva sva(small_config(), {.allowance = 2});
  constexpr uint64_t kTo = kData + 0x100000;
  sva.process.submit(sva.process.copy(kData, kTo, 8 * kPage));  // wants more pages than may be requested
  ASSERT_TRUE(sva.iommu.settle_until([&] { return sva.iommu.outstanding() == 2; }));
  const auto groups = sva.iommu.groups;
  EXPECT_EQ(sva.driver.error_of(sva.driver.command(TANDEM_COMMAND_UNBIND, 1)), TANDEM_COMMAND_DRAINING);
  EXPECT_EQ(sva.driver.error_of(sva.driver.command(TANDEM_COMMAND_NOP)), TANDEM_COMMAND_OK) << "what answers may need commands";
  EXPECT_EQ(sva.driver.counter(TANDEM_COUNTER_PAGE_REQUESTS), 2u) << "none is sent after UNBIND";
  tandem_command queue = sva.driver.command(TANDEM_COMMAND_QUEUE_CREATE, 1);
  queue.u.queue.queue = 7;
  EXPECT_EQ(sva.driver.error_of(queue), TANDEM_COMMAND_BAD_PASID) << "it is over";

  size_t answered = 0;
  for (const auto& [number, group] : groups) {
    EXPECT_EQ(sva.driver.error_of(sva.driver.command(TANDEM_COMMAND_UNBIND, 1)), TANDEM_COMMAND_DRAINING);
    EXPECT_TRUE(sva.iommu.respond(group, TANDEM_PAGE_RESPONSE_SUCCESS));
    answered += group.size();
    sva.driver.settle();
  }
  EXPECT_EQ(answered, 2u);
  EXPECT_EQ(sva.driver.error_of(sva.driver.command(TANDEM_COMMAND_UNBIND, 1)), TANDEM_COMMAND_OK);
  EXPECT_EQ(sva.driver.error_of(sva.driver.command(TANDEM_COMMAND_UNBIND, 1)), TANDEM_COMMAND_BAD_PASID);
  EXPECT_EQ(sva.driver.counter(TANDEM_COUNTER_PAGE_REQUESTS), 2u);
  const auto drain = sva.driver.host.traced(TANDEM_TRACE_DRAIN);
  ASSERT_EQ(drain.size(), 1u);
  EXPECT_EQ(drain[0].pasid, 1u);
  EXPECT_EQ(drain[0].seqno, kBus);
  EXPECT_EQ(drain[0].a, 2u);
  EXPECT_GT(drain[0].b, 0u);

  // The same PASIDs for somebody else: nothing of the past.
  AqlProducer next(sva.driver, 1, 0, {.bus_pasid = kBus});
  sva.iommu.attach(kBus, next.table);
  next.table.map_new(kData, kPage);
  next.submit(next.dispatch(next.load_kernel(kernels::store_ids()), 1, 1));
  sva.iommu.settle();
  EXPECT_EQ(sva.driver.counter(TANDEM_COUNTER_PACKETS), 1u);
}

TEST(SvaRaces, AnswersThatATestHoldsBackComeWhenItLetsThem) {
  tandem_model_config config = small_config();
  config.test_hooks = true;
  Sva sva(config);
  request_data(sva);
  const auto group = sva.iommu.groups.begin()->second;
  sva.process.table.map_new(kData, kPage);
  sva.driver.write32(TANDEM_REG_TEST_CONTROL, TANDEM_TEST_STALL_RESPONSE);
  EXPECT_TRUE(sva.iommu.respond(group, TANDEM_PAGE_RESPONSE_SUCCESS));
  sva.iommu.settle();
  EXPECT_FALSE(sva.done());
  sva.driver.write32(TANDEM_REG_TEST_CONTROL, 0);
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
}

TEST(SvaRaces, UnbindDoesNotWaitForAtsAnswersAndIgnoresThem) {
  Sva sva;
  sva.process.table.map_new(kData, kPage);
  ask_for_data(sva, kernels::store_ids());
  const tandem_ats_request late = *sva.iommu.asked_for(kData);
  const tandem_ats_answer answer = sva.iommu.translate(late);
  sva.driver.unbind(1);
  EXPECT_EQ(sva.driver.host.traced(TANDEM_TRACE_DRAIN).size(), 1u);

  AqlProducer next(sva.driver, 1, 0, {.bus_pasid = kBus});
  sva.iommu.attach(kBus, next.table);
  const uint64_t page = next.table.map_new(kData, kPage);
  next.submit(next.dispatch(next.load_kernel(kernels::store_ids()), 1, 1));
  sva.iommu.asked.clear();
  ASSERT_TRUE(sva.iommu.settle_until([&] { return sva.iommu.asked_for(kData) != nullptr; })) << "it waits for the old answer";
  const tandem_ats_request own = *sva.iommu.asked_for(kData);
  sva.iommu.answer(late, answer);  // of the old process's page
  EXPECT_EQ(sva.driver.counter(TANDEM_COUNTER_ATS_STALE), 0u) << "nothing of it is known any more";
  sva.iommu.answer(own);
  sva.iommu.settle();
  EXPECT_EQ(sva.driver.host.at<uint64_t>(page), 1u);
  EXPECT_EQ(sva.driver.host.at<uint64_t>(answer.translated), 0u);
}

TEST(SvaRaces, UnbindOfOneAddressSpaceDoesNotWaitForAnother) {
  TestDriver driver;
  FakeIommu iommu(driver);
  AqlProducer first(driver, 1, 0, {.bus_pasid = 5}), second(driver, 2, 1, {.bus_pasid = 6});
  iommu.attach(5, first.table);
  iommu.attach(6, second.table);
  first.submit(first.dispatch(first.load_kernel(kernels::store_ids()), 1, 1));
  ASSERT_TRUE(iommu.settle_until([&] { return !iommu.groups.empty(); }));
  driver.unbind(2);
  EXPECT_EQ(iommu.groups.size(), 1u);
}

TEST(SvaRaces, AResponseIsAcceptedAfterItsQueueIsGone) {
  Sva sva;
  request_data(sva);
  const auto group = sva.iommu.groups.begin()->second;
  sva.process.destroy_queue();
  sva.process.restart();
  sva.submit(kernels::store_ids());
  for (int turn = 0; turn < 50; ++turn) {
    sva.iommu.answer_all();
    sva.driver.run(100);
  }
  // The new queue waits for the same page: the request that is outstanding is its own now.
  EXPECT_EQ(sva.iommu.page_requests.size(), 1u);
  sva.process.table.map_new(kData, kPage);
  EXPECT_TRUE(sva.iommu.respond(group, TANDEM_PAGE_RESPONSE_SUCCESS));
  EXPECT_EQ(sva.driver.host.traced(TANDEM_TRACE_PAGE_RESPONSE).back().a, 1u);
  sva.iommu.settle();
  EXPECT_TRUE(sva.done());
}

// ---- reset, off ----

TEST(SvaRaces, ResetForgetsRequestsAndIgnoresLateAnswers) {
  for (const bool unbinding : {false, true}) {
    Sva sva;
    sva.process.table.map_new(kData + kPage, kPage);
    request_data(sva);
    const auto group = sva.iommu.groups.begin()->second;
    if (unbinding) {
      sva.driver.send(sva.driver.command(TANDEM_COMMAND_UNBIND, 1));
      sva.driver.settle();
    }
    tandem_model_reset(sva.driver.model(), TANDEM_RESET_DRIVER);
    sva.iommu.forget();
    sva.driver.set_up();
    EXPECT_FALSE(tandem_model_page_response(sva.driver.model(), kBus, group[0].group, TANDEM_PAGE_RESPONSE_SUCCESS));

    // ATS stays allowed, and the numbers go on: the late response does not fit the new life.
    AqlProducer next(sva.driver, 1, 0, {.bus_pasid = kBus});
    sva.iommu.attach(kBus, next.table);
    next.submit(next.dispatch(next.load_kernel(kernels::store_ids()), 1, 1));
    ASSERT_TRUE(sva.iommu.settle_until([&] { return !sva.iommu.groups.empty(); }));
    EXPECT_FALSE(tandem_model_page_response(sva.driver.model(), kBus, group[0].group, TANDEM_PAGE_RESPONSE_SUCCESS));
    const uint64_t page = next.table.map_new(kData, kPage);
    sva.iommu.service = [](const FakeIommu::Group&) { return TANDEM_PAGE_RESPONSE_SUCCESS; };
    sva.iommu.settle();
    EXPECT_EQ(sva.driver.host.at<uint64_t>(page), 1u);
  }
}

TEST(SvaRaces, AnAtsAnswerFromBeforeAResetFitsNothing) {
  Sva sva;
  const uint64_t old_page = sva.process.table.map_new(kData, kPage);
  ask_for_data(sva, kernels::store_ids());
  const tandem_ats_request late = *sva.iommu.asked_for(kData);
  tandem_model_reset(sva.driver.model(), TANDEM_RESET_POWER);
  sva.iommu.forget();
  sva.driver.set_up();
  AqlProducer next(sva.driver, 1, 0, {.bus_pasid = kBus});
  sva.iommu.attach(kBus, next.table);
  const uint64_t page = next.table.map_new(kData, kPage);
  next.submit(next.dispatch(next.load_kernel(kernels::store_ids()), 1, 1));
  ASSERT_TRUE(sva.iommu.settle_until([&] { return sva.iommu.asked_for(kData) != nullptr; }));
  const tandem_ats_answer stale{.translated = old_page, .bytes = kPage, .read = true, .write = true};
  tandem_model_ats_answer(sva.driver.model(), late.id, &stale);
  sva.iommu.settle();
  EXPECT_EQ(sva.driver.host.at<uint64_t>(page), 1u);
  EXPECT_EQ(sva.driver.host.at<uint64_t>(old_page), 0u);
}

TEST(SvaRaces, SwitchingAtsOffFailsWhatWaitsForAnAnswer) {
  Sva sva;
  ask_for_data(sva, kernels::store_ids());
  sva.iommu.allow(false, 0);
  sva.driver.settle();
  EXPECT_EQ(sva.error(), TANDEM_QUEUE_SERVICE_FAILED);
}

TEST(SvaRaces, SwitchingPageRequestsOffFailsWhatWaitsForAResponse) {
  for (const bool ats : {true, false}) {
    Sva sva;
    request_data(sva);
    const auto group = sva.iommu.groups.begin()->second;
    sva.iommu.allow(ats, 0);
    sva.driver.settle();
    EXPECT_EQ(sva.error(), TANDEM_QUEUE_SERVICE_FAILED);
    EXPECT_FALSE(tandem_model_page_response(sva.driver.model(), kBus, group[0].group, TANDEM_PAGE_RESPONSE_SUCCESS));
    sva.driver.unbind(1);  // waits for nothing
  }
}

TEST(SvaRaces, SwitchingAtsOffEndsADrain) {
  Sva sva;
  request_data(sva);
  EXPECT_EQ(sva.driver.error_of(sva.driver.command(TANDEM_COMMAND_UNBIND, 1)), TANDEM_COMMAND_DRAINING);
  sva.iommu.allow(false, 0);
  EXPECT_EQ(sva.driver.error_of(sva.driver.command(TANDEM_COMMAND_UNBIND, 1)), TANDEM_COMMAND_OK);
}

TEST(SvaRaces, NoTranslationOutlivesSwitchingAtsOff) {
  Sva sva;
  sva.process.table.map_new(kData, kPage);
  sva.submit(kernels::wait_for_flag());
  for (int turn = 0; turn < 20; ++turn) {
    sva.iommu.answer_all();
    sva.driver.run(100);
  }
  sva.iommu.allow(false, 0);
  sva.at(kData) = 1;
  sva.driver.settle();
  EXPECT_EQ(sva.error(), TANDEM_QUEUE_SERVICE_FAILED);
  EXPECT_NE(sva.error_va & ~(kPage - 1), AqlProducer::kSignals) << "the kernel has seen the flag and ended";
}

TEST(SvaRaces, AllowanceThatShrinksHoldsNewRequestsBack) {
  Sva sva(small_config(), {.allowance = 8});
  constexpr uint64_t kTo = kData + 0x100000;
  sva.process.submit(sva.process.copy(kData, kTo, 16 * kPage));
  ASSERT_TRUE(sva.iommu.settle_until([&] { return sva.iommu.outstanding() == 8; }));
  const auto groups = sva.iommu.groups;
  tandem_model_set_ats(sva.driver.model(), true, 3);
  sva.map_on_demand();
  for (const auto& [number, group] : groups) {
    const size_t before = sva.iommu.page_requests.size();
    const bool full = sva.iommu.outstanding() - group.size() >= 3;
    sva.iommu.respond(group, sva.iommu.service(group));
    sva.driver.settle();
    EXPECT_TRUE(!full || sva.iommu.page_requests.size() == before);
    EXPECT_LE(sva.iommu.outstanding(), 8u);
  }
  sva.iommu.settle();
  EXPECT_EQ(sva.driver.counter(TANDEM_COUNTER_PACKETS), 1u);
}

}  // namespace
}  // namespace tandem::test
