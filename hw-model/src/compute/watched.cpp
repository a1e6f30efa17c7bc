// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/watched.h"

#include "check/checker.h"

namespace tandem::compute {

void Translated::note(const Checker& check, const TranslationRequest& now) {
  request = now;
  moment = check.moment();
}

// Page by page: lanes far apart have nothing to do with what lies between them.
void Translated::tell(Checker& check, LateAccess what, const LaneAddresses& at, LaneMask lanes) const {
  const auto page_of = [](uint64_t va) { return va / TANDEM_PAGE_BYTES; };
  if (page_of(at.low) == page_of(at.high - 1)) {
    check.done_late(what, request, gva(at.low), at.high - at.low, moment);
    return;
  }
  uint64_t last = ~uint64_t{0};
  for_each_lane(lanes, [&](uint32_t lane) {
    if (page_of(at.va(lane)) == last) return;
    last = page_of(at.va(lane));
    TranslationRequest of_lane = request;
    of_lane.lane = static_cast<uint8_t>(lane);
    check.done_late(what, of_lane, gva(at.va(lane)), at.bytes, moment);
  });
}

}  // namespace tandem::compute
