/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Moving pages of a process between the system's memory and VRAM (docs/device-memory.md). None of
 * these may be called with chunk->lock or as->lock held: Linux calls our notifier from inside, on
 * the caller's own thread.
 */
#ifndef TANDEM_MIGRATE_H
#define TANDEM_MIGRATE_H

#include <linux/migrate.h>

#include "tandem_as.h"
#include "tandem_copy.h"

/*
 * One migration of at most 2 MiB, from the first look at the pages to the trace. Filled by the
 * function that moves, used up by tandem_migration_report().
 */
struct tandem_migration {
	struct tandem_device *tdev;   /* the GPU whose VRAM pages go to or come from */
	struct tandem_as *as;         /* whose pages, or NULL if nobody can say */
	enum tandem_migrate_cause cause;
	u64 start, end;               /* VA, or VRAM offset without an address space */
	u64 want_start, want_end;     /* in it: what is to be there even if it was never touched */
	ktime_t began;
	unsigned int count;
	u64 moved, failed;            /* pages */
	u64 huge;                     /* of 2 MiB that moved as one */
	bool poisoned;
	bool writable;                /* the VMA is */
	bool short_of_memory;
	bool short_of_huge;           /* a huge page could not be had: worth trying in small ones */
	struct tandem_copy copy;
	unsigned long *src, *dst;
	unsigned long pfns[];
};

struct tandem_migration *tandem_migration_begin(struct tandem_device *tdev, struct tandem_as *as,
						u64 start, u64 end,
						enum tandem_migrate_cause cause);
void tandem_migration_end(struct tandem_migration *m, bool to_vram);
void tandem_migration_copy(struct tandem_migration *m);
void tandem_migration_count(struct tandem_migration *m);
bool tandem_migration_is_denied(struct tandem_migration *m, unsigned int pages);

/* What one call moved, in pages of 4 KiB. */
struct tandem_moved {
	u64 moved;
	u64 failed;
	u64 huge; /* home: of 512 of these, as one */
};

/* tandem_migrate.c */
int tandem_migrate_to_vram(struct tandem_as *as, u64 start, u64 end, u64 want_start, u64 want_end,
			   enum tandem_migrate_cause cause, struct tandem_moved *moved);

/* tandem_home.c */
int tandem_migrate_home(struct tandem_as *as, struct tandem_device *tdev, u64 start, u64 end,
			enum tandem_migrate_cause cause, struct tandem_moved *moved);
int tandem_migrate_home_block(struct tandem_vram *vram, u64 index, const unsigned long *busy,
			      enum tandem_migrate_cause cause, struct tandem_moved *moved);
vm_fault_t tandem_migrate_cpu_fault(struct vm_fault *vmf);

#endif
