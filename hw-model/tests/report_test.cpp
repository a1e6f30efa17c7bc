// SPDX-License-Identifier: GPL-2.0-or-later
// What the device writes about a wavefront that failed, before it tells of the failure.
#include "support/aql_producer.h"
#include "support/kernels.h"

namespace tandem::test {
namespace {

using namespace rv;

class WaveReport : public ::testing::Test {
 protected:
  tandem_command report_command(uint64_t address) {
    tandem_command command = driver.command(TANDEM_COMMAND_QUEUE_REPORT, process.pasid());
    command.u.report.queue = process.queue();
    command.u.report.address = address;
    return command;
  }
  // The verdict of the last command: 0, or the code of its error event.
  unsigned verdict_on(const tandem_command& command) {
    driver.execute(command);
    return driver.events_waiting() ? driver.take_event().code : 0;
  }
  const tandem_wave_report& written() { return driver.host.at<tandem_wave_report>(place); }

  TestDriver driver;
  AqlProducer process{driver};
  const uint64_t place = driver.pages.take();
};

// Work item 34 of a workgroup, lane 2 of its second wavefront, goes where the others do not.
const kernels::Code fails_in_one_lane = {
    csrr(t0, TANDEM_CSR_LOCAL_ID_X), addi(t1, x0, 34), b_type(1, t0, t1, 8), 0xffffffff, ret()};

TEST_F(WaveReport, NamesTheLaneAndItsRegisters) {
  ASSERT_EQ(verdict_on(report_command(place)), 0u);
  process.submit(process.dispatch(process.load_kernel(fails_in_one_lane), 128, 64));
  driver.settle();
  ASSERT_EQ(driver.events_waiting(), 1u);
  const tandem_event event = driver.take_event();
  const tandem_wave_report& report = written();
  EXPECT_EQ(report.version, static_cast<uint32_t>(TANDEM_WAVE_REPORT_VERSION));
  EXPECT_EQ(report.error, static_cast<uint32_t>(TANDEM_QUEUE_ILLEGAL_INSTRUCTION));
  EXPECT_EQ(report.pasid, process.pasid());
  EXPECT_EQ(report.queue, process.queue());
  EXPECT_EQ(report.packet, 0u);
  EXPECT_EQ(report.pc, event.pc);
  EXPECT_EQ(report.pc, AqlProducer::kCode + 64 + 3 * 4);
  EXPECT_EQ(report.detail, 0xffffffffu);
  EXPECT_EQ(report.lane, 2u);
  EXPECT_EQ(report.active_lanes, 1u << 2);
  EXPECT_EQ(report.wave, 1u);
  EXPECT_EQ(report.local_id[0], 34u);
  EXPECT_EQ(report.x[0], 0u);
  EXPECT_EQ(report.x[t0], 34u);
  EXPECT_EQ(report.x[t1], 34u);
  EXPECT_EQ(report.x[a0], AqlProducer::kData);
}

TEST_F(WaveReport, TellsTheAddressOfAnAccessThatWasCancelled) {
  ASSERT_EQ(verdict_on(report_command(place)), 0u);
  process.submit(process.dispatch(process.load_kernel({{sd(t0, a0, 40), ret()}})));
  driver.settle();
  ASSERT_EQ(driver.faults_waiting(), 1u);
  driver.cancel(1, 0, AqlProducer::kData);
  driver.settle();
  ASSERT_EQ(driver.events_waiting(), 1u);
  EXPECT_EQ(written().error, static_cast<uint32_t>(TANDEM_QUEUE_ADDRESS_FAULT));
  EXPECT_EQ(written().va, AqlProducer::kData + 40);
  EXPECT_EQ(written().detail, static_cast<uint32_t>(TANDEM_ACCESS_WRITE));
  EXPECT_EQ(written().active_lanes, 0xffffffffu);
}

TEST_F(WaveReport, IsThereBeforeTheEvent) {
  ASSERT_EQ(verdict_on(report_command(place)), 0u);
  process.submit(process.dispatch(process.load_kernel(kernels::illegal())));
  ASSERT_TRUE(driver.run_until([&] { return driver.events_waiting() != 0 || written().version != 0; }));
  EXPECT_NE(written().version, 0u);
}

TEST_F(WaveReport, ErrorsThatNoWavefrontMadeLeaveItAlone) {
  ASSERT_EQ(verdict_on(report_command(place)), 0u);
  auto packet = process.dispatch(process.load_kernel(kernels::count()));
  packet.setup = 0;
  process.submit(packet);
  driver.settle();
  ASSERT_EQ(driver.take_event().code, TANDEM_QUEUE_BAD_PACKET);
  EXPECT_EQ(written().version, 0u);
}

TEST_F(WaveReport, NothingIsWrittenWhereNoPlaceIsGiven) {
  ASSERT_EQ(verdict_on(report_command(place)), 0u);
  ASSERT_EQ(verdict_on(report_command(0)), 0u);
  process.submit(process.dispatch(process.load_kernel(kernels::illegal())));
  driver.settle();
  EXPECT_EQ(driver.take_event().code, TANDEM_QUEUE_ILLEGAL_INSTRUCTION);
  EXPECT_EQ(written().version, 0u);
  EXPECT_TRUE(driver.host.errors.empty()) << driver.host.errors.front();
}

TEST_F(WaveReport, ANewQueueOfTheSameNumberHasNoPlaceYet) {
  ASSERT_EQ(verdict_on(report_command(place)), 0u);
  process.destroy_queue();
  process.restart();
  process.submit(process.dispatch(process.load_kernel(kernels::illegal())));
  driver.settle();
  EXPECT_EQ(driver.take_event().code, TANDEM_QUEUE_ILLEGAL_INSTRUCTION);
  EXPECT_EQ(written().version, 0u);
}

TEST_F(WaveReport, BadPlacesAreRefused) {
  EXPECT_EQ(verdict_on(report_command(place + 64)), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(verdict_on(report_command(1ULL << 50)), TANDEM_COMMAND_BAD_ADDRESS);
  tandem_command other_queue = report_command(place), other_space = report_command(place), reserved = report_command(place);
  other_queue.u.report.queue = 3;
  EXPECT_EQ(verdict_on(other_queue), TANDEM_COMMAND_BAD_QUEUE);
  other_space.pasid = 9;
  EXPECT_EQ(verdict_on(other_space), TANDEM_COMMAND_BAD_PASID);
  reserved.u.report.reserved[3] = 1;
  EXPECT_EQ(verdict_on(reserved), TANDEM_COMMAND_BAD_PARAMETER);
}

}  // namespace
}  // namespace tandem::test
