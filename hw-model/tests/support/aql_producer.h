// SPDX-License-Identifier: GPL-2.0-or-later
// A process with one user queue: address space, queue memory, kernels, packets, doorbell.
#pragma once

#include <span>

#include "test_driver.h"

namespace tandem::test {

class AqlProducer {
 public:
  // Virtual addresses of the parts; [kData, ...) is the test's.
  static constexpr uint64_t kRing = 0x10000000, kIndices = 0x10100000, kSignals = 0x10200000, kCode = 0x10300000,
                            kScratch = 0x10400000, kData = 0x20000000;
  static constexpr uint32_t kLaneBytes = 256, kWaves = 64;

  struct Options {
    uint32_t ring_order = 3;
    uint32_t retry_limit = 0;
    uint64_t check = 0;      // what the checker is told of the process
    uint32_t bus_pasid = 0;  // not 0: SVA. The table is the process's, for the fake IOMMU to walk
  };

  AqlProducer(TestDriver& driver, uint32_t pasid, uint32_t queue, Options options)
      : driver_(driver), pasid_(pasid), queue_(queue), options_(options), table(driver.host, driver.pages) {
    ring_ = table.map_new(kRing, std::max<uint64_t>(TANDEM_PAGE_BYTES, uint64_t{TANDEM_PACKET_BYTES} << options.ring_order));
    for (uint64_t slot = 0; slot < 1ULL << options.ring_order; ++slot)
      driver.host.at<uint16_t>(ring_ + slot * TANDEM_PACKET_BYTES) = TANDEM_PACKET_INVALID;
    indices_ = table.map_new(kIndices, TANDEM_PAGE_BYTES);
    signals_ = table.map_new(kSignals, TANDEM_PAGE_BYTES);
    code_ = table.map_new(kCode, 4 * TANDEM_PAGE_BYTES);
    table.map_new(kScratch, uint64_t{kLaneBytes} * TANDEM_WAVE_LANES * kWaves);
    if (options.bus_pasid) driver.execute(driver.bind_sva_command(pasid, options.bus_pasid));
    else driver.bind(pasid, table, "test", options.check);
    create_queue();
  }
  AqlProducer(TestDriver& driver, uint32_t pasid = 1, uint32_t queue = 0)
      : AqlProducer(driver, pasid, queue, Options{}) {}

  tandem_command create_command() {
    tandem_command create = driver_.command(TANDEM_COMMAND_QUEUE_CREATE, pasid_);
    create.u.queue.queue = queue_;
    create.u.queue.doorbell = queue_;
    create.u.queue.ring = kRing;
    create.u.queue.indices = kIndices;
    create.u.queue.ring_order = options_.ring_order;
    create.u.queue.retry_limit = options_.retry_limit;
    create.u.queue.scratch = kScratch;
    create.u.queue.scratch_lane_bytes = kLaneBytes;
    create.u.queue.scratch_waves = kWaves;
    return create;
  }
  void create_queue() { driver_.execute(create_command()); }
  // A new queue after the old one was destroyed: indices from 0, packets invalid.
  void restart() {
    write_index_ = 0;
    for (uint64_t slot = 0; slot < 1ULL << options_.ring_order; ++slot)
      driver_.host.at<uint16_t>(ring_ + slot * TANDEM_PACKET_BYTES) = TANDEM_PACKET_INVALID;
    create_queue();
  }
  void destroy_queue() {
    tandem_command destroy = driver_.command(TANDEM_COMMAND_QUEUE_DESTROY, pasid_);
    destroy.u.queue.queue = queue_;
    driver_.execute(destroy);
  }

  // Puts machine code and a descriptor into memory; returns the descriptor's VA. n: which of several kernels.
  uint64_t load_kernel(std::span<const uint32_t> code, uint32_t n = 0) {
    const uint64_t offset = n * 1024;
    tandem_kernel_descriptor descriptor{};
    descriptor.magic = TANDEM_KERNEL_MAGIC;
    descriptor.abi_major = TANDEM_ABI_MAJOR;
    descriptor.entry = kCode + offset + 64;
    driver_.host.at<tandem_kernel_descriptor>(code_ + offset) = descriptor;
    std::copy(code.begin(), code.end(), &driver_.host.at<uint32_t>(code_ + offset + 64));
    return kCode + offset;
  }
  tandem_kernel_descriptor& descriptor(uint32_t n = 0) {
    return driver_.host.at<tandem_kernel_descriptor>(code_ + n * 1024);
  }

  tandem_signal& signal(uint32_t n) { return driver_.host.at<tandem_signal>(signals_ + n * sizeof(tandem_signal)); }
  static uint64_t signal_va(uint32_t n) { return kSignals + n * sizeof(tandem_signal); }

  static uint16_t header(tandem_packet_type type, bool barrier = false) {
    return static_cast<uint16_t>(TANDEM_FIELD_PUT(TANDEM_PACKET_TYPE, type) | (barrier ? TANDEM_PACKET_BARRIER : 0) |
                                 TANDEM_FIELD_PUT(TANDEM_PACKET_ACQUIRE, TANDEM_FENCE_SYSTEM) |
                                 TANDEM_FIELD_PUT(TANDEM_PACKET_RELEASE, TANDEM_FENCE_SYSTEM));
  }
  tandem_dispatch_packet dispatch(uint64_t kernel, uint32_t items = 32, uint16_t group = 32) {
    tandem_dispatch_packet packet{};
    packet.header = header(TANDEM_PACKET_KERNEL_DISPATCH);
    packet.setup = 1;
    packet.workgroup_size[0] = group;
    packet.workgroup_size[1] = packet.workgroup_size[2] = 1;
    packet.grid_size[0] = items;
    packet.grid_size[1] = packet.grid_size[2] = 1;
    packet.kernel_object = kernel;
    packet.kernarg_address = kData;
    return packet;
  }
  tandem_copy_packet copy(uint64_t from, uint64_t to, uint64_t bytes) {
    tandem_copy_packet packet{};
    packet.header = header(TANDEM_PACKET_VENDOR);
    packet.operation = TANDEM_COPY_LINEAR;
    packet.source = from;
    packet.destination = to;
    packet.bytes = bytes;
    return packet;
  }
  tandem_barrier_packet barrier(tandem_packet_type type) {
    tandem_barrier_packet packet{};
    packet.header = header(type);
    return packet;
  }

  // Writes a packet at the write index, header last.
  template <typename Packet>
  uint64_t write(const Packet& packet) {
    static_assert(sizeof packet == TANDEM_PACKET_BYTES);
    const uint64_t at = slot(write_index_);
    std::memcpy(driver_.host.ram(at) + 2, reinterpret_cast<const std::byte*>(&packet) + 2, sizeof packet - 2);
    driver_.host.at<uint16_t>(at) = packet.header;
    return write_index_++;
  }
  void ring_doorbell() { ring_doorbell(write_index_); }
  void ring_doorbell(uint64_t write_index) {
    tandem_model_mmio_write(driver_.model(), TANDEM_BAR_DOORBELLS,
                            uint64_t{pasid_} * TANDEM_DOORBELL_PAGE_SIZE + queue_ * TANDEM_DOORBELL_BYTES, write_index, 8);
  }
  template <typename Packet>
  uint64_t submit(const Packet& packet) {
    const uint64_t number = write(packet);
    ring_doorbell();
    return number;
  }
  uint64_t slot(uint64_t number) const {
    return ring_ + (number & ((1ULL << options_.ring_order) - 1)) * TANDEM_PACKET_BYTES;
  }
  uint64_t reserve() { return write_index_++; }
  uint64_t read_index() { return driver_.host.at<tandem_queue_indices>(indices_).read_index; }
  uint32_t pasid() const { return pasid_; }
  uint32_t queue() const { return queue_; }

 private:
  TestDriver& driver_;
  const uint32_t pasid_, queue_;
  const Options options_;
  uint64_t ring_ = 0, indices_ = 0, signals_ = 0, code_ = 0, write_index_ = 0;

 public:
  PageTableBuilder table;
};

}  // namespace tandem::test
