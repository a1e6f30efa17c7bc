// SPDX-License-Identifier: GPL-2.0-or-later
// What of an address space was invalidated, and when for the last time: the checker's own memory, which trusts no TLB.
//
// Each byte belongs to the youngest acknowledged invalidation that covered it. The number of pieces is bounded: beyond it the older
// half is forgotten, or somewhat more if one old invalidation was cut into many pieces. Only translations that are very old can
// escape. All address spaces together are bounded as well: invalidation_memory.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/types.h"

namespace tandem {

// One acknowledged invalidation: what was asked for, and what the MMU did about it.
struct Invalidation {
  enum class Source : uint8_t { Driver, Iommu, Unbind };
  struct CarriedOut {
    uint64_t moment;
    Pasid pasid;
    Gva start, end;
  };

  Source source = Source::Driver;
  Pasid pasid;
  Gva start, end;
  uint64_t seqno = 0;
  uint64_t moment = 0;                    // of the acknowledgement, on the checker's clock
  std::optional<CarriedOut> carried_out;  // nothing: not yet

  // What began before it must not be used. A walk that began again when it was carried out has read what the driver had published before.
  uint64_t binds() const { return carried_out ? std::min(carried_out->moment, moment) : moment; }
};

class InvalidatedRanges {
 public:
  explicit InvalidatedRanges(size_t most = 8192) : most_(most) {}

  void add(const std::shared_ptr<const Invalidation>& invalidation);
  // One that shares a byte with the range and must have ended what began at that moment; the youngest of them.
  const Invalidation* after(uint64_t moment, Gva start, uint64_t bytes) const;
  size_t pieces() const { return pieces_.size(); }
  // Adds the moment of each piece.
  void list_moments(std::vector<uint64_t>& moments) const;
  // Of that moment, and older.
  void forget_until(uint64_t moment);

 private:
  struct Piece {
    uint64_t end;
    std::shared_ptr<const Invalidation> invalidation;
  };
  void clear(uint64_t start, uint64_t end);

  size_t most_;
  std::map<uint64_t, Piece> pieces_;  // by start; none overlap
};

// Half of the moments are older, or the same.
uint64_t middle_of(std::vector<uint64_t> moments);

}  // namespace tandem
