/*
 * Tests of shared virtual memory through intel-iommu: a machine with
 * pci-svm-testdev, the tables of the IOMMU, its queues.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef INTEL_IOMMU_SVM_UTIL_H
#define INTEL_IOMMU_SVM_UTIL_H

#include "libqtest.h"
#include "libqos/libqos-malloc.h"
#include "libqos/pci.h"
#include "hw/i386/intel_iommu_internal.h"
#include "hw/misc/pci-svm-testdev.h"
#include "hw/pci/pci.h"

#define SVM_IOMMU \
    "x-scalable-mode=on,x-flts=on,x-pasid-mode=on,device-iotlb=on,svm=on"

#define SVM_DOMAIN      1   /* of every PASID, as Linux has it */
#define PAGE            4096ull
#define PAGE_2M         (2ull << 20)
#define PAGE_1G         (1ull << 30)

/* Page table entries */
#define PTE_P           VTD_FL_P
#define PTE_W           VTD_FL_RW
#define PTE_U           VTD_FL_US
#define PTE_A           VTD_FL_A
#define PTE_D           VTD_FL_D
#define PTE_PS          VTD_PT_PAGE_SIZE_MASK
#define PTE_USER_RO     (PTE_P | PTE_U)
#define PTE_USER_RW     (PTE_P | PTE_U | PTE_W)

/* Which table a mapping is entered in */
enum { LEVEL_4K = 1, LEVEL_2M = 2, LEVEL_1G = 3 };

#define PRQ_ENTRIES     128

typedef struct Svm {
    QTestState *qts;
    QGuestAllocator alloc;
    QPCIBus *bus;
    QPCIDevice *dev;
    QPCIBar bar;
    uint8_t *ram;               /* NULL unless svm_start_shared() */

    uint64_t root;
    uint64_t context;
    uint64_t pasid_directory;
    uint64_t pasid_table;       /* PASIDs 0 to 63 */
    uint64_t queue;             /* invalidation descriptors of 32 bytes */
    uint32_t queue_tail;
    uint64_t wait_status;
    uint64_t requests;          /* the page request queue */
} Svm;

/*
 * Brings up a machine with these options of intel-iommu, translation on, the
 * invalidation queue and the page request queue set up, ATS, PASID and PRI of
 * the device enabled.  PASID 0 (requests without PASID) passes through.
 */
void svm_start(Svm *m, const char *iommu_options);
/* With the guest's memory mapped here, at m->ram */
void svm_start_shared(Svm *m, const char *iommu_options);
/* The same once more, with the tables in memory as they are: after a reset. */
void svm_set_up(Svm *m);
void svm_stop(Svm *m);

/* The IOMMU's registers */
uint32_t svm_reg32(Svm *m, uint64_t offset);
uint64_t svm_reg64(Svm *m, uint64_t offset);
void svm_set_reg32(Svm *m, uint64_t offset, uint32_t value);
void svm_set_reg64(Svm *m, uint64_t offset, uint64_t value);

/* True if the IOMMU has recorded a fault; forgets it.  Its reason. */
bool svm_take_fault(Svm *m, VTDFaultReason *reason);
void svm_assert_no_fault(Svm *m);
void svm_assert_fault(Svm *m, VTDFaultReason reason);

/* Memory */
uint64_t svm_page(Svm *m);
uint64_t svm_pages(Svm *m, uint64_t bytes, uint64_t alignment);

/* A PASID below 64 with an empty page table; returns the table. */
uint64_t svm_bind(Svm *m, uint32_t pasid);
uint64_t svm_pasid_entry(Svm *m, uint32_t pasid);

/* Where the entry lies that maps an address; makes the tables above it. */
uint64_t svm_pte(Svm *m, uint64_t top, uint64_t va, int level);
void svm_map(Svm *m, uint64_t top, uint64_t va, int level, uint64_t pa,
             uint64_t flags);

/* The invalidation queue: descriptors that are taken when it is kicked. */
void svm_prepare(Svm *m, uint64_t lo, uint64_t hi);
void svm_kick(Svm *m);
/* One descriptor, and one that waits for it. */
void svm_submit(Svm *m, uint64_t lo, uint64_t hi);
/* False if the wait did not come back; the queue is stuck then. */
bool svm_wait(Svm *m, uint64_t wait_flags);
void svm_invalidate_pasid_page(Svm *m, uint32_t pasid, uint64_t va, int order);
void svm_invalidate_pasid(Svm *m, uint32_t pasid);
void svm_invalidate_device(Svm *m, uint32_t pasid, uint64_t va, int order,
                           bool global);
void svm_invalidate_pasid_cache(Svm *m, uint32_t pasid);
void svm_respond(Svm *m, uint32_t pasid, unsigned group, unsigned code);
#define SVM_WHOLE_ADDRESS_SPACE 52 /* order of an invalidation */

/* The device's configuration space, as memory; what a driver enables in it */
#define ATS_CAP     0x100
#define PASID_CAP   0x110
#define PRI_CAP     0x120

void svm_open_extended_config(Svm *m);
uint64_t dev_config(Svm *m, unsigned offset);
void dev_enable(Svm *m);

/* The device's registers and commands */
uint32_t dev_reg32(Svm *m, uint64_t offset);
uint64_t dev_reg64(Svm *m, uint64_t offset);
void dev_set_reg32(Svm *m, uint64_t offset, uint32_t value);
void dev_set_reg64(Svm *m, uint64_t offset, uint64_t value);
int dev_command(Svm *m, enum SvmTestdevCommand command, uint32_t pasid,
                uint64_t address, uint32_t flags);

typedef struct Translation {
    uint32_t perm;
    uint64_t address;
    uint64_t mask;
    uint32_t errors;
} Translation;

/* One page, with write access wanted or not. */
Translation dev_translate(Svm *m, uint32_t pasid, uint64_t va, bool write);

uint16_t dev_sid(Svm *m);

/* The tests, by subject */
void svm_add_translation_tests(void);
void svm_add_invalidation_tests(void);
void svm_add_request_tests(void);
void svm_add_life_tests(void);
void svm_add_accessed_tests(void);

#endif
