// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Mirror translation, the side that asks Linux: the device wants pages. A window is what is looked
 * at together: read_begin -> snapshot or hmm_range_fault -> chunk lock -> read_retry -> commit. The
 * other direction is the notifier (tandem_mirror.c); docs/locking.md shows the two against each
 * other.
 */
#include <linux/bitfield.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "tandem_compat.h"
#include "tandem_migrate.h"
#include "tandem_mirror.h"
#include "tandem_poison.h"

#define TANDEM_WINDOW_PAGES 512

/* Pages that the device asked for, one behind the other, and what around them is looked at too. */
struct tandem_window {
	u64 va, va_end; /* inside one 2 MiB block */
	u64 start, end;
	struct tandem_mirror_wish wish;
	struct tandem_device *foreign;
	bool prepared; /* for leaves of 4 KiB */
	bool taken;    /* no CPU can reach the page asked for */
	bool stays;    /* where it is: it did not move to VRAM */
	bool in_pages; /* part of a huge page is lost: no leaf may span it */
	unsigned long pfns[TANDEM_WINDOW_PAGES];
	u64 ptes[TANDEM_WINDOW_PAGES];
};

/* ---- looking: what is there ---- */

/*
 * mmap_lock held. Chooses the window: inside the VMA, and inside one 2 MiB block because
 * fault-around is at most that.
 */
static int tandem_window_choose(struct tandem_as *as, struct tandem_window *window)
{
	struct vm_area_struct *vma = vma_lookup(as->mm, window->va);
	u64 start = round_down(window->va, window->wish.around);
	u64 end = round_up(window->va_end, window->wish.around);

	if (!vma)
		return -ENOENT;
	if (!(vma->vm_flags & VM_READ) || vma->vm_flags & (VM_IO | VM_PFNMAP))
		return -EACCES;
	if (window->wish.write && !(vma->vm_flags & VM_WRITE))
		return -EACCES;
	if (window->va_end > vma->vm_end)
		return -EFAULT;
	window->start = max3(start, (u64)vma->vm_start, window->wish.from);
	window->end = min3(end, (u64)vma->vm_end, window->wish.to ?: U64_MAX);
	return 0;
}

/* Entries of the pages asked for: [first, last). */
static unsigned int tandem_window_first(const struct tandem_window *window)
{
	return (window->va - window->start) >> PAGE_SHIFT;
}

static unsigned int tandem_window_last(const struct tandem_window *window)
{
	return (window->va_end - window->start) >> PAGE_SHIFT;
}

static unsigned long tandem_window_pfn(const struct tandem_window *window)
{
	return window->pfns[tandem_window_first(window)];
}

/*
 * The frames of one large mapping follow its addresses. Linux 7.3 counts them from the start of the
 * range that it was asked for if that lies inside a huge private page: here they are put right.
 */
static void tandem_window_align(struct tandem_window *window)
{
	unsigned int i, count = (window->end - window->start) >> PAGE_SHIFT;

	for (i = 0; i < count; i++) {
		unsigned long pfn = window->pfns[i];
		unsigned long place = (window->start >> PAGE_SHIFT) + i;

		if (pfn & HMM_PFN_VALID &&
		    hmm_pfn_to_map_order(pfn) >= TANDEM_LEAF_2M - TANDEM_PAGE_SHIFT)
			window->pfns[i] = (pfn & ~(TANDEM_PT_ENTRIES - 1UL)) |
					  (place & (TANDEM_PT_ENTRIES - 1));
	}
}

/*
 * What of the window is present now; faults nothing in, so a neighbour can neither fail nor be
 * changed (hmm_range_fault with a request for one page would fault the rest of the window with it).
 */
static int tandem_window_snapshot(struct tandem_as *as, struct tandem_window *window,
				  struct hmm_range *range)
{
	int ret;

	mmap_read_lock(as->mm);
	ret = tandem_window_choose(as, window);
	if (!ret) {
		range->start = window->start;
		range->end = window->end;
		range->default_flags = 0;
		memset(window->pfns, 0,
		       sizeof(window->pfns[0]) * ((window->end - window->start) >> PAGE_SHIFT));
		ret = hmm_range_fault(range);
	}
	mmap_read_unlock(as->mm);
	if (!ret)
		tandem_window_align(window);
	return ret;
}

/*
 * Faults the pages asked for in, as a CPU access would, all in one call. What the snapshot found
 * around them is still good if no notifier came in between; -EAGAIN: it has to be looked at again.
 */
static int tandem_window_fault(struct tandem_window *window, struct tandem_chunk *chunk,
			       unsigned long sequence)
{
	struct hmm_range range = {
		.notifier = &chunk->notifier,
		.start = window->va,
		.end = window->va_end,
		.hmm_pfns = &window->pfns[tandem_window_first(window)],
		.default_flags = HMM_PFN_REQ_FAULT | (window->wish.write ? HMM_PFN_REQ_WRITE : 0),
		.dev_private_owner = tandem_vram_owner(chunk->as->tdev),
	};
	int ret;

	memset(range.hmm_pfns, 0,
	       sizeof(*range.hmm_pfns) * ((window->va_end - window->va) >> PAGE_SHIFT));
	ret = tandem_compat_fault(&range, msecs_to_jiffies(tandem_retry_ms));
	if (ret)
		return ret;
	tandem_window_align(window);
	return range.notifier_seq == sequence ? 0 : -EAGAIN;
}

static bool tandem_window_is_served(const struct tandem_window *window)
{
	unsigned long need = HMM_PFN_VALID | (window->wish.write ? HMM_PFN_WRITE : 0);
	unsigned int i;

	for (i = tandem_window_first(window); i < tandem_window_last(window); i++)
		if ((window->pfns[i] & need) != need)
			return false;
	return true;
}

static bool tandem_page_is_lost(const struct page *page)
{
	struct tandem_vram *vram = tandem_page_vram(page);

	return vram && tandem_vram_is_retired(vram, tandem_page_index(vram, page), 1);
}

/*
 * Writable only where the CPU's own entry is: copy on write, soft-dirty, KSM and write tracking
 * stay right that way. Atomics on video memory, of this GPU or of one on the link, always are.
 */
static u64 tandem_mirror_pte(struct tandem_as *as, const struct tandem_mirror_wish *wish,
			     unsigned long pfn)
{
	struct tandem_place place;
	u64 pte = TANDEM_PTE_VALID | TANDEM_PTE_LEAF;

	if (!(pfn & HMM_PFN_VALID) || pfn & HMM_PFN_ERROR ||
	    !tandem_page_place(as->tdev, hmm_pfn_to_page(pfn), &place) ||
	    tandem_page_is_lost(hmm_pfn_to_page(pfn)))
		return 0;
	pte |= place.address | FIELD_PREP(TANDEM_PTE_APERTURE, place.aperture) |
	       FIELD_PREP(TANDEM_PTE_PEER, place.peer);
	if (!(pfn & HMM_PFN_WRITE) ||
	    (wish->read_only && place.aperture == TANDEM_APERTURE_SYSTEM))
		return pte;
	pte |= TANDEM_PTE_WRITE;
	if (place.aperture != TANDEM_APERTURE_SYSTEM || as->tdev->atomics == TANDEM_ATOMICS_PCIE)
		pte |= TANDEM_PTE_ATOMIC;
	return pte;
}

/* The page was taken from the CPUs, and nobody has taken it back: no entry could be better. */
static bool tandem_mirror_is_taken(struct tandem_as *as, u64 va)
{
	return as->tdev->atomics == TANDEM_ATOMICS_EXCLUSIVE &&
	       tandem_pte_is_system_atomic(tandem_pt_read(&as->pt, va));
}

/* Chunk lock held, the sequence still good: what to write for page i of the window; 0: nothing. */
static u64 tandem_window_pte(struct tandem_as *as, const struct tandem_window *window,
			     unsigned int i)
{
	u64 pte = tandem_mirror_pte(as, &window->wish, window->pfns[i]);

	if (window->taken && i == tandem_window_first(window))
		return pte | TANDEM_PTE_ATOMIC;
	return tandem_mirror_is_taken(as, window->start + (u64)i * PAGE_SIZE) ? 0 : pte;
}

/*
 * Do atomics on the page asked for need more than mapping it? Not with PCIe AtomicOps, not in video
 * memory, and not once the page is taken from the CPUs.
 */
static bool tandem_window_lacks_atomics(struct tandem_as *as, const struct tandem_window *window)
{
	return window->wish.atomic && !window->taken &&
	       !(tandem_mirror_pte(as, &window->wish, tandem_window_pfn(window)) &
		 TANDEM_PTE_ATOMIC);
}

/* ---- committing: what the device gets ---- */

/*
 * Is the page part of a mapping of 2 MiB or more? hmm: such a mapping begins aligned, and its pages
 * are alike.
 */
static bool tandem_window_is_huge(const struct tandem_window *window)
{
	u64 block = round_down(window->va, 1ULL << TANDEM_LEAF_2M);
	const struct tandem_mirror_wish *wish = &window->wish;

	if (hmm_pfn_to_map_order(tandem_window_pfn(window)) < TANDEM_LEAF_2M - TANDEM_PAGE_SHIFT)
		return false;
	/* A leaf for all of it may not take in what has another wish. */
	if (wish->to && (wish->from > block || wish->to < block + (1ULL << TANDEM_LEAF_2M)))
		return false;
	return !window->in_pages;
}

/* Is the page part of a block of VRAM of which something is lost? */
static bool tandem_block_is_lost(const struct page *page)
{
	struct tandem_vram *vram = tandem_page_vram(page);

	return vram && tandem_vram_is_retired(vram,
					      round_down(tandem_page_index(vram, page),
							 TANDEM_BLOCK_PAGES),
					      TANDEM_BLOCK_PAGES);
}

/* Could that be the case for any page that this GPU maps? */
static bool tandem_vram_may_be_lost(struct tandem_device *tdev)
{
	return READ_ONCE(tdev->vram.retired_pages) || tdev->vram.fabric != TANDEM_FABRIC_NONE;
}

/* Why the device cannot have this page. With -EREMOTE a reference to the GPU that it lies in. */
static int tandem_window_refusal(struct tandem_as *as, struct tandem_window *window,
				 unsigned long pfn)
{
	struct tandem_place place;
	struct page *page;

	if (!(pfn & HMM_PFN_VALID) || pfn & HMM_PFN_ERROR)
		return -EFAULT;
	page = hmm_pfn_to_page(pfn);
	if (tandem_page_is_lost(page))
		return -EHWPOISON;
	if (!tandem_page_vram(page) || tandem_page_place(as->tdev, page, &place))
		return -EFAULT;
	window->foreign = tandem_page_vram(page)->tdev;
	tandem_device_get(window->foreign);
	return -EREMOTE;
}

/*
 * Chunk lock held, the sequence is still good: can the device have every page asked for?
 * -EHWPOISON: one of them is lost. -EREMOTE: one lies in a GPU that this one cannot reach, and that
 * the CPU can: Linux did not bring it home. -EOPNOTSUPP: mapping it is not enough for atomics.
 */
static int tandem_window_can_map(struct tandem_as *as, struct tandem_window *window)
{
	unsigned int i;

	if (window->prepared && tandem_window_is_huge(window))
		window->in_pages = tandem_block_is_lost(hmm_pfn_to_page(tandem_window_pfn(window)));
	for (i = tandem_window_first(window); i < tandem_window_last(window); i++) {
		if (tandem_mirror_pte(as, &window->wish, window->pfns[i]))
			continue;
		return tandem_window_refusal(as, window, window->pfns[i]);
	}
	return tandem_window_lacks_atomics(as, window) ? -EOPNOTSUPP : 0;
}

static unsigned int tandem_window_map(struct tandem_as *as, struct tandem_window *window,
				      struct tandem_gather *gather,
				      struct tandem_service_result *result)
{
	unsigned int i, count = (window->end - window->start) >> PAGE_SHIFT;
	u64 block = round_down(window->va, 1ULL << TANDEM_LEAF_2M);

	if (tandem_window_is_huge(window)) {
		u64 pte = tandem_mirror_pte(as, &window->wish, tandem_window_pfn(window)) -
			  (window->va - block);

		result->start = block;
		result->end = block + (1ULL << TANDEM_LEAF_2M);
		return tandem_pt_map_2m(&as->pt, block, pte, gather);
	}
	for (i = 0; i < count; i++)
		window->ptes[i] = tandem_window_pte(as, window, i);
	result->start = window->start;
	result->end = window->end;
	return tandem_pt_map_pages(&as->pt, window->start, window->ptes, count, gather);
}

/* The block of VRAM that the page asked for lies in is not the next to be evicted. */
static void tandem_window_touch(struct tandem_as *as, const struct tandem_window *window)
{
	struct page *page = hmm_pfn_to_page(tandem_window_pfn(window));
	struct tandem_vram *vram = tandem_page_vram(page);

	if (vram)
		tandem_vram_touch(vram, tandem_page_index(vram, page));
}

/*
 * Chunk lock held, the sequence is still good: writes the entries, and uses up or gives back the
 * reserved slot. What they replace is invalidated, or else a translation without the permission
 * would live on and the access fault for ever. -ENOMEM: the page asked for could not be mapped.
 */
static int tandem_chunk_commit(struct tandem_chunk *chunk, struct tandem_window *window,
			       struct tandem_service_result *result, struct tandem_fence *fence)
{
	struct tandem_gather gather = { 0 };
	struct tandem_as *as = chunk->as;
	unsigned int written = tandem_window_map(as, window, &gather, result);
	struct tandem_invalidate entry = {
		.cause = TANDEM_CAUSE_UPGRADE,
		.start = gather.start,
		.end = gather.end,
		.dirty = gather.dirty,
		.notify_start = result->start,
		.notify_end = result->end,
	};

	lockdep_assert_held(&chunk->lock);
	tandem_window_touch(as, window);
	chunk->pages += written - gather.pages;
	result->pages = written;
	atomic64_add(written, &as->stats.pages_mapped);
	if (gather.pages) {
		chunk->fence = tandem_invalidate_send(as, &entry, TANDEM_MAY_SLEEP);
		*fence = chunk->fence;
	} else {
		tandem_invalidate_unreserve(as->tdev);
	}
	return gather.unlinked && !(tandem_pt_read(&as->pt, window->va) & TANDEM_PTE_VALID) ?
		       -ENOMEM :
		       0;
}

/* Chunk lock held: are the pages still what was looked at, and may the device have them? */
static int tandem_window_is_good(struct tandem_as *as, struct tandem_chunk *chunk,
				 struct tandem_window *window, unsigned long sequence)
{
	if (READ_ONCE(as->state) != TANDEM_AS_ACTIVE)
		return -ENODEV;
	if (mmu_interval_read_retry(&chunk->notifier, sequence))
		return -EBUSY;
	/* Only now may pages be looked at: until the lock they could have been anybody's. */
	return tandem_window_can_map(as, window);
}

static int tandem_mirror_commit(struct tandem_as *as, struct tandem_chunk *chunk,
				struct tandem_window *window, unsigned long sequence,
				struct tandem_service_result *result)
{
	struct tandem_fence fence = { .epoch = as->epoch };
	int ret;

	/* A huge page of which a part is lost is mapped in small ones: be ready for that, too. */
	window->in_pages = false;
	window->prepared = !tandem_window_is_huge(window) || tandem_vram_may_be_lost(as->tdev);
	ret = tandem_pt_prepare(&as->pt, window->va, window->prepared);
	if (ret)
		return ret;
	tandem_invalidate_reserve(as->tdev, TANDEM_MAY_SLEEP);
	mutex_lock(&chunk->lock);
	ret = tandem_window_is_good(as, chunk, window, sequence);
	if (ret)
		tandem_invalidate_unreserve(as->tdev);
	else
		ret = tandem_chunk_commit(chunk, window, result, &fence);
	mutex_unlock(&chunk->lock);
	tandem_invalidate_wait(as, fence, TANDEM_MAY_SLEEP);
	return ret;
}

/* ---- the fault ---- */

/*
 * Linux reports a private page of ours that is read-only (shared after a fork, protected) as it is
 * and leaves the write to us: at home, the write is an ordinary one.
 */
static int tandem_window_bring_home(struct tandem_as *as, struct tandem_device *tdev,
				    const struct tandem_window *window)
{
	struct tandem_moved moved = { 0 };
	int ret = tandem_migrate_home(as, tdev, window->va, window->va_end,
				      TANDEM_MIGRATE_GPU_FAULT, &moved);

	return ret ?: -EAGAIN;
}

/* An atomic fault where only VRAM will do: the page moves, and everything is looked at anew. */
static int tandem_window_to_vram(struct tandem_as *as, struct tandem_window *window)
{
	struct tandem_moved moved = { 0 };
	int ret = tandem_atomics_to_vram(as, window->va, &moved);

	window->stays = !moved.moved;
	return ret ?: -EAGAIN;
}

/*
 * An atomic fault where the page has to be this device's alone: takes it from the CPUs and maps it
 * while its folio is locked, so that no CPU access comes in between. Our own notifier is called
 * from inside and looks away, so the sequence stays good.
 */
static int tandem_window_take(struct tandem_as *as, struct tandem_chunk *chunk,
			      struct tandem_window *window, unsigned long sequence,
			      struct tandem_service_result *result)
{
	struct folio *folio;
	int ret;

	ret = tandem_exclusive_make(as, window->va, &window->pfns[tandem_window_first(window)],
				    &folio);
	if (ret)
		/* Somebody may just have been faster. */
		return mmu_interval_check_retry(&chunk->notifier, sequence) ? -EBUSY : ret;
	window->taken = true;
	ret = tandem_mirror_commit(as, chunk, window, sequence, result);
	window->taken = false;
	if (!ret)
		tandem_hold_take(as, window->va);
	tandem_exclusive_release(as, folio, !ret);
	return ret;
}

static int tandem_window_commit(struct tandem_as *as, struct tandem_chunk *chunk,
				struct tandem_window *window, unsigned long sequence,
				struct tandem_service_result *result)
{
	int ret = tandem_mirror_commit(as, chunk, window, sequence, result);

	if (!ret && window->wish.atomic)
		tandem_hold_take(as, window->va);
	if (ret != -EOPNOTSUPP)
		return ret;
	return as->tdev->atomics == TANDEM_ATOMICS_VRAM ?
		       tandem_window_to_vram(as, window) :
		       tandem_window_take(as, chunk, window, sequence, result);
}

/*
 * One round. -EBUSY: a notifier came in between. -EAGAIN: the pages were faulted in, a notifier
 * came in between (ours, for copy on write, perhaps), and the window has to be looked at again.
 */
static int tandem_mirror_try(struct tandem_as *as, struct tandem_chunk *chunk,
			     struct tandem_window *window, struct tandem_service_result *result)
{
	struct hmm_range range = {
		.notifier = &chunk->notifier,
		.hmm_pfns = window->pfns,
		.dev_private_owner = tandem_vram_owner(as->tdev),
	};
	int ret;

	range.notifier_seq = mmu_interval_read_begin(&chunk->notifier);
	ret = tandem_window_snapshot(as, window, &range);
	if (ret)
		return ret;
	if (!tandem_window_is_served(window)) {
		ret = tandem_window_fault(window, chunk, range.notifier_seq);
		if (!ret && !tandem_window_is_served(window))
			ret = tandem_window_bring_home(as, as->tdev, window);
	}
	ret = ret ?: tandem_window_commit(as, chunk, window, range.notifier_seq, result);
	if (ret == -EREMOTE) {
		ret = tandem_window_bring_home(as, window->foreign, window);
		tandem_device_put(window->foreign);
	}
	return ret;
}

/* No mapping there is no reason to watch the place. */
static int tandem_mirror_check(struct tandem_as *as, struct tandem_window *window)
{
	int ret;

	if (window->va_end > min_t(u64, TASK_SIZE_MAX, TANDEM_VA_LIMIT))
		return -ENOENT;
	mmap_read_lock(as->mm);
	ret = tandem_window_choose(as, window);
	mmap_read_unlock(as->mm);
	return ret;
}

/*
 * Maps `pages` pages that the device asked for, from va on and inside one 2 MiB block, and what of
 * their neighbourhood is present. Called with a reference to mm_users, with no lock held. 0 also
 * when notifiers kept colliding until the time was over: the device will ask again. For one page,
 * -ENOENT: nothing is mapped there; -EACCES: not with this permission; others: it could not be
 * had. For several, an error says only that not all of them can be had together. -EOPNOTSUPP: it is
 * memory on which this device can do no atomics.
 */
int tandem_mirror_fault(struct tandem_as *as, u64 va, unsigned int pages,
			struct tandem_mirror_wish wish, struct tandem_service_result *result)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(tandem_retry_ms);
	struct tandem_window *window;
	struct tandem_chunk *chunk;
	int ret;

	window = kvmalloc_obj(*window, GFP_KERNEL);
	if (!window)
		return -ENOMEM;
	window->va = round_down(va, PAGE_SIZE);
	window->va_end = window->va + (u64)pages * PAGE_SIZE;
	window->wish = wish;
	window->taken = false;
	window->stays = false;
	ret = tandem_mirror_check(as, window);
	if (ret)
		goto out;
	chunk = tandem_chunk_get(as, va);
	ret = PTR_ERR_OR_ZERO(chunk);
	if (ret)
		goto out;
	for (;;) {
		if (wish.atomic)
			tandem_hold_wait_cpu(as, window->va);
		ret = tandem_mirror_try(as, chunk, window, result);
		if ((ret != -EBUSY && ret != -EAGAIN) || time_after(jiffies, deadline))
			break;
		if (ret == -EBUSY)
			atomic64_inc(&as->stats.faults_retried);
	}
	if (ret == -EFAULT)
		/* The mapping may have gone meanwhile: then say so. */
		ret = tandem_mirror_check(as, window) ?: tandem_poison_why(as->mm, window->va);
	if (ret == -EBUSY || ret == -EAGAIN)
		ret = window->stays ? -EOPNOTSUPP : 0;
out:
	kvfree(window);
	return ret;
}

/* ---- where the pages are ---- */

/* Chunk lock held, the sequence is still good. */
static bool tandem_window_is_in_vram(struct tandem_as *as, const struct tandem_window *window)
{
	struct tandem_place place;
	unsigned int i;

	for (i = tandem_window_first(window); i < tandem_window_last(window); i++)
		if (!(window->pfns[i] & HMM_PFN_VALID) ||
		    !tandem_page_place(as->tdev, hmm_pfn_to_page(window->pfns[i]), &place) ||
		    place.aperture != TANDEM_APERTURE_VRAM)
			return false;
	return true;
}

/*
 * Are these pages, inside one 2 MiB block, in this GPU's memory already? False also if something
 * changed while this looked. With a reference to mm_users.
 */
bool tandem_mirror_is_in_vram(struct tandem_as *as, u64 va, unsigned int pages)
{
	struct tandem_chunk *chunk = tandem_chunk_find(as, va);
	struct tandem_window *window = chunk ? kvmalloc_obj(*window, GFP_KERNEL) : NULL;
	struct hmm_range range = { .dev_private_owner = tandem_vram_owner(as->tdev) };
	bool there = false;

	if (!window)
		return false;
	window->va = va;
	window->va_end = va + (u64)pages * PAGE_SIZE;
	window->wish = (struct tandem_mirror_wish){ .around = PAGE_SIZE };
	range.notifier = &chunk->notifier;
	range.hmm_pfns = window->pfns;
	range.notifier_seq = mmu_interval_read_begin(&chunk->notifier);
	if (!tandem_window_snapshot(as, window, &range)) {
		mutex_lock(&chunk->lock);
		there = !mmu_interval_read_retry(&chunk->notifier, range.notifier_seq) &&
			tandem_window_is_in_vram(as, window);
		mutex_unlock(&chunk->lock);
	}
	kvfree(window);
	return there;
}
