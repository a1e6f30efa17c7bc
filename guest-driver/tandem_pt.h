/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device page table of one address space (hw-model/abi/tandem_pte.h).
 *
 * Who may do what: entries of level 1 and 0 belong to the lock of the chunk that covers them (a
 * chunk never spans two level 1 tables); directories above are made under pt->lock and stay until
 * tandem_pt_fini(). No table is freed before: a walker that still holds a stale directory entry, or
 * tandem_pt_young(), which takes no lock, reads entries that are cleared or current.
 */
#ifndef TANDEM_PT_H
#define TANDEM_PT_H

#include <linux/bitfield.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "tandem_abi.h"

struct fault_attr;
struct tandem_iova;

struct tandem_table {
	u64 *entries;
	dma_addr_t dma;
	unsigned int used;                /* level 0: valid entries; chunk lock */
	/* Level 1, where an IOMMU translates: of the block that each entry covers, or NULL. */
	struct tandem_iova **iovas;
	struct tandem_table *children[];  /* levels 3..1 */
};

struct tandem_device;

struct tandem_pt {
	struct tandem_device *tdev;
	struct mutex lock;	   /* making directories, and tandem_pt_fini() */
	struct tandem_table *root; /* NULL before tandem_pt_init() and after tandem_pt_fini() */
	atomic64_t pages;	   /* 4 KiB pages mapped now */
	atomic64_t tables;
	atomic64_t leaves_64k;
	atomic64_t leaves_2m;
	atomic64_t dirtied;
};

/* What an update took away: the range to invalidate, whole leaves. Empty when pages is 0. */
struct tandem_gather {
	u64 start;
	u64 end;
	u64 pages;
	u64 dirty;        /* among them: Linux was told that they were written to */
	u64 atomic_pages; /* among them: atomics were permitted there, in the system's memory */
	bool unlinked;    /* a page could not be mapped: the IOMMU had no memory for it */
};

/* In the system's memory, with atomics: in exclusive mode, a page that no CPU can reach. */
static inline bool tandem_pte_is_system_atomic(u64 pte)
{
	return (pte & TANDEM_PTE_VALID) && (pte & TANDEM_PTE_ATOMIC) &&
	       FIELD_GET(TANDEM_PTE_APERTURE, pte) == TANDEM_APERTURE_SYSTEM;
}

extern struct fault_attr tandem_fail_page_table; /* of tables of the device's: all GPUs */

int tandem_pt_init(struct tandem_pt *pt, struct tandem_device *tdev);
void tandem_pt_fini(struct tandem_pt *pt);
int tandem_pt_prepare(struct tandem_pt *pt, u64 va, bool leaf_table);
u64 tandem_pt_read(struct tandem_pt *pt, u64 va);
unsigned int tandem_pt_map_pages(struct tandem_pt *pt, u64 va, const u64 *ptes, unsigned int count,
				 struct tandem_gather *gather);
unsigned int tandem_pt_map_2m(struct tandem_pt *pt, u64 va, u64 pte, struct tandem_gather *gather);
void tandem_pt_clear(struct tandem_pt *pt, u64 start, u64 end, struct tandem_gather *gather);
bool tandem_pt_young(struct tandem_pt *pt, u64 start, u64 end, bool clear);

#endif
