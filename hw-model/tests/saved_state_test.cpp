// SPDX-License-Identifier: GPL-2.0-or-later
// Saved state: what was saved goes on elsewhere as if nothing had been; what was not written by a device is refused.
#include "device/saved_state.h"

#include "support/aql_producer.h"
#include "support/kernels.h"

namespace tandem::test {
namespace {

using Bytes = std::vector<std::byte>;

void append(void* to, const void* bytes, size_t count) {
  const auto* first = static_cast<const std::byte*>(bytes);
  static_cast<Bytes*>(to)->insert(static_cast<Bytes*>(to)->end(), first, first + count);
}

struct Saving {
  bool done;
  Bytes bytes;
  std::string problem;
};

Saving save(TestDriver& driver) {
  Saving saving{};
  char error[256] = "";
  saving.done = tandem_model_save(driver.model(), append, &saving.bytes, error, sizeof error);
  saving.problem = error;
  return saving;
}

std::string load(TestDriver& driver, const Bytes& bytes) {
  char error[256] = "";
  const bool done = tandem_model_load(driver.model(), bytes.data(), bytes.size(), error, sizeof error);
  EXPECT_EQ(done, error[0] == '\0');
  return error;
}

tandem_model_config vram_config() {
  tandem_model_config config = small_config();
  config.vram_bytes = 4 << 20;
  return config;
}

// A driver that has used its device: all rings have gone round a little, a page is poisoned, its event was not taken.
void use(TestDriver& driver) {
  for (int n = 0; n < 5; ++n) driver.execute(driver.command(TANDEM_COMMAND_NOP));
  driver.invalidate(1, 0x1000, 0x3000);
  driver.invalidate(2, 0x1000, 0x3000);
  driver.write32(TANDEM_REG_ACCESS_THRESHOLD, 77);
  ASSERT_TRUE(tandem_model_poison(driver.model(), 0x5000));
  driver.settle();
}

// The guest's memory goes along, as the host's migration would take it.
void copy_memory(TestDriver& from, TestDriver& to) { std::memcpy(to.host.ram(), from.host.ram(), from.host.ram_bytes()); }

TEST(SavedState, GoesOnElsewhereWhereItStopped) {
  TestDriver first(vram_config()), second(vram_config());
  use(first);
  const Saving saving = save(first);
  ASSERT_TRUE(saving.done) << saving.problem;
  ASSERT_EQ(load(second, saving.bytes), "");
  copy_memory(first, second);
  for (uint32_t offset = 0; offset < TANDEM_REG_COUNTERS + 8 * TANDEM_COUNTER_COUNT; offset += 4)
    if (offset != TANDEM_REG_CLOCK_NS && offset != TANDEM_REG_CLOCK_NS + 4)
      EXPECT_EQ(second.read32(offset), first.read32(offset)) << "register " << std::hex << offset;

  // The next entries of both rings, as the driver of the first one would write them.
  tandem_command next = first.command(TANDEM_COMMAND_NOP);
  second.host.at<tandem_command>(first.commands + 5 * sizeof next) = next;
  second.write32(TANDEM_REG_COMMAND_PUT, 6);
  tandem_invalidate invalidate = first.invalidation(1, 0x1000, 0x2000);
  second.host.at<tandem_invalidate>(first.invalidates + 2 * sizeof invalidate) = invalidate;
  second.write32(TANDEM_REG_INVALIDATE_PUT, 3);
  second.settle();
  EXPECT_EQ(second.host.at<tandem_status_page>(first.status_page).command_done, next.seqno);
  EXPECT_EQ(second.host.at<tandem_status_page>(first.status_page).invalidate_done, invalidate.seqno);
  EXPECT_EQ(second.read32(TANDEM_REG_ERROR), TANDEM_DEVICE_OK);
}

TEST(SavedState, ALoadedDeviceRunsPrograms) {
  TestDriver first(vram_config()), second(vram_config());
  const Saving saving = save(first);
  ASSERT_TRUE(saving.done) << saving.problem;
  ASSERT_EQ(load(second, saving.bytes), "");
  AqlProducer process(second);
  const uint64_t data = process.table.map_new(AqlProducer::kData, 4096);
  process.submit(process.dispatch(process.load_kernel(kernels::store_ids())));
  second.settle();
  EXPECT_EQ(second.host.at<uint64_t>(data + 8 * 31), 32u);
}

TEST(SavedState, ADeviceAsAfterPowerOnIsSaved) {
  TestDriver first(vram_config()), second(vram_config());
  tandem_model_reset(first.model(), TANDEM_RESET_POWER);
  const Saving saving = save(first);
  ASSERT_TRUE(saving.done) << saving.problem;
  ASSERT_EQ(load(second, saving.bytes), "");
  EXPECT_EQ(second.read32(TANDEM_REG_CONTROL), 0u);
  EXPECT_EQ(second.read64(TANDEM_REG_COMMAND_BASE), 0u);
}

TEST(SavedState, PoisonAndItsUntoldEventGoAlong) {
  TestDriver first(vram_config()), second(vram_config());
  first.write32(TANDEM_REG_CONTROL, 0);
  ASSERT_TRUE(tandem_model_poison(first.model(), 0x7000));
  ASSERT_EQ(load(second, save(first).bytes), "");
  uint64_t offset = 0;
  ASSERT_EQ(tandem_model_poisoned_pages(second.model(), &offset, 1), 1u);
  EXPECT_EQ(offset, 0x7000u);
  EXPECT_EQ(second.host.poison_changes, 1u);
}

TEST(SavedState, AGpuWithProcessesIsNotSaved) {
  TestDriver driver;
  AqlProducer process(driver);
  const Saving saving = save(driver);
  EXPECT_FALSE(saving.done);
  EXPECT_TRUE(saving.bytes.empty());
  EXPECT_NE(saving.problem.find("address spaces are bound"), std::string::npos) << saving.problem;
  process.destroy_queue();
  driver.unbind(1);
  EXPECT_TRUE(save(driver).done);
}

TEST(SavedState, AGpuAtWorkIsNotSaved) {
  TestDriver driver;
  driver.send(driver.command(TANDEM_COMMAND_NOP));
  EXPECT_NE(save(driver).problem.find("at work"), std::string::npos);
  driver.settle();
  EXPECT_TRUE(save(driver).done);
}

TEST(SavedState, OfAnotherShapeIsRefused) {
  TestDriver first(vram_config()), second;
  EXPECT_NE(load(second, save(first).bytes).find("other properties"), std::string::npos);
}

TEST(SavedState, BytesThatNobodySavedChangeNothing) {
  TestDriver first(vram_config()), second(vram_config());
  use(first);
  const Bytes good = save(first).bytes;
  EXPECT_NE(load(second, {}), "");
  EXPECT_NE(load(second, Bytes(64)), "");
  for (size_t length = 0; length < good.size(); length += 8) EXPECT_NE(load(second, {good.begin(), good.begin() + length}), "");
  Bytes longer = good;
  longer.push_back(std::byte{});
  EXPECT_NE(load(second, longer), "");
  EXPECT_EQ(second.counter(TANDEM_COUNTER_COMMANDS), 0u);
  EXPECT_EQ(tandem_model_poisoned_pages(second.model(), nullptr, 0), 0u);
  second.execute(second.command(TANDEM_COMMAND_NOP));
}

TEST(SavedState, AWordChangedIsRefusedOrHarmless) {
  TestDriver first(vram_config(), 1 << 20);
  use(first);
  const Bytes good = save(first).bytes;
  TestDriver second(vram_config(), 1 << 20);
  for (size_t at = 0; at + 8 <= good.size(); at += 8)
    for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{0xfff}, uint64_t{1} << 31, ~uint64_t{0}, ~uint64_t{0} << 12}) {
      Bytes bytes = good;
      std::memcpy(&bytes[at], &value, sizeof value);
      load(second, bytes);
      second.run();
      second.write32(TANDEM_REG_COMMAND_PUT, second.read32(TANDEM_REG_COMMAND_GET) + 1);
      second.write32(TANDEM_REG_FAULT_GET, second.read32(TANDEM_REG_FAULT_PUT));
      second.write32(TANDEM_REG_EVENT_GET, second.read32(TANDEM_REG_EVENT_PUT));
      second.run();
      tandem_model_reset(second.model(), TANDEM_RESET_POWER);
    }
}

TEST(SavedState, WhatIsImpossibleIsRefused) {
  TestDriver first(vram_config()), second(vram_config());
  use(first);
  std::string problem;
  const SavedState good = *decode(save(first).bytes, problem);
  const auto refused = [&](auto change) {
    SavedState state = good;
    change(state);
    return load(second, encode(state)).find("none that a GPU can be in") != std::string::npos;
  };
  EXPECT_TRUE(refused([](SavedState& state) { state.commands.order = 99; }));
  EXPECT_TRUE(refused([](SavedState& state) { state.faults.put = state.faults.get + 1000; }));
  EXPECT_TRUE(refused([](SavedState& state) { state.events.base |= 1; }));
  EXPECT_TRUE(refused([](SavedState& state) { state.status_page = 0x123; }));
  EXPECT_TRUE(refused([](SavedState& state) { state.interrupt_enable = ~0u; }));
  EXPECT_TRUE(refused([](SavedState& state) { state.test_control = ~0u; }));
  EXPECT_TRUE(refused([](SavedState& state) { state.error = 55; }));
  EXPECT_TRUE(refused([](SavedState& state) { state.last_page_group = 512; }));
  EXPECT_TRUE(refused([](SavedState& state) { state.poisoned = {4 << 20}; }));
  EXPECT_TRUE(refused([](SavedState& state) { state.poisoned = {0x2000, 0x1000}; }));
  EXPECT_TRUE(refused([](SavedState& state) { state.unannounced = {0x9000}; }));
  EXPECT_FALSE(refused([](SavedState&) {}));
}

}  // namespace
}  // namespace tandem::test
