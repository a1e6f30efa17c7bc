// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What was looked at becomes entries of the device: chunk lock -> read_retry -> commit. Entries are
 * written only if no notifier came in between; what they replace is invalidated.
 */
#include <linux/bitfield.h>
#include <linux/hmm.h>
#include <linux/mm.h>

#include "tandem_mutate.h"
#include "tandem_window.h"

/* ---- what to write ---- */

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
	if ((!(pfn & HMM_PFN_WRITE) && !tandem_mutated(MUTANT_READ_ONLY_WRITABLE)) ||
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

/* ---- writing it ---- */

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

/* The same for what is mapped as far as it is there: only one leaf for all of it can fail. */
static int tandem_window_resident_error(struct tandem_as *as, const struct tandem_window *window)
{
	return tandem_window_is_huge(window) &&
			       !tandem_mirror_pte(as, &window->wish, tandem_window_pfn(window)) ?
		       -EFAULT :
		       0;
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
	if (window->wish.resident)
		return tandem_window_resident_error(as, window);
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
	unsigned long pfn = tandem_window_pfn(window);
	struct page *page = pfn & HMM_PFN_VALID ? hmm_pfn_to_page(pfn) : NULL;
	struct tandem_vram *vram = page ? tandem_page_vram(page) : NULL;

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

/* Chunk lock held: did a notifier come in between? */
static bool tandem_window_collided(struct tandem_chunk *chunk, const struct tandem_window *window,
				   unsigned long sequence)
{
	bool trusted = window->taken && (tandem_mutated(MUTANT_TOKEN_AFTER_UNLOCK) ||
					 tandem_mutated(MUTANT_TOKEN_WITHOUT_RETRY));

	return mmu_interval_read_retry(&chunk->notifier, sequence) &&
	       !tandem_mutated(MUTANT_NO_READ_RETRY) && !trusted;
}

/* Chunk lock held: are the pages still what was looked at, and may the device have them? */
static int tandem_window_is_good(struct tandem_as *as, struct tandem_chunk *chunk,
				 struct tandem_window *window, unsigned long sequence)
{
	if (READ_ONCE(as->state) != TANDEM_AS_ACTIVE)
		return -ENODEV;
	if (tandem_window_collided(chunk, window, sequence))
		return -EBUSY;
	if (READ_ONCE(as->revocations) != window->wish.revocations)
		return -ESTALE;
	/* Only now may pages be looked at: until the lock they could have been anybody's. */
	return tandem_window_can_map(as, window);
}

/*
 * Called without the chunk lock; waits for the acknowledgement of what was replaced. -EBUSY: a
 * notifier came in between. Others: see tandem_window_can_map().
 */
int tandem_window_commit(struct tandem_as *as, struct tandem_chunk *chunk,
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
	if (tandem_mutated(MUTANT_LOCK_DROPPED)) {
		mutex_unlock(&chunk->lock);
		tandem_mutant_gate(GATE_CHECKED, window->va);
		mutex_lock(&chunk->lock);
	}
	if (ret)
		tandem_invalidate_unreserve(as->tdev);
	else
		ret = tandem_chunk_commit(chunk, window, result, &fence);
	mutex_unlock(&chunk->lock);
	tandem_invalidate_wait(as, fence, TANDEM_MAY_SLEEP);
	return ret;
}
