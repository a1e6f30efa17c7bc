// SPDX-License-Identifier: GPL-2.0-or-later
// Faults from the access to the answer: that a page which may be accessed does not go on faulting. Counted in faults, not in time.
//
// The table has one place for each page of a few MiB in a row. A page that finds another one in its place drives it out, whose
// counts begin anew: this costs the checker a late report at worst, and faults come by the thousand.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "fault/pending_accesses.h"

namespace tandem {

class FaultLedger {
 public:
  // So often in a row an access may fault at a page that its page table permits: between the walk and the look at the table the
  // driver may have mapped it, and each replay may meet that again.
  static constexpr uint32_t kMostInARow = 8;
  // And so often at a page that nobody maps, although what waits is released each time: more than a fault storm, of which each batch
  // serves a part, can bring about.
  static constexpr uint32_t kMostUnserved = 256;

  // How often an access has faulted in a row, with nothing invalidated and no success in between.
  struct Row {
    uint32_t permitted = 0;  // although the page table, as it was then, let it through
    uint32_t unserved = 0;   // and it did not
  };
  // An access faults; permitted: the page table, as it is now, lets it through.
  Row faulted(const AccessKey& key, bool permitted);
  // Whoever waits for pages of the range has been told that they cannot be had.
  void answered(Pasid pasid, Gva start, Gva end) { invalidated(pasid, start, end); }
  void succeeded(const TlbEntry& entry);
  void invalidated(Pasid pasid, Gva start, Gva end);
  void reset() { places_.assign(kPlaces, {}), taken_ = 0; }

 private:
  static constexpr size_t kPlaces = 4096;
  struct Place {
    uint64_t page = 0;
    uint32_t pasid = 0;  // 0: nobody's
    std::array<Row, TANDEM_ACCESS_EXECUTE + 1> rows;  // by enum tandem_access
  };

  Place& place_of(uint32_t pasid, uint64_t page) { return places_[(page / TANDEM_PAGE_BYTES + uint64_t{pasid} * 977) % kPlaces]; }
  void free(Place& place);
  // Calls visit(Place&) for the pages of the range that have one.
  template <typename Visit>
  void for_each(Pasid pasid, Gva start, Gva end, Visit visit);

  std::vector<Place> places_ = std::vector<Place>(kPlaces);
  size_t taken_ = 0;
};

}  // namespace tandem
