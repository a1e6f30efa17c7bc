// SPDX-License-Identifier: GPL-2.0-or-later
// The driver's commands: fetch, check, execute, complete.
#include "device/kernel_ring.h"

#include <algorithm>
#include <cstring>

#include "check/checker.h"
#include "copy/page_access.h"
#include "copy/physical_copy.h"

namespace tandem {

namespace {

constexpr uint64_t kPacketAlign = TANDEM_PACKET_BYTES;
constexpr uint64_t kIndicesAlign = 64;
constexpr uint32_t kStackAlign = 16;
constexpr uint32_t kCopiesToADropped = 4;

// TANDEM_TRACE_MIGRATE: two numbers share one word.
constexpr uint32_t kFailedShift = 48;
constexpr uint64_t kMostBytes = (1ULL << kFailedShift) - 1;
constexpr uint32_t kMostFailed = 0xffff;

bool all_zero(const uint64_t* words, size_t count) {
  return std::all_of(words, words + count, [](uint64_t word) { return word == 0; });
}

// Where a COPY or FILL reads or writes.
struct CopyEnd {
  uint32_t aperture;
  uint32_t peer;
  uint64_t address;

  bool is_known() const { return aperture == TANDEM_APERTURE_PEER ? peer < TANDEM_FABRIC_LIMIT : aperture < TANDEM_APERTURE_PEER && !peer; }
  // The end of so many bytes can be told.
  bool holds(uint64_t bytes) const {
    const uint64_t limit = aperture == TANDEM_APERTURE_PEER ? kPeerOffsetLimit - 1 : ~0ULL;
    return bytes <= limit && address <= limit - bytes;
  }
  uint64_t device_address() const { return aperture == TANDEM_APERTURE_PEER ? peer_address(peer, address) : address; }
};

// REPLAY and CANCEL are the answers to fault records. Page requests are answered by the IOMMU.
bool has_fault_records(const AddressSpace* space) { return space && space->translation != TANDEM_TRANSLATION_SVA; }

// The driver did nothing wrong: it had to ask.
bool is_an_answer(tandem_command_error error) {
  return error == TANDEM_COMMAND_DRAINING || error == TANDEM_COMMAND_NOT_MAPPED;
}

bool user_range(uint64_t va, uint64_t bytes) { return va <= TANDEM_VA_LIMIT && bytes <= TANDEM_VA_LIMIT - va; }

}  // namespace

KernelRing::KernelRing(MemoryPort& memory, AddressSpaces& spaces, Mmu& mmu, CommandProcessor& processor,
                       CopyEngine& copies, FaultUnit& faults, PageRequests& page_requests, EventRing& events,
                       StatusPage& status, Interrupts& interrupts, ErrorSink& errors, Counters& counters,
                       const Trace& trace, const Host& host, uint32_t mutation)
    : memory_(memory),
      spaces_(spaces),
      mmu_(mmu),
      processor_(processor),
      copies_(copies),
      faults_(faults),
      page_requests_(page_requests),
      events_(events),
      status_(status),
      interrupts_(interrupts),
      errors_(errors),
      counters_(counters),
      trace_(trace),
      host_(host),
      mutation_(mutation) {}

bool KernelRing::step() {
  if (stalled_) return false;
  if (!current_ && !fetch()) return false;
  if (current_->error) return complete();
  if (current_->job) return check_job();
  execute();
  return current_->error || current_->job;
}

bool KernelRing::fetch() {
  if (ring_.empty()) return false;
  Current next;
  next.fetched_ns = host_.now();
  const Dma dma = memory_.dma_read(ring_.slot(ring_.get, sizeof next.command), &next.command, sizeof next.command);
  if (dma == Dma::NoMemory) errors_.stop(TANDEM_DEVICE_RING_DMA, "the kernel command ring is not in memory");
  if (dma != Dma::Done) return false;
  status_.command_get(++ring_.get);
  current_ = std::move(next);
  error_posted_ = false;
  return true;
}

tandem_command_error KernelRing::check_common(const tandem_command& command) const {
  const uint32_t known =
      TANDEM_COMMAND_INTERRUPT | (command.type == TANDEM_COMMAND_QUEUE_CREATE ? TANDEM_COMMAND_RESIDENT_ONLY : 0);
  if (command.flags & ~known) return TANDEM_COMMAND_BAD_PARAMETER;
  return command.seqno > last_seqno_ ? TANDEM_COMMAND_OK : TANDEM_COMMAND_BAD_PARAMETER;
}

void KernelRing::execute() {
  const tandem_command& command = current_->command;
  auto& error = current_->error;
  if (const auto common = check_common(command); common != TANDEM_COMMAND_OK) {
    error = common;
    return;
  }
  switch (command.type) {
    case TANDEM_COMMAND_NOP: error = TANDEM_COMMAND_OK; break;
    case TANDEM_COMMAND_BIND: error = bind(command); break;
    case TANDEM_COMMAND_UNBIND: error = unbind(command); break;
    case TANDEM_COMMAND_QUEUE_CREATE: error = create_queue(command); break;
    case TANDEM_COMMAND_QUEUE_DESTROY: error = destroy_queue(command); break;
    case TANDEM_COMMAND_QUEUE_REPORT: error = report_queue(command); break;
    case TANDEM_COMMAND_REPLAY: error = replay(command); break;
    case TANDEM_COMMAND_CANCEL: error = cancel(command); break;
    case TANDEM_COMMAND_SKIP: error = skip(command); break;
    case TANDEM_COMMAND_COPY: error = copy(command, CopyKind::Linear); break;
    case TANDEM_COMMAND_FILL: error = copy(command, CopyKind::Fill); break;
    case TANDEM_COMMAND_NOTE: error = note(command); break;
    case TANDEM_COMMAND_MIGRATED: error = migrated(command); break;
    case TANDEM_COMMAND_ACCESS_CLEAR: error = clear_accesses(command); break;
    case TANDEM_COMMAND_ACCESS: error = access(command); break;
    default: error = TANDEM_COMMAND_BAD_TYPE; break;
  }
}

bool KernelRing::check_job() {
  const tandem_command& command = current_->command;
  if (!current_->job->ended()) return false;
  copies_.remove(*current_->job);
  current_->error = current_->job->error();
  const bool copied = command.type == TANDEM_COMMAND_COPY || command.type == TANDEM_COMMAND_FILL;
  if (Checker* check = memory_.checker(); check && copied && *current_->error == TANDEM_COMMAND_OK) {
    const auto& copy = command.u.copy;
    if (copy.destination_aperture == TANDEM_APERTURE_VRAM) check->vram().filled(copy.destination, copy.bytes);
  }
  if (const auto page = current_->job->poisoned_page()) note_poison(*page);
  if (copied) trace_copy(command, command.type == TANDEM_COMMAND_FILL ? CopyKind::Fill : CopyKind::Linear);
  return true;
}

// The error event, if there is one, is in the event ring before the sequence number is published.
bool KernelRing::complete() {
  const tandem_command& command = current_->command;
  if (*current_->error != TANDEM_COMMAND_OK && !error_posted_) {
    if (!is_an_answer(*current_->error))
      host_.guest_error("kernel command %llu of type %u failed: error %u", static_cast<unsigned long long>(command.seqno),
                      command.type, static_cast<unsigned>(*current_->error));
    tandem_event event{};
    event.type = TANDEM_EVENT_COMMAND_ERROR;
    event.code = static_cast<uint16_t>(*current_->error);
    event.pasid = command.pasid;
    event.queue = TANDEM_TRACE_NO_QUEUE;
    event.value = command.seqno;
    events_.post(event);
    error_posted_ = true;
  }
  if (error_posted_ && !events_.all_written()) return false;

  ++counters_[TANDEM_COUNTER_COMMANDS];
  trace_command();
  last_seqno_ = std::max(last_seqno_, command.seqno);
  const bool interrupt = command.flags & TANDEM_COMMAND_INTERRUPT;
  current_.reset();
  status_.command_done(last_seqno_);
  if (interrupt) interrupts_.raise(TANDEM_VECTOR_COMMAND);
  return true;
}

// ---- the commands ----

std::optional<tandem_command_error> KernelRing::bind(const tandem_command& command) {
  const auto& bind = command.u.bind;
  const Pasid pasid{{command.pasid}};
  if (!spaces_.in_range(pasid) || spaces_.find(pasid)) return TANDEM_COMMAND_BAD_PASID;
  if (bind.reserved0 || (bind.check && !memory_.checker())) return TANDEM_COMMAND_BAD_PARAMETER;
  if (bind.check % TANDEM_PAGE_BYTES) return TANDEM_COMMAND_BAD_ADDRESS;
  const auto error = check_translation(command);
  if (error != TANDEM_COMMAND_OK) return error;

  AddressSpace space{.root = iova(bind.root),
                     .translation = static_cast<tandem_translation>(bind.translation),
                     .bus_pasid = bind.bus_pasid,
                     .check = bind.check,
                     .tgid = bind.tgid};
  std::copy(std::begin(bind.comm), std::end(bind.comm), space.comm.begin());
  spaces_.bind(pasid, space);
  if (trace_.on()) trace_bind(command);
  if (Checker* check = memory_.checker()) check->bound(pasid);
  return TANDEM_COMMAND_OK;
}

// The page table, or who has it. A software-filled TLB this device does not have. Nothing: the IOMMU is asked where the table is.
std::optional<tandem_command_error> KernelRing::check_translation(const tandem_command& command) const {
  const auto& bind = command.u.bind;
  if (bind.translation == TANDEM_TRANSLATION_MIRROR) {
    if (bind.bus_pasid) return TANDEM_COMMAND_BAD_PARAMETER;
    if (bind.root & ~TANDEM_PTE_ADDRESS) return TANDEM_COMMAND_BAD_ADDRESS;
    const MappedRun root = memory_.map_system(iova(bind.root), TANDEM_PT_BYTES, true);
    if (root.pending) return {};
    return root.host && root.bytes >= TANDEM_PT_BYTES ? TANDEM_COMMAND_OK : TANDEM_COMMAND_BAD_ADDRESS;
  }
  if (bind.translation != TANDEM_TRANSLATION_SVA || bind.root) return TANDEM_COMMAND_BAD_PARAMETER;
  if (bind.bus_pasid == 0 || bind.bus_pasid >> TANDEM_PCI_PASID_BITS)
    return TANDEM_COMMAND_BAD_PASID;
  return TANDEM_COMMAND_OK;
}

tandem_command_error KernelRing::unbind(const tandem_command& command) {
  const Pasid pasid{{command.pasid}};
  AddressSpace* space = spaces_.change(pasid);
  if (!space) return TANDEM_COMMAND_BAD_PASID;
  if (!space->ended_ns) end(pasid);
  const uint32_t outstanding = page_requests_.outstanding(pasid);
  if (!space->ended_ns) {
    space->ended_ns = std::max<uint64_t>(host_.now(), 1);
    space->drained = outstanding;
  }
  if (outstanding) return TANDEM_COMMAND_DRAINING;
  if (trace_.on()) trace_unbound(pasid, *space);
  spaces_.unbind(pasid);
  return TANDEM_COMMAND_OK;
}

// Nobody is left who could ask for a page. What was asked for comes back before the PASID may mean somebody else.
void KernelRing::end(Pasid pasid) {
  processor_.address_space_gone(pasid);
  mmu_.remove(pasid);
  faults_.address_space_gone(pasid);
  page_requests_.address_space_gone(pasid);
  memory_.access_counters().forget(pasid);
  if (Checker* check = memory_.checker()) check->ended(pasid);
}

tandem_command_error KernelRing::create_queue(const tandem_command& command) {
  const auto& queue = command.u.queue;
  const Pasid pasid{{command.pasid}};
  if (!spaces_.find_alive(pasid)) return TANDEM_COMMAND_BAD_PASID;
  const bool stacks_fit = queue.scratch_lane_bytes % kStackAlign == 0 && queue.scratch % kStackAlign == 0 &&
                          (queue.scratch_lane_bytes == 0 || queue.scratch_waves > 0);
  if (queue.ring_order > kQueueRingOrderMax || !stacks_fit) return TANDEM_COMMAND_BAD_PARAMETER;
  const uint64_t ring_bytes = uint64_t{TANDEM_PACKET_BYTES} << queue.ring_order;
  const auto stack_bytes = static_cast<unsigned __int128>(queue.scratch_lane_bytes) * TANDEM_WAVE_LANES * queue.scratch_waves;
  if (queue.ring % kPacketAlign || queue.indices % kIndicesAlign || !user_range(queue.ring, ring_bytes) ||
      !user_range(queue.indices, sizeof(tandem_queue_indices)) || stack_bytes > TANDEM_VA_LIMIT ||
      !user_range(queue.scratch, static_cast<uint64_t>(stack_bytes)))
    return TANDEM_COMMAND_BAD_ADDRESS;

  return processor_.create_queue({.pasid = pasid,
                                  .id = QueueId{{queue.queue}},
                                  .doorbell = queue.doorbell,
                                  .ring = gva(queue.ring),
                                  .indices = gva(queue.indices),
                                  .ring_order = queue.ring_order,
                                  .retry_limit = queue.retry_limit,
                                  .scratch = gva(queue.scratch),
                                  .scratch_lane_bytes = queue.scratch_lane_bytes,
                                  .scratch_waves = queue.scratch_waves,
                                  .resident_only = (command.flags & TANDEM_COMMAND_RESIDENT_ONLY) != 0});
}

tandem_command_error KernelRing::destroy_queue(const tandem_command& command) {
  const Pasid pasid{{command.pasid}};
  if (!spaces_.find(pasid)) return TANDEM_COMMAND_BAD_PASID;
  return processor_.destroy_queue(pasid, QueueId{{command.u.queue.queue}});
}

std::optional<tandem_command_error> KernelRing::report_queue(const tandem_command& command) {
  const auto& report = command.u.report;
  const Pasid pasid{{command.pasid}};
  const QueueId queue{{report.queue}};
  if (!spaces_.find(pasid)) return TANDEM_COMMAND_BAD_PASID;
  if (!processor_.has_queue(pasid, queue)) return TANDEM_COMMAND_BAD_QUEUE;
  if (report.reserved0 || !all_zero(report.reserved, std::size(report.reserved))) return TANDEM_COMMAND_BAD_PARAMETER;
  if (report.address % TANDEM_WAVE_REPORT_ALIGN) return TANDEM_COMMAND_BAD_ADDRESS;
  if (report.address) {
    const MappedRun page = memory_.map_system(iova(report.address).align_down(TANDEM_PAGE_BYTES), TANDEM_PAGE_BYTES, true);
    if (page.pending) return {};
    if (!page.host || page.bytes < TANDEM_PAGE_BYTES) return TANDEM_COMMAND_BAD_ADDRESS;
  }
  processor_.set_report(pasid, queue, iova(report.address));
  return TANDEM_COMMAND_OK;
}

tandem_command_error KernelRing::replay(const tandem_command& command) {
  const Pasid pasid{{command.pasid}};
  if (!has_fault_records(spaces_.find(pasid))) return TANDEM_COMMAND_BAD_PASID;
  const uint32_t released = faults_.replay(pasid, command.seqno);
  processor_.note_outside_event();
  trace_replay(command, released);
  return TANDEM_COMMAND_OK;
}

tandem_command_error KernelRing::cancel(const tandem_command& command) {
  const auto& cancel = command.u.cancel;
  const Pasid pasid{{command.pasid}};
  const QueueId queue{{cancel.queue}};
  if (!has_fault_records(spaces_.find(pasid))) return TANDEM_COMMAND_BAD_PASID;
  if (!processor_.has_queue(pasid, queue)) return TANDEM_COMMAND_BAD_QUEUE;
  if (cancel.status == TANDEM_QUEUE_OK || cancel.status > TANDEM_QUEUE_ATOMIC_FAULT ||
      !all_zero(cancel.reserved, std::size(cancel.reserved)))
    return TANDEM_COMMAND_BAD_PARAMETER;
  const Gva page = gva(cancel.va).align_down(TANDEM_PAGE_BYTES);
  const uint32_t failed = faults_.cancel(pasid, queue, page, static_cast<QueueError>(cancel.status));
  if (Checker* check = memory_.checker()) check->cancelled(pasid, page);
  processor_.note_outside_event();
  trace_cancel(command, failed);
  return TANDEM_COMMAND_OK;
}

tandem_command_error KernelRing::skip(const tandem_command& command) {
  const auto& skip = command.u.skip;
  const Pasid pasid{{command.pasid}};
  if (!has_fault_records(spaces_.find(pasid))) return TANDEM_COMMAND_BAD_PASID;
  if (skip.access < TANDEM_ACCESS_READ || skip.access > TANDEM_ACCESS_ATOMIC || skip.reserved0 ||
      !all_zero(skip.reserved, std::size(skip.reserved)))
    return TANDEM_COMMAND_BAD_PARAMETER;
  if (skip.start % TANDEM_PAGE_BYTES || skip.end % TANDEM_PAGE_BYTES || skip.start >= skip.end || skip.end > TANDEM_VA_LIMIT)
    return TANDEM_COMMAND_BAD_ADDRESS;
  faults_.skip(pasid, gva(skip.start), gva(skip.end), static_cast<Access>(skip.access));
  processor_.note_outside_event();
  return TANDEM_COMMAND_OK;
}

std::optional<tandem_command_error> KernelRing::copy(const tandem_command& command, CopyKind kind) {
  const auto& copy = command.u.copy;
  const bool linear = kind == CopyKind::Linear;
  const CopyEnd from{copy.source_aperture, copy.source_peer, copy.source};
  const CopyEnd to{copy.destination_aperture, copy.destination_peer, copy.destination};
  if (!to.is_known() || (linear ? !from.is_known() : from.peer != 0) || copy.reserved1 ||
      !all_zero(copy.reserved2, std::size(copy.reserved2)))
    return TANDEM_COMMAND_BAD_PARAMETER;
  if (!to.holds(copy.bytes) || (linear && !from.holds(copy.bytes))) return TANDEM_COMMAND_BAD_ADDRESS;
  if (linear && copy.bytes && from.aperture == to.aperture && from.peer == to.peer &&
      ranges_overlap(copy.source, copy.bytes, copy.destination, copy.bytes))
    return TANDEM_COMMAND_BAD_PARAMETER;

  PhysicalCopyRequest request;
  request.kind = kind;
  request.source_aperture = static_cast<tandem_aperture>(copy.source_aperture);
  request.destination_aperture = static_cast<tandem_aperture>(copy.destination_aperture);
  request.source = linear ? from.device_address() : copy.source;
  request.destination = to.device_address();
  request.bytes = copy.bytes;
  if (copies_to_fail_) {
    --copies_to_fail_;
    request.fails_after = copy.bytes / 2;
  }
  request.drops_last_piece = mutation_ == TANDEM_MUTATION_COPY_DROPPED && copies_begun_++ % kCopiesToADropped == 0;
  if (Checker* check = memory_.checker(); check && linear && copy.source_aperture == TANDEM_APERTURE_VRAM)
    check->copies_from(copy.source, copy.bytes);
  begin(std::make_unique<PhysicalCopy>(request, memory_, counters_));
  return {};
}

std::optional<tandem_command_error> KernelRing::access(const tandem_command& command) {
  const auto& pages = command.u.pages;
  const PageAccessRequest request{.pasid = {{command.pasid}},
                                  .access = static_cast<Access>(pages.access),
                                  .va = gva(pages.va),
                                  .bytes = pages.bytes,
                                  .address = pages.address};
  const AddressSpace* space = spaces_.find(request.pasid);
  const bool atomic = request.access == Access::Atomic;
  if (!space || space->translation != TANDEM_TRANSLATION_MIRROR) return TANDEM_COMMAND_BAD_PASID;
  if (pages.access < TANDEM_ACCESS_READ || pages.access > TANDEM_ACCESS_ATOMIC || (atomic && pages.address) ||
      pages.reserved0 || !all_zero(pages.reserved, std::size(pages.reserved)))
    return TANDEM_COMMAND_BAD_PARAMETER;
  if ((pages.va | pages.bytes | pages.address) % TANDEM_PAGE_BYTES || !pages.bytes || !user_range(pages.va, pages.bytes) ||
      pages.address > ~0ULL - pages.bytes)
    return TANDEM_COMMAND_BAD_ADDRESS;
  if (atomic) begin(std::make_unique<PageAtomics>(request, mmu_, memory_));
  else begin(std::make_unique<PageTransfer>(request, mmu_, memory_, counters_));
  return {};
}

void KernelRing::begin(std::unique_ptr<CommandJob> job) {
  current_->job = std::move(job);
  copies_.submit(*current_->job);
}

tandem_command_error KernelRing::note(const tandem_command& command) {
  const auto& note = command.u.note;
  if (!all_zero(note.reserved, std::size(note.reserved))) return TANDEM_COMMAND_BAD_PARAMETER;
  if (Checker* check = memory_.checker(); check && note.cause == TANDEM_CAUSE_TEST) check->faults_forgotten(Pasid{{command.pasid}});
  if (!trace_.on()) return TANDEM_COMMAND_OK;
  tandem_trace_record record = shared_record(TANDEM_TRACE_NOTE, Pasid{{command.pasid}});
  record.detail = note.cause;
  record.va = note.start;
  record.bytes = note.end - note.start;
  record.seqno = command.seqno;
  record.a = note.value;
  record.queue = note.tgid;
  trace_.emit(record);
  return TANDEM_COMMAND_OK;
}

tandem_command_error KernelRing::migrated(const tandem_command& command) {
  const auto& migrated = command.u.migrated;
  if (migrated.cause < TANDEM_MIGRATE_REQUEST || migrated.cause > TANDEM_MIGRATE_REMOVE ||
      migrated.from > TANDEM_APERTURE_PEER || migrated.to > TANDEM_APERTURE_PEER || migrated.start > migrated.end ||
      migrated.reserved0)
    return TANDEM_COMMAND_BAD_PARAMETER;
  if (!trace_.on()) return TANDEM_COMMAND_OK;
  tandem_trace_record record = shared_record(TANDEM_TRACE_MIGRATE, Pasid{{command.pasid}});
  record.queue = migrated.tgid;
  record.va = migrated.start;
  record.bytes = migrated.end - migrated.start;
  record.seqno = command.seqno;
  record.detail = migrated.cause | static_cast<uint32_t>(migrated.from) << 8 | static_cast<uint32_t>(migrated.to) << 16;
  record.a = std::min(migrated.bytes, kMostBytes) | uint64_t{std::min(migrated.failed, kMostFailed)} << kFailedShift;
  record.b = migrated.nanoseconds;
  trace_.emit(record);
  return TANDEM_COMMAND_OK;
}

tandem_command_error KernelRing::clear_accesses(const tandem_command& command) {
  const auto& access = command.u.access;
  const Pasid pasid{{command.pasid}};
  if (!spaces_.find(pasid)) return TANDEM_COMMAND_BAD_PASID;
  if (!all_zero(access.reserved, std::size(access.reserved))) return TANDEM_COMMAND_BAD_PARAMETER;
  const bool aligned = access.start % TANDEM_ACCESS_REGION == 0 && access.end % TANDEM_ACCESS_REGION == 0;
  if (!aligned || access.start >= access.end || access.end > TANDEM_VA_LIMIT) return TANDEM_COMMAND_BAD_ADDRESS;
  memory_.access_counters().clear(pasid, gva(access.start), gva(access.end));
  return TANDEM_COMMAND_OK;
}

void KernelRing::reset() {
  if (current_ && current_->job) copies_.remove(*current_->job);
  current_.reset();
  ring_ = {};
  last_seqno_ = 0;
  copies_to_fail_ = 0;
  error_posted_ = stalled_ = false;
}

// ---- trace ----

void KernelRing::note_poison(uint64_t page) {
  ++counters_[TANDEM_COUNTER_POISON_HITS];
  if (!trace_.on()) return;
  tandem_trace_record record = shared_record(TANDEM_TRACE_POISON, Pasid{{current_->command.pasid}});
  record.va = page;
  record.seqno = current_->command.seqno;
  record.a = 1;
  trace_.emit(record);
}

void KernelRing::trace_bind(const tandem_command& command) const {
  const auto& bind = command.u.bind;
  tandem_trace_record record = shared_record(TANDEM_TRACE_BIND, Pasid{{command.pasid}});
  record.detail = bind.translation;
  record.va = bind.root;
  record.bytes = bind.tgid;
  record.seqno = bind.bus_pasid;
  std::memcpy(&record.a, bind.comm, sizeof record.a);
  std::memcpy(&record.b, bind.comm + sizeof record.a, sizeof record.b);
  trace_.emit(record);
}

void KernelRing::trace_unbound(Pasid pasid, const AddressSpace& space) const {
  if (space.translation == TANDEM_TRANSLATION_SVA) {
    tandem_trace_record drain = shared_record(TANDEM_TRACE_DRAIN, pasid);
    drain.seqno = space.bus_pasid;
    drain.a = space.drained;
    drain.b = host_.now() - space.ended_ns;
    trace_.emit(drain);
  }
  trace_.emit(shared_record(TANDEM_TRACE_UNBIND, pasid));
}

void KernelRing::trace_replay(const tandem_command& command, uint32_t released) const {
  if (!trace_.on()) return;
  tandem_trace_record record = shared_record(TANDEM_TRACE_REPLAY, Pasid{{command.pasid}});
  record.seqno = command.seqno;
  record.a = released;
  trace_.emit(record);
}

void KernelRing::trace_cancel(const tandem_command& command, uint32_t failed) const {
  if (!trace_.on()) return;
  tandem_trace_record record = shared_record(TANDEM_TRACE_CANCEL, Pasid{{command.pasid}});
  record.queue = command.u.cancel.queue;
  record.va = command.u.cancel.va;
  record.seqno = command.seqno;
  record.a = failed;
  record.detail = command.u.cancel.status;
  trace_.emit(record);
}

void KernelRing::trace_copy(const tandem_command& command, CopyKind kind) const {
  if (!trace_.on()) return;
  const auto& copy = command.u.copy;
  tandem_trace_record record = shared_record(TANDEM_TRACE_COPY, Pasid{{command.pasid}});
  record.va = copy.destination;
  record.bytes = copy.bytes;
  record.seqno = command.seqno;
  record.a = copy.source;
  record.b = host_.now() - current_->fetched_ns;
  const uint32_t source = kind == CopyKind::Linear ? copy.source_aperture : 0;
  record.detail = TANDEM_TRACE_COPY_PHYSICAL | source << 8 | static_cast<uint32_t>(copy.destination_aperture) << 16;
  trace_.emit(record);
}

void KernelRing::trace_command() const {
  if (!trace_.on()) return;
  const tandem_command& command = current_->command;
  tandem_trace_record record = shared_record(TANDEM_TRACE_COMMAND, Pasid{{command.pasid}});
  record.detail = command.type | static_cast<uint32_t>(*current_->error) << 16;
  record.seqno = command.seqno;
  record.a = host_.now() - current_->fetched_ns;
  trace_.emit(record);
  if (command.type != TANDEM_COMMAND_NOP) return;
  tandem_trace_record fence = shared_record(TANDEM_TRACE_FENCE, Pasid{{command.pasid}});
  fence.detail = TANDEM_TRACE_FENCE_COMMAND;
  fence.seqno = command.seqno;
  trace_.emit(fence);
}

}  // namespace tandem
