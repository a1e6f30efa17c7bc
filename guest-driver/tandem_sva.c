// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Address spaces that are the process's own: the IOMMU walks the page table of the CPUs, and the
 * GPU asks it (PASID, ATS), also for pages that are not there (PRI). Nothing is mirrored; Linux's
 * IOMMU driver invalidates what the GPU has cached whenever it flushes a TLB of the CPUs.
 *
 * Order: iommu_sva_bind_device() before BIND, UNBIND and draining before iommu_sva_unbind_device().
 * When they are done the GPU sends nothing with this PASID any more and no page request of it is
 * unanswered: what linux/iommu.h asks for before the PASID may be another's. Exit of the process
 * comes first sometimes: the IOMMU driver then answers every request with a refusal.
 *
 * One process has one PASID, however many files of whichever GPUs it has open.
 */
#include <linux/delay.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pci-ats.h>

#include "tandem_as.h"
#include "tandem_mutate.h"
#include "tandem_poison.h"

#define TANDEM_DRAIN_MS 1

/*
 * Whether the machine has what it takes: whether a process may bind is known when it tries. Without
 * AtomicOps no signal could be counted down, because nobody takes pages from the CPUs here.
 */
bool tandem_sva_is_there(struct tandem_device *tdev)
{
	struct pci_dev *pdev = tdev->pdev;

	return IS_ENABLED(CONFIG_IOMMU_SVA) && device_iommu_mapped(tdev->dev) &&
	       tdev->atomics == TANDEM_ATOMICS_PCIE && pci_ats_supported(pdev) &&
	       pdev->ats_enabled && pci_pri_supported(pdev) && pdev->pasid_enabled;
}

/* Process context, current->mm is the memory to bind. */
int tandem_sva_bind(struct tandem_as *as)
{
	struct iommu_sva *sva;
	u32 pasid;

	if (!tandem_sva_is_there(as->tdev))
		return -EOPNOTSUPP;
	sva = iommu_sva_bind_device(as->tdev->dev, as->mm);
	if (IS_ERR(sva)) {
		dev_dbg(as->tdev->dev, "the IOMMU does not bind process %d: %ld\n", as->tgid,
			PTR_ERR(sva));
		return PTR_ERR(sva) == -ENOMEM || PTR_ERR(sva) == -ENOSPC ? PTR_ERR(sva) :
									    -EOPNOTSUPP;
	}
	as->sva = sva;
	pasid = iommu_sva_get_pasid(sva);
	if (pasid == IOMMU_PASID_INVALID || pasid >= BIT(TANDEM_PCI_PASID_BITS))
		return -ENOSPC;
	as->bus_pasid = pasid;
	return 0;
}

/* May the process do that there, as far as its mappings tell? */
static u32 tandem_sva_may(struct tandem_as *as, u64 va, u32 access)
{
	bool write = access == TANDEM_ACCESS_WRITE || access == TANDEM_ACCESS_ATOMIC;
	u32 error = TANDEM_QUEUE_OK;
	struct vm_area_struct *vma;

	mmap_read_lock(as->mm);
	vma = vma_lookup(as->mm, va);
	if (!vma)
		error = TANDEM_QUEUE_ADDRESS_FAULT;
	else if (!(vma->vm_flags & VM_READ) || (write && !(vma->vm_flags & VM_WRITE)))
		error = TANDEM_QUEUE_PERMISSION_FAULT;
	mmap_read_unlock(as->mm);
	return error;
}

/*
 * Why a page request was refused (enum tandem_queue_error): the response does not tell. As the
 * memory looks now; no lock held.
 */
u32 tandem_sva_explain(struct tandem_as *as, u64 va, u32 access)
{
	u32 error = tandem_sva_may(as, va, access);

	if (error != TANDEM_QUEUE_OK)
		return error;
	return tandem_poison_why(as->mm, va) == -EHWPOISON ? TANDEM_QUEUE_MEMORY_ERROR :
							     TANDEM_QUEUE_SERVICE_FAILED;
}

/*
 * After UNBIND: waits until every page request has been answered. It is Linux that answers, and no
 * lock is held here that it could want. Requests that stay unanswered beyond the deadline die with
 * a reset.
 */
void tandem_sva_drain(struct tandem_as *as)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(tandem_deadline_ms);

	if (tandem_mutated(MUTANT_SVA_NOT_DRAINED))
		as->draining = false;
	while (as->draining) {
		msleep(TANDEM_DRAIN_MS);
		as->draining = tandem_as_unbind(as) == -EINPROGRESS;
		if (as->draining && time_after(jiffies, deadline)) {
			tandem_hw_reset(as->tdev, as->epoch,
					"page requests of a process that ended were not answered");
			as->draining = false;
		}
	}
}

/* After UNBIND, or without a BIND. Idempotent. */
void tandem_sva_unbind(struct tandem_as *as)
{
	if (!as->sva)
		return;
	iommu_sva_unbind_device(as->sva);
	as->sva = NULL;
}
