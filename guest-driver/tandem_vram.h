/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The GPU's memory as the driver gives it out: blocks of 2 MiB, each free, one huge page, or cut
 * into pages of 4 KiB. A page frame of tdev->vram stands for VRAM offset (pfn - first_pfn) * 4096;
 * tandem_pagemap.c makes the frames, tandem_migrate.c and tandem_evict.c move what is in them.
 */
#ifndef TANDEM_VRAM_H
#define TANDEM_VRAM_H

#include <linux/list.h>
#include <linux/memremap.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>

#include "tandem_abi.h"
#include "tandem_uapi.h"

#define TANDEM_BLOCK_PAGES 512

struct dentry;
struct fault_attr;
struct seq_file;
struct tandem_as;
struct tandem_device;

/*
 *   FREE -> HUGE | CUT   taken by a room, or cut because a page was retired
 *   HUGE -> CUT          its folio was split
 *   HUGE | CUT -> FREE   its last page came back and none is retired
 */
enum tandem_block_state {
	TANDEM_BLOCK_FREE = 1,
	TANDEM_BLOCK_HUGE,
	TANDEM_BLOCK_CUT,
};

/* Everything in it: vram->lock. */
struct tandem_block {
	struct list_head node;   /* FREE: vram->free; with used pages: vram->lru; else empty */
	struct list_head open;   /* in vram->open: pages can be had from it */
	enum tandem_block_state state;
	bool claimed;            /* belongs to a room: nobody else takes pages, nobody evicts it */
	bool evicting;
	unsigned int used;       /* pages given out */
	unsigned int loose;      /* pages neither given out nor retired; 0 if FREE or HUGE */
	u32 pasid;               /* who filled it last, and where: a hint, 0 if unknown */
	u64 va;
	DECLARE_BITMAP(busy, TANDEM_BLOCK_PAGES);    /* given out or retired */
	DECLARE_BITMAP(retired, TANDEM_BLOCK_PAGES); /* poisoned: never given out again */
};

struct tandem_vram_stats {
	atomic64_t pages_to_vram;
	atomic64_t pages_to_system;
	atomic64_t pages_evicted;
	atomic64_t pages_failed;
	atomic64_t copy_retries;
	atomic64_t poison_events;
};

struct tandem_vram {
	struct tandem_device *tdev;
	enum tandem_vram_kind kind;
	struct dev_pagemap pagemap;
	struct resource *resource; /* private: the addresses that nothing decodes */
	unsigned long first_pfn;
	u64 pages;
	u32 fabric;                /* number on the link between GPUs, or TANDEM_FABRIC_NONE */
	u32 fabric_peers;

	spinlock_t lock;           /* taken with page table locks held, and in interrupts */
	struct tandem_block *blocks;
	unsigned int block_count;
	struct list_head free;
	struct list_head open;
	struct list_head lru;      /* least recently used first */
	u64 free_pages;            /* in FREE blocks */
	u64 loose_pages;           /* in open blocks */
	u64 used_pages;
	u64 retired_pages;
	u64 promised_pages;        /* of the open blocks' loose pages, to rooms */
	u64 claimed_pages;         /* in blocks that belong to rooms */
	bool closed;               /* removal: nothing is given out any more */

	struct mutex evict_lock;   /* one evicts at a time; folio locks, not mmap_lock, below it */
	struct tandem_vram_stats stats;
};

/*
 * What somebody who is about to move pages was promised before any page was locked: a whole block
 * of its own, or so many pages of open ones. A promise of pages may still fail for single ones.
 */
struct tandem_room {
	struct tandem_vram *vram;
	struct tandem_block *block;
	unsigned int pages;
};

/* tandem_vram.c */
int tandem_vram_init(struct tandem_vram *vram, u64 pages);
void tandem_vram_fini(struct tandem_vram *vram);
bool tandem_room_try_block(struct tandem_vram *vram, struct tandem_room *room);
bool tandem_room_try_pages(struct tandem_vram *vram, unsigned int pages, struct tandem_room *room);
void tandem_room_release(struct tandem_room *room);
struct page *tandem_vram_alloc_huge(struct tandem_room *room);
struct page *tandem_vram_alloc_page(struct tandem_room *room, unsigned int index);
void tandem_vram_free(struct tandem_vram *vram, u64 index, unsigned int pages);
void tandem_vram_split(struct tandem_vram *vram, u64 index);
bool tandem_vram_retire(struct tandem_vram *vram, u64 index);
bool tandem_vram_is_retired(struct tandem_vram *vram, u64 index, unsigned int pages);
bool tandem_vram_settle(struct tandem_vram *vram, struct tandem_block *block);
bool tandem_vram_is_used(struct tandem_vram *vram, u64 index);
bool tandem_vram_block_is_used(struct tandem_vram *vram, u64 index);
void tandem_vram_touch(struct tandem_vram *vram, u64 index);
void tandem_vram_name(struct tandem_vram *vram, u64 index, u32 pasid, u64 va);
u32 tandem_vram_named(struct tandem_vram *vram, u64 index, u64 *va);

extern struct fault_attr tandem_fail_vram; /* of tandem_vram_alloc_*(): all GPUs */

/* tandem_vram_debugfs.c, tandem_test_debugfs.c */
void tandem_vram_debugfs_init(struct tandem_device *tdev, struct dentry *dir);
void tandem_test_debugfs_init(struct tandem_device *tdev, struct dentry *dir);

static inline bool tandem_vram_is_there(const struct tandem_vram *vram)
{
	return vram->kind != TANDEM_VRAM_NONE;
}

/* tandem_pagemap.c */
struct tandem_place {
	enum tandem_aperture aperture;
	u8 peer;
	u64 address; /* DMA address, or VRAM offset */
};

int tandem_pagemap_init(struct tandem_device *tdev);
void tandem_pagemap_fini(struct tandem_device *tdev);
struct tandem_vram *tandem_page_vram(const struct page *page);
u64 tandem_page_index(const struct tandem_vram *vram, const struct page *page);
bool tandem_page_place(struct tandem_device *tdev, const struct page *page,
		       struct tandem_place *place);
struct page *tandem_pte_page(struct tandem_device *tdev, u64 pte);
void *tandem_vram_owner(struct tandem_device *tdev);
void tandem_vram_describe(struct tandem_device *tdev, struct tandem_check_frames *frames);

/* tandem_evict.c */
int tandem_room_reserve(struct tandem_vram *vram, unsigned int pages, bool whole,
			struct tandem_room *room);
int tandem_vram_bring_home(struct tandem_vram *vram);
void tandem_vram_evacuate(struct tandem_vram *vram);

#define TANDEM_EVICT_ANY U64_MAX
int tandem_vram_evict(struct tandem_vram *vram, u64 index);

#endif
