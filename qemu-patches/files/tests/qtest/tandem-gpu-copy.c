/*
 * Tandem GPU tests: the copy engine, and what memory it reaches.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "tandem-gpu-util.h"

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

void add_copy_tests(void)
{
    qtest_add_func("/tandem-gpu/copy/data", test_copy);
    qtest_add_func("/tandem-gpu/copy/data-deterministic",
                   test_copy_deterministic);
    qtest_add_func("/tandem-gpu/copy/fill", test_fill);
    qtest_add_func("/tandem-gpu/copy/no-memory", test_copy_no_memory);
    qtest_add_func("/tandem-gpu/copy/vram-bar", test_vram_bar);
}
