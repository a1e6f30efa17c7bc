/*
 * Tests of shared virtual memory through intel-iommu: setting things up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "intel-iommu-svm-util.h"
#include "libqos/malloc-pc.h"
#include "libqos/pci-pc.h"
#include "hw/pci/pci_regs.h"

#define DEVICE_SLOT     5

#define DESCRIPTOR_BYTES    32
#define QUEUE_ENTRIES       128
#define WAIT_DONE           0x600d

/* Registers --------------------------------------------------------------- */

uint32_t svm_reg32(Svm *m, uint64_t offset)
{
    return qtest_readl(m->qts, Q35_HOST_BRIDGE_IOMMU_ADDR + offset);
}

uint64_t svm_reg64(Svm *m, uint64_t offset)
{
    return qtest_readq(m->qts, Q35_HOST_BRIDGE_IOMMU_ADDR + offset);
}

void svm_set_reg32(Svm *m, uint64_t offset, uint32_t value)
{
    qtest_writel(m->qts, Q35_HOST_BRIDGE_IOMMU_ADDR + offset, value);
}

void svm_set_reg64(Svm *m, uint64_t offset, uint64_t value)
{
    qtest_writeq(m->qts, Q35_HOST_BRIDGE_IOMMU_ADDR + offset, value);
}

bool svm_take_fault(Svm *m, VTDFaultReason *reason)
{
    uint64_t hi = svm_reg64(m, DMAR_FRCD_REG_0_2);

    *reason = extract64(hi, 32, 8);
    svm_set_reg64(m, DMAR_FRCD_REG_0_2, VTD_FRCD_F);
    svm_set_reg32(m, DMAR_FSTS_REG, VTD_FSTS_PFO);
    return hi & VTD_FRCD_F;
}

void svm_assert_no_fault(Svm *m)
{
    VTDFaultReason reason;

    if (svm_take_fault(m, &reason)) {
        g_test_message("fault recorded, reason 0x%x", reason);
        g_assert_not_reached();
    }
}

void svm_assert_fault(Svm *m, VTDFaultReason reason)
{
    VTDFaultReason recorded;

    g_assert_true(svm_take_fault(m, &recorded));
    g_assert_cmphex(recorded, ==, reason);
}

/* Memory ------------------------------------------------------------------ */

uint64_t svm_pages(Svm *m, uint64_t bytes, uint64_t alignment)
{
    uint64_t address = guest_alloc(&m->alloc, bytes + alignment);

    address = QEMU_ALIGN_UP(address, alignment);
    qtest_memset(m->qts, address, 0, bytes);
    return address;
}

uint64_t svm_page(Svm *m)
{
    return svm_pages(m, PAGE, PAGE);
}

uint64_t svm_pasid_entry(Svm *m, uint32_t pasid)
{
    g_assert_cmpuint(pasid, <, 64);
    return m->pasid_table + pasid * VTD_PASID_ENTRY_SIZE;
}

#define PASID_ENTRY_48_BIT (2ull << 2)

uint64_t svm_bind(Svm *m, uint32_t pasid)
{
    uint64_t entry = svm_pasid_entry(m, pasid);
    uint64_t top = svm_page(m);

    qtest_writeq(m->qts, entry + 8, SVM_DOMAIN);
    qtest_writeq(m->qts, entry + 16, top);
    qtest_writeq(m->qts, entry, VTD_SM_PASID_ENTRY_FLT | PASID_ENTRY_48_BIT |
                                VTD_PASID_ENTRY_P);
    return top;
}

uint64_t svm_pte(Svm *m, uint64_t top, uint64_t va, int level)
{
    uint64_t table = top;

    for (int l = VTD_PML4_LEVEL; ; l--) {
        uint64_t entry = table + extract64(va, 12 + 9 * (l - 1), 9) * 8;
        uint64_t value;

        if (l == level) {
            return entry;
        }
        value = qtest_readq(m->qts, entry);
        if (!(value & PTE_P)) {
            value = svm_page(m) | PTE_USER_RW;
            qtest_writeq(m->qts, entry, value);
        }
        table = value & VTD_PT_BASE_ADDR_MASK(48);
    }
}

void svm_map(Svm *m, uint64_t top, uint64_t va, int level, uint64_t pa,
             uint64_t flags)
{
    qtest_writeq(m->qts, svm_pte(m, top, va, level),
                 pa | flags | (level == LEVEL_4K ? 0 : PTE_PS));
}

/* The invalidation queue -------------------------------------------------- */

void svm_prepare(Svm *m, uint64_t lo, uint64_t hi)
{
    uint64_t descriptor = m->queue + m->queue_tail * DESCRIPTOR_BYTES;

    qtest_writeq(m->qts, descriptor, lo);
    qtest_writeq(m->qts, descriptor + 8, hi);
    qtest_writeq(m->qts, descriptor + 16, 0);
    qtest_writeq(m->qts, descriptor + 24, 0);
    m->queue_tail = (m->queue_tail + 1) % QUEUE_ENTRIES;
}

void svm_kick(Svm *m)
{
    svm_set_reg64(m, DMAR_IQT_REG, m->queue_tail * DESCRIPTOR_BYTES);
}

static void svm_enqueue(Svm *m, uint64_t lo, uint64_t hi)
{
    svm_prepare(m, lo, hi);
    svm_kick(m);
}

bool svm_wait(Svm *m, uint64_t wait_flags)
{
    qtest_writel(m->qts, m->wait_status, 0);
    svm_enqueue(m, VTD_INV_DESC_WAIT | VTD_INV_DESC_WAIT_SW | wait_flags |
                   (uint64_t)WAIT_DONE << VTD_INV_DESC_WAIT_DATA_SHIFT,
                m->wait_status);
    return qtest_readl(m->qts, m->wait_status) == WAIT_DONE;
}

void svm_submit(Svm *m, uint64_t lo, uint64_t hi)
{
    svm_enqueue(m, lo, hi);
    g_assert_true(svm_wait(m, 0));
    g_assert_cmphex(svm_reg32(m, DMAR_FSTS_REG) & VTD_FSTS_IQE, ==, 0);
}

void svm_invalidate_pasid_page(Svm *m, uint32_t pasid, uint64_t va, int order)
{
    svm_submit(m, VTD_INV_DESC_PIOTLB | VTD_INV_DESC_PIOTLB_PSI_IN_PASID |
                  SVM_DOMAIN << 16 | (uint64_t)pasid << 32, va | order);
}

void svm_invalidate_pasid(Svm *m, uint32_t pasid)
{
    svm_submit(m, VTD_INV_DESC_PIOTLB | VTD_INV_DESC_PIOTLB_ALL_IN_PASID |
                  SVM_DOMAIN << 16 | (uint64_t)pasid << 32, 0);
}

void svm_invalidate_device(Svm *m, uint32_t pasid, uint64_t va, int order,
                           bool global)
{
    uint64_t hi = va;

    if (order) { /* ones below the top bit of the size, which is zero */
        hi |= MAKE_64BIT_MASK(12, order - 1) | 1 << 11;
        hi &= ~(1ull << (12 + order - 1));
    }
    svm_submit(m, VTD_INV_DESC_DEV_PIOTLB | dev_sid(m) << 16 |
                  (uint64_t)pasid << 32, hi | global);
}

void svm_invalidate_pasid_cache(Svm *m, uint32_t pasid)
{
    svm_submit(m, VTD_INV_DESC_PC | VTD_INV_DESC_PASIDC_G_PASID_SI << 4 |
                  SVM_DOMAIN << 16 | (uint64_t)pasid << 32, 0);
}

void svm_respond(Svm *m, uint32_t pasid, unsigned group, unsigned code)
{
    svm_submit(m, VTD_INV_DESC_PGRESP | 1 << 4 | code << 12 |
                  dev_sid(m) << 16 | (uint64_t)pasid << 32, group << 3);
}

/* The device -------------------------------------------------------------- */

uint32_t dev_reg32(Svm *m, uint64_t offset)
{
    return qpci_io_readl(m->dev, m->bar, offset);
}

uint64_t dev_reg64(Svm *m, uint64_t offset)
{
    return qpci_io_readq(m->dev, m->bar, offset);
}

void dev_set_reg32(Svm *m, uint64_t offset, uint32_t value)
{
    qpci_io_writel(m->dev, m->bar, offset, value);
}

void dev_set_reg64(Svm *m, uint64_t offset, uint64_t value)
{
    qpci_io_writeq(m->dev, m->bar, offset, value);
}

uint16_t dev_sid(Svm *m)
{
    return PCI_BUILD_BDF(0, m->dev->devfn);
}

int dev_command(Svm *m, enum SvmTestdevCommand command, uint32_t pasid,
                uint64_t address, uint32_t flags)
{
    qpci_io_writel(m->dev, m->bar, SVM_TESTDEV_PASID, pasid);
    qpci_io_writeq(m->dev, m->bar, SVM_TESTDEV_ADDRESS, address);
    qpci_io_writel(m->dev, m->bar, SVM_TESTDEV_FLAGS, flags);
    qpci_io_writel(m->dev, m->bar, SVM_TESTDEV_COMMAND, command);
    return (int32_t)qpci_io_readl(m->dev, m->bar, SVM_TESTDEV_RESULT);
}

Translation dev_translate(Svm *m, uint32_t pasid, uint64_t va, bool write)
{
    int answers;

    qpci_io_writeq(m->dev, m->bar, SVM_TESTDEV_LENGTH, 1);
    dev_set_reg32(m, SVM_TESTDEV_ATS_SELECT, 0);
    answers = dev_command(m, SVM_TESTDEV_CMD_TRANSLATE, pasid, va,
                          write ? SVM_TESTDEV_FLAG_WRITE : 0);
    g_assert_cmpint(answers, ==, 1);
    return (Translation) {
        .perm = dev_reg32(m, SVM_TESTDEV_ATS_PERM),
        .address = dev_reg64(m, SVM_TESTDEV_ATS_ADDRESS),
        .mask = dev_reg64(m, SVM_TESTDEV_ATS_MASK),
        .errors = dev_reg32(m, SVM_TESTDEV_ATS_ERRORS),
    };
}

/* Bringing it up ---------------------------------------------------------- */

static void svm_global_command(Svm *m, uint32_t command)
{
    svm_set_reg32(m, DMAR_GCMD_REG,
                  (svm_reg32(m, DMAR_GSTS_REG) & (VTD_GSTS_TES | VTD_GSTS_QIES))
                  | command);
    g_assert_cmphex(svm_reg32(m, DMAR_GSTS_REG) & command, ==, command);
}

static void svm_make_tables(Svm *m)
{
    m->root = svm_page(m);
    m->context = svm_page(m);
    m->pasid_directory = svm_page(m);
    m->pasid_table = svm_page(m);

    qtest_writeq(m->qts, m->root, m->context | VTD_ROOT_ENTRY_P);
    qtest_writeq(m->qts, m->context +
                         m->dev->devfn * VTD_CTX_ENTRY_SCALABLE_SIZE,
                 m->pasid_directory | VTD_SM_CONTEXT_ENTRY_PRE |
                 1 << 3 /* PASIDs */ | 1 << 2 /* Device-TLB */ |
                 VTD_CONTEXT_ENTRY_P);
    qtest_writeq(m->qts, m->pasid_directory, m->pasid_table | 1);
    qtest_writeq(m->qts, m->pasid_table,
                 VTD_SM_PASID_ENTRY_PT | PASID_ENTRY_48_BIT |
                 VTD_PASID_ENTRY_P);
}

static void svm_make_queues(Svm *m)
{
    m->queue = svm_page(m);
    m->wait_status = svm_page(m);
    m->requests = svm_page(m);
    m->queue_tail = 0;

    svm_set_reg64(m, DMAR_IQT_REG, 0);
    svm_set_reg64(m, DMAR_IQA_REG, m->queue | VTD_IQA_DW_MASK);
    svm_set_reg64(m, DMAR_PQH_REG, 0);
    svm_set_reg64(m, DMAR_PQT_REG, 0);
    svm_set_reg64(m, DMAR_PQA_REG, m->requests);
}

static void svm_enable_iommu(Svm *m)
{
    svm_set_reg64(m, DMAR_RTADDR_REG, m->root | VTD_RTADDR_SMT);
    svm_global_command(m, VTD_GCMD_SRTP);
    svm_global_command(m, VTD_GCMD_QIE);
    svm_global_command(m, VTD_GCMD_TE);
}

/* libqos reaches 256 bytes of configuration space; the rest is memory. */
#define ECAM_BASE           0xb0000000u
#define MCH_PCIEXBAR        0x60
#define MCH_PCIEXBAR_EN     1u

void svm_open_extended_config(Svm *m)
{
    QPCIDevice *mch = qpci_device_find(m->bus, QPCI_DEVFN(0, 0));

    qpci_config_writel(mch, MCH_PCIEXBAR, ECAM_BASE | MCH_PCIEXBAR_EN);
    g_free(mch);
}

uint64_t dev_config(Svm *m, unsigned offset)
{
    return ECAM_BASE + (m->dev->devfn << 12) + offset;
}

void dev_enable(Svm *m)
{
    qpci_device_enable(m->dev);
    qtest_writew(m->qts, dev_config(m, PASID_CAP + PCI_PASID_CTRL),
                 PCI_PASID_CTRL_ENABLE);
    qtest_writew(m->qts, dev_config(m, ATS_CAP + PCI_ATS_CTRL),
                 PCI_ATS_CTRL_ENABLE);
    qtest_writel(m->qts, dev_config(m, PRI_CAP + PCI_PRI_ALLOC_REQ), 512);
    qtest_writew(m->qts, dev_config(m, PRI_CAP + PCI_PRI_CTRL),
                 PCI_PRI_CTRL_ENABLE);
}

static void svm_enable_device(Svm *m)
{
    svm_open_extended_config(m);
    m->bar = qpci_iomap(m->dev, SVM_TESTDEV_BAR, NULL);
    dev_enable(m);
    g_assert_cmphex(dev_reg32(m, SVM_TESTDEV_MAGIC), ==,
                    SVM_TESTDEV_MAGIC_VALUE);
}

void svm_set_up(Svm *m)
{
    svm_make_queues(m);
    svm_enable_iommu(m);
    svm_enable_device(m);
}

#define RAM_BYTES (256ull << 20)

static void svm_start_machine(Svm *m, const char *iommu_options,
                              const char *ram_options)
{
    m->qts = qtest_initf("-M q35 -m %llu -nodefaults %s "
                         "-device intel-iommu,%s "
                         "-device pci-svm-testdev,bus=pcie.0,addr=%d",
                         RAM_BYTES >> 20, ram_options, iommu_options,
                         DEVICE_SLOT);
    pc_alloc_init(&m->alloc, m->qts, ALLOC_NO_FLAGS);
    m->bus = qpci_new_pc(m->qts, &m->alloc);
    m->dev = qpci_device_find(m->bus, QPCI_DEVFN(DEVICE_SLOT, 0));
    g_assert_nonnull(m->dev);
    svm_make_tables(m);
    svm_set_up(m);
}

void svm_start(Svm *m, const char *iommu_options)
{
    *m = (Svm) { 0 };
    svm_start_machine(m, iommu_options, "");
}

void svm_start_shared(Svm *m, const char *iommu_options)
{
    g_autofree char *path = NULL;
    g_autofree char *options = NULL;
    int fd = g_file_open_tmp("svm-test-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, RAM_BYTES), ==, 0);
    *m = (Svm) { 0 };
    m->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_true(m->ram != MAP_FAILED);
    close(fd);
    options = g_strdup_printf("-machine memory-backend=ram -object "
                              "memory-backend-file,id=ram,size=%lluM,share=on,"
                              "mem-path=%s", RAM_BYTES >> 20, path);
    svm_start_machine(m, iommu_options, options);
    unlink(path);
}

void svm_stop(Svm *m)
{
    g_free(m->dev);
    qpci_free_pc(m->bus);
    alloc_destroy(&m->alloc);
    qtest_quit(m->qts);
    if (m->ram) {
        munmap(m->ram, RAM_BYTES);
    }
}
