/*
 * Tests of shared virtual memory through intel-iommu: what is offered.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "intel-iommu-svm-util.h"

static void test_svm_sets_what_linux_asks_for(void)
{
    uint64_t wanted = VTD_ECAP_PRS | VTD_ECAP_PDS | VTD_ECAP_SMPWC |
                      VTD_ECAP_NWFS | VTD_ECAP_PASID | VTD_ECAP_DT;
    Svm m;

    svm_start(&m, SVM_IOMMU);
    g_assert_cmphex(svm_reg64(&m, DMAR_ECAP_REG) & wanted, ==, wanted);
    g_assert_cmphex(svm_reg32(&m, DMAR_PECTL_REG), ==, VTD_PR_PECTL_IM);
    svm_stop(&m);
}

static void test_without_svm_nothing_changes(void)
{
    QTestState *qts = qtest_init("-M q35 -nodefaults -device intel-iommu,"
                                 "x-scalable-mode=on,x-flts=on,x-pasid-mode=on");
    uint64_t ecap = qtest_readq(qts, Q35_HOST_BRIDGE_IOMMU_ADDR +
                                     DMAR_ECAP_REG);

    g_assert_cmphex(ecap & (VTD_ECAP_PRS | VTD_ECAP_PDS | VTD_ECAP_SMPWC |
                            VTD_ECAP_NWFS | VTD_ECAP_DT), ==, 0);
    qtest_quit(qts);
}

/* Starts QEMU with options that it must refuse; returns what it says. */
static char *refusal(const char *options)
{
    g_autofree char *device = g_strconcat("intel-iommu,", options, NULL);
    const char *argv[] = {
        getenv("QTEST_QEMU_BINARY"), "-M", "q35", "-nodefaults", "-S",
        "-display", "none", "-accel", "qtest", "-device", device, NULL
    };
    char *errors = NULL;
    int status = 0;

    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT,
                               NULL, NULL, NULL, &errors, &status, NULL));
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    return errors;
}

static void assert_refused(const char *options, const char *reason)
{
    g_autofree char *errors = refusal(options);

    if (!strstr(errors, reason)) {
        g_test_message("%s: %s", options, errors);
        g_assert_not_reached();
    }
}

static void test_svm_names_what_it_misses(void)
{
    assert_refused("svm=on", "x-scalable-mode=on");
    assert_refused("svm=on,x-scalable-mode=on", "x-flts=on");
    assert_refused("svm=on,x-scalable-mode=on,x-flts=on", "x-pasid-mode=on");
    assert_refused("svm=on,x-scalable-mode=on,x-flts=on,x-pasid-mode=on",
                   "device-iotlb=on");
    assert_refused(SVM_IOMMU ",dma-translation=off", "dma-translation=on");
    assert_refused("x-scalable-mode=on,x-flts=on,x-pasid-mode=on,"
                   "device-iotlb=on", "svm=on");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/intel-iommu-svm/capabilities",
                   test_svm_sets_what_linux_asks_for);
    qtest_add_func("/intel-iommu-svm/off", test_without_svm_nothing_changes);
    qtest_add_func("/intel-iommu-svm/refused", test_svm_names_what_it_misses);
    svm_add_translation_tests();
    svm_add_accessed_tests();
    svm_add_invalidation_tests();
    svm_add_request_tests();
    svm_add_life_tests();
    return g_test_run();
}
