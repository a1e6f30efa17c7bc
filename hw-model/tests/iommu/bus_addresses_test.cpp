// SPDX-License-Identifier: GPL-2.0-or-later
// The mirror behind an IOMMU: rings, tables, pages and copies have addresses that only the IOMMU knows. Every test has memory where
// no address of the driver leads by itself, so whatever is not translated fails.
#include "iommu/bus_addresses.h"

#include "support/aql_producer.h"
#include "support/fake_iommu.h"
#include "support/kernels.h"

namespace tandem::test {
namespace {

constexpr uint64_t kPage = TANDEM_PAGE_BYTES;
constexpr uint64_t kData = AqlProducer::kData;
constexpr uint64_t kBase = 1ULL << 40;

struct Behind {
  explicit Behind(const tandem_model_config& config = small_config()) : driver(config), iommu(driver) {
    driver.host.memory_base = kBase;
    iommu.bus = [this](const tandem_ats_request& request) { return lead(request); };
    tandem_model_reset(driver.model(), TANDEM_RESET_DRIVER);
    tandem_model_set_bus_translation(driver.model(), true);
    driver.set_up();
    driver.between_ticks = [this] { iommu.answer_all(); };
    iommu.settle();
  }
  // Page for page to where it is; or elsewhere, or nowhere.
  tandem_ats_answer lead(const tandem_ats_request& request) {
    const auto moved = elsewhere.find(request.address);
    const uint64_t to = moved == elsewhere.end() ? request.address : moved->second;
    if (to == kNowhere) return {};
    return {.translated = to + kBase, .bytes = kPage, .read = true, .write = true};
  }
  void change(uint64_t iova, uint64_t to) {
    elsewhere[iova] = to;
    iommu.invalidate(TANDEM_NO_PASID, iova, kPage);
  }

  static constexpr uint64_t kNowhere = ~0ULL;
  TestDriver driver;
  FakeIommu iommu;
  std::map<uint64_t, uint64_t> elsewhere;
};

TEST(BusAddresses, CommandsAndTheirCompletionGoThroughTheIommu) {
  Behind behind;
  behind.driver.execute(behind.driver.command(TANDEM_COMMAND_NOP));
  EXPECT_EQ(behind.iommu.ats_requests.size(), 2u) << "status page and ring";
  for (const tandem_ats_request& request : behind.iommu.ats_requests) EXPECT_EQ(request.pasid, TANDEM_NO_PASID);
  const size_t known = behind.iommu.ats_requests.size();
  for (int i = 0; i < 10; ++i) behind.driver.execute(behind.driver.command(TANDEM_COMMAND_NOP));
  EXPECT_EQ(behind.iommu.ats_requests.size(), known) << "what is known is not asked for again";
}

TEST(BusAddresses, ACommandWaitsUntilTheRingIsKnown) {
  Behind behind;
  behind.iommu.invalidate(TANDEM_NO_PASID, 0, 0);
  const tandem_command nop = behind.driver.command(TANDEM_COMMAND_NOP);
  behind.driver.send(nop);
  behind.driver.settle();
  EXPECT_LT(behind.driver.status().command_done, nop.seqno);
  behind.iommu.settle();
  EXPECT_EQ(behind.driver.status().command_done, nop.seqno);
}

TEST(BusAddresses, ARingThatLeadsNowhereStopsTheDevice) {
  Behind behind;
  behind.change(behind.driver.commands, Behind::kNowhere);
  behind.driver.send(behind.driver.command(TANDEM_COMMAND_NOP));
  behind.iommu.settle();
  EXPECT_EQ(behind.driver.read32(TANDEM_REG_ERROR), TANDEM_DEVICE_RING_DMA);
}

TEST(BusAddresses, WithoutAtsNothingIsKnown) {
  Behind behind;
  behind.iommu.allow(false, 0);
  behind.driver.send(behind.driver.command(TANDEM_COMMAND_NOP));
  behind.driver.settle();
  EXPECT_EQ(behind.driver.read32(TANDEM_REG_ERROR), TANDEM_DEVICE_RING_DMA);
}

TEST(BusAddresses, CopiesGoThroughTheIommuPageByPage) {
  Behind behind;
  const uint64_t from = behind.driver.pages.take(4 * kPage), to = behind.driver.pages.take(4 * kPage);
  const uint64_t there = behind.driver.pages.take();
  behind.elsewhere[to + kPage] = there;
  for (uint64_t page = 0; page < 4; ++page) behind.driver.host.at<uint64_t>(from + page * kPage + 8) = page + 1;
  tandem_command copy = behind.driver.command(TANDEM_COMMAND_COPY);
  copy.u.copy.source = from;
  copy.u.copy.destination = to;
  copy.u.copy.bytes = 4 * kPage;
  EXPECT_EQ(behind.driver.error_of(copy), TANDEM_COMMAND_OK);
  EXPECT_EQ(behind.driver.host.at<uint64_t>(to + 8), 1u);
  EXPECT_EQ(behind.driver.host.at<uint64_t>(to + kPage + 8), 0u);
  EXPECT_EQ(behind.driver.host.at<uint64_t>(there + 8), 2u);
  EXPECT_EQ(behind.driver.host.at<uint64_t>(to + 3 * kPage + 8), 4u);
}

TEST(BusAddresses, ACopyThatLeadsNowhereFails) {
  Behind behind;
  const uint64_t from = behind.driver.pages.take(2 * kPage), to = behind.driver.pages.take(2 * kPage);
  behind.elsewhere[from + kPage] = Behind::kNowhere;
  tandem_command copy = behind.driver.command(TANDEM_COMMAND_COPY);
  copy.u.copy.source = from;
  copy.u.copy.destination = to;
  copy.u.copy.bytes = 2 * kPage;
  EXPECT_EQ(behind.driver.error_of(copy), TANDEM_COMMAND_COPY_FAILED);
}

// ---- a mirror's pages ----

class BusMirror : public ::testing::TestWithParam<uint32_t> {
 protected:
  static tandem_model_config config() {
    tandem_model_config config = small_config();
    config.walk_latency = GetParam();
    return config;
  }
  BusMirror() : behind_(config()), process_(behind_.driver, 1, 0) {}

  void run_kernel() {
    process_.signal(0).value = 1;
    auto packet = process_.dispatch(process_.load_kernel(kernels::store_ids()), 1, 1);
    packet.completion_signal = AqlProducer::signal_va(0);
    process_.submit(packet);
    behind_.iommu.settle();
  }

  Behind behind_;
  AqlProducer process_;
};

TEST_P(BusMirror, AKernelRuns) {
  const uint64_t page = process_.table.map_new(kData, kPage);
  run_kernel();
  EXPECT_EQ(process_.signal(0).value, 0);
  EXPECT_EQ(behind_.driver.host.at<uint64_t>(page), 1u);
}

TEST_P(BusMirror, APageThatLeadsNowhereIsAFault) {
  const uint64_t page = process_.table.map_new(kData, kPage);
  behind_.elsewhere[page] = Behind::kNowhere;
  run_kernel();
  ASSERT_EQ(behind_.driver.faults_waiting(), 1u);
  const tandem_fault_record fault = behind_.driver.take_fault();
  EXPECT_EQ(fault.va, kData);
  EXPECT_EQ(fault.reason, TANDEM_FAULT_PAGE_DMA);
  behind_.elsewhere.clear();
  behind_.driver.execute(behind_.driver.command(TANDEM_COMMAND_REPLAY, 1));
  behind_.iommu.settle();
  EXPECT_EQ(behind_.driver.host.at<uint64_t>(page), 1u);
}

// The entry of the device's table stays as it is: only the IOMMU says that the page is elsewhere now.
TEST_P(BusMirror, NothingUsesWhatTheIommuHasTakenBack) {
  const uint64_t page = process_.table.map_new(kData, kPage);
  run_kernel();
  ASSERT_EQ(behind_.driver.host.at<uint64_t>(page), 1u);
  behind_.driver.host.at<uint64_t>(page) = 0;
  const uint64_t there = behind_.driver.pages.take();
  behind_.change(page, there);
  run_kernel();
  EXPECT_EQ(behind_.driver.host.at<uint64_t>(page), 0u) << "through an address that was taken back";
  EXPECT_EQ(behind_.driver.host.at<uint64_t>(there), 1u);
}

// The same for a table of the walk.
TEST_P(BusMirror, TablesMoveToo) {
  process_.table.map_new(kData, kPage);
  run_kernel();
  const uint64_t old_table = process_.table.entry(kData, 1) & TANDEM_PTE_ADDRESS;
  const uint64_t new_table = behind_.driver.pages.take(), page = behind_.driver.pages.take();
  std::memcpy(behind_.driver.host.ram(new_table), behind_.driver.host.ram(old_table), kPage);
  behind_.driver.host.at<uint64_t>(new_table + TANDEM_LEVEL_INDEX(kData, 0) * 8) = page | kReadWrite;
  behind_.change(old_table, new_table);
  behind_.driver.invalidate(1, kData, kData + kPage);
  run_kernel();
  EXPECT_EQ(behind_.driver.host.at<uint64_t>(page), 1u);
}

INSTANTIATE_TEST_SUITE_P(WalkLatency, BusMirror, ::testing::Values(0u, 3u));

}  // namespace
}  // namespace tandem::test
