/*
 * Tandem GPU: what the GPU asks of the IOMMU: translations (ATS), pages (PRI),
 * and what the IOMMU takes back.
 *
 * The IOMMU is QEMU's, and belongs to the BQL.  The device thread does not
 * take that; what the model asks for is put into a queue under the device
 * lock, and a bottom half, which has the BQL, takes the queue over, lets go of
 * the device, asks, and enters the device again with the answers:
 *
 *   device thread        main loop (BQL)              vCPU (BQL)
 *   request -> queue
 *   goes on with others  takes the queue
 *                        asks the IOMMU
 *                        enters: answers
 *                                                     clears a PTE, flushes
 *                                                     IOMMU: our notifier
 *                                                     enters: entries killed
 *
 * Asking and answering are one hold of the BQL, and so is a flush: no answer
 * is older than a flush that comes before it.  The model is told of flushes
 * while its requests wait all the same, and asks those anew.  Under
 * execution=deterministic the timer that ran the slice has the BQL and asks
 * when the slice is over, so that record/replay sees the same order.
 *
 * The IOMMU tells of a PASID only to those who registered for it.  We
 * do when the GPU uses one for the first time, before the first answer, and
 * stay: TANDEM_PCI_PASID_BITS bounds how many there can be.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/range.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie.h"
#include "tandem-gpu.h"

/* Where the extended capabilities are in configuration space. */
#define TANDEM_ATS_CAP   0x100
#define TANDEM_PASID_CAP 0x110
#define TANDEM_PRI_CAP   0x120

/* One for each PASID in use, and one for requests without.  BQL. */
typedef struct TandemPasid {
    TandemGpu *gpu;
    uint32_t pasid;              /* or TANDEM_NO_PASID */
    IOMMUNotifier iotlb;
    IOMMUPRINotifier pri;
} TandemPasid;

/* What the model asked for: either. */
typedef struct TandemAtsCall {
    bool is_page_request;
    union {
        struct tandem_ats_request ats;
        struct tandem_page_request page;
    };
} TandemAtsCall;

QEMU_BUILD_BUG_ON(TANDEM_NO_PASID != PCI_NO_PASID);

/* Host operations of the model ------------------------------------------- */

static void tandem_ats_queue(TandemGpu *s, const TandemAtsCall *call)
{
    g_array_append_val(s->ats.calls, *call);
    qatomic_set(&s->ats.calls_wait, true);
    if (s->exec.mode == TANDEM_EXECUTION_PARALLEL) {
        qemu_bh_schedule(s->ats.bh);
    }
}

void tandem_ats_request(void *opaque, const struct tandem_ats_request *request)
{
    TandemAtsCall call = { .ats = *request };

    tandem_ats_queue(opaque, &call);
}

void tandem_ats_page_request(void *opaque,
                             const struct tandem_page_request *request)
{
    TandemAtsCall call = { .is_page_request = true, .page = *request };

    tandem_ats_queue(opaque, &call);
}

/* What the IOMMU says by itself ------------------------------------------ */

/* BQL held: the vCPU that flushes waits here until the GPU has forgotten. */
static void tandem_ats_invalidated(IOMMUNotifier *notifier,
                                   IOMMUTLBEntry *entry)
{
    TandemPasid *pasid = container_of(notifier, TandemPasid, iotlb);
    TandemGpu *s = pasid->gpu;
    uint64_t began = tandem_exec_now(s);
    struct tandem_atc_invalidation invalidation = {
        .address = entry->iova & ~entry->addr_mask,
        .bytes = entry->addr_mask + 1, /* 0: everything */
        .pasid = pasid->pasid,
    };

    /* With hostile timing the model goes on working before it lets go. */
    RCU_READ_LOCK_GUARD();
    tandem_enter(s);
    if (s->model) {
        invalidation.waited_ns = tandem_exec_now(s) - began;
        tandem_model_atc_invalidate(s->model, &invalidation);
        tandem_kick(s);
    }
    tandem_leave_silently(s);
}

static void tandem_ats_respond(TandemGpu *s, uint32_t pasid, uint32_t group,
                               uint32_t code)
{
    tandem_enter(s);
    if (s->model) {
        tandem_model_page_response(s->model, pasid, group, code);
        tandem_kick(s);
    }
    tandem_leave_silently(s);
}

/* The numbers are the specification's, and so the guest's. */
static uint32_t tandem_response_code(IOMMUPRIResponseCode code)
{
    switch (code) {
    case IOMMU_PRI_RESP_SUCCESS:
        return TANDEM_PAGE_RESPONSE_SUCCESS;
    case IOMMU_PRI_RESP_INVALID_REQUEST:
        return TANDEM_PAGE_RESPONSE_INVALID;
    case IOMMU_PRI_RESP_FAILURE:
        break;
    }
    return TANDEM_PAGE_RESPONSE_FAILURE;
}

static void tandem_ats_responded(IOMMUPRINotifier *notifier,
                                 IOMMUPRIResponse *response)
{
    TandemPasid *pasid = container_of(notifier, TandemPasid, pri);

    tandem_ats_respond(pasid->gpu, pasid->pasid, response->prgi,
                       tandem_response_code(response->response_code));
}

/* PASIDs ----------------------------------------------------------------- */

/* False: nobody would tell us of invalidations, so nothing may be asked. */
static bool tandem_pasid_register(TandemPasid *pasid)
{
    PCIDevice *pdev = PCI_DEVICE(pasid->gpu);

    if (pci_iommu_init_iotlb_notifier(pdev, &pasid->iotlb,
                                      tandem_ats_invalidated, pasid) ||
        pci_iommu_register_iotlb_notifier(pdev, pasid->pasid,
                                          &pasid->iotlb)) {
        return false;
    }
    pasid->pri.notify = tandem_ats_responded;
    /* Without: nobody asks for pages, and nothing is answered. */
    pci_pri_register_notifier(pdev, pasid->pasid, &pasid->pri);
    return true;
}

static bool tandem_ats_know(TandemGpu *s, uint32_t number)
{
    gpointer key = GUINT_TO_POINTER(number);
    TandemPasid *pasid;

    if (g_hash_table_contains(s->ats.pasids, key)) {
        return true;
    }
    pasid = g_new0(TandemPasid, 1);
    pasid->gpu = s;
    pasid->pasid = number;
    if (!tandem_pasid_register(pasid)) {
        g_free(pasid);
        return false;
    }
    g_hash_table_insert(s->ats.pasids, key, pasid);
    return true;
}

static void tandem_pasid_forget(gpointer data)
{
    TandemPasid *pasid = data;
    PCIDevice *pdev = PCI_DEVICE(pasid->gpu);

    pci_pri_unregister_notifier(pdev, pasid->pasid);
    pci_iommu_unregister_iotlb_notifier(pdev, pasid->pasid, &pasid->iotlb);
    g_free(pasid);
}

/* Asking ----------------------------------------------------------------- */

/* BQL held, device lock not held. */
static struct tandem_ats_answer
tandem_ats_ask(TandemGpu *s, const struct tandem_ats_request *request)
{
    struct tandem_ats_answer answer = { .bytes = TANDEM_PAGE_BYTES };
    IOMMUTLBEntry entry;
    uint32_t errors;

    if (!tandem_ats_know(s, request->pasid) ||
        pci_ats_request_translation(PCI_DEVICE(s), request->pasid, false,
                                    false, request->address, TANDEM_PAGE_BYTES,
                                    !request->write, &entry, 1,
                                    &errors) != 1) {
        return answer;
    }
    answer.read = entry.perm & IOMMU_RO;
    answer.write = entry.perm & IOMMU_WO;
    answer.bytes = entry.addr_mask + 1;
    answer.translated = entry.translated_addr;
    return answer;
}

/*
 * A request that is refused (the guest has switched page requests off, say) is
 * answered by nobody.  If it was not the group's last, the last one is.
 */
static void tandem_ats_ask_for_page(TandemGpu *s,
                                    const struct tandem_page_request *request)
{
    int ret = -EPERM;

    if (tandem_ats_know(s, request->pasid)) {
        ret = pci_pri_request_page(PCI_DEVICE(s), request->pasid, false, false,
                                   request->address, request->last,
                                   request->group, request->read,
                                   request->write);
    }
    if (ret < 0 && request->last) {
        tandem_ats_respond(s, request->pasid, request->group,
                           TANDEM_PAGE_RESPONSE_INVALID);
    }
}

/*
 * All answers in one visit: what asks for pages because of them does so
 * together.
 */
static void tandem_ats_deliver(TandemGpu *s, GArray *calls,
                               const struct tandem_ats_answer *answers)
{
    tandem_enter(s);
    for (unsigned i = 0; s->model && i < calls->len; i++) {
        TandemAtsCall *call = &g_array_index(calls, TandemAtsCall, i);

        if (!call->is_page_request) {
            tandem_model_ats_answer(s->model, call->ats.id, &answers[i]);
        }
    }
    if (s->model) {
        tandem_kick(s);
    }
    tandem_leave(s);
}

/* BQL held, device lock not held. */
void tandem_ats_serve(TandemGpu *s)
{
    g_autofree struct tandem_ats_answer *answers = NULL;
    GArray *calls;

    assert(bql_locked());
    tandem_enter(s);
    qatomic_set(&s->ats.calls_wait, false);
    calls = s->ats.calls;
    s->ats.calls = g_array_new(false, false, sizeof(TandemAtsCall));
    tandem_leave(s);

    answers = g_new0(struct tandem_ats_answer, calls->len);
    for (unsigned i = 0; i < calls->len; i++) {
        TandemAtsCall *call = &g_array_index(calls, TandemAtsCall, i);

        if (call->is_page_request) {
            tandem_ats_ask_for_page(s, &call->page);
        } else {
            answers[i] = tandem_ats_ask(s, &call->ats);
        }
    }
    tandem_ats_deliver(s, calls, answers);
    g_array_unref(calls);
}

static void tandem_ats_bh(void *opaque)
{
    tandem_ats_serve(opaque);
}

/* Capabilities and life -------------------------------------------------- */

/* BQL held: after whatever may have changed what the guest allows. */
void tandem_ats_update(TandemGpu *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    bool ats = pcie_ats_enabled(pdev);
    uint32_t pages = MIN(pcie_pri_get_req_alloc(pdev),
                         TANDEM_PCI_PAGE_REQUESTS);

    tandem_enter(s);
    if (s->model) {
        tandem_model_set_ats(s->model, ats, ats ? pages : 0);
        tandem_kick(s);
    }
    tandem_leave(s);
}

void tandem_ats_config_written(TandemGpu *s, uint32_t address, int len)
{
    if (ranges_overlap(address, len, TANDEM_ATS_CAP, 0x40)) {
        tandem_ats_update(s);
    }
}

void tandem_ats_reset(TandemGpu *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    pcie_ats_reset(pdev);
    pcie_pasid_reset(pdev);
    pcie_pri_reset(pdev);
    tandem_ats_update(s);
}

void tandem_ats_init_capabilities(TandemGpu *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    pcie_ats_init(pdev, TANDEM_ATS_CAP, true);
    pcie_pasid_init(pdev, TANDEM_PASID_CAP, TANDEM_PCI_PASID_BITS, false,
                    false);
    pcie_pri_init(pdev, TANDEM_PRI_CAP, TANDEM_PCI_PAGE_REQUESTS, true);
}

void tandem_ats_start(TandemGpu *s)
{
    s->ats.calls = g_array_new(false, false, sizeof(TandemAtsCall));
    s->ats.pasids = g_hash_table_new_full(NULL, NULL, NULL,
                                          tandem_pasid_forget);
    s->ats.bh = qemu_bh_new_guarded(tandem_ats_bh, s,
                                    &DEVICE(s)->mem_reentrancy_guard);
}

/* BQL held; nobody runs the model any more. */
void tandem_ats_stop(TandemGpu *s)
{
    g_clear_pointer(&s->ats.bh, qemu_bh_delete);
    g_clear_pointer(&s->ats.pasids, g_hash_table_unref);
    g_clear_pointer(&s->ats.calls, g_array_unref);
    s->ats.calls_wait = false;
}
