// SPDX-License-Identifier: GPL-2.0-or-later
// Step "memory": loads of a wavefront that have translated but not yet read (property load-reorder). With them loads are done
// out of order, and after younger stores, as far as the memory model (RVWMO) lets them be: load buffering, and readers that
// disagree about the order of independent writes.
//
// A late load is read at last when
// - chance says so, some instructions later: values come from near and from far;
// - the wavefront stores to its bytes, or loads them again: one word is always seen in order;
// - an invalidation overlaps it (what it holds rests on a translation, see mmu/translation.h), or its workgroup is taken off.
// An instruction that names its register, as source or destination, waits for that, and so does whatever has to come after it: a
// fence that orders loads before something, a release, a barrier, an error, the end.
//
// Costs nothing when off: when on, every decoded instruction has run_with_late_loads as its handler (code_cache.h), which
// does all of this and calls the real one. Nothing else knows of it but for bind() where a wavefront leaves or its registers are
// shown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/types.h"
#include "compute/decode.h"
#include "compute/lane_addresses.h"
#include "compute/store_queue.h"
#include "compute/watched.h"

namespace tandem::compute {

struct Wave;

struct LateLoad {
  LaneAddresses at;
  const std::byte* host[kLanes] = {};
  LaneMask lanes = 0;        // not yet read
  Op op = Op::Ld;
  uint8_t rd = 0;
  uint32_t distance = 1;     // it is read with one chance in 2^distance
  Translated translated;
};

class LateLoads {
 public:
  bool empty() const { return loads_.empty(); }

  // Registers that wait for a value: bit n is x[n] or f[n].
  uint32_t registers() const { return registers_; }

  // A new one, whose lanes are yet to be added: by note(), for each lane that has been translated.
  void begin(Op op, uint8_t rd, const LaneAddresses& at, uint32_t distance);
  void note(uint32_t lane, const std::byte* host);
  Translated& translated() { return loads_.back().translated; }

  // Each reads what it says into the wavefront's registers.
  void bind_all(Wave& wave);
  void bind_some(Wave& wave, Random& random);  // whose values chance says have come
  void bind_overlapping(Wave& wave, const LaneAddresses& at);
  void bind_newest(Wave& wave);
  void bind_nth(Wave& wave, size_t n);
  size_t size() const { return loads_.size(); }
  // The same for an invalidation of the range.
  void drain(Wave& wave, uint64_t va, uint64_t bytes);

  // They are never read: the wavefront is gone.
  void discard();

 private:
  std::vector<LateLoad> loads_;   // in program order
  uint32_t registers_ = 0;
};

// The handler of every instruction while load-reorder is on.
Next run_with_late_loads(Wave& wave, const Decoded& d);

}  // namespace tandem::compute
