/*
 * Tandem GPU: the properties of the device: which there are, what the user is
 * told of them, their defaults, and what the words among them mean.  Numbers
 * are the model's to check.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "hw/qdev-properties.h"
#include "tandem-gpu.h"

#define TANDEM_SLICE_TICKS_DEFAULT 4096
#define TANDEM_QUANTUM_NS_DEFAULT 20000

/* Words ------------------------------------------------------------------ */

static const char *const tandem_store_drains[] = {
    [TANDEM_DRAIN_FIFO] = "fifo",
    [TANDEM_DRAIN_RANDOM] = "random",
};

static const char *const tandem_atomics[] = {
    [TANDEM_ATOMICS_PCIE] = "pcie",
    [TANDEM_ATOMICS_EXCLUSIVE] = "exclusive",
    [TANDEM_ATOMICS_VRAM] = "vram",
};

static bool tandem_parse_word(const char *property, const char *word,
                              const char *const *words, uint32_t count,
                              uint32_t *value, Error **errp)
{
    g_autoptr(GString) known = g_string_new(NULL);

    for (uint32_t i = 0; i < count; i++) {
        if (!strcmp(word, words[i])) {
            *value = i;
            return true;
        }
        g_string_append_printf(known, "%s%s", !i ? "" :
                               i + 1 == count ? " or " : ", ", words[i]);
    }
    error_setg(errp, "%s must be %s, not '%s'", property, known->str, word);
    return false;
}

/* The model has the names. */
static bool tandem_parse_mutation(TandemGpu *s, Error **errp)
{
    const char *names[TANDEM_MUTATION_COUNT];

    for (uint32_t i = 0; i < TANDEM_MUTATION_COUNT; i++) {
        names[i] = tandem_model_mutation_name(i);
    }
    return tandem_parse_word("mutate", s->mutation, names,
                             TANDEM_MUTATION_COUNT, &s->config.mutation, errp);
}

static bool tandem_parse_poison(TandemGpu *s, Error **errp)
{
    g_auto(GStrv) words = g_strsplit(s->poison ? : "", ":", -1);

    g_array_set_size(s->poison_at_start, 0);
    for (char **word = words; *word; word++) {
        uint64_t offset;

        if (qemu_strtosz(*word, NULL, &offset) < 0 ||
            offset >= s->config.vram_bytes) {
            error_setg(errp, "poison=%s: '%s' is no offset into the %" PRIu64
                       " bytes of video memory", s->poison, *word,
                       s->config.vram_bytes);
            return false;
        }
        g_array_append_val(s->poison_at_start, offset);
    }
    return true;
}

bool tandem_properties_check(TandemGpu *s, Error **errp)
{
    if (s->config.vram_bar && !s->config.vram_bytes) {
        error_setg(errp, "vram-bar=on needs video memory: set vram");
        return false;
    }
    return tandem_parse_mutation(s, errp) &&
           tandem_parse_word("store-drain", s->store_drain,
                             tandem_store_drains,
                             ARRAY_SIZE(tandem_store_drains),
                             &s->config.store_drain, errp) &&
           tandem_parse_word("atomics", s->atomics, tandem_atomics,
                             ARRAY_SIZE(tandem_atomics), &s->config.atomics,
                             errp) &&
           tandem_parse_poison(s, errp);
}

/* The string properties are freed by qdev. */
void tandem_properties_init(TandemGpu *s)
{
    tandem_model_default_config(&s->config);
    s->store_drain = g_strdup(tandem_store_drains[s->config.store_drain]);
    s->atomics = g_strdup(tandem_atomics[s->config.atomics]);
    s->execution = g_strdup("auto");
    s->mutation = g_strdup(tandem_model_mutation_name(s->config.mutation));
    s->slice_ticks = TANDEM_SLICE_TICKS_DEFAULT;
    s->quantum_ns = TANDEM_QUANTUM_NS_DEFAULT;
    s->poison_at_start = g_array_new(false, false, sizeof(uint64_t));
}

void tandem_properties_finalize(TandemGpu *s)
{
    g_array_unref(s->poison_at_start);
}

/* What there is ---------------------------------------------------------- */

#define TANDEM_PROP(name, field, kind, type) \
    DEFINE_PROP(name, TandemGpu, field, qdev_prop_##kind, type)

/* Defaults: tandem_properties_init(); limits: the model checks them. */
static const Property tandem_gpu_properties[] = {
    TANDEM_PROP("compute-units", config.compute_units, uint32, uint32_t),
    TANDEM_PROP("waves-per-cu", config.waves_per_cu, uint32, uint32_t),
    TANDEM_PROP("lds-bytes", config.lds_bytes, size32, uint32_t),
    TANDEM_PROP("address-spaces", config.address_spaces, uint32, uint32_t),
    TANDEM_PROP("max-queues", config.max_queues, uint32, uint32_t),
    TANDEM_PROP("l1-sets", config.l1_sets, uint32, uint32_t),
    TANDEM_PROP("l1-ways", config.l1_ways, uint32, uint32_t),
    TANDEM_PROP("l2-sets", config.l2_sets, uint32, uint32_t),
    TANDEM_PROP("l2-ways", config.l2_ways, uint32, uint32_t),
    TANDEM_PROP("atc-sets", config.atc_sets, uint32, uint32_t),
    TANDEM_PROP("atc-ways", config.atc_ways, uint32, uint32_t),
    TANDEM_PROP("walkers", config.walkers, uint32, uint32_t),
    TANDEM_PROP("walk-latency", config.walk_latency, uint32, uint32_t),
    TANDEM_PROP("l2-latency", config.l2_latency, uint32, uint32_t),
    TANDEM_PROP("copy-chunk-bytes", config.copy_chunk_bytes, size32, uint32_t),
    TANDEM_PROP("store-queue-depth", config.store_queue_depth, uint32,
                uint32_t),
    TANDEM_PROP("store-drain", store_drain, string, char *),
    TANDEM_PROP("load-reorder", config.load_reorder, bool, bool),
    TANDEM_PROP("time-slice", config.time_slice, uint32, uint32_t),
    TANDEM_PROP("invalidate-latency", config.invalidate_latency, uint32,
                uint32_t),
    TANDEM_PROP("vram", config.vram_bytes, size, uint64_t),
    TANDEM_PROP("fabric", config.fabric, uint32, uint32_t),
    TANDEM_PROP("poison", poison, string, char *),
    TANDEM_PROP("seed", config.seed, uint64, uint64_t),
    TANDEM_PROP("hostile", config.hostile, uint64, uint64_t),
    TANDEM_PROP("atomics", atomics, string, char *),
    TANDEM_PROP("atomic-pause", config.atomic_pause, uint32, uint32_t),
    TANDEM_PROP("vram-bar", config.vram_bar, bool, bool),
    TANDEM_PROP("test-hooks", config.test_hooks, bool, bool),
    TANDEM_PROP("mutate", mutation, string, char *),
    TANDEM_PROP("trace", trace_path, string, char *),
    TANDEM_PROP("check", config.check, bool, bool),
    TANDEM_PROP("check-log", check_log, string, char *),
    TANDEM_PROP("execution", execution, string, char *),
    TANDEM_PROP("slice-ticks", slice_ticks, uint32, uint32_t),
    TANDEM_PROP("quantum-ns", quantum_ns, uint32, uint32_t),
};

/* What "-device tandem-gpu,help" says: only the library knows the defaults. */
static void tandem_gpu_describe(ObjectClass *klass, const char *property,
                                const char *text, uint64_t value)
{
    g_autofree char *description =
        g_strdup_printf("%s (default: %" PRIu64 ")", text, value);

    object_class_property_set_description(klass, property, description);
}

static void tandem_gpu_describe_shape(ObjectClass *klass,
                                      const struct tandem_model_config *c)
{
    tandem_gpu_describe(klass, "compute-units", "compute units",
                        c->compute_units);
    tandem_gpu_describe(klass, "waves-per-cu",
                        "wavefronts resident in one compute unit",
                        c->waves_per_cu);
    tandem_gpu_describe(klass, "lds-bytes",
                        "local memory of one compute unit, a multiple of 1024",
                        c->lds_bytes);
    tandem_gpu_describe(klass, "address-spaces",
                        "PASIDs and doorbell pages, a power of two",
                        c->address_spaces);
    tandem_gpu_describe(klass, "max-queues",
                        "user queues at a time, in all address spaces",
                        c->max_queues);
    tandem_gpu_describe(klass, "copy-chunk-bytes",
                        "bytes the copy engine moves in one tick",
                        c->copy_chunk_bytes);
    tandem_gpu_describe(klass, "store-queue-depth",
                        "stores of a wavefront that may be translated but not "
                        "yet written; 0: none", c->store_queue_depth);
    tandem_gpu_describe(klass, "time-slice",
                        "wavefront instructions of a queue's turn while others "
                        "wait; 0: no slicing", c->time_slice);
    tandem_gpu_describe(klass, "vram",
                        "bytes of video memory, a multiple of 2 MiB",
                        c->vram_bytes);
}

static void tandem_gpu_describe_mmu(ObjectClass *klass,
                                    const struct tandem_model_config *c)
{
    tandem_gpu_describe(klass, "l1-sets",
                        "sets of each compute unit's L1 TLB, a power of two",
                        c->l1_sets);
    tandem_gpu_describe(klass, "l1-ways", "ways of each L1 TLB", c->l1_ways);
    tandem_gpu_describe(klass, "l2-sets",
                        "sets of the shared L2 TLB, a power of two",
                        c->l2_sets);
    tandem_gpu_describe(klass, "l2-ways", "ways of the L2 TLB", c->l2_ways);
    tandem_gpu_describe(klass, "atc-sets",
                        "sets of the cache of what the IOMMU said, a power of "
                        "two", c->atc_sets);
    tandem_gpu_describe(klass, "atc-ways", "ways of that cache", c->atc_ways);
    tandem_gpu_describe(klass, "l2-latency", "ticks of an L2 TLB lookup",
                        c->l2_latency);
    tandem_gpu_describe(klass, "walkers", "page walks at a time", c->walkers);
    tandem_gpu_describe(klass, "walk-latency",
                        "ticks for each page table level of a walk",
                        c->walk_latency);
    tandem_gpu_describe(klass, "invalidate-latency",
                        "ticks from fetching an invalidation to its "
                        "acknowledgement", c->invalidate_latency);
}

static void tandem_gpu_describe_rest(ObjectClass *klass,
                                     const struct tandem_model_config *c)
{
    tandem_gpu_describe(klass, "seed",
                        "for every choice that the hardware leaves open",
                        c->seed);
    tandem_gpu_describe(klass, "hostile",
                        "seed by which whatever has no fixed moment or order "
                        "is late, early or in another one; 0: nothing is",
                        c->hostile);
    tandem_gpu_describe(klass, "atomic-pause",
                        "ticks between load and store of an atomic that is "
                        "not atomic against the CPUs", c->atomic_pause);
    tandem_gpu_describe(klass, "load-reorder",
                        "loads of a wavefront may be done late, as far as "
                        "the memory model permits", c->load_reorder);
    tandem_gpu_describe(klass, "vram-bar",
                        "video memory can be reached through BAR 4",
                        c->vram_bar);
    tandem_gpu_describe(klass, "test-hooks", "the test registers work",
                        c->test_hooks);
    tandem_gpu_describe(klass, "slice-ticks",
                        "ticks (about one wavefront instruction each) that "
                        "the model runs at a time", TANDEM_SLICE_TICKS_DEFAULT);
    tandem_gpu_describe(klass, "quantum-ns",
                        "execution=deterministic: virtual time that one slice "
                        "takes", TANDEM_QUANTUM_NS_DEFAULT);
    object_class_property_set_description(klass, "store-drain",
        "order in which queued stores become visible: fifo or random "
        "(default: fifo)");
    object_class_property_set_description(klass, "atomics",
        "on system memory: pcie (atomic against the CPUs), exclusive (only "
        "while no CPU can reach the page), vram (the driver is told not to "
        "try) (default: pcie)");
    object_class_property_set_description(klass, "fabric",
        "number on the link between GPUs, 0 to 15, each GPU its own "
        "(default: not on the link)");
    object_class_property_set_description(klass, "poison",
        "offsets of poisoned pages of video memory, joined by ':' "
        "(default: none)");
    object_class_property_set_description(klass, "trace",
        "file for the trace of every fill, fault and invalidation "
        "(default: none)");
    object_class_property_set_description(klass, "check",
        "hold every access against the hardware's contract and report what "
        "breaks it (default: off)");
    object_class_property_set_description(klass, "check-log",
        "file to which those reports are appended (default: standard error)");
    object_class_property_set_description(klass, "mutate",
        "rule of the hardware to break, to see that the checker tells; needs "
        "test-hooks=on (default: none)");
    object_class_property_set_description(klass, "execution",
        "auto, parallel (a thread of its own) or deterministic (in virtual "
        "time; repeatable under -icount) (default: auto, which is "
        "deterministic under -icount)");
}

void tandem_properties_class_init(ObjectClass *klass)
{
    struct tandem_model_config defaults;

    device_class_set_props(DEVICE_CLASS(klass), tandem_gpu_properties);
    tandem_model_default_config(&defaults);
    tandem_gpu_describe_shape(klass, &defaults);
    tandem_gpu_describe_mmu(klass, &defaults);
    tandem_gpu_describe_rest(klass, &defaults);
}
