/*
 * Tandem GPU tests: two GPUs on a link, poisoned pages.
 *
 * The second GPU is never programmed: its video memory is reached over the
 * link alone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "tandem-gpu-util.h"
#include "qobject/qdict.h"

#define SECOND_PORT " -device pcie-root-port,id=rp1,chassis=2,slot=2," \
                    "bus=pcie.0,addr=5"
#define SECOND_GPU " -device tandem-gpu,id=gpu1,bus=rp1,vram=16M"
#define PATTERN 0x1122334455667788ull
#define OTHER_PATTERN 0x99aabbccddeeff00ull
#define FAR (VRAM_BYTES - 4096)

/* Helpers ---------------------------------------------------------------- */

static struct tandem_command peer_copy(uint64_t source, int from,
                                       uint64_t destination, int to)
{
    return (struct tandem_command) {
        .type = TANDEM_COMMAND_COPY,
        .u.copy = {
            .source = source,
            .destination = destination,
            .bytes = 4096,
            .source_aperture = from,
            .source_peer = from == TANDEM_APERTURE_PEER ? 1 : 0,
            .destination_aperture = to,
            .destination_peer = to == TANDEM_APERTURE_PEER ? 1 : 0,
        },
    };
}

static void run_copy(Gpu *g, uint64_t source, int from, uint64_t destination,
                     int to)
{
    struct tandem_command copy = peer_copy(source, from, destination, to);

    gpu_run_command(g, &copy);
}

static void fill_page(Gpu *g, int aperture, uint64_t at, uint64_t pattern)
{
    struct tandem_command fill = peer_copy(pattern, 0, at, aperture);

    fill.type = TANDEM_COMMAND_FILL;
    gpu_run_command(g, &fill);
    gpu_assert_no_event(g);
}

/* What the peer holds at its far end, by way of memory. */
static uint64_t read_peer(Gpu *g)
{
    uint64_t page = gpu_page(g, TANDEM_PAGE_BYTES);

    run_copy(g, FAR, TANDEM_APERTURE_PEER, page, TANDEM_APERTURE_SYSTEM);
    gpu_assert_no_event(g);
    g_assert_cmphex(qtest_readq(g->qts, page), ==,
                    qtest_readq(g->qts, page + 4088));
    return qtest_readq(g->qts, page);
}

static void unplug(Gpu *g, const char *id)
{
    QDict *event;

    qtest_qmp_device_del_send(g->qts, id);
    qtest_system_reset_nowait(g->qts); /* stands for the guest's consent */
    event = qtest_qmp_eventwait_ref(g->qts, "DEVICE_DELETED");
    qobject_unref(event);
    gpu_restart(g);
}

/* The link --------------------------------------------------------------- */

static void test_alone(void)
{
    Gpu g;

    gpu_start(&g, "");
    g_assert_cmphex(gpu_read32(&g, TANDEM_REG_FABRIC), ==, TANDEM_FABRIC_NONE);
    g_assert_cmphex(gpu_read32(&g, TANDEM_REG_FABRIC_PEERS), ==, 0);
    run_copy(&g, 0, TANDEM_APERTURE_PEER, 0, TANDEM_APERTURE_VRAM);
    gpu_assert_command_error(&g, TANDEM_COMMAND_COPY_FAILED);
    gpu_end(&g);
}

static void check_copies(const char *execution)
{
    g_autofree char *options =
        g_strdup_printf(",fabric=0,execution=%s" SECOND_PORT SECOND_GPU
                        ",fabric=1", execution);
    Gpu g;

    gpu_start(&g, options);
    g_assert_cmphex(gpu_read32(&g, TANDEM_REG_FABRIC), ==, 0);
    g_assert_cmphex(gpu_read32(&g, TANDEM_REG_FABRIC_PEERS), ==, 1u << 1);
    fill_page(&g, TANDEM_APERTURE_PEER, FAR, PATTERN);
    fill_page(&g, TANDEM_APERTURE_VRAM, FAR, OTHER_PATTERN);
    g_assert_cmphex(read_peer(&g), ==, PATTERN);

    /* What is beyond its end, and whom nobody knows. */
    run_copy(&g, FAR + 8, TANDEM_APERTURE_PEER, 0, TANDEM_APERTURE_VRAM);
    gpu_assert_command_error(&g, TANDEM_COMMAND_COPY_FAILED);
    gpu_run_nop(&g);
    gpu_assert_no_event(&g);
    gpu_end(&g);
}

static void test_copies(void)
{
    check_copies("parallel");
}

static void test_copies_deterministic(void)
{
    check_copies("deterministic");
}

static void test_peer_comes_and_goes(void)
{
    QDict *response, *error;
    Gpu g;

    gpu_start(&g, ",fabric=0" SECOND_PORT);
    g_assert_cmphex(gpu_read32(&g, TANDEM_REG_FABRIC_PEERS), ==, 0);

    response = qtest_qmp(g.qts, "{ 'execute': 'device_add', 'arguments': {"
                         " 'driver': 'tandem-gpu', 'bus': 'rp1',"
                         " 'fabric': 0 } }");
    error = qdict_get_qdict(response, "error");
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(qdict_get_str(error, "desc"), "gpu0's number"));
    qobject_unref(response);

    for (unsigned i = 0; i < 3; i++) {
        qtest_qmp_device_add(g.qts, "tandem-gpu", "gpu1",
                             "{'bus': 'rp1', 'fabric': 1, 'vram': 16777216}");
        g_assert_cmphex(gpu_read32(&g, TANDEM_REG_FABRIC_PEERS), ==, 1u << 1);
        g_assert_cmphex(read_peer(&g), ==, 0); /* another one's memory */
        fill_page(&g, TANDEM_APERTURE_PEER, FAR, PATTERN);
        unplug(&g, "gpu1");
        g_assert_cmphex(gpu_read32(&g, TANDEM_REG_FABRIC_PEERS), ==, 0);
        run_copy(&g, FAR, TANDEM_APERTURE_PEER, 0, TANDEM_APERTURE_VRAM);
        gpu_assert_command_error(&g, TANDEM_COMMAND_COPY_FAILED);
    }
    gpu_end(&g);
}

/* The link is pulled while the copy engine is at work on it. */
static void test_peer_goes_while_busy(void)
{
    Gpu g;

    gpu_start(&g, ",fabric=0" SECOND_PORT SECOND_GPU ",fabric=1");
    for (unsigned i = 0; i < RING_ENTRIES / 2; i++) {
        struct tandem_command copy =
            peer_copy(0, TANDEM_APERTURE_VRAM, 0, TANDEM_APERTURE_PEER);

        copy.u.copy.bytes = VRAM_BYTES;
        gpu_put_command(&g, &copy);
    }
    unplug(&g, "gpu1");
    gpu_run_nop(&g);
    gpu_assert_no_event(&g);
    gpu_end(&g);
}

/* Poison ----------------------------------------------------------------- */

static void qom_poison(Gpu *g, const char *id, uint64_t offset)
{
    qtest_qmp_assert_success(g->qts, "{ 'execute': 'qom-set', 'arguments': {"
                             " 'path': %s, 'property': 'poison-page',"
                             " 'value': %" PRIu64 " } }", id, offset);
}

static void assert_poison_event(Gpu *g, uint64_t offset)
{
    struct tandem_event event = gpu_take_event(g);

    g_assert_cmpuint(event.type, ==, TANDEM_EVENT_POISON);
    g_assert_cmphex(event.value, ==, offset);
}

static void test_poison_at_start(void)
{
    Gpu g;

    gpu_start(&g, ",poison=8k:0x5010,test-hooks=on");
    assert_poison_event(&g, 0x2000);
    assert_poison_event(&g, 0x5000);
    gpu_write64(&g, TANDEM_REG_TEST_POISON, 0x9000);
    assert_poison_event(&g, 0x9000);
    run_copy(&g, 0x5000, TANDEM_APERTURE_VRAM, 0, TANDEM_APERTURE_VRAM);
    gpu_assert_command_error(&g, TANDEM_COMMAND_POISONED);

    /* A driver's reset mends nothing. */
    gpu_write32(&g, TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
    gpu_enable(&g);
    assert_poison_event(&g, 0x2000);
    assert_poison_event(&g, 0x5000);
    assert_poison_event(&g, 0x9000);

    /* Power does, but for what is broken from the start. */
    qtest_system_reset(g.qts);
    gpu_restart(&g);
    assert_poison_event(&g, 0x2000);
    assert_poison_event(&g, 0x5000);
    gpu_run_nop(&g);
    gpu_assert_no_event(&g);
    gpu_end(&g);
}

static void check_poison_at_run_time(const char *execution)
{
    g_autofree char *options =
        g_strdup_printf(",fabric=0,execution=%s" SECOND_PORT SECOND_GPU
                        ",fabric=1,execution=%s", execution, execution);
    QDict *response;
    Gpu g;

    gpu_start(&g, options);
    qom_poison(&g, "gpu0", 0x3fff);
    assert_poison_event(&g, 0x3000);
    run_copy(&g, 0x3000, TANDEM_APERTURE_VRAM, 0, TANDEM_APERTURE_VRAM);
    gpu_assert_command_error(&g, TANDEM_COMMAND_POISONED);

    /* The peer's: its own driver hears of it, and we meet it. */
    qom_poison(&g, "gpu1", 0x7000);
    for (int64_t until = g_get_monotonic_time() + TIMEOUT_US;;) {
        run_copy(&g, 0x7000, TANDEM_APERTURE_PEER, 0, TANDEM_APERTURE_VRAM);
        if (gpu_status(&g).event_put != g.event_get) {
            break; /* the news has come */
        }
        g_assert_cmpint(g_get_monotonic_time(), <, until);
    }
    gpu_assert_command_error(&g, TANDEM_COMMAND_POISONED);

    response = qtest_qmp(g.qts, "{ 'execute': 'qom-set', 'arguments': {"
                         " 'path': 'gpu0', 'property': 'poison-page',"
                         " 'value': %" PRIu64 " } }", (uint64_t)VRAM_BYTES);
    g_assert_nonnull(qdict_get_qdict(response, "error"));
    qobject_unref(response);
    gpu_end(&g);
}

static void test_poison_at_run_time(void)
{
    check_poison_at_run_time("parallel");
}

static void test_poison_deterministic(void)
{
    check_poison_at_run_time("deterministic");
}

void add_peer_tests(void)
{
    qtest_add_func("/tandem-gpu/link/alone", test_alone);
    qtest_add_func("/tandem-gpu/link/copies", test_copies);
    qtest_add_func("/tandem-gpu/link/copies-deterministic",
                   test_copies_deterministic);
    qtest_add_func("/tandem-gpu/link/comes-and-goes",
                   test_peer_comes_and_goes);
    qtest_add_func("/tandem-gpu/link/goes-while-busy",
                   test_peer_goes_while_busy);
    qtest_add_func("/tandem-gpu/poison/at-start", test_poison_at_start);
    qtest_add_func("/tandem-gpu/poison/at-run-time", test_poison_at_run_time);
    qtest_add_func("/tandem-gpu/poison/deterministic",
                   test_poison_deterministic);
}
