// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A fault round of a node: what the device lacks of a range is asked for and mapped, the way in
 * which any of its faults is served. The device said that something is missing; which pages these
 * are, its page table tells.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include "tandem_dmirror.h"

/*
 * Why a page at va cannot be had, as hmm_range_fault() says it, or 0. *end: what lies in the same
 * VMA and in the same 2 MiB.
 */
static int tandem_round_permits(struct tandem_as *as, u64 va, bool write, u64 *end)
{
	struct vm_area_struct *vma;
	int ret = 0;

	mmap_read_lock(as->mm);
	vma = vma_lookup(as->mm, va);
	if (!vma || !(vma->vm_flags & VM_READ) || vma->vm_flags & (VM_IO | VM_PFNMAP))
		ret = -EFAULT;
	else if (write && !(vma->vm_flags & VM_WRITE))
		ret = -EPERM;
	else
		*end = min3(*end, (u64)vma->vm_end, round_down(va, SZ_2M) + SZ_2M);
	mmap_read_unlock(as->mm);
	return ret;
}

/* Errors of a fault of ours in the words of hmm_range_fault(). */
static int tandem_round_errno(int error)
{
	switch (error) {
	case -ENOENT:
	case -EACCES:
	case -EHWPOISON:
		return -EFAULT;
	default:
		return error;
	}
}

static int tandem_round_pages(struct tandem_as *as, u64 va, unsigned int pages,
			      struct tandem_mirror_wish wish)
{
	struct tandem_service_result result;
	unsigned int i;
	int ret = tandem_mirror_fault(as, va, pages, wish, &result);

	/* All of them cannot be had together. Which one cannot be had at all? */
	for (i = 0; ret && pages > 1 && i < pages; i++) {
		ret = tandem_mirror_fault(as, va + (u64)i * PAGE_SIZE, 1, wish, &result);
		if (ret)
			break;
	}
	return tandem_round_errno(ret);
}

/* How many pages from va on lack what is wished; 0: the first one has it. */
static unsigned int tandem_round_run(struct tandem_as *as, u64 va, u64 end,
				     struct tandem_mirror_wish wish)
{
	u64 at = va;

	while (at < end && !tandem_mirror_is_mapped(as, at, wish.write, wish.atomic) &&
	       !(wish.atomic && at > va))
		at += PAGE_SIZE;
	return (at - va) >> PAGE_SHIFT;
}

/*
 * Maps what of [start, end) the device lacks. Pages that it has are left alone: asking Linux for
 * one that was taken for atomics would give it back.
 */
int tandem_dmirror_round(struct tandem_as *as, u64 start, u64 end, struct tandem_mirror_wish wish)
{
	u64 va = start, next;
	int ret = 0;

	while (!ret && va < end) {
		unsigned int pages;

		next = end;
		ret = tandem_round_permits(as, va, wish.write, &next);
		if (ret)
			break;
		pages = tandem_round_run(as, va, next, wish);
		if (pages)
			ret = tandem_round_pages(as, va, pages, wish);
		va += (u64)max(pages, 1U) * PAGE_SIZE;
		if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	return ret;
}
