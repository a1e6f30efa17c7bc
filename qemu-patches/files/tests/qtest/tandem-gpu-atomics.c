/*
 * QTest of tandem-gpu: AtomicOps on the bus.  Who announces them, who may send
 * them, and what becomes of the permission.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "tandem-gpu-util.h"
#include "hw/pci/pci_regs.h"

#define COMPLETION (PCI_EXP_DEVCAP2_ATOMIC_COMP32 | \
                    PCI_EXP_DEVCAP2_ATOMIC_COMP64)

static uint8_t express_capability(QPCIDevice *dev)
{
    uint8_t at = qpci_find_capability(dev, PCI_CAP_ID_EXP, 0);

    g_assert_cmphex(at, !=, 0);
    return at;
}

static uint32_t completion_of(QPCIDevice *port)
{
    return qpci_config_readl(port, express_capability(port) +
                             PCI_EXP_DEVCAP2) &
           (COMPLETION | PCI_EXP_DEVCAP2_ATOMIC_COMP128);
}

static void set_requester(Gpu *g, bool on)
{
    uint8_t at = express_capability(g->dev) + PCI_EXP_DEVCTL2;
    uint16_t value = qpci_config_readw(g->dev, at);

    value &= ~PCI_EXP_DEVCTL2_ATOMIC_REQ;
    qpci_config_writew(g->dev, at,
                       value | (on ? PCI_EXP_DEVCTL2_ATOMIC_REQ : 0));
}

static bool is_requester(Gpu *g)
{
    return qpci_config_readw(g->dev, express_capability(g->dev) +
                             PCI_EXP_DEVCTL2) & PCI_EXP_DEVCTL2_ATOMIC_REQ;
}

/* What the GPU makes of it. */
static bool sends_atomic_ops(Gpu *g)
{
    g_autofree char *text = qtest_hmp(g->qts, "info tandem summary");

    g_assert_nonnull(strstr(text, "atomics: pcie"));
    return !strstr(text, "not enabled on the bus");
}

/* A port says what it was told to say: the GPU's, and one beside it. */
static void test_root_port_completes(void)
{
    QPCIDevice *other;
    Gpu g;

    gpu_boot(&g, " -device pcie-root-port,id=rp1,chassis=2,slot=2,bus=pcie.0,"
                 "addr=5");
    other = qpci_device_find(g.bus, QPCI_DEVFN(5, 0));
    g_assert_nonnull(other);
    g_assert_cmphex(completion_of(g.port), ==, COMPLETION);
    g_assert_cmphex(completion_of(other), ==, 0);
    g_free(other);
    gpu_end(&g);
}

/* The bit can be set, is obeyed, and goes with a function level reset. */
static void test_requester_enable(void)
{
    uint8_t at;
    Gpu g;

    gpu_start(&g, "");
    g_assert_false(is_requester(&g));
    g_assert_false(sends_atomic_ops(&g));
    set_requester(&g, true);
    g_assert_true(is_requester(&g));
    g_assert_true(sends_atomic_ops(&g));
    set_requester(&g, false);
    g_assert_false(sends_atomic_ops(&g));
    set_requester(&g, true);
    at = express_capability(g.dev) + PCI_EXP_DEVCTL;
    qpci_config_writew(g.dev, at, PCI_EXP_DEVCTL_BCR_FLR);
    g_assert_false(is_requester(&g));
    g_assert_false(sends_atomic_ops(&g));
    gpu_end(&g);
}

/* The device's own reset is not the bus's. */
static void test_driver_reset_keeps_it(void)
{
    Gpu g;

    gpu_start(&g, "");
    set_requester(&g, true);
    gpu_write32(&g, TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
    g_assert_true(is_requester(&g));
    g_assert_true(sends_atomic_ops(&g));
    gpu_end(&g);
}

/* A GPU without AtomicOps has no such bit. */
static void test_no_requester(void)
{
    Gpu g;

    gpu_start(&g, ",atomics=exclusive");
    set_requester(&g, true);
    g_assert_false(is_requester(&g));
    gpu_end(&g);
}

/* Behind a port that completes none the bit can be set, and does not help. */
static void test_port_without_completion(void)
{
    Gpu g;

    gpu_boot_behind(&g, "", "");
    g_assert_cmphex(completion_of(g.port), ==, 0);
    set_requester(&g, true);
    g_assert_true(is_requester(&g));
    g_assert_false(sends_atomic_ops(&g));
    gpu_end(&g);
}

void add_atomics_tests(void)
{
    qtest_add_func("/tandem-gpu/atomics/root-port", test_root_port_completes);
    qtest_add_func("/tandem-gpu/atomics/requester", test_requester_enable);
    qtest_add_func("/tandem-gpu/atomics/driver-reset",
                   test_driver_reset_keeps_it);
    qtest_add_func("/tandem-gpu/atomics/no-requester", test_no_requester);
    qtest_add_func("/tandem-gpu/atomics/port-without-completion",
                   test_port_without_completion);
}
