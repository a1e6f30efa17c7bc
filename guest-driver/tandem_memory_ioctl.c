// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a process asks about its pages: move them now (PREFETCH), where are they (PAGES). Works in
 * steps of one VMA and 2 MiB; between two steps nothing is held, so a signal ends it soon.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/userfaultfd_k.h>

#include "tandem_look.h"
#include "tandem_migrate.h"

#define TANDEM_BLOCK_BYTES BIT_ULL(TANDEM_LEAF_2M)
#define TANDEM_PAGES_LIMIT SZ_1G

/* ---- PAGES ---- */

static u8 tandem_page_mapped(struct tandem_as *as, u64 va)
{
	u64 pte = tandem_mirror_entry(as, va);

	if (!(pte & TANDEM_PTE_VALID))
		return 0;
	/* To Linux it is nowhere while it is taken. */
	if (as->tdev->atomics == TANDEM_ATOMICS_EXCLUSIVE && tandem_pte_is_system_atomic(pte))
		return TANDEM_PAGE_SYSTEM | TANDEM_PAGE_WRITE | TANDEM_PAGE_MAPPED |
		       TANDEM_PAGE_MAPPED_WRITE;
	return TANDEM_PAGE_MAPPED | (pte & TANDEM_PTE_WRITE ? TANDEM_PAGE_MAPPED_WRITE : 0);
}

static int tandem_pages_step(struct tandem_as *as, struct tandem_look *look, u64 start, u64 end,
			     u8 __user *to)
{
	unsigned int i, count = (end - start) >> PAGE_SHIFT;
	int ret = tandem_look(look, as->tdev, as->mm, start, end);

	if (ret)
		return ret;
	for (i = 0; i < count; i++)
		look->pages[i] |= tandem_page_mapped(as, start + (u64)i * PAGE_SIZE);
	return copy_to_user(to, look->pages, count) ? -EFAULT : 0;
}

bool tandem_memory_range_is_bad(u64 start, u64 length)
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

/* Pages that are elsewhere may be faulted in, and nobody but Linux has to be asked for them. */
static bool tandem_memory_may_fault(struct vm_area_struct *vma)
{
	return vma_is_anonymous(vma) && vma_is_accessible(vma) && !userfaultfd_armed(vma) &&
	       !(vma->vm_flags & VM_SPECIAL);
}

/* The next piece at or after *start that is one VMA and one 2 MiB block. False: there is none. */
static bool tandem_memory_next(struct tandem_as *as, u64 *start, u64 *end, u64 limit,
			       bool *may_fault)
{
	struct vm_area_struct *vma;

	mmap_read_lock(as->mm);
	vma = find_vma_intersection(as->mm, *start, limit);
	if (vma) {
		*start = max_t(u64, *start, vma->vm_start);
		*end = min3(limit, (u64)vma->vm_end,
			    round_down(*start, TANDEM_BLOCK_BYTES) + TANDEM_BLOCK_BYTES);
		*may_fault = tandem_memory_may_fault(vma);
	}
	mmap_read_unlock(as->mm);
	return vma;
}

static unsigned int tandem_look_count(const struct tandem_look *look, unsigned int count, u8 place)
{
	unsigned int i, found = 0;

	for (i = 0; i < count; i++)
		found += (look->pages[i] & TANDEM_PAGE_PLACE) == place;
	return found;
}

/* Moves, and looks at what came of it. */
static int tandem_prefetch_move(struct tandem_as *as, struct tandem_look *look, u64 start, u64 end,
				struct tandem_ioc_prefetch *args)
{
	struct tandem_moved moved = { 0 };
	int ret;

	if (args->location == TANDEM_LOCATION_DEVICE)
		ret = tandem_migrate_to_vram(as, start, end, start, end, TANDEM_MIGRATE_REQUEST,
					     &moved);
	else
		ret = tandem_migrate_home(as, as->tdev, start, end, TANDEM_MIGRATE_REQUEST,
					  &moved);
	args->moved += moved.moved;
	/* The VMA went or changed, or is of a kind that does not move: then it stays. */
	if (ret == -ENOENT || ret == -EINVAL)
		ret = 0;
	return ret ?: tandem_look(look, as->tdev, as->mm, start, end);
}

static int tandem_prefetch_step(struct tandem_as *as, struct tandem_look *look, u64 start, u64 end,
				bool may_fault, struct tandem_ioc_prefetch *args)
{
	u8 place = args->location == TANDEM_LOCATION_DEVICE ? TANDEM_PAGE_DEVICE :
							      TANDEM_PAGE_SYSTEM;
	unsigned int count = (end - start) >> PAGE_SHIFT;
	int ret = tandem_prefetch_move(as, look, start, end, args);

	/* Swapped out, or in a GPU on no common link: these come by way of memory. */
	if (!ret && place == TANDEM_PAGE_DEVICE && may_fault &&
	    tandem_look_count(look, count, TANDEM_PAGE_ABSENT)) {
		tandem_look_map(as, look, start, count, TANDEM_PAGE_ABSENT);
		ret = tandem_prefetch_move(as, look, start, end, args);
	}
	if (ret)
		return ret;
	args->resident += tandem_look_count(look, count, place);
	if (args->location == TANDEM_LOCATION_DEVICE)
		tandem_look_map(as, look, start, count, place);
	return 0;
}

int tandem_memory_prefetch(struct tandem_as *as, struct tandem_ioc_prefetch *args)
{
	u64 va = args->start, next, end = args->start + args->length;
	struct tandem_look *look;
	bool may_fault;
	int ret = 0;

	if (args->flags || args->reserved[0] || args->reserved[1] ||
	    tandem_memory_range_is_bad(args->start, args->length))
		return -EINVAL;
	if (args->location != TANDEM_LOCATION_SYSTEM && args->location != TANDEM_LOCATION_DEVICE)
		return -EINVAL;
	if (!tandem_as_moves_pages(as))
		return -EOPNOTSUPP;
	look = tandem_look_alloc();
	if (!look)
		return -ENOMEM;
	args->moved = 0;
	args->resident = 0;
	for (; !ret && va < end && tandem_memory_next(as, &va, &next, end, &may_fault); va = next) {
		ret = signal_pending(current) ?
			      -EINTR :
			      tandem_prefetch_step(as, look, va, next, may_fault, args);
		cond_resched();
	}
	kvfree(look);
	return ret;
}

/* Maps what of the range is present, wherever it lies. */
int tandem_memory_map_present(struct tandem_as *as, u64 start, u64 end)
{
	struct tandem_look *look = tandem_look_alloc();
	u64 va = start, next;
	bool may_fault;
	int ret = 0;

	if (!look)
		return -ENOMEM;
	for (; !ret && va < end && tandem_memory_next(as, &va, &next, end, &may_fault); va = next) {
		ret = signal_pending(current) ? -EINTR :
						tandem_look(look, as->tdev, as->mm, va, next);
		if (!ret)
			tandem_look_map(as, look, va, (next - va) >> PAGE_SHIFT,
					TANDEM_LOOK_PRESENT);
		cond_resched();
	}
	kvfree(look);
	return ret;
}
