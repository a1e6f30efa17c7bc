// SPDX-License-Identifier: GPL-2.0-or-later
// Hostile timing: chance, by a seed, for whatever the contract leaves open. Blocks ask at the points where hardware could be late,
// could take another one first, or could stop half-way; without a seed every answer is the plain one.
//
// The answers depend on nothing but the seed and the order of the questions, so a run with the same inputs repeats. Times are
// ticks, and while the device is hostile ticks pass one by one: the others have the time to get in between.
//
// Not open, and so never asked: entries are acknowledged in the order of their ring, commands are carried out in that of theirs, a
// replay releases all who wait, and what an invalidation promised holds when it is acknowledged.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "base/random.h"

namespace tandem {

class Hostile {
 public:
  // Steps that happen, for the whole device, at one moment each: they can be put off as a whole.
  enum class Step : uint8_t { Command, Copy, FaultRecords, PageRequests, Answers, Responses, Interrupts, Count };

  explicit Hostile(uint64_t seed) : on_(seed != 0), random_(seed) { reset(); }

  bool on() const { return on_; }

  // By how many ticks something is late: mostly not at all, seldom by much.
  uint64_t delay() {
    if (!on_) return 0;
    static constexpr std::array<uint64_t, 8> kBelow = {1, 1, 1, 1, 16, 16, 512, 8192};
    return random_.below(kBelow[random_.below(kBelow.size())]);
  }
  // The same for what each access may need, as the steps of walks: hardly ever, or nothing else would be done.
  uint64_t rare_delay() { return sometimes(kRare) ? delay() : 0; }
  // Which of so many comes first.
  uint64_t pick(uint64_t count) { return on_ && count > 1 ? random_.below(count) : 0; }
  // Once in so many times.
  bool sometimes(uint64_t once_in) { return on_ && random_.below(once_in) == 0; }
  // Something smaller than the whole; at least 1.
  uint64_t part(uint64_t whole) { return on_ && whole > 1 ? 1 + random_.below(whole) : whole; }
  // A size of the hardware, no larger than configured: a power of two of the configured one's kind.
  uint32_t shrink(uint32_t size) { return on_ ? std::max(1u, size >> random_.below(8)) : size; }

  // Has the step something to do, and may it? Idle -> put off -> open, until it has nothing to do any more or has brought
  // something about.
  bool may(Step step, bool wanted, uint64_t now) {
    if (!on_) return wanted;
    const auto at = static_cast<size_t>(step);
    if (!wanted) opens_[at] = kIdle;
    else if (opens_[at] == kIdle) opens_[at] = now + delay();
    put_off_[at] = wanted && opens_[at] > now;
    return wanted && !put_off_[at];
  }
  // It has brought something about: the next time is another matter.
  bool brought(Step step, bool something) {
    if (something) opens_[static_cast<size_t>(step)] = kIdle;
    return something;
  }
  // The tick from which the first of those that are put off may: it goes on by itself.
  std::optional<uint64_t> next_opening() const {
    std::optional<uint64_t> next;
    for (size_t at = 0; at < kSteps; ++at)
      if (put_off_[at] && (!next || opens_[at] < *next)) next = opens_[at];
    return next;
  }
  // What they would do has gone.
  void reset() {
    opens_.fill(kIdle);
    put_off_.fill(false);
  }

 private:
  static constexpr uint64_t kIdle = ~0ULL;
  static constexpr uint64_t kRare = 16;
  static constexpr auto kSteps = static_cast<size_t>(Step::Count);

  const bool on_;
  Random random_;
  std::array<uint64_t, kSteps> opens_;  // tick from which the step may, or kIdle
  std::array<bool, kSteps> put_off_;    // asked the last time, it might not
};

}  // namespace tandem
