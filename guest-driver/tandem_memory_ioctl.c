// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a process asks about its pages: move them now (PREFETCH), where are they (PAGES). Works in
 * steps of one VMA and 2 MiB; between two steps nothing is held, so a signal ends it soon.
 */
#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "tandem_migrate.h"

#define TANDEM_BLOCK_BYTES BIT_ULL(TANDEM_LEAF_2M)
#define TANDEM_PAGES_LIMIT SZ_1G

/* ---- looking: where is each page of up to 2 MiB? ---- */

/* A notifier of its own: it watches only while it looks, and no chunk is made for it. */
struct tandem_look {
	struct mmu_interval_notifier notifier;
	spinlock_t lock;
	unsigned long pfns[TANDEM_BLOCK_PAGES];
	u8 pages[TANDEM_BLOCK_PAGES]; /* TANDEM_PAGE_* */
};

static bool tandem_look_invalidate(struct mmu_interval_notifier *notifier,
				   const struct mmu_notifier_range *range, unsigned long sequence)
{
	struct tandem_look *look = container_of(notifier, struct tandem_look, notifier);

	spin_lock(&look->lock);
	mmu_interval_set_seq(notifier, sequence);
	spin_unlock(&look->lock);
	return true;
}

static const struct mmu_interval_notifier_ops tandem_look_ops = {
	.invalidate = tandem_look_invalidate,
};

/* The frame is still the process's: its page may be looked at. */
static u8 tandem_look_describe(struct tandem_device *tdev, unsigned long pfn)
{
	struct tandem_place place;
	u8 page;

	if (!(pfn & HMM_PFN_VALID) || pfn & HMM_PFN_ERROR)
		return TANDEM_PAGE_ABSENT;
	if (!tandem_page_place(tdev, hmm_pfn_to_page(pfn), &place) &&
	    is_device_private_page(hmm_pfn_to_page(pfn)))
		return TANDEM_PAGE_ABSENT;
	page = place.aperture == TANDEM_APERTURE_VRAM ? TANDEM_PAGE_DEVICE :
	       place.aperture == TANDEM_APERTURE_PEER ? TANDEM_PAGE_PEER :
							TANDEM_PAGE_SYSTEM;
	if (pfn & HMM_PFN_WRITE)
		page |= TANDEM_PAGE_WRITE;
	if (hmm_pfn_to_map_order(pfn) >= HPAGE_PMD_ORDER)
		page |= TANDEM_PAGE_HUGE;
	return page;
}

/* -EBUSY: something changed while it looked. */
static int tandem_look_try(struct tandem_look *look, struct tandem_as *as, u64 start, u64 end)
{
	unsigned int i, count = (end - start) >> PAGE_SHIFT;
	struct hmm_range range = {
		.notifier = &look->notifier,
		.start = start,
		.end = end,
		.hmm_pfns = look->pfns,
		.dev_private_owner = tandem_vram_owner(as->tdev),
	};
	int ret;

	memset(look->pfns, 0, count * sizeof(*look->pfns));
	range.notifier_seq = mmu_interval_read_begin(&look->notifier);
	mmap_read_lock(as->mm);
	ret = hmm_range_fault(&range);
	mmap_read_unlock(as->mm);
	if (ret)
		return ret;
	spin_lock(&look->lock);
	if (mmu_interval_read_retry(&look->notifier, range.notifier_seq))
		ret = -EBUSY;
	for (i = 0; !ret && i < count; i++)
		look->pages[i] = tandem_look_describe(as->tdev, look->pfns[i]);
	spin_unlock(&look->lock);
	return ret;
}

static int tandem_look(struct tandem_look *look, struct tandem_as *as, u64 start, u64 end)
{
	int ret;

	ret = mmu_interval_notifier_insert(&look->notifier, as->mm, start, end - start,
					   &tandem_look_ops);
	if (ret)
		return ret;
	do {
		ret = tandem_look_try(look, as, start, end);
		if (ret == -EBUSY && signal_pending(current))
			ret = -EINTR;
	} while (ret == -EBUSY);
	mmu_interval_notifier_remove(&look->notifier);
	return ret;
}

static struct tandem_look *tandem_look_alloc(void)
{
	struct tandem_look *look = kvzalloc_obj(*look, GFP_KERNEL_ACCOUNT);

	if (look)
		spin_lock_init(&look->lock);
	return look;
}

/* ---- PAGES ---- */

static u8 tandem_page_mapped(struct tandem_as *as, u64 va)
{
	u64 pte = tandem_mirror_entry(as, va);

	if (!(pte & TANDEM_PTE_VALID))
		return 0;
	return TANDEM_PAGE_MAPPED | (pte & TANDEM_PTE_WRITE ? TANDEM_PAGE_MAPPED_WRITE : 0);
}

static int tandem_pages_step(struct tandem_as *as, struct tandem_look *look, u64 start, u64 end,
			     u8 __user *to)
{
	unsigned int i, count = (end - start) >> PAGE_SHIFT;
	int ret = tandem_look(look, as, start, end);

	if (ret)
		return ret;
	for (i = 0; i < count; i++)
		look->pages[i] |= tandem_page_mapped(as, start + (u64)i * PAGE_SIZE);
	return copy_to_user(to, look->pages, count) ? -EFAULT : 0;
}

static bool tandem_memory_range_is_bad(u64 start, u64 length)
{
	u64 end;

	return !length || !PAGE_ALIGNED(start) || !PAGE_ALIGNED(length) ||
	       check_add_overflow(start, length, &end) ||
	       end > min_t(u64, TASK_SIZE_MAX, TANDEM_VA_LIMIT);
}

int tandem_memory_pages(struct tandem_as *as, const struct tandem_ioc_pages *args)
{
	u64 va, next, end = args->start + args->length;
	u8 __user *to = u64_to_user_ptr(args->pages);
	struct tandem_look *look;
	int ret = 0;

	if (args->reserved[0] || args->reserved[1] || args->length > TANDEM_PAGES_LIMIT ||
	    tandem_memory_range_is_bad(args->start, args->length))
		return -EINVAL;
	look = tandem_look_alloc();
	if (!look)
		return -ENOMEM;
	for (va = args->start; !ret && va < end; va = next) {
		next = min(end, round_down(va, TANDEM_BLOCK_BYTES) + TANDEM_BLOCK_BYTES);
		ret = signal_pending(current) ?
			      -EINTR :
			      tandem_pages_step(as, look, va, next,
						to + ((va - args->start) >> PAGE_SHIFT));
		cond_resched();
	}
	kvfree(look);
	return ret;
}

/* ---- PREFETCH ---- */

/* The next piece at or after *start that is one VMA and one 2 MiB block. False: there is none. */
static bool tandem_memory_next(struct tandem_as *as, u64 *start, u64 *end, u64 limit)
{
	struct vm_area_struct *vma;

	mmap_read_lock(as->mm);
	vma = find_vma_intersection(as->mm, *start, limit);
	if (vma) {
		*start = max_t(u64, *start, vma->vm_start);
		*end = min3(limit, (u64)vma->vm_end,
			    round_down(*start, TANDEM_BLOCK_BYTES) + TANDEM_BLOCK_BYTES);
	}
	mmap_read_unlock(as->mm);
	return vma;
}

/* What is in VRAM now is mapped at once, so that the GPU does not fault on what was prefetched. */
static void tandem_prefetch_map(struct tandem_as *as, const struct tandem_look *look, u64 start,
				unsigned int count)
{
	struct tandem_service_result result;
	unsigned int i, last;

	for (i = 0; i < count; i = last + 1) {
		last = i;
		while (last < count &&
		       (look->pages[last] & TANDEM_PAGE_PLACE) == TANDEM_PAGE_DEVICE)
			last++;
		if (last > i)
			tandem_mirror_fault(as, start + (u64)i * PAGE_SIZE, last - i, false,
					    &result);
	}
}

static int tandem_prefetch_step(struct tandem_as *as, struct tandem_look *look, u64 start, u64 end,
				struct tandem_ioc_prefetch *args)
{
	unsigned int i, count = (end - start) >> PAGE_SHIFT;
	struct tandem_moved moved = { 0 };
	u8 place = TANDEM_PAGE_SYSTEM;
	int ret;

	if (args->location == TANDEM_LOCATION_DEVICE) {
		place = TANDEM_PAGE_DEVICE;
		ret = tandem_migrate_to_vram(as, start, end, start, end, TANDEM_MIGRATE_REQUEST,
					     &moved);
	} else {
		ret = tandem_migrate_home(as, start, end, TANDEM_MIGRATE_REQUEST, &moved);
	}
	args->moved += moved.moved;
	/* The VMA went or changed, or is of a kind that does not move: then it stays. */
	if (ret == -ENOENT || ret == -EINVAL)
		ret = 0;
	if (!ret)
		ret = tandem_look(look, as, start, end);
	if (ret)
		return ret;
	for (i = 0; i < count; i++)
		args->resident += (look->pages[i] & TANDEM_PAGE_PLACE) == place;
	if (args->location == TANDEM_LOCATION_DEVICE)
		tandem_prefetch_map(as, look, start, count);
	return 0;
}

int tandem_memory_prefetch(struct tandem_as *as, struct tandem_ioc_prefetch *args)
{
	u64 va = args->start, next, end = args->start + args->length;
	struct tandem_look *look;
	int ret = 0;

	if (args->flags || args->reserved[0] || args->reserved[1] ||
	    tandem_memory_range_is_bad(args->start, args->length))
		return -EINVAL;
	if (args->location != TANDEM_LOCATION_SYSTEM && args->location != TANDEM_LOCATION_DEVICE)
		return -EINVAL;
	if (!tandem_vram_is_there(&as->tdev->vram))
		return -EOPNOTSUPP;
	look = tandem_look_alloc();
	if (!look)
		return -ENOMEM;
	args->moved = 0;
	args->resident = 0;
	for (; !ret && va < end && tandem_memory_next(as, &va, &next, end); va = next) {
		ret = signal_pending(current) ? -EINTR :
						tandem_prefetch_step(as, look, va, next, args);
		cond_resched();
	}
	kvfree(look);
	return ret;
}
