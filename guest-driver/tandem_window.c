// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Mirror translation, the side that asks Linux: the device wants pages. A window is what is looked
 * at together: read_begin -> snapshot or hmm_range_fault -> commit (tandem_commit.c). The other
 * direction is the notifier (tandem_mirror.c); docs/locking.md shows the two against each
 * other.
 */
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "tandem_compat.h"
#include "tandem_migrate.h"
#include "tandem_mutate.h"
#include "tandem_poison.h"
#include "tandem_window.h"

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

static void tandem_window_align(struct tandem_window *window)
{
	unsigned int i, count = (window->end - window->start) >> PAGE_SHIFT;

	if (tandem_mutated(MUTANT_FRAMES_NOT_ALIGNED))
		return;
	for (i = 0; i < count; i++)
		window->pfns[i] = tandem_compat_pfn(window->pfns[i],
						    window->start + (u64)i * PAGE_SIZE);
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

static int tandem_window_ask(const struct tandem_window *window, struct mm_struct *mm,
			     struct hmm_range *range)
{
	int ret;

	if (!window->wish.keeps_lock)
		return tandem_compat_fault(range, msecs_to_jiffies(tandem_retry_ms));
	range->notifier_seq = mmu_interval_read_begin(range->notifier);
	mmap_read_lock(mm);
	ret = hmm_range_fault(range);
	mmap_read_unlock(mm);
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
	ret = tandem_window_ask(window, chunk->as->mm, &range);
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

/* Has the process anything at all of what was asked for? */
static bool tandem_window_is_resident(const struct tandem_window *window)
{
	unsigned int i;

	for (i = tandem_window_first(window); i < tandem_window_last(window); i++)
		if (window->pfns[i] & HMM_PFN_VALID)
			return true;
	return false;
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
	if (tandem_mutated(MUTANT_TOKEN_AFTER_UNLOCK)) {
		tandem_exclusive_release(as, folio, false);
		folio = NULL;
	}
	tandem_mutant_gate(GATE_TAKEN, window->va);
	ret = tandem_window_commit(as, chunk, window, sequence, result);
	window->taken = false;
	if (!ret)
		tandem_hold_take(as, window->va);
	tandem_exclusive_release(as, folio, !ret);
	return ret;
}

static int tandem_window_map_or_take(struct tandem_as *as, struct tandem_chunk *chunk,
				     struct tandem_window *window, unsigned long sequence,
				     struct tandem_service_result *result)
{
	int ret = tandem_window_commit(as, chunk, window, sequence, result);

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
	if (window->wish.resident && !tandem_window_is_resident(window))
		return -ENOENT;
	if (window->wish.resident)
		return tandem_window_commit(as, chunk, window, range.notifier_seq, result);
	if (!tandem_window_is_served(window)) {
		ret = tandem_window_fault(window, chunk, range.notifier_seq);
		if (!ret && !tandem_window_is_served(window))
			ret = tandem_window_bring_home(as, as->tdev, window);
	}
	tandem_mutant_gate(GATE_LOOKED, window->va);
	if (tandem_mutated(MUTANT_SEQUENCE_AFTER_WALK))
		range.notifier_seq = mmu_interval_read_begin(&chunk->notifier);
	ret = ret ?: tandem_window_map_or_take(as, chunk, window, range.notifier_seq, result);
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
 * when notifiers kept colliding until the time was over, or when the process took a grant back
 * meanwhile: the device will ask again. For one page,
 * -ENOENT: nothing is mapped there; -EACCES: not with this permission; others: it could not be
 * had. For several, an error says only that not all of them can be had together. -EOPNOTSUPP: it is
 * memory on which this device can do no atomics. With wish.resident those that are there are mapped,
 * and nobody is told which.
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
	if (ret == -EFAULT && !wish.resident)
		/* The mapping may have gone meanwhile: then say so. */
		ret = tandem_mirror_check(as, window) ?: tandem_poison_why(as->mm, window->va);
	if (ret == -ESTALE)
		ret = 0;
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
