// SPDX-License-Identifier: GPL-2.0-or-later
// Step "L1 TLB -> L2 TLB -> translator": misses, their walks, fills, and invalidation.
#include "mmu/mmu.h"

#include <algorithm>
#include <array>

namespace tandem {

namespace {
// Restarts of one walk in one tick. Beyond it the walk goes on in the next tick, so that a table that changes all the time
// cannot hold the device.
constexpr uint32_t kRestartsPerTick = 16;
// The L1 that queues and copies share: fully associative.
constexpr uint32_t kSharedL1Ways = 16;

std::optional<QueueError> error_of(tandem_fault_reason reason) {
  switch (reason) {
    case TANDEM_FAULT_NOT_PRESENT: return TANDEM_QUEUE_ADDRESS_FAULT;
    case TANDEM_FAULT_PERMISSION: return TANDEM_QUEUE_PERMISSION_FAULT;
    case TANDEM_FAULT_POISON: return TANDEM_QUEUE_MEMORY_ERROR;
    case TANDEM_FAULT_BAD_PTE:
    case TANDEM_FAULT_TABLE_DMA:
    case TANDEM_FAULT_PAGE_DMA: break;
  }
  return TANDEM_QUEUE_DMA_ERROR;
}
}  // namespace

Mmu::Mmu(const MmuConfig& config, const AddressSpaces& spaces, const MemoryPort& memory, FaultSink& faults,
         Atc& atc, PageRequests& page_requests, Counters& counters, const Trace& trace, const Host& host)
    : config_(config),
      spaces_(spaces),
      memory_(memory),
      faults_(faults),
      atc_(atc),
      page_requests_(page_requests),
      counters_(counters),
      trace_(trace),
      host_(host),
      check_(memory.checker()),
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
  if (!entry) return nullptr;
  ++counters_[TANDEM_COUNTER_L1_HITS];
  if (check_ && check_->wants(*entry)) [[unlikely]] check_->used(*entry, request);
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
  const AddressSpace* space = spaces_.find(request.pasid);
  if (!space) return {Kind::Failed, nullptr, TANDEM_QUEUE_ADDRESS_FAULT};
  if (const TlbEntry* entry = lookup(request)) return {Kind::Hit, entry};
  if (config_.mutation == TANDEM_MUTATION_READ_ONLY_KEPT) [[unlikely]]
    if (const auto result = fault_at_read_only_entry(request, waiter)) return *result;
  ++counters_[TANDEM_COUNTER_L1_MISSES];
  if (config_.l2_latency == 0)
    if (const TlbEntry* entry = look_in_l2(request)) return {Kind::Hit, fill_l1(request, *entry)};

  const auto under_way = by_page_.find(key_of(request));
  if (under_way == by_page_.end()) return start(request, *space, waiter);
  auto& waiters = under_way->second->waiters;
  const auto same = [&](const Miss::Waiter& other) { return other.waiter == &waiter; };
  if (std::none_of(waiters.begin(), waiters.end(), same)) waiters.push_back({request, &waiter});
  return {Kind::Wait};
}

TranslationResult Mmu::start(const TranslationRequest& request, const AddressSpace& space, TranslationWaiter& waiter) {
  Miss miss;
  miss.request = request;
  miss.began_ns = trace_.on() ? host_.now() : 0;
  if (config_.l2_latency == 0 && space.translation == TANDEM_TRANSLATION_SVA) return ask_at_once(miss, waiter);
  if (config_.l2_latency == 0 && at_once()) return walk_at_once(miss, space.root, waiter);

  miss.waiters.push_back({request, &waiter});
  miss.due = now_ + config_.l2_latency;
  enter(std::move(miss), config_.l2_latency == 0 ? Miss::Stage::WaitingForWalker : Miss::Stage::LookingInL2);
  if (config_.l2_latency == 0) start_waiting_walks();
  return {TranslationResult::Kind::Wait};
}

// Hardware without latencies: the answer comes in the same call, and only a fault makes the client wait.
TranslationResult Mmu::walk_at_once(Miss& miss, Iova root, TranslationWaiter& waiter) {
  using Kind = TranslationResult::Kind;
  miss.walk = PageWalk(root, miss.request.va, miss.request.access);
  while (miss.walk.restarts() <= kRestartsPerTick) {
    const PageWalk::Step step = fetch(miss) ? resolve(miss) : PageWalk::Step::Pending;
    if (step == PageWalk::Step::Pending) {
      miss.waiters.push_back({miss.request, &waiter});
      enter(std::move(miss), Miss::Stage::AskingIommu);
      return {Kind::Wait};
    }
    if (step == PageWalk::Step::Descend || step == PageWalk::Step::Changed) continue;
    ++counters_[TANDEM_COUNTER_WALKS];
    trace_walk(miss, step == PageWalk::Step::Found ? miss.walk.fetched() : 0);
    if (step == PageWalk::Step::Found)
      return {Kind::Hit, fill_l1(miss.request, fill_l2(miss.request, miss.walk.entry()))};
    note_poison(miss);
    if (const auto error = refuse(miss.request, miss.walk.reason(), waiter)) return {Kind::Failed, nullptr, *error};
    return {Kind::Wait};
  }
  // The entry changes faster than it can be marked: go on in the next tick.
  miss.waiters.push_back({miss.request, &waiter});
  enter(std::move(miss), Miss::Stage::WaitingForWalker);
  return {Kind::Wait};
}

// A mutation: what the L2 grants is enough to refuse the access.
std::optional<TranslationResult> Mmu::fault_at_read_only_entry(const TranslationRequest& request, TranslationWaiter& waiter) {
  if (request.access != Access::Write && request.access != Access::Atomic) return {};
  const TlbEntry* entry = l2_.lookup(request.pasid, request.va, Access::Read);
  if (!entry || entry->write) return {};
  using Kind = TranslationResult::Kind;
  const auto error = faults_.raise(request, TANDEM_FAULT_PERMISSION, waiter);
  return error ? TranslationResult{Kind::Failed, nullptr, *error} : TranslationResult{Kind::Wait};
}

// One entry. What the walk finds rests on nothing older than its first, however long ago it was asked for or sent back.
bool Mmu::fetch(Miss& miss) {
  miss.read = moment();
  if (miss.walk.at_root()) miss.began = miss.read;
  return miss.walk.fetch(tables_);
}

// One judgement; a changed entry sends the walk back to the root.
PageWalk::Step Mmu::resolve(Miss& miss) {
  const PageWalk::Step step = miss.walk.resolve(tables_, memory_, miss.request.pasid);
  if (step == PageWalk::Step::Changed) {
    miss.walk.restart();
    ++counters_[TANDEM_COUNTER_WALK_RESTARTS];
  }
  if (check_ && step == PageWalk::Step::Found) check_->filled(miss.walk.entry(), miss.request, miss.began, miss.read);
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
  if (check_ && check_->wants(*inserted.entry)) check_->used(*inserted.entry, request);
  return inserted.entry;
}

Mmu::MissList& Mmu::list_of(Miss::Stage stage) {
  switch (stage) {
    case Miss::Stage::LookingInL2: return looking_;
    case Miss::Stage::WaitingForWalker: return waiting_;
    case Miss::Stage::AskingIommu: return asking_;
    case Miss::Stage::Walking: break;
  }
  return walking_;
}

void Mmu::enter(Miss&& miss, Miss::Stage stage) {
  MissList& list = list_of(stage);
  list.push_back(std::move(miss));
  list.back().stage = stage;
  by_page_[key_of(list.back().request)] = std::prev(list.end());
}

void Mmu::move(MissList::iterator miss, Miss::Stage stage) {
  MissList& to = list_of(stage);
  to.splice(to.end(), list_of(miss->stage), miss);
  miss->stage = stage;
}

void Mmu::start_waiting_walks() {
  while (!waiting_.empty() && walking_.size() < config_.walkers) {
    const auto next = config_.hostile ? std::next(waiting_.begin(), static_cast<long>(config_.hostile->pick(waiting_.size()))) : waiting_.begin();
    walking_.splice(walking_.end(), waiting_, next);
    begin_walk(walking_.back());
  }
}

void Mmu::begin_walk(Miss& miss) {
  miss.stage = Miss::Stage::Walking;
  miss.walk = PageWalk(spaces_.find(miss.request.pasid)->root, miss.request.va, miss.request.access);
  miss.due = now_ + hostile_delay();
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
  for (MissList* list : {&looking_, &waiting_, &walking_, &asking_})
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
    else if (!through_iommu(miss->request.pasid)) move(miss, Miss::Stage::WaitingForWalker);
    else if (ask(miss) == Progress::Ended) end(miss);
  }
}

Mmu::Progress Mmu::look_up(Miss& miss) {
  const TlbEntry* found = look_in_l2(miss.request);
  if (!found) return Progress::Waiting;
  fill_and_tell(miss, *found);
  return Progress::Ended;
}

void Mmu::fill_and_tell(const Miss& miss, const TlbEntry& entry) {
  for (const Miss::Waiter& waiting : miss.waiters) fill_l1(waiting.request, entry);
  for (const Miss::Waiter& waiting : miss.waiters) waiting.waiter->translation_ready();
}

void Mmu::tell_failed(const Miss& miss, QueueError error) {
  for (const Miss::Waiter& waiting : miss.waiters) waiting.waiter->translation_failed(error, waiting.request.va);
}

void Mmu::advance_walks() {
  for (auto miss = walking_.begin(); miss != walking_.end();) {
    const auto present = miss++;
    switch (advance_walk(*present)) {
      case Progress::Waiting: break;
      case Progress::Ended: end(present); break;
      case Progress::Pending: move(present, Miss::Stage::AskingIommu); break;
    }
  }
}

// An entry is read, walk_latency ticks later it is judged; and so on down the levels.
Mmu::Progress Mmu::advance_walk(Miss& miss) {
  for (uint32_t restarts = 0; miss.due <= now_ && restarts < kRestartsPerTick;) {
    if (!miss.walk.has_fetched()) {
      if (!fetch(miss)) return Progress::Pending;
      miss.due += config_.walk_latency + hostile_delay();
      continue;
    }
    const PageWalk::Step step = resolve(miss);
    if (step == PageWalk::Step::Pending) return Progress::Pending;
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
  fill_and_tell(miss, entry);
}

void Mmu::fail(Miss& miss) {
  trace_walk(miss, 0);
  note_poison(miss);
  for (const Miss::Waiter& waiting : miss.waiters)
    if (const auto error = refuse(waiting.request, miss.walk.reason(), *waiting.waiter))
      waiting.waiter->translation_failed(*error, waiting.request.va);
}

// The walk found nothing. An error if the access is not to wait for that to change.
std::optional<QueueError> Mmu::refuse(const TranslationRequest& request, tandem_fault_reason reason, TranslationWaiter& waiter) {
  return request.on_miss == OnMiss::Fail ? error_of(reason) : faults_.raise(request, reason, waiter);
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

// ---- through the IOMMU ----

// An atomic that is none against the CPUs would be worse than an error: there is no driver to own the page for it.
std::optional<QueueError> Mmu::refused(const TranslationRequest& request) const {
  if (!atc_.enabled()) return TANDEM_QUEUE_SERVICE_FAILED;
  if (request.access == Access::Atomic && !memory_.atomics().reach_system_memory()) return TANDEM_QUEUE_ATOMIC_FAULT;
  return {};
}

// The L2 has nothing: the ATC answers in the same call, or the IOMMU is asked.
TranslationResult Mmu::ask_at_once(Miss& miss, TranslationWaiter& waiter) {
  using Kind = TranslationResult::Kind;
  const TranslationRequest request = miss.request;
  if (const auto error = refused(request)) return {Kind::Failed, nullptr, *error};
  if (const TlbEntry* entry = atc_.lookup(request.pasid, request.va, request.access))
    return {Kind::Hit, fill_l1(request, fill_l2(request, *entry))};
  miss.waiters.push_back({request, &waiter});
  enter(std::move(miss), Miss::Stage::AskingIommu);
  atc_.ask(request);
  return {Kind::Wait};
}

// The same for a miss that has waited for the L2.
Mmu::Progress Mmu::ask(MissList::iterator miss) {
  if (const auto error = refused(miss->request)) {
    tell_failed(*miss, *error);
    return Progress::Ended;
  }
  if (const TlbEntry* entry = atc_.lookup(miss->request.pasid, miss->request.va, miss->request.access)) {
    fill_and_tell(*miss, fill_l2(miss->request, *entry));
    return Progress::Ended;
  }
  move(miss, Miss::Stage::AskingIommu);
  atc_.ask(miss->request);
  return Progress::Waiting;
}

void Mmu::ats_answer(const Atc::Reply& reply) {
  if (reply.kind == Atc::Reply::Kind::Entry) page_requests_.succeeded(reply.entry);
  const std::array accesses = reply.write ? std::array{Access::Write, Access::Atomic} : std::array{Access::Read, Access::Execute};
  for (const Access access : accesses) {
    const auto miss = by_page_.find({reply.pasid.value, access, reply.page.value >> TANDEM_PAGE_SHIFT});
    if (miss != by_page_.end() && miss->second->stage == Miss::Stage::AskingIommu) settle(miss->second, reply);
  }
}

void Mmu::settle(MissList::iterator miss, const Atc::Reply& reply) {
  using Kind = Atc::Reply::Kind;
  if (reply.kind == Kind::Stale) {
    // From the L2 on, at the next tick.
    miss->due = now_ + config_.l2_latency;
    move(miss, Miss::Stage::LookingInL2);
    return;
  }
  if (reply.kind == Kind::NoMemory) {
    tell_failed(*miss, TANDEM_QUEUE_DMA_ERROR);
  } else if (reply.kind == Kind::Nothing) {
    raise_page_request(*miss, why_nothing(*miss));
  } else if (reply.entry.permits(miss->request.access)) {
    fill_and_tell(*miss, fill_l2(miss->request, reply.entry));
  } else if (reply.entry.write) {
    tell_failed(*miss, TANDEM_QUEUE_ATOMIC_FAULT);  // AtomicOps were taken away meanwhile
  } else {
    raise_page_request(*miss, TANDEM_FAULT_PERMISSION);
  }
  end(miss);
}

// An IOMMU may say "nothing" to a request for writing where reading is permitted.
tandem_fault_reason Mmu::why_nothing(const Miss& miss) {
  return atc_.lookup(miss.request.pasid, miss.request.va, Access::Read) ? TANDEM_FAULT_PERMISSION : TANDEM_FAULT_NOT_PRESENT;
}

void Mmu::raise_page_request(Miss& miss, tandem_fault_reason reason) {
  for (const Miss::Waiter& waiting : miss.waiters) {
    if (waiting.request.resident_only)
      waiting.waiter->translation_skipped(waiting.request.va.align_down(TANDEM_PAGE_BYTES), waiting.request.access);
    else if (const auto error = page_requests_.raise(waiting.request, reason, *waiting.waiter))
      waiting.waiter->translation_failed(*error, waiting.request.va);
  }
}

// Something has come of what walks had to ask for. They begin anew: what they have read is old by now.
void Mmu::bus_answer() {
  for (auto miss = asking_.begin(); miss != asking_.end();) {
    const auto present = miss++;
    if (!through_iommu(present->request.pasid)) move(present, Miss::Stage::WaitingForWalker);
  }
}

void Mmu::ats_gone() {
  for (const Miss& miss : asking_) tell_failed(miss, TANDEM_QUEUE_SERVICE_FAILED);
  end_if([](const Miss& miss) { return miss.stage == Miss::Stage::AskingIommu; });
}

// ---- the end of translations ----

void Mmu::forget(TranslationWaiter& waiter) {
  faults_.forget(waiter);
  page_requests_.forget(waiter);
  // A walk that nobody waits for any more would only mark pages that nobody will touch.
  end_if([&](Miss& miss) {
    std::erase_if(miss.waiters, [&](const Miss::Waiter& waiting) { return waiting.waiter == &waiter; });
    return miss.waiters.empty();
  });
}

Mmu::Killed Mmu::invalidate(Pasid pasid, Gva start, Gva end) {
  Killed killed;
  const Atc::Killed in_atc = atc_.kill(pasid, start, end);
  killed.entries = in_atc.entries;
  killed.hit = (in_atc.entries ? TANDEM_HIT_ATC : 0) | (in_atc.requests ? TANDEM_HIT_ATS : 0);
  for (Tlb& l1 : l1_)
    if (const uint32_t entries = l1.kill(pasid, start, end)) {
      killed.entries += entries;
      killed.hit |= TANDEM_HIT_L1;
    }
  const bool reaches_l2 = config_.mutation != TANDEM_MUTATION_L2_KEPT;
  if (const uint32_t entries = reaches_l2 ? l2_.kill(pasid, start, end) : 0) {
    killed.entries += entries;
    killed.hit |= TANDEM_HIT_L2;
  }
  if (check_) check_->carried_out(pasid, start, end);
  for (Miss& miss : walking_) {
    if (config_.mutation == TANDEM_MUTATION_WALK_NOT_RESTARTED) break;
    if (miss.request.pasid != pasid || !miss.walk.overlaps(start, end)) continue;
    restart(miss);
    killed.hit |= TANDEM_HIT_WALK;
  }
  return killed;
}

Mmu::Killed Mmu::remove(Pasid pasid) {
  Killed killed;
  if (config_.mutation != TANDEM_MUTATION_SPACE_KEPT) killed = invalidate(pasid, gva(0), gva(TANDEM_VA_LIMIT));
  killed.entries += atc_.remove(pasid);
  end_if([&](const Miss& miss) { return miss.request.pasid == pasid; });
  return killed;
}

Mmu::Killed Mmu::invalidate_bus(Gva start, Gva end) {
  Killed killed;
  const auto rests_on_it = [&](const TlbEntry& entry) {
    return entry.aperture == TANDEM_APERTURE_SYSTEM && !through_iommu(entry.pasid) &&
           ranges_overlap(entry.bus_address, entry.bytes, start.value, end - start);
  };
  for (Tlb& l1 : l1_)
    if (const uint32_t entries = l1.kill_if(rests_on_it)) {
      killed.entries += entries;
      killed.hit |= TANDEM_HIT_L1;
    }
  if (const uint32_t entries = l2_.kill_if(rests_on_it)) {
    killed.entries += entries;
    killed.hit |= TANDEM_HIT_L2;
  }
  tables_.drop();
  for (Miss& miss : walking_) restart(miss);
  return killed;
}

bool Mmu::holds(const TlbEntry& entry) const {
  bool found = false;
  const auto look = [&](const TlbEntry& each) { found |= each.filled == entry.filled; };
  for (const Tlb& l1 : l1_) l1.for_each(look);
  l2_.for_each(look);
  atc_.entries().for_each(look);
  return found;
}

void Mmu::drop_host_pointers() {
  for (Tlb& l1 : l1_) l1.kill_all();
  l2_.kill_all();
  atc_.drop_entries();
  tables_.drop();
  if (check_) check_->drop_host_pointers();
  for (Miss& miss : walking_) restart(miss);
}

void Mmu::reset() {
  for (Tlb& l1 : l1_) l1.kill_all();
  l2_.kill_all();
  tables_.drop();
  looking_.clear();
  waiting_.clear();
  walking_.clear();
  asking_.clear();
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
