/*
 * Tandem GPU tests: configuration space, registers, rings and commands as a
 * driver sees them, built from the device's own headers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "tandem-gpu-util.h"
#include "hw/pci/pci_regs.h"

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

static void test_reg_reset(void)
{
    Gpu g;

    gpu_boot(&g, "");
    gpu_map(&g);
    gpu_assert_reset_values(&g);
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
    gpu_assert_reset_values(&g);
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
        gpu_assert_recovers(&g);
    }
    gpu_end(&g);
}

static void test_ring_overrun(void)
{
    Gpu g;

    gpu_start(&g, "");
    gpu_write32(&g, TANDEM_REG_COMMAND_PUT, RING_ENTRIES + 1);
    assert_stopped(&g, TANDEM_DEVICE_BAD_RING);
    gpu_assert_recovers(&g);
    gpu_end(&g);
}

static void test_ring_not_in_memory(void)
{
    Gpu g;

    gpu_start(&g, "");
    break_ring(&g, TANDEM_REG_COMMAND_BASE, NO_MEMORY, 8);
    gpu_write32(&g, TANDEM_REG_COMMAND_PUT, g.command_put + 1);
    assert_stopped(&g, TANDEM_DEVICE_RING_DMA);
    gpu_assert_recovers(&g);
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
    gpu_assert_recovers(&g);
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
    add_copy_tests();
    add_atomics_tests();
    add_life_tests();
    add_migrate_tests();
    add_peer_tests();
    return g_test_run();
}
