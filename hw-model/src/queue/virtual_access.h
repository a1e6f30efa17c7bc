// SPDX-License-Identifier: GPL-2.0-or-later
// Small accesses of the queues to the process's memory: packets, indices, signals. Each is translated and may fault and wait.
//
// The caller repeats the very same call until it does not return Wait. Nothing is kept between calls but how far a read
// has come, and that an atomic is under way (in the atomic unit, which drains it): an invalidation has nothing to drain here.
#pragma once

#include <cstdint>

#include "mem/memory_port.h"
#include "mmu/translation.h"

namespace tandem {

// Set when something of the command processor may be able to go on.
class Attention {
 public:
  void ask() { asked_ = true; }
  bool take() {
    const bool asked = asked_;
    asked_ = false;
    return asked;
  }
  bool asked() const { return asked_; }

 private:
  bool asked_ = false;
};

class VirtualAccess final : public TranslationWaiter, private AtomicWaiter {
 public:
  enum class Status : uint8_t { Done, Wait, Failed };

  VirtualAccess(Pasid pasid, QueueId queue, Translator& translator, const MemoryPort& memory, Attention& attention,
                OnMiss on_miss = OnMiss::Fault)
      : pasid_(pasid),
        queue_(queue),
        translator_(translator),
        memory_(memory),
        attention_(attention),
        on_miss_(on_miss) {}
  ~VirtualAccess() override { abandon(); }
  VirtualAccess(const VirtualAccess&) = delete;
  VirtualAccess& operator=(const VirtualAccess&) = delete;

  // va and bytes are multiples of 8; each 8-byte word is read by one atomic load, the first with acquire order.
  Status read(Gva va, void* to, uint64_t bytes);
  // Naturally aligned stores with release order.
  Status store16(Gva va, uint16_t value) { return store(va, value); }
  Status store64(Gva va, uint64_t value) { return store(va, value); }
  // System-scope atomic with release order; result: the new value.
  Status add64(Gva va, int64_t addend, int64_t& result);

  bool waiting() const { return waiting_; }
  // Nothing of it waits any more; an atomic that has begun is completed.
  void abandon() {
    translator_.forget(*this);
    waiting_ = false;
    memory_.atomics().complete(*this);
    atomic_begun_ = false;
  }
  QueueError error() const { return error_; }
  Gva error_va() const { return error_va_; }
  Access error_access() const { return access_; }

  void translation_ready() override;
  void translation_failed(QueueError error, Gva va) override;

 private:
  void atomics_written() override { attention_.ask(); }
  template <typename T>
  Status store(Gva va, T value);
  void begin_add64(Gva va, int64_t addend);
  // Done: entry_ may be used now, and no longer.
  Status translate(Gva va, Access access);

  const Pasid pasid_;
  const QueueId queue_;
  Translator& translator_;
  const MemoryPort& memory_;
  Attention& attention_;
  const OnMiss on_miss_;

  const TlbEntry* entry_ = nullptr;
  uint64_t done_ = 0;  // bytes of the read under way
  bool atomic_begun_ = false;
  int64_t atomic_result_ = 0;
  bool waiting_ = false;
  Access access_ = Access::Read;
  QueueError error_ = TANDEM_QUEUE_OK;
  Gva error_va_{};
};

}  // namespace tandem
