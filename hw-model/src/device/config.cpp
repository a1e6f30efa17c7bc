// SPDX-License-Identifier: GPL-2.0-or-later
// The shape of the hardware: defaults and limits. Property names are those of the QEMU device.
#include "device/config.h"

#include <bit>
#include <iterator>

#include "base/text.h"

namespace tandem {

tandem_model_config default_config() {
  tandem_model_config config{};
  config.compute_units = 4;
  config.waves_per_cu = 32;  // one workgroup of TANDEM_WORKGROUP_MAX fits
  config.lds_bytes = 64 << 10;
  config.address_spaces = 256;
  config.max_queues = 256;
  config.l1_sets = 32;  // a working set of 64 pages, and code, stacks and arguments on top of it
  config.l1_ways = 4;
  config.l2_sets = 256;
  config.l2_ways = 8;
  config.walkers = 8;
  config.walk_latency = 2;
  config.l2_latency = 0;
  config.copy_chunk_bytes = 64 << 10;
  config.store_queue_depth = 0;
  config.store_drain = TANDEM_DRAIN_FIFO;
  config.load_reorder = false;
  config.time_slice = 20000;
  config.atc_sets = 512;
  config.atc_ways = 8;
  config.invalidate_latency = 0;
  config.vram_bytes = 256ULL << 20;
  config.fabric = TANDEM_FABRIC_NONE;
  config.seed = 1;
  config.hostile = 0;
  config.atomics = TANDEM_ATOMICS_PCIE;
  config.atomic_pause = 0;
  return config;
}

namespace {

constexpr const char* kMutations[] = {
    "none",        "ack-before-drain", "walk-not-restarted", "l2-kept",   "range-short", "wrong-space",  "read-only-kept", "store-passes-ack",
    "copy-keeps-address", "atomic-split", "atc-refill",       "atc-kept",  "late-fault",  "copy-dropped", "space-kept",     "replay-lost",
    "code-kept",
};
static_assert(std::size(kMutations) == TANDEM_MUTATION_COUNT, "each mutation has a name");

struct Limit {
  const char* property;
  uint64_t value, least, most;
};

struct Power {
  const char* property;
  uint64_t value;
};

}  // namespace

const char* mutation_name(uint32_t mutation) { return mutation < TANDEM_MUTATION_COUNT ? kMutations[mutation] : nullptr; }

std::string check_config(const tandem_model_config& config) {
  const Limit limits[] = {
      {"compute-units", config.compute_units, 1, 64},
      {"waves-per-cu", config.waves_per_cu, 1, 64},
      {"lds-bytes", config.lds_bytes, 0, TANDEM_LDS_WINDOW},
      {"address-spaces", config.address_spaces, 2, 65536},
      {"max-queues", config.max_queues, 1, 4096},
      {"l1-sets", config.l1_sets, 1, 65536},
      {"l1-ways", config.l1_ways, 1, 64},
      {"l2-sets", config.l2_sets, 1, 65536},
      {"l2-ways", config.l2_ways, 1, 64},
      {"atc-sets", config.atc_sets, 1, 65536},
      {"atc-ways", config.atc_ways, 1, 64},
      {"walkers", config.walkers, 1, 64},
      {"walk-latency", config.walk_latency, 0, 1u << 20},
      {"l2-latency", config.l2_latency, 0, 1u << 20},
      {"copy-chunk-bytes", config.copy_chunk_bytes, 64, 1u << 20},
      {"store-queue-depth", config.store_queue_depth, 0, 1024},
      {"store-drain", config.store_drain, TANDEM_DRAIN_FIFO, TANDEM_DRAIN_RANDOM},
      {"invalidate-latency", config.invalidate_latency, 0, 1u << 30},
      {"atomics", config.atomics, TANDEM_ATOMICS_PCIE, TANDEM_ATOMICS_VRAM},
      {"atomic-pause", config.atomic_pause, 0, 1u << 20},
      {"vram-bytes", config.vram_bytes, 0, 1ULL << 40},
      {"mutate", config.mutation, 0, TANDEM_MUTATION_COUNT - 1},
  };
  for (const Limit& limit : limits)
    if (limit.value < limit.least || limit.value > limit.most)
      return format("%s=%llu is out of range: it must be %llu to %llu", limit.property,
                    static_cast<unsigned long long>(limit.value), static_cast<unsigned long long>(limit.least),
                    static_cast<unsigned long long>(limit.most));

  const Power powers[] = {
      {"address-spaces", config.address_spaces}, {"l1-sets", config.l1_sets}, {"l2-sets", config.l2_sets},
      {"atc-sets", config.atc_sets}};
  for (const Power& power : powers)
    if (!std::has_single_bit(power.value))
      return format("%s=%llu must be a power of two", power.property, static_cast<unsigned long long>(power.value));

  if (config.fabric != TANDEM_FABRIC_NONE && config.fabric >= TANDEM_FABRIC_LIMIT)
    return format("fabric=%u is out of range: it must be 0 to %u", config.fabric, TANDEM_FABRIC_LIMIT - 1);
  if (config.mutation && !config.test_hooks)
    return format("mutate=%s breaks the hardware on purpose: it needs test-hooks=on", mutation_name(config.mutation));
  if (config.lds_bytes % 1024) return format("lds-bytes=%u must be a multiple of 1024", config.lds_bytes);
  if (config.vram_bytes % (2u << 20))
    return format("vram-bytes=%llu must be a multiple of 2097152 (2 MiB)",
                  static_cast<unsigned long long>(config.vram_bytes));
  return {};
}

}  // namespace tandem
