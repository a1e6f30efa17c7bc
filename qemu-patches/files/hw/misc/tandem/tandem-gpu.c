/*
 * Tandem GPU: the device as QEMU and the PCI Express bus see it: properties,
 * configuration space, BARs, reset, and its life from realize to unplug.
 *
 * Register and doorbell accesses go to the model as they are, under the device
 * lock: what is an error there is the model's business.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie.h"
#include "hw/qdev-properties.h"
#include "migration/blocker.h"
#include "system/system.h"
#include "tandem-gpu.h"

#define TANDEM_PCIE_CAP 0x80
#define TANDEM_SLICE_TICKS_DEFAULT 4096
#define TANDEM_QUANTUM_NS_DEFAULT 20000

/* Host operations that belong to no other file ---------------------------- */

const char *tandem_gpu_name(TandemGpu *s)
{
    return DEVICE(s)->id ? : TYPE_TANDEM_GPU;
}

static void tandem_guest_error(void *opaque, const char *text)
{
    qemu_log_mask(LOG_GUEST_ERROR, "%s: %s\n", tandem_gpu_name(opaque), text);
}

static const struct tandem_host_ops tandem_ops = {
    .size = sizeof(struct tandem_host_ops),
    .dma_read = tandem_dma_read,
    .dma_write = tandem_dma_write,
    .map = tandem_dma_map,
    .stored = tandem_dma_stored,
    .vram_stored = tandem_dma_vram_stored,
    .map_peer = tandem_fabric_map,
    .peer_stored = tandem_fabric_stored,
    .poison_changed = tandem_fabric_poison_changed,
    .interrupt = tandem_exec_interrupt,
    .now = tandem_exec_now,
    .should_yield = tandem_exec_should_yield,
    .trace = tandem_trace_record,
    .guest_error = tandem_guest_error,
};

/* Registers and doorbells ------------------------------------------------ */

/*
 * A vCPU may still be on its way in here after unplug: see
 * tandem_gpu_drop_model().
 */
static uint64_t tandem_mmio_read(TandemGpu *s, int bar, hwaddr addr,
                                 unsigned size)
{
    uint64_t value = ~0ULL;

    tandem_enter(s);
    if (s->model) {
        value = tandem_model_mmio_read(s->model, bar, addr, size);
    }
    tandem_leave(s);
    return value;
}

static void tandem_mmio_write(TandemGpu *s, int bar, hwaddr addr,
                              uint64_t value, unsigned size)
{
    tandem_enter(s);
    if (s->model) {
        tandem_model_mmio_write(s->model, bar, addr, value, size);
        tandem_kick(s);
    }
    tandem_leave(s);
}

static uint64_t tandem_regs_read(void *opaque, hwaddr addr, unsigned size)
{
    return tandem_mmio_read(opaque, TANDEM_BAR_REGS, addr, size);
}

static void tandem_regs_write(void *opaque, hwaddr addr, uint64_t value,
                              unsigned size)
{
    tandem_mmio_write(opaque, TANDEM_BAR_REGS, addr, value, size);
}

static uint64_t tandem_doorbell_read(void *opaque, hwaddr addr, unsigned size)
{
    return tandem_mmio_read(opaque, TANDEM_BAR_DOORBELLS, addr, size);
}

static void tandem_doorbell_write(void *opaque, hwaddr addr, uint64_t value,
                                  unsigned size)
{
    tandem_mmio_write(opaque, TANDEM_BAR_DOORBELLS, addr, value, size);
}

/* Every size and alignment reaches the model: it knows which are mistakes. */
#define TANDEM_ANY_ACCESS {     \
        .min_access_size = 1,   \
        .max_access_size = 8,   \
        .unaligned = true,      \
    }

static const MemoryRegionOps tandem_regs_ops = {
    .read = tandem_regs_read,
    .write = tandem_regs_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = TANDEM_ANY_ACCESS,
    .impl = TANDEM_ANY_ACCESS,
};

static const MemoryRegionOps tandem_doorbell_ops = {
    .read = tandem_doorbell_read,
    .write = tandem_doorbell_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = TANDEM_ANY_ACCESS,
    .impl = TANDEM_ANY_ACCESS,
};

/* Poison ----------------------------------------------------------------- */

bool tandem_gpu_poison(TandemGpu *s, uint64_t offset, Error **errp)
{
    bool known = false;

    tandem_enter(s);
    if (s->model) {
        known = tandem_model_poison(s->model, offset);
        tandem_kick(s);
    }
    tandem_leave(s);
    if (!known) {
        error_setg(errp, "%s has no video memory at offset 0x%" PRIx64,
                   tandem_gpu_name(s), offset);
    }
    return known;
}

/* AtomicOps -------------------------------------------------------------- */

#define TANDEM_ATOMIC_OPS (PCI_EXP_DEVCAP2_ATOMIC_COMP32 | \
                           PCI_EXP_DEVCAP2_ATOMIC_COMP64)

/* After whatever may have changed the enable bit. */
static void tandem_gpu_update_atomic_ops(TandemGpu *s)
{
    bool on = pcie_cap_can_send_atomic_ops(PCI_DEVICE(s), TANDEM_ATOMIC_OPS);

    tandem_enter(s);
    if (s->model) {
        tandem_model_set_atomic_requester(s->model, on);
    }
    tandem_leave(s);
}

/* Reset ------------------------------------------------------------------ */

/* What is broken from the start is so after each power-on.  Device lock. */
static void tandem_gpu_poison_at_start(TandemGpu *s)
{
    for (unsigned i = 0; i < s->poison_at_start->len; i++) {
        tandem_model_poison(s->model,
                            g_array_index(s->poison_at_start, uint64_t, i));
    }
}

/*
 * Machine reset, bus reset, secondary bus reset of the port above and function
 * level reset all end here.  MSI-X state is the PCI core's.
 */
static void tandem_gpu_reset_hold(Object *obj, ResetType type)
{
    TandemGpu *s = TANDEM_GPU(obj);

    pcie_cap_atomic_req_reset(PCI_DEVICE(s));
    tandem_gpu_update_atomic_ops(s);
    tandem_enter(s);
    if (s->model) {
        tandem_model_reset(s->model, TANDEM_RESET_POWER);
        tandem_gpu_poison_at_start(s);
        tandem_exec_drop_interrupts(s);
        tandem_kick(s);
    }
    tandem_leave(s);
}

static void tandem_gpu_write_config(PCIDevice *pdev, uint32_t addr,
                                    uint32_t value, int len)
{
    pci_default_write_config(pdev, addr, value, len);
    pcie_cap_flr_write_config(pdev, addr, value, len);
    tandem_gpu_update_atomic_ops(TANDEM_GPU(pdev));
}

/* Realize and unrealize, step by step ------------------------------------- */

static bool tandem_gpu_parse_store_drain(TandemGpu *s, Error **errp)
{
    if (!strcmp(s->store_drain, "fifo")) {
        s->config.store_drain = TANDEM_DRAIN_FIFO;
    } else if (!strcmp(s->store_drain, "random")) {
        s->config.store_drain = TANDEM_DRAIN_RANDOM;
    } else {
        error_setg(errp, "store-drain must be fifo or random, not '%s'",
                   s->store_drain);
        return false;
    }
    return true;
}

static bool tandem_gpu_parse_atomics(TandemGpu *s, Error **errp)
{
    if (!strcmp(s->atomics, "pcie")) {
        s->config.atomics = TANDEM_ATOMICS_PCIE;
    } else if (!strcmp(s->atomics, "exclusive")) {
        s->config.atomics = TANDEM_ATOMICS_EXCLUSIVE;
    } else if (!strcmp(s->atomics, "vram")) {
        s->config.atomics = TANDEM_ATOMICS_VRAM;
    } else {
        error_setg(errp, "atomics must be pcie, exclusive or vram, not '%s'",
                   s->atomics);
        return false;
    }
    return true;
}

static bool tandem_gpu_parse_poison(TandemGpu *s, Error **errp)
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

static bool tandem_gpu_check(TandemGpu *s, Error **errp)
{
    if (tandem_model_interface() != TANDEM_MODEL_INTERFACE) {
        error_setg(errp, "this QEMU was built for interface %u of the Tandem "
                   "model library, but the library it found has interface %u",
                   TANDEM_MODEL_INTERFACE, tandem_model_interface());
        return false;
    }
    if (!pci_bus_is_express(pci_get_bus(PCI_DEVICE(s)))) {
        error_setg(errp, "tandem-gpu needs a PCI Express bus: put it behind a "
                   "pcie-root-port of a q35 machine");
        return false;
    }
    if (s->config.vram_bar && !s->config.vram_bytes) {
        error_setg(errp, "vram-bar=on needs video memory: set vram");
        return false;
    }
    return tandem_gpu_parse_store_drain(s, errp) &&
           tandem_gpu_parse_atomics(s, errp) &&
           tandem_gpu_parse_poison(s, errp) &&
           tandem_fabric_check(s, errp) &&
           tandem_exec_configure(s, errp);
}

static bool tandem_gpu_create_model(TandemGpu *s, Error **errp)
{
    char text[256];
    struct tandem_model *model;
    void *vram = NULL;

    if (s->config.vram_bytes) {
        if (!memory_region_init_ram(&s->vram, OBJECT(s), "tandem-vram",
                                    s->config.vram_bytes, errp)) {
            return false;
        }
        vram = memory_region_get_ram_ptr(&s->vram);
    }
    model = tandem_model_create(&s->config, &tandem_ops, s, vram, text,
                                sizeof(text));
    if (!model) {
        error_setg(errp, "%s", text);
        return false;
    }
    tandem_enter(s);
    s->model = model;
    tandem_leave(s);
    return true;
}

/*
 * Registers and doorbells need no BQL in parallel mode: the handlers touch
 * nothing but the model, which the device lock guards; what they may set off
 * (DMA to RAM, a bottom half, trace and log lines) needs none either.  In
 * deterministic mode interrupts are raised before the handler returns: that
 * does need it.
 */
static void tandem_gpu_init_io(TandemGpu *s, MemoryRegion *mr,
                               const MemoryRegionOps *ops, const char *name,
                               uint64_t size)
{
    memory_region_init_io(mr, OBJECT(s), ops, s, name, size);
    if (s->exec.mode == TANDEM_EXECUTION_PARALLEL) {
        memory_region_enable_lockless_io(mr);
    }
}

static void tandem_gpu_init_vram_bar(TandemGpu *s)
{
    uint64_t size = pow2ceil(s->config.vram_bytes);

    memory_region_init(&s->vram_bar, OBJECT(s), "tandem-vram-bar", size);
    memory_region_add_subregion(&s->vram_bar, 0, &s->vram);
    pci_register_bar(PCI_DEVICE(s), TANDEM_BAR_VRAM,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64 |
                     PCI_BASE_ADDRESS_MEM_PREFETCH, &s->vram_bar);
}

static void tandem_gpu_init_bars(TandemGpu *s)
{
    uint8_t type = PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_TYPE_64;

    memory_region_init(&s->regs_bar, OBJECT(s), "tandem-bar0",
                       TANDEM_BAR_REGS_SIZE);
    tandem_gpu_init_io(s, &s->regs, &tandem_regs_ops, "tandem-registers",
                       TANDEM_REGS_SIZE);
    memory_region_add_subregion(&s->regs_bar, 0, &s->regs);
    pci_register_bar(PCI_DEVICE(s), TANDEM_BAR_REGS, type, &s->regs_bar);

    tandem_gpu_init_io(s, &s->doorbells, &tandem_doorbell_ops,
                       "tandem-doorbells", (uint64_t)s->config.address_spaces *
                       TANDEM_DOORBELL_PAGE_SIZE);
    pci_register_bar(PCI_DEVICE(s), TANDEM_BAR_DOORBELLS, type, &s->doorbells);

    if (s->config.vram_bar) {
        tandem_gpu_init_vram_bar(s);
    }
}

static bool tandem_gpu_init_capabilities(TandemGpu *s, Error **errp)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    if (msix_init(pdev, TANDEM_VECTOR_COUNT, &s->regs_bar, TANDEM_BAR_REGS,
                  TANDEM_MSIX_TABLE, &s->regs_bar, TANDEM_BAR_REGS,
                  TANDEM_MSIX_PBA, 0, errp) < 0) {
        return false;
    }
    for (unsigned i = 0; i < TANDEM_VECTOR_COUNT; i++) {
        msix_vector_use(pdev, i);
    }
    if (pcie_endpoint_cap_init(pdev, TANDEM_PCIE_CAP) < 0) {
        error_setg(errp, "cannot add the PCI Express capability");
        msix_uninit(pdev, &s->regs_bar, &s->regs_bar);
        return false;
    }
    pcie_cap_flr_init(pdev);
    pcie_cap_deverr_init(pdev);
    if (s->config.atomics == TANDEM_ATOMICS_PCIE) {
        pcie_cap_atomic_req_init(pdev);
    }
    return true;
}

static bool tandem_gpu_block_migration(TandemGpu *s, Error **errp)
{
    error_setg(&s->migration_blocker, "%s: the state of the Tandem hardware "
               "model cannot be saved yet", tandem_gpu_name(s));
    return migrate_add_blocker(&s->migration_blocker, errp) == 0;
}

/* Visitors that come from now on find no device. */
static void tandem_gpu_drop_model(TandemGpu *s)
{
    struct tandem_model *model;

    tandem_enter(s);
    model = g_steal_pointer(&s->model);
    tandem_leave(s);
    if (model) {
        tandem_model_destroy(model);
    }
}

/* At exit, too: the trace must be whole and the thread gone by then. */
static void tandem_gpu_quiesce(TandemGpu *s)
{
    tandem_exec_stop(s);
    tandem_trace_close(s);
}

static void tandem_gpu_at_exit(Notifier *notifier, void *data)
{
    tandem_gpu_quiesce(container_of(notifier, TandemGpu, exit_notifier));
}

static void tandem_gpu_realize(PCIDevice *pdev, Error **errp)
{
    TandemGpu *s = TANDEM_GPU(pdev);

    if (!tandem_gpu_check(s, errp) || !tandem_gpu_create_model(s, errp)) {
        goto no_model;
    }
    tandem_gpu_init_bars(s);
    if (!tandem_gpu_init_capabilities(s, errp)) {
        goto no_capabilities;
    }
    if (!tandem_gpu_block_migration(s, errp)) {
        goto no_blocker;
    }
    if (!tandem_trace_open(s, errp)) {
        goto no_trace;
    }
    tandem_dma_start(s);
    tandem_gpu_update_atomic_ops(s);
    tandem_enter(s);
    tandem_trace_refresh(s); /* before the first reset, to have it on record */
    tandem_leave(s);
    tandem_exec_start(s);
    s->exit_notifier.notify = tandem_gpu_at_exit;
    qemu_add_exit_notifier(&s->exit_notifier);
    tandem_fabric_join(s);
    return;

no_trace:
    migrate_del_blocker(&s->migration_blocker);
no_blocker:
    pcie_cap_exit(pdev);
    msix_uninit(pdev, &s->regs_bar, &s->regs_bar);
no_capabilities:
    tandem_gpu_drop_model(s);
no_model:
    return;
}

static void tandem_gpu_exit(PCIDevice *pdev)
{
    TandemGpu *s = TANDEM_GPU(pdev);

    qemu_remove_exit_notifier(&s->exit_notifier);
    tandem_gpu_quiesce(s);
    tandem_fabric_leave(s);
    tandem_dma_stop(s);
    tandem_gpu_drop_model(s);
    tandem_exec_release(s);
    tandem_fabric_release(s);
    tandem_trace_free(s);
    migrate_del_blocker(&s->migration_blocker);
    pcie_cap_exit(pdev);
    msix_uninit(pdev, &s->regs_bar, &s->regs_bar);
}

/* Properties ------------------------------------------------------------- */

#define TANDEM_PROP(name, field, kind, type) \
    DEFINE_PROP(name, TandemGpu, field, qdev_prop_##kind, type)

/* Defaults: tandem_gpu_instance_init(); limits: the model checks them. */
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
    TANDEM_PROP("atomics", atomics, string, char *),
    TANDEM_PROP("atomic-pause", config.atomic_pause, uint32, uint32_t),
    TANDEM_PROP("vram-bar", config.vram_bar, bool, bool),
    TANDEM_PROP("test-hooks", config.test_hooks, bool, bool),
    TANDEM_PROP("trace", trace_path, string, char *),
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
    object_class_property_set_description(klass, "execution",
        "auto, parallel (a thread of its own) or deterministic (in virtual "
        "time; repeatable under -icount) (default: auto, which is "
        "deterministic under -icount)");
}

static void tandem_gpu_instance_init(Object *obj)
{
    TandemGpu *s = TANDEM_GPU(obj);

    tandem_model_default_config(&s->config);
    s->store_drain =
        g_strdup(s->config.store_drain == TANDEM_DRAIN_RANDOM ? "random"
                                                              : "fifo");
    s->atomics = g_strdup("pcie");
    s->execution = g_strdup("auto");
    s->slice_ticks = TANDEM_SLICE_TICKS_DEFAULT;
    s->quantum_ns = TANDEM_QUANTUM_NS_DEFAULT;
    s->poison_at_start = g_array_new(false, false, sizeof(uint64_t));
    s->trace.fd = -1;
    s->trace.file_on = true;
    qemu_mutex_init(&s->trace.write_lock);
    tandem_exec_init(s);
}

/* The string properties are freed by qdev. */
static void tandem_gpu_instance_finalize(Object *obj)
{
    TandemGpu *s = TANDEM_GPU(obj);

    tandem_exec_finalize(s);
    g_array_unref(s->poison_at_start);
    qemu_mutex_destroy(&s->trace.write_lock);
}

static void tandem_gpu_class_init(ObjectClass *klass, const void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);
    struct tandem_model_config defaults;

    pc->realize = tandem_gpu_realize;
    pc->exit = tandem_gpu_exit;
    pc->config_write = tandem_gpu_write_config;
    pc->vendor_id = TANDEM_PCI_VENDOR_ID;
    pc->device_id = TANDEM_PCI_DEVICE_ID;
    pc->revision = TANDEM_PCI_REVISION;
    pc->class_id = TANDEM_PCI_CLASS >> 8;
    rc->phases.hold = tandem_gpu_reset_hold;
    dc->desc = "Tandem GPU: a GPU that shares virtual memory with the CPUs";
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    device_class_set_props(dc, tandem_gpu_properties);

    tandem_model_default_config(&defaults);
    tandem_gpu_describe_shape(klass, &defaults);
    tandem_gpu_describe_mmu(klass, &defaults);
    tandem_gpu_describe_rest(klass, &defaults);
    tandem_monitor_class_init(klass);
}

static const TypeInfo tandem_gpu_types[] = {
    {
        .name = TYPE_TANDEM_GPU,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(TandemGpu),
        .instance_init = tandem_gpu_instance_init,
        .instance_finalize = tandem_gpu_instance_finalize,
        .class_init = tandem_gpu_class_init,
        .interfaces = (const InterfaceInfo[]) {
            { INTERFACE_PCIE_DEVICE },
            { },
        },
    },
};

DEFINE_TYPES(tandem_gpu_types)
