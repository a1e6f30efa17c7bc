/*
 * Tests of shared virtual memory through intel-iommu: accessed and dirty bits
 * in page tables that processors use at the same time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "intel-iommu-svm-util.h"

#define PASID 5
#define VA    0x7f1234560000ull

static uint64_t bits(Svm *m, uint64_t pte)
{
    return qtest_readq(m->qts, pte) & (PTE_A | PTE_D);
}

static void test_each_level_is_accessed_and_the_last_one_dirty(void)
{
    Svm m;
    uint64_t top;

    svm_start(&m, SVM_IOMMU);
    top = svm_bind(&m, PASID);
    svm_map(&m, top, VA, LEVEL_4K, svm_page(&m), PTE_USER_RW);
    dev_translate(&m, PASID, VA, true);
    for (int level = VTD_PML4_LEVEL; level > LEVEL_4K; level--) {
        g_assert_cmphex(bits(&m, svm_pte(&m, top, VA, level)), ==, PTE_A);
    }
    g_assert_cmphex(bits(&m, svm_pte(&m, top, VA, LEVEL_4K)), ==,
                    PTE_A | PTE_D);
    svm_stop(&m);
}

static void test_a_page_accessed_before_becomes_dirty(void)
{
    Svm m;
    uint64_t top;

    svm_start(&m, SVM_IOMMU);
    top = svm_bind(&m, PASID);
    svm_map(&m, top, VA, LEVEL_4K, svm_page(&m), PTE_USER_RW | PTE_A);
    dev_translate(&m, PASID, VA, true);
    g_assert_cmphex(bits(&m, svm_pte(&m, top, VA, LEVEL_4K)), ==,
                    PTE_A | PTE_D);
    svm_stop(&m);
}

static void test_a_write_after_a_cached_read_makes_dirty(void)
{
    Svm m;
    uint64_t top, pte;

    svm_start(&m, SVM_IOMMU);
    top = svm_bind(&m, PASID);
    svm_map(&m, top, VA, LEVEL_4K, svm_page(&m), PTE_USER_RW);
    pte = svm_pte(&m, top, VA, LEVEL_4K);
    dev_translate(&m, PASID, VA, false);
    g_assert_cmphex(bits(&m, pte), ==, PTE_A);
    g_assert_cmphex(dev_translate(&m, PASID, VA, true).perm, ==,
                    SVM_TESTDEV_FLAG_READ | SVM_TESTDEV_FLAG_WRITE);
    g_assert_cmphex(bits(&m, pte), ==, PTE_A | PTE_D);

    /* Untranslated requests go the same way. */
    svm_map(&m, top, VA, LEVEL_2M, 0x4000000, PTE_USER_RW);
    pte = svm_pte(&m, top, VA, LEVEL_2M);
    svm_invalidate_pasid(&m, PASID);
    dev_command(&m, SVM_TESTDEV_CMD_DMA_READ, PASID, VA, 0);
    g_assert_cmphex(bits(&m, pte), ==, PTE_A);
    dev_command(&m, SVM_TESTDEV_CMD_DMA_WRITE, PASID, VA, 0);
    g_assert_cmphex(bits(&m, pte), ==, PTE_A | PTE_D);
    svm_stop(&m);
}

/* An operating system need not invalidate when it adds permission. */
static void test_added_write_permission_is_found(void)
{
    Svm m;
    uint64_t top, page;

    svm_start(&m, SVM_IOMMU);
    top = svm_bind(&m, PASID);
    page = svm_page(&m);
    svm_map(&m, top, VA, LEVEL_4K, page, PTE_USER_RO);
    g_assert_cmphex(dev_translate(&m, PASID, VA, true).perm, ==,
                    SVM_TESTDEV_FLAG_READ);
    svm_map(&m, top, VA, LEVEL_4K, page, PTE_USER_RW);
    g_assert_cmphex(dev_translate(&m, PASID, VA, true).perm, ==,
                    SVM_TESTDEV_FLAG_READ | SVM_TESTDEV_FLAG_WRITE);
    g_assert_cmphex(bits(&m, svm_pte(&m, top, VA, LEVEL_4K)), ==,
                    PTE_A | PTE_D);
    svm_stop(&m);
}

/* A processor against the walk --------------------------------------------- */

typedef struct Clearer {
    uint64_t *entry;
    uint64_t value;
    bool stop;
    unsigned cleared;
    unsigned came_back;
} Clearer;

/* Takes an entry away again and again; nobody else may bring it back. */
static gpointer clear_and_look(gpointer opaque)
{
    Clearer *c = opaque;

    while (!qatomic_read(&c->stop)) {
        qatomic_set(c->entry, c->value);
        for (unsigned i = c->cleared % 64 * 16; i; i--) {
            qatomic_read(c->entry);
        }
        qatomic_xchg(c->entry, 0);
        c->cleared++;
        for (unsigned i = 0; i < 500; i++) {
            if (qatomic_read(c->entry)) {
                c->came_back++;
                break;
            }
        }
    }
    return NULL;
}

/*
 * The entry leads to an empty table, so each of the pages asked for is walked
 * from the top, and nothing is cached.
 */
static void test_a_cleared_entry_stays_cleared(void)
{
    Svm m;
    Clearer c = { 0 };
    GThread *thread;
    uint64_t pde;
    int64_t end;

    svm_start_shared(&m, SVM_IOMMU);
    pde = svm_pte(&m, svm_bind(&m, PASID), VA, LEVEL_2M);
    c.entry = (uint64_t *)(m.ram + pde);
    c.value = svm_page(&m) | PTE_USER_RW;
    dev_set_reg64(&m, SVM_TESTDEV_LENGTH, SVM_TESTDEV_ATS_ANSWERS * PAGE);
    dev_command(&m, SVM_TESTDEV_CMD_TRANSLATE, PASID, VA, 0);

    thread = g_thread_new("clearer", clear_and_look, &c);
    end = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;
    while (g_get_monotonic_time() < end) {
        dev_set_reg32(&m, SVM_TESTDEV_COMMAND, SVM_TESTDEV_CMD_TRANSLATE);
    }
    qatomic_set(&c.stop, true);
    g_thread_join(thread);
    g_test_message("%u of %u entries came back", c.came_back, c.cleared);
    g_assert_cmpuint(c.cleared, >, 100);
    g_assert_cmpuint(c.came_back, ==, 0);
    svm_stop(&m);
}

void svm_add_accessed_tests(void)
{
    qtest_add_func("/intel-iommu-svm/accessed/levels",
                   test_each_level_is_accessed_and_the_last_one_dirty);
    qtest_add_func("/intel-iommu-svm/accessed/then-dirty",
                   test_a_page_accessed_before_becomes_dirty);
    qtest_add_func("/intel-iommu-svm/accessed/cached",
                   test_a_write_after_a_cached_read_makes_dirty);
    qtest_add_func("/intel-iommu-svm/accessed/permission-added",
                   test_added_write_permission_is_found);
    qtest_add_func("/intel-iommu-svm/accessed/race",
                   test_a_cleared_entry_stays_cleared);
}
