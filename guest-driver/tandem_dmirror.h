/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nodes hmm_dmirrorN, on which Linux's hmm-tests run (docs/hmm-tests.md). An open file is an
 * address space like any other, bound to the memory of the process that opened it; it has no
 * queues. Whoever calls has entered it: current->mm is its memory.
 */
#ifndef TANDEM_DMIRROR_H
#define TANDEM_DMIRROR_H

#include "tandem_as.h"
#include "tandem_dmirror_uapi.h"

/* tandem_dmirror.c */
int tandem_dmirror_add(struct tandem_device *tdev);
void tandem_dmirror_remove(struct tandem_device *tdev);

/* tandem_dmirror_access.c */
int tandem_dmirror_read(struct tandem_as *as, struct tandem_dmirror_request *args, bool keeps_lock);
int tandem_dmirror_write(struct tandem_as *as, struct tandem_dmirror_request *args);
int tandem_dmirror_read_mapped(struct tandem_as *as, struct tandem_dmirror_request *args);
int tandem_dmirror_exclusive(struct tandem_as *as, struct tandem_dmirror_request *args);
int tandem_dmirror_check_exclusive(struct tandem_as *as, const struct tandem_dmirror_request *args);

/* tandem_dmirror_round.c */
int tandem_dmirror_round(struct tandem_as *as, u64 start, u64 end, struct tandem_mirror_wish wish);

/* tandem_dmirror_move.c */
int tandem_dmirror_to_dev(struct tandem_as *as, struct tandem_dmirror_request *args);
int tandem_dmirror_to_sys(struct tandem_as *as, struct tandem_dmirror_request *args);

/* tandem_dmirror_snapshot.c */
int tandem_dmirror_snapshot(struct tandem_as *as, struct tandem_dmirror_request *args);

#endif
