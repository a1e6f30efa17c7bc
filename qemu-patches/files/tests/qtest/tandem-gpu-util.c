/*
 * Tandem GPU tests: bringing the device up, commands, what a reset leaves.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "tandem-gpu-util.h"
#include "libqos/malloc-pc.h"
#include "libqos/pci-pc.h"
#include "hw/pci/pci_regs.h"

/* Registers and memory --------------------------------------------------- */

uint32_t gpu_read32(Gpu *g, uint64_t offset)
{
    return qpci_io_readl(g->dev, g->regs, offset);
}

uint64_t gpu_read64(Gpu *g, uint64_t offset)
{
    return qpci_io_readq(g->dev, g->regs, offset);
}

void gpu_write32(Gpu *g, uint64_t offset, uint32_t value)
{
    qpci_io_writel(g->dev, g->regs, offset, value);
}

void gpu_write64(Gpu *g, uint64_t offset, uint64_t value)
{
    qpci_io_writeq(g->dev, g->regs, offset, value);
}

uint64_t gpu_page(Gpu *g, uint64_t bytes)
{
    uint64_t address = guest_alloc(&g->alloc, bytes);

    g_assert_cmphex(address % TANDEM_PAGE_BYTES, ==, 0);
    qtest_memset(g->qts, address, 0, bytes);
    return address;
}

struct tandem_status_page gpu_status(Gpu *g)
{
    struct tandem_status_page status;

    qtest_memread(g->qts, g->status, &status, sizeof(status));
    return status;
}

/* Lets the device work for a moment. */
void gpu_pass_time(Gpu *g)
{
    if (g->deterministic) {
        qtest_clock_step(g->qts, 100 * 1000);
    } else {
        g_usleep(200);
    }
}

/* Bringing it up --------------------------------------------------------- */

#define GPU_DEVFN QPCI_DEVFN(1 << 5, 0) /* bus 1, device 0 */

/* What firmware does: bus numbers and windows of the root port. */
static void gpu_open_port(Gpu *g)
{
    qpci_secondary_buses_init(g->bus);
    g_assert_cmpint(qpci_config_readb(g->port, PCI_SECONDARY_BUS), ==, 1);
    qpci_config_writew(g->port, PCI_MEMORY_BASE, 0xe000);
    qpci_config_writew(g->port, PCI_MEMORY_LIMIT, 0xefff);
    qpci_device_enable(g->port);
}

void gpu_boot_behind(Gpu *g, const char *port_options, const char *options)
{
    *g = (Gpu) { .deterministic = strstr(options, "deterministic") };
    g->qts = qtest_initf("-M q35 -m 256M -nodefaults "
                         "-device pcie-root-port,id=rp0,chassis=1,slot=1,"
                         "bus=pcie.0,addr=4%s "
                         "-device tandem-gpu,id=gpu0,bus=rp0,vram=16M,"
                         "compute-units=2,address-spaces=64%s", port_options,
                         options);
    pc_alloc_init(&g->alloc, g->qts, ALLOC_NO_FLAGS);
    g->bus = qpci_new_pc(g->qts, &g->alloc);
    g->port = qpci_device_find(g->bus, QPCI_DEVFN(4, 0));
    g_assert_nonnull(g->port);
    gpu_open_port(g);
    g->dev = qpci_device_find(g->bus, GPU_DEVFN);
    g_assert_nonnull(g->dev);
}

void gpu_boot(Gpu *g, const char *options)
{
    gpu_boot_behind(g, ",x-atomic-completer=on", options);
}

void gpu_map(Gpu *g)
{
    qpci_msix_enable(g->dev);
    g->regs = g->dev->msix_table_bar;
    g->doorbells = qpci_iomap(g->dev, TANDEM_BAR_DOORBELLS, NULL);
    qpci_device_enable(g->dev);
}

static void gpu_write_ring(Gpu *g, uint64_t base_register, uint64_t base)
{
    gpu_write64(g, base_register, base);
    gpu_write32(g, base_register + (TANDEM_REG_COMMAND_ORDER -
                                    TANDEM_REG_COMMAND_BASE), RING_ORDER);
}

static void gpu_steer_interrupts(Gpu *g)
{
    for (unsigned i = 0; i < TANDEM_VECTOR_COUNT; i++) {
        uint64_t entry = g->dev->msix_table_off + i * PCI_MSIX_ENTRY_SIZE;

        gpu_write32(g, entry + PCI_MSIX_ENTRY_LOWER_ADDR, g->msi + i * 4);
        gpu_write32(g, entry + PCI_MSIX_ENTRY_UPPER_ADDR, 0);
        gpu_write32(g, entry + PCI_MSIX_ENTRY_DATA, MSI_DATA | i);
        gpu_write32(g, entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 0);
    }
    gpu_write32(g, TANDEM_REG_INTERRUPT_ENABLE, ALL_VECTORS);
}

void gpu_enable(Gpu *g)
{
    g->command_put = g->invalidate_put = g->event_get = 0;
    qtest_memset(g->qts, g->status, 0, sizeof(struct tandem_status_page));
    gpu_write64(g, TANDEM_REG_STATUS_PAGE, g->status);
    gpu_write_ring(g, TANDEM_REG_COMMAND_BASE, g->command);
    gpu_write_ring(g, TANDEM_REG_INVALIDATE_BASE, g->invalidate);
    gpu_write_ring(g, TANDEM_REG_FAULT_BASE, g->fault);
    gpu_write_ring(g, TANDEM_REG_EVENT_BASE, g->event);
    gpu_steer_interrupts(g);
    gpu_write32(g, TANDEM_REG_CONTROL, TANDEM_CONTROL_ENABLE);
}

void gpu_start(Gpu *g, const char *options)
{
    gpu_boot(g, options);
    gpu_map(g);
    g->status = gpu_page(g, TANDEM_PAGE_BYTES);
    g->msi = gpu_page(g, TANDEM_PAGE_BYTES);
    g->command = gpu_page(g, RING_ENTRIES * sizeof(struct tandem_command));
    g->invalidate = gpu_page(g, RING_ENTRIES *
                             sizeof(struct tandem_invalidate));
    g->fault = gpu_page(g, RING_ENTRIES * sizeof(struct tandem_fault_record));
    g->event = gpu_page(g, RING_ENTRIES * sizeof(struct tandem_event));
    gpu_enable(g);
    g_assert_cmphex(gpu_read32(g, TANDEM_REG_ERROR), ==, TANDEM_DEVICE_OK);
    g_assert_cmphex(gpu_read32(g, TANDEM_REG_STATUS) & TANDEM_STATUS_ENABLED,
                    ==, TANDEM_STATUS_ENABLED);
}

void gpu_restart(Gpu *g)
{
    gpu_open_port(g);
    gpu_map(g);
    gpu_enable(g);
}

void gpu_end(Gpu *g)
{
    g_free(g->dev);
    g_free(g->port);
    qpci_free_pc(g->bus);
    alloc_destroy(&g->alloc);
    qtest_quit(g->qts);
}

/* Commands --------------------------------------------------------------- */

void gpu_put_command(Gpu *g, struct tandem_command *command)
{
    uint64_t at = g->command + g->command_put % RING_ENTRIES * sizeof(*command);

    command->seqno = ++g->seqno;
    qtest_memwrite(g->qts, at, command, sizeof(*command));
    gpu_write32(g, TANDEM_REG_COMMAND_PUT, ++g->command_put);
}

void gpu_wait_command(Gpu *g)
{
    gpu_wait_until(g, gpu_status(g).command_done == g->seqno);
}

void gpu_run_command(Gpu *g, struct tandem_command *command)
{
    gpu_put_command(g, command);
    gpu_wait_command(g);
}

void gpu_run_nop(Gpu *g)
{
    struct tandem_command nop = { .type = TANDEM_COMMAND_NOP };

    gpu_run_command(g, &nop);
}

void gpu_assert_no_event(Gpu *g)
{
    g_assert_cmpuint(gpu_status(g).event_put, ==, g->event_get);
    g_assert_cmpuint(gpu_read32(g, TANDEM_REG_EVENT_PUT), ==, g->event_get);
}

struct tandem_event gpu_take_event(Gpu *g)
{
    struct tandem_event event;

    gpu_wait_until(g, gpu_status(g).event_put != g->event_get);
    qtest_memread(g->qts, g->event + g->event_get++ % RING_ENTRIES *
                  sizeof(event), &event, sizeof(event));
    gpu_write32(g, TANDEM_REG_EVENT_GET, g->event_get);
    return event;
}

/* The last command failed: its event precedes its completion. */
void gpu_assert_command_error(Gpu *g, enum tandem_command_error code)
{
    struct tandem_event event;

    g_assert_cmpuint(gpu_status(g).event_put, ==, g->event_get + 1);
    qtest_memread(g->qts, g->event + g->event_get % RING_ENTRIES *
                  sizeof(event), &event, sizeof(event));
    g_assert_cmpuint(event.type, ==, TANDEM_EVENT_COMMAND_ERROR);
    g_assert_cmpuint(event.code, ==, code);
    g_assert_cmpuint(event.value, ==, g->seqno);
    gpu_write32(g, TANDEM_REG_EVENT_GET, ++g->event_get);
}

struct tandem_command gpu_bind_command(Gpu *g, uint32_t pasid)
{
    struct tandem_command bind = {
        .type = TANDEM_COMMAND_BIND,
        .pasid = pasid,
        .u.bind = {
            .root = gpu_page(g, TANDEM_PT_BYTES),
            .translation = TANDEM_TRANSLATION_MIRROR,
            .tgid = 42,
            .comm = "qtest",
        },
    };

    return bind;
}

struct tandem_command gpu_copy_command(uint64_t source, bool from_vram,
                                       uint64_t destination,
                                       bool to_vram, uint64_t bytes)
{
    struct tandem_command copy = {
        .type = TANDEM_COMMAND_COPY,
        .u.copy = {
            .source = source,
            .destination = destination,
            .bytes = bytes,
            .source_aperture = from_vram ? TANDEM_APERTURE_VRAM
                                         : TANDEM_APERTURE_SYSTEM,
            .destination_aperture = to_vram ? TANDEM_APERTURE_VRAM
                                            : TANDEM_APERTURE_SYSTEM,
        },
    };

    return copy;
}

void gpu_copy(Gpu *g, uint64_t source, bool from_vram,
              uint64_t destination, bool to_vram, uint64_t bytes)
{
    struct tandem_command copy =
        gpu_copy_command(source, from_vram, destination, to_vram, bytes);

    gpu_run_command(g, &copy);
}

/* What a reset leaves --------------------------------------------------- */

static const struct {
    uint64_t offset;
    unsigned bytes;
} zero_at_reset[] = {
    { TANDEM_REG_CONTROL, 4 }, { TANDEM_REG_STATUS, 4 },
    { TANDEM_REG_ERROR, 4 }, { TANDEM_REG_INTERRUPT_STATUS, 4 },
    { TANDEM_REG_INTERRUPT_ENABLE, 4 }, { TANDEM_REG_STATUS_PAGE, 8 },
    { TANDEM_REG_COMMAND_BASE, 8 }, { TANDEM_REG_COMMAND_ORDER, 4 },
    { TANDEM_REG_COMMAND_GET, 4 }, { TANDEM_REG_COMMAND_PUT, 4 },
    { TANDEM_REG_INVALIDATE_BASE, 8 }, { TANDEM_REG_INVALIDATE_ORDER, 4 },
    { TANDEM_REG_INVALIDATE_GET, 4 }, { TANDEM_REG_INVALIDATE_PUT, 4 },
    { TANDEM_REG_FAULT_BASE, 8 }, { TANDEM_REG_FAULT_ORDER, 4 },
    { TANDEM_REG_FAULT_GET, 4 }, { TANDEM_REG_FAULT_PUT, 4 },
    { TANDEM_REG_EVENT_BASE, 8 }, { TANDEM_REG_EVENT_ORDER, 4 },
    { TANDEM_REG_EVENT_GET, 4 }, { TANDEM_REG_EVENT_PUT, 4 },
};

void gpu_assert_reset_values(Gpu *g)
{
    g_assert_cmphex(gpu_read32(g, TANDEM_REG_ID), ==, TANDEM_ID_VALUE);
    g_assert_cmphex(gpu_read32(g, TANDEM_REG_ABI_VERSION), ==,
                    TANDEM_ABI_MAJOR << 16 | TANDEM_ABI_MINOR);
    g_assert_cmpuint(gpu_read32(g, TANDEM_REG_COMPUTE_UNITS), ==, 2);
    g_assert_cmpuint(gpu_read32(g, TANDEM_REG_ADDRESS_SPACES), ==, 64);
    g_assert_cmphex(gpu_read64(g, TANDEM_REG_VRAM_BYTES), ==, VRAM_BYTES);
    for (unsigned i = 0; i < ARRAY_SIZE(zero_at_reset); i++) {
        uint64_t offset = zero_at_reset[i].offset;

        g_assert_cmphex(zero_at_reset[i].bytes == 8 ? gpu_read64(g, offset)
                                                    : gpu_read32(g, offset),
                        ==, 0);
    }
    for (unsigned i = 0; i < TANDEM_COUNTER_COUNT; i++) {
        g_assert_cmpuint(gpu_read64(g, TANDEM_REG_COUNTERS + i * 8), ==, 0);
    }
}

/* Good, fault, good: a stopped device takes nothing; a reset helps. */
void gpu_assert_recovers(Gpu *g)
{
    gpu_write32(g, TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
    gpu_assert_reset_values(g);
    gpu_enable(g);
    g_assert_cmphex(gpu_read32(g, TANDEM_REG_ERROR), ==, TANDEM_DEVICE_OK);
    gpu_run_nop(g);
    gpu_assert_no_event(g);
}
