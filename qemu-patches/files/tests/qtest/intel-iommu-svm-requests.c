/*
 * Tests of shared virtual memory through intel-iommu: page requests, the
 * queue that they go to, responses, and draining it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "intel-iommu-svm-util.h"

#define PASID 5
#define VA    0x7f1234567000ull

#define WAIT_DRAIN  (1ull << 7)

static int request(Svm *m, uint64_t va, unsigned group, uint32_t flags)
{
    return dev_command(m, SVM_TESTDEV_CMD_PAGE_REQUEST, PASID, va,
                       SVM_TESTDEV_FLAG_GROUP(group) | flags);
}

static int request_last(Svm *m, uint64_t va, unsigned group)
{
    return request(m, va, group,
                   SVM_TESTDEV_FLAG_READ | SVM_TESTDEV_FLAG_LAST);
}

static unsigned queued(Svm *m)
{
    return (svm_reg64(m, DMAR_PQT_REG) - svm_reg64(m, DMAR_PQH_REG)) /
           VTD_PQA_ENTRY_SIZE % PRQ_ENTRIES;
}

static void test_a_request_and_its_response(void)
{
    Svm m;

    svm_start(&m, SVM_IOMMU);
    svm_bind(&m, PASID);
    g_assert_cmpint(request(&m, VA, 0x155, SVM_TESTDEV_FLAG_READ |
                            SVM_TESTDEV_FLAG_WRITE | SVM_TESTDEV_FLAG_LAST),
                    ==, 0);
    g_assert_cmpuint(queued(&m), ==, 1);
    g_assert_cmphex(svm_reg32(&m, DMAR_PRS_REG), ==, VTD_PR_STATUS_PPR);
    g_assert_cmphex(svm_reg32(&m, DMAR_PECTL_REG), ==,
                    VTD_PR_PECTL_IM | VTD_PR_PECTL_IP);
    g_assert_cmphex(qtest_readq(m.qts, m.requests), ==,
                    VTD_PRD_TYPE | VTD_PRD_PP(1) | VTD_PRD_RID(dev_sid(&m)) |
                    VTD_PRD_PASID((uint64_t)PASID));
    g_assert_cmphex(qtest_readq(m.qts, m.requests + 8), ==,
                    VA | VTD_PRD_RDR(1) | VTD_PRD_WRR(1) | VTD_PRD_LPIG(1) |
                    VTD_PRD_PRGI(0x155));

    svm_set_reg64(&m, DMAR_PQH_REG, VTD_PQA_ENTRY_SIZE);
    svm_set_reg32(&m, DMAR_PRS_REG, VTD_PR_STATUS_PPR);
    g_assert_cmphex(svm_reg32(&m, DMAR_PECTL_REG), ==, VTD_PR_PECTL_IM);
    svm_respond(&m, PASID, 0x155, 1);
    g_assert_cmpuint(dev_reg32(&m, SVM_TESTDEV_RESPONSE_COUNT), ==, 1);
    g_assert_cmpuint(dev_reg32(&m, SVM_TESTDEV_RESPONSE_PASID), ==, PASID);
    g_assert_cmphex(dev_reg32(&m, SVM_TESTDEV_RESPONSE_GROUP), ==, 0x155);
    g_assert_cmpuint(dev_reg32(&m, SVM_TESTDEV_RESPONSE_CODE), ==,
                     IOMMU_PRI_RESP_INVALID_REQUEST);
    svm_stop(&m);
}

static void test_draining_completes(void)
{
    Svm m;

    svm_start(&m, SVM_IOMMU);
    svm_bind(&m, PASID);
    g_assert_cmpint(request_last(&m, VA, 1), ==, 0);
    /* What came before the drain is in the queue when the wait returns. */
    g_assert_true(svm_wait(&m, WAIT_DRAIN));
    g_assert_cmpuint(queued(&m), ==, 1);
    g_assert_cmphex(svm_reg32(&m, DMAR_FSTS_REG) & VTD_FSTS_IQE, ==, 0);
    svm_stop(&m);

    /* Without page requests the flag is reserved. */
    svm_start(&m, "x-scalable-mode=on,x-flts=on,x-pasid-mode=on");
    g_assert_false(svm_wait(&m, WAIT_DRAIN));
    g_assert_cmphex(svm_reg32(&m, DMAR_FSTS_REG) & VTD_FSTS_IQE, !=, 0);
    svm_stop(&m);
}

/* The queue ---------------------------------------------------------------- */

static void test_the_queue_goes_round(void)
{
    Svm m;

    svm_start(&m, SVM_IOMMU);
    svm_bind(&m, PASID);
    for (unsigned i = 0; i < 3 * PRQ_ENTRIES; i++) {
        uint64_t head = svm_reg64(&m, DMAR_PQH_REG);

        g_assert_cmpint(request_last(&m, VA + i * PAGE, i % 512), ==, 0);
        g_assert_cmphex(qtest_readq(m.qts, m.requests + head + 8) &
                        VTD_PRD_ADDR(-1ull), ==, VA + i * PAGE);
        svm_set_reg64(&m, DMAR_PQH_REG, svm_reg64(&m, DMAR_PQT_REG));
    }
    g_assert_cmphex(svm_reg32(&m, DMAR_PRS_REG), ==, VTD_PR_STATUS_PPR);
    svm_stop(&m);
}

static void assert_success(Svm *m, unsigned count, unsigned group)
{
    g_assert_cmpuint(dev_reg32(m, SVM_TESTDEV_RESPONSE_COUNT), ==, count);
    g_assert_cmpuint(dev_reg32(m, SVM_TESTDEV_RESPONSE_GROUP), ==, group);
    g_assert_cmpuint(dev_reg32(m, SVM_TESTDEV_RESPONSE_CODE), ==,
                     IOMMU_PRI_RESP_SUCCESS);
}

static void test_overflow_loses_no_group(void)
{
    Svm m;
    uint64_t tail;

    svm_start(&m, SVM_IOMMU);
    svm_bind(&m, PASID);
    for (unsigned i = 0; i < PRQ_ENTRIES - 1; i++) {
        g_assert_cmpint(request_last(&m, VA + i * PAGE, i), ==, 0);
    }
    g_assert_cmpuint(queued(&m), ==, PRQ_ENTRIES - 1);
    g_assert_cmpuint(dev_reg32(&m, SVM_TESTDEV_RESPONSE_COUNT), ==, 0);
    tail = svm_reg64(&m, DMAR_PQT_REG);

    /* Full: the first one dropped sets PRO, the end of a group is answered. */
    g_assert_cmpint(request(&m, VA, 300, SVM_TESTDEV_FLAG_READ), ==, 0);
    g_assert_cmphex(svm_reg32(&m, DMAR_PRS_REG), ==,
                    VTD_PR_STATUS_PPR | VTD_PR_STATUS_PRO);
    g_assert_cmpuint(dev_reg32(&m, SVM_TESTDEV_RESPONSE_COUNT), ==, 0);
    g_assert_cmpint(request_last(&m, VA, 300), ==, 0);
    assert_success(&m, 1, 300);

    /* Room again, but PRO stands: still dropped. */
    svm_set_reg64(&m, DMAR_PQH_REG, tail);
    g_assert_cmpint(request_last(&m, VA, 301), ==, 0);
    assert_success(&m, 2, 301);
    g_assert_cmphex(svm_reg64(&m, DMAR_PQT_REG), ==, tail);

    svm_set_reg32(&m, DMAR_PRS_REG, VTD_PR_STATUS_PPR | VTD_PR_STATUS_PRO);
    g_assert_cmphex(svm_reg32(&m, DMAR_PRS_REG), ==, 0);
    g_assert_cmpint(request_last(&m, VA, 302), ==, 0);
    g_assert_cmpuint(queued(&m), ==, 1);
    assert_success(&m, 2, 301);
    svm_stop(&m);
}

/* Requests that nobody expects --------------------------------------------- */

/* Software hears of it, and says no. */
static void test_a_request_for_a_pasid_that_is_gone(void)
{
    Svm m;

    svm_start(&m, SVM_IOMMU);
    g_assert_cmpint(request_last(&m, VA, 9), ==, 0);
    g_assert_cmpuint(queued(&m), ==, 1);
    svm_assert_no_fault(&m);
    svm_respond(&m, PASID, 9, 1);
    g_assert_cmpuint(dev_reg32(&m, SVM_TESTDEV_RESPONSE_CODE), ==,
                     IOMMU_PRI_RESP_INVALID_REQUEST);
    svm_stop(&m);
}

static void test_requests_need_permission(void)
{
    Svm m;
    uint64_t context;

    svm_start(&m, SVM_IOMMU);
    svm_bind(&m, PASID);
    context = m.context + m.dev->devfn * VTD_CTX_ENTRY_SCALABLE_SIZE;
    qtest_writeq(m.qts, context, qtest_readq(m.qts, context) &
                                 ~VTD_SM_CONTEXT_ENTRY_PRE);
    g_assert_cmpint(request_last(&m, VA, 1), ==, -EPERM);
    svm_assert_fault(&m, VTD_FR_SM_PRE_ABS);
    g_assert_cmpuint(queued(&m), ==, 0);
    g_assert_cmpint(dev_command(&m, SVM_TESTDEV_CMD_PAGE_REQUEST,
                                SVM_TESTDEV_NO_PASID, VA,
                                SVM_TESTDEV_FLAG_READ), ==, -EPERM);
    svm_stop(&m);
}

/* The device need not have asked; that is its problem. */
static void test_a_response_that_nobody_asked_for(void)
{
    Svm m;

    svm_start(&m, SVM_IOMMU);
    svm_bind(&m, PASID);
    svm_respond(&m, PASID, 77, 0); /* the device does not listen yet */
    g_assert_cmpuint(dev_reg32(&m, SVM_TESTDEV_RESPONSE_COUNT), ==, 0);
    g_assert_cmpint(request_last(&m, VA, 1), ==, 0);
    svm_respond(&m, PASID, 77, 0xf);
    g_assert_cmpuint(dev_reg32(&m, SVM_TESTDEV_RESPONSE_GROUP), ==, 77);
    g_assert_cmpuint(dev_reg32(&m, SVM_TESTDEV_RESPONSE_CODE), ==,
                     IOMMU_PRI_RESP_FAILURE);
    svm_stop(&m);
}

/* A page that was mapped meanwhile must not be hidden by a cached answer. */
static void test_a_request_forgets_what_was_cached(void)
{
    Svm m;
    uint64_t top;

    svm_start(&m, SVM_IOMMU);
    top = svm_bind(&m, PASID);
    svm_map(&m, top, VA, LEVEL_4K, PAGE_2M, PTE_USER_RW);
    g_assert_cmphex(dev_translate(&m, PASID, VA, true).address, ==, PAGE_2M);
    svm_map(&m, top, VA, LEVEL_4K, PAGE_1G, PTE_USER_RW);
    g_assert_cmpint(request_last(&m, VA, 1), ==, 0);
    g_assert_cmphex(dev_translate(&m, PASID, VA, true).address, ==, PAGE_1G);
    svm_stop(&m);
}

void svm_add_request_tests(void)
{
    qtest_add_func("/intel-iommu-svm/pri/response",
                   test_a_request_and_its_response);
    qtest_add_func("/intel-iommu-svm/pri/drain", test_draining_completes);
    qtest_add_func("/intel-iommu-svm/pri/round", test_the_queue_goes_round);
    qtest_add_func("/intel-iommu-svm/pri/overflow",
                   test_overflow_loses_no_group);
    qtest_add_func("/intel-iommu-svm/pri/pasid-gone",
                   test_a_request_for_a_pasid_that_is_gone);
    qtest_add_func("/intel-iommu-svm/pri/permission",
                   test_requests_need_permission);
    qtest_add_func("/intel-iommu-svm/pri/unknown-response",
                   test_a_response_that_nobody_asked_for);
    qtest_add_func("/intel-iommu-svm/pri/forgets",
                   test_a_request_forgets_what_was_cached);
}
