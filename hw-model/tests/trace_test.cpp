// SPDX-License-Identifier: GPL-2.0-or-later
// Every record type that the device emits comes where tandem_trace.h says, and holds what it says; off means nothing.
#include <set>

#include "support/aql_producer.h"
#include "support/kernels.h"

namespace tandem::test {
namespace {

constexpr uint64_t kData = AqlProducer::kData;

tandem_trace_record last(TestDriver& driver, tandem_trace_type type) {
  const auto found = driver.host.traced(type);
  EXPECT_FALSE(found.empty()) << "no record of type " << type;
  return found.empty() ? tandem_trace_record{} : found.back();
}

TEST(Trace, APacketsLifeFromDoorbellToRetirement) {
  TestDriver driver;
  AqlProducer process(driver, 3, 2);
  process.table.map_new(kData, 4096);
  process.signal(0).value = 5;
  auto packet = process.dispatch(process.load_kernel(kernels::store_ids()), 96, 32);
  packet.completion_signal = process.signal_va(0);
  process.submit(packet);
  driver.settle();
  const auto doorbell = last(driver, TANDEM_TRACE_DOORBELL), fetch = last(driver, TANDEM_TRACE_FETCH);
  const auto dispatch = last(driver, TANDEM_TRACE_DISPATCH), retire = last(driver, TANDEM_TRACE_RETIRE);
  EXPECT_EQ(doorbell.a, 1u);
  EXPECT_EQ(fetch.va, AqlProducer::kRing);
  EXPECT_EQ(fetch.detail, static_cast<uint32_t>(TANDEM_PACKET_KERNEL_DISPATCH));
  EXPECT_EQ(dispatch.a, 3u);
  EXPECT_EQ(dispatch.b, 96u);
  EXPECT_EQ(dispatch.va, AqlProducer::kCode + 64);
  EXPECT_EQ(retire.seqno, 0u);
  EXPECT_EQ(retire.b, driver.counter(TANDEM_COUNTER_LANE_INSTRUCTIONS));
  for (const auto& record : {doorbell, fetch, dispatch, retire}) {
    EXPECT_EQ(record.pasid, 3u) << record.type;
    EXPECT_EQ(record.queue, 2u) << record.type;
  }
  EXPECT_LT(doorbell.time_ns, fetch.time_ns);
  EXPECT_LT(fetch.time_ns, dispatch.time_ns);
  EXPECT_LT(dispatch.time_ns, retire.time_ns);

  const auto fences = driver.host.traced(TANDEM_TRACE_FENCE);
  std::vector<uint32_t> kinds;
  for (const auto& fence : fences)
    if (fence.queue == 2) kinds.push_back(fence.detail);
  EXPECT_EQ(kinds, (std::vector<uint32_t>{TANDEM_TRACE_FENCE_ACQUIRE | TANDEM_FENCE_SYSTEM << 8,
                                          TANDEM_TRACE_FENCE_RELEASE | TANDEM_FENCE_SYSTEM << 8,
                                          TANDEM_TRACE_FENCE_SIGNAL | TANDEM_FENCE_SYSTEM << 8}));
  EXPECT_EQ(fences.back().a, 4u) << "the value written";
}

TEST(Trace, WalksAndFillsTellEntryAndPlace) {
  TestDriver driver;
  AqlProducer process(driver);
  const uint64_t page = process.table.map_new(kData, 4096);
  process.submit(process.dispatch(process.load_kernel(kernels::store_ids()), 1, 1));
  driver.settle();
  uint32_t levels = 0;
  for (const auto& fill : driver.host.traced(TANDEM_TRACE_FILL)) {
    if (fill.va != kData) continue;
    levels |= 1u << fill.detail;
    EXPECT_EQ(fill.bytes, 4096u);
    EXPECT_EQ(fill.a & TANDEM_PTE_ADDRESS, page);
    EXPECT_EQ(fill.unit == TANDEM_TRACE_NO_UNIT, fill.detail == 2);
  }
  EXPECT_EQ(levels, 1u << 1 | 1u << 2);
  for (const auto& walk : driver.host.traced(TANDEM_TRACE_WALK)) {
    if (walk.va != kData) continue;
    EXPECT_EQ(walk.detail & 0xff, static_cast<uint32_t>(TANDEM_ACCESS_WRITE));
    EXPECT_EQ(walk.detail >> 8 & 0xff, static_cast<uint32_t>(TANDEM_PT_LEVELS));
    EXPECT_TRUE(walk.a & TANDEM_PTE_DIRTY);
  }
}

TEST(Trace, FaultReplayAndCancel) {
  TestDriver driver;
  AqlProducer process(driver);
  process.submit(process.dispatch(process.load_kernel(kernels::store_ids())));
  driver.settle();
  const auto fault = last(driver, TANDEM_TRACE_FAULT);
  EXPECT_EQ(fault.va, kData);
  EXPECT_EQ(fault.detail, TANDEM_ACCESS_WRITE | TANDEM_FAULT_NOT_PRESENT << 8 | TANDEM_CLIENT_COMPUTE << 16);
  EXPECT_EQ(fault.seqno, 1u);
  EXPECT_EQ(fault.b, 0u);
  EXPECT_EQ(last(driver, TANDEM_TRACE_WALK).a, 0u);
  driver.replay(1);
  EXPECT_EQ(last(driver, TANDEM_TRACE_REPLAY).a, 1u);
  driver.settle();
  driver.cancel(1, 0, kData);
  driver.settle();
  const auto cancel = last(driver, TANDEM_TRACE_CANCEL);
  EXPECT_EQ(cancel.a, 1u);
  EXPECT_EQ(cancel.va, kData);
  EXPECT_EQ(cancel.detail, static_cast<uint32_t>(TANDEM_QUEUE_ADDRESS_FAULT));
  const auto queue = last(driver, TANDEM_TRACE_QUEUE);
  EXPECT_EQ(queue.detail, static_cast<uint32_t>(TANDEM_QUEUE_FAULTED));
  EXPECT_EQ(queue.a, static_cast<uint64_t>(TANDEM_QUEUE_ADDRESS_FAULT));
}

TEST(Trace, AFaultWithoutRoomSaysSoAndIsTracedAgainWhenWritten) {
  TestDriver driver;
  driver.write32(TANDEM_REG_TEST_CONTROL, TANDEM_TEST_STALL_FAULT);
  AqlProducer process(driver);
  process.submit(process.dispatch(process.load_kernel(kernels::store_ids())));
  driver.settle();
  EXPECT_EQ(last(driver, TANDEM_TRACE_FAULT).b, 1u);
  driver.write32(TANDEM_REG_TEST_CONTROL, 0);
  EXPECT_EQ(last(driver, TANDEM_TRACE_FAULT).b, 0u);
  EXPECT_EQ(driver.host.traced(TANDEM_TRACE_FAULT).size(), 2u);
}

TEST(Trace, AnInvalidationHasItsCauseItsRangeAndWhatItHit) {
  TestDriver driver;
  AqlProducer process(driver);
  process.table.map_new(kData, 4096);
  process.submit(process.dispatch(process.load_kernel(kernels::wait_for_flag())));
  driver.run(1000);
  tandem_invalidate entry = driver.invalidation(1, kData, kData + 4096, TANDEM_INVALIDATE_NOWAIT);
  entry.cause = TANDEM_CAUSE_MIGRATE;
  entry.notify_start = kData - 4096;
  entry.notify_end = kData + 8192;
  entry.tgid = 77;
  driver.send(entry);
  driver.run(1000);
  const auto sent = last(driver, TANDEM_TRACE_INVALIDATE), done = last(driver, TANDEM_TRACE_INVALIDATED);
  EXPECT_EQ(sent.a, entry.notify_start);
  EXPECT_EQ(sent.b, entry.notify_end);
  EXPECT_EQ(sent.queue, 77u);
  EXPECT_EQ(done.queue, uint32_t{TANDEM_HIT_L1 | TANDEM_HIT_L2});
  EXPECT_EQ(done.a, 2u);
  EXPECT_GT(done.b, 0u);
  for (const auto& record : {sent, done}) {
    EXPECT_EQ(record.va, kData);
    EXPECT_EQ(record.bytes, 4096u);
    EXPECT_EQ(record.seqno, entry.seqno);
    EXPECT_EQ(record.detail, TANDEM_CAUSE_MIGRATE | uint32_t{TANDEM_INVALIDATE_NOWAIT} << 16);
  }
  // The kernel's own page is code that was decoded.
  driver.invalidate(1, AqlProducer::kCode, AqlProducer::kCode + 4096);
  EXPECT_TRUE(last(driver, TANDEM_TRACE_INVALIDATED).queue & TANDEM_HIT_CODE);
}

TEST(Trace, CommandsCopiesAndTheDriversNotes) {
  TestDriver driver;
  AqlProducer process(driver, 1);
  const auto bound = last(driver, TANDEM_TRACE_BIND);
  EXPECT_EQ(bound.va, process.table.root());
  EXPECT_EQ(bound.bytes, 101u);
  EXPECT_EQ(std::memcmp(&bound.a, "test\0\0\0", 8), 0);

  const uint64_t from = process.table.map_new(kData, 4096);
  process.table.map_new(kData + 4096, 4096);
  process.submit(process.copy(kData, kData + 4096, 1000));
  driver.settle();
  auto copy = last(driver, TANDEM_TRACE_COPY);
  EXPECT_EQ(copy.detail & 0xff, static_cast<uint32_t>(TANDEM_TRACE_COPY_VIRTUAL));
  EXPECT_EQ(copy.va, kData + 4096);
  EXPECT_EQ(copy.bytes, 1000u);
  EXPECT_EQ(copy.a, kData);
  tandem_command physical = driver.command(TANDEM_COMMAND_COPY);
  physical.u.copy.source = from;
  physical.u.copy.destination = driver.pages.take();
  physical.u.copy.bytes = 64;
  driver.execute(physical);
  copy = last(driver, TANDEM_TRACE_COPY);
  EXPECT_EQ(copy.detail & 0xff, static_cast<uint32_t>(TANDEM_TRACE_COPY_PHYSICAL));
  EXPECT_EQ(copy.seqno, physical.seqno);

  tandem_command note = driver.command(TANDEM_COMMAND_NOTE, 1);
  note.u.note.cause = TANDEM_CAUSE_SERVICE;
  note.u.note.tgid = 7;
  note.u.note.start = 0x1000;
  note.u.note.end = 0x3000;
  note.u.note.value = 2;
  driver.execute(note);
  const auto noted = last(driver, TANDEM_TRACE_NOTE);
  EXPECT_EQ(noted.detail, static_cast<uint32_t>(TANDEM_CAUSE_SERVICE));
  EXPECT_EQ(noted.bytes, 0x2000u);
  EXPECT_EQ(noted.a, 2u);
  EXPECT_EQ(noted.queue, 7u);

  tandem_command migrated = driver.command(TANDEM_COMMAND_MIGRATED, 1);
  migrated.u.migrated.cause = TANDEM_MIGRATE_CPU_FAULT;
  migrated.u.migrated.tgid = 7;
  migrated.u.migrated.start = 0x200000;
  migrated.u.migrated.end = 0x400000;
  migrated.u.migrated.bytes = 0x1fe000;
  migrated.u.migrated.nanoseconds = 5000;
  migrated.u.migrated.from = TANDEM_APERTURE_VRAM;
  migrated.u.migrated.failed = 2;
  driver.execute(migrated);
  const auto migrate = last(driver, TANDEM_TRACE_MIGRATE);
  EXPECT_EQ(migrate.detail, static_cast<uint32_t>(TANDEM_MIGRATE_CPU_FAULT | TANDEM_APERTURE_VRAM << 8));
  EXPECT_EQ(migrate.pasid, 1u);
  EXPECT_EQ(migrate.queue, 7u);
  EXPECT_EQ(migrate.va, 0x200000u);
  EXPECT_EQ(migrate.bytes, 0x200000u);
  EXPECT_EQ(migrate.seqno, migrated.seqno);
  EXPECT_EQ(migrate.a, 0x1fe000u | 2ULL << 48);
  EXPECT_EQ(migrate.b, 5000u);

  driver.execute(driver.command(static_cast<tandem_command_type>(99)));
  EXPECT_EQ(last(driver, TANDEM_TRACE_COMMAND).detail, 99u | TANDEM_COMMAND_BAD_TYPE << 16);
  driver.execute(driver.command(TANDEM_COMMAND_NOP));
  EXPECT_EQ(last(driver, TANDEM_TRACE_FENCE).detail, static_cast<uint32_t>(TANDEM_TRACE_FENCE_COMMAND));
  driver.unbind(1);
  EXPECT_EQ(last(driver, TANDEM_TRACE_UNBIND).pasid, 1u);
  EXPECT_EQ(last(driver, TANDEM_TRACE_QUEUE).detail, static_cast<uint32_t>(TANDEM_QUEUE_DISABLED));
  driver.write32(TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
  EXPECT_EQ(last(driver, TANDEM_TRACE_RESET).detail, static_cast<uint32_t>(TANDEM_RESET_DRIVER));
}

// Something of everything, on a device that is traced or not.
void something_of_everything(TestDriver& driver) {
  AqlProducer process(driver);
  process.submit(process.dispatch(process.load_kernel(kernels::store_ids())));
  driver.settle();
  process.table.map_new(kData, 8192);
  driver.replay(1);
  driver.settle();
  process.submit(process.copy(kData, kData + 4096, 100));
  driver.settle();
  driver.invalidate(1, kData, kData + 4096);
  driver.execute(driver.command(TANDEM_COMMAND_NOP));
  driver.execute(driver.command(TANDEM_COMMAND_NOTE));
  driver.unbind(1);
}

TEST(Trace, OffMeansNothingAndItCanBeSwitchedAtAnyTime) {
  tandem_model_config config = small_config();
  config.trace = false;
  TestDriver driver(config);
  EXPECT_FALSE(driver.read32(TANDEM_REG_FEATURES) & TANDEM_FEATURE_TRACE);
  something_of_everything(driver);
  EXPECT_EQ(driver.host.trace.size(), 0u);
  tandem_model_set_trace(driver.model(), true);
  EXPECT_TRUE(driver.read32(TANDEM_REG_FEATURES) & TANDEM_FEATURE_TRACE);
  something_of_everything(driver);
  std::set<uint16_t> types;
  for (const auto& record : driver.host.trace) types.insert(record.type);
  for (const auto type : {TANDEM_TRACE_BIND, TANDEM_TRACE_UNBIND, TANDEM_TRACE_QUEUE, TANDEM_TRACE_DOORBELL,
                          TANDEM_TRACE_FETCH, TANDEM_TRACE_DISPATCH, TANDEM_TRACE_RETIRE, TANDEM_TRACE_FENCE,
                          TANDEM_TRACE_WALK, TANDEM_TRACE_FILL, TANDEM_TRACE_FAULT, TANDEM_TRACE_REPLAY,
                          TANDEM_TRACE_INVALIDATE, TANDEM_TRACE_INVALIDATED, TANDEM_TRACE_COPY, TANDEM_TRACE_NOTE,
                          TANDEM_TRACE_COMMAND})
    EXPECT_TRUE(types.contains(type)) << type;
  const size_t so_far = driver.host.trace.size();
  tandem_model_set_trace(driver.model(), false);
  something_of_everything(driver);
  EXPECT_EQ(driver.host.trace.size(), so_far);
}

TEST(Trace, TimeNeverGoesBack) {
  TestDriver driver;
  something_of_everything(driver);
  EXPECT_TRUE(std::is_sorted(driver.host.trace.begin(), driver.host.trace.end(),
                             [](const auto& a, const auto& b) { return a.time_ns < b.time_ns; }));
}

}  // namespace
}  // namespace tandem::test
