// SPDX-License-Identifier: GPL-2.0-or-later
// What a translation ought to be: the device may never see more than the process's own page table grants (docs/checker.md, "X1").
//
// Mirrored address spaces. A translation that is alive in the device was, if the driver is right, not invalidated; so no notifier
// over it has been let through since it was made, and the process's table still grants what it granted then. Two things follow,
// and each is looked at:
//   - no window of somebody else has been opened over it since its fill (X1.kept-over-a-notifier);
//   - the process's table grants it, now. Linux changes entries without a notifier only to write them back under the same
//     lock: an entry that is empty or in transit is therefore *suspected*, and judged when no processor is inside such a section
//     (at_rest()). Anything else that is wrong is wrong at once, if a second look finds it so, too.
//
// Through the IOMMU (SVA) a translation may live until the flush has been completed, which nobody can see from the table. So
// there everything that is wrong is suspected only, and what is still wrong at rest, with no flush to come, is reported. How long
// it lasts is measured (staleness.h).
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/host.h"
#include "base/ring.h"
#include "check/dirty_ledger.h"
#include "check/process_tables.h"
#include "check/staleness.h"
#include "check/truth.h"
#include "check/windows.h"
#include "mmu/address_spaces.h"

namespace tandem {

class ProcessTruth final : public TruthSource {
 public:
  // invalidations: the ring in which the driver sends them. host: has the device's clock.
  ProcessTruth(const AddressSpaces& spaces, const MemoryPort& memory, const Ring& invalidations, const Host& host);

  // The driver tells how tables are read. False: it makes no sense.
  bool set_format(uint64_t address) { return tables_.set_format(address); }
  uint64_t format_address() const { return tables_.format_address(); }
  uint64_t vram_lives() const { return tables_.vram_lives(); }

  std::optional<Finding> judge(const UsedTranslation& used) override;
  std::optional<Finding> judge_fill(const UsedTranslation& made) override;
  std::optional<Finding> judge_atomic(Pasid pasid, Gva va, bool store) override;
  std::optional<Finding> judge_acknowledgement(const tandem_invalidate& entry, Gva start, Gva end, uint32_t index) override;
  void flushed(Pasid pasid, Gva start, Gva end) override { staleness_.flushed(pasid, start, end, host_); }
  std::optional<uint32_t> read_word(Pasid pasid, Gva va) override;
  bool share_memory(Pasid one, Pasid other) override;
  void unbound(Pasid pasid) override;
  void drop_host_pointers() override { pages_.drop(); }
  void reset() override;

  // ---- suspicions ----
  struct Suspicion {
    TlbEntry entry;
    TranslationRequest request;
  };
  struct Confirmed {
    Suspicion suspicion;
    Finding finding;
  };
  // The processors should come to rest, and nobody has been asked for it.
  bool wishes_rest() const { return wants_rest_ && !asked_; }
  void rest_is_asked_for() { asked_ = true; }
  // They have: what is still there, and still wrong. alive(): does any TLB hold the entry?
  std::vector<Confirmed> at_rest(const std::function<bool(const TlbEntry&)>& alive);
  size_t suspicions() const { return suspicions_.size(); }

  // What was looked at, and what was found and is not held against anybody.
  struct Tally {
    uint64_t judged = 0;        // pages of translations that were compared with the process's table
    uint64_t own_section = 0;   // in the driver's own EXCLUSIVE section
    uint64_t windows_lost = 0;  // more windows were open than there are slots
    uint64_t passing = 0;       // a second look found nothing wrong
    uint64_t suspected = 0;
    uint64_t confirmed = 0;     // suspicions that were right
    uint64_t before_flush = 0;  // SVA: the flush may be still to come
    uint64_t atomics = 0;       // loads and stores of atomics that need a page to themselves
    uint64_t dirty_pages = 0;   // that invalidations had to tell of
    uint64_t rests = 0;         // the processors came to rest
  };
  const Tally& tally() const { return tally_; }
  const Staleness::Tally& staleness() const { return staleness_.tally(); }

 private:
  static constexpr size_t kSuspicions = 64;
  static constexpr size_t kFills = 64;

  struct FilledAt {
    uint64_t moment;
    uint64_t opened;  // windows until then
  };
  struct FilledInWindow {
    uint64_t moment;
    Window window;
  };
  struct Space {
    std::deque<FilledAt> fills;  // only those before which windows had been opened
    std::deque<FilledInWindow> in_window;
  };
  // What is needed to judge an address space; nothing: it is not checked.
  struct View {
    const AddressSpace& space;
    Windows windows;
    bool through_iommu() const { return space.translation == TANDEM_TRANSLATION_SVA; }
  };
  std::optional<View> view_of(Pasid pasid);
  Grant look(const View& view, Gva va);
  std::optional<Window> kept_over(const View& view, const TlbEntry& entry, Gva page);
  std::optional<Finding> judge_page(const View& view, const UsedTranslation& used, Gva page);
  std::optional<Finding> settle_mirror(const View& view, const UsedTranslation& used, Gva page, const Grant& grant);
  // Looked at again when the processors are at rest. One entry is one suspicion.
  void suspect(const View& view, const UsedTranslation& used);
  void note_fill(const View& view, const TlbEntry& entry);
  Finding finding_of(const TlbEntry& entry, Gva page, const Grant& grant);

  const AddressSpaces& spaces_;
  const Ring& invalidations_;
  const Host& host_;
  PhysicalPages pages_;
  ProcessTables tables_;
  DirtyLedger dirty_;
  Staleness staleness_;
  std::unordered_map<uint32_t, Space> by_pasid_;
  std::vector<Suspicion> suspicions_;
  bool wants_rest_ = false, asked_ = false;
  Tally tally_;
};

}  // namespace tandem
