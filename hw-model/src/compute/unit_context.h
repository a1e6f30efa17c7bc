// SPDX-License-Identifier: GPL-2.0-or-later
// Step "compute unit" meets "mmu" and "mem": what instruction handlers may ask of the unit that they run on. Everything
// here is compiled once, for the baseline; handlers are compiled for several x86-64 levels (execute.h).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "compute/code_cache.h"
#include "compute/wave.h"
#include "mem/stored_pages.h"

namespace tandem::compute {

// A stretch of memory behind one host pointer, as the lanes of one instruction see it.
struct MemoryRun {
  uint64_t va = 0;
  uint64_t bytes = 0;
  std::byte* host = nullptr;
  uint64_t device_address = 0;
  tandem_aperture aperture = TANDEM_APERTURE_SYSTEM;
  bool counted = false;  // as of TlbEntry
  bool lds = false;  // private to the workgroup: never queued, nobody is told
  bool absent = false;  // a page of nothing: to be used by one lane at a time, and cleared after each
};

class UnitContext {
 public:
  UnitContext(const ComputeConfig& config, Translator& translator, MemoryPort& memory, std::function<uint64_t()> now,
              std::function<bool()> should_yield);

  const ComputeConfig config;
  Translator& translator;
  MemoryPort& memory;
  StoredPages untold;                  // stores of this run: the host hears of them at fences, releases and the end of the run
  const std::function<uint64_t()> now;
  const std::function<bool()> should_yield;
  Random random;
  const HandlerTable handlers;
  CodeCache code;
  std::vector<Wave*> waves;            // resident
  uint64_t generation = 0;             // counts drains: a decoded instruction or entry from before may be gone
  uint64_t store_instructions = 0;     // numbers the queued stores
  uint64_t loads = 0, stores = 0, atomics = 0;   // lane accesses, for the counters
  uint64_t skipped = 0;                // the same, of resident-only queues, that found no page

  // Finds the memory at va, of which at least one byte is usable. Waits and failures are complete in the wavefront
  // but for Wave::pending.
  enum class Reach : uint8_t { Hit, Wait, Failed };
  Reach reach(Wave& wave, const Decoded& d, uint32_t lane, uint64_t va, Access access, MemoryRun& run);

  // The lane has been where there is nothing: it leaves no trace, and the access counts as skipped.
  void skip(Wave& wave, uint32_t lane);

  // [va, va + bytes) is LDS of the workgroup or a user address; otherwise the wavefront fails.
  bool address_allowed(Wave& wave, const Decoded& d, uint32_t lane, uint64_t va, uint32_t bytes, Access access);

  // The lanes have stored `bytes` at their addresses, all within the run: the host will be told, and reservations are lost.
  void stored(const Wave& wave, const MemoryRun& run, const uint64_t* address, LaneMask lanes, uint32_t bytes);
  void stored_range(const Wave& wave, const MemoryRun& run, uint64_t va, uint64_t bytes);

  // Before they store: atomics under way on these bytes are completed.
  TANDEM_ALWAYS_INLINE void before_store(const MemoryRun& run, const uint64_t* address, LaneMask lanes, uint32_t bytes) {
    if (memory.atomics().busy()) [[unlikely]] complete_atomics(run, address, lanes, bytes);
  }
  TANDEM_ALWAYS_INLINE void before_store(const std::byte* host, uint64_t bytes) {
    if (memory.atomics().busy()) [[unlikely]] complete_atomics(host, bytes);
  }

  // Puts the lanes' stores, all within the run, into the wavefront's queue. Elements that are not naturally aligned are
  // written byte by byte.
  void enqueue(Wave& wave, const MemoryRun& run, const uint64_t* address, const uint64_t* value, LaneMask lanes,
               uint32_t bytes);
  // The same for all lanes with consecutive elements, the first at va.
  void enqueue_consecutive(Wave& wave, const MemoryRun& run, uint64_t va, const uint64_t* value, uint32_t bytes);
  void begin_store_instruction(Wave& wave);   // makes room in the queue

  // What the lanes are about to read is in memory afterwards, as far as this wavefront stored it.
  void write_queued_overlapping(Wave& wave, const uint64_t* address, LaneMask lanes, uint32_t bytes);
  void write_queued_overlapping(Wave& wave, uint64_t va, uint64_t bytes);
  // All that the wavefront stored is in memory afterwards, and the host knows of it. Returns the rows that were queued.
  uint32_t write_queued(Wave& wave);
  // What the wavefront stored is seen by all of that scope. The store queue is the wavefront's own and stands before memory, so
  // that there is nothing between device and system, nor between wavefronts of a workgroup; a workgroup of one wavefront
  // sees its own stores anyway.
  void write_for_release(Wave& wave, tandem_scope scope);
  // A store may not stay queued for ever: called each few instructions.
  void write_oldest(Wave& wave) { wave.stores.write_one_instruction(memory, config.store_drain, random); }

  void complete_atomics(const MemoryRun& run, const uint64_t* address, LaneMask lanes, uint32_t bytes);
  void complete_atomics(const std::byte* host, uint64_t bytes);

  // Reservations that share a byte with [va, va+bytes) are lost. pasid: of the store; lds: the wavefront's workgroup.
  bool reservations_exist = false;  // set by LR; false is certain, true may be stale
  void break_reservations(const Wave& by, bool lds, uint64_t va, uint64_t bytes);
  void break_reservations(const Wave& by, bool lds, const uint64_t* address, LaneMask lanes, uint32_t bytes);

  // Access counters: one access of the instruction for each page that it reached through a counted entry or run. Those of
  // resident-only queues must not make a page move.
  void count_access(const Wave& wave, uint64_t va) {
    if (!wave.group->launch.dispatch->resident_only) memory.access_counters().count(wave.request.pasid, gva(va));
  }
  void count_accesses(const Wave& wave, const uint64_t* address, LaneMask lanes);
  void count_row(const Wave& wave, uint64_t va, uint64_t bytes);  // on one page, or two neighbouring ones

  TANDEM_ALWAYS_INLINE bool stores_are_queued() const { return config.store_queue_depth != 0; }

  // fence.i: what this wavefront stored is seen by the instruction fetches of its address space that follow.
  void synchronise_code(Wave& wave);

 private:
  alignas(64) std::byte nothing_[TANDEM_PAGE_BYTES]{};  // zeros, but for the lane that is there
};

Next fail(Wave& wave, const Decoded& d, QueueError error, uint32_t lane, uint64_t va, uint32_t detail);

TANDEM_ALWAYS_INLINE bool in_lds_window(uint64_t va) { return va - TANDEM_LDS_BASE < TANDEM_LDS_WINDOW; }

}  // namespace tandem::compute
