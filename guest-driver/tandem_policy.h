/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where pages of an address space should be: what the process wished for, and what experience says
 * against it (docs/device-memory.md, "Who decides").
 */
#ifndef TANDEM_POLICY_H
#define TANDEM_POLICY_H

#include <linux/maple_tree.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "tandem_uapi.h"

struct tandem_as;

struct tandem_wish {
	enum tandem_location preferred;
	u32 flags;       /* TANDEM_RANGE_* */
	u32 granularity; /* log2 of bytes, 0: none wished */
};

struct tandem_policy {
	bool migrate;               /* TANDEM_INIT_MIGRATE; set once, before the first fault */
	struct mutex lock;          /* wishes; held over allocation, no lock below it */
	struct maple_tree wishes;   /* by page number; absent: no wish */
	spinlock_t trips_lock;
	struct xarray trips;        /* struct tandem_trip, by number of the 2 MiB block */
};

extern unsigned int tandem_thrash_limit;
extern unsigned int tandem_thrash_ms;
extern unsigned int tandem_thrash_pin_ms;

void tandem_policy_init(struct tandem_policy *policy);
void tandem_policy_fini(struct tandem_policy *policy);
int tandem_policy_set(struct tandem_policy *policy, const struct tandem_ioc_range *args);
void tandem_policy_get(struct tandem_policy *policy, struct tandem_ioc_range *args);
struct tandem_wish tandem_policy_wish(struct tandem_policy *policy, u64 va);
bool tandem_policy_wants_vram(struct tandem_as *as, u64 va, enum tandem_access access);
bool tandem_policy_is_read_mostly(struct tandem_as *as, u64 va);
bool tandem_policy_granule(struct tandem_policy *policy, u64 va, u64 *start, u64 *end);
void tandem_policy_went(struct tandem_as *as, u64 va);
void tandem_policy_came_back(struct tandem_as *as, u64 va);

#endif
