// SPDX-License-Identifier: GPL-2.0-or-later
// Step "atomic unit" of the journey: every read-modify-write of the GPU on memory, both ends of it.
//
// Three means (design page, "Atomics are real"):
//   Host    one host atomic on the very memory that the vCPUs use: PCIe AtomicOps, VRAM that others reach, a peer's VRAM
//   Plain   load and store at once: atomic among the GPU's own accesses, and against nobody else
//   Paused  load, then, atomic-pause ticks later, store. Whoever did it waits; everything else, vCPUs above all, goes on
//
// Between load and store a word is *under way*. Within the GPU it is as if nothing were between them: whatever else of
// the GPU wants to store to the word, or to do an atomic there, first completes the one under way, early (complete()). So does
// whatever ends the right to store: an invalidation of the page (drain(), see mmu/translation.h), the end of its wavefront or
// queue, a change of the host's memory. Completing is one store through a pointer that is held already; it waits for nothing,
// so there is nothing to deadlock on. Only a reset discards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>

#include "mem/host_words.h"
#include "mmu/translation.h"
#include "tandem/model.h"

namespace tandem {

class Checker;
class MemoryPort;

// Who waits for words of its own that are under way.
class AtomicWaiter {
 public:
  bool atomics_under_way() const { return under_way_ != 0; }
  // The last of them was written. Must only note the news.
  virtual void atomics_written() = 0;

 protected:
  ~AtomicWaiter() = default;

 private:
  friend class AtomicUnit;
  uint32_t under_way_ = 0;
};

// A naturally aligned word of 4 or 8 bytes, and by which translation it was found.
struct AtomicWord {
  Pasid pasid;
  Gva va;
  std::byte* host = nullptr;
  tandem_aperture aperture = TANDEM_APERTURE_SYSTEM;
  uint64_t device_address = 0;
  bool system_scope = true;  // nobody else may reach it between load and store
};

struct AtomicConfig {
  tandem_atomics mode = TANDEM_ATOMICS_PCIE;
  uint32_t pause = 0;          // ticks
  bool vram_is_shared = false; // CPUs reach VRAM through a BAR
  bool split = false;          // a test's mutation: AtomicOps are Paused
};

class AtomicUnit final : public TranslationClient {
 public:
  enum class Means : uint8_t { Host, Plain, Paused };

  explicit AtomicUnit(const MemoryPort& memory) : memory_(memory) {}

  void configure(const AtomicConfig& config) { config_ = config; }
  // The bus lets this device send AtomicOps. Without, mode pcie is as exclusive.
  void set_requester(bool on);
  bool requester() const { return requester_; }

  // Atomics on system memory are atomic against the CPUs.
  bool reach_system_memory() const { return means_for(TANDEM_APERTURE_SYSTEM) == Means::Host; }

  // How an atomic of system scope is done there. (Narrower scopes are always Plain.)
  Means means_for(tandem_aperture aperture) const {
    const Means means = promised_means_for(aperture);
    return means == Means::Host && config_.split ? Means::Paused : means;
  }

  // Operation: atomic_operations.h. Returns the old value. Tells the host of the store only if Paused, when it comes; otherwise that
  // is the caller's. Words of one waiter that meet are taken together: there is one load and one store.
  template <typename Operation, typename T>
  T modify(Means means, const AtomicWord& word, T operand, AtomicWaiter& waiter) {
    auto* const at = reinterpret_cast<T*>(word.host);
    if (means == Means::Host) return Operation::template atomic<T>(at, operand);
    if (UnderWay* mine = word_of(word.host, sizeof(T), waiter)) {
      const T old = static_cast<T>(mine->value);
      mine->value = static_cast<uint64_t>(Operation::template apply<T>(old, operand));
      return old;
    }
    complete(word.host, sizeof(T));
    const T old = __atomic_load_n(at, __ATOMIC_SEQ_CST);
    put(means, word, old, Operation::template apply<T>(old, operand), waiter);
    return old;
  }

  // The store of an SC whose reservation holds: only if the word still has the value that its LR saw.
  template <typename T>
  bool store_if(Means means, const AtomicWord& word, T expected, T desired, AtomicWaiter& waiter) {
    auto* const at = reinterpret_cast<T*>(word.host);
    if (means == Means::Host)
      return __atomic_compare_exchange_n(at, &expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    complete(word.host, sizeof(T));
    if (__atomic_load_n(at, __ATOMIC_SEQ_CST) != expected) return false;
    put(means, word, expected, desired, waiter);
    return true;
  }

  // The load of an LR.
  template <typename T>
  T load(const std::byte* host) {
    complete(host, sizeof(T));
    return __atomic_load_n(reinterpret_cast<const T*>(host), __ATOMIC_SEQ_CST);
  }

  bool busy() const { return !in_order_.empty(); }
  size_t words_under_way() const { return in_order_.size(); }
  // Device time is now; words that are due are written.
  void tick(uint64_t now);

  // Words that share a byte with [host, host + bytes) are written.
  void complete(const std::byte* host, uint64_t bytes) {
    if (busy()) complete_overlapping(host, bytes);
  }
  // So are the waiter's, who may go away afterwards.
  void complete(AtomicWaiter& waiter);
  // Reset: they never reach memory.
  void discard(AtomicWaiter& waiter);
  void reset();

  DrainResult drain(Pasid pasid, Gva start, Gva end) override;
  DrainResult drain_all() override;

 private:
  // The other end of an atomic: its store, still to come.
  struct UnderWay {
    AtomicWord word;
    uint32_t bytes;
    uint64_t loaded;
    uint64_t value;
    uint64_t moment;  // the checker's, of the load
    uint64_t due;
    AtomicWaiter* waiter;
  };
  using List = std::list<UnderWay>;

  Means promised_means_for(tandem_aperture aperture) const;
  template <typename T>
  void put(Means means, const AtomicWord& word, T loaded, T value, AtomicWaiter& waiter) {
    if (means == Means::Paused)
      return begin(word, sizeof(T), static_cast<uint64_t>(loaded), static_cast<uint64_t>(value), waiter);
    watch(word, true);
    __atomic_store_n(reinterpret_cast<T*>(word.host), value, __ATOMIC_SEQ_CST);
  }
  void begin(const AtomicWord& word, uint32_t bytes, uint64_t loaded, uint64_t value, AtomicWaiter& waiter);
  void judge(const UnderWay& atomic, Checker& check) const;
  // Tells the checker of one that must have the page to itself: it has been loaded, or is about to be stored.
  void watch(const AtomicWord& word, bool store) const;
  UnderWay* word_of(const std::byte* host, uint32_t bytes, const AtomicWaiter& waiter);
  void complete_overlapping(const std::byte* host, uint64_t bytes);
  void store(const UnderWay& atomic);
  void end(List::iterator at);
  template <typename Which>
  uint32_t complete_if(Which which);

  const MemoryPort& memory_;
  AtomicConfig config_;
  bool requester_ = true;
  uint64_t now_ = 0;
  List in_order_;                                     // as they began, and so as they are due: the pause is the same for all
  std::map<const std::byte*, List::iterator> by_host_;  // no two of them share a byte
};

}  // namespace tandem
