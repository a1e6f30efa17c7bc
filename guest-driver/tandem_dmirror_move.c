// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * MIGRATE_TO_DEV and MIGRATE_TO_SYS of a node: the migrations that PREFETCH uses, in steps of one
 * VMA and 2 MiB. What has gone to VRAM is mapped for the device, and read by it.
 */
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include "tandem_dmirror.h"
#include "tandem_look.h"
#include "tandem_migrate.h"

#define TANDEM_MOVE_PASSES 3

/* *end: where the step that begins at va ends. -EINVAL: nothing there that could move at all. */
static int tandem_move_step(struct tandem_as *as, u64 va, u64 *end)
{
	struct vm_area_struct *vma;
	int ret = 0;

	mmap_read_lock(as->mm);
	vma = vma_lookup(as->mm, va);
	if (!vma || !(vma->vm_flags & VM_READ) || vma->vm_flags & VM_SPECIAL ||
	    is_vm_hugetlb_page(vma) || vma_is_dax(vma))
		ret = -EINVAL;
	else
		*end = min3(*end, (u64)vma->vm_end, round_down(va, SZ_2M) + SZ_2M);
	mmap_read_unlock(as->mm);
	return ret ?: fatal_signal_pending(current) ? -EINTR : 0;
}

/* What did not move is no error: the device's own table tells whether it has the page. */
static int tandem_move_away(struct tandem_as *as, struct tandem_look *look, u64 start, u64 end)
{
	struct tandem_moved moved = { 0 };
	int ret = tandem_migrate_to_vram(as, start, end, start, end, TANDEM_MIGRATE_REQUEST,
					 &moved);

	if (ret && ret != -ENOENT && ret != -ENOMEM)
		return ret;
	ret = tandem_look(look, as->tdev, as->mm, start, end);
	if (!ret)
		tandem_look_map(as, look, start, (end - start) >> PAGE_SHIFT, TANDEM_PAGE_DEVICE);
	return ret;
}

static int tandem_move_range(struct tandem_as *as, struct tandem_look *look, u64 start, u64 end)
{
	u64 va, next;
	int ret = 0;

	for (va = start; !ret && va < end; va = next) {
		next = end;
		ret = tandem_move_step(as, va, &next);
		ret = ret ?: tandem_move_away(as, look, va, next);
		cond_resched();
	}
	return ret;
}

/*
 * More than one pass, as in Linux's own migrate_pages(): somebody may have held a page for a
 * moment, and a notifier may take back what is mapped although the page stays where it is
 * (khugepaged that looked before the page moved, for one).
 */
int tandem_dmirror_to_dev(struct tandem_as *as, struct tandem_dmirror_request *args)
{
	u64 end = args->addr + (args->npages << PAGE_SHIFT);
	struct tandem_look *look;
	int ret, passes = 0;

	if (!tandem_as_moves_pages(as))
		return -EOPNOTSUPP;
	look = tandem_look_alloc();
	if (!look)
		return -ENOMEM;
	do {
		ret = tandem_move_range(as, look, args->addr, end);
		ret = ret ?: tandem_dmirror_read_mapped(as, args);
	} while (ret == -ENOENT && ++passes < TANDEM_MOVE_PASSES);
	kvfree(look);
	return ret;
}

/* A huge page that comes home as one counts as one page. */
int tandem_dmirror_to_sys(struct tandem_as *as, struct tandem_dmirror_request *args)
{
	u64 va, next, end = args->addr + (args->npages << PAGE_SHIFT);
	struct tandem_moved moved = { 0 };
	int ret = 0;

	if (!tandem_as_moves_pages(as))
		return -EOPNOTSUPP;
	for (va = args->addr; !ret && va < end; va = next) {
		next = end;
		ret = tandem_move_step(as, va, &next);
		ret = ret ?: tandem_migrate_home(as, as->tdev, va, next, TANDEM_MIGRATE_REQUEST,
						 &moved);
		cond_resched();
	}
	args->cpages = moved.moved - moved.huge * (TANDEM_BLOCK_PAGES - 1);
	return ret;
}
