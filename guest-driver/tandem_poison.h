/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages of VRAM whose contents are lost. */
#ifndef TANDEM_POISON_H
#define TANDEM_POISON_H

#include "tandem_vram.h"

enum tandem_poison_word {
	TANDEM_POISON_TELL = 1, /* SIGBUS, BUS_MCEERR_AO */
	TANDEM_POISON_KILL,
};

void tandem_poison_report(struct tandem_device *tdev, u64 offset);
int tandem_poison_failure(struct dev_pagemap *pagemap, unsigned long pfn, unsigned long pages,
			  int flags);
void tandem_poison_evict(struct tandem_vram *vram, enum tandem_poison_word word);
int tandem_poison_why(struct mm_struct *mm, u64 va);

#endif
