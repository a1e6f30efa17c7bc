// SPDX-License-Identifier: GPL-2.0-or-later
// The status page (tandem_ring.h): indices and sequence numbers that the device publishes in memory, each by one
// single-copy atomic store of 64 bits with release order, after all that the number stands for.
#pragma once

#include <cstdint>

#include "base/host.h"
#include "mem/memory_port.h"

namespace tandem {

class StatusPage {
 public:
  StatusPage(const MemoryPort& memory, ErrorSink& errors) : memory_(memory), errors_(errors) {}

  void set_address(uint64_t address) {
    address_ = address;
    host_ = nullptr;
  }
  uint64_t address() const { return address_; }
  // False if it is not memory.
  bool reachable() { return pointer() != nullptr; }

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

  void drop_host_pointers() { host_ = nullptr; }
  void reset() {
    set_address(0);
    command_get_ = invalidate_get_ = fault_put_ = event_put_ = 0;
    written_off_ = false;
  }

 private:
  static uint64_t pair(uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; }

  std::byte* pointer() {
    if (host_) return host_;
    uint64_t bytes = TANDEM_PAGE_BYTES;
    std::byte* page = memory_.map_system(iova(address_), bytes, true);
    if (bytes >= TANDEM_PAGE_BYTES) host_ = page;
    return host_;
  }

  void write(uint64_t offset, uint64_t value) {
    if (written_off_) return;
    std::byte* page = pointer();
    if (!page) {
      written_off_ = true;  // stop() wants to tell the status page, too
      errors_.stop(TANDEM_DEVICE_RING_DMA, "the status page is not in memory");
      return;
    }
    __atomic_store_n(reinterpret_cast<uint64_t*>(page + offset), value, __ATOMIC_RELEASE);
    memory_.stored(TANDEM_APERTURE_SYSTEM, address_ + offset, sizeof value);
  }

  const MemoryPort& memory_;
  ErrorSink& errors_;
  uint64_t address_ = 0;
  std::byte* host_ = nullptr;
  uint32_t command_get_ = 0, invalidate_get_ = 0, fault_put_ = 0, event_put_ = 0;
  bool written_off_ = false;
};

}  // namespace tandem
