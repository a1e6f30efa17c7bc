// SPDX-License-Identifier: GPL-2.0-or-later
// A host without QEMU: memory, recorded interrupts, trace and errors, and a clock that ticks with each question.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tandem/model.h"

namespace tandem::test {

class FakeHost {
 public:
  explicit FakeHost(uint64_t ram_bytes = 16 << 20, uint64_t vram_bytes = 0)
      : ram_(ram_bytes / sizeof(Page)), vram_(vram_bytes / sizeof(Page)) {}

  std::byte* ram(uint64_t address = 0) { return reinterpret_cast<std::byte*>(ram_.data()) + address; }
  std::byte* vram(uint64_t offset = 0) { return reinterpret_cast<std::byte*>(vram_.data()) + offset; }
  uint64_t ram_bytes() const { return ram_.size() * sizeof(Page); }

  template <typename T>
  T& at(uint64_t address) {
    return *reinterpret_cast<T*>(ram(address));
  }

  tandem_host_ops ops() {
    tandem_host_ops ops{};
    ops.size = sizeof ops;
    ops.dma_read = [](void* self, uint64_t address, void* to, uint64_t bytes) {
      FakeHost& host = *static_cast<FakeHost*>(self);
      address -= host.memory_base;
      if (!host.is_ram(address, bytes)) return false;
      std::memcpy(to, host.ram(address), bytes);
      return true;
    };
    ops.dma_write = [](void* self, uint64_t address, const void* from, uint64_t bytes) {
      FakeHost& host = *static_cast<FakeHost*>(self);
      address -= host.memory_base;
      if (!host.is_ram(address, bytes)) return false;
      std::memcpy(host.ram(address), from, bytes);
      return true;
    };
    ops.map = [](void* self, uint64_t address, uint64_t* bytes, bool) -> void* {
      FakeHost& host = *static_cast<FakeHost*>(self);
      return host.map(address - host.memory_base, *bytes);
    };
    ops.stored = [](void* self, const tandem_stored_range* ranges, uint32_t count) {
      FakeHost& host = *static_cast<FakeHost*>(self);
      for (uint32_t i = 0; i < count; ++i) {
        host.bytes_stored += ranges[i].bytes;
        if (host.on_stored) host.on_stored(ranges[i].address - host.memory_base, ranges[i].bytes);
      }
    };
    ops.vram_stored = [](void* self, uint64_t, uint64_t bytes) { static_cast<FakeHost*>(self)->bytes_stored += bytes; };
    ops.map_peer = [](void* self, uint32_t peer, uint64_t offset, uint64_t* bytes, bool) -> void* {
      FakeHost& host = *static_cast<FakeHost*>(self);
      return host.peers.contains(peer) ? host.peers.at(peer)->map_own_vram(offset, *bytes) : nullptr;
    };
    ops.peer_stored = [](void* self, uint32_t peer, uint64_t offset, uint64_t bytes) {
      static_cast<FakeHost*>(self)->peer_stores.push_back({peer, offset, bytes});
    };
    ops.poison_changed = [](void* self) { ++static_cast<FakeHost*>(self)->poison_changes; };
    ops.ats_request = [](void* self, const tandem_ats_request* request) {
      const FakeHost& host = *static_cast<FakeHost*>(self);
      if (host.on_ats_request) host.on_ats_request(*request);
    };
    ops.page_request = [](void* self, const tandem_page_request* request) {
      const FakeHost& host = *static_cast<FakeHost*>(self);
      if (host.on_page_request) host.on_page_request(*request);
    };
    ops.check_report = [](void* self, const tandem_check_report* report) {
      static_cast<FakeHost*>(self)->check_reports.push_back({report->key, report->text});
    };
    ops.interrupt = [](void* self, uint32_t vector) { static_cast<FakeHost*>(self)->interrupts.push_back(vector); };
    ops.now = [](void* self) { return ++static_cast<FakeHost*>(self)->clock; };
    ops.should_yield = [](void* self) { return static_cast<FakeHost*>(self)->yield; };
    ops.trace = [](void* self, const tandem_trace_record* record) {
      static_cast<FakeHost*>(self)->trace.push_back(*record);
    };
    ops.guest_error = [](void* self, const char* text) { static_cast<FakeHost*>(self)->errors.push_back(text); };
    return ops;
  }

  size_t interrupts_of(uint32_t vector) const {
    return static_cast<size_t>(std::count(interrupts.begin(), interrupts.end(), vector));
  }
  std::vector<tandem_trace_record> traced(tandem_trace_type type) const {
    std::vector<tandem_trace_record> found;
    std::copy_if(trace.begin(), trace.end(), std::back_inserter(found),
                 [&](const tandem_trace_record& record) { return record.type == type; });
    return found;
  }

  struct PeerStore {
    uint32_t peer;
    uint64_t offset, bytes;
    bool operator==(const PeerStore&) const = default;
  };
  std::map<uint32_t, FakeHost*> peers;  // by their number on the link
  std::vector<PeerStore> peer_stores;
  uint64_t poison_changes = 0;
  uint64_t longest_run = ~0ULL;  // map() gives no run that crosses a multiple of this
  uint64_t memory_base = 0;      // the addresses that the device hands to the host are so much above those of ram() and at()
  uint64_t maps = 0;
  uint64_t bytes_stored = 0;
  uint64_t clock = 0;
  bool yield = false;
  std::function<void(uint64_t address, uint64_t bytes)> on_stored;
  std::function<void(const tandem_ats_request& request)> on_ats_request;  // fake_iommu.h
  std::function<void(const tandem_page_request& request)> on_page_request;
  std::vector<uint32_t> interrupts;
  std::vector<tandem_trace_record> trace;
  std::vector<std::string> errors;
  struct CheckReport {
    std::string key, text;
  };
  std::vector<CheckReport> check_reports;

 private:
  struct alignas(4096) Page {
    std::byte bytes[4096];
  };

  bool is_ram(uint64_t address, uint64_t bytes) const { return address <= ram_bytes() && bytes <= ram_bytes() - address; }
  void* map_own_vram(uint64_t offset, uint64_t& bytes) {
    const uint64_t size = vram_.size() * sizeof(Page);
    if (offset % 4096 || offset >= size) return nullptr;
    bytes = std::min(bytes, size - offset);
    return vram(offset);
  }
  void* map(uint64_t address, uint64_t& bytes) {
    ++maps;
    if (address % 4096 || bytes % 4096 || bytes == 0 || !is_ram(address, 4096)) return nullptr;  // whole pages only
    bytes = std::min({bytes, ram_bytes() - address, longest_run - address % longest_run});
    return ram(address);
  }

  std::vector<Page> ram_, vram_;
};

}  // namespace tandem::test
