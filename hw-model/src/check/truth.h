// SPDX-License-Identifier: GPL-2.0-or-later
// Where the checker asks what a translation ought to be: the process's own page table (process_tables.h). The checker's own part
// is the hardware's contract; what is true beyond it, a source of truth judges.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mmu/translation.h"

namespace tandem {

// A translation that the device has just used, or is about to.
struct UsedTranslation {
  const TlbEntry& entry;              // pasid, range, where it leads, what it permits, and who filled it when
  const TranslationRequest& request;  // the access: which queue, unit, instruction and address
};

// Something that breaks the contract.
struct Finding {
  std::string key;                   // stable, as in "X1.stale-translation"
  std::string what;                  // one sentence: what was done that must not be done
  std::vector<std::string> details;  // further sentences, such as what the process's table says
  bool operator==(const Finding&) const = default;
};

class TruthSource {
 public:
  virtual ~TruthSource() = default;

  // A use of an entry: once for each entry in a round (Checker::new_round()).
  virtual std::optional<Finding> judge(const UsedTranslation& used) = 0;
  // The page walk has made an entry of the device's page table.
  virtual std::optional<Finding> judge_fill(const UsedTranslation&) { return {}; }
  // An invalidation of [start, end) by the driver, at this index of its ring, is about to be acknowledged.
  virtual std::optional<Finding> judge_acknowledgement(const tandem_invalidate&, Gva, Gva, uint32_t) { return {}; }
  // An atomic that is no host atomic, at its load and at its store.
  virtual std::optional<Finding> judge_atomic(Pasid, Gva, bool) { return {}; }
  // The IOMMU took [start, end) back, and is about to be told that it is done.
  virtual void flushed(Pasid, Gva, Gva) {}
  // The word at the address as the process has it: for the instruction in a report.
  virtual std::optional<uint32_t> read_word(Pasid, Gva) { return {}; }
  // Is the memory of both address spaces one and the same, as far as that is known?
  virtual bool share_memory(Pasid, Pasid) { return false; }
  virtual void bound(Pasid) {}
  virtual void unbound(Pasid) {}
  // The host's memory map changed: no host pointer may be kept.
  virtual void drop_host_pointers() {}
  virtual void reset() {}
};

}  // namespace tandem
