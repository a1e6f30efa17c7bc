// SPDX-License-Identifier: GPL-2.0-or-later
// Step "L1 TLB -> L2 TLB -> translator": misses, their walks, fills, and invalidation.
#include "mmu/mmu.h"

#include <algorithm>

namespace tandem {

namespace {
// Restarts of one walk in one tick. Beyond it the walk goes on in the next tick, so that a table that changes all the time
// cannot hold the device.
constexpr uint32_t kRestartsPerTick = 16;
// The L1 that queues and copies share: fully associative.
constexpr uint32_t kSharedL1Ways = 16;
}  // namespace

Mmu::Mmu(const MmuConfig& config, const AddressSpaces& spaces, const MemoryPort& memory, FaultSink& faults,
         Counters& counters, const Trace& trace, const Host& host)
    : config_(config),
      spaces_(spaces),
      memory_(memory),
      faults_(faults),
      counters_(counters),
      trace_(trace),
      host_(host),
      tables_(memory),
      l1_(config.compute_units, Tlb(config.l1_sets, config.l1_ways)),
      l2_(config.l2_sets, config.l2_ways) {
  l1_.emplace_back(1, kSharedL1Ways);
}

Mmu::MissKey Mmu::key_of(const TranslationRequest& request) {
  // Execute needs what Read needs, but faults under its own name.
  return {request.pasid.value, request.access, request.va.value >> TANDEM_PAGE_SHIFT};
}

const TlbEntry* Mmu::lookup(const TranslationRequest& request) {
  const TlbEntry* entry = l1_of(request).lookup(request.pasid, request.va, request.access, request.pc);
  if (entry) ++counters_[TANDEM_COUNTER_L1_HITS];
  return entry;
}

const TlbEntry* Mmu::look_in_l2(const TranslationRequest& request) {
  const TlbEntry* entry = l2_.lookup(request.pasid, request.va, request.access);
  ++counters_[entry ? TANDEM_COUNTER_L2_HITS : TANDEM_COUNTER_L2_MISSES];
  return entry;
}

TranslationResult Mmu::translate(const TranslationRequest& request, TranslationWaiter& waiter) {
  using Kind = TranslationResult::Kind;
  if (request.va.value >= TANDEM_VA_LIMIT) return {Kind::Failed, nullptr, TANDEM_QUEUE_ADDRESS_RANGE};
  if (!spaces_.find(request.pasid)) return {Kind::Failed, nullptr, TANDEM_QUEUE_ADDRESS_FAULT};
  if (const TlbEntry* entry = lookup(request)) return {Kind::Hit, entry};
  ++counters_[TANDEM_COUNTER_L1_MISSES];
  if (config_.l2_latency == 0)
    if (const TlbEntry* entry = look_in_l2(request)) return {Kind::Hit, fill_l1(request, *entry)};

  const auto under_way = by_page_.find(key_of(request));
  if (under_way == by_page_.end()) return start(request, waiter);
  auto& waiters = under_way->second->waiters;
  const auto same = [&](const Miss::Waiter& other) { return other.waiter == &waiter; };
  if (std::none_of(waiters.begin(), waiters.end(), same)) waiters.push_back({request, &waiter});
  return {Kind::Wait};
}

TranslationResult Mmu::start(const TranslationRequest& request, TranslationWaiter& waiter) {
  Miss miss;
  miss.request = request;
  miss.began_ns = trace_.on() ? host_.now() : 0;
  if (config_.l2_latency == 0 && config_.walk_latency == 0) return walk_at_once(miss, waiter);

  miss.waiters.push_back({request, &waiter});
  miss.due = now_ + config_.l2_latency;
  looking_.push_back(std::move(miss));
  by_page_[key_of(request)] = std::prev(looking_.end());
  if (config_.l2_latency == 0) {
    wait_for_walker(std::prev(looking_.end()));
    start_waiting_walks();
  }
  return {TranslationResult::Kind::Wait};
}

// Hardware without latencies: the answer comes in the same call, and only a fault makes the client wait.
TranslationResult Mmu::walk_at_once(Miss& miss, TranslationWaiter& waiter) {
  using Kind = TranslationResult::Kind;
  miss.walk = PageWalk(spaces_.find(miss.request.pasid)->root, miss.request.va, miss.request.access);
  while (miss.walk.restarts() <= kRestartsPerTick) {
    miss.walk.fetch(tables_);
    const PageWalk::Step step = resolve(miss);
    if (step == PageWalk::Step::Descend || step == PageWalk::Step::Changed) continue;
    ++counters_[TANDEM_COUNTER_WALKS];
    trace_walk(miss, step == PageWalk::Step::Found ? miss.walk.fetched() : 0);
    if (step == PageWalk::Step::Found)
      return {Kind::Hit, fill_l1(miss.request, fill_l2(miss.request, miss.walk.entry()))};
    note_poison(miss);
    if (const auto error = faults_.raise(miss.request, miss.walk.reason(), waiter)) return {Kind::Failed, nullptr, *error};
    return {Kind::Wait};
  }
  // The entry changes faster than it can be marked: go on in the next tick.
  miss.waiters.push_back({miss.request, &waiter});
  miss.stage = Miss::Stage::WaitingForWalker;
  waiting_.push_back(std::move(miss));
  by_page_[key_of(waiting_.back().request)] = std::prev(waiting_.end());
  return {Kind::Wait};
}

// One judgement; a changed entry sends the walk back to the root.
PageWalk::Step Mmu::resolve(Miss& miss) {
  const PageWalk::Step step = miss.walk.resolve(tables_, memory_, miss.request.pasid);
  if (step == PageWalk::Step::Changed) {
    miss.walk.restart();
    ++counters_[TANDEM_COUNTER_WALK_RESTARTS];
  }
  return step;
}

const TlbEntry& Mmu::fill_l2(const TranslationRequest& request, const TlbEntry& entry) {
  const Tlb::Inserted inserted = l2_.insert(entry);
  if (trace_.on()) trace_fill(request, entry, 2, inserted.evicted);
  return *inserted.entry;
}

const TlbEntry* Mmu::fill_l1(const TranslationRequest& request, const TlbEntry& entry) {
  const Tlb::Inserted inserted = l1_of(request).insert(entry);
  if (trace_.on()) trace_fill(request, entry, 1, inserted.evicted);
  return inserted.entry;
}

Mmu::MissList& Mmu::list_of(Miss::Stage stage) {
  switch (stage) {
    case Miss::Stage::LookingInL2: return looking_;
    case Miss::Stage::WaitingForWalker: return waiting_;
    case Miss::Stage::Walking: break;
  }
  return walking_;
}

void Mmu::wait_for_walker(MissList::iterator miss) {
  waiting_.splice(waiting_.end(), list_of(miss->stage), miss);
  miss->stage = Miss::Stage::WaitingForWalker;
}

void Mmu::start_waiting_walks() {
  while (!waiting_.empty() && walking_.size() < config_.walkers) {
    walking_.splice(walking_.end(), waiting_, waiting_.begin());
    begin_walk(walking_.back());
  }
}

void Mmu::begin_walk(Miss& miss) {
  miss.stage = Miss::Stage::Walking;
  miss.walk = PageWalk(spaces_.find(miss.request.pasid)->root, miss.request.va, miss.request.access);
  miss.due = now_;
}

void Mmu::restart(Miss& miss) {
  miss.walk.restart();
  miss.due = now_;
  ++counters_[TANDEM_COUNTER_WALK_RESTARTS];
}

void Mmu::end(MissList::iterator miss) {
  by_page_.erase(key_of(miss->request));
  list_of(miss->stage).erase(miss);
}

template <typename Test>
void Mmu::end_if(Test test) {
  for (MissList* list : {&looking_, &waiting_, &walking_})
    for (auto miss = list->begin(); miss != list->end();) {
      const auto present = miss++;
      if (test(*present)) end(present);
    }
}

void Mmu::tick(uint64_t now) {
  now_ = now;
  start_waiting_walks();
  advance_walks();
  look_up_what_is_due();
  start_waiting_walks();
}

std::optional<uint64_t> Mmu::next_due() const {
  if (!waiting_.empty() && walking_.size() < config_.walkers) return now_;
  std::optional<uint64_t> next;
  for (const Miss& miss : walking_)
    if (!next || miss.due < *next) next = miss.due;
  if (!looking_.empty() && (!next || looking_.front().due < *next)) next = looking_.front().due;
  return next;
}

// All lookups take the same time: what began first is due first.
void Mmu::look_up_what_is_due() {
  while (!looking_.empty() && looking_.front().due <= now_) {
    const auto miss = looking_.begin();
    if (look_up(*miss) == Progress::Ended) end(miss);
    else wait_for_walker(miss);
  }
}

Mmu::Progress Mmu::look_up(Miss& miss) {
  const TlbEntry* found = look_in_l2(miss.request);
  if (!found) return Progress::Waiting;
  for (const Miss::Waiter& waiting : miss.waiters) fill_l1(waiting.request, *found);
  for (const Miss::Waiter& waiting : miss.waiters) waiting.waiter->translation_ready();
  return Progress::Ended;
}

void Mmu::advance_walks() {
  for (auto miss = walking_.begin(); miss != walking_.end();) {
    const auto present = miss++;
    if (advance_walk(*present) == Progress::Ended) end(present);
  }
}

// An entry is read, walk_latency ticks later it is judged; and so on down the levels.
Mmu::Progress Mmu::advance_walk(Miss& miss) {
  for (uint32_t restarts = 0; miss.due <= now_ && restarts < kRestartsPerTick;) {
    if (!miss.walk.has_fetched()) {
      miss.walk.fetch(tables_);
      miss.due += config_.walk_latency;
      continue;
    }
    const PageWalk::Step step = resolve(miss);
    if (step == PageWalk::Step::Changed) ++restarts;
    if (step == PageWalk::Step::Descend || step == PageWalk::Step::Changed) continue;
    ++counters_[TANDEM_COUNTER_WALKS];
    if (step == PageWalk::Step::Found) succeed(miss);
    else fail(miss);
    return Progress::Ended;
  }
  return Progress::Waiting;
}

void Mmu::succeed(Miss& miss) {
  trace_walk(miss, miss.walk.fetched());
  const TlbEntry entry = fill_l2(miss.request, miss.walk.entry());
  for (const Miss::Waiter& waiting : miss.waiters) fill_l1(waiting.request, entry);
  for (const Miss::Waiter& waiting : miss.waiters) waiting.waiter->translation_ready();
}

void Mmu::fail(Miss& miss) {
  trace_walk(miss, 0);
  note_poison(miss);
  for (const Miss::Waiter& waiting : miss.waiters)
    if (const auto error = faults_.raise(waiting.request, miss.walk.reason(), *waiting.waiter))
      waiting.waiter->translation_failed(*error, waiting.request.va);
}

// Counts a walk that ended at a poisoned page.
void Mmu::note_poison(const Miss& miss) {
  if (miss.walk.reason() != TANDEM_FAULT_POISON) return;
  ++counters_[TANDEM_COUNTER_POISON_HITS];
  if (!trace_.on()) return;
  tandem_trace_record record = shared_record(TANDEM_TRACE_POISON, miss.request.pasid);
  record.queue = miss.request.queue.value;
  record.va = peer_offset(miss.walk.page_address());
  record.a = 1;
  trace_.emit(record);
}

void Mmu::forget(TranslationWaiter& waiter) {
  faults_.forget(waiter);
  // A walk that nobody waits for any more would only mark pages that nobody will touch.
  end_if([&](Miss& miss) {
    std::erase_if(miss.waiters, [&](const Miss::Waiter& waiting) { return waiting.waiter == &waiter; });
    return miss.waiters.empty();
  });
}

Mmu::Killed Mmu::invalidate(Pasid pasid, Gva start, Gva end) {
  Killed killed;
  for (Tlb& l1 : l1_)
    if (const uint32_t entries = l1.kill(pasid, start, end)) {
      killed.entries += entries;
      killed.hit |= TANDEM_HIT_L1;
    }
  if (const uint32_t entries = l2_.kill(pasid, start, end)) {
    killed.entries += entries;
    killed.hit |= TANDEM_HIT_L2;
  }
  for (Miss& miss : walking_) {
    if (miss.request.pasid != pasid || !miss.walk.overlaps(start, end)) continue;
    restart(miss);
    killed.hit |= TANDEM_HIT_WALK;
  }
  return killed;
}

Mmu::Killed Mmu::remove(Pasid pasid) {
  Killed killed = invalidate(pasid, gva(0), gva(TANDEM_VA_LIMIT));
  end_if([&](const Miss& miss) { return miss.request.pasid == pasid; });
  return killed;
}

void Mmu::drop_host_pointers() {
  for (Tlb& l1 : l1_) l1.kill_all();
  l2_.kill_all();
  tables_.drop();
  for (Miss& miss : walking_) restart(miss);
}

void Mmu::reset() {
  for (Tlb& l1 : l1_) l1.kill_all();
  l2_.kill_all();
  tables_.drop();
  looking_.clear();
  waiting_.clear();
  walking_.clear();
  by_page_.clear();
}

void Mmu::trace_walk(const Miss& miss, uint64_t pte) const {
  if (!trace_.on()) return;
  tandem_trace_record record = shared_record(TANDEM_TRACE_WALK, miss.request.pasid);
  record.queue = miss.request.queue.value;
  record.va = miss.request.va.value;
  record.detail = static_cast<uint32_t>(miss.request.access) | (miss.walk.levels_read() & 0xff) << 8 |
                  std::min(miss.walk.restarts(), 0xffffu) << 16;
  record.a = pte;
  record.b = host_.now() - miss.began_ns;
  trace_.emit(record);
}

void Mmu::trace_fill(const TranslationRequest& request, const TlbEntry& entry, uint32_t level, bool evicted) const {
  tandem_trace_record record = shared_record(TANDEM_TRACE_FILL, entry.pasid);
  if (level == 1) record.unit = request.unit;
  record.queue = request.queue.value;
  record.va = entry.va.value;
  record.bytes = entry.bytes;
  record.detail = level;
  record.a = entry.pte;
  record.b = evicted;
  trace_.emit(record);
}

}  // namespace tandem
