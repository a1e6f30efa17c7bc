/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A look at the pages of a process: frames and places as they were at one moment.
 */
#ifndef TANDEM_LOOK_H
#define TANDEM_LOOK_H

#include <linux/mmu_notifier.h>
#include <linux/spinlock.h>

#include "tandem_as.h"

struct tandem_look;

/* What is made of the pages. */
struct tandem_look_view {
	/* Before each look, if there is one; may sleep. No notifier is running for the range. */
	void (*begin)(struct tandem_look *look, u64 start, unsigned int count);
	/* After it, for each page: what goes into pages[]. look->lock held, pfns[] still good. */
	u8 (*page)(struct tandem_look *look, unsigned int i);
};

/* A notifier of its own: it watches only while it looks, and no chunk is made for it. */
struct tandem_look {
	struct mmu_interval_notifier notifier;
	const struct tandem_look_view *view;
	struct tandem_device *tdev;
	spinlock_t lock;
	unsigned long pfns[TANDEM_BLOCK_PAGES];
	u8 pages[TANDEM_BLOCK_PAGES]; /* of tandem_look_alloc(): TANDEM_PAGE_* */
};

/* A place for tandem_look_map(): anywhere. */
#define TANDEM_LOOK_PRESENT 0xff

void tandem_look_init(struct tandem_look *look, const struct tandem_look_view *view);
struct tandem_look *tandem_look_alloc(void);
int tandem_look(struct tandem_look *look, struct tandem_device *tdev, struct mm_struct *mm,
		u64 start, u64 end);
void tandem_look_map(struct tandem_as *as, const struct tandem_look *look, u64 start,
		     unsigned int count, u8 place);

#endif
