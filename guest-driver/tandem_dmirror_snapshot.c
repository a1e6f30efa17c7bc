// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SNAPSHOT of a node: what hmm_range_fault() reports without being asked to fault anything in. And
 * what the device has of it: it may have less, never more.
 */
#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "tandem_compat.h"
#include "tandem_dmirror.h"
#include "tandem_look.h"

static u8 tandem_snapshot_place(struct tandem_device *tdev, const struct page *page)
{
	struct tandem_vram *vram = tandem_page_vram(page);
	bool local = vram && vram->tdev == tdev;

	if (is_device_private_page(page))
		return local ? TANDEM_DMIRROR_PRIVATE_LOCAL : TANDEM_DMIRROR_PRIVATE_REMOTE;
	if (is_device_coherent_page(page))
		return local ? TANDEM_DMIRROR_COHERENT_LOCAL : TANDEM_DMIRROR_COHERENT_REMOTE;
	return is_zero_pfn(page_to_pfn(page)) ? TANDEM_DMIRROR_ZERO : 0;
}

/* The frame is still the process's: its page may be looked at. */
static u8 tandem_snapshot_describe(struct tandem_device *tdev, unsigned long pfn)
{
	unsigned int order = hmm_pfn_to_map_order(pfn);
	u8 what;

	if (pfn & HMM_PFN_ERROR)
		return TANDEM_DMIRROR_ERROR;
	if (!(pfn & HMM_PFN_VALID))
		return TANDEM_DMIRROR_NONE;
	what = tandem_snapshot_place(tdev, hmm_pfn_to_page(pfn));
	what |= pfn & HMM_PFN_WRITE ? TANDEM_DMIRROR_PAGE_WRITE : TANDEM_DMIRROR_PAGE_READ;
	if (order + PAGE_SHIFT == PMD_SHIFT)
		what |= TANDEM_DMIRROR_PMD;
	else if (order + PAGE_SHIFT == PUD_SHIFT)
		what |= TANDEM_DMIRROR_PUD;
	return what;
}

/*
 * The entry is older than the report, and no notifier ran in between: what the device may do Linux
 * lets the process do. But a page that was taken for atomics, or is just being taken, is to Linux
 * nowhere, whatever the device has of it.
 */
static bool tandem_snapshot_agrees(struct tandem_device *tdev, u64 pte, unsigned long pfn)
{
	bool system = FIELD_GET(TANDEM_PTE_APERTURE, pte) == TANDEM_APERTURE_SYSTEM;

	if (!(pte & TANDEM_PTE_VALID))
		return true;
	if (!(pfn & (HMM_PFN_VALID | HMM_PFN_ERROR)))
		return tdev->atomics == TANDEM_ATOMICS_EXCLUSIVE && system;
	/* Where an IOMMU translates, an entry in the system's memory does not name the frame. */
	return !(pfn & HMM_PFN_ERROR) &&
	       ((tdev->translated && system) ||
		tandem_pte_page(tdev, pte) == hmm_pfn_to_page(pfn)) &&
	       (!(pte & TANDEM_PTE_WRITE) || pfn & HMM_PFN_WRITE);
}

struct tandem_snapshot {
	struct tandem_look look;
	struct tandem_as *as;
	u64 start;
	u64 wrong; /* the first page of which the device has too much, or 0 */
	u64 ptes[TANDEM_BLOCK_PAGES];
};

static void tandem_snapshot_begin(struct tandem_look *look, u64 start, unsigned int count)
{
	struct tandem_snapshot *snapshot = container_of(look, struct tandem_snapshot, look);
	unsigned int i;

	snapshot->start = start;
	snapshot->wrong = 0;
	for (i = 0; i < count; i++)
		snapshot->ptes[i] = tandem_mirror_entry(snapshot->as, start + (u64)i * PAGE_SIZE);
}

static u8 tandem_snapshot_page(struct tandem_look *look, unsigned int i)
{
	struct tandem_snapshot *snapshot = container_of(look, struct tandem_snapshot, look);
	struct tandem_device *tdev = snapshot->as->tdev;
	u64 va = snapshot->start + (u64)i * PAGE_SIZE;
	unsigned long pfn = tandem_compat_pfn(look->pfns[i], va);

	if (!tandem_snapshot_agrees(tdev, snapshot->ptes[i], pfn) && !snapshot->wrong)
		snapshot->wrong = va;
	return tandem_snapshot_describe(tdev, pfn);
}

static const struct tandem_look_view tandem_snapshot_view = {
	.begin = tandem_snapshot_begin,
	.page = tandem_snapshot_page,
};

static int tandem_snapshot_step(struct tandem_snapshot *snapshot, u64 start, u64 end,
				u8 __user *user)
{
	struct tandem_as *as = snapshot->as;
	int ret = tandem_look(&snapshot->look, as->tdev, as->mm, start, end);

	if (ret)
		return ret;
	if (snapshot->wrong) {
		dev_err(as->tdev->dev, "pasid %u va 0x%llx: the device has more than the process\n",
			as->pasid, snapshot->wrong);
		return -EIO;
	}
	return copy_to_user(user, snapshot->look.pages, (end - start) >> PAGE_SHIFT) ? -EFAULT : 0;
}

int tandem_dmirror_snapshot(struct tandem_as *as, struct tandem_dmirror_request *args)
{
	u64 va, next, end = args->addr + (args->npages << PAGE_SHIFT);
	u8 __user *user = u64_to_user_ptr(args->ptr);
	struct tandem_snapshot *snapshot;
	int ret = 0;

	snapshot = kvzalloc_obj(*snapshot, GFP_KERNEL_ACCOUNT);
	if (!snapshot)
		return -ENOMEM;
	tandem_look_init(&snapshot->look, &tandem_snapshot_view);
	snapshot->as = as;
	for (va = args->addr; !ret && va < end; va = next) {
		next = min_t(u64, end, round_down(va, SZ_2M) + SZ_2M);
		ret = fatal_signal_pending(current) ?
			      -EINTR :
			      tandem_snapshot_step(snapshot, va, next,
						   user + ((va - args->addr) >> PAGE_SHIFT));
		cond_resched();
	}
	kvfree(snapshot);
	args->cpages = args->npages;
	return ret;
}
