// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/history.h"

#include <algorithm>
#include <utility>

#include "base/names.h"
#include "base/text.h"
#include "check/report.h"

namespace tandem {

namespace {

using ull = unsigned long long;

// Fills are many, and tell little once they are gone.
bool is_fill(EventKind kind) { return kind == EventKind::Filled || kind == EventKind::Answered; }

bool concerns(const Event& event, Gva start, uint64_t bytes) {
  if (event.bytes == 0) return true;  // the whole address space
  return ranges_overlap(event.start.value, event.bytes, start.value, bytes);
}

// Replays are of the whole address space: only those that may have answered a fault of the range tell something.
void drop_replays_of_others(std::vector<Event>& chain) {
  bool fault_waits = false;
  std::erase_if(chain, [&](const Event& event) {
    if (event.kind == EventKind::Replayed) return !std::exchange(fault_waits, false);
    fault_waits |= event.kind == EventKind::Faulted;
    return false;
  });
}

std::string what_happened(const Event& event) {
  const std::string range = text_of_range(event.start, event.bytes);
  switch (event.kind) {
    case EventKind::Bound: return format("the address space was bound for process %llu", static_cast<ull>(event.seqno));
    case EventKind::Unbound: return "the address space was unbound";
    case EventKind::Filled:
      return format("a page walk made an entry of %s, leading to %#llx, of what it read from moment %llu on",
                    range.c_str(), static_cast<ull>(event.a), static_cast<ull>(event.b));
    case EventKind::Answered:
      return format("the IOMMU answered with %s, leading to %#llx, a request of moment %llu", range.c_str(),
                    static_cast<ull>(event.a), static_cast<ull>(event.b));
    case EventKind::Received:
      return format("invalidation %llu of %s came from the driver, cause: %s", static_cast<ull>(event.seqno), range.c_str(),
                    cause_name(event.detail)) +
             (event.a < event.b ? ", for a notifier of " + text_of_range(gva(event.a), event.b - event.a) : std::string());
    case EventKind::CarriedOut: return "the MMU killed entries of " + range;
    case EventKind::Acknowledged: return format("invalidation %llu of %s was acknowledged", static_cast<ull>(event.seqno), range.c_str());
    case EventKind::AtcInvalidated: return "the IOMMU took back " + range + ", and was told that it is done";
    case EventKind::Faulted:
      return format("fault: %s of %#llx, %s", access_name(static_cast<Access>(event.detail & 0xff)),
                    static_cast<ull>(event.start.value), reason_name(static_cast<tandem_fault_reason>(event.detail >> 8)));
    case EventKind::Replayed: return format("replay: %llu accesses released", static_cast<ull>(event.a));
    case EventKind::WindowOpened: return format("a notifier of Linux began for %s, cause: %s", range.c_str(), cause_name(event.detail));
    case EventKind::WindowClosed: return "the notifier for " + range + " ended";
    case EventKind::Told: return format("%s: %s", event.text ? event.text : "told", range.c_str());
  }
  return "?";
}

}  // namespace

std::string text_of(const Event& event) {
  return format("%10.3f ms  [%llu] ", static_cast<double>(event.time_ns) / 1e6, static_cast<ull>(event.moment)) +
         what_happened(event);
}

void History::note(Pasid pasid, const Event& event) {
  Space& space = spaces_[pasid.value];
  space.last = ++notes_;
  (is_fill(event.kind) ? space.fills : space.others).add(event);
  if (spaces_.size() > kSpaces) forget_quietest();
}

void History::forget_quietest() {
  spaces_.erase(std::min_element(spaces_.begin(), spaces_.end(),
                                 [](const auto& a, const auto& b) { return a.second.last < b.second.last; }));
}

std::vector<Event> History::chain(Pasid pasid, Gva start, uint64_t bytes, size_t most) const {
  std::vector<Event> chain;
  const auto space = spaces_.find(pasid.value);
  if (space == spaces_.end()) return chain;
  const auto take = [&](const Event& event) {
    if (concerns(event, start, bytes)) chain.push_back(event);
  };
  space->second.fills.for_each(take);
  space->second.others.for_each(take);
  std::stable_sort(chain.begin(), chain.end(), [](const Event& a, const Event& b) { return a.moment < b.moment; });
  drop_replays_of_others(chain);
  if (chain.size() > most) chain.erase(chain.begin(), chain.end() - static_cast<std::ptrdiff_t>(most));
  return chain;
}

const Event* History::find(Pasid pasid, uint64_t moment) const {
  const auto space = spaces_.find(pasid.value);
  if (space == spaces_.end()) return nullptr;
  const Event* found = nullptr;
  const auto look = [&](const Event& event) {
    if (event.moment == moment) found = &event;
  };
  space->second.fills.for_each(look);
  return found;
}

}  // namespace tandem
