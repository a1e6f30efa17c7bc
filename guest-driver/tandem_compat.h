/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every call into Linux whose shape depends on the kernel's version stands here and nowhere else.
 * The driver is written for 7.3; an older kernel gets its variant of these functions.
 */
#ifndef TANDEM_COMPAT_H
#define TANDEM_COMPAT_H

#include <linux/hmm.h>
#include <linux/mmu_notifier.h>
#include <linux/rmap.h>

/*
 * Faults the range in as range->default_flags ask for. mmap_lock must not be held: handlers that
 * drop it (userfaultfd, file systems) may do so. -EBUSY when notifiers kept colliding until the
 * timeout (jiffies) was over.
 */
static inline int tandem_compat_fault(struct hmm_range *range, unsigned long timeout)
{
	return hmm_range_fault_unlocked_timeout(range, timeout);
}

/*
 * What hmm_range_fault() said of the page at va. The frames of one large mapping follow its
 * addresses. Linux 7.3 counts them from the start of the range that it was asked for if that lies
 * inside a huge private page: here they are put right.
 */
static inline unsigned long tandem_compat_pfn(unsigned long pfn, u64 va)
{
	unsigned long inside = PTRS_PER_PMD - 1;

	if (!(pfn & HMM_PFN_VALID) || hmm_pfn_to_map_order(pfn) + PAGE_SHIFT < PMD_SHIFT)
		return pfn;
	return (pfn & ~inside) | ((va >> PAGE_SHIFT) & inside);
}

/*
 * Takes the page out of the CPUs' page tables; mmap_lock held for reading. *folio is locked and
 * referenced on success.
 */
static inline struct page *tandem_compat_make_exclusive(struct mm_struct *mm, unsigned long va,
							void *owner, struct folio **folio)
{
	return make_device_exclusive(mm, va, owner, folio);
}

#endif
