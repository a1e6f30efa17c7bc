// SPDX-License-Identifier: GPL-2.0-or-later
// The coherence checker: an observer that every block of the device tells what it does, and that holds it against the hardware's
// contract (tandem_ring.h, struct tandem_invalidate) and, with a source of truth, against the process's own page table.
//
// Off, there is no checker: blocks hold a null pointer, and each of these calls costs one branch. It changes nothing that the
// device does.
//
// Its clock counts moments: every fill, and every acknowledgement, has one of its own. An entry knows when the walk that made
// it began; an invalidation of its range that was acknowledged later must have ended it. A use is judged once for each entry and
// round, and a round ends with each acknowledgement, each visit of the host, and after some thousands of ticks.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/host.h"
#include "check/copy_witness.h"
#include "check/device_tables.h"
#include "check/fault_ledger.h"
#include "check/history.h"
#include "check/invalidation_memory.h"
#include "check/report.h"
#include "check/truth.h"
#include "check/vram_pages.h"
#include "mmu/address_spaces.h"
#include "tandem/model.h"

namespace tandem {

// An access that was translated before it is done.
enum class LateAccess : uint8_t { PostedWrite, LateLoad, Copy, Atomic, Code };

class Checker final : private ReportSink {
 public:
  // deliver: takes what is found, as tandem_host_ops does.
  Checker(const AddressSpaces& spaces, const MemoryPort& memory, const Host& host);

  void set_truth(TruthSource* truth) { truth_ = truth; }
  uint64_t counter(tandem_check_counter counter) const;
  VramPages& vram() { return vram_; }

  // ---- the clock ----
  // What begins now (a walk, an ATS request, a queued store) is stamped with it.
  uint64_t moment() const { return moment_; }
  void new_round();
  // Ticks have passed.
  void pass(uint64_t ticks) {
    if ((ticks_in_round_ += ticks) >= kTicksOfRound) new_round();
  }

  // ---- translations ----
  // False: the entry was judged in this round.
  bool wants(const TlbEntry& entry) const { return entry.judged != round_; }
  void used(const TlbEntry& entry, const TranslationRequest& request);
  // An entry is made: of a walk, or of an answer of the IOMMU, that began at `began`, and read the leaf at `read`.
  void filled(TlbEntry& entry, const TranslationRequest& request, uint64_t began, uint64_t read);
  // Done now by a translation that was found at that moment: stored, read, moved, executed. False: it must not be.
  bool done_late(LateAccess what, const TranslationRequest& request, Gva start, uint64_t bytes, uint64_t moment,
                 const TlbEntry* entry = nullptr);
  // The copy engine goes on by an entry that it has kept.
  void used_later(const TlbEntry& entry, const TranslationRequest& request);

  // An atomic that is no host atomic is about to store, or has just loaded.
  void atomic(Pasid pasid, Gva va, bool store);
  // True once in each round: for what has no entry and is asked for often.
  bool first_in_round(uint32_t& judged) const {
    if (judged == round_) return false;
    judged = round_;
    return true;
  }
  // The store of an AtomicOp is about to be made. Unless the word still has the value of its load, somebody's store will be lost.
  void atomic_op_ends(Pasid pasid, Gva va, uint64_t loaded, uint64_t now);
  // A piece of one of the driver's copies was moved.
  void moved(const CopyWitness& witness, const std::byte* source, const std::byte* destination, tandem_aperture aperture,
             uint64_t address);
  // One of the driver's copies is about to read this video memory.
  void copies_from(uint64_t offset, uint64_t bytes);

  // ---- faults ----
  void faulted(const TranslationRequest& request, tandem_fault_reason reason);
  // The record of a fault of that moment is written into the fault buffer.
  void recorded(const TranslationRequest& request, uint64_t moment);
  // What waits for this page fails.
  void cancelled(Pasid pasid, Gva page);
  // The driver has forgotten what it knew of faults, because a test wants it: nobody has served them.
  void faults_forgotten(Pasid pasid);
  // So many accesses still wait after a REPLAY of their address space.
  void replayed(Pasid pasid, uint64_t seqno, size_t released, size_t left);

  // ---- invalidations ----
  void received(const tandem_invalidate& entry);
  // The driver's entry of [start, end) at this index of its ring is about to be acknowledged: did it tell of what was written?
  void settled(const tandem_invalidate& entry, Gva start, Gva end, uint32_t index);
  // The MMU has killed what overlaps.
  void carried_out(Pasid pasid, Gva start, Gva end);
  // About to be told to the driver, to the IOMMU, or that the address space is gone: from now on nothing of the past may be used.
  void acknowledged(Invalidation::Source source, Pasid pasid, Gva start, Gva end, uint64_t seqno);

  // ---- address spaces and queues ----
  void bound(Pasid pasid);
  // Nothing of it is left: UNBIND is about to say so.
  void ended(Pasid pasid);
  void dispatched(QueueId queue, uint64_t packet, Gva entry) { kernels_[queue.value] = {packet, entry}; }

  // Something that another part of the checker has found. Nothing happens if it was reported before.
  void violated(const Finding& finding, const TranslationRequest& request, const TlbEntry* entry, uint64_t bytes);
  // For the chain of events in reports; moment and time are filled in. A PASID that was never bound has no chain.
  void note(Pasid pasid, Event event);

  void drop_host_pointers();
  void reset();

 private:
  static constexpr uint64_t kTicksOfRound = 16384;

  struct Space {
    uint32_t tgid = 0;
    std::string name;
    uint64_t ended = 0;  // moment
  };
  struct Kernel {
    uint64_t packet;
    Gva entry;
  };

  void deliver(const Report& report, const std::string& text) override;
  const Invalidation* invalidated_since(Pasid pasid, uint64_t moment, Gva start, uint64_t bytes) const;
  void keep_not_carried_out(const std::shared_ptr<Invalidation>& invalidation);
  static Finding why_it_outlived(const Invalidation& invalidation, const TlbEntry& entry);
  void led_nowhere(const TranslationRequest& request);
  void look_for_its_pasid(Pasid pasid, const AddressSpace& bound);
  void compare_with_device_table(const TlbEntry& entry, const TranslationRequest& request);
  std::string text_of_access(const TranslationRequest& request);
  std::string text_of_instruction(const TranslationRequest& request);
  std::optional<uint32_t> read_word(Pasid pasid, Gva va);
  std::string text_of_entry(const TlbEntry& entry) const;
  std::vector<std::string> text_of_chain(Pasid pasid, Gva start, uint64_t bytes) const;

  const AddressSpaces& spaces_;
  const Host& host_;
  DeviceTables tables_;
  TruthSource* truth_ = nullptr;
  Reporter reporter_;
  History history_;
  FaultLedger faults_;
  VramPages vram_;
  InvalidationMemory invalidated_;                // outlives unbinding
  std::unordered_map<uint32_t, Space> by_pasid_;  // so does this: whoever was bound last by that PASID
  std::unordered_map<uint32_t, Kernel> kernels_;  // by queue: what it ran last
  std::vector<Invalidation::CarriedOut> carried_out_;  // since the last acknowledgement
  std::deque<std::shared_ptr<Invalidation>> not_carried_out_;  // acknowledged all the same; the youngest few
  std::array<uint64_t, TANDEM_CHECK_COUNTER_COUNT> counters_{};

  uint64_t moment_ = 1;
  uint32_t round_ = 1;
  uint64_t ticks_in_round_ = 0;
  uint64_t time_ns_ = 0;  // read now and then: for reports, not for order
};

// The counter's name: words joined by '-'. nullptr beyond the last.
const char* check_counter_name(uint32_t counter);

}  // namespace tandem
