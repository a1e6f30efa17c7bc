// SPDX-License-Identifier: GPL-2.0-or-later
// Step "system memory port": where the driver's own addresses lead when an IOMMU translates them. Rings, page tables, the pages that
// mirrors map and what the copy engine moves have such addresses.
//
// They go through the ATC like those of processes, by requests without PASID (key: PASID 0 of the device, which is never
// bound). Who asks for one that is not known yet gets "pending" and tries again when an answer has come. Pages that the device
// must reach whenever something happens (rings, status page) are kept beside the ATC, so that nothing else drives them out.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "iommu/atc.h"
#include "mem/memory_port.h"

namespace tandem {

class BusAddresses final : public BusTranslation {
 public:
  explicit BusAddresses(Atc& atc) : atc_(atc) {}

  MappedRun find(Iova address, uint64_t bytes, bool write) override;

  // Pages that stay once they are known, until reset(): written by the device.
  void keep(Iova start, uint64_t bytes);

  // A reply to a request without PASID.
  void answered(const Atc::Reply& reply);

  // The IOMMU takes these addresses back. True if anything was known of them: nothing that rests on it may be used any more.
  bool kill(Gva start, Gva end);
  // Entries hold host pointers.
  void drop_entries();
  void reset();

 private:
  static MappedRun run_of(const TlbEntry& entry, Iova address, uint64_t bytes);

  Atc& atc_;
  std::map<uint64_t, std::optional<TlbEntry>> kept_;  // by page
  std::set<uint64_t> refused_;                        // pages of which the IOMMU knows nothing, until somebody was told
};

}  // namespace tandem
