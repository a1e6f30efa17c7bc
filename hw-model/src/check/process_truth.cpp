// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/process_truth.h"

#include <algorithm>
#include <utility>

#include "base/names.h"
#include "base/text.h"
#include "mem/host_words.h"

namespace tandem {

namespace {

using ull = unsigned long long;
using Why = Grant::Why;

// Where the entry leads for one of its pages.
uint64_t leads_to(const TlbEntry& entry, Gva page) { return entry.device_address + (page - entry.va); }

bool grants(const Grant& grant, const TlbEntry& entry, Gva page) {
  return grant.read && (grant.write || !entry.write) && grant.aperture == entry.aperture &&
         grant.address == leads_to(entry, page);
}

// Linux may be writing it back this very moment, without a notifier.
bool may_pass(Why why) { return why == Why::Empty || why == Why::InTransit; }

std::string text_of_window(const Window& window) {
  std::string text = format("notifier %llu, of [%#llx, %#llx), cause: %s", static_cast<ull>(window.number),
                            static_cast<ull>(window.start.value), static_cast<ull>(window.end.value), cause_name(window.cause));
  if (window.tgid) text += format(", by process %u", window.tgid);
  return text + (window.open ? ", which has not ended yet" : ", which has ended");
}

std::string text_of_grant(const Grant& grant) {
  std::string text = format("the process's page table says: %s (entry %#llx)", words_of(grant.why), static_cast<ull>(grant.entry));
  if (grant.read)
    text += format(": %s %#llx, %s", aperture_name(grant.aperture), static_cast<ull>(grant.address),
                   grant.write ? "read and write" : "read only");
  return text;
}

}  // namespace

ProcessTruth::ProcessTruth(const AddressSpaces& spaces, const MemoryPort& memory, const Ring& invalidations,
                           const Host& host)
    : spaces_(spaces), invalidations_(invalidations), host_(host), pages_(memory), tables_(pages_) {}

std::optional<ProcessTruth::View> ProcessTruth::view_of(Pasid pasid) {
  const AddressSpace* space = spaces_.find_alive(pasid);
  if (!space || !space->check || !tables_.format_address()) return {};
  const std::byte* page = pages_.find(space->check);
  if (!page) return {};
  return View{*space, Windows(*reinterpret_cast<const tandem_check_space*>(page))};
}

Grant ProcessTruth::look(const View& view, Gva va) { return tables_.look(view.windows.root(), view.windows.levels(), va); }

// Code in video memory is the device's own page table's to find.
std::optional<uint32_t> ProcessTruth::read_word(Pasid pasid, Gva va) {
  const auto view = view_of(pasid);
  if (!view || va.value % sizeof(uint32_t)) return {};
  const Grant grant = look(*view, va.align_down(TANDEM_PAGE_BYTES));
  if (!grant.read || grant.aperture != TANDEM_APERTURE_SYSTEM) return {};
  const std::byte* page = pages_.find(grant.address);
  if (!page) return {};
  return load_relaxed<uint32_t>(page + va.value % TANDEM_PAGE_BYTES);
}

bool ProcessTruth::share_memory(Pasid one, Pasid other) {
  const auto view = view_of(one), another = view_of(other);
  return view && another && view->windows.root() == another->windows.root();
}

void ProcessTruth::unbound(Pasid pasid) {
  staleness_.flushed(pasid, gva(0), gva(TANDEM_VA_LIMIT), host_);
  by_pasid_.erase(pasid.value);
  dirty_.forget(pasid);
  std::erase_if(suspicions_, [&](const Suspicion& each) { return each.entry.pasid == pasid; });
}

void ProcessTruth::reset() {
  pages_.drop();
  tables_.set_format(0);
  by_pasid_.clear();
  dirty_.reset();
  staleness_.reset();
  suspicions_.clear();
  wants_rest_ = asked_ = false;
}

// ---- fills ----

void ProcessTruth::note_fill(const View& view, const TlbEntry& entry) {
  Space& space = by_pasid_[entry.pasid.value];
  // After the page table entry was read: what is opened later finds this translation alive.
  const uint64_t opened = view.windows.opened();
  if (space.fills.empty() || space.fills.back().opened != opened) space.fills.push_back({entry.filled, opened});
  if (space.fills.size() > kFills) space.fills.pop_front();
  if (const auto window = view.windows.open_over(entry.va, entry.bytes, Windows::Whose::Others))
    space.in_window.push_back({entry.filled, *window});
  if (space.in_window.size() > kFills) space.in_window.pop_front();
}

std::optional<Finding> ProcessTruth::judge_fill(const UsedTranslation& made) {
  const TlbEntry& entry = made.entry;
  const auto view = view_of(entry.pasid);
  if (!view) return {};
  note_fill(*view, entry);
  if (!view->through_iommu() && entry.write) dirty_.may_store(entry.pasid, entry.va, entry.bytes, invalidations_.put);
  const Gva end = entry.va + entry.bytes;
  for (Gva page = entry.va; page < end;) {
    const Grant grant = look(*view, page);
    if (!grants(grant, entry, page))
      if (auto finding = judge_page(*view, made, page)) return finding;
    const uint64_t bytes = 1ULL << grant.shift;
    page = page.align_down(bytes) + bytes;
  }
  return {};
}

// ---- uses ----

std::optional<Finding> ProcessTruth::judge(const UsedTranslation& used) {
  const auto view = view_of(used.entry.pasid);
  if (!view) return {};
  const Gva address = used.entry.covers(used.request.va) ? used.request.va : used.entry.va;
  return judge_page(*view, used, address.align_down(TANDEM_PAGE_BYTES));
}

std::optional<Finding> ProcessTruth::judge_page(const View& view, const UsedTranslation& used, Gva page) {
  ++tally_.judged;
  if (!view.through_iommu())
    if (const auto window = kept_over(view, used.entry, page))
      return Finding{"X1.kept-over-a-notifier",
                     "a translation was used that Linux's notifier had to end before it returned",
                     {text_of_window(*window), text_of_grant(look(view, page))}};
  const Grant first = look(view, page);
  if (grants(first, used.entry, page)) {
    staleness_.is_right(used.entry, page);
    return {};
  }
  if (view.through_iommu()) {
    ++tally_.before_flush;
    staleness_.is_stale(used.entry, page, host_);
    suspect(view, used);
    return {};
  }
  return settle_mirror(view, used, page, first);
}

// A second look decides: what Linux changes in a window of our own, and what it writes back at once, is not held against anybody.
std::optional<Finding> ProcessTruth::settle_mirror(const View& view, const UsedTranslation& used, Gva page, const Grant& first) {
  if (view.windows.lost()) {
    ++tally_.windows_lost;
    return {};
  }
  if (view.windows.open_over(page, TANDEM_PAGE_BYTES, Windows::Whose::Own)) {
    ++tally_.own_section;
    return {};
  }
  const Grant second = look(view, page);
  if (grants(second, used.entry, page)) {
    ++tally_.passing;
    return {};
  }
  if (may_pass(second.why) || second != first) {
    suspect(view, used);
    return {};
  }
  return finding_of(used.entry, page, second);
}

std::optional<Window> ProcessTruth::kept_over(const View& view, const TlbEntry& entry, Gva page) {
  const auto space = by_pasid_.find(entry.pasid.value);
  if (space == by_pasid_.end() || space->second.fills.empty()) return {};
  const auto& fills = space->second.fills;
  const auto after = std::find_if(fills.begin(), fills.end(), [&](const FilledAt& fill) { return fill.moment > entry.filled; });
  const uint64_t since = after == fills.begin() ? after->opened : std::prev(after)->opened;
  return view.windows.opened_since(since, page, TANDEM_PAGE_BYTES);
}

Finding ProcessTruth::finding_of(const TlbEntry& entry, Gva page, const Grant& grant) {
  Finding finding;
  const bool leads_there = grant.read && grant.aperture == entry.aperture && grant.address == leads_to(entry, page);
  if (!grant.read)
    finding = {"X1.stale-translation", "a translation was used where the process's page table grants nothing", {}};
  else if (leads_there)
    finding = {"X1.permission-too-wide", "a translation permitted writing where the process's page table does not", {}};
  else
    finding = {"X1.wrong-page", "a translation led to another page than the process's page table", {}};
  finding.details.push_back(text_of_grant(grant));
  const auto space = by_pasid_.find(entry.pasid.value);
  if (space == by_pasid_.end()) return finding;
  for (const FilledInWindow& fill : space->second.in_window) {
    if (fill.moment != entry.filled) continue;
    finding.key = "X1.mapped-inside-a-window";
    finding.details.push_back("it was made while Linux was changing the range: " + text_of_window(fill.window));
  }
  return finding;
}

// ---- suspicions ----

// Through the IOMMU almost every suspect is gone in the next round, with the flush: rest is worth asking for if it is not.
void ProcessTruth::suspect(const View& view, const UsedTranslation& used) {
  const auto same = [&](const Suspicion& each) { return each.entry.filled == used.entry.filled; };
  const bool full = suspicions_.size() == kSuspicions;
  const bool known = std::any_of(suspicions_.begin(), suspicions_.end(), same);
  wants_rest_ |= known || full || !view.through_iommu();
  if (known || full) return;
  suspicions_.push_back({used.entry, used.request});
  ++tally_.suspected;
}

std::vector<ProcessTruth::Confirmed> ProcessTruth::at_rest(const std::function<bool(const TlbEntry&)>& alive) {
  std::vector<Confirmed> confirmed;
  ++tally_.rests;
  wants_rest_ = asked_ = false;
  for (const Suspicion& suspicion : std::exchange(suspicions_, {})) {
    const TlbEntry& entry = suspicion.entry;
    const auto view = view_of(entry.pasid);
    if (!view || !alive(entry) || view->windows.lost()) continue;
    const Gva address = entry.covers(suspicion.request.va) ? suspicion.request.va : entry.va;
    const Gva page = address.align_down(TANDEM_PAGE_BYTES);
    const Grant grant = look(*view, page);
    if (grants(grant, entry, page)) {
      staleness_.is_right(entry, page);
      continue;
    }
    // Only where the IOMMU translates can a flush be still to come.
    if (view->through_iommu() &&
        (view->windows.flushing() || view->windows.open_over(page, TANDEM_PAGE_BYTES, Windows::Whose::Others)))
      continue;
    ++tally_.confirmed;
    confirmed.push_back({suspicion, finding_of(entry, page, grant)});
  }
  return confirmed;
}

// ---- atomics ----

// What the GPU does as a load and a store is an atomic only while no CPU can reach the page.
std::optional<Finding> ProcessTruth::judge_atomic(Pasid pasid, Gva va, bool store) {
  const auto view = view_of(pasid);
  if (!view || view->through_iommu() || view->windows.lax_atomics()) return {};
  ++tally_.atomics;
  const Gva page = va.align_down(TANDEM_PAGE_BYTES);
  const Grant grant = look(*view, page);
  if (grant.why != Why::Present || grant.aperture != TANDEM_APERTURE_SYSTEM || look(*view, page) != grant) return {};
  return Finding{"X5.cpu-reaches-page",
                 store ? "an atomic stored while the process's page table let the CPUs reach the page"
                       : "an atomic loaded while the process's page table let the CPUs reach the page",
                 {text_of_grant(grant)}};
}

// ---- dirty pages ----

std::optional<Finding> ProcessTruth::judge_acknowledgement(const tandem_invalidate& entry, Gva start, Gva end, uint32_t index) {
  const Pasid pasid{{entry.pasid}};
  const uint64_t pages = dirty_.settle(pasid, start, end, index);
  const auto view = view_of(pasid);
  tally_.dirty_pages += pages;
  if (!view || entry.cause >= TANDEM_CAUSE_DRIVER_BASE || pages <= entry.dirty) return {};
  return Finding{"X9.dirty-lost",
                 "an invalidation is acknowledged without Linux having been told of every page that the device may have written",
                 {format("%llu pages of the range had translations that permitted writing; Linux was told of %u",
                         static_cast<ull>(pages), entry.dirty)}};
}

}  // namespace tandem
