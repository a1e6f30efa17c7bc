/*
 * Tandem GPU: registers, rings, DMA and reset as a driver sees them.
 *
 * Everything is built from the device's own headers.  The GPU sits behind a
 * PCI Express root port; interrupts are steered into a page of memory, where
 * the test can see them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <tandem/model.h>
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/malloc-pc.h"
#include "libqos/pci-pc.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"

#define RING_ORDER 6
#define RING_ENTRIES (1u << RING_ORDER)
#define TIMEOUT_US (20 * G_USEC_PER_SEC)
#define ALL_VECTORS ((1u << TANDEM_VECTOR_COUNT) - 1)
#define MSI_DATA 0x7a000000u
#define VRAM_BYTES (16 * MiB)
#define NO_MEMORY 0xfed00000ull /* the HPET: registers, not memory */

typedef struct Gpu {
    QTestState *qts;
    QGuestAllocator alloc;
    QPCIBus *bus;
    QPCIDevice *port;
    QPCIDevice *dev;
    QPCIBar regs;
    QPCIBar doorbells;
    bool deterministic;
    uint64_t status;
    uint64_t command;
    uint64_t invalidate;
    uint64_t fault;
    uint64_t event;
    uint64_t msi;
    uint32_t command_put;
    uint32_t invalidate_put;
    uint32_t event_get;
    uint64_t seqno;
    uint64_t invalidate_seqno;
} Gpu;

/* Registers and memory --------------------------------------------------- */

static uint32_t gpu_read32(Gpu *g, uint64_t offset)
{
    return qpci_io_readl(g->dev, g->regs, offset);
}

static uint64_t gpu_read64(Gpu *g, uint64_t offset)
{
    return qpci_io_readq(g->dev, g->regs, offset);
}

static void gpu_write32(Gpu *g, uint64_t offset, uint32_t value)
{
    qpci_io_writel(g->dev, g->regs, offset, value);
}

static void gpu_write64(Gpu *g, uint64_t offset, uint64_t value)
{
    qpci_io_writeq(g->dev, g->regs, offset, value);
}

static uint64_t gpu_page(Gpu *g, uint64_t bytes)
{
    uint64_t address = guest_alloc(&g->alloc, bytes);

    g_assert_cmphex(address % TANDEM_PAGE_BYTES, ==, 0);
    qtest_memset(g->qts, address, 0, bytes);
    return address;
}

static struct tandem_status_page gpu_status(Gpu *g)
{
    struct tandem_status_page status;

    qtest_memread(g->qts, g->status, &status, sizeof(status));
    return status;
}

/* Lets the device work for a moment. */
static void gpu_pass_time(Gpu *g)
{
    if (g->deterministic) {
        qtest_clock_step(g->qts, 100 * 1000);
    } else {
        g_usleep(200);
    }
}

#define gpu_wait_until(g, condition) \
    do { \
        int64_t give_up_ = g_get_monotonic_time() + TIMEOUT_US; \
        while (!(condition)) { \
            g_assert_cmpint(g_get_monotonic_time(), <, give_up_); \
            gpu_pass_time(g); \
        } \
    } while (0)

/* Bringing it up --------------------------------------------------------- */

#define GPU_DEVFN QPCI_DEVFN(1 << 5, 0) /* bus 1, device 0 */

/* What firmware does: bus numbers and windows of the root port. */
static void gpu_init_port(Gpu *g)
{
    qpci_secondary_buses_init(g->bus);
    g->port = qpci_device_find(g->bus, QPCI_DEVFN(4, 0));
    g_assert_nonnull(g->port);
    g_assert_cmpint(qpci_config_readb(g->port, PCI_SECONDARY_BUS), ==, 1);
    qpci_config_writew(g->port, PCI_MEMORY_BASE, 0xe000);
    qpci_config_writew(g->port, PCI_MEMORY_LIMIT, 0xefff);
    qpci_device_enable(g->port);
}

static void gpu_boot(Gpu *g, const char *options)
{
    *g = (Gpu) { .deterministic = strstr(options, "deterministic") };
    g->qts = qtest_initf("-M q35 -m 256M "
                         "-device pcie-root-port,id=rp0,chassis=1,slot=1,"
                         "bus=pcie.0,addr=4 "
                         "-device tandem-gpu,id=gpu0,bus=rp0,vram=16M,"
                         "compute-units=2,address-spaces=64%s", options);
    pc_alloc_init(&g->alloc, g->qts, ALLOC_NO_FLAGS);
    g->bus = qpci_new_pc(g->qts, &g->alloc);
    gpu_init_port(g);
    g->dev = qpci_device_find(g->bus, GPU_DEVFN);
    g_assert_nonnull(g->dev);
}

static void gpu_map(Gpu *g)
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

static void gpu_enable(Gpu *g)
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

static void gpu_start(Gpu *g, const char *options)
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

static void gpu_end(Gpu *g)
{
    g_free(g->dev);
    g_free(g->port);
    qpci_free_pc(g->bus);
    alloc_destroy(&g->alloc);
    qtest_quit(g->qts);
}

/* Commands --------------------------------------------------------------- */

static void gpu_put_command(Gpu *g, struct tandem_command *command)
{
    uint64_t at = g->command + g->command_put % RING_ENTRIES * sizeof(*command);

    command->seqno = ++g->seqno;
    qtest_memwrite(g->qts, at, command, sizeof(*command));
    gpu_write32(g, TANDEM_REG_COMMAND_PUT, ++g->command_put);
}

static void gpu_wait_command(Gpu *g)
{
    gpu_wait_until(g, gpu_status(g).command_done == g->seqno);
}

static void gpu_run_command(Gpu *g, struct tandem_command *command)
{
    gpu_put_command(g, command);
    gpu_wait_command(g);
}

static void gpu_run_nop(Gpu *g)
{
    struct tandem_command nop = { .type = TANDEM_COMMAND_NOP };

    gpu_run_command(g, &nop);
}

static void gpu_assert_no_event(Gpu *g)
{
    g_assert_cmpuint(gpu_status(g).event_put, ==, g->event_get);
    g_assert_cmpuint(gpu_read32(g, TANDEM_REG_EVENT_PUT), ==, g->event_get);
}

/* The last command failed: its event precedes its completion. */
static void gpu_assert_command_error(Gpu *g, enum tandem_command_error code)
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

static struct tandem_command gpu_bind_command(Gpu *g, uint32_t pasid)
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

static struct tandem_command gpu_copy_command(uint64_t source, bool from_vram,
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

static void gpu_copy(Gpu *g, uint64_t source, bool from_vram,
                     uint64_t destination, bool to_vram, uint64_t bytes)
{
    struct tandem_command copy =
        gpu_copy_command(source, from_vram, destination, to_vram, bytes);

    gpu_run_command(g, &copy);
}

/* Configuration space ---------------------------------------------------- */

static uint64_t config_bar_size(QPCIDevice *dev, int bar)
{
    uint8_t at = PCI_BASE_ADDRESS_0 + bar * 4;
    uint64_t mask;

    qpci_config_writel(dev, at, 0xffffffff);
    qpci_config_writel(dev, at + 4, 0xffffffff);
    mask = (uint64_t)qpci_config_readl(dev, at + 4) << 32 |
           (qpci_config_readl(dev, at) & PCI_BASE_ADDRESS_MEM_MASK);
    return mask ? ~mask + 1 : 0;
}

static void test_pci_config(void)
{
    Gpu g;
    uint8_t cap;

    gpu_boot(&g, ",vram-bar=on");
    g_assert_cmphex(qpci_config_readw(g.dev, PCI_VENDOR_ID), ==,
                    TANDEM_PCI_VENDOR_ID);
    g_assert_cmphex(qpci_config_readw(g.dev, PCI_DEVICE_ID), ==,
                    TANDEM_PCI_DEVICE_ID);
    g_assert_cmphex(qpci_config_readl(g.dev, PCI_CLASS_REVISION), ==,
                    TANDEM_PCI_CLASS << 8 | TANDEM_PCI_REVISION);

    g_assert_cmphex(config_bar_size(g.dev, TANDEM_BAR_REGS), ==,
                    TANDEM_BAR_REGS_SIZE);
    g_assert_cmphex(config_bar_size(g.dev, TANDEM_BAR_DOORBELLS), ==,
                    64 * TANDEM_DOORBELL_PAGE_SIZE);
    g_assert_cmphex(config_bar_size(g.dev, TANDEM_BAR_VRAM), ==, VRAM_BYTES);
    g_assert_cmphex(qpci_config_readl(g.dev, PCI_BASE_ADDRESS_0 + 4 *
                                      TANDEM_BAR_VRAM) & 0xf, ==,
                    PCI_BASE_ADDRESS_MEM_TYPE_64 |
                    PCI_BASE_ADDRESS_MEM_PREFETCH);

    cap = qpci_find_capability(g.dev, PCI_CAP_ID_EXP, 0);
    g_assert_cmphex(cap, !=, 0);
    g_assert_cmphex((qpci_config_readw(g.dev, cap + PCI_EXP_FLAGS) &
                     PCI_EXP_FLAGS_TYPE) >> 4, ==, PCI_EXP_TYPE_ENDPOINT);
    g_assert_cmphex(qpci_config_readl(g.dev, cap + PCI_EXP_DEVCAP) &
                    PCI_EXP_DEVCAP_FLR, ==, PCI_EXP_DEVCAP_FLR);

    cap = qpci_find_capability(g.dev, PCI_CAP_ID_MSIX, 0);
    g_assert_cmphex(cap, !=, 0);
    g_assert_cmpuint(qpci_msix_table_size(g.dev), ==, TANDEM_VECTOR_COUNT);
    g_assert_cmphex(qpci_config_readl(g.dev, cap + PCI_MSIX_TABLE), ==,
                    TANDEM_MSIX_TABLE | TANDEM_BAR_REGS);
    g_assert_cmphex(qpci_config_readl(g.dev, cap + PCI_MSIX_PBA), ==,
                    TANDEM_MSIX_PBA | TANDEM_BAR_REGS);
    gpu_end(&g);
}

static void test_no_vram_bar(void)
{
    Gpu g;

    gpu_boot(&g, "");
    g_assert_cmphex(config_bar_size(g.dev, TANDEM_BAR_VRAM), ==, 0);
    gpu_map(&g);
    g_assert_cmphex(gpu_read32(&g, TANDEM_REG_FEATURES) &
                    TANDEM_FEATURE_VRAM_BAR, ==, 0);
    g_assert_cmphex(gpu_read64(&g, TANDEM_REG_VRAM_BYTES), ==, VRAM_BYTES);
    gpu_end(&g);
}

/* Registers -------------------------------------------------------------- */

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

static void assert_reset_values(Gpu *g)
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

static void test_reg_reset(void)
{
    Gpu g;

    gpu_boot(&g, "");
    gpu_map(&g);
    assert_reset_values(&g);
    gpu_end(&g);
}

static void test_reg_read_only(void)
{
    static const uint64_t read_only[] = {
        TANDEM_REG_ID, TANDEM_REG_ABI_VERSION, TANDEM_REG_COMPUTE_UNITS,
        TANDEM_REG_FEATURES, TANDEM_REG_STATUS, TANDEM_REG_ERROR,
        TANDEM_REG_COMMAND_GET, TANDEM_REG_FAULT_PUT, TANDEM_REG_COUNTERS,
    };
    Gpu g;

    gpu_boot(&g, "");
    gpu_map(&g);
    for (unsigned i = 0; i < ARRAY_SIZE(read_only); i++) {
        uint32_t before = gpu_read32(&g, read_only[i]);

        gpu_write32(&g, read_only[i], ~before);
        g_assert_cmphex(gpu_read32(&g, read_only[i]), ==, before);
    }
    gpu_end(&g);
}

static void test_reg_read_write(void)
{
    Gpu g;

    gpu_boot(&g, "");
    gpu_map(&g);
    gpu_write64(&g, TANDEM_REG_COMMAND_BASE, 0x123456000ull);
    g_assert_cmphex(gpu_read64(&g, TANDEM_REG_COMMAND_BASE), ==, 0x123456000);

    /* Two halves: takes effect with the high one. */
    gpu_write32(&g, TANDEM_REG_EVENT_BASE, 0x789ab000);
    gpu_write32(&g, TANDEM_REG_EVENT_BASE + 4, 0x1);
    g_assert_cmphex(gpu_read64(&g, TANDEM_REG_EVENT_BASE), ==, 0x1789ab000);
    g_assert_cmphex(gpu_read32(&g, TANDEM_REG_EVENT_BASE), ==, 0x789ab000);
    g_assert_cmphex(gpu_read32(&g, TANDEM_REG_EVENT_BASE + 4), ==, 0x1);

    gpu_write32(&g, TANDEM_REG_INTERRUPT_ENABLE, 0x15);
    g_assert_cmphex(gpu_read32(&g, TANDEM_REG_INTERRUPT_ENABLE), ==, 0x15);
    gpu_end(&g);
}

/* Sizes and alignments that the registers do not take read as ones. */
static void test_reg_odd_access(void)
{
    Gpu g;

    gpu_boot(&g, "");
    gpu_map(&g);
    g_assert_cmphex(qpci_io_readb(g.dev, g.regs, TANDEM_REG_ID), ==, 0xff);
    g_assert_cmphex(qpci_io_readw(g.dev, g.regs, TANDEM_REG_ID), ==, 0xffff);
    for (unsigned i = 1; i < 8; i++) {
        g_assert_cmphex(gpu_read64(&g, TANDEM_REG_VRAM_BYTES + i), ==,
                        ~0ull);
        gpu_write64(&g, TANDEM_REG_COMMAND_BASE + i, ~0ull);
    }
    qpci_io_writeb(g.dev, g.regs, TANDEM_REG_CONTROL, TANDEM_CONTROL_ENABLE);
    qpci_io_writew(g.dev, g.regs, TANDEM_REG_CONTROL, TANDEM_CONTROL_ENABLE);
    g_assert_cmphex(gpu_read32(&g, TANDEM_REG_CONTROL), ==, 0);
    g_assert_cmphex(gpu_read64(&g, TANDEM_REG_COMMAND_BASE), ==, 0);

    /* No register there, and the last bytes of the block. */
    g_assert_cmphex(gpu_read32(&g, 0x0f80), ==, 0xffffffff);
    g_assert_cmphex(gpu_read64(&g, TANDEM_REGS_SIZE - 8), ==, ~0ull);
    gpu_write64(&g, TANDEM_REGS_SIZE - 8, 0);
    assert_reset_values(&g);
    gpu_end(&g);
}

static void test_interrupt_status_w1c(void)
{
    struct tandem_command nop = {
        .type = TANDEM_COMMAND_NOP,
        .flags = TANDEM_COMMAND_INTERRUPT,
    };
    uint32_t bit = 1u << TANDEM_VECTOR_COMMAND;
    Gpu g;

    gpu_start(&g, "");
    gpu_run_command(&g, &nop);
    gpu_wait_until(&g, gpu_read32(&g, TANDEM_REG_INTERRUPT_STATUS) & bit);
    gpu_write32(&g, TANDEM_REG_INTERRUPT_STATUS, ~bit);
    g_assert_cmphex(gpu_read32(&g, TANDEM_REG_INTERRUPT_STATUS) & bit, ==, bit);
    gpu_write32(&g, TANDEM_REG_INTERRUPT_STATUS, bit);
    g_assert_cmphex(gpu_read32(&g, TANDEM_REG_INTERRUPT_STATUS) & bit, ==, 0);
    gpu_end(&g);
}

/* Rings ------------------------------------------------------------------ */

static void assert_stopped(Gpu *g, enum tandem_device_error error)
{
    uint64_t mailbox = g->msi + TANDEM_VECTOR_ERROR * 4;

    gpu_wait_until(g, gpu_read32(g, TANDEM_REG_ERROR) == error);
    g_assert_cmphex(gpu_read32(g, TANDEM_REG_STATUS) & TANDEM_STATUS_STOPPED,
                    ==, TANDEM_STATUS_STOPPED);
    gpu_wait_until(g, qtest_readl(g->qts, mailbox) ==
                   (MSI_DATA | TANDEM_VECTOR_ERROR));
}

/* Good, fault, good: a stopped device takes nothing; a reset helps. */
static void assert_recovers(Gpu *g)
{
    gpu_write32(g, TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
    assert_reset_values(g);
    gpu_enable(g);
    g_assert_cmphex(gpu_read32(g, TANDEM_REG_ERROR), ==, TANDEM_DEVICE_OK);
    gpu_run_nop(g);
    gpu_assert_no_event(g);
}

static void break_ring(Gpu *g, uint64_t offset, uint64_t value, unsigned bytes)
{
    gpu_write32(g, TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
    gpu_enable(g);
    gpu_run_nop(g);
    gpu_write32(g, TANDEM_REG_CONTROL, 0);
    if (bytes == 8) {
        gpu_write64(g, offset, value);
    } else {
        gpu_write32(g, offset, value);
    }
    gpu_write32(g, TANDEM_REG_CONTROL, TANDEM_CONTROL_ENABLE);
}

static void test_ring_bad_set_up(void)
{
    static const struct {
        uint64_t offset;
        uint64_t value;
        unsigned bytes;
    } bad[] = {
        { TANDEM_REG_COMMAND_ORDER, TANDEM_RING_ORDER_MAX + 1, 4 },
        { TANDEM_REG_COMMAND_ORDER, TANDEM_RING_ORDER_MIN - 1, 4 },
        { TANDEM_REG_INVALIDATE_ORDER, 0xffffffff, 4 },
        { TANDEM_REG_EVENT_ORDER, 0, 4 },
        { TANDEM_REG_FAULT_BASE, 0x1008, 8 },
    };
    Gpu g;

    gpu_start(&g, "");
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        qtest_memset(g.qts, g.msi, 0, TANDEM_PAGE_BYTES);
        break_ring(&g, bad[i].offset, bad[i].value, bad[i].bytes);
        assert_stopped(&g, TANDEM_DEVICE_BAD_RING);
        assert_recovers(&g);
    }
    gpu_end(&g);
}

static void test_ring_overrun(void)
{
    Gpu g;

    gpu_start(&g, "");
    gpu_write32(&g, TANDEM_REG_COMMAND_PUT, RING_ENTRIES + 1);
    assert_stopped(&g, TANDEM_DEVICE_BAD_RING);
    assert_recovers(&g);
    gpu_end(&g);
}

static void test_ring_not_in_memory(void)
{
    Gpu g;

    gpu_start(&g, "");
    break_ring(&g, TANDEM_REG_COMMAND_BASE, NO_MEMORY, 8);
    gpu_write32(&g, TANDEM_REG_COMMAND_PUT, g.command_put + 1);
    assert_stopped(&g, TANDEM_DEVICE_RING_DMA);
    assert_recovers(&g);
    gpu_end(&g);
}

static void test_ring_wraps(void)
{
    Gpu g;

    gpu_start(&g, "");
    for (unsigned i = 0; i < 3 * RING_ENTRIES; i++) {
        gpu_run_nop(&g);
    }
    g_assert_cmpuint(gpu_read32(&g, TANDEM_REG_COMMAND_GET), ==,
                     3 * RING_ENTRIES);
    g_assert_cmpuint(gpu_read64(&g, TANDEM_REG_COUNTERS + 8 *
                                TANDEM_COUNTER_COMMANDS), ==, 3 * RING_ENTRIES);
    gpu_assert_no_event(&g);
    gpu_end(&g);
}

/* Without bus mastering nothing reaches memory, and nothing comes back. */
static void test_bus_master_off(void)
{
    struct tandem_command nop = { .type = TANDEM_COMMAND_NOP };
    uint16_t command;
    Gpu g;

    gpu_start(&g, "");
    gpu_run_nop(&g);
    command = qpci_config_readw(g.dev, PCI_COMMAND);
    qpci_config_writew(g.dev, PCI_COMMAND, command & ~PCI_COMMAND_MASTER);
    gpu_put_command(&g, &nop);
    gpu_wait_until(&g, gpu_read32(&g, TANDEM_REG_ERROR) ==
                   TANDEM_DEVICE_RING_DMA);
    g_assert_cmpuint(gpu_status(&g).command_done, ==, g.seqno - 1);

    qpci_config_writew(g.dev, PCI_COMMAND, command);
    assert_recovers(&g);
    gpu_end(&g);
}

/* Commands --------------------------------------------------------------- */

static void check_nop(const char *options)
{
    struct tandem_command nop = {
        .type = TANDEM_COMMAND_NOP,
        .flags = TANDEM_COMMAND_INTERRUPT,
    };
    uint64_t mailbox;
    Gpu g;

    gpu_start(&g, options);
    mailbox = g.msi + TANDEM_VECTOR_COMMAND * 4;
    gpu_run_nop(&g);
    g_assert_cmphex(qtest_readl(g.qts, mailbox), ==, 0);

    gpu_run_command(&g, &nop);
    gpu_wait_until(&g, qtest_readl(g.qts, mailbox) ==
                   (MSI_DATA | TANDEM_VECTOR_COMMAND));
    g_assert_cmpuint(gpu_status(&g).command_get, ==, 2);
    gpu_assert_no_event(&g);
    gpu_end(&g);
}

static void test_nop(void)
{
    check_nop("");
}

static void test_nop_deterministic(void)
{
    check_nop(",execution=deterministic");
}

/* No virtual time, no work: that is what makes it repeatable. */
static void test_deterministic_stands_still(void)
{
    struct tandem_command nop = { .type = TANDEM_COMMAND_NOP };
    Gpu g;

    gpu_start(&g, ",execution=deterministic");
    gpu_put_command(&g, &nop);
    g_usleep(20 * 1000);
    g_assert_cmpuint(gpu_status(&g).command_done, ==, 0);
    gpu_wait_command(&g);
    gpu_end(&g);
}

static void test_interrupt_disabled(void)
{
    struct tandem_command nop = {
        .type = TANDEM_COMMAND_NOP,
        .flags = TANDEM_COMMAND_INTERRUPT,
    };
    Gpu g;

    gpu_start(&g, ",execution=deterministic");
    gpu_write32(&g, TANDEM_REG_INTERRUPT_ENABLE, 0);
    gpu_run_command(&g, &nop);
    gpu_pass_time(&g);
    g_assert_cmphex(qtest_readl(g.qts, g.msi), ==, 0);
    gpu_end(&g);
}

static void test_bind_unbind(void)
{
    struct tandem_command bind, unbind = { .type = TANDEM_COMMAND_UNBIND };
    Gpu g;

    gpu_start(&g, "");
    for (uint32_t pasid = 1; pasid < 64; pasid += 31) {
        bind = gpu_bind_command(&g, pasid);
        gpu_run_command(&g, &bind);
        gpu_assert_no_event(&g);
    }
    gpu_run_command(&g, &bind); /* bound already */
    gpu_assert_command_error(&g, TANDEM_COMMAND_BAD_PASID);

    unbind.pasid = bind.pasid;
    gpu_run_command(&g, &unbind);
    gpu_assert_no_event(&g);
    gpu_run_command(&g, &unbind); /* not bound */
    gpu_assert_command_error(&g, TANDEM_COMMAND_BAD_PASID);
    gpu_run_command(&g, &bind);
    gpu_assert_no_event(&g);
    gpu_end(&g);
}

static void test_command_errors(void)
{
    struct tandem_command command;
    Gpu g;

    gpu_start(&g, "");
    command = (struct tandem_command) { .type = 0 };
    gpu_run_command(&g, &command);
    gpu_assert_command_error(&g, TANDEM_COMMAND_BAD_TYPE);
    command = (struct tandem_command) { .type = 0xffff };
    gpu_run_command(&g, &command);
    gpu_assert_command_error(&g, TANDEM_COMMAND_BAD_TYPE);

    command = gpu_bind_command(&g, 0);
    gpu_run_command(&g, &command);
    gpu_assert_command_error(&g, TANDEM_COMMAND_BAD_PASID);
    command = gpu_bind_command(&g, 64);
    gpu_run_command(&g, &command);
    gpu_assert_command_error(&g, TANDEM_COMMAND_BAD_PASID);
    command = gpu_bind_command(&g, 1);
    command.u.bind.root |= 8;
    gpu_run_command(&g, &command);
    gpu_assert_command_error(&g, TANDEM_COMMAND_BAD_ADDRESS);
    command = gpu_bind_command(&g, 1);
    command.u.bind.translation = 99;
    gpu_run_command(&g, &command);
    gpu_assert_command_error(&g, TANDEM_COMMAND_BAD_PARAMETER);

    command = (struct tandem_command) {
        .type = TANDEM_COMMAND_QUEUE_DESTROY,
        .pasid = 1,
        .u.queue.queue = 0xffffffff,
    };
    gpu_run_command(&g, &command);
    g_assert_cmpuint(gpu_status(&g).event_put, ==, g.event_get + 1);
    gpu_write32(&g, TANDEM_REG_EVENT_GET, ++g.event_get);

    gpu_run_nop(&g);
    gpu_assert_no_event(&g);
    gpu_end(&g);
}

static void gpu_put_invalidate(Gpu *g, uint32_t pasid, uint16_t flags)
{
    struct tandem_invalidate invalidate = {
        .pasid = pasid,
        .flags = flags,
        .cause = TANDEM_CAUSE_UNMAP,
        .seqno = ++g->invalidate_seqno,
        .start = 0x10000,
        .end = 0x20000,
        .notify_start = 0x10000,
        .notify_end = 0x20000,
    };

    qtest_memwrite(g->qts, g->invalidate + g->invalidate_put % RING_ENTRIES *
                   sizeof(invalidate), &invalidate, sizeof(invalidate));
    gpu_write32(g, TANDEM_REG_INVALIDATE_PUT, ++g->invalidate_put);
}

static void test_invalidate(void)
{
    struct tandem_command bind;
    Gpu g;

    gpu_start(&g, "");
    bind = gpu_bind_command(&g, 5);
    gpu_run_command(&g, &bind);
    gpu_put_invalidate(&g, 5, 0);
    gpu_wait_until(&g, gpu_status(&g).invalidate_done == g.invalidate_seqno);
    g_assert_cmphex(qtest_readl(g.qts, g.msi + TANDEM_VECTOR_INVALIDATE * 4),
                    ==, 0);

    gpu_put_invalidate(&g, 5, TANDEM_INVALIDATE_ALL |
                       TANDEM_INVALIDATE_INTERRUPT);
    gpu_wait_until(&g, gpu_status(&g).invalidate_done == g.invalidate_seqno);
    gpu_wait_until(&g, qtest_readl(g.qts, g.msi + TANDEM_VECTOR_INVALIDATE *
                                   4) == (MSI_DATA | TANDEM_VECTOR_INVALIDATE));
    g_assert_cmpuint(gpu_read64(&g, TANDEM_REG_COUNTERS + 8 *
                                TANDEM_COUNTER_INVALIDATES), ==, 2);
    gpu_end(&g);
}

/* Copy engine ------------------------------------------------------------ */

#define COPY_BYTES (3 * TANDEM_PAGE_BYTES + 24)

static void fill_pattern(Gpu *g, uint64_t address, uint8_t *data)
{
    for (unsigned i = 0; i < COPY_BYTES; i++) {
        data[i] = g_test_rand_int_range(0, 256);
    }
    qtest_memwrite(g->qts, address, data, COPY_BYTES);
}

static void assert_memory(Gpu *g, uint64_t address, const uint8_t *data,
                          unsigned bytes)
{
    g_autofree uint8_t *found = g_malloc(bytes);

    qtest_memread(g->qts, address, found, bytes);
    g_assert_cmpmem(found, bytes, data, bytes);
}

static void check_copy(const char *options)
{
    g_autofree uint8_t *data = g_malloc(COPY_BYTES);
    uint64_t from, to;
    Gpu g;

    gpu_start(&g, options);
    from = gpu_page(&g, 4 * TANDEM_PAGE_BYTES);
    to = gpu_page(&g, 4 * TANDEM_PAGE_BYTES);

    fill_pattern(&g, from, data);
    gpu_copy(&g, from, false, to, false, COPY_BYTES);
    gpu_assert_no_event(&g);
    assert_memory(&g, to, data, COPY_BYTES);
    /* Not one byte more. */
    g_assert_cmphex(qtest_readq(g.qts, to + COPY_BYTES), ==, 0);

    fill_pattern(&g, from, data);
    gpu_copy(&g, from, false, 2 * MiB, true, COPY_BYTES);
    gpu_copy(&g, 2 * MiB, true, 4 * MiB, true, COPY_BYTES);
    gpu_copy(&g, 4 * MiB, true, to, false, COPY_BYTES);
    gpu_assert_no_event(&g);
    assert_memory(&g, to, data, COPY_BYTES);
    g_assert_cmpuint(gpu_read64(&g, TANDEM_REG_COUNTERS + 8 *
                                TANDEM_COUNTER_COPY_BYTES), ==, 4 * COPY_BYTES);
    gpu_end(&g);
}

static void test_copy(void)
{
    check_copy("");
}

static void test_copy_deterministic(void)
{
    check_copy(",execution=deterministic");
}

static void test_fill(void)
{
    struct tandem_command fill = {
        .type = TANDEM_COMMAND_FILL,
        .u.copy = {
            .source = 0x0123456789abcdefull,
            .bytes = 2 * TANDEM_PAGE_BYTES,
        },
    };
    uint64_t to;
    Gpu g;

    gpu_start(&g, "");
    to = gpu_page(&g, 4 * TANDEM_PAGE_BYTES);
    fill.u.copy.destination = to + TANDEM_PAGE_BYTES;
    gpu_run_command(&g, &fill);
    gpu_assert_no_event(&g);
    g_assert_cmphex(qtest_readq(g.qts, to + TANDEM_PAGE_BYTES - 8), ==, 0);
    g_assert_cmphex(qtest_readq(g.qts, to + TANDEM_PAGE_BYTES), ==,
                    fill.u.copy.source);
    g_assert_cmphex(qtest_readq(g.qts, to + 3 * TANDEM_PAGE_BYTES - 8), ==,
                    fill.u.copy.source);
    g_assert_cmphex(qtest_readq(g.qts, to + 3 * TANDEM_PAGE_BYTES), ==, 0);
    gpu_end(&g);
}

/* Registers of other devices are out of reach, and so is what is not there. */
static void test_copy_no_memory(void)
{
    static const uint64_t bad[] = {
        NO_MEMORY, 0xfee00000ull, 1ull << 40, ~0ull << 12,
    };
    uint64_t page;
    Gpu g;

    gpu_start(&g, "");
    page = gpu_page(&g, TANDEM_PAGE_BYTES);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        gpu_copy(&g, bad[i], false, page, false, 64);
        g_assert_cmpuint(gpu_status(&g).event_put, ==, g.event_get + 1);
        gpu_write32(&g, TANDEM_REG_EVENT_GET, ++g.event_get);
        gpu_copy(&g, page, false, bad[i], false, 64);
        g_assert_cmpuint(gpu_status(&g).event_put, ==, g.event_get + 1);
        gpu_write32(&g, TANDEM_REG_EVENT_GET, ++g.event_get);
    }
    gpu_copy(&g, page, false, VRAM_BYTES - 32, true, 64);
    g_assert_cmpuint(gpu_status(&g).event_put, ==, g.event_get + 1);
    gpu_write32(&g, TANDEM_REG_EVENT_GET, ++g.event_get);

    gpu_run_nop(&g);
    gpu_assert_no_event(&g);
    g_assert_cmphex(gpu_read32(&g, TANDEM_REG_ERROR), ==, TANDEM_DEVICE_OK);
    gpu_end(&g);
}

static void test_vram_bar(void)
{
    g_autofree uint8_t *data = g_malloc(COPY_BYTES);
    uint64_t to;
    QPCIBar vram;
    Gpu g;

    gpu_start(&g, ",vram-bar=on");
    g_assert_cmphex(gpu_read32(&g, TANDEM_REG_FEATURES) &
                    TANDEM_FEATURE_VRAM_BAR, ==, TANDEM_FEATURE_VRAM_BAR);
    vram = qpci_iomap(g.dev, TANDEM_BAR_VRAM, NULL);
    to = gpu_page(&g, 4 * TANDEM_PAGE_BYTES);

    fill_pattern(&g, vram.addr + 6 * MiB, data);
    gpu_copy(&g, 6 * MiB, true, to, false, COPY_BYTES);
    gpu_assert_no_event(&g);
    assert_memory(&g, to, data, COPY_BYTES);

    /* On the bus the BAR is memory like any other: that is what a peer sees. */
    gpu_copy(&g, to, false, vram.addr + 8 * MiB, false, COPY_BYTES);
    gpu_assert_no_event(&g);
    assert_memory(&g, vram.addr + 8 * MiB, data, COPY_BYTES);
    gpu_end(&g);
}

/* Reset and doorbells ---------------------------------------------------- */

static void gpu_make_busy(Gpu *g)
{
    struct tandem_command fill = {
        .type = TANDEM_COMMAND_FILL,
        .u.copy = {
            .bytes = VRAM_BYTES,
            .destination_aperture = TANDEM_APERTURE_VRAM,
        },
    };

    for (unsigned i = 0; i < RING_ENTRIES / 2; i++) {
        gpu_put_command(g, &fill);
    }
}

static void function_level_reset(Gpu *g)
{
    uint8_t cap = qpci_find_capability(g->dev, PCI_CAP_ID_EXP, 0);
    uint16_t control = qpci_config_readw(g->dev, cap + PCI_EXP_DEVCTL);

    qpci_config_writew(g->dev, cap + PCI_EXP_DEVCTL,
                       control | PCI_EXP_DEVCTL_BCR_FLR);
}

static void secondary_bus_reset(Gpu *g)
{
    uint16_t control = qpci_config_readw(g->port, PCI_BRIDGE_CONTROL);

    qpci_config_writew(g->port, PCI_BRIDGE_CONTROL,
                       control | PCI_BRIDGE_CTL_BUS_RESET);
    qpci_config_writew(g->port, PCI_BRIDGE_CONTROL, control);
}

static void test_reset_while_busy(void)
{
    Gpu g;

    gpu_start(&g, "");
    for (unsigned i = 0; i < 10; i++) {
        gpu_make_busy(&g);
        assert_recovers(&g);
    }
    gpu_end(&g);
}

/* A PCI reset takes the BARs with it; a driver sets them up again. */
static void check_pci_reset(void (*reset)(Gpu *))
{
    Gpu g;

    gpu_start(&g, "");
    for (unsigned i = 0; i < 3; i++) {
        gpu_make_busy(&g);
        reset(&g);
        g_assert_cmphex(qpci_config_readw(g.dev, PCI_COMMAND) &
                        PCI_COMMAND_MASTER, ==, 0);
        gpu_map(&g);
        assert_reset_values(&g);
        gpu_enable(&g);
        gpu_run_nop(&g);
        gpu_assert_no_event(&g);
    }
    gpu_end(&g);
}

static void test_function_level_reset(void)
{
    check_pci_reset(function_level_reset);
}

static void test_secondary_bus_reset(void)
{
    check_pci_reset(secondary_bus_reset);
}

static void test_doorbell_unbound(void)
{
    Gpu g;

    gpu_start(&g, "");
    for (uint64_t pasid = 0; pasid < 64; pasid++) {
        uint64_t page = pasid * TANDEM_DOORBELL_PAGE_SIZE;

        qpci_io_writeq(g.dev, g.doorbells, page, 1);
        qpci_io_writeq(g.dev, g.doorbells, page + TANDEM_DOORBELL_PAGE_SIZE - 8,
                       ~0ull);
        qpci_io_writel(g.dev, g.doorbells, page + 4, 1);
        qpci_io_writeb(g.dev, g.doorbells, page + 3, 1);
    }
    g_assert_cmphex(gpu_read32(&g, TANDEM_REG_ERROR), ==, TANDEM_DEVICE_OK);
    gpu_run_nop(&g);
    gpu_assert_no_event(&g);
    gpu_end(&g);
}

/* While the machine is stopped, so is the GPU. */
static void test_machine_stop(void)
{
    struct tandem_command nop = { .type = TANDEM_COMMAND_NOP };
    Gpu g;

    gpu_start(&g, "");
    gpu_make_busy(&g);
    qtest_qmp_assert_success(g.qts, "{ 'execute': 'stop' }");
    g.seqno = 1000;
    gpu_put_command(&g, &nop);
    g_usleep(50 * 1000);
    g_assert_cmpuint(gpu_status(&g).command_done, <, 1000);
    qtest_qmp_assert_success(g.qts, "{ 'execute': 'cont' }");
    gpu_wait_command(&g);
    gpu_end(&g);
}

/* Life, monitor, trace --------------------------------------------------- */

static void test_bad_properties(void)
{
    static const struct {
        const char *options;
        const char *named;
    } bad[] = {
        { "'compute-units': 0", "compute-units" },
        { "'compute-units': 65", "compute-units" },
        { "'l1-sets': 3", "l1-sets" },
        { "'address-spaces': 100", "address-spaces" },
        { "'vram': 3145728", "vram" },
        { "'vram': 0, 'vram-bar': true", "vram-bar" },
        { "'store-drain': 'lifo'", "store-drain" },
        { "'execution': 'sometimes'", "execution" },
        { "'slice-ticks': 0", "slice-ticks" },
        { "'trace': '/nonexistent/trace'", "/nonexistent/trace" },
    };
    QTestState *qts = qtest_init("-M q35 -device pcie-root-port,id=rp0,"
                                 "chassis=1,bus=pcie.0,addr=4");

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autofree char *request =
            g_strdup_printf("{ 'execute': 'device_add', 'arguments': {"
                            " 'driver': 'tandem-gpu', 'bus': 'rp0', %s } }",
                            bad[i].options);
        QDict *response = qtest_qmp(qts, request, NULL);
        QDict *error = qdict_get_qdict(response, "error");

        g_assert_nonnull(error);
        g_test_message("%s", qdict_get_str(error, "desc"));
        g_assert_nonnull(strstr(qdict_get_str(error, "desc"), bad[i].named));
        qobject_unref(response);
    }
    qtest_quit(qts);
}

static void test_unplug(void)
{
    QDict *event;
    Gpu g;

    gpu_start(&g, "");
    gpu_make_busy(&g);
    qtest_qmp_device_del_send(g.qts, "gpu0");
    qtest_system_reset_nowait(g.qts); /* stands for the guest's consent */
    event = qtest_qmp_eventwait_ref(g.qts, "DEVICE_DELETED");
    qobject_unref(event);
    qtest_qmp_device_add(g.qts, "tandem-gpu", "gpu1", "{'bus': 'rp0'}");
    gpu_end(&g);
}

static QDict *query_tandem(Gpu *g, const char *topic)
{
    return qtest_qmp(g->qts, "{ 'execute': 'x-query-tandem',"
                     " 'arguments': { 'topic': %s } }", topic);
}

static void test_monitor(void)
{
    static const char *const topics[] = {
        "summary", "tlbs", "address-spaces", "queues", "waves", "faults",
        "counters", "all",
    };
    g_autofree char *text = NULL;
    struct tandem_command bind;
    QDict *response;
    Gpu g;

    gpu_start(&g, "");
    bind = gpu_bind_command(&g, 7);
    gpu_run_command(&g, &bind);
    gpu_make_busy(&g);
    for (unsigned i = 0; i < ARRAY_SIZE(topics); i++) {
        response = query_tandem(&g, topics[i]);
        g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(response,
            "return"), "human-readable-text"), "gpu0:"));
        qobject_unref(response);
    }
    response = query_tandem(&g, "weather");
    g_assert_nonnull(qdict_get_qdict(response, "error"));
    qobject_unref(response);

    text = qtest_hmp(g.qts, "info tandem address-spaces");
    g_assert_nonnull(strstr(text, "qtest")); /* the process's name */

    response = qtest_qmp(g.qts, "{ 'execute': 'qom-get', 'arguments': {"
                         " 'path': 'gpu0', 'property': 'counters' } }");
    g_assert_cmpint(qdict_get_int(qdict_get_qdict(response, "return"),
                                  "commands"), >=, 1);
    qobject_unref(response);
    gpu_end(&g);
}

static void check_trace_file(const char *path, bool expect_bind)
{
    const struct tandem_trace_header *header;
    const struct tandem_trace_record *record;
    g_autofree char *data = NULL;
    bool found_bind = false;
    gsize length, count;

    g_assert_true(g_file_get_contents(path, &data, &length, NULL));
    g_assert_cmpuint(length, >=, sizeof(*header) + sizeof(*record));
    header = (void *)data;
    g_assert_cmpmem(header->magic, 8, TANDEM_TRACE_MAGIC, 8);
    g_assert_cmpuint(header->version, ==, TANDEM_TRACE_VERSION);

    g_assert_cmpuint((length - sizeof(*header)) % sizeof(*record), ==, 0);
    count = (length - sizeof(*header)) / sizeof(*record);
    record = (void *)(data + sizeof(*header));
    for (gsize i = 0; i < count - 1; i++) {
        g_assert_cmpuint(record[i].type, !=, TANDEM_TRACE_END);
        found_bind |= record[i].type == TANDEM_TRACE_BIND &&
                      record[i].pasid == 7;
    }
    g_assert_cmpuint(record[count - 1].type, ==, TANDEM_TRACE_END);
    g_assert_cmpuint(record[count - 1].a, ==, count - 1);
    g_assert_cmpuint(record[count - 1].b, ==, 0);
    g_assert_true(found_bind == expect_bind);
}

static void check_trace(const char *execution, bool recording)
{
    g_autofree char *path = NULL, *options = NULL;
    struct tandem_command bind;
    Gpu g;

    close(g_file_open_tmp("tandem-trace-XXXXXX", &path, NULL));
    options = g_strdup_printf(",trace=%s,execution=%s,trace-recording=%s", path,
                              execution, recording ? "on" : "off");
    gpu_start(&g, options);
    bind = gpu_bind_command(&g, 7);
    gpu_run_command(&g, &bind);
    gpu_end(&g);
    check_trace_file(path, recording);
    unlink(path);
}

static void test_trace(void)
{
    check_trace("parallel", true);
    check_trace("deterministic", true);
}

static void test_trace_switched_off(void)
{
    check_trace("parallel", false);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    if (!qtest_has_device("tandem-gpu")) {
        g_test_skip("tandem-gpu is not built in");
        return g_test_run();
    }
    qtest_add_func("/tandem-gpu/pci-config", test_pci_config);
    qtest_add_func("/tandem-gpu/no-vram-bar", test_no_vram_bar);
    qtest_add_func("/tandem-gpu/register/reset", test_reg_reset);
    qtest_add_func("/tandem-gpu/register/read-only", test_reg_read_only);
    qtest_add_func("/tandem-gpu/register/read-write", test_reg_read_write);
    qtest_add_func("/tandem-gpu/register/odd-access", test_reg_odd_access);
    qtest_add_func("/tandem-gpu/register/w1c", test_interrupt_status_w1c);
    qtest_add_func("/tandem-gpu/ring/bad-set-up", test_ring_bad_set_up);
    qtest_add_func("/tandem-gpu/ring/overrun", test_ring_overrun);
    qtest_add_func("/tandem-gpu/ring/not-in-memory", test_ring_not_in_memory);
    qtest_add_func("/tandem-gpu/ring/wraps", test_ring_wraps);
    qtest_add_func("/tandem-gpu/ring/bus-master-off", test_bus_master_off);
    qtest_add_func("/tandem-gpu/command/nop", test_nop);
    qtest_add_func("/tandem-gpu/command/nop-deterministic",
                   test_nop_deterministic);
    qtest_add_func("/tandem-gpu/command/deterministic-stands-still",
                   test_deterministic_stands_still);
    qtest_add_func("/tandem-gpu/command/interrupt-disabled",
                   test_interrupt_disabled);
    qtest_add_func("/tandem-gpu/command/bind-unbind", test_bind_unbind);
    qtest_add_func("/tandem-gpu/command/errors", test_command_errors);
    qtest_add_func("/tandem-gpu/invalidate", test_invalidate);
    qtest_add_func("/tandem-gpu/copy/data", test_copy);
    qtest_add_func("/tandem-gpu/copy/data-deterministic",
                   test_copy_deterministic);
    qtest_add_func("/tandem-gpu/copy/fill", test_fill);
    qtest_add_func("/tandem-gpu/copy/no-memory", test_copy_no_memory);
    qtest_add_func("/tandem-gpu/copy/vram-bar", test_vram_bar);
    qtest_add_func("/tandem-gpu/reset/driver-while-busy",
                   test_reset_while_busy);
    qtest_add_func("/tandem-gpu/reset/function-level",
                   test_function_level_reset);
    qtest_add_func("/tandem-gpu/reset/secondary-bus", test_secondary_bus_reset);
    qtest_add_func("/tandem-gpu/doorbell-unbound", test_doorbell_unbound);
    qtest_add_func("/tandem-gpu/machine-stop", test_machine_stop);
    qtest_add_func("/tandem-gpu/bad-properties", test_bad_properties);
    qtest_add_func("/tandem-gpu/unplug", test_unplug);
    qtest_add_func("/tandem-gpu/monitor", test_monitor);
    qtest_add_func("/tandem-gpu/trace", test_trace);
    qtest_add_func("/tandem-gpu/trace-switched-off", test_trace_switched_off);
    return g_test_run();
}
