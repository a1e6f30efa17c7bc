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
#include "qemu/log.h"
#include "qemu/module.h"
#include "qemu/range.h"
#include "qemu/units.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie.h"
#include "system/system.h"
#include "tandem-gpu.h"

#define TANDEM_PCIE_CAP 0x80

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
    .ats_request = tandem_ats_request,
    .page_request = tandem_ats_page_request,
    .interrupt = tandem_exec_interrupt,
    .now = tandem_exec_now,
    .should_yield = tandem_exec_should_yield,
    .trace = tandem_trace_record,
    .check_report = tandem_check_report,
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

/* Saved state ------------------------------------------------------------ */

/* What the model was told of the bus follows the configuration space. */
void tandem_gpu_loaded(TandemGpu *s)
{
    tandem_gpu_update_atomic_ops(s);
    tandem_ats_update(s);
    tandem_exec_loaded(s);
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
    tandem_ats_reset(s);
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
    /* Only then: it stops the GPU, and MSI-X masks come this way, too. */
    if (ranges_overlap(addr, len, pdev->exp.exp_cap + PCI_EXP_DEVCTL2, 2)) {
        tandem_gpu_update_atomic_ops(TANDEM_GPU(pdev));
    }
    tandem_ats_config_written(TANDEM_GPU(pdev), addr, len);
}

/* Realize and unrealize, step by step ------------------------------------- */

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
    return tandem_properties_check(s, errp) &&
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
    tandem_ats_init_capabilities(s);
    return true;
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
    tandem_enter(s);
    tandem_check_close(s);
    tandem_leave(s);
}

static void tandem_gpu_at_exit(Notifier *notifier, void *data)
{
    tandem_gpu_quiesce(container_of(notifier, TandemGpu, exit_notifier));
}

static void tandem_gpu_realize(PCIDevice *pdev, Error **errp)
{
    TandemGpu *s = TANDEM_GPU(pdev);

    if (!tandem_gpu_check(s, errp) || !tandem_check_open(s, errp)) {
        return;
    }
    if (!tandem_gpu_create_model(s, errp)) {
        goto no_model;
    }
    tandem_gpu_init_bars(s);
    if (!tandem_gpu_init_capabilities(s, errp)) {
        goto no_capabilities;
    }
    if (!tandem_trace_open(s, errp)) {
        goto no_trace;
    }
    tandem_dma_start(s);
    tandem_ats_start(s);
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
    pcie_cap_exit(pdev);
    msix_uninit(pdev, &s->regs_bar, &s->regs_bar);
no_capabilities:
    tandem_gpu_drop_model(s);
no_model:
    tandem_check_close(s);
}

static void tandem_gpu_exit(PCIDevice *pdev)
{
    TandemGpu *s = TANDEM_GPU(pdev);

    qemu_remove_exit_notifier(&s->exit_notifier);
    tandem_gpu_quiesce(s);
    tandem_fabric_leave(s);
    tandem_dma_stop(s);
    tandem_ats_stop(s);
    tandem_gpu_drop_model(s);
    tandem_exec_release(s);
    tandem_fabric_release(s);
    tandem_trace_free(s);
    g_clear_pointer(&s->saved, g_free);
    pcie_cap_exit(pdev);
    msix_uninit(pdev, &s->regs_bar, &s->regs_bar);
}

/* The type --------------------------------------------------------------- */

static void tandem_gpu_instance_init(Object *obj)
{
    TandemGpu *s = TANDEM_GPU(obj);

    tandem_properties_init(s);
    s->trace.fd = -1;
    s->check_fd = -1;
    s->trace.file_on = true;
    qemu_mutex_init(&s->trace.write_lock);
    tandem_exec_init(s);
}

static void tandem_gpu_instance_finalize(Object *obj)
{
    TandemGpu *s = TANDEM_GPU(obj);

    tandem_exec_finalize(s);
    tandem_properties_finalize(s);
    qemu_mutex_destroy(&s->trace.write_lock);
}

static void tandem_gpu_class_init(ObjectClass *klass, const void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    pc->realize = tandem_gpu_realize;
    pc->exit = tandem_gpu_exit;
    pc->config_write = tandem_gpu_write_config;
    pc->vendor_id = TANDEM_PCI_VENDOR_ID;
    pc->device_id = TANDEM_PCI_DEVICE_ID;
    pc->revision = TANDEM_PCI_REVISION;
    pc->class_id = TANDEM_PCI_CLASS >> 8;
    rc->phases.hold = tandem_gpu_reset_hold;
    dc->vmsd = &tandem_gpu_vmstate;
    dc->desc = "Tandem GPU: a GPU that shares virtual memory with the CPUs";
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    tandem_properties_class_init(klass);
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
