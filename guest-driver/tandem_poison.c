// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Poisoned pages of VRAM: their contents are lost, and nobody may take anything else for them.
 *
 * The page is retired at once: no page table of a GPU gets an entry of it, no copy reads it, and
 * it is not given out again. Private pages need no more: a CPU that touches one faults into
 * migrate_to_ram, which answers VM_FAULT_HWPOISON, a SIGBUS with BUS_MCEERR_AR. A coherent page the
 * CPU can reach without asking anybody: Linux is given a page of memory in its place and told that
 * it is poisoned. From there on it is as with any memory: entries that say so in every process that
 * maps it, a SIGBUS for who touches them, early for those who asked for that.
 */
#include <linux/delay.h>
#include <linux/hmm.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rcupdate.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "tandem_look.h"
#include "tandem_poison.h"

/* Places of one mm where the page may be mapped. More than these: some mapping is missed. */
#define TANDEM_POISON_PLACES 16
#define TANDEM_POISON_TRIES  10

/* A report of the device. Interrupt or process context, inside the event ring's lock. */
void tandem_poison_report(struct tandem_device *tdev, u64 offset)
{
	struct tandem_vram *vram = &tdev->vram;
	u64 index = offset / PAGE_SIZE;

	if (!tandem_vram_is_there(vram) || index >= vram->pages)
		return;
	atomic64_inc(&vram->stats.poison_events);
	/* The device says it again after each reset. */
	if (!tandem_vram_retire(vram, index))
		return;
	dev_warn(tdev->dev, "VRAM at 0x%llx is poisoned\n", offset);
	memory_failure_queue(vram->first_pfn + index, 0);
}

/* ---- which processes, and where ---- */

/* All processes there are now, each with a reference; returns how many. */
static unsigned int tandem_poison_collect(struct task_struct ***list)
{
	struct task_struct *task, **tasks;
	unsigned int count = 0, room = 64;

	rcu_read_lock();
	for_each_process(task)
		room++;
	rcu_read_unlock();
	tasks = kvcalloc(room, sizeof(struct task_struct *), GFP_KERNEL);
	*list = tasks;
	if (!tasks)
		return 0;
	rcu_read_lock();
	for_each_process(task) {
		if (count == room)
			break;
		get_task_struct(task);
		tasks[count++] = task;
	}
	rcu_read_unlock();
	return count;
}

/* Where anonymous memory of this offset would be mapped in the mm: to be looked at one by one. */
static unsigned int tandem_poison_places(struct mm_struct *mm, unsigned long pgoff, u64 *places)
{
	struct vm_area_struct *vma;
	unsigned int count = 0;

	VMA_ITERATOR(vmi, mm, 0);

	mmap_read_lock(mm);
	for_each_vma(vmi, vma) {
		if (!vma->anon_vma || pgoff < vma->vm_pgoff ||
		    pgoff >= vma->vm_pgoff + vma_pages(vma))
			continue;
		if (count < TANDEM_POISON_PLACES)
			places[count++] = vma->vm_start + ((pgoff - vma->vm_pgoff) << PAGE_SHIFT);
	}
	mmap_read_unlock(mm);
	return count;
}

/* The GPU does not keep what the process is told is lost. */
static void tandem_poison_forget(struct tandem_device *tdev, struct mm_struct *mm, u64 va)
{
	u32 pasid;

	for (pasid = 1; pasid < tdev->config.address_spaces; pasid++) {
		struct tandem_as *as = tandem_as_by_pasid(tdev, pasid);

		if (!as)
			continue;
		if (as->mm == mm)
			tandem_mirror_drop(as, va, va + PAGE_SIZE);
		tandem_as_put(as);
	}
}

static void tandem_poison_tell_mm(struct tandem_vram *vram, struct tandem_look *look,
				  struct task_struct *task, struct mm_struct *mm, struct page *page,
				  enum tandem_poison_word word)
{
	u64 places[TANDEM_POISON_PLACES];
	pgoff_t offset = page_pgoff(page_folio(page), page);
	unsigned int i, count = tandem_poison_places(mm, offset, places);

	for (i = 0; i < count; i++) {
		if (tandem_look(look, vram->tdev, mm, places[i], places[i] + PAGE_SIZE) ||
		    look->pages[0] == TANDEM_PAGE_ABSENT || hmm_pfn_to_page(look->pfns[0]) != page)
			continue;
		tandem_poison_forget(vram->tdev, mm, places[i]);
		if (word == TANDEM_POISON_KILL)
			send_sig(SIGKILL, task, 1);
		else
			send_sig_mceerr(BUS_MCEERR_AO, (void __user *)(uintptr_t)places[i],
					PAGE_SHIFT, task);
	}
}

static void tandem_poison_tell(struct tandem_vram *vram, struct page *page,
			       enum tandem_poison_word word)
{
	struct tandem_look *look = tandem_look_alloc();
	struct task_struct **tasks;
	unsigned int i, count = tandem_poison_collect(&tasks);

	for (i = 0; i < count; i++) {
		struct mm_struct *mm = look ? get_task_mm(tasks[i]) : NULL;

		if (mm) {
			tandem_poison_tell_mm(vram, look, tasks[i], mm, page, word);
			mmput(mm);
		}
		put_task_struct(tasks[i]);
	}
	kvfree(tasks);
	kvfree(look);
}

/* Whoever maps the page, if anybody does. */
static void tandem_poison_announce(struct tandem_vram *vram, u64 index,
				   enum tandem_poison_word word)
{
	struct page *page = pfn_to_page(vram->first_pfn + index);
	struct folio *folio = page_folio(page);

	if (!folio_try_get(folio))
		return;
	if (folio_mapped(folio) && folio_test_anon(folio))
		tandem_poison_tell(vram, page, word);
	folio_put(folio);
}

/* ---- a page of memory in a coherent one's place ---- */

/* The CPU's own load: if that meets the poison, too, nothing is left to be put there. */
static struct page *tandem_poison_rescue(struct page *page)
{
	struct page *rescue = alloc_page(GFP_HIGHUSER_MOVABLE);

	if (!rescue)
		return NULL;
	if (copy_mc_to_kernel(page_address(rescue), page_address(page), PAGE_SIZE)) {
		__free_page(rescue);
		return NULL;
	}
	lock_page(rescue);
	return rescue;
}

/* Until Linux has been told, whoever is quick reads what was there. False: it did not move. */
static bool tandem_poison_replace(struct tandem_vram *vram, u64 index)
{
	unsigned long src = vram->first_pfn + index, dst = 0;
	struct page *rescue = NULL;
	bool moved;

	migrate_device_pfns(&src, 1);
	if (src & MIGRATE_PFN_MIGRATE)
		rescue = tandem_poison_rescue(migrate_pfn_to_page(src));
	if (rescue)
		dst = migrate_pfn(page_to_pfn(rescue));
	migrate_device_pages(&src, &dst, 1);
	moved = rescue && src & MIGRATE_PFN_MIGRATE;
	migrate_device_finalize(&src, &dst, 1);
	if (moved)
		memory_failure_queue(page_to_pfn(rescue), 0);
	return moved;
}

/* Somebody may hold it for a moment; if it stays so (pinned), the processes are told by signal. */
static void tandem_poison_coherent(struct tandem_vram *vram, u64 index)
{
	int tries;

	for (tries = 0; tries < TANDEM_POISON_TRIES; tries++) {
		if (!page_count(pfn_to_page(vram->first_pfn + index)) ||
		    tandem_poison_replace(vram, index))
			return;
		msleep(20);
	}
	tandem_poison_announce(vram, index, TANDEM_POISON_TELL);
}

/* ---- dev_pagemap's memory_failure: by our own report, or by somebody else's ---- */

static void tandem_poison_page(struct tandem_vram *vram, u64 index)
{
	tandem_vram_retire(vram, index);
	if (vram->kind == TANDEM_VRAM_COHERENT)
		tandem_poison_coherent(vram, index);
}

int tandem_poison_failure(struct dev_pagemap *pagemap, unsigned long pfn, unsigned long pages,
			  int flags)
{
	struct tandem_vram *vram = container_of(pagemap, struct tandem_vram, pagemap);
	unsigned long i;

	for (i = 0; i < pages; i++)
		tandem_poison_page(vram, pfn - vram->first_pfn + i);
	return 0;
}

/*
 * The driver lets go of the device, and these pages cannot come home: there is nothing that they
 * could be replaced by. Who maps one is told, and killed if it is mapped still.
 */
void tandem_poison_evict(struct tandem_vram *vram, enum tandem_poison_word word)
{
	u64 index;

	for (index = 0; vram->retired_pages && index < vram->pages; index++)
		if (tandem_vram_is_retired(vram, index, 1))
			tandem_poison_announce(vram, index, word);
}

/*
 * A page of the process cannot be had, and hmm does not say why: -EHWPOISON if its memory is
 * poisoned, else -EFAULT. Takes mmap_lock.
 */
int tandem_poison_why(struct mm_struct *mm, u64 va)
{
	struct page *page;
	long got;

	mmap_read_lock(mm);
	got = get_user_pages_remote(mm, va, 1, FOLL_HWPOISON, &page, NULL);
	mmap_read_unlock(mm);
	if (got == 1)
		put_page(page);
	return got == -EHWPOISON ? -EHWPOISON : -EFAULT;
}
