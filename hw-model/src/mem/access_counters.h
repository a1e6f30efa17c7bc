// SPDX-License-Identifier: GPL-2.0-or-later
// Step "memory": how often wavefronts reach beyond the GPU's own memory, for each region of an address space, so that the driver
// can bring what is hot (TANDEM_REG_ACCESS_THRESHOLD).
//
//   Free -> Counting -> Reached -> Told -> Free
//                       (threshold) (event posted) (ACCESS_CLEAR, UNBIND)
//
// A table of sets. A region for which its set has no room takes the place of the one in Counting with the smallest count; one
// that reached the threshold keeps its place until it is cleared, so its event is neither lost nor posted twice.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/types.h"

namespace tandem {

class AccessCounters {
 public:
  static constexpr uint32_t kSets = 256, kWays = 4;

  // Looked at when a TLB entry is made (TlbEntry::counted): while it is off accesses pay nothing. So entries from before a
  // change must go.
  bool on() const { return threshold_ != 0; }
  uint32_t threshold() const { return threshold_; }
  // 0 forgets everything.
  void set_threshold(uint32_t threshold);

  // One access to the page at va. Only while on.
  void count(Pasid pasid, Gva va);

  struct Region {
    Pasid pasid;
    Gva va;
    uint32_t count;
  };
  // A region that reached the threshold and of which nobody was told yet; it counts as told then.
  bool any_reached() const { return reached_ != 0; }
  std::optional<Region> take_reached();

  void clear(Pasid pasid, Gva start, Gva end);
  void forget(Pasid pasid) { clear(pasid, gva(0), gva(TANDEM_VA_LIMIT)); }
  void reset() { set_threshold(0); }

 private:
  enum class State : uint8_t { Free, Counting, Reached, Told };
  struct Entry {
    State state = State::Free;
    uint32_t count = 0;
    Pasid pasid;
    Gva region;
  };

  Entry* find(Pasid pasid, Gva region);
  Entry* make_room(Pasid pasid, Gva region);
  void free(Entry& entry);

  uint32_t threshold_ = 0;
  uint32_t reached_ = 0;  // entries in Reached
  std::vector<Entry> entries_ = std::vector<Entry>(kSets * kWays);
};

}  // namespace tandem
