// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Making room: the block that was used least recently comes home whole. Called before pages are
 * collected, with no lock held, so an eviction never waits for the migration that it serves. And
 * the end of all: before the driver lets go of the device, every page comes home.
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "tandem_migrate.h"
#include "tandem_poison.h"

/* How many blocks one caller looks at before it goes without. */
#define TANDEM_EVICT_TRIES 8
#define TANDEM_EVICT_ROUNDS 3
#define TANDEM_EVACUATE_PATIENCE (2 * HZ)

static u64 tandem_evict_first(struct tandem_vram *vram, const struct tandem_block *block)
{
	return (u64)(block - vram->blocks) * TANDEM_BLOCK_PAGES;
}

/* ---- which ---- */

/*
 * Was it used by the GPU since it was last asked? Known only where the mapping is known. The answer
 * is as old as the TLBs: good enough for a second chance.
 */
static bool tandem_block_is_young(struct tandem_vram *vram, struct tandem_block *block)
{
	struct tandem_as *as;
	bool young;
	u64 va;

	as = tandem_as_by_pasid(vram->tdev,
				tandem_vram_named(vram, tandem_evict_first(vram, block), &va));
	if (!as)
		return false;
	young = tandem_mirror_was_used(as, va, va + SZ_2M);
	tandem_as_put(as);
	return young;
}

/* vram->lock held. The block stands in the list of those in use, and nobody has claimed it. */
static bool tandem_block_may_go(const struct tandem_block *block)
{
	return block->used && !block->claimed && !list_empty(&block->node);
}

/*
 * Takes this block, or the first of the list if it is NULL, if it may go; nobody gets pages of it
 * from now on.
 */
static struct tandem_block *tandem_evict_take(struct tandem_vram *vram, struct tandem_block *block)
{
	unsigned long flags;

	spin_lock_irqsave(&vram->lock, flags);
	if (!block)
		block = list_first_entry_or_null(&vram->lru, struct tandem_block, node);
	else if (!tandem_block_may_go(block))
		block = NULL;
	if (block) {
		list_del_init(&block->node);
		block->evicting = true;
		if (!list_empty(&block->open)) {
			list_del_init(&block->open);
			vram->loose_pages -= block->loose;
		}
	}
	spin_unlock_irqrestore(&vram->lock, flags);
	return block;
}

/* evict_lock held. Every block gets one second chance a round, so this ends. */
static struct tandem_block *tandem_evict_choose(struct tandem_vram *vram)
{
	unsigned int i;

	for (i = 0; i < vram->block_count; i++) {
		struct tandem_block *block = tandem_evict_take(vram, NULL);

		if (!block || !tandem_block_is_young(vram, block))
			return block;
		tandem_vram_settle(vram, block);
	}
	return tandem_evict_take(vram, NULL);
}

/* ---- how ---- */

/*
 * A huge page for which the system has no huge page: by way of its mapping, where it is known, it
 * is split and comes home in small ones.
 */
static void tandem_evict_by_mapping(struct tandem_vram *vram, u64 index,
				    enum tandem_migrate_cause cause, struct tandem_moved *moved)
{
	struct tandem_as *as;
	u64 va;

	as = tandem_as_by_pasid(vram->tdev, tandem_vram_named(vram, index, &va));
	if (!as)
		return;
	if (mmget_not_zero(as->mm)) {
		tandem_migrate_home(as, vram->tdev, va, va + SZ_2M, cause, moved);
		/* The last one runs exit_mmap: not here. */
		mmput_async(as->mm);
	}
	tandem_as_put(as);
}

/* The block is ours: `evicting`. True if it is empty now. */
static bool tandem_evict_block(struct tandem_vram *vram, struct tandem_block *block,
			       enum tandem_migrate_cause cause)
{
	u64 index = tandem_evict_first(vram, block);
	struct tandem_moved moved = { 0 };
	DECLARE_BITMAP(busy, TANDEM_BLOCK_PAGES);
	unsigned long flags;
	int ret;

	spin_lock_irqsave(&vram->lock, flags);
	bitmap_copy(busy, block->busy, TANDEM_BLOCK_PAGES);
	spin_unlock_irqrestore(&vram->lock, flags);
	ret = tandem_migrate_home_block(vram, index, busy, cause, &moved);
	if (ret == -EAGAIN)
		tandem_evict_by_mapping(vram, index, cause, &moved);
	return tandem_vram_settle(vram, block);
}

/* False: nothing can be evicted now. */
static bool tandem_evict_one(struct tandem_vram *vram)
{
	struct tandem_block *block;
	bool emptied = false;
	int tries;

	mutex_lock(&vram->evict_lock);
	for (tries = 0; !emptied && tries < TANDEM_EVICT_TRIES; tries++) {
		block = tandem_evict_choose(vram);
		if (!block)
			break;
		emptied = tandem_evict_block(vram, block, TANDEM_MIGRATE_EVICT);
	}
	mutex_unlock(&vram->evict_lock);
	return emptied;
}

/*
 * Evicts the block that this page lies in, or whichever would go next (TANDEM_EVICT_ANY). -ENOENT:
 * nothing of it is in use. -EBUSY: it cannot go now.
 */
int tandem_vram_evict(struct tandem_vram *vram, u64 index)
{
	struct tandem_block *block;
	int ret = -EBUSY;

	if (index == TANDEM_EVICT_ANY)
		return tandem_evict_one(vram) ? 0 : -EBUSY;
	if (!tandem_vram_block_is_used(vram, index))
		return -ENOENT;
	mutex_lock(&vram->evict_lock);
	block = tandem_evict_take(vram, &vram->blocks[index / TANDEM_BLOCK_PAGES]);
	if (block && tandem_evict_block(vram, block, TANDEM_MIGRATE_EVICT))
		ret = 0;
	mutex_unlock(&vram->evict_lock);
	return ret;
}

/* ---- rooms ---- */

static bool tandem_room_try(struct tandem_vram *vram, unsigned int pages, bool block,
			    struct tandem_room *room)
{
	return block ? tandem_room_try_block(vram, room) :
		       tandem_room_try_pages(vram, pages, room);
}

/*
 * Room for so many pages, at most 512: a block of one's own for a whole one and for many pages, so
 * that they lie together; else pages of open blocks. Evicts if need be; no lock may be held.
 * -ENOMEM: nothing could be evicted. -ENODEV: the device is being let go.
 */
int tandem_room_reserve(struct tandem_vram *vram, unsigned int pages, bool whole,
			struct tandem_room *room)
{
	bool block = whole || pages >= TANDEM_BLOCK_PAGES / 2;
	int round;

	if (READ_ONCE(vram->closed))
		return -ENODEV;
	if (tandem_room_try(vram, pages, block, room))
		return 0;
	for (round = 0; round < TANDEM_EVICT_ROUNDS; round++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		if (!tandem_evict_one(vram))
			break;
		if (tandem_room_try(vram, pages, block, room))
			return 0;
	}
	return tandem_room_try(vram, pages, false, room) ? 0 : -ENOMEM;
}

/* ---- all of it ---- */

/*
 * Every page that is in VRAM now comes home, if nobody holds it just then; others may come
 * meanwhile. -EINTR: the caller is being killed.
 */
int tandem_vram_bring_home(struct tandem_vram *vram)
{
	struct tandem_block *block;
	unsigned int i;

	/* What does not come home stands last in the list again. */
	for (i = 0; tandem_vram_is_there(vram) && i < vram->block_count; i++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		mutex_lock(&vram->evict_lock);
		block = tandem_evict_take(vram, NULL);
		if (block)
			tandem_evict_block(vram, block, TANDEM_MIGRATE_REQUEST);
		mutex_unlock(&vram->evict_lock);
		if (!block)
			break;
		cond_resched();
	}
	return 0;
}

/* ---- the end ---- */

/* The device does not answer and cannot be started again: what is in it is lost. */
static void tandem_evict_lose_all(struct tandem_vram *vram)
{
	u64 index;

	for (index = 0; index < vram->pages; index++)
		if (tandem_vram_is_used(vram, index))
			tandem_vram_retire(vram, index);
}

/*
 * When this returns VRAM is empty, for good. A page that somebody holds for a moment is tried
 * again; a poisoned one, and every one of a device that does not answer any more, goes with the
 * processes that map it.
 */
void tandem_vram_evacuate(struct tandem_vram *vram)
{
	unsigned long complain = jiffies + TANDEM_EVACUATE_PATIENCE;
	enum tandem_poison_word word = TANDEM_POISON_TELL;
	struct tandem_block *block;
	unsigned long flags;
	u64 left;

	if (!tandem_vram_is_there(vram))
		return;
	spin_lock_irqsave(&vram->lock, flags);
	vram->closed = true;
	spin_unlock_irqrestore(&vram->lock, flags);
	/* Who was promised room before may still fill it. */
	while ((left = READ_ONCE(vram->used_pages) + READ_ONCE(vram->promised_pages) +
		       READ_ONCE(vram->claimed_pages))) {
		mutex_lock(&vram->evict_lock);
		block = tandem_evict_take(vram, NULL);
		if (!block || !tandem_evict_block(vram, block, TANDEM_MIGRATE_REMOVE))
			usleep_range(100, 1000);
		mutex_unlock(&vram->evict_lock);
		cond_resched();
		if (time_after(jiffies, complain)) {
			dev_err(vram->tdev->dev, "%llu pages of VRAM cannot be brought home yet\n",
				left);
			complain = jiffies + TANDEM_EVACUATE_PATIENCE;
			if (READ_ONCE(vram->tdev->hw) != TANDEM_HW_UP)
				tandem_evict_lose_all(vram);
			tandem_poison_evict(vram, word);
			word = TANDEM_POISON_KILL;
		}
	}
}
