// SPDX-License-Identifier: GPL-2.0-or-later
// The C interface (include/tandem/model.h): checks what the host gives, and lets no exception through.
#include "tandem/model.h"

#include <cstdio>
#include <exception>
#include <new>

#include "device/device.h"

struct tandem_model {
  tandem::Device device;
};

namespace {

// The model throws nothing of its own; what can reach this is a failed allocation. Going on would be going on with half an
// update, so the process ends with a clear word rather than with a corrupt guest.
template <typename Call>
auto guarded(const char* what, Call call) noexcept -> decltype(call()) {
  try {
    return call();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tandem-model: %s: %s\n", what, error.what());
    std::terminate();
  }
}

void say(char* error, size_t error_bytes, const char* text) {
  if (error && error_bytes) std::snprintf(error, error_bytes, "%s", text);
}

const char* missing_operation(const tandem_host_ops& ops, const tandem_model_config& config) {
  if (!ops.dma_read) return "dma_read";
  if (!ops.dma_write) return "dma_write";
  if (!ops.map) return "map";
  if (!ops.stored) return "stored";
  if (!ops.vram_stored) return "vram_stored";
  if (!ops.interrupt) return "interrupt";
  if (!ops.now) return "now";
  if (!ops.guest_error) return "guest_error";
  if (config.trace && !ops.trace) return "trace";
  if (config.check && !ops.check_report) return "check_report";
  if (config.fabric != TANDEM_FABRIC_NONE && !ops.map_peer) return "map_peer";
  if (config.fabric != TANDEM_FABRIC_NONE && !ops.peer_stored) return "peer_stored";
  return nullptr;
}

std::string check(const tandem_model_config* config, const tandem_host_ops* ops, const void* vram) {
  if (!config || !ops) return "no configuration or no host operations given";
  if (ops->size != sizeof(tandem_host_ops)) return "the host's table of operations is of another version";
  if (const char* missing = missing_operation(*ops, *config))
    return tandem::format("the host operation %s is missing", missing);
  if (const std::string text = tandem::check_config(*config); !text.empty()) return text;
  if (config->vram_bytes && !vram) return "vram-bytes is not 0, but there is no video memory";
  return {};
}

}  // namespace

extern "C" {

void tandem_model_default_config(struct tandem_model_config* config) { *config = tandem::default_config(); }

struct tandem_model* tandem_model_create(const struct tandem_model_config* config, const struct tandem_host_ops* ops,
                                         void* opaque, void* vram, char* error, size_t error_bytes) {
  say(error, error_bytes, "");
  try {
    const std::string problem = check(config, ops, vram);
    if (problem.empty()) return new tandem_model{{*config, *ops, opaque, static_cast<std::byte*>(vram)}};
    say(error, error_bytes, problem.c_str());
  } catch (const std::bad_alloc&) {
    say(error, error_bytes, "not enough memory for this configuration");
  } catch (const std::exception& exception) {
    say(error, error_bytes, exception.what());
  }
  return nullptr;
}

void tandem_model_destroy(struct tandem_model* model) { delete model; }

void tandem_model_reset(struct tandem_model* model, enum tandem_reset_kind kind) {
  guarded("reset", [&] { model->device.reset(kind); });
}

uint64_t tandem_model_mmio_read(struct tandem_model* model, int bar, uint64_t offset, unsigned size) {
  return guarded("mmio_read", [&] { return model->device.mmio_read(bar, offset, size); });
}

void tandem_model_mmio_write(struct tandem_model* model, int bar, uint64_t offset, uint64_t value, unsigned size) {
  guarded("mmio_write", [&] { model->device.mmio_write(bar, offset, value, size); });
}

enum tandem_run_result tandem_model_run(struct tandem_model* model, uint64_t budget) {
  return guarded("run", [&] { return model->device.run(budget); });
}

void tandem_model_memory_map_changed(struct tandem_model* model) {
  guarded("memory_map_changed", [&] { model->device.memory_map_changed(); });
}

void tandem_model_set_peers(struct tandem_model* model, const struct tandem_model_peer* peers, size_t count) {
  guarded("set_peers", [&] { model->device.set_peers({peers, count}); });
}

bool tandem_model_poison(struct tandem_model* model, uint64_t offset) {
  return guarded("poison", [&] { return model->device.poison(offset); });
}

size_t tandem_model_poisoned_pages(const struct tandem_model* model, uint64_t* offsets, size_t room) {
  const auto& pages = model->device.poisoned_pages();
  size_t written = 0;
  for (auto page = pages.begin(); page != pages.end() && written < room; ++page) offsets[written++] = *page;
  return pages.size();
}

void tandem_model_set_atomic_requester(struct tandem_model* model, bool on) {
  guarded("set_atomic_requester", [&] { model->device.set_atomic_requester(on); });
}

void tandem_model_set_ats(struct tandem_model* model, bool ats, uint32_t page_requests) {
  guarded("set_ats", [&] { model->device.set_ats(ats, page_requests); });
}

void tandem_model_set_bus_translation(struct tandem_model* model, bool on) {
  guarded("set_bus_translation", [&] { model->device.set_bus_translation(on); });
}

void tandem_model_ats_answer(struct tandem_model* model, uint64_t id, const struct tandem_ats_answer* answer) {
  guarded("ats_answer", [&] { model->device.ats_answer(id, *answer); });
}

void tandem_model_atc_invalidate(struct tandem_model* model, const struct tandem_atc_invalidation* invalidation) {
  guarded("atc_invalidate", [&] { model->device.atc_invalidate(*invalidation); });
}

bool tandem_model_page_response(struct tandem_model* model, uint32_t pasid, uint32_t group, uint32_t code) {
  return guarded("page_response", [&] { return model->device.page_response(pasid, group, code); });
}

void tandem_model_set_trace(struct tandem_model* model, bool on) { model->device.set_trace(on); }

uint64_t tandem_model_counter(const struct tandem_model* model, enum tandem_counter counter) {
  const auto index = static_cast<uint32_t>(counter);
  return index < TANDEM_COUNTER_COUNT ? model->device.counters().values[index] : 0;
}

const char* tandem_model_counter_name(enum tandem_counter counter) { return tandem::counter_name(counter); }

uint64_t tandem_model_check_counter(const struct tandem_model* model, enum tandem_check_counter counter) {
  const tandem::Checker* checker = model->device.checker();
  return checker && static_cast<uint32_t>(counter) < TANDEM_CHECK_COUNTER_COUNT ? checker->counter(counter) : 0;
}

const char* tandem_model_check_counter_name(enum tandem_check_counter counter) { return tandem::check_counter_name(counter); }

const char* tandem_model_mutation_name(uint32_t mutation) { return tandem::mutation_name(mutation); }

bool tandem_model_describe(const struct tandem_model* model, const char* topic,
                           void (*write)(void* to, const char* text), void* to) {
  return guarded("describe", [&] {
    return model->device.describe(topic, [&](const std::string& text) { write(to, text.c_str()); });
  });
}

bool tandem_model_save(const struct tandem_model* model, void (*write)(void*, const void*, size_t), void* to, char* error,
                       size_t error_bytes) {
  return guarded("save", [&] {
    std::vector<std::byte> bytes;
    const std::string problem = model->device.save(bytes);
    say(error, error_bytes, problem.c_str());
    if (problem.empty()) write(to, bytes.data(), bytes.size());
    return problem.empty();
  });
}

bool tandem_model_load(struct tandem_model* model, const void* bytes, size_t count, char* error, size_t error_bytes) {
  return guarded("load", [&] {
    const std::string problem = model->device.load({static_cast<const std::byte*>(bytes), count});
    say(error, error_bytes, problem.c_str());
    return problem.empty();
  });
}

uint32_t tandem_model_interface(void) { return TANDEM_MODEL_INTERFACE; }

}  // extern "C"
