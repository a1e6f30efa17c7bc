// SPDX-License-Identifier: GPL-2.0-or-later
// A device with one process whose page table the IOMMU walks.
#pragma once

#include "aql_producer.h"
#include "fake_iommu.h"

namespace tandem::test {

inline constexpr uint32_t kBus = 0x3fe;  // PASID on the bus

struct Sva {
  struct Options {
    uint32_t allowance = 16;
    uint32_t retry_limit = 0;
    uint64_t ram_bytes = 16 << 20;
  };
  explicit Sva(const tandem_model_config& config, Options options)
      : driver(config, options.ram_bytes),
        iommu(driver, options.allowance),
        process(driver, 1, 0, {.retry_limit = options.retry_limit, .bus_pasid = kBus}) {
    iommu.attach(kBus, process.table);
  }
  explicit Sva(const tandem_model_config& config = small_config()) : Sva(config, Options{}) {}

  // One lane for each item; kernarg as AqlProducer::dispatch() sets it.
  void submit(std::span<const uint32_t> code, uint32_t items = 1, uint64_t kernarg = AqlProducer::kData) {
    auto packet = process.dispatch(process.load_kernel(code), items, static_cast<uint16_t>(std::min(items, 32u)));
    packet.kernarg_address = kernarg;
    packet.completion_signal = AqlProducer::signal_va(0);
    process.signal(0).value = 1;
    process.submit(packet);
  }
  bool done() { return process.signal(0).value == 0; }
  // The error of the queue, of which there is an event.
  uint32_t error() {
    if (driver.events_waiting() != 1) return ~0u;
    const tandem_event event = driver.take_event();
    error_va = event.value;
    return event.type == TANDEM_EVENT_QUEUE_ERROR ? event.code : ~0u;
  }
  uint64_t pte(uint64_t va) { return process.table.entry(va); }
  template <typename T = uint64_t>
  T& at(uint64_t va) {
    return driver.host.at<T>((pte(va) & TANDEM_PTE_ADDRESS) + va % TANDEM_PAGE_BYTES);
  }
  // Gives the page other memory, as Linux does: new entry, invalidation. Returns its address.
  uint64_t move_page(uint64_t va, uint64_t flags = kReadWrite) {
    const uint64_t page = driver.pages.take();
    process.table.map(va, page, flags);
    iommu.invalidate(kBus, va, TANDEM_PAGE_BYTES);
    return page;
  }
  // Serves page requests by mapping new memory.
  void map_on_demand(uint64_t flags = kReadWrite) {
    iommu.service = [this, flags](const FakeIommu::Group& group) {
      for (const tandem_page_request& request : group)
        if (!(pte(request.address) & TANDEM_PTE_VALID)) process.table.map_new(request.address, TANDEM_PAGE_BYTES, flags);
      return TANDEM_PAGE_RESPONSE_SUCCESS;
    };
  }

  TestDriver driver;
  FakeIommu iommu;
  AqlProducer process;
  uint64_t error_va = 0;
};

}  // namespace tandem::test
