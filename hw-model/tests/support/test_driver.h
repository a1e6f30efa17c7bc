// SPDX-License-Identifier: GPL-2.0-or-later
// What a driver does, in a few lines: makes a model, sets the rings up, sends commands and invalidations, reads records.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>

#include "fake_host.h"
#include "page_table_builder.h"

namespace tandem::test {

inline tandem_model_config small_config() {
  tandem_model_config config;
  tandem_model_default_config(&config);
  config.compute_units = 2;
  config.address_spaces = 16;
  config.max_queues = 8;
  config.vram_bytes = 0;
  config.copy_chunk_bytes = 4096;
  config.walk_latency = 0;
  config.store_queue_depth = 0;
  config.test_hooks = true;
  config.trace = true;
  config.check = true;  // what the checker reports fails the test
  return config;
}

class TestDriver {
 public:
  explicit TestDriver(const tandem_model_config& config = small_config(), uint64_t ram_bytes = 16 << 20,
                      uint32_t ring_order = 4)
      : host(ram_bytes, config.vram_bytes), pages(host), order(ring_order), config_(config) {
    const tandem_host_ops ops = host.ops();
    char error[256];
    model_ = tandem_model_create(&config, &ops, &host, config.vram_bytes ? host.vram() : nullptr, error, sizeof error);
    if (!model_) throw std::runtime_error(error);
    set_up();
  }
  ~TestDriver() {
    tandem_model_destroy(model_);
    for (const FakeHost::CheckReport& report : host.check_reports) ADD_FAILURE() << report.text;
  }
  TestDriver(const TestDriver&) = delete;
  TestDriver& operator=(const TestDriver&) = delete;

  tandem_model* model() { return model_; }

  // ---- registers ----
  uint32_t read32(uint64_t offset) { return static_cast<uint32_t>(tandem_model_mmio_read(model_, TANDEM_BAR_REGS, offset, 4)); }
  uint64_t read64(uint64_t offset) { return tandem_model_mmio_read(model_, TANDEM_BAR_REGS, offset, 8); }
  void write32(uint64_t offset, uint32_t value) { tandem_model_mmio_write(model_, TANDEM_BAR_REGS, offset, value, 4); }
  void write64(uint64_t offset, uint64_t value) { tandem_model_mmio_write(model_, TANDEM_BAR_REGS, offset, value, 8); }
  uint64_t counter(tandem_counter which) { return tandem_model_counter(model_, which); }
  uint64_t check_counter(tandem_check_counter which) { return tandem_model_check_counter(model_, which); }
  // What the checker has reported; it does not fail the test any more.
  std::vector<FakeHost::CheckReport> take_check_reports() { return std::exchange(host.check_reports, {}); }

  // Rings, status page, interrupts, enable. Also after a reset.
  void set_up() {
    status_page = pages.take();
    commands = pages.take(sizeof(tandem_command) << order);
    invalidates = pages.take(sizeof(tandem_invalidate) << order);
    faults = pages.take(sizeof(tandem_fault_record) << order);
    events = pages.take(sizeof(tandem_event) << order);
    write64(TANDEM_REG_STATUS_PAGE, status_page);
    set_ring(TANDEM_REG_COMMAND_BASE, TANDEM_REG_COMMAND_ORDER, commands);
    set_ring(TANDEM_REG_INVALIDATE_BASE, TANDEM_REG_INVALIDATE_ORDER, invalidates);
    set_ring(TANDEM_REG_FAULT_BASE, TANDEM_REG_FAULT_ORDER, faults);
    set_ring(TANDEM_REG_EVENT_BASE, TANDEM_REG_EVENT_ORDER, events);
    write32(TANDEM_REG_INTERRUPT_ENABLE, (1u << TANDEM_VECTOR_COUNT) - 1);
    write32(TANDEM_REG_CONTROL, TANDEM_CONTROL_ENABLE);
    command_put_ = invalidate_put_ = fault_get_ = event_get_ = 0;
    command_seqno_ = invalidate_seqno_ = 0;
  }

  // ---- running ----
  tandem_run_result run(uint64_t budget = 100000) { return tandem_model_run(model_, budget); }
  // Until nothing can go on without the driver, or only by polling.
  tandem_run_result settle(int rounds = 200) {
    tandem_run_result result = TANDEM_RUN_READY;
    for (int round = 0; round < rounds && result == TANDEM_RUN_READY; ++round) result = run();
    return result;
  }
  // Ticks until done() or the limit. True if done.
  template <typename Done>
  bool run_until(Done done, uint64_t ticks = 100000) {
    for (uint64_t tick = 0; tick < ticks && !done(); ++tick) {
      run(1);
      if (between_ticks) between_ticks();
    }
    return done();
  }

  // ---- commands ----
  tandem_status_page& status() { return host.at<tandem_status_page>(status_page); }
  tandem_command command(tandem_command_type type, uint32_t pasid = 0) {
    tandem_command command{};
    command.type = static_cast<uint16_t>(type);
    command.pasid = pasid;
    command.seqno = ++command_seqno_;
    return command;
  }
  uint64_t send(const tandem_command& command) {
    host.at<tandem_command>(commands + (command_put_ & mask()) * sizeof command) = command;
    write32(TANDEM_REG_COMMAND_PUT, ++command_put_);
    return command.seqno;
  }
  // Sends and runs until it is done.
  uint64_t execute(const tandem_command& command) {
    send(command);
    run_until([&] { return status().command_done >= command.seqno; });
    EXPECT_EQ(status().command_done, command.seqno);
    return command.seqno;
  }
  // The same, and what came of it. No other event may be waiting.
  uint16_t error_of(const tandem_command& command) {
    EXPECT_EQ(events_waiting(), 0u);
    execute(command);
    if (!events_waiting()) return TANDEM_COMMAND_OK;
    const tandem_event event = take_event();
    EXPECT_EQ(event.type, TANDEM_EVENT_COMMAND_ERROR);
    EXPECT_EQ(event.value, command.seqno);
    return event.code;
  }
  void bind(uint32_t pasid, const PageTableBuilder& table, const char* comm = "test", uint64_t check = 0) {
    tandem_command bind = command(TANDEM_COMMAND_BIND, pasid);
    bind.u.bind.root = table.root();
    bind.u.bind.translation = TANDEM_TRANSLATION_MIRROR;
    bind.u.bind.tgid = 100 + pasid;
    bind.u.bind.check = check;
    std::strncpy(bind.u.bind.comm, comm, sizeof bind.u.bind.comm - 1);
    execute(bind);
  }
  tandem_command bind_sva_command(uint32_t pasid, uint32_t bus_pasid) {
    tandem_command bind = command(TANDEM_COMMAND_BIND, pasid);
    bind.u.bind.translation = TANDEM_TRANSLATION_SVA;
    bind.u.bind.bus_pasid = bus_pasid;
    bind.u.bind.tgid = 100 + pasid;
    std::strncpy(bind.u.bind.comm, "sva", sizeof bind.u.bind.comm - 1);
    return bind;
  }
  void unbind(uint32_t pasid) { execute(command(TANDEM_COMMAND_UNBIND, pasid)); }
  void replay(uint32_t pasid) { execute(command(TANDEM_COMMAND_REPLAY, pasid)); }
  void cancel(uint32_t pasid, uint32_t queue, uint64_t va, uint32_t status = TANDEM_QUEUE_ADDRESS_FAULT) {
    tandem_command cancel = command(TANDEM_COMMAND_CANCEL, pasid);
    cancel.u.cancel.queue = queue;
    cancel.u.cancel.status = status;
    cancel.u.cancel.va = va;
    execute(cancel);
  }

  // ---- invalidations ----
  tandem_invalidate invalidation(uint32_t pasid, uint64_t start, uint64_t end, uint16_t flags = 0) {
    tandem_invalidate entry{};
    entry.pasid = pasid;
    entry.flags = flags;
    entry.cause = TANDEM_CAUSE_UNMAP;
    entry.seqno = ++invalidate_seqno_;
    entry.start = start;
    entry.end = end;
    return entry;
  }
  uint64_t send(const tandem_invalidate& entry) {
    host.at<tandem_invalidate>(invalidates + (invalidate_put_ & mask()) * sizeof entry) = entry;
    write32(TANDEM_REG_INVALIDATE_PUT, ++invalidate_put_);
    return entry.seqno;
  }
  void invalidate(uint32_t pasid, uint64_t start, uint64_t end) {
    const uint64_t seqno = send(invalidation(pasid, start, end));
    EXPECT_TRUE(run_until([&] { return status().invalidate_done >= seqno; }));
  }

  // ---- faults and events ----
  uint32_t faults_waiting() { return status().fault_put - fault_get_; }
  tandem_fault_record fault(uint32_t n = 0) {
    return host.at<tandem_fault_record>(faults + ((fault_get_ + n) & mask()) * sizeof(tandem_fault_record));
  }
  tandem_fault_record take_fault() {
    const tandem_fault_record record = fault();
    write32(TANDEM_REG_FAULT_GET, ++fault_get_);
    return record;
  }
  uint32_t events_waiting() { return status().event_put - event_get_; }
  tandem_event take_event() {
    const tandem_event event = host.at<tandem_event>(events + (event_get_ & mask()) * sizeof(tandem_event));
    write32(TANDEM_REG_EVENT_GET, ++event_get_);
    return event;
  }

  std::function<void()> between_ticks;  // of run_until()
  FakeHost host;
  PageAllocator pages;
  const uint32_t order;
  uint64_t status_page = 0, commands = 0, invalidates = 0, faults = 0, events = 0;

 private:
  uint32_t mask() const { return (1u << order) - 1; }
  void set_ring(uint32_t base, uint32_t order_register, uint64_t address) {
    write64(base, address);
    write32(order_register, order);
  }

  const tandem_model_config config_;
  tandem_model* model_ = nullptr;
  uint32_t command_put_ = 0, invalidate_put_ = 0, fault_get_ = 0, event_get_ = 0;
  uint64_t command_seqno_ = 0, invalidate_seqno_ = 0;
};

}  // namespace tandem::test
