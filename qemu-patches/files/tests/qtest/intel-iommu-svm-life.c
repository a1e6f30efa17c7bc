/*
 * Tests of shared virtual memory through intel-iommu: resets, and notifiers
 * that come and go.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "intel-iommu-svm-util.h"
#include "hw/pci/pci_regs.h"

#define PASID 5
#define VA    0x7f1234567000ull

static void test_reset_disables_what_the_driver_enabled(void)
{
    Svm m;

    svm_start(&m, SVM_IOMMU);
    qtest_system_reset(m.qts);
    svm_open_extended_config(&m);
    g_assert_cmphex(qtest_readw(m.qts, dev_config(&m, ATS_CAP + PCI_ATS_CTRL)),
                    ==, 0);
    g_assert_cmphex(qtest_readw(m.qts, dev_config(&m, PASID_CAP +
                                                      PCI_PASID_CTRL)), ==, 0);
    g_assert_cmphex(qtest_readw(m.qts, dev_config(&m, PRI_CAP + PCI_PRI_CTRL)),
                    ==, 0);
    g_assert_cmphex(qtest_readw(m.qts, dev_config(&m, PRI_CAP +
                                                      PCI_PRI_STATUS)),
                    ==, PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED);
    g_assert_cmphex(qtest_readl(m.qts, dev_config(&m, PRI_CAP +
                                                      PCI_PRI_ALLOC_REQ)),
                    ==, 0);
    svm_stop(&m);
}

static void test_a_notifier_is_let_go_after_pasids_are_disabled(void)
{
    Svm m;

    svm_start(&m, SVM_IOMMU);
    svm_map(&m, svm_bind(&m, PASID), VA, LEVEL_4K, svm_page(&m), PTE_USER_RW);
    dev_translate(&m, PASID, VA, true);
    qtest_writew(m.qts, dev_config(&m, PASID_CAP + PCI_PASID_CTRL), 0);
    qtest_system_reset(m.qts);

    svm_set_up(&m);
    dev_translate(&m, PASID, VA, true);
    svm_invalidate_device(&m, PASID, VA, 0, false);
    g_assert_cmpuint(dev_reg32(&m, SVM_TESTDEV_INVAL_COUNT), ==, 1);
    svm_stop(&m);
}

static void test_an_iommu_that_cannot_be_watched_says_so(void)
{
    Svm m;

    svm_start(&m, "x-scalable-mode=on,x-flts=on,x-pasid-mode=on");
    svm_map(&m, svm_bind(&m, PASID), VA, LEVEL_4K, svm_page(&m), PTE_USER_RW);
    g_assert_cmphex(dev_translate(&m, PASID, VA, true).perm, ==,
                    SVM_TESTDEV_FLAG_READ | SVM_TESTDEV_FLAG_WRITE);
    svm_stop(&m);
}

void svm_add_life_tests(void)
{
    qtest_add_func("/intel-iommu-svm/life/reset",
                   test_reset_disables_what_the_driver_enabled);
    qtest_add_func("/intel-iommu-svm/life/unwatched",
                   test_a_notifier_is_let_go_after_pasids_are_disabled);
    qtest_add_func("/intel-iommu-svm/life/unwatchable",
                   test_an_iommu_that_cannot_be_watched_says_so);
}
