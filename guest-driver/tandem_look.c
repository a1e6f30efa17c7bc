// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Looking at pages without touching them: where is each page of up to 2 MiB of a process now? And
 * mapping what was found, before the GPU asks for it.
 */
#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "tandem_look.h"

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

/* Where the page is, for this GPU. */
static u8 tandem_look_describe(struct tandem_look *look, unsigned int i)
{
	struct tandem_device *tdev = look->tdev;
	unsigned long pfn = look->pfns[i];
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

static const struct tandem_look_view tandem_look_places = {
	.page = tandem_look_describe,
};

/* -EBUSY: something changed while it looked. */
static int tandem_look_try(struct tandem_look *look, struct mm_struct *mm, u64 start, u64 end)
{
	unsigned int i, count = (end - start) >> PAGE_SHIFT;
	struct hmm_range range = {
		.notifier = &look->notifier,
		.start = start,
		.end = end,
		.hmm_pfns = look->pfns,
		.dev_private_owner = tandem_vram_owner(look->tdev),
	};
	int ret;

	memset(look->pfns, 0, count * sizeof(*look->pfns));
	range.notifier_seq = mmu_interval_read_begin(&look->notifier);
	if (look->view->begin)
		look->view->begin(look, start, count);
	mmap_read_lock(mm);
	ret = hmm_range_fault(&range);
	mmap_read_unlock(mm);
	if (ret)
		return ret;
	spin_lock(&look->lock);
	if (mmu_interval_read_retry(&look->notifier, range.notifier_seq))
		ret = -EBUSY;
	for (i = 0; !ret && i < count; i++)
		look->pages[i] = look->view->page(look, i);
	spin_unlock(&look->lock);
	return ret;
}

/* With a reference to mm_users, and without mmap_lock. */
int tandem_look(struct tandem_look *look, struct tandem_device *tdev, struct mm_struct *mm,
		u64 start, u64 end)
{
	int ret;

	look->tdev = tdev;
	ret = mmu_interval_notifier_insert(&look->notifier, mm, start, end - start,
					   &tandem_look_ops);
	if (ret)
		return ret;
	do {
		ret = tandem_look_try(look, mm, start, end);
		if (ret == -EBUSY && signal_pending(current))
			ret = -EINTR;
	} while (ret == -EBUSY);
	mmu_interval_notifier_remove(&look->notifier);
	return ret;
}

void tandem_look_init(struct tandem_look *look, const struct tandem_look_view *view)
{
	spin_lock_init(&look->lock);
	look->view = view;
}

struct tandem_look *tandem_look_alloc(void)
{
	struct tandem_look *look = kvzalloc_obj(*look, GFP_KERNEL_ACCOUNT);

	if (look)
		tandem_look_init(look, &tandem_look_places);
	return look;
}

static bool tandem_look_is_at(u8 page, u8 place)
{
	page &= TANDEM_PAGE_PLACE;
	return place == TANDEM_LOOK_PRESENT ? page != TANDEM_PAGE_ABSENT : page == place;
}

/*
 * What is in this place is mapped for the GPU before it faults; read-only where the
 * process wants it so. TANDEM_PAGE_ABSENT: faulted in.
 */
void tandem_look_map(struct tandem_as *as, const struct tandem_look *look, u64 start,
			    unsigned int count, u8 place)
{
	struct tandem_mirror_wish wish = {
		.around = PAGE_SIZE,
		.read_only = tandem_policy_is_read_mostly(as, start),
		.revocations = READ_ONCE(as->revocations),
	};
	struct tandem_service_result result;
	unsigned int i, last;

	for (i = 0; i < count; i = last + 1) {
		last = i;
		while (last < count && tandem_look_is_at(look->pages[last], place) &&
		       tandem_retry_grants(as, start + (u64)last * PAGE_SIZE))
			last++;
		if (last > i)
			tandem_mirror_fault(as, start + (u64)i * PAGE_SIZE, last - i, wish,
					    &result);
	}
}
