// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device page table: written here, walked by the GPU, which sets ACCESSED and DIRTY by
 * compare-and-swap.
 *
 * An entry is taken away by exchange, so its dirty bit is final: a store needs a TLB entry whose
 * fill saw or set DIRTY, and the walker's compare-and-swap fails on an entry that is no more. Dirty
 * pages are therefore given to Linux at the exchange, under the chunk's lock, while the CPU's own
 * mapping still keeps the page. A store that is under way at that moment lands before the
 * invalidation is acknowledged, and whoever wants to call the page clean has to go through a
 * notifier that waits for just that (docs/locking.md).
 *
 * Callers give entries with the frames of pages. Where an IOMMU translates, what is written for a
 * page of the system's memory is the address that the page's place in its block has
 * (tandem_iova.h).
 */
#include <linux/dma-mapping.h>
#include <linux/fault-inject.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "tandem_device.h"
#include "tandem_iova.h"
#include "tandem_mutate.h"
#include "tandem_pt.h"

#define TANDEM_BLOCK_BYTES BIT_ULL(TANDEM_LEAF_2M)
#define TANDEM_STATUS_BITS (TANDEM_PTE_ACCESSED | TANDEM_PTE_DIRTY)

DECLARE_FAULT_ATTR(tandem_fail_page_table);

static struct tandem_table *tandem_table_alloc(struct tandem_pt *pt, int level)
{
	unsigned int children = level ? TANDEM_PT_ENTRIES : 0;
	struct tandem_table *table;

	if (should_fail(&tandem_fail_page_table, TANDEM_PT_BYTES))
		return NULL;
	table = kzalloc(struct_size(table, children, children), GFP_KERNEL_ACCOUNT);
	if (!table)
		return NULL;
	if (level == 1 && pt->tdev->translated) {
		table->iovas = kzalloc_objs(*table->iovas, TANDEM_PT_ENTRIES, GFP_KERNEL_ACCOUNT);
		if (!table->iovas)
			goto err_table;
	}
	table->entries = dma_alloc_coherent(pt->tdev->dev, TANDEM_PT_BYTES, &table->dma,
					    GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!table->entries)
		goto err_iovas;
	atomic64_inc(&pt->tables);
	return table;

err_iovas:
	kfree(table->iovas);
err_table:
	kfree(table);
	return NULL;
}

static void tandem_table_free(struct tandem_pt *pt, struct tandem_table *table, int level)
{
	int i;

	if (!table)
		return;
	for (i = 0; level && i < TANDEM_PT_ENTRIES; i++)
		tandem_table_free(pt, table->children[i], level - 1);
	for (i = 0; table->iovas && i < TANDEM_PT_ENTRIES; i++)
		tandem_iova_free(pt->tdev->dev, table->iovas[i]);
	kfree(table->iovas);
	dma_free_coherent(pt->tdev->dev, TANDEM_PT_BYTES, table->entries, table->dma);
	kfree(table);
	atomic64_dec(&pt->tables);
}

int tandem_pt_init(struct tandem_pt *pt, struct tandem_device *tdev)
{
	pt->tdev = tdev;
	pt->root = tandem_table_alloc(pt, TANDEM_PT_LEVELS - 1);
	return pt->root ? 0 : -ENOMEM;
}

/* The device must be unbound, every notifier removed, and nobody may ask for ageing any more. */
void tandem_pt_fini(struct tandem_pt *pt)
{
	mutex_lock(&pt->lock);
	tandem_table_free(pt, pt->root, TANDEM_PT_LEVELS - 1);
	pt->root = NULL;
	mutex_unlock(&pt->lock);
}

static struct tandem_table *tandem_table_child(struct tandem_table *table, u64 va, int level)
{
	/* Pairs with the release in tandem_pt_prepare(): a table that is seen is seen zeroed. */
	return smp_load_acquire(&table->children[TANDEM_LEVEL_INDEX(va, level)]);
}

/* The table whose entries are of this level and cover va, or NULL. */
static struct tandem_table *tandem_pt_table(struct tandem_pt *pt, u64 va, int level)
{
	struct tandem_table *table = pt->root;
	int above;

	for (above = TANDEM_PT_LEVELS - 1; table && above > level; above--)
		table = tandem_table_child(table, va, above);
	return table;
}

/* Addresses for the block that va lies in, whose table of level 1 there is. pt->lock held. */
static int tandem_pt_prepare_iova(struct tandem_pt *pt, struct tandem_table *directory, u64 va)
{
	struct tandem_iova **slot = &directory->iovas[TANDEM_LEVEL_INDEX(va, 1)];
	struct tandem_iova *iova;

	if (*slot)
		return 0;
	iova = tandem_iova_alloc(pt->tdev->dev);
	if (!iova)
		return -ENOMEM;
	/* Pairs with tandem_pt_iova(). */
	smp_store_release(slot, iova);
	return 0;
}

/* NULL: nothing translates, or nothing was mapped there yet. */
static struct tandem_iova *tandem_pt_iova(struct tandem_pt *pt, u64 va)
{
	struct tandem_table *directory;

	if (!pt->tdev->translated)
		return NULL;
	directory = tandem_pt_table(pt, va, 1);
	/* Pairs with tandem_pt_prepare_iova(). */
	return directory ? smp_load_acquire(&directory->iovas[TANDEM_LEVEL_INDEX(va, 1)]) : NULL;
}

/*
 * Makes the directories down to level 1 and, if asked to, the level 0 table for va: all that may
 * fail or sleep, before the chunk's lock is taken. The entry of level 1 itself is written by
 * tandem_pt_map_pages().
 */
int tandem_pt_prepare(struct tandem_pt *pt, u64 va, bool leaf_table)
{
	int last = leaf_table ? 1 : 2;
	struct tandem_table *table, *child;
	int level, ret = 0;

	mutex_lock(&pt->lock);
	table = pt->root;
	if (!table)
		ret = -ENODEV;
	for (level = TANDEM_PT_LEVELS - 1; !ret && level >= last; level--) {
		u64 index = TANDEM_LEVEL_INDEX(va, level);

		child = table->children[index];
		if (!child) {
			child = tandem_table_alloc(pt, level - 1);
			if (!child) {
				ret = -ENOMEM;
				break;
			}
			/* Pairs with tandem_table_child(). */
			smp_store_release(&table->children[index], child);
			if (level > 1)
				WRITE_ONCE(table->entries[index], child->dma | TANDEM_PTE_VALID);
		}
		table = child;
	}
	if (!ret && pt->tdev->translated)
		ret = tandem_pt_prepare_iova(pt, tandem_pt_table(pt, va, 1), va);
	mutex_unlock(&pt->lock);
	return ret;
}

/*
 * The leaf that covers va, with the address of va's own page, or an entry that is not valid. Chunk
 * lock held.
 */
u64 tandem_pt_read(struct tandem_pt *pt, u64 va)
{
	struct tandem_table *table = tandem_pt_table(pt, va, 1);
	u64 entry;

	if (!table)
		return 0;
	entry = READ_ONCE(table->entries[TANDEM_LEVEL_INDEX(va, 1)]);
	if (!(entry & TANDEM_PTE_VALID))
		return entry;
	if (entry & TANDEM_PTE_LEAF)
		return entry | (va & (BIT_ULL(TANDEM_LEAF_2M) - 1) & PAGE_MASK);
	table = tandem_table_child(table, va, 1);
	return READ_ONCE(table->entries[TANDEM_LEVEL_INDEX(va, 0)]);
}

static void tandem_gather_add(struct tandem_gather *gather, u64 start, u64 pages)
{
	u64 end = start + pages * TANDEM_PAGE_BYTES;

	if (!gather->pages || start < gather->start || tandem_mutated(MUTANT_FLUSH_LAST_RANGE))
		gather->start = start;
	if (!gather->pages || end > gather->end)
		gather->end = end;
	gather->pages += pages;
}

static bool tandem_pte_is_system(u64 pte)
{
	return FIELD_GET(TANDEM_PTE_APERTURE, pte) == TANDEM_APERTURE_SYSTEM;
}

/* What is linked for this entry of a leaf at va; NULL: the entry holds the frame itself. */
static struct tandem_iova *tandem_entry_iova(struct tandem_pt *pt, u64 entry, u64 va)
{
	return tandem_pte_is_system(entry) ? tandem_pt_iova(pt, va) : NULL;
}

/* The pages need not belong to one folio: 64 KiB of memory may be sixteen neighbours by chance. */
static void tandem_pt_mark_dirty(struct tandem_pt *pt, struct page *page, unsigned long pages,
				 struct tandem_gather *gather)
{
	unsigned long i = 0;

	while (i < pages) {
		struct folio *folio = page_folio(page + i);

		folio_mark_dirty(folio);
		i += folio_nr_pages(folio) - folio_page_idx(folio, page + i);
	}
	atomic64_add(pages, &pt->dirtied);
	gather->dirty += pages;
}

/* Takes one leaf of `pages` pages away; count entries from index on form it. */
static void tandem_pt_take(struct tandem_pt *pt, struct tandem_table *table, unsigned int index,
			   unsigned int count, u64 va, u64 pages, struct tandem_gather *gather)
{
	struct tandem_iova *iova;
	u64 all = 0, first = 0;
	unsigned int i;

	for (i = 0; i < count; i++) {
		u64 entry = xchg(&table->entries[index + i], 0);

		if (!i)
			first = entry;
		all |= entry;
	}
	iova = tandem_entry_iova(pt, first, va);
	if (all & TANDEM_PTE_DIRTY && !tandem_mutated(MUTANT_DIRTY_LOST))
		tandem_pt_mark_dirty(pt,
				     iova ? tandem_iova_page(iova, TANDEM_LEVEL_INDEX(va, 0)) :
					    tandem_pte_page(pt->tdev, first),
				     pages, gather);
	if (iova)
		tandem_iova_unlink(pt->tdev->dev, iova, TANDEM_LEVEL_INDEX(va, 0), pages);
	tandem_gather_add(gather, va, pages);
	if (tandem_pte_is_system_atomic(first))
		gather->atomic_pages += pages;
	atomic64_sub(pages, &pt->pages);
}

static void tandem_pt_take_2m(struct tandem_pt *pt, struct tandem_table *directory, u64 va,
			      struct tandem_gather *gather)
{
	u64 block = round_down(va, TANDEM_BLOCK_BYTES);

	if (tandem_mutated(MUTANT_FLUSH_NEXT_BLOCK))
		block += TANDEM_BLOCK_BYTES;
	tandem_pt_take(pt, directory, TANDEM_LEVEL_INDEX(va, 1), 1, block, 512, gather);
}

/* Takes away the leaf at entry `index`, with all of its group; returns the index after it. */
static unsigned int tandem_pt_take_small(struct tandem_pt *pt, struct tandem_table *table,
					 unsigned int index, u64 block,
					 struct tandem_gather *gather)
{
	unsigned int count = 1;

	if (READ_ONCE(table->entries[index]) & TANDEM_PTE_GROUP) {
		count = TANDEM_GROUP_PAGES;
		index = round_down(index, TANDEM_GROUP_PAGES);
	}
	tandem_pt_take(pt, table, index, count, block + index * TANDEM_PAGE_BYTES, count, gather);
	table->used -= count;
	return index + count;
}

static void tandem_pt_clear_table(struct tandem_pt *pt, struct tandem_table *table, u64 block,
				  unsigned int first, unsigned int last,
				  struct tandem_gather *gather)
{
	unsigned int index = first;

	while (table->used && index <= last) {
		if (READ_ONCE(table->entries[index]) & TANDEM_PTE_VALID)
			index = tandem_pt_take_small(pt, table, index, block, gather);
		else
			index++;
	}
}

/*
 * Takes away every leaf that overlaps [start, end): a 2 MiB leaf or a 64 KiB group goes whole, and
 * what is left of it faults again. Chunk lock held; the range lies in the chunk.
 */
void tandem_pt_clear(struct tandem_pt *pt, u64 start, u64 end, struct tandem_gather *gather)
{
	struct tandem_table *directory = tandem_pt_table(pt, start, 1);
	u64 block, last = end - 1;

	if (!directory)
		return;
	for (block = round_down(start, TANDEM_BLOCK_BYTES); block < end;
	     block += TANDEM_BLOCK_BYTES) {
		u64 entry = READ_ONCE(directory->entries[TANDEM_LEVEL_INDEX(block, 1)]);
		u64 from = max(start, block);
		u64 to = min(last, block + TANDEM_BLOCK_BYTES - 1);

		if (!(entry & TANDEM_PTE_VALID))
			continue;
		if (entry & TANDEM_PTE_LEAF)
			tandem_pt_take_2m(pt, directory, block, gather);
		else
			tandem_pt_clear_table(pt, tandem_table_child(directory, block, 1), block,
					      TANDEM_LEVEL_INDEX(from, 0),
					      TANDEM_LEVEL_INDEX(to, 0), gather);
	}
}

/* Is the page at va mapped by this entry already, with the same permissions? pte has its frame. */
static bool tandem_pte_same(struct tandem_pt *pt, u64 entry, u64 pte, u64 va)
{
	struct tandem_iova *iova = tandem_entry_iova(pt, pte, va);

	if (!iova)
		return !((entry ^ pte) & ~TANDEM_STATUS_BITS);
	return !((entry ^ pte) & ~(TANDEM_STATUS_BITS | TANDEM_PTE_ADDRESS)) &&
	       tandem_iova_page(iova, TANDEM_LEVEL_INDEX(va, 0)) == tandem_pte_page(pt->tdev, pte);
}

/*
 * Links a leaf of `pages` pages, of which nothing is mapped, and makes of its first entry the one
 * that the device gets. False: no memory.
 */
static bool tandem_pt_link(struct tandem_pt *pt, u64 va, unsigned int pages, u64 *pte,
			   struct tandem_gather *gather)
{
	struct tandem_iova *iova = tandem_entry_iova(pt, *pte, va);
	unsigned int index = TANDEM_LEVEL_INDEX(va, 0);

	if (!iova)
		return true;
	if (tandem_iova_link(pt->tdev->dev, iova, index, pages,
			     PHYS_PFN(*pte & TANDEM_PTE_ADDRESS))) {
		gather->unlinked = true;
		return false;
	}
	*pte = (*pte & ~TANDEM_PTE_ADDRESS) | tandem_iova_address(iova, index);
	return true;
}

/*
 * Can these 16 pages be one 64 KiB leaf? They must be there, alike, consecutive, and aligned in
 * memory.
 */
static bool tandem_ptes_form_group(const u64 *ptes)
{
	unsigned int i;

	if (!(ptes[0] & TANDEM_PTE_VALID) ||
	    !IS_ALIGNED(ptes[0] & TANDEM_PTE_ADDRESS, 1ULL << TANDEM_LEAF_64K))
		return false;
	for (i = 1; i < TANDEM_GROUP_PAGES; i++)
		if (ptes[i] != ptes[0] + i * TANDEM_PAGE_BYTES)
			return false;
	return true;
}

/* Writes one leaf of count entries (1 or 16), unless it is there already. Returns pages written. */
static unsigned int tandem_pt_put(struct tandem_pt *pt, struct tandem_table *table,
				  unsigned int index, u64 block, const u64 *ptes,
				  unsigned int count, struct tandem_gather *gather)
{
	u64 first = ptes[0] | (count == TANDEM_GROUP_PAGES ? TANDEM_PTE_GROUP : 0);
	u64 va = block + index * TANDEM_PAGE_BYTES;
	unsigned int i;

	if (tandem_pte_same(pt, READ_ONCE(table->entries[index]), first, va))
		return 0;
	for (i = 0; i < count; i++)
		if (READ_ONCE(table->entries[index + i]) & TANDEM_PTE_VALID)
			tandem_pt_take_small(pt, table, index + i, block, gather);
	if (!tandem_pt_link(pt, va, count, &first, gather))
		return 0;
	for (i = 0; i < count; i++)
		WRITE_ONCE(table->entries[index + i], first + i * TANDEM_PAGE_BYTES);
	table->used += count;
	atomic64_add(count, &pt->pages);
	if (count == TANDEM_GROUP_PAGES)
		atomic64_inc(&pt->leaves_64k);
	return count;
}

/*
 * Maps count pages from va on, all in one 2 MiB block; a pte that is 0 leaves the page as it is.
 * tandem_pt_prepare() made the tables, the chunk lock is held. What stood there in another shape or
 * with other permissions is in gather: the caller invalidates it before it lets the device try
 * again. Returns pages written.
 */
unsigned int tandem_pt_map_pages(struct tandem_pt *pt, u64 va, const u64 *ptes, unsigned int count,
				 struct tandem_gather *gather)
{
	struct tandem_table *directory = tandem_pt_table(pt, va, 1);
	u64 block = round_down(va, TANDEM_BLOCK_BYTES);
	u64 slot = TANDEM_LEVEL_INDEX(va, 1);
	unsigned int first = TANDEM_LEVEL_INDEX(va, 0);
	struct tandem_table *table;
	unsigned int i = 0, written = 0;

	table = tandem_table_child(directory, va, 1);
	if (READ_ONCE(directory->entries[slot]) & TANDEM_PTE_LEAF)
		tandem_pt_take_2m(pt, directory, block, gather);
	while (i < count) {
		unsigned int step = 1;

		if (IS_ALIGNED(first + i, TANDEM_GROUP_PAGES) && count - i >= TANDEM_GROUP_PAGES &&
		    tandem_ptes_form_group(ptes + i))
			step = TANDEM_GROUP_PAGES;
		if (ptes[i])
			written += tandem_pt_put(pt, table, first + i, block, ptes + i, step,
						 gather);
		i += step;
	}
	/* The walker must not find the table before its entries. */
	dma_wmb();
	if (!(READ_ONCE(directory->entries[slot]) & TANDEM_PTE_VALID))
		WRITE_ONCE(directory->entries[slot], table->dma | TANDEM_PTE_VALID);
	return written;
}

/* The same for one 2 MiB leaf. The table of level 0, if there is one, stays for later. */
unsigned int tandem_pt_map_2m(struct tandem_pt *pt, u64 va, u64 pte, struct tandem_gather *gather)
{
	struct tandem_table *directory = tandem_pt_table(pt, va, 1);
	u64 block = round_down(va, TANDEM_BLOCK_BYTES);
	u64 slot = TANDEM_LEVEL_INDEX(va, 1);

	if (tandem_pte_same(pt, READ_ONCE(directory->entries[slot]), pte, block))
		return 0;
	tandem_pt_clear(pt, block, block + TANDEM_BLOCK_BYTES, gather);
	if (!tandem_pt_link(pt, block, TANDEM_PT_ENTRIES, &pte, gather))
		return 0;
	WRITE_ONCE(directory->entries[slot], pte);
	atomic64_add(TANDEM_PT_ENTRIES, &pt->pages);
	atomic64_inc(&pt->leaves_2m);
	return TANDEM_PT_ENTRIES;
}

/* Takes no lock: entries are read and changed one by one, atomically. */
static bool tandem_entry_young(u64 *slot, bool clear)
{
	u64 entry = READ_ONCE(*slot);

	if (!(entry & TANDEM_PTE_VALID) || !(entry & TANDEM_PTE_ACCESSED))
		return false;
	while (clear && (entry & TANDEM_PTE_ACCESSED) &&
	       !try_cmpxchg(slot, &entry, entry & ~TANDEM_PTE_ACCESSED))
		;
	return true;
}

/*
 * Was anything in the range accessed by the device since this was last asked with clear set? TLBs
 * are not flushed, as on most CPUs: a page in constant use may look old for as long as its TLB
 * entry lives.
 */
bool tandem_pt_young(struct tandem_pt *pt, u64 start, u64 end, bool clear)
{
	bool young = false;
	u64 va = start;

	while (va < end) {
		struct tandem_table *directory = tandem_pt_table(pt, va, 1);
		struct tandem_table *table;
		u64 entry, block_end = round_down(va, TANDEM_BLOCK_BYTES) + TANDEM_BLOCK_BYTES;
		u64 *slot;

		slot = directory ? &directory->entries[TANDEM_LEVEL_INDEX(va, 1)] : NULL;
		entry = slot ? READ_ONCE(*slot) : 0;
		table = entry & TANDEM_PTE_VALID ? tandem_table_child(directory, va, 1) : NULL;
		if (entry & TANDEM_PTE_VALID && entry & TANDEM_PTE_LEAF)
			young |= tandem_entry_young(slot, clear);
		else
			for (; table && va < min(end, block_end); va += TANDEM_PAGE_BYTES)
				young |= tandem_entry_young(
					&table->entries[TANDEM_LEVEL_INDEX(va, 0)], clear);
		va = block_end;
	}
	return young;
}
