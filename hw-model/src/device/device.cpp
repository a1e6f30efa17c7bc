// SPDX-License-Identifier: GPL-2.0-or-later
// The whole GPU: wiring, life, registers and doorbells.
#include "device/device.h"

namespace tandem {

namespace {

MmuConfig mmu_config(const tandem_model_config& config, Hostile& hostile) {
  return {.compute_units = config.compute_units,
          .l1_sets = hostile.shrink(config.l1_sets),
          .l1_ways = hostile.shrink(config.l1_ways),
          .l2_sets = hostile.shrink(config.l2_sets),
          .l2_ways = hostile.shrink(config.l2_ways),
          .walkers = hostile.shrink(config.walkers),
          .walk_latency = config.walk_latency,
          .l2_latency = config.l2_latency,
          .mutation = config.mutation,
          .hostile = &hostile};
}

CommandProcessorConfig processor_config(const tandem_model_config& config) {
  return {.max_queues = config.max_queues,
          .waves_per_cu = config.waves_per_cu,
          .lds_bytes = config.lds_bytes,
          .time_slice = config.time_slice};
}

ComputeConfig unit_config(const tandem_model_config& config, uint32_t unit) {
  return {.unit = unit,
          .waves = config.waves_per_cu,
          .lds_bytes = config.lds_bytes,
          .store_queue_depth = config.store_queue_depth,
          .store_drain = static_cast<tandem_store_drain>(config.store_drain),
          .load_reorder = config.load_reorder,
          .mutation = config.mutation,
          .seed = config.seed + unit};
}

AtomicConfig atomic_config(const tandem_model_config& config) {
  constexpr uint32_t kSplitPause = 100;
  const bool split = config.mutation == TANDEM_MUTATION_ATOMIC_SPLIT;
  return {.mode = static_cast<tandem_atomics>(config.atomics),
          .pause = split && !config.atomic_pause ? kSplitPause : config.atomic_pause,
          .vram_is_shared = config.vram_bar,
          .split = split};
}

std::unique_ptr<Checker> make_checker(bool wanted, const AddressSpaces& spaces, MemoryPort& memory, const Host& host) {
  if (!wanted) return {};
  auto checker = std::make_unique<Checker>(spaces, memory, host);
  memory.set_checker(checker.get());
  return checker;
}

uint32_t atomic_features(uint32_t mode) {
  switch (mode) {
    case TANDEM_ATOMICS_PCIE: return TANDEM_FEATURE_PCIE_ATOMICS;
    case TANDEM_ATOMICS_EXCLUSIVE: return TANDEM_FEATURE_EXCLUSIVE_ATOMICS;
    default: return 0;
  }
}

}  // namespace

Device::Device(const tandem_model_config& config, const tandem_host_ops& ops, void* opaque, std::byte* vram)
    : config_(config),
      ops_(ops),
      host_(ops_, opaque),
      hostile_(config.hostile),
      trace_(ops_, opaque, config.trace),
      memory_(ops_, opaque, vram, config.vram_bytes),
      registers_(*this, host_, config.check, config.test_hooks),
      interrupts_(host_, hostile_),
      status_page_(memory_, *this),
      spaces_(config.address_spaces),
      checker_(make_checker(config.check, spaces_, memory_, host_)),
      faults_(retries_, memory_, status_page_, interrupts_, *this, counters_, trace_, host_, hostile_, config.mutation),
      page_requests_(spaces_, retries_, counters_, trace_, host_),
      atc_(hostile_.shrink(config.atc_sets), hostile_.shrink(config.atc_ways), spaces_, memory_, counters_, trace_, host_,
           config.mutation),
      bus_(atc_),
      mmu_(mmu_config(config, hostile_), spaces_, memory_, faults_, atc_, page_requests_, counters_, trace_, host_),
      events_(memory_, status_page_, interrupts_, *this),
      copies_(config.copy_chunk_bytes, hostile_, config.mutation),
      processor_(processor_config(config), units_, mmu_, memory_, copies_, retries_, events_, attention_, counters_,
                 trace_, host_),
      invalidator_(mmu_, clients_, counters_, config.mutation),
      kernel_ring_(memory_, spaces_, mmu_, processor_, copies_, faults_, page_requests_, events_, status_page_, interrupts_,
                   *this, counters_, trace_, host_, config.mutation),
      invalidation_ring_(config.invalidate_latency, hostile_, memory_, spaces_, invalidator_, status_page_, interrupts_, *this,
                         counters_, trace_, host_, config.mutation),
      truth_(config.check ? std::make_unique<ProcessTruth>(spaces_, memory_, invalidation_ring_.ring(), host_) : nullptr) {
  if (checker_) checker_->set_truth(truth_.get());
  for (uint32_t unit = 0; unit < config.compute_units; ++unit) {
    units_.push_back(std::make_unique<ComputeUnit>(
        unit_config(config, unit), mmu_, memory_, processor_, counters_, [this] { return host_.now(); },
        [this] { return host_.should_yield(); }));
    clients_.push_back(units_.back().get());
  }
  clients_.push_back(&copies_);
  clients_.push_back(&memory_.atomics());
  memory_.atomics().configure(atomic_config(config));
}

// Queues and wavefronts wait for translations: they go before the blocks that they wait in.
Device::~Device() {
  processor_.reset();
  kernel_ring_.reset();
}

// ---- life ----

void Device::reset(tandem_reset_kind kind) {
  enabled_ = false;
  error_ = TANDEM_DEVICE_OK;
  memory_.atomics().reset();  // before their waiters go, who would complete them
  processor_.reset();
  for (const auto& unit : units_) unit->reset();
  kernel_ring_.reset();
  invalidation_ring_.reset();
  copies_.reset();
  mmu_.reset();
  atc_.reset();
  bus_.reset();
  page_requests_.reset();
  faults_.reset();
  retries_.reset();
  events_.reset();
  spaces_.reset();
  if (checker_) checker_->reset();
  status_page_.reset();
  interrupts_.reset();
  registers_.reset();
  memory_.access_counters().reset();
  unannounced_poison_.clear();
  held_answers_.clear();
  held_responses_.clear();
  hostile_.reset();
  if (kind == TANDEM_RESET_POWER) clear_poison();
  attention_.take();
  counters_ = {};
  test_control_ = 0;
  if (trace_.on()) {
    tandem_trace_record record = shared_record(TANDEM_TRACE_RESET, Pasid{});
    record.detail = kind;
    trace_.emit(record);
  }
}

void Device::stop(tandem_device_error error, const char* what) {
  if (error_ != TANDEM_DEVICE_OK) return;
  error_ = error;
  host_.guest_error("the device stopped, error %u: %s", static_cast<unsigned>(error), what);
  status_page_.state(error_, status());
  interrupts_.raise(TANDEM_VECTOR_ERROR);
}

void Device::drop_host_pointers() {
  for (TranslationClient* client : clients_) client->drain_all();
  mmu_.drop_host_pointers();
  status_page_.drop_host_pointers();
}

void Device::set_atomic_requester(bool on) {
  if (on == memory_.atomics().requester()) return;
  memory_.atomics().set_requester(on);
  drop_host_pointers();  // with the TLB entries whose right to atomics came with it
}

// ---- link and poison ----

void Device::set_peers(std::span<const tandem_model_peer> peers) {
  uint32_t present = 0;
  std::vector<uint64_t> poisoned;
  for (const tandem_model_peer& peer : peers) {
    present |= 1u << peer.number;
    for (size_t n = 0; n < peer.poisoned_pages; ++n) poisoned.push_back(peer_address(peer.number, peer.poisoned[n]));
  }
  drop_host_pointers();  // while stores can still be told to the peers that are going
  memory_.set_peers(present);
  memory_.peer_poison().replace(poisoned);
}

bool Device::poison(uint64_t offset) {
  if (offset >= config_.vram_bytes) return false;
  const uint64_t page = offset & ~(TANDEM_PAGE_BYTES - 1);
  if (!memory_.own_poison().add(page)) return true;
  drop_host_pointers();
  unannounced_poison_.insert(page);
  if (trace_.on()) {
    tandem_trace_record record = shared_record(TANDEM_TRACE_POISON, Pasid{});
    record.va = page;
    trace_.emit(record);
  }
  attention_.ask();
  if (ops_.poison_changed) ops_.poison_changed(host_.opaque());
  return true;
}

void Device::clear_poison() {
  if (poisoned_pages().empty()) return;
  memory_.own_poison().clear();
  if (ops_.poison_changed) ops_.poison_changed(host_.opaque());
}

bool Device::post_notices() {
  bool posted = false;
  while (notices_wait() && events_.has_room()) {
    if (!unannounced_poison_.empty()) post_poison(*unannounced_poison_.begin());
    else if (truth_ && truth_->wishes_rest()) post_wish_for_rest();
    else post_region(*memory_.access_counters().take_reached());
    posted = true;
  }
  return posted;
}

void Device::post_poison(uint64_t offset) {
  unannounced_poison_.erase(offset);
  tandem_event event{};
  event.type = TANDEM_EVENT_POISON;
  event.queue = TANDEM_TRACE_NO_QUEUE;
  event.value = offset;
  events_.post(event);
}

void Device::post_region(const AccessCounters::Region& region) {
  ++counters_[TANDEM_COUNTER_ACCESS_EVENTS];
  if (trace_.on()) {
    tandem_trace_record record = shared_record(TANDEM_TRACE_ACCESS_COUNTER, region.pasid);
    record.va = region.va.value;
    record.bytes = TANDEM_ACCESS_REGION;
    record.a = region.count;
    trace_.emit(record);
  }
  tandem_event event{};
  event.type = TANDEM_EVENT_ACCESS_COUNTER;
  event.pasid = region.pasid.value;
  event.queue = TANDEM_TRACE_NO_QUEUE;
  event.detail = region.count;
  event.value = region.va.value;
  events_.post(event);
}

// ---- checker ----

void Device::post_wish_for_rest() {
  truth_->rest_is_asked_for();
  tandem_event event{};
  event.type = TANDEM_EVENT_CHECK;
  event.queue = TANDEM_TRACE_NO_QUEUE;
  events_.post(event);
}

void Device::write_check_format(uint64_t address) {
  const bool known = truth_->set_format(address);
  checker_->vram().follow(known ? truth_->vram_lives() : 0);
  if (!known)
    host_.guest_error("CHECK_FORMAT: there is no description of page tables at %#llx", static_cast<unsigned long long>(address));
}

void Device::processors_at_rest() {
  const auto confirmed = truth_->at_rest([this](const TlbEntry& entry) { return mmu_.holds(entry); });
  for (const auto& [suspicion, finding] : confirmed)
    checker_->violated(finding, suspicion.request, &suspicion.entry, suspicion.entry.bytes);
}

void Device::enable() {
  const struct {
    const Ring& ring;
    uint64_t entry_bytes;
    const char* wrong;
  } rings[] = {
      {kernel_ring_.ring(), sizeof(tandem_command), "the kernel command ring's base or order is out of range"},
      {invalidation_ring_.ring(), sizeof(tandem_invalidate), "the invalidation ring's base or order is out of range"},
      {faults_.ring(), sizeof(tandem_fault_record), "the fault buffer's base or order is out of range"},
      {events_.ring(), sizeof(tandem_event), "the event ring's base or order is out of range"},
  };
  enabled_ = true;
  for (const auto& each : rings)
    if (!each.ring.configured(each.entry_bytes) || !each.ring.sane()) return stop(TANDEM_DEVICE_BAD_RING, each.wrong);
  if (status_page_.address() % TANDEM_PAGE_BYTES) return stop(TANDEM_DEVICE_BAD_RING, "the status page is not aligned");
  keep_own_addresses();
  if (!status_page_.reachable()) return stop(TANDEM_DEVICE_RING_DMA, "the status page is not in memory");
  unannounced_poison_ = poisoned_pages();
  attention_.ask();
}

// What the device uses at any time: the IOMMU is asked once.
void Device::keep_own_addresses() {
  const auto keep = [&](const Ring& ring, uint64_t entry_bytes) { bus_.keep(iova(ring.base), entry_bytes << ring.order); };
  keep(kernel_ring_.ring(), sizeof(tandem_command));
  keep(invalidation_ring_.ring(), sizeof(tandem_invalidate));
  keep(faults_.ring(), sizeof(tandem_fault_record));
  keep(events_.ring(), sizeof(tandem_event));
  bus_.keep(iova(status_page_.address()), TANDEM_PAGE_BYTES);
}

// ---- registers ----

uint64_t Device::mmio_read(int bar, uint64_t offset, unsigned size) {
  if (bar == TANDEM_BAR_REGS) return registers_.read(offset, size);
  if (bar != TANDEM_BAR_DOORBELLS) host_.guest_error("read of BAR %d, which has no registers", bar);
  return 0;  // doorbells are written only
}

void Device::mmio_write(int bar, uint64_t offset, uint64_t value, unsigned size) {
  if (checker_) checker_->new_round();
  if (bar == TANDEM_BAR_REGS) registers_.write(offset, value, size);
  else if (bar == TANDEM_BAR_DOORBELLS) write_doorbell(offset, value, size);
  else host_.guest_error("write to BAR %d, which has no registers", bar);
}

void Device::write_doorbell(uint64_t offset, uint64_t value, unsigned size) {
  const uint64_t page = offset / TANDEM_DOORBELL_PAGE_SIZE;
  if (size != TANDEM_DOORBELL_BYTES || offset % TANDEM_DOORBELL_BYTES || page >= config_.address_spaces) {
    host_.guest_error("doorbell write of %u bytes at offset %#llx", size, static_cast<unsigned long long>(offset));
    return;
  }
  if (!running()) return;
  const auto doorbell = static_cast<uint32_t>(offset % TANDEM_DOORBELL_PAGE_SIZE / TANDEM_DOORBELL_BYTES);
  processor_.ring_doorbell(Pasid{{static_cast<uint32_t>(page)}}, doorbell, value);
}

uint32_t Device::features() const {
  return (config_.vram_bar ? TANDEM_FEATURE_VRAM_BAR : 0) | atomic_features(config_.atomics) |
         (config_.test_hooks ? TANDEM_FEATURE_TEST_HOOKS : 0) | (checker_ ? TANDEM_FEATURE_CHECK : 0) | (trace_.on() ? TANDEM_FEATURE_TRACE : 0);
}

uint32_t Device::status() const {
  bool busy = copies_.busy() || mmu_.busy() || memory_.atomics().busy() || kernel_ring_.busy() || invalidation_ring_.busy();
  for (const auto& unit : units_) busy |= !unit->idle();
  return (running() ? TANDEM_STATUS_ENABLED : 0) | (busy ? TANDEM_STATUS_BUSY : 0) |
         (error_ != TANDEM_DEVICE_OK ? TANDEM_STATUS_STOPPED : 0) |
         (faults_.overflowed() ? TANDEM_STATUS_FAULT_OVERFLOW : 0) |
         (events_.overflowed() ? TANDEM_STATUS_EVENT_OVERFLOW : 0);
}

uint64_t Device::read_register(uint32_t offset) {
  if (offset >= TANDEM_REG_COUNTERS && offset < TANDEM_REG_COUNTERS + 8 * TANDEM_COUNTER_COUNT)
    return counters_.values[(offset - TANDEM_REG_COUNTERS) / 8];
  const Ring& faults = faults_.ring();
  switch (offset) {
    case TANDEM_REG_ID: return TANDEM_ID_VALUE;
    case TANDEM_REG_ABI_VERSION: return TANDEM_ABI_MAJOR << 16 | TANDEM_ABI_MINOR;
    case TANDEM_REG_COMPUTE_UNITS: return config_.compute_units;
    case TANDEM_REG_WAVES_PER_CU: return config_.waves_per_cu;
    case TANDEM_REG_ADDRESS_SPACES: return config_.address_spaces;
    case TANDEM_REG_MAX_QUEUES: return config_.max_queues;
    case TANDEM_REG_LDS_BYTES: return config_.lds_bytes;
    case TANDEM_REG_FEATURES: return features();
    case TANDEM_REG_VRAM_BYTES: return config_.vram_bytes;
    case TANDEM_REG_CLOCK_NS: return host_.now();
    case TANDEM_REG_FABRIC: return config_.fabric;
    case TANDEM_REG_FABRIC_PEERS: return memory_.peers();
    case TANDEM_REG_CONTROL: return enabled_ ? TANDEM_CONTROL_ENABLE : 0;
    case TANDEM_REG_STATUS: return status();
    case TANDEM_REG_ERROR: return error_;
    case TANDEM_REG_INTERRUPT_STATUS: return interrupts_.status();
    case TANDEM_REG_INTERRUPT_ENABLE: return interrupts_.enable();
    case TANDEM_REG_STATUS_PAGE: return status_page_.address();
    case TANDEM_REG_ACCESS_THRESHOLD: return memory_.access_counters().threshold();
    case TANDEM_REG_CHECK_FORMAT: return truth_->format_address();
    case TANDEM_REG_COMMAND_BASE: return kernel_ring_.ring().base;
    case TANDEM_REG_COMMAND_ORDER: return kernel_ring_.ring().order;
    case TANDEM_REG_COMMAND_GET: return kernel_ring_.ring().get;
    case TANDEM_REG_COMMAND_PUT: return kernel_ring_.ring().put;
    case TANDEM_REG_INVALIDATE_BASE: return invalidation_ring_.ring().base;
    case TANDEM_REG_INVALIDATE_ORDER: return invalidation_ring_.ring().order;
    case TANDEM_REG_INVALIDATE_GET: return invalidation_ring_.ring().get;
    case TANDEM_REG_INVALIDATE_PUT: return invalidation_ring_.ring().put;
    case TANDEM_REG_FAULT_BASE: return faults.base;
    case TANDEM_REG_FAULT_ORDER: return faults.order;
    case TANDEM_REG_FAULT_GET: return faults.get;
    case TANDEM_REG_FAULT_PUT: return faults.put;
    case TANDEM_REG_EVENT_BASE: return events_.ring().base;
    case TANDEM_REG_EVENT_ORDER: return events_.ring().order;
    case TANDEM_REG_EVENT_GET: return events_.ring().get;
    case TANDEM_REG_EVENT_PUT: return events_.ring().put;
    case TANDEM_REG_TEST_CONTROL: return test_control_;
    case TANDEM_REG_TEST_COPY_FAIL: return kernel_ring_.copies_to_fail();
    default: return 0;
  }
}

void Device::write_register(uint32_t offset, uint64_t value) {
  const auto word = static_cast<uint32_t>(value);
  switch (offset) {
    case TANDEM_REG_CONTROL: return write_control(word);
    case TANDEM_REG_INTERRUPT_STATUS: return interrupts_.clear(word);
    case TANDEM_REG_INTERRUPT_ENABLE: return interrupts_.set_enable(word);
    case TANDEM_REG_STATUS_PAGE: return status_page_.set_address(value);
    case TANDEM_REG_ACCESS_THRESHOLD: return write_access_threshold(word);
    case TANDEM_REG_CHECK_FORMAT: return write_check_format(value);
    case TANDEM_REG_CHECK_AT_REST: return processors_at_rest();
    case TANDEM_REG_COMMAND_BASE: kernel_ring_.ring().base = value; return;
    case TANDEM_REG_COMMAND_ORDER: kernel_ring_.ring().order = word; return;
    case TANDEM_REG_COMMAND_PUT: return write_command_put(word);
    case TANDEM_REG_INVALIDATE_BASE: invalidation_ring_.ring().base = value; return;
    case TANDEM_REG_INVALIDATE_ORDER: invalidation_ring_.ring().order = word; return;
    case TANDEM_REG_INVALIDATE_PUT: return write_invalidate_put(word);
    case TANDEM_REG_FAULT_BASE: faults_.ring().base = value; return;
    case TANDEM_REG_FAULT_ORDER: faults_.ring().order = word; return;
    case TANDEM_REG_FAULT_GET: return write_fault_get(word);
    case TANDEM_REG_EVENT_BASE: events_.ring().base = value; return;
    case TANDEM_REG_EVENT_ORDER: events_.ring().order = word; return;
    case TANDEM_REG_EVENT_GET: return write_event_get(word);
    case TANDEM_REG_TEST_CONTROL: return write_test_control(word);
    case TANDEM_REG_TEST_COPY_FAIL: return kernel_ring_.set_copies_to_fail(word);
    case TANDEM_REG_TEST_POISON: return write_test_poison(value);
    default: return;
  }
}

void Device::write_control(uint32_t value) {
  if (value & TANDEM_CONTROL_RESET) {
    reset(TANDEM_RESET_DRIVER);
    return;
  }
  if (value & ~(TANDEM_CONTROL_ENABLE | TANDEM_CONTROL_RESET)) host_.guest_error("unknown bits in CONTROL: %#x", value);
  if (error_ != TANDEM_DEVICE_OK) return;  // only a reset helps
  const bool wanted = value & TANDEM_CONTROL_ENABLE;
  if (wanted && !enabled_) enable();
  else enabled_ = wanted;
}

bool Device::index_is_sane(const Ring& ring, const char* name) {
  if (!enabled_ || ring.sane()) return true;
  stop(TANDEM_DEVICE_BAD_RING, name);
  return false;
}

void Device::write_command_put(uint32_t put) {
  kernel_ring_.ring().put = put;
  index_is_sane(kernel_ring_.ring(), "COMMAND_PUT - COMMAND_GET exceeds the ring");
}

void Device::write_invalidate_put(uint32_t put) {
  invalidation_ring_.ring().put = put;
  if (index_is_sane(invalidation_ring_.ring(), "INVALIDATE_PUT - INVALIDATE_GET exceeds the ring"))
    invalidation_ring_.put_written();
}

void Device::write_fault_get(uint32_t get) {
  faults_.ring().get = get;
  if (index_is_sane(faults_.ring(), "FAULT_PUT - FAULT_GET exceeds the buffer")) write_waiting_faults();
}

void Device::write_waiting_faults() {
  if (!running()) return;
  faults_.flush();
  faults_.announce();
}

void Device::write_event_get(uint32_t get) {
  events_.ring().get = get;
  if (!index_is_sane(events_.ring(), "EVENT_PUT - EVENT_GET exceeds the ring")) return;
  if (running()) events_.flush();
  attention_.ask();
}

void Device::write_access_threshold(uint32_t threshold) {
  const bool was_on = memory_.access_counters().on();
  memory_.access_counters().set_threshold(threshold);
  if (memory_.access_counters().on() != was_on) drop_host_pointers();  // with the TLB entries that say otherwise
}

void Device::write_test_poison(uint64_t offset) {
  if (!poison(offset)) host_.guest_error("there is no VRAM at offset %#llx to poison", static_cast<unsigned long long>(offset));
}

void Device::write_test_control(uint32_t value) {
  test_control_ = value & TANDEM_TEST_STALLS;
  invalidation_ring_.set_stalled(test_control_ & TANDEM_TEST_STALL_INVALIDATE);
  kernel_ring_.set_stalled(test_control_ & TANDEM_TEST_STALL_COMMAND);
  faults_.set_held(test_control_ & TANDEM_TEST_STALL_FAULT);
  write_waiting_faults();
  if (!responses_are_stalled()) take_held_responses();
}

}  // namespace tandem
