// SPDX-License-Identifier: GPL-2.0-or-later
// What happened to each address space lately: the chain of events in a report. Two rings for each, because fills are so many that
// they would push out everything else.
//
// Bounded, whatever the guest names: a ring grows as it is used, to kEvents, and of more than kSpaces address spaces that one is
// forgotten to which nothing has happened for longest. That is 12 MiB at most.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/types.h"

namespace tandem {

enum class EventKind : uint8_t {
  Bound,           // seqno: process
  Unbound,
  Filled,          // a: device address; b: the moment when the walk began, detail: PTE bits as text_of() shows them
  Answered,        // the same, by the IOMMU; seqno: PASID on the bus
  Received,        // an invalidation came; a, b: the notifier's range; detail: cause
  CarriedOut,      // what the MMU did about it
  Acknowledged,    // seqno; a: entries killed; b: stores drained
  AtcInvalidated,  // the IOMMU took translations back
  Faulted,         // detail: access | reason << 8
  Replayed,        // seqno: command; a: accesses released
  WindowOpened,    // the driver's notifier began; detail: cause
  WindowClosed,
  Told,            // by the driver; text says what
};

struct Event {
  EventKind kind;
  uint64_t moment = 0;   // the checker's clock: orders events, and names fills
  uint64_t time_ns = 0;  // device clock, of about then
  Gva start{};
  uint64_t bytes = 0;
  uint64_t seqno = 0;
  uint64_t a = 0, b = 0;
  uint32_t detail = 0;
  const char* text = nullptr;  // static
};

// One line: when, and what.
std::string text_of(const Event& event);

class History {
 public:
  static constexpr size_t kSpaces = 256;

  void note(Pasid pasid, const Event& event);
  // What concerns the range, oldest first: at most so many of the youngest.
  std::vector<Event> chain(Pasid pasid, Gva start, uint64_t bytes, size_t most) const;
  // The event of that moment, if it is remembered.
  const Event* find(Pasid pasid, uint64_t moment) const;
  size_t spaces() const { return spaces_.size(); }
  void reset() { spaces_.clear(); }

 private:
  static constexpr size_t kEvents = 256;
  struct EventRing {
    std::vector<Event> events;
    uint64_t count = 0;
    void add(const Event& event) {
      if (events.size() < kEvents) events.push_back(event);
      else events[count % kEvents] = event;
      ++count;
    }
    template <typename Visit>
    void for_each(Visit visit) const {
      for (uint64_t n = count > kEvents ? count - kEvents : 0; n < count; ++n) visit(events[n % kEvents]);
    }
  };
  struct Space {
    EventRing fills, others;
    uint64_t last = 0;  // when something was noted: a number of notes_
  };
  void forget_quietest();

  std::unordered_map<uint32_t, Space> spaces_;
  uint64_t notes_ = 0;
};

}  // namespace tandem
