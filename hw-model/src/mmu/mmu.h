// SPDX-License-Identifier: GPL-2.0-or-later
// Step "L1 TLB -> L2 TLB -> translator": puts the levels together.
//
//   translate: L1 -> L2 -> walk, or join the walk of the same page that is under way -> fill L2 and L1 -> waiters told
//   invalidate: L1s and L2 lose what overlaps, walks of the range start again at the root and so cannot fill the old value
//
// In an address space whose page table the IOMMU walks (SVA) the ATC takes the place of the walk: a hit there, or an ATS request
// whose answer comes from outside (iommu/atc.h). What finds no translation goes to the page requests instead of the fault unit.
//
// Each compute unit has an L1; packet fetch and copy engine share a small one, the last of l1_.
// Time passes only in tick(). With l2_latency and walk_latency 0 a translation never waits except for a fault.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/counters.h"
#include "base/host.h"
#include "base/hostile.h"
#include "check/checker.h"
#include "fault/fault_sink.h"
#include "iommu/atc.h"
#include "iommu/page_requests.h"
#include "mmu/address_spaces.h"
#include "mmu/page_walk.h"
#include "mmu/tlb.h"
#include "trace/trace.h"

namespace tandem {

struct MmuConfig {
  uint32_t compute_units = 1;
  uint32_t l1_sets = 1, l1_ways = 1;
  uint32_t l2_sets = 1, l2_ways = 1;
  uint32_t walkers = 1;
  uint32_t walk_latency = 0;
  uint32_t l2_latency = 0;
  uint32_t mutation = 0;  // a test's (tandem_mutation)
  Hostile* hostile = nullptr;  // walks take longer, and another one may be first
};

class Mmu final : public Translator {
 public:
  Mmu(const MmuConfig& config, const AddressSpaces& spaces, const MemoryPort& memory, FaultSink& faults, Atc& atc,
      PageRequests& page_requests, Counters& counters, const Trace& trace, const Host& host);

  const TlbEntry* lookup(const TranslationRequest& request) override;
  TranslationResult translate(const TranslationRequest& request, TranslationWaiter& waiter) override;
  void forget(TranslationWaiter& waiter) override;

  // What begins now is timed from here.
  void set_time(uint64_t now) { now_ = now; }
  // Device time is now; lookups and walks that are due make their next step.
  void tick(uint64_t now);
  // When the next step is due; nothing if no translation is under way.
  std::optional<uint64_t> next_due() const;
  bool busy() const { return !by_page_.empty(); }
  // A translation is under way that tick() brings on: it does not wait for the IOMMU.
  bool ticking() const { return by_page_.size() > asking_.size(); }

  // An answer of the IOMMU has come.
  void ats_answer(const Atc::Reply& reply);
  // An answer to a request of the device itself, in whose addresses tables and pages are.
  void bus_answer();
  // The ATC is not to be asked any more: what waits for it fails.
  void ats_gone();

  // What a kill found. (tandem_trace.h, TANDEM_HIT_*)
  struct Killed {
    uint32_t entries = 0;
    uint32_t hit = 0;
  };
  Killed invalidate(Pasid pasid, Gva start, Gva end);
  // The same for addresses of the device itself, in which tables and mirrored pages are. Walks start again.
  Killed invalidate_bus(Gva start, Gva end);
  // The address space goes away: besides its entries its walks end, and nobody is told.
  Killed remove(Pasid pasid);
  // The host's memory map changed: no host pointer is left. Walks start again.
  void drop_host_pointers();
  void reset();

  // Does any level still hold this very entry? For the checker: looks at all of them.
  bool holds(const TlbEntry& entry) const;

  // L1 of a compute unit; the one after the last belongs to queues and copies.
  const Tlb& l1(uint32_t unit) const { return l1_[unit]; }
  const Tlb& l2() const { return l2_; }
  size_t walks_under_way() const { return by_page_.size(); }

 private:
  // A translation under way, for everybody who waits for this page and access.
  struct Miss {
    enum class Stage : uint8_t { LookingInL2, WaitingForWalker, Walking, AskingIommu };
    struct Waiter {
      TranslationRequest request;
      TranslationWaiter* waiter;
    };
    TranslationRequest request;
    Stage stage = Stage::LookingInL2;
    uint64_t due = 0;
    uint64_t began_ns = 0;
    uint64_t began = 0;  // the checker's moments: of the first entry that the walk has read,
    uint64_t read = 0;   // and of the last
    PageWalk walk;
    std::vector<Waiter> waiters;
  };
  using MissList = std::list<Miss>;
  struct MissKey {
    uint32_t pasid;
    Access access;
    uint64_t page;
    auto operator<=>(const MissKey&) const = default;
  };
  enum class Progress : uint8_t { Waiting, Ended, Pending };  // pending: the IOMMU has been asked

  uint64_t hostile_delay() const { return config_.hostile ? config_.hostile->rare_delay() : 0; }
  bool at_once() const { return config_.walk_latency == 0 && !(config_.hostile && config_.hostile->on()); }
  static MissKey key_of(const TranslationRequest& request);
  Tlb& l1_of(const TranslationRequest& request) {
    return l1_[request.client == TANDEM_CLIENT_COMPUTE ? request.unit : config_.compute_units];
  }
  const TlbEntry* look_in_l2(const TranslationRequest& request);
  const TlbEntry* fill_l1(const TranslationRequest& request, const TlbEntry& entry);
  MissList& list_of(Miss::Stage stage);
  void end(MissList::iterator miss);
  template <typename Test>
  void end_if(Test test);
  void restart(Miss& miss);
  const TlbEntry& fill_l2(const TranslationRequest& request, const TlbEntry& entry);
  TranslationResult start(const TranslationRequest& request, const AddressSpace& space, TranslationWaiter& waiter);
  TranslationResult walk_at_once(Miss& miss, Iova root, TranslationWaiter& waiter);
  void begin_walk(Miss& miss);
  void look_up_what_is_due();
  void advance_walks();
  Progress look_up(Miss& miss);
  uint64_t moment() const { return check_ ? check_->moment() : 0; }
  void enter(Miss&& miss, Miss::Stage stage);
  void move(MissList::iterator miss, Miss::Stage stage);
  Progress advance_walk(Miss& miss);
  bool fetch(Miss& miss);
  PageWalk::Step resolve(Miss& miss);
  // SVA
  bool through_iommu(Pasid pasid) const { return spaces_.find(pasid)->translation == TANDEM_TRANSLATION_SVA; }
  // Why the access cannot even be asked for.
  std::optional<QueueError> refused(const TranslationRequest& request) const;
  TranslationResult ask_at_once(Miss& miss, TranslationWaiter& waiter);
  Progress ask(MissList::iterator miss);
  void settle(MissList::iterator miss, const Atc::Reply& reply);
  tandem_fault_reason why_nothing(const Miss& miss);
  void raise_page_request(Miss& miss, tandem_fault_reason reason);
  void fill_and_tell(const Miss& miss, const TlbEntry& entry);
  static void tell_failed(const Miss& miss, QueueError error);
  void succeed(Miss& miss);
  void fail(Miss& miss);
  std::optional<QueueError> refuse(const TranslationRequest& request, tandem_fault_reason reason, TranslationWaiter& waiter);
  void start_waiting_walks();
  std::optional<TranslationResult> fault_at_read_only_entry(const TranslationRequest& request, TranslationWaiter& waiter);
  void note_poison(const Miss& miss);
  void trace_walk(const Miss& miss, uint64_t pte) const;
  void trace_fill(const TranslationRequest& request, const TlbEntry& entry, uint32_t level, bool evicted) const;

  const MmuConfig config_;
  const AddressSpaces& spaces_;
  const MemoryPort& memory_;
  FaultSink& faults_;
  Atc& atc_;
  PageRequests& page_requests_;
  Counters& counters_;
  const Trace& trace_;
  const Host& host_;
  Checker* const check_;  // nullptr: nobody watches
  TablePointers tables_;
  std::vector<Tlb> l1_;
  Tlb l2_;
  // Misses by stage, each in the order in which it was reached. A tick looks only at those for which something can be due,
  // because thousands may wait for the few walkers.
  MissList looking_;
  MissList waiting_;
  MissList walking_;
  MissList asking_;
  std::map<MissKey, MissList::iterator> by_page_;
  uint64_t now_ = 0;
};

}  // namespace tandem
