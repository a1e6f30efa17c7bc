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

void svm_add_request_tests(void)
{
    qtest_add_func("/intel-iommu-svm/pri/response",
                   test_a_request_and_its_response);
    qtest_add_func("/intel-iommu-svm/pri/drain", test_draining_completes);
}
