/*
 * PCI test device for shared virtual memory
 *
 * Sends what a device sends that shares an address space with a process
 * through the IOMMU (translation requests, untranslated requests with PASID,
 * page requests), whatever a guest or a test tells it to, right or wrong, and
 * keeps what comes back: answers, page group responses, invalidations of its
 * device IOTLB.  It has no device IOTLB: each command asks anew.
 *
 * All of it happens in the thread that writes the command register, with the
 * BQL held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "hw/pci/pci_device.h"
#include "hw/pci/pcie.h"
#include "migration/vmstate.h"
#include "pci-svm-testdev.h"
#include "qom/object.h"
#include "system/dma.h"

#define TYPE_PCI_SVM_TESTDEV "pci-svm-testdev"
OBJECT_DECLARE_SIMPLE_TYPE(SvmTestdev, PCI_SVM_TESTDEV)

#define EXPRESS_CAP_OFFSET      0x80
#define ATS_CAP_OFFSET          0x100
#define PASID_CAP_OFFSET        0x110
#define PRI_CAP_OFFSET          0x120
#define PASID_WIDTH             20
#define OUTSTANDING_REQUESTS    512

/* What the IOMMU tells about one address space */
typedef struct SvmWatch {
    SvmTestdev *dev;
    uint32_t pasid;
    bool iotlb_registered;
    bool pri_registered;
    IOMMUNotifier iotlb;
    IOMMUPRINotifier pri;
} SvmWatch;

typedef struct SvmInvalidation {
    uint32_t pasid;
    uint64_t address;
    uint64_t mask;
} SvmInvalidation;

struct SvmTestdev {
    PCIDevice parent_obj;

    MemoryRegion mmio;
    GHashTable *watches; /* PASID -> SvmWatch */

    uint32_t pasid;
    uint32_t flags;
    uint64_t address;
    uint64_t length;
    uint64_t data;
    int32_t result;

    uint32_t ats_errors;
    uint32_t ats_select;
    IOMMUTLBEntry answers[SVM_TESTDEV_ATS_ANSWERS];

    uint32_t responses;
    uint32_t response_pasid;
    IOMMUPRIResponse response;

    uint32_t invalidations;
    uint32_t inval_select;
    SvmInvalidation log[SVM_TESTDEV_INVAL_LOG];
};

/* What the IOMMU says ----------------------------------------------------- */

static void svm_on_invalidation(IOMMUNotifier *n, IOMMUTLBEntry *entry)
{
    SvmWatch *watch = container_of(n, SvmWatch, iotlb);
    SvmTestdev *d = watch->dev;

    d->log[d->invalidations++ % SVM_TESTDEV_INVAL_LOG] = (SvmInvalidation) {
        .pasid = entry->pasid,
        .address = entry->iova,
        .mask = entry->addr_mask,
    };
}

static void svm_on_response(IOMMUPRINotifier *n, IOMMUPRIResponse *response)
{
    SvmWatch *watch = container_of(n, SvmWatch, pri);

    watch->dev->responses++;
    watch->dev->response_pasid = watch->pasid;
    watch->dev->response = *response;
}

static void svm_unwatch(gpointer opaque)
{
    SvmWatch *watch = opaque;
    PCIDevice *pci = PCI_DEVICE(watch->dev);

    if (watch->iotlb_registered) {
        pci_iommu_unregister_iotlb_notifier(pci, watch->pasid, &watch->iotlb);
    }
    if (watch->pri_registered) {
        pci_pri_unregister_notifier(pci, watch->pasid);
    }
    g_free(watch);
}

/* Called for each request, since the guest enables things one by one. */
static void svm_watch(SvmTestdev *d, uint32_t pasid)
{
    PCIDevice *pci = PCI_DEVICE(d);
    SvmWatch *watch = g_hash_table_lookup(d->watches, GUINT_TO_POINTER(pasid));

    if (!watch) {
        watch = g_new0(SvmWatch, 1);
        watch->dev = d;
        watch->pasid = pasid;
        watch->pri.notify = svm_on_response;
        g_hash_table_insert(d->watches, GUINT_TO_POINTER(pasid), watch);
    }
    if (!watch->iotlb_registered && pcie_ats_enabled(pci) &&
        !pci_iommu_init_iotlb_notifier(pci, &watch->iotlb,
                                       svm_on_invalidation, watch)) {
        watch->iotlb_registered =
            !pci_iommu_register_iotlb_notifier(pci, pasid, &watch->iotlb);
    }
    if (!watch->pri_registered && pcie_pri_enabled(pci)) {
        watch->pri_registered =
            !pci_pri_register_notifier(pci, pasid, &watch->pri);
    }
}

/* Commands ---------------------------------------------------------------- */

static int svm_translate(SvmTestdev *d)
{
    memset(d->answers, 0, sizeof(d->answers));
    d->ats_errors = 0;
    return pci_ats_request_translation(PCI_DEVICE(d), d->pasid,
                                       d->flags & SVM_TESTDEV_FLAG_PRIV,
                                       d->flags & SVM_TESTDEV_FLAG_EXEC,
                                       d->address, d->length,
                                       !(d->flags & SVM_TESTDEV_FLAG_WRITE),
                                       d->answers, SVM_TESTDEV_ATS_ANSWERS,
                                       &d->ats_errors);
}

static int svm_dma(SvmTestdev *d, DMADirection direction)
{
    PCIDevice *pci = PCI_DEVICE(d);
    AddressSpace *as = d->pasid == SVM_TESTDEV_NO_PASID
        ? pci_get_address_space(pci)
        : pci_device_iommu_address_space_pasid(pci, d->pasid);
    uint64_t data = cpu_to_le64(d->data);
    int result;

    if (!as) {
        return -EPERM;
    }
    result = dma_memory_rw(as, d->address, &data, sizeof(data), direction,
                           MEMTXATTRS_UNSPECIFIED);
    if (direction == DMA_DIRECTION_TO_DEVICE) {
        d->data = result == MEMTX_OK ? le64_to_cpu(data) : 0;
    }
    return result;
}

static int svm_request_page(SvmTestdev *d)
{
    return pci_pri_request_page(PCI_DEVICE(d), d->pasid,
                                d->flags & SVM_TESTDEV_FLAG_PRIV,
                                d->flags & SVM_TESTDEV_FLAG_EXEC,
                                d->address,
                                d->flags & SVM_TESTDEV_FLAG_LAST,
                                extract32(d->flags, 16, 9),
                                d->flags & SVM_TESTDEV_FLAG_READ,
                                d->flags & SVM_TESTDEV_FLAG_WRITE);
}

static void svm_clear(SvmTestdev *d)
{
    d->responses = 0;
    d->invalidations = 0;
}

static void svm_command(SvmTestdev *d, uint32_t command)
{
    switch (command) {
    case SVM_TESTDEV_CMD_TRANSLATE:
        svm_watch(d, d->pasid);
        d->result = svm_translate(d);
        break;
    case SVM_TESTDEV_CMD_DMA_READ:
        d->result = svm_dma(d, DMA_DIRECTION_TO_DEVICE);
        break;
    case SVM_TESTDEV_CMD_DMA_WRITE:
        d->result = svm_dma(d, DMA_DIRECTION_FROM_DEVICE);
        break;
    case SVM_TESTDEV_CMD_PAGE_REQUEST:
        svm_watch(d, d->pasid);
        d->result = svm_request_page(d);
        break;
    case SVM_TESTDEV_CMD_CLEAR:
        svm_clear(d);
        d->result = 0;
        break;
    default:
        qemu_log_mask(LOG_GUEST_ERROR, "%s: unknown command %u\n",
                      TYPE_PCI_SVM_TESTDEV, command);
        d->result = -EINVAL;
    }
}

/* Registers --------------------------------------------------------------- */

static const IOMMUTLBEntry *svm_answer(const SvmTestdev *d)
{
    return &d->answers[d->ats_select % SVM_TESTDEV_ATS_ANSWERS];
}

/* Counted from the newest; what was never written reads as zero. */
static const SvmInvalidation *svm_invalidation(const SvmTestdev *d)
{
    return &d->log[(d->invalidations - 1 - d->inval_select) %
                   SVM_TESTDEV_INVAL_LOG];
}

static uint64_t svm_mmio_read(void *opaque, hwaddr addr, unsigned size)
{
    SvmTestdev *d = opaque;

    switch (addr) {
    case SVM_TESTDEV_MAGIC:
        return SVM_TESTDEV_MAGIC_VALUE;
    case SVM_TESTDEV_PASID:
        return d->pasid;
    case SVM_TESTDEV_FLAGS:
        return d->flags;
    case SVM_TESTDEV_ADDRESS:
        return d->address;
    case SVM_TESTDEV_LENGTH:
        return d->length;
    case SVM_TESTDEV_DATA:
        return d->data;
    case SVM_TESTDEV_RESULT:
        return (uint32_t)d->result;
    case SVM_TESTDEV_ATS_ERRORS:
        return d->ats_errors;
    case SVM_TESTDEV_ATS_SELECT:
        return d->ats_select;
    case SVM_TESTDEV_ATS_PERM:
        return svm_answer(d)->perm;
    case SVM_TESTDEV_ATS_ADDRESS:
        return svm_answer(d)->translated_addr;
    case SVM_TESTDEV_ATS_MASK:
        return svm_answer(d)->addr_mask;
    case SVM_TESTDEV_RESPONSE_COUNT:
        return d->responses;
    case SVM_TESTDEV_RESPONSE_PASID:
        return d->response_pasid;
    case SVM_TESTDEV_RESPONSE_GROUP:
        return d->response.prgi;
    case SVM_TESTDEV_RESPONSE_CODE:
        return d->response.response_code;
    case SVM_TESTDEV_INVAL_COUNT:
        return d->invalidations;
    case SVM_TESTDEV_INVAL_SELECT:
        return d->inval_select;
    case SVM_TESTDEV_INVAL_PASID:
        return svm_invalidation(d)->pasid;
    case SVM_TESTDEV_INVAL_FLAGS:
        return svm_invalidation(d)->mask == UINT64_MAX ? SVM_TESTDEV_INVAL_ALL
                                                       : 0;
    case SVM_TESTDEV_INVAL_ADDRESS:
        return svm_invalidation(d)->address;
    case SVM_TESTDEV_INVAL_MASK:
        return svm_invalidation(d)->mask;
    default:
        qemu_log_mask(LOG_GUEST_ERROR, "%s: read of 0x%" HWADDR_PRIx "\n",
                      TYPE_PCI_SVM_TESTDEV, addr);
        return 0;
    }
}

static void svm_mmio_write(void *opaque, hwaddr addr, uint64_t value,
                           unsigned size)
{
    SvmTestdev *d = opaque;

    switch (addr) {
    case SVM_TESTDEV_COMMAND:
        svm_command(d, value);
        break;
    case SVM_TESTDEV_PASID:
        d->pasid = value;
        break;
    case SVM_TESTDEV_FLAGS:
        d->flags = value;
        break;
    case SVM_TESTDEV_ADDRESS:
        d->address = value;
        break;
    case SVM_TESTDEV_LENGTH:
        d->length = value;
        break;
    case SVM_TESTDEV_DATA:
        d->data = value;
        break;
    case SVM_TESTDEV_ATS_SELECT:
        d->ats_select = value;
        break;
    case SVM_TESTDEV_INVAL_SELECT:
        d->inval_select = value;
        break;
    default:
        qemu_log_mask(LOG_GUEST_ERROR, "%s: write to 0x%" HWADDR_PRIx "\n",
                      TYPE_PCI_SVM_TESTDEV, addr);
    }
}

static const MemoryRegionOps svm_mmio_ops = {
    .read = svm_mmio_read,
    .write = svm_mmio_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 8 },
    .impl = { .min_access_size = 4, .max_access_size = 8 },
};

/* Life -------------------------------------------------------------------- */

static void svm_testdev_realize(PCIDevice *pci, Error **errp)
{
    SvmTestdev *d = PCI_SVM_TESTDEV(pci);

    if (pcie_endpoint_cap_init(pci, EXPRESS_CAP_OFFSET) < 0) {
        error_setg(errp, "the device needs a PCI Express bus");
        return;
    }
    pcie_ats_init(pci, ATS_CAP_OFFSET, true);
    pcie_pasid_init(pci, PASID_CAP_OFFSET, PASID_WIDTH, false, false);
    pcie_pri_init(pci, PRI_CAP_OFFSET, OUTSTANDING_REQUESTS, true);

    d->watches = g_hash_table_new_full(NULL, NULL, NULL, svm_unwatch);
    memory_region_init_io(&d->mmio, OBJECT(d), &svm_mmio_ops, d,
                          TYPE_PCI_SVM_TESTDEV, SVM_TESTDEV_BAR_BYTES);
    pci_register_bar(pci, SVM_TESTDEV_BAR, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &d->mmio);
}

static void svm_testdev_exit(PCIDevice *pci)
{
    SvmTestdev *d = PCI_SVM_TESTDEV(pci);

    g_hash_table_destroy(d->watches);
    pcie_cap_exit(pci);
}

static void svm_testdev_reset(DeviceState *qdev)
{
    PCIDevice *pci = PCI_DEVICE(qdev);
    SvmTestdev *d = PCI_SVM_TESTDEV(qdev);

    g_hash_table_remove_all(d->watches);
    pcie_ats_reset(pci);
    pcie_pasid_reset(pci);
    pcie_pri_reset(pci);
    d->pasid = d->flags = 0;
    d->address = d->length = d->data = 0;
    d->result = 0;
    svm_clear(d);
}

static const VMStateDescription svm_testdev_vmstate = {
    .name = TYPE_PCI_SVM_TESTDEV,
    .unmigratable = 1,
};

static void svm_testdev_class_init(ObjectClass *klass, const void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);

    k->realize = svm_testdev_realize;
    k->exit = svm_testdev_exit;
    k->vendor_id = SVM_TESTDEV_VENDOR_ID;
    k->device_id = SVM_TESTDEV_DEVICE_ID;
    k->class_id = PCI_CLASS_OTHERS;
    dc->desc = "PCI test device for shared virtual memory (PASID, ATS, PRI)";
    dc->vmsd = &svm_testdev_vmstate;
    device_class_set_legacy_reset(dc, svm_testdev_reset);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo svm_testdev_info = {
    .name = TYPE_PCI_SVM_TESTDEV,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(SvmTestdev),
    .class_init = svm_testdev_class_init,
    .interfaces = (const InterfaceInfo[]) {
        { INTERFACE_PCIE_DEVICE },
        { },
    },
};

static void svm_testdev_register_types(void)
{
    type_register_static(&svm_testdev_info);
}

type_init(svm_testdev_register_types)
