// SPDX-License-Identifier: GPL-2.0-or-later
#include "compute/unit_context.h"

#include <algorithm>
#include <utility>

#include "compute/execute.h"

namespace tandem::compute {

Next fail(Wave& wave, const Decoded& d, QueueError error, uint32_t lane, uint64_t va, uint32_t detail) {
  wave.error = {.error = error, .va = va, .pc = d.pc, .detail = detail, .lane = lane, .report = {}};
  return Next::Failed;
}

namespace {

HandlerTable handlers_for_late_loads() {
  HandlerTable table;
  std::ranges::fill(table.full, &run_with_late_loads);
  std::ranges::fill(table.masked, &run_with_late_loads);
  return table;
}

}  // namespace

UnitContext::UnitContext(const ComputeConfig& config, Translator& translator, MemoryPort& memory,
                         std::function<uint64_t()> now, std::function<bool()> should_yield)
    : config(config),
      translator(translator),
      memory(memory),
      untold(memory),
      now(std::move(now)),
      should_yield(std::move(should_yield)),
      random(config.seed + config.unit),
      handlers(handlers_for(static_cast<IsaLevel>(config.isa_level))),
      code(config.load_reorder ? handlers_for_late_loads() : handlers) {}

uint32_t UnitContext::write_queued(Wave& wave) {
  const uint32_t written = wave.stores.write_all(memory, config.store_drain, random);
  untold.tell();
  return written;
}

void UnitContext::write_for_release(Wave& wave, tandem_scope scope) {
  if (scope != TANDEM_SCOPE_WORKGROUP || wave.group->waves.size() > 1) write_queued(wave);
}

void UnitContext::synchronise_code(Wave& wave) {
  write_queued(wave);
  code.drop(wave.request.pasid);
}

namespace {

// Stacks and arguments are the dispatch's own, and code is what it consists of.
bool may_be_skipped(const DispatchState& dispatch, uint64_t va, Access access) {
  if (!dispatch.resident_only || access == Access::Execute) return false;
  return va - dispatch.scratch >= dispatch.scratch_bytes && va / TANDEM_PAGE_BYTES != dispatch.kernarg / TANDEM_PAGE_BYTES;
}

}  // namespace

void UnitContext::skip(Wave& wave, uint32_t lane) {
  std::ranges::fill(nothing_, std::byte{0});
  ++wave.skips.count[lane];
  ++skipped;
}

UnitContext::Reach UnitContext::reach(Wave& wave, const Decoded& d, uint32_t lane, uint64_t va, Access access,
                                      MemoryRun& run) {
  if (in_lds_window(va)) {
    run = {.va = TANDEM_LDS_BASE, .bytes = wave.group->lds_bytes, .host = wave.group->lds(), .lds = true};
    return Reach::Hit;
  }
  wave.request.va = gva(va);
  wave.request.access = access;
  wave.request.lane = static_cast<uint8_t>(lane);
  wave.request.pc = d.pc;
  wave.request.resident_only = may_be_skipped(*wave.group->launch.dispatch, va, access);
  const TlbEntry* entry = translator.lookup(wave.request);
  if (!entry && wave.request.resident_only && wave.skips.contains(wave.request.va, access)) {
    run = {.va = wave.request.va.align_down(TANDEM_PAGE_BYTES).value, .bytes = TANDEM_PAGE_BYTES, .host = nothing_, .lds = true,
           .absent = true};
    return Reach::Hit;
  }
  if (!entry) {
    const TranslationResult result = translator.translate(wave.request, wave);
    if (result.kind == TranslationResult::Kind::Wait) return Reach::Wait;
    if (result.kind == TranslationResult::Kind::Failed) {
      fail(wave, d, result.error, lane, va, static_cast<uint32_t>(access));
      return Reach::Failed;
    }
    entry = result.entry;
  }
  run = {.va = entry->va.value, .bytes = entry->bytes, .host = entry->host, .device_address = entry->device_address,
         .aperture = entry->aperture, .counted = entry->counted, .lds = false};
  return Reach::Hit;
}

bool UnitContext::address_allowed(Wave& wave, const Decoded& d, uint32_t lane, uint64_t va, uint32_t bytes, Access access) {
  const bool lds = in_lds_window(va) && va - TANDEM_LDS_BASE + bytes <= wave.group->lds_bytes;
  if (lds || va <= TANDEM_VA_LIMIT - bytes) return true;
  fail(wave, d, TANDEM_QUEUE_ADDRESS_RANGE, lane, va, static_cast<uint32_t>(access));
  return false;
}

void UnitContext::stored_range(const Wave& wave, const MemoryRun& run, uint64_t va, uint64_t bytes) {
  if (!run.lds) untold.add(run.aperture, run.device_address + (va - run.va), bytes);
  break_reservations(wave, run.lds, va, bytes);
}

void UnitContext::stored(const Wave& wave, const MemoryRun& run, const uint64_t* address, LaneMask lanes, uint32_t bytes) {
  if (!run.lds)
    for_each_lane(lanes, [&](uint32_t i) { untold.add(run.aperture, run.device_address + (address[i] - run.va), bytes); });
  break_reservations(wave, run.lds, address, lanes, bytes);
}

void UnitContext::complete_atomics(const MemoryRun& run, const uint64_t* address, LaneMask lanes, uint32_t bytes) {
  for_each_lane(lanes, [&](uint32_t lane) { memory.before_store(run.host + (address[lane] - run.va), bytes); });
}

void UnitContext::complete_atomics(const std::byte* host, uint64_t bytes) { memory.before_store(host, bytes); }

void UnitContext::count_accesses(const Wave& wave, const uint64_t* address, LaneMask lanes) {
  while (lanes) {
    const uint64_t page = address[first_lane(lanes)] & ~(TANDEM_PAGE_BYTES - 1);
    count_access(wave, page);
    lanes &= ~lanes_where([&](uint32_t i) { return (address[i] & ~(TANDEM_PAGE_BYTES - 1)) == page; });
  }
}

void UnitContext::count_row(const Wave& wave, uint64_t va, uint64_t bytes) {
  const uint64_t last = va + bytes - 1;
  count_access(wave, va);
  if (va / TANDEM_PAGE_BYTES != last / TANDEM_PAGE_BYTES) count_access(wave, last);
}

void UnitContext::begin_store_instruction(Wave& wave) {
  ++store_instructions;
  while (wave.stores.instructions() >= config.store_queue_depth)
    wave.stores.write_one_instruction(memory, config.store_drain, random);
}

namespace {

void fill_row(StoreRow& row, const Wave& wave, const MemoryRun& run, const uint64_t* value, LaneMask lanes) {
  TANDEM_FOR_LANES(i) row.value[i] = value[i];
  row.lanes = lanes;
  row.host = run.host;
  row.origin = run.va;
  row.device_address = run.device_address;
  row.aperture = run.aperture;
  row.translated.note(wave.unit->memory, wave.request);
}

}  // namespace

void UnitContext::enqueue(Wave& wave, const MemoryRun& run, const uint64_t* address, const uint64_t* value, LaneMask lanes,
                          uint32_t bytes) {
  StoreRow& row = wave.stores.push(store_instructions);
  row.at.set(address, lanes, bytes);
  fill_row(row, wave, run, value, lanes);
  break_reservations(wave, false, address, lanes, bytes);
}

void UnitContext::enqueue_consecutive(Wave& wave, const MemoryRun& run, uint64_t va, const uint64_t* value, uint32_t bytes) {
  StoreRow& row = wave.stores.push(store_instructions);
  row.at.set_consecutive(va, bytes);
  fill_row(row, wave, run, value, kAllLanes);
  break_reservations(wave, false, va, uint64_t{kLanes} * bytes);
}

// Addresses out of range are LDS, which is never queued, or an error to come.
void UnitContext::write_queued_overlapping(Wave& wave, const uint64_t* address, LaneMask lanes, uint32_t bytes) {
  if (wave.stores.empty()) return;
  lanes &= lanes_where([&](uint32_t i) { return address[i] < TANDEM_VA_LIMIT; });
  if (!lanes) return;
  LaneAddresses at;
  at.set(address, lanes, bytes);
  wave.stores.write_overlapping(at, memory, config.store_drain);
}

void UnitContext::write_queued_overlapping(Wave& wave, uint64_t va, uint64_t bytes) {
  wave.stores.write_overlapping(va, bytes, memory, config.store_drain);
}

void UnitContext::break_reservations(const Wave& by, bool lds, const uint64_t* address, LaneMask lanes, uint32_t bytes) {
  if (reservations_exist) for_each_lane(lanes, [&](uint32_t i) { break_reservations(by, lds, address[i], bytes); });
}

void UnitContext::break_reservations(const Wave& by, bool lds, uint64_t va, uint64_t bytes) {
  if (!reservations_exist) return;
  reservations_exist = false;
  for (Wave* wave : waves) {
    if (wave->reserved) reservations_exist = true;
    if (!wave->reserved || wave->request.pasid != by.request.pasid || (lds && wave->group != by.group)) continue;
    for_each_lane(wave->reserved, [&](uint32_t lane) {
      const Reservation& r = wave->reservation[lane];
      if (ranges_overlap(r.va, r.bytes, va, bytes)) wave->reserved &= ~lane_bit(lane);
    });
  }
}

}  // namespace tandem::compute
