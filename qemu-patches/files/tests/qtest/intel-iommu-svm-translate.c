/*
 * Tests of shared virtual memory through intel-iommu: translation requests
 * and untranslated requests, what they leave in page tables.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "intel-iommu-svm-util.h"

#define PASID 5
#define VA    0x7f1234567000ull

/* Translation requests ----------------------------------------------------- */

static void test_ats_answers_with_what_is_mapped(void)
{
    Svm m;
    uint64_t top, page;
    Translation t;

    svm_start(&m, SVM_IOMMU);
    top = svm_bind(&m, PASID);
    page = svm_page(&m);
    svm_map(&m, top, VA, LEVEL_4K, page, PTE_USER_RW);

    t = dev_translate(&m, PASID, VA + 8, true);
    g_assert_cmphex(t.perm, ==, SVM_TESTDEV_FLAG_READ | SVM_TESTDEV_FLAG_WRITE);
    g_assert_cmphex(t.address, ==, page);
    g_assert_cmphex(t.mask, ==, PAGE - 1);
    g_assert_cmpuint(t.errors, ==, 0);
    svm_assert_no_fault(&m);
    svm_stop(&m);
}

static void test_no_write_gives_no_write(void)
{
    Svm m;
    uint64_t top;

    svm_start(&m, SVM_IOMMU);
    top = svm_bind(&m, PASID);
    svm_map(&m, top, VA, LEVEL_4K, svm_page(&m), PTE_USER_RW);

    g_assert_cmphex(dev_translate(&m, PASID, VA, false).perm, ==,
                    SVM_TESTDEV_FLAG_READ);
    g_assert_cmphex(qtest_readq(m.qts, svm_pte(&m, top, VA, LEVEL_4K)) &
                    (PTE_A | PTE_D), ==, PTE_A);
    svm_stop(&m);
}

static void test_huge_pages_are_answered_whole(void)
{
    Svm m;
    uint64_t top;
    Translation t;

    svm_start(&m, SVM_IOMMU);
    top = svm_bind(&m, PASID);
    svm_map(&m, top, PAGE_1G, LEVEL_2M, 3 * PAGE_2M, PTE_USER_RW);
    svm_map(&m, top, 4 * PAGE_1G, LEVEL_1G, 5 * PAGE_1G, PTE_USER_RW);

    t = dev_translate(&m, PASID, PAGE_1G + 0x12345, true);
    g_assert_cmphex(t.address, ==, 3 * PAGE_2M);
    g_assert_cmphex(t.mask, ==, PAGE_2M - 1);
    t = dev_translate(&m, PASID, 4 * PAGE_1G + 0x1234567, false);
    g_assert_cmphex(t.address, ==, 5 * PAGE_1G);
    g_assert_cmphex(t.mask, ==, PAGE_1G - 1);
    svm_stop(&m);
}

static void test_a_miss_is_answered_and_not_recorded(void)
{
    Svm m;
    uint64_t top;
    Translation t;

    svm_start(&m, SVM_IOMMU);
    top = svm_bind(&m, PASID);
    t = dev_translate(&m, PASID, VA, false);
    g_assert_cmphex(t.perm, ==, 0);
    g_assert_cmpuint(t.errors, ==, 1);
    svm_assert_no_fault(&m);

    /* The kernel's half; not even an address. */
    svm_map(&m, top, 0xffff800000000000, LEVEL_4K, svm_page(&m), PTE_P | PTE_W);
    g_assert_cmphex(dev_translate(&m, PASID, 0xffff800000000000, false).perm,
                    ==, 0);
    g_assert_cmphex(dev_translate(&m, PASID, 0x800000000000, true).perm, ==, 0);
    svm_assert_no_fault(&m);

    /* A request that expects to be translated is another matter. */
    g_assert_cmpint(dev_command(&m, SVM_TESTDEV_CMD_DMA_READ, PASID, VA, 0), !=,
                    0);
    svm_assert_fault(&m, VTD_FR_FS_PAGING_ENTRY_P);
    svm_stop(&m);
}

static void test_a_page_without_write_permission_is_readable(void)
{
    Svm m;
    uint64_t top, page;
    Translation t;

    svm_start(&m, SVM_IOMMU);
    top = svm_bind(&m, PASID);
    page = svm_page(&m);
    svm_map(&m, top, VA, LEVEL_4K, page, PTE_USER_RO);

    t = dev_translate(&m, PASID, VA, true);
    g_assert_cmphex(t.perm, ==, SVM_TESTDEV_FLAG_READ);
    g_assert_cmphex(t.address, ==, page);
    g_assert_cmpuint(t.errors, ==, 1);
    svm_assert_no_fault(&m);
    g_assert_cmphex(qtest_readq(m.qts, svm_pte(&m, top, VA, LEVEL_4K)), ==,
                    page | PTE_USER_RO | PTE_A);
    svm_stop(&m);
}

static void test_the_last_page_of_all_is_answered(void)
{
    Svm m;

    svm_start(&m, SVM_IOMMU);
    svm_bind(&m, PASID);
    g_assert_cmphex(dev_translate(&m, PASID, -1ull, false).perm, ==, 0);
    svm_assert_no_fault(&m);
    svm_stop(&m);
}

/* Where interrupts go without a PASID, there is ordinary memory with one. */
#define INTERRUPT_VA 0xfee00000ull

static void test_the_interrupt_range_is_memory_with_a_pasid(void)
{
    Svm m;
    uint64_t page;

    svm_start(&m, SVM_IOMMU);
    page = svm_page(&m);
    svm_map(&m, svm_bind(&m, PASID), INTERRUPT_VA, LEVEL_4K, page, PTE_USER_RW);
    qtest_writeq(m.qts, page, 42);
    g_assert_cmphex(dev_translate(&m, PASID, INTERRUPT_VA, true).address, ==,
                    page);
    g_assert_cmpint(dev_command(&m, SVM_TESTDEV_CMD_DMA_READ, PASID,
                                INTERRUPT_VA, 0), ==, 0);
    g_assert_cmpuint(dev_reg64(&m, SVM_TESTDEV_DATA), ==, 42);
    svm_assert_no_fault(&m);

    /* Without one, or passing through: no */
    g_assert_cmphex(dev_translate(&m, SVM_TESTDEV_NO_PASID, INTERRUPT_VA,
                                  true).perm, ==, 0);
    svm_assert_no_fault(&m);
    g_assert_cmphex(dev_translate(&m, 0, INTERRUPT_VA, true).perm, ==, 0);
    svm_assert_fault(&m, VTD_FR_SM_INTERRUPT_ADDR);
    svm_stop(&m);
}

static void test_a_pasid_beyond_what_is_supported(void)
{
    Svm m;
    uint64_t top;

    svm_start(&m, SVM_IOMMU);
    top = svm_bind(&m, PASID);
    svm_map(&m, top, VA, LEVEL_4K, svm_page(&m), PTE_USER_RW);
    /* Where a reckless directory leads to the table of PASID 0 to 63 */
    for (uint32_t bit = 1 << 8; bit < 1 << 20; bit <<= 1) {
        if (bit >> 6 < PAGE / 8) {
            qtest_writeq(m.qts, m.pasid_directory + (bit >> 6) * 8,
                         m.pasid_table | 1);
        }
        g_assert_cmpint(dev_command(&m, SVM_TESTDEV_CMD_TRANSLATE, PASID | bit,
                                    VA, 0), ==, -EINVAL);
        g_assert_cmpint(dev_command(&m, SVM_TESTDEV_CMD_DMA_READ, PASID | bit,
                                    VA, 0), ==, -EPERM);
        g_assert_cmpint(dev_command(&m, SVM_TESTDEV_CMD_PAGE_REQUEST,
                                    PASID | bit, VA, SVM_TESTDEV_FLAG_READ), ==,
                        -EINVAL);
    }
    svm_assert_no_fault(&m);
    svm_stop(&m);
}

/* Untranslated requests ---------------------------------------------------- */

static void test_untranslated_requests_with_pasid(void)
{
    Svm m;
    uint64_t top, page;

    svm_start(&m, SVM_IOMMU);
    top = svm_bind(&m, PASID);
    page = svm_page(&m);
    svm_map(&m, top, VA, LEVEL_4K, page, PTE_USER_RW);
    qtest_writeq(m.qts, page + 16, 0x1122334455667788);

    g_assert_cmpint(dev_command(&m, SVM_TESTDEV_CMD_DMA_READ, PASID, VA + 16,
                                0), ==, 0);
    g_assert_cmphex(dev_reg64(&m, SVM_TESTDEV_DATA), ==, 0x1122334455667788);
    g_assert_cmpint(dev_command(&m, SVM_TESTDEV_CMD_DMA_WRITE, PASID, VA + 32,
                                0), ==, 0);
    g_assert_cmphex(qtest_readq(m.qts, page + 32), ==, 0x1122334455667788);
    /* Somebody else's address, and nobody's. */
    g_assert_cmpint(dev_command(&m, SVM_TESTDEV_CMD_DMA_READ, PASID + 1, VA, 0),
                    !=, 0);
    g_assert_cmpint(dev_command(&m, SVM_TESTDEV_CMD_DMA_READ, PASID, VA + PAGE,
                                0), !=, 0);
    svm_stop(&m);
}

static void test_pasids_need_the_guests_permission(void)
{
    Svm m;

    svm_start(&m, SVM_IOMMU);
    svm_map(&m, svm_bind(&m, PASID), VA, LEVEL_4K, svm_page(&m), PTE_USER_RW);
    qtest_writew(m.qts, dev_config(&m, PASID_CAP + PCI_PASID_CTRL), 0);
    g_assert_cmpint(dev_command(&m, SVM_TESTDEV_CMD_DMA_READ, PASID, VA, 0),
                    ==, -EPERM);
    g_assert_cmpint(dev_command(&m, SVM_TESTDEV_CMD_TRANSLATE, PASID, VA, 0),
                    ==, -EPERM);
    svm_stop(&m);
}

/* PASID table entries ------------------------------------------------------ */

static void test_an_entry_that_is_not_present_translates_nothing(void)
{
    Svm m;
    uint64_t entry, hi;

    svm_start(&m, SVM_IOMMU);
    svm_map(&m, svm_bind(&m, PASID), VA, LEVEL_4K, svm_page(&m), PTE_USER_RW);
    entry = svm_pasid_entry(&m, PASID);
    /* As Linux takes a PASID away: first the bit, at last the rest */
    qtest_writeq(m.qts, entry, qtest_readq(m.qts, entry) & ~VTD_PASID_ENTRY_P);
    g_assert_cmphex(dev_translate(&m, PASID, VA, true).perm, ==, 0);

    hi = svm_reg64(&m, DMAR_FRCD_REG_0_2);
    g_assert_cmphex(hi & (VTD_FRCD_PP(1) | VTD_FRCD_PV(0xfffff)), ==,
                    VTD_FRCD_PP(1) | VTD_FRCD_PV((uint64_t)PASID));
    svm_assert_fault(&m, VTD_FR_PASID_ENTRY_P);
    svm_stop(&m);
}

/* The address space is gone, its device need not know: no word about it. */
static void test_fault_processing_disabled_in_an_empty_entry(void)
{
    Svm m;
    uint64_t entry;

    svm_start(&m, SVM_IOMMU);
    svm_bind(&m, PASID);
    entry = svm_pasid_entry(&m, PASID);
    qtest_writeq(m.qts, entry, VTD_PASID_ENTRY_FPD);
    qtest_writeq(m.qts, entry + 16, 0);
    g_assert_cmphex(dev_translate(&m, PASID, VA, false).perm, ==, 0);
    g_assert_cmpint(dev_command(&m, SVM_TESTDEV_CMD_DMA_READ, PASID, VA, 0), !=,
                    0);
    svm_assert_no_fault(&m);

    qtest_writeq(m.qts, entry, 0);
    g_assert_cmphex(dev_translate(&m, PASID, VA, false).perm, ==, 0);
    svm_assert_fault(&m, VTD_FR_PASID_ENTRY_P);
    svm_stop(&m);
}

void svm_add_translation_tests(void)
{
    qtest_add_func("/intel-iommu-svm/ats/mapped",
                   test_ats_answers_with_what_is_mapped);
    qtest_add_func("/intel-iommu-svm/ats/no-write",
                   test_no_write_gives_no_write);
    qtest_add_func("/intel-iommu-svm/ats/huge",
                   test_huge_pages_are_answered_whole);
    qtest_add_func("/intel-iommu-svm/ats/miss",
                   test_a_miss_is_answered_and_not_recorded);
    qtest_add_func("/intel-iommu-svm/ats/read-only",
                   test_a_page_without_write_permission_is_readable);
    qtest_add_func("/intel-iommu-svm/ats/last-page",
                   test_the_last_page_of_all_is_answered);
    qtest_add_func("/intel-iommu-svm/ats/interrupt-range",
                   test_the_interrupt_range_is_memory_with_a_pasid);
    qtest_add_func("/intel-iommu-svm/pasid/not-present",
                   test_an_entry_that_is_not_present_translates_nothing);
    qtest_add_func("/intel-iommu-svm/pasid/faults-disabled",
                   test_fault_processing_disabled_in_an_empty_entry);
    qtest_add_func("/intel-iommu-svm/pasid/too-large",
                   test_a_pasid_beyond_what_is_supported);
    qtest_add_func("/intel-iommu-svm/dma/pasid",
                   test_untranslated_requests_with_pasid);
    qtest_add_func("/intel-iommu-svm/dma/disabled",
                   test_pasids_need_the_guests_permission);
}
