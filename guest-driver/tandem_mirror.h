/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chunks of a process's memory: what the notifier (tandem_mirror.c) and the fault (tandem_window.c)
 * have in common. tandem_as.h has what the rest of the driver calls.
 */
#ifndef TANDEM_MIRROR_H
#define TANDEM_MIRROR_H

#include <linux/mmu_notifier.h>
#include <linux/mutex.h>

#include "tandem_as.h"

struct tandem_chunk {
	struct mmu_interval_notifier notifier;
	struct tandem_as *as;
	u64 start;
	struct mutex lock; /* the entries of its range, and what follows */
	u64 pages;         /* mapped in the chunk */
	/* Of the invalidation sent last: whoever finds nothing mapped still waits for it. */
	struct tandem_fence fence;
};

struct tandem_chunk *tandem_chunk_find(struct tandem_as *as, u64 va);
struct tandem_chunk *tandem_chunk_get(struct tandem_as *as, u64 va);

#endif
