// SPDX-License-Identifier: GPL-2.0-or-later
// Registers, doorbells, kernel commands, and a guest that means harm.
#include <random>

#include "support/aql_producer.h"
#include "support/kernels.h"

namespace tandem::test {
namespace {

TEST(Registers, IdentityAndShape) {
  TestDriver driver;
  EXPECT_EQ(driver.read32(TANDEM_REG_ID), TANDEM_ID_VALUE);
  EXPECT_EQ(driver.read32(TANDEM_REG_ABI_VERSION), TANDEM_ABI_MAJOR << 16 | TANDEM_ABI_MINOR);
  EXPECT_EQ(driver.read32(TANDEM_REG_COMPUTE_UNITS), 2u);
  EXPECT_EQ(driver.read32(TANDEM_REG_FEATURES) & TANDEM_FEATURE_TEST_HOOKS, TANDEM_FEATURE_TEST_HOOKS);
}

TEST(Registers, AccessTypesAreKept) {
  TestDriver driver;
  driver.write32(TANDEM_REG_ID, 0);
  EXPECT_EQ(driver.read32(TANDEM_REG_ID), TANDEM_ID_VALUE);
  EXPECT_EQ(driver.host.errors.size(), 1u);
  driver.write64(TANDEM_REG_COMMAND_BASE, 0x1234000);  // set-up registers, while the device is enabled
  EXPECT_EQ(driver.read64(TANDEM_REG_COMMAND_BASE), driver.commands);
  EXPECT_EQ(driver.host.errors.size(), 2u);
  driver.execute([&] {
    tandem_command nop = driver.command(TANDEM_COMMAND_NOP);
    nop.flags = TANDEM_COMMAND_INTERRUPT;
    return nop;
  }());
  const uint32_t bit = 1u << TANDEM_VECTOR_COMMAND;
  EXPECT_EQ(driver.read32(TANDEM_REG_INTERRUPT_STATUS), bit);
  driver.write32(TANDEM_REG_INTERRUPT_STATUS, 0);
  EXPECT_EQ(driver.read32(TANDEM_REG_INTERRUPT_STATUS), bit);
  driver.write32(TANDEM_REG_INTERRUPT_STATUS, bit);
  EXPECT_EQ(driver.read32(TANDEM_REG_INTERRUPT_STATUS), 0u);
}

TEST(Registers, SixtyFourBitRegistersInHalves) {
  TestDriver driver;
  driver.write32(TANDEM_REG_CONTROL, 0);
  driver.write32(TANDEM_REG_FAULT_BASE, 0x5000);
  EXPECT_EQ(driver.read64(TANDEM_REG_FAULT_BASE), driver.faults);  // not yet
  driver.write32(TANDEM_REG_FAULT_BASE + 4, 0x12);
  EXPECT_EQ(driver.read64(TANDEM_REG_FAULT_BASE), 0x1200005000u);
  const uint64_t low = driver.read32(TANDEM_REG_FAULT_BASE);
  EXPECT_EQ(uint64_t{driver.read32(TANDEM_REG_FAULT_BASE + 4)} << 32 | low, 0x1200005000u);
}

TEST(Registers, OddAccessesReadAsOnesAndAreLogged) {
  TestDriver driver;
  tandem_model* model = driver.model();
  EXPECT_EQ(tandem_model_mmio_read(model, TANDEM_BAR_REGS, TANDEM_REG_ID, 1), 0xffu);
  EXPECT_EQ(tandem_model_mmio_read(model, TANDEM_BAR_REGS, TANDEM_REG_ID, 2), 0xffffu);
  EXPECT_EQ(tandem_model_mmio_read(model, TANDEM_BAR_REGS, TANDEM_REG_ID, 8), ~0ULL);
  EXPECT_EQ(tandem_model_mmio_read(model, TANDEM_BAR_REGS, TANDEM_REG_ID + 2, 4), 0xffffffffu);
  EXPECT_EQ(tandem_model_mmio_read(model, TANDEM_BAR_REGS, 0x38, 4), 0xffffffffu);
  EXPECT_EQ(tandem_model_mmio_read(model, TANDEM_BAR_REGS, TANDEM_REGS_SIZE, 4), 0xffffffffu);
  EXPECT_EQ(driver.host.errors.size(), 6u);
  tandem_model_mmio_write(model, TANDEM_BAR_DOORBELLS, 4, 1, 4);
  tandem_model_mmio_write(model, TANDEM_BAR_DOORBELLS, 0, 1, 8);
  tandem_model_mmio_write(model, TANDEM_BAR_DOORBELLS, 1ULL << 40, 1, 8);
  EXPECT_EQ(driver.host.errors.size(), 9u);
}

TEST(Registers, AnInterruptRaisedWhileDisabledComesWhenEnabled) {
  TestDriver driver;
  driver.write32(TANDEM_REG_INTERRUPT_ENABLE, 0);
  tandem_command nop = driver.command(TANDEM_COMMAND_NOP);
  nop.flags = TANDEM_COMMAND_INTERRUPT;
  driver.execute(nop);
  EXPECT_EQ(driver.host.interrupts_of(TANDEM_VECTOR_COMMAND), 0u);
  driver.write32(TANDEM_REG_INTERRUPT_ENABLE, 1u << TANDEM_VECTOR_COMMAND);
  EXPECT_EQ(driver.host.interrupts_of(TANDEM_VECTOR_COMMAND), 1u);
}

TEST(Registers, ARingThatIsNotSetUpStopsTheDevice) {
  TestDriver driver;
  driver.write32(TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
  driver.write32(TANDEM_REG_CONTROL, TANDEM_CONTROL_ENABLE);
  EXPECT_EQ(driver.read32(TANDEM_REG_ERROR), static_cast<uint32_t>(TANDEM_DEVICE_BAD_RING));
  EXPECT_TRUE(driver.read32(TANDEM_REG_STATUS) & TANDEM_STATUS_STOPPED);
  driver.write32(TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
  EXPECT_EQ(driver.read32(TANDEM_REG_STATUS), 0u);
}

TEST(Registers, PutFarAheadStopsTheDevice) {
  for (const uint32_t reg : {TANDEM_REG_COMMAND_PUT, TANDEM_REG_INVALIDATE_PUT}) {
    TestDriver driver;
    driver.write32(reg, 1000);
    EXPECT_EQ(driver.read32(TANDEM_REG_ERROR), static_cast<uint32_t>(TANDEM_DEVICE_BAD_RING));
    EXPECT_EQ(driver.run(), TANDEM_RUN_IDLE);
  }
}

TEST(Commands, MistakesCompleteWithAnEvent) {
  TestDriver driver;
  AqlProducer process(driver);
  const auto error_of = [&](tandem_command command) {
    driver.execute(command);
    if (!driver.events_waiting()) return 0;
    const tandem_event event = driver.take_event();
    EXPECT_EQ(event.type, TANDEM_EVENT_COMMAND_ERROR);
    EXPECT_EQ(event.value, command.seqno);
    return static_cast<int>(event.code);
  };
  EXPECT_EQ(error_of(driver.command(TANDEM_COMMAND_NOP)), 0);
  EXPECT_EQ(error_of(driver.command(static_cast<tandem_command_type>(99))), TANDEM_COMMAND_BAD_TYPE);
  EXPECT_EQ(error_of(driver.command(TANDEM_COMMAND_REPLAY, 5)), TANDEM_COMMAND_BAD_PASID);
  EXPECT_EQ(error_of(driver.command(TANDEM_COMMAND_BIND, 1)), TANDEM_COMMAND_BAD_PASID);
  tandem_command bind = driver.command(TANDEM_COMMAND_BIND, 2);
  bind.u.bind.root = 1ULL << 40;
  bind.u.bind.translation = TANDEM_TRANSLATION_MIRROR;
  EXPECT_EQ(error_of(bind), TANDEM_COMMAND_BAD_ADDRESS);
  EXPECT_EQ(error_of(process.create_command()), TANDEM_COMMAND_BAD_QUEUE);
  tandem_command create = process.create_command();
  create.u.queue.queue = create.u.queue.doorbell = 3;
  create.u.queue.ring = TANDEM_VA_LIMIT;
  EXPECT_EQ(error_of(create), TANDEM_COMMAND_BAD_ADDRESS);
  tandem_command copy = driver.command(TANDEM_COMMAND_COPY);
  copy.u.copy.source = 1ULL << 40;
  copy.u.copy.bytes = 64;
  EXPECT_EQ(error_of(copy), TANDEM_COMMAND_COPY_FAILED);
  tandem_command wrap = driver.command(TANDEM_COMMAND_FILL);
  wrap.u.copy.destination = ~0ULL;
  wrap.u.copy.bytes = 4096;
  EXPECT_EQ(error_of(wrap), TANDEM_COMMAND_BAD_ADDRESS);
}

TEST(Commands, AMigrationThatMakesNoSenseIsRefused) {
  TestDriver driver;
  const auto error_of = [&](auto&& spoil) {
    tandem_command migrated = driver.command(TANDEM_COMMAND_MIGRATED);
    migrated.u.migrated.cause = TANDEM_MIGRATE_EVICT;
    migrated.u.migrated.end = 4096;
    spoil(migrated);
    driver.execute(migrated);
    return driver.events_waiting() ? static_cast<int>(driver.take_event().code) : 0;
  };
  using Command = tandem_command&;
  EXPECT_EQ(error_of([](Command) {}), 0);
  EXPECT_EQ(error_of([](Command c) { c.u.migrated.cause = 0; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error_of([](Command c) { c.u.migrated.cause = TANDEM_MIGRATE_REMOVE + 1; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error_of([](Command c) { c.u.migrated.from = 3; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error_of([](Command c) { c.u.migrated.to = 3; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error_of([](Command c) { c.u.migrated.start = 8192; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(error_of([](Command c) { c.u.migrated.reserved0 = 1; }), TANDEM_COMMAND_BAD_PARAMETER);
  EXPECT_EQ(driver.host.traced(TANDEM_TRACE_MIGRATE).size(), 1u);
}

TEST(Commands, CopyAndFillPhysicalMemory) {
  tandem_model_config config = small_config();
  config.vram_bytes = 2 << 20;
  TestDriver driver(config);
  const uint64_t from = driver.pages.take(16384), to = driver.pages.take(16384);
  for (uint64_t n = 0; n < 16384; ++n) driver.host.at<uint8_t>(from + n) = static_cast<uint8_t>(n * 7);
  for (const uint64_t skew : {0, 1, 2, 4, 8, 3}) {
    std::memset(driver.host.ram(to), 0, 16384);
    tandem_command out = driver.command(TANDEM_COMMAND_COPY);
    out.u.copy.source = from + 5;
    out.u.copy.destination = 100 + skew;
    out.u.copy.bytes = 9001;
    out.u.copy.destination_aperture = TANDEM_APERTURE_VRAM;
    driver.execute(out);
    tandem_command back = driver.command(TANDEM_COMMAND_COPY);
    back.u.copy.source = 100 + skew;
    back.u.copy.source_aperture = TANDEM_APERTURE_VRAM;
    back.u.copy.destination = to + 1;
    back.u.copy.bytes = 9001;
    driver.execute(back);
    EXPECT_EQ(std::memcmp(driver.host.ram(to + 1), driver.host.ram(from + 5), 9001), 0) << skew;
    EXPECT_EQ(driver.host.at<uint8_t>(to), 0);
    EXPECT_EQ(driver.host.at<uint8_t>(to + 9002), 0);
  }
  tandem_command fill = driver.command(TANDEM_COMMAND_FILL);
  fill.u.copy.source = 0x0807060504030201;
  fill.u.copy.destination = to + 3;
  fill.u.copy.bytes = 8193;
  driver.execute(fill);
  for (uint64_t n = 0; n < 8193; ++n) ASSERT_EQ(driver.host.at<uint8_t>(to + 3 + n), n % 8 + 1);
  EXPECT_EQ(driver.events_waiting(), 0u);
}

TEST(Commands, VirtualCopyFaultsLikeAWavefront) {
  TestDriver driver;
  AqlProducer process(driver);
  const uint64_t from = process.table.map_new(AqlProducer::kData, 16384);
  for (uint64_t n = 0; n < 16384 / 8; ++n) driver.host.at<uint64_t>(from + 8 * n) = n;
  constexpr uint64_t kTo = AqlProducer::kData + 0x100000;
  process.submit(process.copy(AqlProducer::kData, kTo, 16384));
  uint64_t pages[4] = {};
  for (int turn = 0; turn < 10 && driver.counter(TANDEM_COUNTER_PACKETS) == 0; ++turn) {
    driver.settle();
    while (driver.faults_waiting()) {
      const tandem_fault_record fault = driver.take_fault();
      EXPECT_EQ(fault.client, TANDEM_CLIENT_COPY);
      EXPECT_EQ(fault.access, TANDEM_ACCESS_WRITE);
      pages[(fault.va - kTo) / 4096] = process.table.map_new(fault.va, 4096);
    }
    driver.replay(1);
  }
  EXPECT_EQ(driver.counter(TANDEM_COUNTER_PACKETS), 1u);
  for (uint64_t page = 0; page < 4; ++page)
    EXPECT_EQ(std::memcmp(driver.host.ram(pages[page]), driver.host.ram(from + page * 4096), 4096), 0);
}

TEST(Config, OutOfRangeValuesNameThePropertyAndItsLimits) {
  FakeHost host;
  const tandem_host_ops ops = host.ops();
  char error[256];
  tandem_model_config config = small_config();
  config.compute_units = 65;
  EXPECT_EQ(tandem_model_create(&config, &ops, &host, nullptr, error, sizeof error), nullptr);
  EXPECT_STREQ(error, "compute-units=65 is out of range: it must be 1 to 64");
  config = small_config();
  config.l2_sets = 12;
  EXPECT_EQ(tandem_model_create(&config, &ops, &host, nullptr, error, sizeof error), nullptr);
  EXPECT_STREQ(error, "l2-sets=12 must be a power of two");
}

// Random registers, doorbells, ring entries and packets. The device may stop or end queues; it must not loop, crash or
// touch what is not memory.
TEST(Hostile, RandomInputsNeverBreakTheModel) {
  std::mt19937_64 random(20240607);
  tandem_model_config config = small_config();
  config.walk_latency = 1;
  config.store_queue_depth = 2;
  config.trace = false;
  TestDriver driver(config, 8 << 20);
  tandem_model* model = driver.model();
  const auto pick = [&](std::initializer_list<uint64_t> values) { return values.begin()[random() % values.size()]; };
  const auto any = [&] {
    return pick({0, 1, 2, 3, 7, 4096, 0x1000, 0x10000, TANDEM_VA_LIMIT, TANDEM_VA_LIMIT - 4096, ~0ULL, 1ULL << 40,
                 random(), random() % (8 << 20), random() % (8 << 20) & ~4095ULL, AqlProducer::kData});
  };
  const uint64_t rings[] = {driver.commands, driver.invalidates, driver.faults, driver.events};
  for (int step = 0; step < 100000; ++step) {
    switch (random() % 8) {
      case 0: tandem_model_mmio_write(model, random() % 3, random() % TANDEM_REGS_SIZE, any(), 1u << random() % 4); break;
      case 1: tandem_model_mmio_read(model, random() % 3, random() % TANDEM_REGS_SIZE, 1u << random() % 4); break;
      case 2: tandem_model_mmio_write(model, TANDEM_BAR_DOORBELLS, random() % 0x3000 & ~7ULL, any(), 8); break;
      case 3: driver.host.at<uint64_t>((rings[random() % 4] + random() % 1024) & ~7ULL) = any(); break;
      case 4: {
        tandem_command command = driver.command(static_cast<tandem_command_type>(random() % 15), random() % 4);
        for (uint64_t& word : command.u.words) word = random() % 2 ? any() : 0;
        if (command.type == TANDEM_COMMAND_BIND) command.u.bind.translation = TANDEM_TRANSLATION_MIRROR;
        driver.host.at<tandem_command>(driver.commands + driver.read32(TANDEM_REG_COMMAND_PUT) % 16 * 64) = command;
        driver.write32(TANDEM_REG_COMMAND_PUT, driver.read32(TANDEM_REG_COMMAND_PUT) + 1);
        break;
      }
      case 5: driver.host.at<uint64_t>(random() % (8 << 20) & ~7ULL) = any(); break;
      case 6:
        tandem_model_run(model, random() % 200);
        driver.write32(TANDEM_REG_FAULT_GET, driver.read32(TANDEM_REG_FAULT_PUT));
        driver.write32(TANDEM_REG_EVENT_GET, driver.read32(TANDEM_REG_EVENT_PUT));
        break;
      default:
        if (driver.read32(TANDEM_REG_STATUS) & TANDEM_STATUS_STOPPED || random() % 500 == 0) {
          driver.write32(TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
          driver.pages.rewind();
          driver.set_up();
        } else if (random() % 50 == 0) {
          tandem_model_memory_map_changed(model);
        }
    }
    driver.host.errors.clear();
    driver.host.interrupts.clear();
  }
}

// A process that may write what it likes into its own queue and kernels.
TEST(Hostile, RandomPacketsAndCodeEndQueuesAndNothingElse) {
  std::mt19937_64 random(99);
  tandem_model_config config = small_config();
  config.trace = false;
  config.store_queue_depth = 2;
  config.time_slice = 300;
  for (int round = 0; round < 40; ++round) {
    TestDriver driver(config, 16 << 20);
    AqlProducer process(driver), bystander(driver, 2, 1);
    process.table.map_new(AqlProducer::kData, 65536);
    const uint64_t counted = bystander.table.map_new(AqlProducer::kData, 4096);
    for (int n = 0; n < 60; ++n) {
      kernels::Code code(40);
      for (uint32_t& word : code) word = static_cast<uint32_t>(random()) | 3;
      tandem_dispatch_packet packet = process.dispatch(process.load_kernel(code, random() % 8), 1 + random() % 300, 1 + random() % 128);
      auto* bytes = reinterpret_cast<uint8_t*>(&packet);
      for (uint64_t spoiled = random() % 3; spoiled; --spoiled) bytes[random() % sizeof packet] = static_cast<uint8_t>(random());
      process.submit(packet);
      driver.run(random() % 3000);
      while (driver.events_waiting()) driver.take_event();
      while (driver.faults_waiting()) driver.take_fault();
      if (random() % 4 == 0) {
        process.destroy_queue();
        process.restart();
      }
    }
    bystander.submit(bystander.dispatch(bystander.load_kernel(kernels::count()), 64, 64));
    for (int turn = 0; turn < 40; ++turn) driver.run(2000);
    EXPECT_EQ(driver.host.at<uint64_t>(counted), 64u) << "round " << round;
  }
}

TEST(Registers, ARingInTheLastPageOfAllAddressesIsARingThatIsNotThere) {
  TestDriver driver;
  driver.write32(TANDEM_REG_CONTROL, 0);
  driver.write64(TANDEM_REG_COMMAND_BASE, ~0ULL << TANDEM_PAGE_SHIFT);
  driver.write32(TANDEM_REG_CONTROL, TANDEM_CONTROL_ENABLE);
  driver.write32(TANDEM_REG_COMMAND_PUT, 1);
  driver.settle();
  EXPECT_EQ(driver.read32(TANDEM_REG_ERROR), TANDEM_DEVICE_RING_DMA);
}

}  // namespace
}  // namespace tandem::test
