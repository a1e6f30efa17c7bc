// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pages go to VRAM: room first, with nothing locked; then migrate_vma_setup takes the pages away
 * from CPU and GPU (our own notifier runs inside), the copy engine copies, and the new entries are
 * published. The GPU's entry is not written here: whoever asked maps the pages by the ordinary way.
 *
 * Also here: what migrations of both directions share. tandem_home.c is the way back.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/userfaultfd_k.h>

#include "tandem_migrate.h"
#include "tandem_mutate.h"
#include "tandem_trace.h"

#define TANDEM_BLOCK_BYTES BIT_ULL(TANDEM_LEAF_2M)

struct tandem_migration *tandem_migration_begin(struct tandem_device *tdev, struct tandem_as *as,
						u64 start, u64 end,
						enum tandem_migrate_cause cause)
{
	unsigned int count = (end - start) >> PAGE_SHIFT;
	struct tandem_migration *m;

	m = kvzalloc(struct_size(m, pfns, 2 * (size_t)count), GFP_KERNEL);
	if (!m)
		return NULL;
	m->tdev = tdev;
	m->as = as;
	m->cause = cause;
	m->start = start;
	m->end = end;
	m->want_start = start;
	m->want_end = end;
	m->count = count;
	m->began = ktime_get();
	m->src = m->pfns;
	m->dst = m->pfns + count;
	return m;
}

static void tandem_migration_trace(struct tandem_migration *m, bool to_vram)
{
	u64 ns = ktime_to_ns(ktime_sub(ktime_get(), m->began));
	struct tandem_command command = {
		.type = TANDEM_COMMAND_MIGRATED,
		.pasid = m->as ? m->as->pasid : 0,
		.u.migrated = {
			.cause = m->cause,
			.tgid = m->as ? m->as->tgid : 0,
			.start = m->start,
			.end = m->end,
			.bytes = m->moved * PAGE_SIZE,
			.nanoseconds = ns,
			.from = to_vram ? TANDEM_APERTURE_SYSTEM : TANDEM_APERTURE_VRAM,
			.to = to_vram ? TANDEM_APERTURE_VRAM : TANDEM_APERTURE_SYSTEM,
			.failed = m->failed,
		},
	};

	trace_tandem_migrate(command.pasid, m->as ? m->as->tgid : 0, m->start, m->end, m->cause,
			     to_vram, m->moved, m->failed, ns);
	if (m->tdev->config.features & TANDEM_FEATURE_TRACE)
		tandem_command_post(m->tdev, &command, tandem_epoch(m->tdev));
}

/* Counts and traces what happened, and forgets it. The pages are published. */
void tandem_migration_end(struct tandem_migration *m, bool to_vram)
{
	struct tandem_vram_stats *stats = &m->tdev->vram.stats;

	if (m->moved || m->failed)
		tandem_migration_trace(m, to_vram);
	atomic64_add(m->moved, to_vram ? &stats->pages_to_vram : &stats->pages_to_system);
	atomic64_add(m->failed, &stats->pages_failed);
	if (m->as)
		atomic64_add(m->moved, to_vram ? &m->as->stats.pages_to_vram :
						 &m->as->stats.pages_to_system);
	if (m->cause == TANDEM_MIGRATE_EVICT) {
		atomic64_add(m->moved, &stats->pages_evicted);
		if (m->as)
			atomic64_add(m->moved, &m->as->stats.pages_evicted);
	}
	kvfree(m);
}

static unsigned int tandem_pfn_pages(unsigned long pfn)
{
	return pfn & MIGRATE_PFN_COMPOUND ? TANDEM_BLOCK_PAGES : 1;
}

static void tandem_migration_drop(struct tandem_migration *m, unsigned int i)
{
	struct page *page = migrate_pfn_to_page(m->dst[i]);

	m->dst[i] = 0;
	unlock_page(page);
	put_page(page);
}

/*
 * Waits for the copies. Pages whose contents did not arrive lose their destination: they stay where
 * they are, and nobody ever sees the destination.
 */
void tandem_migration_copy(struct tandem_migration *m)
{
	unsigned int i, pages;

	tandem_copy_finish(&m->copy);
	if (!m->copy.failed || tandem_mutated(MUTANT_COPY_FAILURE_IGNORED))
		return;
	for (i = 0; i < m->count; i += pages) {
		pages = tandem_pfn_pages(m->dst[i]);
		if (m->dst[i] && find_next_bit(m->copy.bad, i + pages, i) < i + pages) {
			tandem_migration_drop(m, i);
			m->failed += pages;
		}
	}
	m->poisoned = m->copy.poisoned;
}

/* After migrate_vma_pages(): which of those that were to move have moved? */
void tandem_migration_count(struct tandem_migration *m)
{
	unsigned int i, pages;

	for (i = 0; i < m->count; i += pages) {
		pages = tandem_pfn_pages(m->dst[i]);
		if (!m->dst[i])
			continue;
		if (m->src[i] & MIGRATE_PFN_MIGRATE) {
			m->moved += pages;
			m->huge += pages > 1;
		} else {
			m->failed += pages;
		}
	}
}

/* A test asked for it (uapi/tandem_dmirror_uapi.h): one allocation of 2 MiB, never a small one. */
bool tandem_migration_is_denied(struct tandem_migration *m, unsigned int pages)
{
	return pages > 1 && m->as && READ_ONCE(m->as->deny_huge) && xchg(&m->as->deny_huge, 0);
}

/* ---- to VRAM ---- */

/*
 * Anonymous memory only: that is what Linux moves to a device. And what lies here already stays
 * (with GPUs on a link, setup hands us our own pages, too).
 */
static bool tandem_page_may_go(struct tandem_device *tdev, const struct page *page)
{
	struct tandem_vram *vram = tandem_page_vram(page);

	if (vram && (vram->tdev == tdev ||
		     tandem_vram_is_retired(vram, tandem_page_index(vram, page), 1)))
		return false;
	return folio_test_anon(page_folio(page));
}

/* Nothing is there yet: is it wanted all the same? */
static bool tandem_migration_wants_hole(const struct tandem_migration *m, u64 va)
{
	return va >= m->want_start && va < m->want_end;
}

/*
 * A huge page that is read-only where it might be written: shared after a fork. Linux 7.3 takes the
 * soft-dirty bit of such a private entry for a permission to write, and warns; so it goes in small
 * ones.
 */
static bool tandem_migration_is_shared(const struct tandem_migration *m, unsigned int i)
{
	return m->writable && !(m->src[i] & MIGRATE_PFN_WRITE);
}

/* A destination for what stands at src[i], or nothing. Returns how many pages that was about. */
static unsigned int tandem_migration_place(struct tandem_migration *m, struct tandem_room *room,
					   unsigned int i)
{
	struct page *page = migrate_pfn_to_page(m->src[i]);
	u64 va = m->start + (u64)i * PAGE_SIZE;
	unsigned int pages = tandem_pfn_pages(m->src[i]);
	struct page *to;

	if (!(m->src[i] & MIGRATE_PFN_MIGRATE))
		return 1;
	if (page ? !tandem_page_may_go(m->tdev, page) :
		   pages == 1 && !tandem_migration_wants_hole(m, va))
		return pages;
	if (pages > 1 && page && tandem_migration_is_shared(m, i)) {
		m->short_of_huge = true;
		return pages;
	}
	if (tandem_migration_is_denied(m, pages))
		to = NULL;
	else
		to = pages > 1 ? tandem_vram_alloc_huge(room) :
				 tandem_vram_alloc_page(room, (va >> PAGE_SHIFT) %
								      TANDEM_BLOCK_PAGES);
	if (!to) {
		m->short_of_huge |= pages > 1;
		m->failed += pages;
		return pages;
	}
	m->dst[i] = migrate_pfn(page_to_pfn(to)) | (m->src[i] & MIGRATE_PFN_WRITE) |
		    (m->src[i] & MIGRATE_PFN_COMPOUND);
	tandem_vram_name(&m->tdev->vram, tandem_page_index(&m->tdev->vram, to), m->as->pasid,
			 round_down(va, TANDEM_BLOCK_BYTES));
	tandem_copy_add(&m->copy, m->tdev, i, pages, page, to);
	return pages;
}

static unsigned long tandem_migration_select(struct tandem_migration *m,
					     const struct tandem_room *room)
{
	unsigned long flags = MIGRATE_VMA_SELECT_SYSTEM;

	if (m->tdev->vram.fabric != TANDEM_FABRIC_NONE)
		flags |= MIGRATE_VMA_SELECT_DEVICE_COHERENT | MIGRATE_VMA_SELECT_DEVICE_PRIVATE;
	/* Without a whole block for it, a huge page is split by setup and moves in small ones. */
	if (room->block && m->tdev->vram.kind == TANDEM_VRAM_PRIVATE &&
	    m->count == TANDEM_BLOCK_PAGES && !m->short_of_huge)
		flags |= MIGRATE_VMA_SELECT_COMPOUND;
	return flags;
}

/* mmap_lock held for reading; [start, end) lies in the VMA. */
static int tandem_migration_run(struct tandem_migration *m, struct vm_area_struct *vma,
				struct tandem_room *room)
{
	struct migrate_vma args = {
		.vma = vma,
		.start = m->start,
		.end = m->end,
		.src = m->src,
		.dst = m->dst,
		.pgmap_owner = tandem_vram_owner(m->tdev),
		.flags = tandem_migration_select(m, room),
	};
	unsigned int i;
	int ret;

	ret = migrate_vma_setup(&args);
	if (ret)
		return ret;
	m->count = args.npages;
	if (!args.cpages) {
		migrate_vma_finalize(&args);
		return 0;
	}
	for (i = 0; i < m->count;)
		i += tandem_migration_place(m, room, i);
	tandem_migration_copy(m);
	migrate_vma_pages(&args);
	tandem_migration_count(m);
	migrate_vma_finalize(&args);
	return 0;
}

/* Only where there can be anonymous pages: setup would unmap all others, and for nothing. */
static bool tandem_vma_may_move(struct vm_area_struct *vma)
{
	return !(vma->vm_flags & (VM_SPECIAL | VM_SHARED)) && !is_vm_hugetlb_page(vma) &&
	       !vma_is_dax(vma) && vma_is_accessible(vma) &&
	       (vma_is_anonymous(vma) || vma->anon_vma);
}

/* A huge page where nothing is yet is as the VMA wishes: not if it wants small ones. */
static bool tandem_migration_is_whole(const struct vm_area_struct *vma, u64 start, u64 end)
{
	return end - start == TANDEM_BLOCK_BYTES && !(vma->vm_flags & VM_NOHUGEPAGE);
}

/* What of [start, end) lies in the VMA at this address, if its pages may move. */
static int tandem_migration_clip(struct tandem_as *as, u64 at, u64 *start, u64 *end, bool *whole)
{
	struct vm_area_struct *vma;
	int ret = -ENOENT;

	mmap_read_lock(as->mm);
	vma = vma_lookup(as->mm, at);
	if (vma && tandem_vma_may_move(vma)) {
		*start = max_t(u64, *start, vma->vm_start);
		*end = min_t(u64, *end, vma->vm_end);
		*whole = tandem_migration_is_whole(vma, *start, *end);
		ret = 0;
	}
	mmap_read_unlock(as->mm);
	return ret;
}

/* What did not go as one goes in small pages: not asked for as one, setup splits it. */
static int tandem_migration_again(struct tandem_migration *m, struct vm_area_struct *vma,
				  struct tandem_room *room)
{
	memset(m->dst, 0, m->count * sizeof(*m->dst));
	m->failed = 0;
	return tandem_migration_run(m, vma, room);
}

static int tandem_migration_locked(struct tandem_migration *m, struct tandem_room *room)
{
	struct vm_area_struct *vma;
	int ret = 0;

	mmap_read_lock(m->as->mm);
	vma = vma_lookup(m->as->mm, m->start);
	/* It may have changed since: then there is nothing to do, or less than there was. */
	if (vma && tandem_vma_may_move(vma)) {
		m->end = min_t(u64, m->end, vma->vm_end);
		m->count = (m->end - m->start) >> PAGE_SHIFT;
		m->writable = vma->vm_flags & VM_WRITE;
		ret = tandem_migration_run(m, vma, room);
		if (!ret && m->short_of_huge && !m->moved)
			ret = tandem_migration_again(m, vma, room);
	}
	mmap_read_unlock(m->as->mm);
	return ret;
}

/*
 * Moves what of [start, end), inside one 2 MiB block, lies in the VMA at want_start; what was never
 * touched only inside [want_start, want_end). The caller has a reference to mm_users and holds no
 * lock. 0 also when nothing moved; -ENOMEM: no room, even after evicting; -ENOENT: no such VMA;
 * -EOPNOTSUPP: no VRAM.
 */
int tandem_migrate_to_vram(struct tandem_as *as, u64 start, u64 end, u64 want_start, u64 want_end,
			   enum tandem_migrate_cause cause, struct tandem_moved *moved)
{
	struct tandem_vram *vram = &as->tdev->vram;
	struct tandem_migration *m;
	struct tandem_room room;
	bool whole;
	int ret;

	if (!tandem_vram_is_there(vram))
		return -EOPNOTSUPP;
	ret = tandem_migration_clip(as, want_start, &start, &end, &whole);
	if (ret)
		return ret;
	m = tandem_migration_begin(as->tdev, as, start, end, cause);
	if (!m)
		return -ENOMEM;
	m->want_start = want_start;
	m->want_end = want_end;
	ret = tandem_room_reserve(vram, m->count, whole, &room);
	if (!ret) {
		ret = tandem_migration_locked(m, &room);
		tandem_room_release(&room);
	}
	moved->moved += m->moved;
	moved->failed += m->failed;
	if (m->moved && cause != TANDEM_MIGRATE_REQUEST)
		tandem_policy_went(as, want_start);
	tandem_migration_end(m, true);
	return ret;
}
