/*
 * Tandem GPU tests: its state goes to a file and comes back in another QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "tandem-gpu-util.h"
#include "qobject/qdict.h"

static char *state_file(void)
{
    char *path;
    int fd = g_file_open_tmp("tandem-gpu-XXXXXX.state", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    return path;
}

/* Waits for the end; returns its "status", to be freed. */
static char *migration_end(QTestState *qts)
{
    for (int64_t end = g_get_monotonic_time() + TIMEOUT_US;;) {
        QDict *answer = qtest_qmp_assert_success_ref(
            qts, "{ 'execute': 'query-migrate' }");
        char *status = g_strdup(qdict_get_try_str(answer, "status") ? : "");

        qobject_unref(answer);
        if (!strcmp(status, "completed") || !strcmp(status, "failed")) {
            return status;
        }
        g_free(status);
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(2000);
    }
}

static char *save(Gpu *g, const char *path)
{
    g_autofree char *uri = g_strdup_printf("file:%s", path);

    qtest_qmp_assert_success(g->qts, "{ 'execute': 'migrate', "
                             "'arguments': { 'uri': %s } }", uri);
    return migration_end(g->qts);
}

/* Another QEMU with that state.  The driver's knowledge goes along. */
static void load(Gpu *g, const Gpu *from, const char *path,
                 const char *options)
{
    g_autofree char *uri = g_strdup_printf("file:%s", path);
    g_autofree char *all = g_strdup_printf("%s -incoming defer", options);
    g_autofree char *status = NULL;
    Gpu booted;

    gpu_boot(&booted, all);
    qtest_qmp_assert_success(booted.qts, "{ 'execute': 'migrate-incoming', "
                             "'arguments': { 'uri': %s } }", uri);
    status = migration_end(booted.qts);
    g_assert_cmpstr(status, ==, "completed");

    *g = *from;
    g->qts = booted.qts;
    g->alloc = booted.alloc;
    g->bus = booted.bus;
    g->port = booted.port;
    g->dev = booted.dev;
}

static void check_goes_on(const char *options)
{
    g_autofree char *path = state_file();
    g_autofree char *status = NULL;
    struct tandem_command nop = {
        .type = TANDEM_COMMAND_NOP,
        .flags = TANDEM_COMMAND_INTERRUPT,
    };
    uint64_t page, mailbox;
    Gpu first, second;

    gpu_start(&first, options);
    page = gpu_page(&first, TANDEM_PAGE_BYTES);
    qtest_writeq(first.qts, page, 0x123456789abcdefull);
    gpu_copy(&first, page, false, 0x5000, true, TANDEM_PAGE_BYTES);
    gpu_run_nop(&first);
    status = save(&first, path);
    g_assert_cmpstr(status, ==, "completed");

    load(&second, &first, path, options);
    g_assert_cmpuint(gpu_read32(&second, TANDEM_REG_COMMAND_PUT), ==,
                     first.command_put);
    qtest_memset(second.qts, page, 0, TANDEM_PAGE_BYTES);
    gpu_copy(&second, 0x5000, true, page, false, TANDEM_PAGE_BYTES);
    g_assert_cmphex(qtest_readq(second.qts, page), ==, 0x123456789abcdefull);
    mailbox = second.msi + TANDEM_VECTOR_COMMAND * 4;
    gpu_run_command(&second, &nop);
    gpu_wait_until(&second, qtest_readl(second.qts, mailbox) ==
                   (MSI_DATA | TANDEM_VECTOR_COMMAND));
    gpu_assert_no_event(&second);
    gpu_end(&first);
    gpu_end(&second);
    unlink(path);
}

static void test_goes_on(void)
{
    check_goes_on("");
}

static void test_goes_on_deterministic(void)
{
    check_goes_on(",execution=deterministic");
}

/* Seeds are no part of the state: snapshots are explored with many. */
static void test_other_seeds(void)
{
    g_autofree char *path = state_file();
    g_autofree char *status = NULL;
    Gpu first, second;

    gpu_start(&first, "");
    status = save(&first, path);
    g_assert_cmpstr(status, ==, "completed");
    load(&second, &first, path, ",seed=77,hostile=5");
    gpu_run_nop(&second);
    gpu_end(&first);
    gpu_end(&second);
    unlink(path);
}

static void test_in_use(void)
{
    g_autofree char *path = state_file();
    g_autofree char *status = NULL;
    struct tandem_command bind;
    Gpu g;

    gpu_start(&g, "");
    bind = gpu_bind_command(&g, 1);
    gpu_run_command(&g, &bind);
    gpu_assert_no_event(&g);
    status = save(&g, path);
    g_assert_cmpstr(status, ==, "failed");
    qtest_qmp_assert_success(g.qts, "{ 'execute': 'query-status' }");
    gpu_run_nop(&g); /* goes on */
    gpu_end(&g);
    unlink(path);
}

void add_migrate_tests(void)
{
    qtest_add_func("/tandem-gpu/migrate/goes-on", test_goes_on);
    qtest_add_func("/tandem-gpu/migrate/goes-on-deterministic",
                   test_goes_on_deterministic);
    qtest_add_func("/tandem-gpu/migrate/other-seeds", test_other_seeds);
    qtest_add_func("/tandem-gpu/migrate/in-use", test_in_use);
}
