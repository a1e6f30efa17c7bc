// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The allocator of VRAM: which page of which block belongs to whom. It moves nothing and waits for
 * nobody; whoever finds too little here evicts (tandem_evict.c) and asks again.
 *
 * Pages come back by folio_free, from wherever Linux drops its last reference: under page table
 * locks, perhaps in an interrupt. So vram->lock is a leaf that is taken with interrupts off.
 */
#include <linux/bitmap.h>
#include <linux/fault-inject.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "tandem_device.h"

int tandem_vram_init(struct tandem_vram *vram, u64 pages)
{
	unsigned int i;

	spin_lock_init(&vram->lock);
	mutex_init(&vram->evict_lock);
	INIT_LIST_HEAD(&vram->free);
	INIT_LIST_HEAD(&vram->open);
	INIT_LIST_HEAD(&vram->lru);
	vram->block_count = pages / TANDEM_BLOCK_PAGES;
	vram->pages = (u64)vram->block_count * TANDEM_BLOCK_PAGES;
	vram->free_pages = vram->pages;
	vram->blocks = kvcalloc(vram->block_count, sizeof(*vram->blocks), GFP_KERNEL);
	if (!vram->blocks)
		return -ENOMEM;
	for (i = 0; i < vram->block_count; i++) {
		vram->blocks[i].state = TANDEM_BLOCK_FREE;
		INIT_LIST_HEAD(&vram->blocks[i].open);
		list_add_tail(&vram->blocks[i].node, &vram->free);
	}
	return 0;
}

void tandem_vram_fini(struct tandem_vram *vram)
{
	kvfree(vram->blocks);
	vram->blocks = NULL;
	INIT_LIST_HEAD(&vram->free);
	INIT_LIST_HEAD(&vram->open);
}

static struct tandem_block *tandem_block_of(struct tandem_vram *vram, u64 index)
{
	return &vram->blocks[index / TANDEM_BLOCK_PAGES];
}

static u64 tandem_block_first(struct tandem_vram *vram, struct tandem_block *block)
{
	return (u64)(block - vram->blocks) * TANDEM_BLOCK_PAGES;
}

/* ---- states: one function for each arrow, vram->lock held ---- */

static void tandem_block_take(struct tandem_vram *vram, struct tandem_block *block,
			      enum tandem_block_state state)
{
	lockdep_assert_held(&vram->lock);
	list_del_init(&block->node);
	block->state = state;
	block->pasid = 0;
	vram->free_pages -= TANDEM_BLOCK_PAGES;
	if (state == TANDEM_BLOCK_CUT)
		block->loose = TANDEM_BLOCK_PAGES;
}

/* Others may have pages of it from now on. */
static void tandem_block_publish(struct tandem_vram *vram, struct tandem_block *block)
{
	if (block->state == TANDEM_BLOCK_CUT && block->loose && !block->claimed &&
	    !block->evicting && list_empty(&block->open)) {
		list_add_tail(&block->open, &vram->open);
		vram->loose_pages += block->loose;
	}
}

static void tandem_block_withdraw(struct tandem_vram *vram, struct tandem_block *block)
{
	if (!list_empty(&block->open)) {
		list_del_init(&block->open);
		vram->loose_pages -= block->loose;
	}
}

/* Its last page came back, or the room that had it used nothing. */
static void tandem_block_settle(struct tandem_vram *vram, struct tandem_block *block)
{
	if (block->claimed || block->evicting)
		return;
	if (block->used) {
		if (list_empty(&block->node))
			list_add_tail(&block->node, &vram->lru);
		tandem_block_publish(vram, block);
		return;
	}
	tandem_block_withdraw(vram, block);
	list_del_init(&block->node);
	if (!bitmap_empty(block->retired, TANDEM_BLOCK_PAGES)) {
		tandem_block_publish(vram, block);
		return;
	}
	block->state = TANDEM_BLOCK_FREE;
	block->loose = 0;
	vram->free_pages += TANDEM_BLOCK_PAGES;
	/* Behind the others: if a copy to it failed, the next one goes elsewhere. */
	list_add_tail(&block->node, &vram->free);
}

/* Eviction is done with it, whatever came of that. True: it is empty. */
bool tandem_vram_settle(struct tandem_vram *vram, struct tandem_block *block)
{
	unsigned long flags;
	bool empty;

	spin_lock_irqsave(&vram->lock, flags);
	block->evicting = false;
	empty = !block->used;
	tandem_block_settle(vram, block);
	spin_unlock_irqrestore(&vram->lock, flags);
	return empty;
}

/* ---- rooms ---- */

/* A block of one's own. False: there is none that is free. */
bool tandem_room_try_block(struct tandem_vram *vram, struct tandem_room *room)
{
	struct tandem_block *block;
	unsigned long flags;

	*room = (struct tandem_room){ .vram = vram };
	spin_lock_irqsave(&vram->lock, flags);
	block = list_first_entry_or_null(&vram->free, struct tandem_block, node);
	if (block && !vram->closed) {
		tandem_block_take(vram, block, TANDEM_BLOCK_CUT);
		block->claimed = true;
		vram->claimed_pages += TANDEM_BLOCK_PAGES;
		room->block = block;
	}
	spin_unlock_irqrestore(&vram->lock, flags);
	return room->block;
}

/* At most one block is opened for them: a room has 512 pages at most. */
bool tandem_room_try_pages(struct tandem_vram *vram, unsigned int pages, struct tandem_room *room)
{
	struct tandem_block *block;
	unsigned long flags;

	*room = (struct tandem_room){ .vram = vram };
	spin_lock_irqsave(&vram->lock, flags);
	block = list_first_entry_or_null(&vram->free, struct tandem_block, node);
	if (vram->loose_pages < vram->promised_pages + pages && block && !vram->closed) {
		tandem_block_take(vram, block, TANDEM_BLOCK_CUT);
		tandem_block_publish(vram, block);
	}
	if (vram->loose_pages >= vram->promised_pages + pages && !vram->closed) {
		vram->promised_pages += pages;
		room->pages = pages;
	}
	spin_unlock_irqrestore(&vram->lock, flags);
	return room->pages;
}

/*
 * Blocks that were opened and never used are whole again, as far as nobody was promised their
 * pages. One with a page retired never is: it stays open.
 */
static void tandem_vram_close_unused(struct tandem_vram *vram)
{
	struct tandem_block *block, *next;

	list_for_each_entry_safe(block, next, &vram->open, open)
		if (!block->used && bitmap_empty(block->retired, TANDEM_BLOCK_PAGES) &&
		    vram->loose_pages >= vram->promised_pages + block->loose)
			tandem_block_settle(vram, block);
}

/* What was not used is anybody's again. */
void tandem_room_release(struct tandem_room *room)
{
	struct tandem_vram *vram = room->vram;
	unsigned long flags;

	if (!vram)
		return;
	spin_lock_irqsave(&vram->lock, flags);
	if (room->block) {
		vram->claimed_pages -= TANDEM_BLOCK_PAGES;
		room->block->claimed = false;
		tandem_block_settle(vram, room->block);
	}
	vram->promised_pages -= room->pages;
	tandem_vram_close_unused(vram);
	spin_unlock_irqrestore(&vram->lock, flags);
	*room = (struct tandem_room){ 0 };
}

/* ---- giving out ---- */

DECLARE_FAULT_ATTR(tandem_fail_vram);

static bool tandem_vram_must_fail(void)
{
	return should_fail(&tandem_fail_vram, PAGE_SIZE);
}

/* Locked, with one reference. A page that was part of a huge one before forgets that here. */
static struct page *tandem_vram_page(struct tandem_vram *vram, u64 index, unsigned int order)
{
	struct page *page = pfn_to_page(vram->first_pfn + index);

	tandem_check_vram_turns(vram->tdev, index, 1 << order);
	zone_device_folio_init((struct folio *)page, &vram->pagemap, order);
	return page;
}

/* The whole block of the room as one page; NULL if it has none, or part of it is used. */
struct page *tandem_vram_alloc_huge(struct tandem_room *room)
{
	struct tandem_vram *vram = room->vram;
	struct tandem_block *block = room->block;
	unsigned long flags;
	bool ok;

	if (!block || tandem_vram_must_fail())
		return NULL;
	spin_lock_irqsave(&vram->lock, flags);
	ok = bitmap_empty(block->busy, TANDEM_BLOCK_PAGES);
	if (ok) {
		bitmap_fill(block->busy, TANDEM_BLOCK_PAGES);
		block->state = TANDEM_BLOCK_HUGE;
		block->used = TANDEM_BLOCK_PAGES;
		block->loose = 0;
		vram->used_pages += TANDEM_BLOCK_PAGES;
	}
	spin_unlock_irqrestore(&vram->lock, flags);
	return ok ? tandem_vram_page(vram, tandem_block_first(vram, block), HPAGE_PMD_ORDER) :
		    NULL;
}

static unsigned int tandem_block_give(struct tandem_vram *vram, struct tandem_block *block,
				      unsigned int wanted)
{
	unsigned int page = wanted;

	if (test_bit(page, block->busy))
		page = find_first_zero_bit(block->busy, TANDEM_BLOCK_PAGES);
	__set_bit(page, block->busy);
	block->used++;
	block->loose--;
	vram->used_pages++;
	return page;
}

static struct tandem_block *tandem_room_block(struct tandem_room *room)
{
	if (room->block)
		return room->block->loose ? room->block : NULL;
	return room->pages ? list_first_entry_or_null(&room->vram->open, struct tandem_block,
						      open) :
			     NULL;
}

/*
 * One page of the room, at this place of its block if it can be: neighbours stay neighbours, so
 * that the GPU can map 64 KiB at once.
 */
struct page *tandem_vram_alloc_page(struct tandem_room *room, unsigned int index)
{
	struct tandem_vram *vram = room->vram;
	struct tandem_block *block;
	unsigned long flags;
	u64 page = 0;

	if (tandem_vram_must_fail())
		return NULL;
	spin_lock_irqsave(&vram->lock, flags);
	block = tandem_room_block(room);
	if (block) {
		page = tandem_block_first(vram, block) + tandem_block_give(vram, block, index);
		if (!room->block) {
			room->pages--;
			vram->promised_pages--;
			vram->loose_pages--;
			if (!block->loose)
				list_del_init(&block->open);
			tandem_block_settle(vram, block);
		}
	}
	spin_unlock_irqrestore(&vram->lock, flags);
	return block ? tandem_vram_page(vram, page, 0) : NULL;
}

/* ---- coming back ---- */

static void tandem_block_return(struct tandem_vram *vram, struct tandem_block *block,
				unsigned int page)
{
	block->used--;
	vram->used_pages--;
	if (test_bit(page, block->retired))
		return;
	__clear_bit(page, block->busy);
	block->loose++;
	if (!list_empty(&block->open))
		vram->loose_pages++;
}

/* Any context. */
void tandem_vram_free(struct tandem_vram *vram, u64 index, unsigned int pages)
{
	struct tandem_block *block = tandem_block_of(vram, index);
	unsigned int i, first = index % TANDEM_BLOCK_PAGES;
	unsigned long flags;

	tandem_check_vram_turns(vram->tdev, index, pages);
	spin_lock_irqsave(&vram->lock, flags);
	block->state = TANDEM_BLOCK_CUT;
	for (i = 0; i < pages; i++)
		tandem_block_return(vram, block, first + i);
	tandem_block_settle(vram, block);
	spin_unlock_irqrestore(&vram->lock, flags);
}

/* The huge page is pages now; each comes back by itself. */
void tandem_vram_split(struct tandem_vram *vram, u64 index)
{
	unsigned long flags;

	spin_lock_irqsave(&vram->lock, flags);
	tandem_block_of(vram, index)->state = TANDEM_BLOCK_CUT;
	spin_unlock_irqrestore(&vram->lock, flags);
}

/* False: it was known before. A page in use goes out of circulation when it comes back. */
bool tandem_vram_retire(struct tandem_vram *vram, u64 index)
{
	struct tandem_block *block = tandem_block_of(vram, index);
	unsigned int page = index % TANDEM_BLOCK_PAGES;
	unsigned long flags;
	bool fresh;

	spin_lock_irqsave(&vram->lock, flags);
	fresh = !__test_and_set_bit(page, block->retired);
	if (fresh) {
		vram->retired_pages++;
		if (block->state == TANDEM_BLOCK_FREE)
			tandem_block_take(vram, block, TANDEM_BLOCK_CUT);
		if (!__test_and_set_bit(page, block->busy)) {
			tandem_block_withdraw(vram, block);
			block->loose--;
			tandem_block_publish(vram, block);
		}
	}
	spin_unlock_irqrestore(&vram->lock, flags);
	return fresh;
}

/* Is the page given out, or retired? */
bool tandem_vram_is_used(struct tandem_vram *vram, u64 index)
{
	return test_bit(index % TANDEM_BLOCK_PAGES, tandem_block_of(vram, index)->busy);
}

/* Is any page of the block that this one lies in given out? */
bool tandem_vram_block_is_used(struct tandem_vram *vram, u64 index)
{
	return READ_ONCE(tandem_block_of(vram, index)->used);
}

/* Is any of these pages of one block poisoned? */
bool tandem_vram_is_retired(struct tandem_vram *vram, u64 index, unsigned int pages)
{
	unsigned int first = index % TANDEM_BLOCK_PAGES;
	struct tandem_block *block = tandem_block_of(vram, index);

	return vram->retired_pages &&
	       find_next_bit(block->retired, first + pages, first) < first + pages;
}

/* ---- use ---- */

/* The GPU uses it: not the first to be evicted. */
void tandem_vram_touch(struct tandem_vram *vram, u64 index)
{
	struct tandem_block *block = tandem_block_of(vram, index);
	unsigned long flags;

	spin_lock_irqsave(&vram->lock, flags);
	if (block->used && !block->claimed && !block->evicting)
		list_move_tail(&block->node, &vram->lru);
	spin_unlock_irqrestore(&vram->lock, flags);
}

/* Who filled the block that this page lies in, and the VA of its 2 MiB. */
void tandem_vram_name(struct tandem_vram *vram, u64 index, u32 pasid, u64 va)
{
	struct tandem_block *block = tandem_block_of(vram, index);
	unsigned long flags;

	spin_lock_irqsave(&vram->lock, flags);
	block->pasid = pasid;
	block->va = va;
	spin_unlock_irqrestore(&vram->lock, flags);
}

u32 tandem_vram_named(struct tandem_vram *vram, u64 index, u64 *va)
{
	struct tandem_block *block = tandem_block_of(vram, index);
	unsigned long flags;
	u32 pasid;

	spin_lock_irqsave(&vram->lock, flags);
	pasid = block->pasid;
	*va = block->va;
	spin_unlock_irqrestore(&vram->lock, flags);
	return pasid;
}
