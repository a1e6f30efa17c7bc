/*
 * Tandem GPU tests: resets, unplug, properties, monitor, trace.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "tandem-gpu-util.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"

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
        gpu_assert_recovers(&g);
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
        gpu_assert_reset_values(&g);
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
        { "'atomics': 'sometimes'", "atomics" },
        { "'atomic-pause': 2000000", "atomic-pause" },
        { "'execution': 'sometimes'", "execution" },
        { "'slice-ticks': 0", "slice-ticks" },
        { "'fabric': 16", "fabric" },
        { "'poison': '1G'", "poison" },
        { "'poison': '0:some'", "poison" },
        { "'poison-page': 0", "no video memory" },
        { "'trace': '/nonexistent/trace'", "/nonexistent/trace" },
    };
    QTestState *qts = qtest_init("-M q35 -nodefaults -device pcie-root-port,"
                                 "id=rp0,chassis=1,bus=pcie.0,addr=4");

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

void add_life_tests(void)
{
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
}
