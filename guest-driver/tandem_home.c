// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pages come home from VRAM: because a CPU touched one (migrate_to_ram), because the process asked,
 * or because somebody needs the room (tandem_evict.c). Each page is copied by the engine of the GPU
 * that it lies in, whoever asks.
 *
 * A huge page comes home as one if the system has one to spare. If not, or if part of it is
 * poisoned, its mapping or itself is split, and the pages come one by one.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "tandem_compat.h"
#include "tandem_migrate.h"

#define TANDEM_BLOCK_BYTES BIT_ULL(TANDEM_LEAF_2M)

/* ---- a destination for one page ---- */

/* vma is NULL for pages of which nobody knows where they are mapped. */
static struct folio *tandem_home_alloc(struct vm_area_struct *vma, u64 va, unsigned int order)
{
	gfp_t gfp = order ? GFP_TRANSHUGE | __GFP_NORETRY : GFP_HIGHUSER_MOVABLE | __GFP_NOWARN;

	return vma ? vma_alloc_folio(gfp, order, vma, va) : folio_alloc(gfp, order);
}

/* Returns how many pages src[i] was about. */
static unsigned int tandem_home_place(struct tandem_migration *m, struct vm_area_struct *vma,
				      unsigned int i)
{
	struct page *page = migrate_pfn_to_page(m->src[i]);
	unsigned int pages = m->src[i] & MIGRATE_PFN_COMPOUND ? TANDEM_BLOCK_PAGES : 1;
	struct tandem_vram *vram;
	struct folio *to = NULL;

	if (!page || !(m->src[i] & MIGRATE_PFN_MIGRATE))
		return 1;
	vram = tandem_page_vram(page);
	if (!vram)
		return pages;
	if (tandem_vram_is_retired(vram, tandem_page_index(vram, page), pages))
		m->poisoned = true;
	else if (!tandem_migration_is_denied(m, pages))
		to = tandem_home_alloc(vma, m->start + (u64)i * PAGE_SIZE,
				       pages > 1 ? HPAGE_PMD_ORDER : 0);
	if (!to) {
		m->short_of_huge |= pages > 1;
		m->short_of_memory |= pages == 1 && !m->poisoned;
		m->failed += pages > 1 ? 0 : 1;
		return pages;
	}
	folio_lock(to);
	m->dst[i] = migrate_pfn(folio_pfn(to)) |
		    (m->src[i] & (MIGRATE_PFN_WRITE | MIGRATE_PFN_COMPOUND));
	tandem_copy_add(&m->copy, vram->tdev, i, pages, page, folio_page(to, 0));
	return pages;
}

static void tandem_home_fill(struct tandem_migration *m, struct vm_area_struct *vma)
{
	unsigned int i;

	for (i = 0; i < m->count;)
		i += tandem_home_place(m, vma, i);
	tandem_migration_copy(m);
}

/* ---- on request, and by eviction where the mapping is known ---- */

/* mmap_lock held for reading. */
static int tandem_home_run(struct tandem_migration *m, struct vm_area_struct *vma, bool huge)
{
	struct migrate_vma args = {
		.vma = vma,
		.start = m->start,
		.end = m->end,
		.src = m->src,
		.dst = m->dst,
		.pgmap_owner = tandem_vram_owner(m->tdev),
		/* GPUs of one owner may be of both kinds. */
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE | MIGRATE_VMA_SELECT_DEVICE_COHERENT |
			 (huge ? MIGRATE_VMA_SELECT_COMPOUND : 0),
	};
	int ret;

	memset(m->dst, 0, m->count * sizeof(*m->dst));
	m->short_of_huge = false;
	ret = migrate_vma_setup(&args);
	if (ret)
		return ret;
	m->count = args.npages;
	if (args.cpages) {
		tandem_home_fill(m, vma);
		migrate_vma_pages(&args);
		tandem_migration_count(m);
	}
	migrate_vma_finalize(&args);
	return 0;
}

static int tandem_home_locked(struct tandem_migration *m)
{
	unsigned int count = m->count;
	struct vm_area_struct *vma;
	int ret;

	vma = vma_lookup(m->as->mm, m->start);
	if (!vma || vma->vm_flags & VM_SPECIAL || is_vm_hugetlb_page(vma) || vma_is_dax(vma))
		return 0;
	m->end = min_t(u64, m->end, vma->vm_end);
	m->count = count = (m->end - m->start) >> PAGE_SHIFT;
	ret = tandem_home_run(m, vma, count == TANDEM_BLOCK_PAGES);
	if (!ret && m->short_of_huge) {
		/* Not asked for as one, a huge page is split by setup. */
		m->count = count;
		ret = tandem_home_run(m, vma, false);
	}
	return ret;
}

/*
 * Brings home what of [start, end), inside one 2 MiB block and one VMA, lies in VRAM of the owner
 * of this GPU, which need not be the address space's. The caller has a reference to mm_users and
 * holds no lock.
 */
int tandem_migrate_home(struct tandem_as *as, struct tandem_device *tdev, u64 start, u64 end,
			enum tandem_migrate_cause cause, struct tandem_moved *moved)
{
	struct tandem_migration *m;
	int ret;

	if (!tandem_vram_is_there(&tdev->vram))
		return -EOPNOTSUPP;
	m = tandem_migration_begin(tdev, as, start, end, cause);
	if (!m)
		return -ENOMEM;
	mmap_read_lock(as->mm);
	ret = tandem_home_locked(m);
	mmap_read_unlock(as->mm);
	moved->moved += m->moved;
	moved->failed += m->failed;
	moved->huge += m->huge;
	tandem_migration_end(m, false);
	return ret;
}

/* ---- whole blocks, whoever maps them ---- */

/*
 * Brings home the pages of a block that are in use, by their frames: no mm, no mmap_lock. No page
 * is given out of it meanwhile. -EAGAIN: a huge page has to be split for that.
 */
int tandem_migrate_home_block(struct tandem_vram *vram, u64 index, const unsigned long *busy,
			      enum tandem_migrate_cause cause, struct tandem_moved *moved)
{
	u64 va, start = index * PAGE_SIZE;
	struct tandem_as *as = tandem_as_by_pasid(vram->tdev, tandem_vram_named(vram, index, &va));
	struct tandem_migration *m;
	unsigned int i, count = 0;
	int ret = -ENOMEM;

	if (as)
		start = va;
	m = tandem_migration_begin(vram->tdev, as, start, start + TANDEM_BLOCK_BYTES, cause);
	if (!m)
		goto put;
	for_each_set_bit(i, busy, TANDEM_BLOCK_PAGES)
		m->src[count++] = vram->first_pfn + index + i;
	m->count = count;
	migrate_device_pfns(m->src, count);
	tandem_home_fill(m, NULL);
	migrate_device_pages(m->src, m->dst, count);
	tandem_migration_count(m);
	migrate_device_finalize(m->src, m->dst, count);
	moved->moved += m->moved;
	moved->failed += m->failed;
	ret = m->short_of_huge ? -EAGAIN : 0;
	tandem_migration_end(m, false);
put:
	if (as)
		tandem_as_put(as);
	return ret;
}

/* ---- a CPU touched a page ---- */

/*
 * No huge page is to be had, or part of this one is poisoned. Offered one small page for all of it,
 * Linux splits the mapping; the page itself it cannot split, because of the references that the
 * fault and we hold, so the small one is given back unused. The access faults again, at a small
 * entry now, and setup splits the page then.
 */
static vm_fault_t tandem_fault_split(struct tandem_migration *m, struct migrate_vma *args)
{
	struct folio *from = page_folio(migrate_pfn_to_page(m->src[0]));
	struct folio *token = tandem_home_alloc(args->vma, m->start, 0);

	if (!token)
		return VM_FAULT_OOM;
	folio_lock(token);
	m->dst[0] = migrate_pfn(folio_pfn(token));
	folio_get(from);
	migrate_vma_pages(args);
	folio_put(from);
	return 0;
}

static vm_fault_t tandem_fault_move(struct tandem_migration *m, struct migrate_vma *args)
{
	migrate_vma_pages(args);
	tandem_migration_count(m);
	if (m->moved)
		return 0;
	if (m->poisoned)
		return VM_FAULT_HWPOISON;
	if (m->copy.failed)
		return VM_FAULT_SIGBUS;
	/* No memory; or somebody else holds the page, and the access tries again. */
	return m->short_of_memory ? VM_FAULT_OOM : 0;
}

static vm_fault_t tandem_fault_run(struct tandem_migration *m, struct vm_fault *vmf, bool huge)
{
	struct migrate_vma args = {
		.vma = vmf->vma,
		.start = m->start,
		.end = m->end,
		.src = m->src,
		.dst = m->dst,
		.pgmap_owner = tandem_vram_owner(m->tdev),
		.fault_page = vmf->page,
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE |
			 (huge ? MIGRATE_VMA_SELECT_COMPOUND : 0),
	};
	vm_fault_t ret = 0;

	if (migrate_vma_setup(&args))
		return VM_FAULT_SIGBUS;
	m->count = args.npages;
	if (args.cpages) {
		tandem_home_fill(m, vmf->vma);
		ret = m->short_of_huge ? tandem_fault_split(m, &args) :
					 tandem_fault_move(m, &args);
	}
	migrate_vma_finalize(&args);
	return ret;
}

/* What a fault brings home, and for whom. */
struct tandem_fault_extent {
	struct tandem_as *as; /* the one that filled the block, not always the one that faults */
	u64 start, end;
	u64 block;            /* of as's addresses, for the thrash detector */
	bool huge;            /* one page of 2 MiB, mapped as one */
};

/* The pages around that the process wants to come along lie in the same page table. */
static void tandem_fault_widen(struct tandem_fault_extent *extent, const struct vm_fault *vmf)
{
	u64 start, end;

	if (extent->huge || !extent->as || extent->as->mm != vmf->vma->vm_mm ||
	    !tandem_policy_granule(&extent->as->policy, vmf->address, &start, &end))
		return;
	extent->start = max_t(u64, start, vmf->vma->vm_start);
	extent->end = min_t(u64, end, vmf->vma->vm_end);
}

static vm_fault_t tandem_fault_bring(struct tandem_vram *vram, struct vm_fault *vmf,
				     const struct tandem_fault_extent *extent, u64 *moved)
{
	vm_fault_t ret = VM_FAULT_OOM;
	struct tandem_migration *m;

	*moved = 0;
	m = tandem_migration_begin(vram->tdev, extent->as, extent->start, extent->end,
				   TANDEM_MIGRATE_CPU_FAULT);
	if (!m)
		return ret;
	ret = tandem_fault_run(m, vmf, extent->huge);
	*moved = m->moved;
	tandem_migration_end(m, false);
	return ret;
}

/*
 * dev_pagemap's migrate_to_ram. The page is locked and referenced by the caller, mmap_lock is held
 * for reading. Who faults need not be the owner: it may be a child, a debugger, another process's
 * madvise.
 */
vm_fault_t tandem_migrate_cpu_fault(struct vm_fault *vmf)
{
	struct tandem_vram *vram = tandem_page_vram(vmf->page);
	/* A page that is mapped by small entries may still be part of a huge one. */
	bool huge = !vmf->pte && folio_test_large(page_folio(vmf->page));
	u64 bytes = huge ? TANDEM_BLOCK_BYTES : PAGE_SIZE;
	u64 page = round_down((u64)vmf->address, PAGE_SIZE);
	u64 start = round_down((u64)vmf->address, bytes);
	struct tandem_fault_extent extent = { .start = start, .end = start + bytes, .huge = huge };
	vm_fault_t ret;
	u64 index, moved;

	index = tandem_page_index(vram, vmf->page) + ((vmf->address - start) >> PAGE_SHIFT);
	if (tandem_vram_is_retired(vram, index, 1))
		return VM_FAULT_HWPOISON;
	extent.as = tandem_as_by_pasid(vram->tdev, tandem_vram_named(vram, index, &extent.block));
	tandem_fault_widen(&extent, vmf);
	ret = tandem_fault_bring(vram, vmf, &extent, &moved);
	if (!moved && !huge && extent.end - extent.start > PAGE_SIZE) {
		/* What went wrong may be the neighbours' matter. */
		extent.start = page;
		extent.end = page + PAGE_SIZE;
		ret = tandem_fault_bring(vram, vmf, &extent, &moved);
	}
	if (extent.as) {
		atomic64_add(!!moved, &extent.as->stats.cpu_faults);
		if (moved)
			tandem_policy_came_back(extent.as, extent.block);
		tandem_as_put(extent.as);
	}
	return ret;
}
