// SPDX-License-Identifier: GPL-2.0-or-later
// Step "L1 TLB -> L2 TLB -> translator" of the journey, as its clients see it: compute units, the queues' packet fetch and
// the copy engine ask for a translation and get an entry, or wait, or fail.
//
// The invalidation contract (design page; tandem_ring.h, struct tandem_invalidate) from a client's side: an entry may
// be used only until the client returns to the scheduler or calls the MMU again, unless the client keeps the access
// in a queue of its own (stores that are translated but not written, a copy's prefetched addresses). What it keeps it must
// write out, or forget and translate anew, when drain() is called.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/types.h"

namespace tandem {

// One TLB entry: a translation of the VA range [va, va+bytes), all of it behind one host pointer.
struct TlbEntry {
  Pasid pasid;
  mutable uint32_t judged = 0;    // the checker's (check/checker.h): round in which it was judged last
  Gva va;
  uint64_t bytes = 0;             // power of two, at least 4 KiB; va is aligned to it
  std::byte* host = nullptr;      // the byte at va
  uint64_t device_address = 0;    // the byte at va: DMA address, offset into VRAM, or peer_address()
  tandem_aperture aperture = TANDEM_APERTURE_SYSTEM;
  bool write = false;             // stores permitted, and the PTE is marked dirty
  bool atomic = false;            // atomics permitted, and the PTE is marked dirty
  bool counted = false;           // accesses of wavefronts are to be counted (mem/access_counters.h)
  uint64_t pte = 0;               // as the walker left it, for traces and displays
  uint64_t bus_address = 0;       // mirror, in the system's memory: what the page table gave for the byte at va
  // The checker's, too; 0 without one.
  uint64_t began = 0;             // moment when what it rests on began to be read
  uint64_t filled = 0;            // moment when it was made: no two have the same

  bool covers(Gva address) const { return address.value - va.value < bytes; }
  bool permits(Access access) const {
    return access == Access::Write ? write : access == Access::Atomic ? atomic : true;
  }
  std::byte* at(Gva address) const { return host + (address - va); }
};

// What an access gets that finds no translation.
enum class OnMiss : uint8_t {
  Fault,  // it is recorded and waits
  Fail,   // the answer says why (mirror only)
};

struct TranslationRequest {
  Pasid pasid;
  QueueId queue;
  Gva va;
  Access access = Access::Read;
  uint8_t lane = 0;               // for reports
  tandem_fault_client client = TANDEM_CLIENT_COMPUTE;
  uint8_t unit = 0;               // compute unit, chooses the L1 TLB (TANDEM_CLIENT_COMPUTE only)
  uint64_t pc = 0;
  OnMiss on_miss = OnMiss::Fault;
  bool resident_only = false;     // if the process has no such page the access is skipped: nobody makes one for it
};

// Who is told when a translation that had to wait can be asked for again. Called from Mmu::tick(), replay or cancel, or when the IOMMU
// has answered; it must only note the news, not call back into the MMU.
class TranslationWaiter {
 public:
  virtual ~TranslationWaiter() = default;
  virtual void translation_ready() = 0;                               // ask again
  virtual void translation_failed(QueueError error, Gva va) = 0;      // cancelled, retry limit, ...
  virtual void translation_skipped(Gva, Access) {}                    // resident-only: there is no such page
};

struct TranslationResult {
  enum class Kind : uint8_t { Hit, Wait, Failed } kind = Kind::Wait;
  const TlbEntry* entry = nullptr;     // Hit: valid until the next call into the MMU
  QueueError error = TANDEM_QUEUE_OK;  // Failed: not a user address, no memory behind it; OnMiss::Fail: not mapped
};

class Translator {
 public:
  virtual ~Translator() = default;

  // Looks in the L1 TLB alone: the hot path. nullptr: no entry that permits the access. Counts a hit or nothing.
  virtual const TlbEntry* lookup(const TranslationRequest& request) = 0;

  // L1, L2, walk or IOMMU. Wait: the waiter will be told; it may wait for several pages at a time (one call each).
  virtual TranslationResult translate(const TranslationRequest& request, TranslationWaiter& waiter) = 0;

  // The waiter goes away: nothing will be told to it.
  virtual void forget(TranslationWaiter& waiter) = 0;
};

// What a client keeps that rests on translations, seen by an invalidation.
struct DrainResult {
  uint32_t stores_written = 0;   // stores that had translated and are now in memory
  bool code_dropped = false;     // decoded instructions of the range
  bool copy_restarted = false;   // a copy forgot its addresses (or finished its chunk)
};

class TranslationClient {
 public:
  virtual ~TranslationClient() = default;
  // Afterwards nothing that the client keeps rests on a translation of [start, end) of this address space.
  virtual DrainResult drain(Pasid pasid, Gva start, Gva end) = 0;
  // The host's memory map changed: afterwards the client keeps no host pointer at all.
  virtual DrainResult drain_all() = 0;
};

}  // namespace tandem
