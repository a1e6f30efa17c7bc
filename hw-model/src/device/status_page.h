// SPDX-License-Identifier: GPL-2.0-or-later
// The status page (tandem_ring.h): indices and sequence numbers that the device publishes in memory, each by one
// single-copy atomic store of 64 bits with release order, after all that the number stands for.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/host.h"
#include "base/ring.h"
#include "mem/memory_port.h"

namespace tandem {

class StatusPage {
 public:
  StatusPage(const MemoryPort& memory, ErrorSink& errors) : memory_(memory), errors_(errors) {}

  void set_address(uint64_t address) {
    address_ = address;
    page_ = {};
  }
  uint64_t address() const { return address_; }
  // False if it is not memory. While the IOMMU is asked where it is, nobody can say so.
  bool reachable() { return map() || page_.pending; }

  void command_done(uint64_t seqno) { write(offsetof(tandem_status_page, command_done), seqno); }
  void invalidate_done(uint64_t seqno) { write(offsetof(tandem_status_page, invalidate_done), seqno); }
  void command_get(uint32_t get) {
    command_get_ = get;
    write(offsetof(tandem_status_page, command_get), pair(command_get_, invalidate_get_));
  }
  void invalidate_get(uint32_t get) {
    invalidate_get_ = get;
    write(offsetof(tandem_status_page, command_get), pair(command_get_, invalidate_get_));
  }
  void fault_put(uint32_t put) {
    fault_put_ = put;
    write(offsetof(tandem_status_page, fault_put), pair(fault_put_, event_put_));
  }
  void event_put(uint32_t put) {
    event_put_ = put;
    write(offsetof(tandem_status_page, fault_put), pair(fault_put_, event_put_));
  }
  void state(uint32_t error, uint32_t status) { write(offsetof(tandem_status_page, error), pair(error, status)); }

  // Writes what had to wait for the IOMMU.
  void flush() {
    while (unwritten_ && !written_off_) {
      if (!map()) {
        if (!page_.pending) write_off();
        return;
      }
      const auto word = static_cast<uint32_t>(std::countr_zero(unwritten_));
      unwritten_ &= unwritten_ - 1;
      const uint64_t offset = word * sizeof(uint64_t);
      __atomic_store_n(reinterpret_cast<uint64_t*>(page_.host + offset), words_[word], __ATOMIC_RELEASE);
      memory_.stored(TANDEM_APERTURE_SYSTEM, page_.address + offset, sizeof(uint64_t));
    }
  }

  bool all_written() const { return unwritten_ == 0; }
  void restore(uint64_t address, const Ring& commands, const Ring& invalidates, const Ring& faults, const Ring& events) {
    reset();
    address_ = address;
    command_get_ = commands.get;
    invalidate_get_ = invalidates.get;
    fault_put_ = faults.put;
    event_put_ = events.put;
  }

  void drop_host_pointers() { page_ = {}; }
  void reset() {
    set_address(0);
    command_get_ = invalidate_get_ = fault_put_ = event_put_ = 0;
    unwritten_ = 0;
    written_off_ = false;
  }

 private:
  static uint64_t pair(uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; }

  bool map() {
    if (page_.host) return true;
    page_ = memory_.map_system(iova(address_), TANDEM_PAGE_BYTES, true);
    if (page_.bytes < TANDEM_PAGE_BYTES) page_.host = nullptr;
    return page_.host;
  }

  void write(uint64_t offset, uint64_t value) {
    words_[offset / sizeof value] = value;
    unwritten_ |= 1u << offset / sizeof value;
    flush();
  }

  void write_off() {
    written_off_ = true;  // stop() wants to tell the status page, too
    errors_.stop(TANDEM_DEVICE_RING_DMA, "the status page is not in memory");
  }

  const MemoryPort& memory_;
  ErrorSink& errors_;
  uint64_t address_ = 0;
  MappedRun page_;
  std::array<uint64_t, sizeof(tandem_status_page) / sizeof(uint64_t)> words_{};
  uint32_t unwritten_ = 0;  // bit n: words_[n] is not in memory yet
  uint32_t command_get_ = 0, invalidate_get_ = 0, fault_put_ = 0, event_put_ = 0;
  bool written_off_ = false;
};

}  // namespace tandem
