/*
 * Tests of shared virtual memory through intel-iommu: invalidations of the
 * IOTLB, of the device's translations, of PASID table entries.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "intel-iommu-svm-util.h"

#define PASID 5
#define OTHER 6
#define VA    0x7f1234567000ull

/* What the device saw ------------------------------------------------------ */

static void assert_invalidated(Svm *m, unsigned which, uint32_t pasid,
                               uint64_t address, uint64_t mask)
{
    dev_set_reg32(m, SVM_TESTDEV_INVAL_SELECT, which);
    g_assert_cmpuint(dev_reg32(m, SVM_TESTDEV_INVAL_PASID), ==, pasid);
    g_assert_cmphex(dev_reg64(m, SVM_TESTDEV_INVAL_ADDRESS), ==, address);
    g_assert_cmphex(dev_reg64(m, SVM_TESTDEV_INVAL_MASK), ==, mask);
    g_assert_cmphex(dev_reg32(m, SVM_TESTDEV_INVAL_FLAGS), ==,
                    mask == UINT64_MAX ? SVM_TESTDEV_INVAL_ALL : 0);
}

static void assert_invalidations(Svm *m, unsigned count)
{
    g_assert_cmpuint(dev_reg32(m, SVM_TESTDEV_INVAL_COUNT), ==, count);
}

/* The device listens to a PASID once it has asked for a translation. */
static void start_with_two_pasids(Svm *m)
{
    svm_start(m, SVM_IOMMU);
    svm_map(m, svm_bind(m, PASID), VA, LEVEL_4K, svm_page(m), PTE_USER_RW);
    svm_map(m, svm_bind(m, OTHER), VA, LEVEL_4K, svm_page(m), PTE_USER_RW);
    dev_translate(m, PASID, VA, true);
    dev_translate(m, OTHER, VA, true);
}

static void test_the_device_is_told_what_to_forget(void)
{
    Svm m;

    start_with_two_pasids(&m);
    svm_invalidate_device(&m, PASID, VA, 0, false);
    assert_invalidations(&m, 1);
    assert_invalidated(&m, 0, PASID, VA, PAGE - 1);

    svm_invalidate_device(&m, OTHER, VA & -PAGE_2M, 9, false);
    assert_invalidations(&m, 2);
    assert_invalidated(&m, 0, OTHER, VA & -PAGE_2M, PAGE_2M - 1);

    svm_invalidate_device(&m, PASID, 0x7f0000000000, 28, false);
    assert_invalidated(&m, 0, PASID, 0x7f0000000000, (1ull << 40) - 1);

    svm_invalidate_device(&m, PASID, 0, SVM_WHOLE_ADDRESS_SPACE, false);
    assert_invalidations(&m, 4);
    assert_invalidated(&m, 0, PASID, 0, UINT64_MAX);
    svm_stop(&m);
}

static void test_a_global_invalidation_is_for_every_pasid(void)
{
    Svm m;
    uint32_t first;

    start_with_two_pasids(&m);
    svm_invalidate_device(&m, 0, VA, 0, true);
    assert_invalidations(&m, 2);
    dev_set_reg32(&m, SVM_TESTDEV_INVAL_SELECT, 0);
    first = dev_reg32(&m, SVM_TESTDEV_INVAL_PASID);
    g_assert_true(first == PASID || first == OTHER);
    assert_invalidated(&m, 0, first, VA, PAGE - 1);
    assert_invalidated(&m, 1, PASID + OTHER - first, VA, PAGE - 1);
    svm_stop(&m);
}

static void test_nobody_hears_of_an_unknown_pasid(void)
{
    Svm m;

    start_with_two_pasids(&m);
    svm_invalidate_device(&m, OTHER + 1, VA, 0, false);
    assert_invalidations(&m, 0);
    svm_stop(&m);
}

/* What the IOTLB keeps ----------------------------------------------------- */

/* Where the device believes the address to be */
static uint64_t where(Svm *m, uint32_t pasid, uint64_t va)
{
    return dev_translate(m, pasid, va, true).address;
}

/*
 * Moves a page behind the IOMMU's back, once it is cached, and says whether
 * this invalidation makes the IOMMU see that.
 */
static bool drops(Svm *m, int level, uint64_t va, uint64_t inval_va, int order)
{
    static const uint64_t old_page = PAGE_1G, new_page = 2 * PAGE_1G;
    uint64_t top = svm_bind(m, PASID);

    svm_invalidate_pasid(m, PASID);
    svm_map(m, top, va, level, old_page, PTE_USER_RW);
    g_assert_cmphex(where(m, PASID, va), ==, old_page);
    svm_map(m, top, va, level, new_page, PTE_USER_RW);
    g_assert_cmphex(where(m, PASID, va), ==, old_page); /* it is cached */
    svm_invalidate_pasid_page(m, PASID, inval_va, order);
    return where(m, PASID, va) == new_page;
}

static void test_a_page_inside_a_huge_one_drops_it(void)
{
    Svm m;
    uint64_t huge = VA & -PAGE_1G;

    svm_start(&m, SVM_IOMMU);
    g_assert_true(drops(&m, LEVEL_4K, VA, VA, 0));
    g_assert_false(drops(&m, LEVEL_4K, VA, VA + PAGE, 0));
    g_assert_true(drops(&m, LEVEL_2M, huge, huge + 17 * PAGE, 0));
    g_assert_true(drops(&m, LEVEL_2M, huge, huge + 16 * PAGE, 4));
    g_assert_false(drops(&m, LEVEL_2M, huge, huge + PAGE_2M, 9));
    g_assert_true(drops(&m, LEVEL_2M, huge + PAGE_2M, huge, 10));
    g_assert_true(drops(&m, LEVEL_1G, huge, huge + PAGE_1G - PAGE, 0));
    g_assert_true(drops(&m, LEVEL_1G, huge, huge + 3 * PAGE_2M, 9));
    svm_stop(&m);
}

static void test_an_invalidation_of_any_size(void)
{
    Svm m;

    svm_start(&m, SVM_IOMMU);
    for (int order = 1; order < 64; order++) {
        uint64_t bytes = order < 52 ? PAGE << order : 0;

        g_assert_true(drops(&m, LEVEL_4K, VA, VA & -bytes, order));
        if (order < 36) { /* the next range stays below bit 47 */
            g_assert_false(drops(&m, LEVEL_4K, VA, (VA & -bytes) ^ bytes,
                                 order));
        }
    }
    svm_stop(&m);
}

static void test_a_pasid_loses_all_its_pages_and_others_none(void)
{
    Svm m;
    uint64_t top, other;

    svm_start(&m, SVM_IOMMU);
    top = svm_bind(&m, PASID);
    other = svm_bind(&m, OTHER);
    for (int i = 0; i < 3; i++) {
        svm_map(&m, top, VA + i * PAGE, LEVEL_4K, PAGE_2M, PTE_USER_RW);
        svm_map(&m, other, VA + i * PAGE, LEVEL_4K, PAGE_2M, PTE_USER_RW);
        g_assert_cmphex(where(&m, PASID, VA + i * PAGE), ==, PAGE_2M);
        g_assert_cmphex(where(&m, OTHER, VA + i * PAGE), ==, PAGE_2M);
        svm_map(&m, top, VA + i * PAGE, LEVEL_4K, PAGE_1G, PTE_USER_RW);
        svm_map(&m, other, VA + i * PAGE, LEVEL_4K, PAGE_1G, PTE_USER_RW);
    }
    svm_invalidate_pasid(&m, PASID);
    for (int i = 0; i < 3; i++) {
        g_assert_cmphex(where(&m, PASID, VA + i * PAGE), ==, PAGE_1G);
        g_assert_cmphex(where(&m, OTHER, VA + i * PAGE), ==, PAGE_2M);
    }
    svm_stop(&m);
}

/* A PASID gets another page table, as Linux does it when it is reused. */
static void test_a_pasid_is_given_to_somebody_else(void)
{
    Svm m;
    uint64_t entry;

    svm_start(&m, SVM_IOMMU);
    svm_map(&m, svm_bind(&m, PASID), VA, LEVEL_4K, PAGE_2M, PTE_USER_RW);
    g_assert_cmphex(where(&m, PASID, VA), ==, PAGE_2M);

    entry = svm_pasid_entry(&m, PASID);
    qtest_writeq(m.qts, entry, qtest_readq(m.qts, entry) & ~VTD_PASID_ENTRY_P);
    svm_invalidate_pasid_cache(&m, PASID);
    svm_invalidate_pasid(&m, PASID);
    svm_invalidate_device(&m, PASID, 0, SVM_WHOLE_ADDRESS_SPACE, false);
    assert_invalidations(&m, 1);
    g_assert_cmphex(dev_translate(&m, PASID, VA, true).perm, ==, 0);
    svm_assert_fault(&m, VTD_FR_PASID_ENTRY_P);

    svm_map(&m, svm_bind(&m, PASID), VA, LEVEL_4K, PAGE_1G, PTE_USER_RW);
    g_assert_cmphex(where(&m, PASID, VA), ==, PAGE_1G);
    svm_stop(&m);
}

/* What it costs ------------------------------------------------------------ */

#define BATCH 100

/* The time that a vCPU spends on a batch of invalidations, in microseconds */
static int64_t batch_time(Svm *m)
{
    int64_t best = INT64_MAX;

    for (int run = 0; run < 20; run++) {
        int64_t start;

        for (int i = 0; i < BATCH; i++) {
            svm_prepare(m, VTD_INV_DESC_PIOTLB |
                           VTD_INV_DESC_PIOTLB_PSI_IN_PASID |
                           SVM_DOMAIN << 16 | (uint64_t)PASID << 32,
                        VA + i * PAGE);
        }
        start = g_get_monotonic_time();
        svm_kick(m);
        best = MIN(best, g_get_monotonic_time() - start);
        g_assert_true(svm_wait(m, 0));
    }
    return best;
}

/* A page of one process, while many share the device */
static void test_others_do_not_pay(void)
{
    int64_t alone, together;
    Svm m;

    svm_start(&m, SVM_IOMMU);
    svm_bind(&m, PASID);
    dev_translate(&m, PASID, VA, true);
    alone = batch_time(&m);
    for (uint32_t pasid = PASID + 1; pasid < 64; pasid++) {
        svm_bind(&m, pasid);
        dev_translate(&m, pasid, VA, true);
    }
    together = batch_time(&m);
    g_test_message("%d invalidations: %" PRId64 " us, with 58 others %" PRId64
                   " us", BATCH, alone, together);
    g_assert_cmpint(together, <, 5 * alone);
    svm_stop(&m);
}

void svm_add_invalidation_tests(void)
{
    qtest_add_func("/intel-iommu-svm/invalidate/device",
                   test_the_device_is_told_what_to_forget);
    qtest_add_func("/intel-iommu-svm/invalidate/global",
                   test_a_global_invalidation_is_for_every_pasid);
    qtest_add_func("/intel-iommu-svm/invalidate/unknown-pasid",
                   test_nobody_hears_of_an_unknown_pasid);
    qtest_add_func("/intel-iommu-svm/invalidate/huge",
                   test_a_page_inside_a_huge_one_drops_it);
    qtest_add_func("/intel-iommu-svm/invalidate/any-size",
                   test_an_invalidation_of_any_size);
    qtest_add_func("/intel-iommu-svm/invalidate/pasid",
                   test_a_pasid_loses_all_its_pages_and_others_none);
    qtest_add_func("/intel-iommu-svm/invalidate/pasid-reused",
                   test_a_pasid_is_given_to_somebody_else);
    qtest_add_func("/intel-iommu-svm/invalidate/cost",
                   test_others_do_not_pay);
}
