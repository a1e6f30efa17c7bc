// SPDX-License-Identifier: GPL-2.0-or-later
// Step "invalidate command ... then the acknowledgement".
#include "device/invalidation_ring.h"

#include <utility>

#include "check/checker.h"

namespace tandem {

namespace {

constexpr size_t kUnderWay = 16;    // entries between fetch and acknowledgement
constexpr size_t kPutTimes = 1024;  // PUT writes remembered, for the trace
constexpr uint16_t kFlags = TANDEM_INVALIDATE_INTERRUPT | TANDEM_INVALIDATE_ALL | TANDEM_INVALIDATE_NOWAIT;

Gva first_byte(const tandem_invalidate& entry) {
  return gva(entry.flags & TANDEM_INVALIDATE_ALL ? 0 : entry.start);
}
Gva last_byte_end(const tandem_invalidate& entry) {
  return gva(entry.flags & TANDEM_INVALIDATE_ALL ? TANDEM_VA_LIMIT : entry.end);
}

}  // namespace

InvalidationRing::InvalidationRing(uint32_t latency, Hostile& hostile, const MemoryPort& memory, const AddressSpaces& spaces,
                                   Invalidator& invalidator, StatusPage& status, Interrupts& interrupts, ErrorSink& errors, Counters& counters, const Trace& trace,
                                   const Host& host, uint32_t mutation)
    : latency_(latency),
      hostile_(hostile),
      memory_(memory),
      spaces_(spaces),
      invalidator_(invalidator),
      status_(status),
      interrupts_(interrupts),
      errors_(errors),
      counters_(counters),
      trace_(trace),
      host_(host),
      mutation_(mutation) {}

void InvalidationRing::put_written() {
  if (!put_times_.empty() && put_times_.back().put == ring_.put) return;
  if (put_times_.size() < kPutTimes) put_times_.push_back({ring_.put, host_.now()});
}

// When the driver told the device of the entry with this index.
uint64_t InvalidationRing::time_of_put(uint32_t index) {
  while (!put_times_.empty() && static_cast<int32_t>(put_times_.front().put - index) <= 0) put_times_.pop_front();
  return put_times_.empty() ? host_.now() : put_times_.front().ns;
}

uint32_t InvalidationRing::step(uint64_t now) {
  if (stalled_) return 0;
  uint32_t steps = 0;
  for (const tandem_invalidate& entry : std::exchange(owed_, {})) {
    carry_out(entry);
    ++steps;
  }
  while (under_way_.size() < kUnderWay && fetch(now)) ++steps;
  while (!under_way_.empty() && under_way_.front().due <= now) {
    acknowledge(under_way_.front());
    under_way_.pop_front();
    ++steps;
  }
  return steps;
}

std::optional<uint64_t> InvalidationRing::next_due() const {
  if (stalled_ || under_way_.empty()) return {};
  return under_way_.front().due;
}

bool InvalidationRing::fetch(uint64_t now) {
  if (ring_.empty()) return false;
  tandem_invalidate entry;
  const Dma dma = memory_.dma_read(ring_.slot(ring_.get, sizeof entry), &entry, sizeof entry);
  if (dma == Dma::NoMemory) errors_.stop(TANDEM_DEVICE_RING_DMA, "the invalidation ring is not in memory");
  if (dma != Dma::Done) return false;
  if (!well_formed(entry)) {
    errors_.stop(TANDEM_DEVICE_BAD_INVALIDATE, "an invalidation could not be decoded");
    return false;
  }
  const uint32_t index = ring_.get;
  const uint64_t put_ns = time_of_put(index);
  status_.invalidate_get(++ring_.get);
  last_seqno_ = entry.seqno;
  under_way_.push_back({entry, index, now + latency_ + hostile_.delay(), put_ns});
  if (hostile_.sometimes(4)) kill_a_part_early(entry);
  trace_received(entry);
  if (Checker* check = memory_.checker()) check->received(entry);
  return true;
}

bool InvalidationRing::well_formed(const tandem_invalidate& entry) const {
  if (!spaces_.in_range(Pasid{{entry.pasid}}) || entry.flags & ~kFlags || entry.reserved1) return false;
  if (last_seqno_ && entry.seqno != *last_seqno_ + 1) return false;
  if (entry.flags & TANDEM_INVALIDATE_ALL) return true;
  const bool aligned = entry.start % TANDEM_PAGE_BYTES == 0 && entry.end % TANDEM_PAGE_BYTES == 0;
  return aligned && entry.start < entry.end && entry.end <= TANDEM_VA_LIMIT;
}

Invalidator::Outcome InvalidationRing::carry_out(const tandem_invalidate& entry) {
  return invalidator_.carry_out(Pasid{{entry.pasid}}, first_byte(entry), last_byte_end(entry));
}

// Hostile timing: a part of the range goes before the rest does. What comes back into the TLBs meanwhile goes with the rest.
void InvalidationRing::kill_a_part_early(const tandem_invalidate& entry) {
  const Gva start = first_byte(entry);
  const uint64_t pages = (last_byte_end(entry) - start) / TANDEM_PAGE_BYTES;
  invalidator_.carry_out(Pasid{{entry.pasid}}, start, gva(start.value + hostile_.part(pages) * TANDEM_PAGE_BYTES));
}

void InvalidationRing::acknowledge(const UnderWay& under_way) {
  const tandem_invalidate& entry = under_way.entry;
  Invalidator::Outcome outcome;
  if (mutation_ == TANDEM_MUTATION_ACK_BEFORE_DRAIN) owed_.push_back(entry);
  else outcome = carry_out(entry);
  ++counters_[TANDEM_COUNTER_INVALIDATES];
  trace_done(under_way, outcome);
  if (Checker* check = memory_.checker()) {
    check->settled(entry, first_byte(entry), last_byte_end(entry), under_way.index);
    check->acknowledged(Invalidation::Source::Driver, Pasid{{entry.pasid}}, first_byte(entry), last_byte_end(entry), entry.seqno);
  }
  // Release order: every store that was drained is in memory before the driver can see the number.
  status_.invalidate_done(entry.seqno);
  if (entry.flags & TANDEM_INVALIDATE_INTERRUPT) interrupts_.raise(TANDEM_VECTOR_INVALIDATE);
}

void InvalidationRing::reset() {
  ring_ = {};
  under_way_.clear();
  put_times_.clear();
  last_seqno_.reset();
  stalled_ = false;
  owed_.clear();
}

void InvalidationRing::trace_received(const tandem_invalidate& entry) const {
  if (!trace_.on()) return;
  tandem_trace_record record = shared_record(TANDEM_TRACE_INVALIDATE, Pasid{{entry.pasid}});
  record.va = first_byte(entry).value;
  record.bytes = last_byte_end(entry) - first_byte(entry);
  record.seqno = entry.seqno;
  record.detail = entry.cause | static_cast<uint32_t>(entry.flags) << 16;
  record.a = entry.notify_start;
  record.b = entry.notify_end;
  record.queue = entry.tgid;
  trace_.emit(record);
}

void InvalidationRing::trace_done(const UnderWay& under_way, const Invalidator::Outcome& outcome) const {
  if (!trace_.on()) return;
  const tandem_invalidate& entry = under_way.entry;
  tandem_trace_record record = shared_record(TANDEM_TRACE_INVALIDATED, Pasid{{entry.pasid}});
  record.va = first_byte(entry).value;
  record.bytes = last_byte_end(entry) - first_byte(entry);
  record.seqno = entry.seqno;
  record.detail = entry.cause | static_cast<uint32_t>(entry.flags) << 16;
  record.a = outcome.entries_and_stores();
  record.b = host_.now() - under_way.put_ns;
  record.queue = outcome.hit;
  trace_.emit(record);
}

}  // namespace tandem
