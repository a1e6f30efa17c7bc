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

void svm_add_invalidation_tests(void)
{
    qtest_add_func("/intel-iommu-svm/invalidate/device",
                   test_the_device_is_told_what_to_forget);
    qtest_add_func("/intel-iommu-svm/invalidate/global",
                   test_a_global_invalidation_is_for_every_pasid);
    qtest_add_func("/intel-iommu-svm/invalidate/unknown-pasid",
                   test_nobody_hears_of_an_unknown_pasid);
}
