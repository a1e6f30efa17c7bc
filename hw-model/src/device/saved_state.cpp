// SPDX-License-Identifier: GPL-2.0-or-later
// Saved state: its bytes, and the way from and to a device.
#include "device/saved_state.h"

#include <algorithm>
#include <cstring>

#include "device/device.h"

namespace tandem {

namespace {

constexpr uint64_t kMagic = 0x31455441'54534754;  // "TGSTATE1"
constexpr uint32_t kInterruptBits = (1u << TANDEM_VECTOR_COUNT) - 1;

// One description of the bytes for both directions: each field in its order.
template <typename Stream, typename State>
void fields(Stream& stream, State& state) {
  stream.word(state.address_spaces), stream.word(state.max_queues), stream.word(state.compute_units);
  stream.word(state.vram_bytes), stream.word(state.test_hooks);
  stream.word(state.enabled), stream.word(state.error), stream.word(state.test_control), stream.word(state.copies_to_fail);
  stream.word(state.access_threshold), stream.word(state.interrupt_status), stream.word(state.interrupt_enable);
  stream.word(state.status_page);
  for (auto* ring : {&state.commands, &state.invalidates, &state.faults, &state.events})
    stream.word(ring->base), stream.word(ring->order), stream.word(ring->get), stream.word(ring->put);
  stream.word(state.last_command), stream.optional_word(state.last_invalidate), stream.word(state.last_fault);
  stream.word(state.last_page_group), stream.word(state.ticks);
  for (auto& counter : state.counters.values) stream.word(counter);
  stream.list(state.poisoned), stream.list(state.unannounced);
}

// Every value takes eight bytes, so that a reader can say of each whether it fits.
class Writer {
 public:
  void word(uint64_t value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof value);
  }
  void optional_word(const std::optional<uint64_t>& value) {
    word(value.has_value());
    word(value.value_or(0));
  }
  void list(const std::vector<uint64_t>& values) {
    word(values.size());
    for (const uint64_t value : values) word(value);
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
  void word(T& value) {
    const uint64_t read = next();
    value = static_cast<T>(read);
    good_ &= static_cast<uint64_t>(value) == read;
  }
  void optional_word(std::optional<uint64_t>& value) {
    bool present = false;
    word(present);
    const uint64_t read = next();
    if (present) value = read;
  }
  void list(std::vector<uint64_t>& values) {
    const uint64_t count = next();
    good_ &= count <= bytes_.size() / sizeof(uint64_t);
    for (uint64_t n = 0; good_ && n < count; ++n) values.push_back(next());
  }
  bool whole() const { return good_ && bytes_.empty(); }

 private:
  uint64_t next() {
    uint64_t value = 0;
    good_ &= bytes_.size() >= sizeof value;
    if (!good_) return 0;
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_ = bytes_.subspan(sizeof value);
    return value;
  }

  std::span<const std::byte> bytes_;
  bool good_ = true;
};

// Rings of an enabled device are usable; those of any device could have been written into the registers.
bool possible(const Ring& ring, bool enabled, uint64_t entry_bytes) {
  return !enabled || (ring.configured(entry_bytes) && ring.sane());
}

bool ascending_pages(const std::vector<uint64_t>& offsets, uint64_t vram_bytes) {
  const auto page = [&](uint64_t offset) { return offset % TANDEM_PAGE_BYTES == 0 && offset < vram_bytes; };
  return std::all_of(offsets.begin(), offsets.end(), page) &&
         std::adjacent_find(offsets.begin(), offsets.end(), std::greater_equal<>()) == offsets.end();
}

}  // namespace

std::vector<std::byte> encode(const SavedState& state) {
  Writer writer;
  writer.word(kMagic);
  fields(writer, state);
  return writer.take();
}

std::optional<SavedState> decode(std::span<const std::byte> bytes, std::string& problem) {
  Reader reader(bytes);
  uint64_t magic = 0;
  reader.word(magic);
  SavedState state;
  if (magic == kMagic) fields(reader, state);
  problem = magic != kMagic ? "this is no saved state of this version of the GPU"
            : reader.whole() ? "" : "the saved state is damaged";
  if (!problem.empty()) return {};
  return state;
}

// ---- from a device ----

std::string Device::save(std::vector<std::byte>& bytes) const {
  const std::string reason = why_not_now();
  if (reason.empty()) bytes = encode(present_state());
  return reason;
}

std::string Device::why_not_now() const {
  if (const size_t bound = spaces_.all().size())
    return format("%zu address spaces are bound: the GPU can be saved only while no process uses it", bound);
  const bool stopped = error_ != TANDEM_DEVICE_OK;
  const bool rings = kernel_ring_.busy() || invalidation_ring_.busy();
  const bool news = faults_.unannounced() || !events_.all_written() || !status_page_.all_written() || interrupts_.any_late();
  if ((enabled_ && !stopped && rings) || copies_.busy() || mmu_.busy() || memory_.atomics().busy() || news)
    return "the GPU is at work: it can be saved only while it is idle";
  return {};
}

SavedState Device::present_state() const {
  SavedState state;
  state.address_spaces = config_.address_spaces;
  state.max_queues = config_.max_queues;
  state.compute_units = config_.compute_units;
  state.vram_bytes = config_.vram_bytes;
  state.test_hooks = config_.test_hooks;
  state.enabled = enabled_;
  state.error = error_;
  state.test_control = test_control_;
  state.copies_to_fail = kernel_ring_.copies_to_fail();
  state.access_threshold = memory_.access_counters().threshold();
  state.interrupt_status = interrupts_.status();
  state.interrupt_enable = interrupts_.enable();
  state.status_page = status_page_.address();
  state.commands = kernel_ring_.ring();
  state.invalidates = invalidation_ring_.ring();
  state.faults = faults_.ring();
  state.events = events_.ring();
  state.last_command = kernel_ring_.last_seqno();
  state.last_invalidate = invalidation_ring_.last_seqno();
  state.last_fault = faults_.last_id();
  state.last_page_group = page_requests_.last_number();
  state.ticks = ticks_;
  state.counters = counters_;
  state.poisoned = {poisoned_pages().begin(), poisoned_pages().end()};
  state.unannounced = {unannounced_poison_.begin(), unannounced_poison_.end()};
  return state;
}

// ---- to a device ----

std::string Device::load(std::span<const std::byte> bytes) {
  std::string problem;
  const std::optional<SavedState> state = decode(bytes, problem);
  if (state) problem = why_not_here(*state);
  if (problem.empty()) restore(*state);
  return problem;
}

std::string Device::why_not_here(const SavedState& state) const {
  const bool same_shape = state.address_spaces == config_.address_spaces && state.max_queues == config_.max_queues &&
                          state.compute_units == config_.compute_units && state.vram_bytes == config_.vram_bytes &&
                          state.test_hooks == config_.test_hooks;
  if (!same_shape)
    return "the state was saved from a GPU with other properties (address-spaces, max-queues, compute-units, vram, test-hooks)";
  const bool rings = possible(state.commands, state.enabled, sizeof(tandem_command)) &&
                     possible(state.invalidates, state.enabled, sizeof(tandem_invalidate)) &&
                     possible(state.faults, state.enabled, sizeof(tandem_fault_record)) &&
                     possible(state.events, state.enabled, sizeof(tandem_event));
  const bool stopped = state.error != TANDEM_DEVICE_OK;
  const bool pages = ascending_pages(state.poisoned, state.vram_bytes) && ascending_pages(state.unannounced, state.vram_bytes) &&
                     std::includes(state.poisoned.begin(), state.poisoned.end(), state.unannounced.begin(), state.unannounced.end());
  const bool bits = !(state.interrupt_status & ~kInterruptBits) && !(state.interrupt_enable & ~kInterruptBits) &&
                    !(state.test_control & ~(state.test_hooks ? TANDEM_TEST_STALLS : 0)) && state.last_page_group < 512 &&
                    state.error <= TANDEM_DEVICE_BAD_INVALIDATE;
  const bool aligned = !state.enabled || state.status_page % TANDEM_PAGE_BYTES == 0;
  if (!(rings || stopped) || !pages || !bits || !(aligned || stopped)) return "the saved state is none that a GPU can be in";
  return {};
}

void Device::restore(const SavedState& state) {
  reset(TANDEM_RESET_POWER);
  kernel_ring_.restore(state.commands, state.last_command, state.copies_to_fail);
  invalidation_ring_.restore(state.invalidates, state.last_invalidate);
  faults_.restore(state.faults, state.last_fault);
  events_.restore(state.events);
  page_requests_.restore(state.last_page_group);
  status_page_.restore(state.status_page, state.commands, state.invalidates, state.faults, state.events);
  interrupts_.restore(state.interrupt_status, state.interrupt_enable);
  write_access_threshold(state.access_threshold);
  write_test_control(state.test_control);
  for (const uint64_t page : state.poisoned) memory_.own_poison().add(page);
  if (!state.poisoned.empty() && ops_.poison_changed) ops_.poison_changed(host_.opaque());
  unannounced_poison_ = {state.unannounced.begin(), state.unannounced.end()};
  counters_ = state.counters;
  ticks_ = state.ticks;
  mmu_.set_time(ticks_);
  last_poll_ = ticks_;
  error_ = static_cast<tandem_device_error>(state.error);
  enabled_ = state.enabled;
  if (running()) keep_own_addresses();
  attention_.ask();
}

}  // namespace tandem
