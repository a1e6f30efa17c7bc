// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who decides where a page should be when the GPU faults on it: the wish for its range, the wish
 * for the whole address space, and the thrash detector, which sees to it that a block that both
 * sides use does not travel to and fro for ever.
 */
#include <linux/jiffies.h>
#include <linux/slab.h>

#include "tandem_as.h"

unsigned int tandem_thrash_limit = 3;
unsigned int tandem_thrash_ms = 1000;
unsigned int tandem_thrash_pin_ms = 500;

/* ---- wishes ---- */

static_assert(TANDEM_LOCATION_DEVICE < 4 && TANDEM_RANGE_COUNTED < 64);

static void *tandem_wish_pack(struct tandem_wish wish)
{
	unsigned long value = wish.preferred | (unsigned long)wish.flags << 2 |
			      (unsigned long)wish.granularity << 8;

	return value ? xa_mk_value(value) : NULL;
}

static struct tandem_wish tandem_wish_unpack(void *entry)
{
	unsigned long value = entry ? xa_to_value(entry) : 0;

	return (struct tandem_wish){
		.preferred = value & 3,
		.flags = value >> 2 & 0x3f,
		.granularity = value >> 8,
	};
}

struct tandem_wish tandem_policy_wish(struct tandem_policy *policy, u64 va)
{
	void *entry;

	mutex_lock(&policy->lock);
	entry = mtree_load(&policy->wishes, va >> PAGE_SHIFT);
	mutex_unlock(&policy->lock);
	return tandem_wish_unpack(entry);
}

/* lock held: what holds at this page, and up to which one (at most last) it holds. */
static struct tandem_wish tandem_policy_walk(struct tandem_policy *policy, unsigned long page,
					     unsigned long *last)
{
	MA_STATE(mas, &policy->wishes, page, page);
	void *entry;

	mas_lock(&mas);
	entry = mas_walk(&mas);
	*last = min(*last, mas.last);
	mas_unlock(&mas);
	return tandem_wish_unpack(entry);
}

/* Checked by the caller. -ENOMEM: the first part of the range has the new wish, perhaps. */
int tandem_policy_set(struct tandem_policy *policy, const struct tandem_ioc_range *args)
{
	unsigned long page = args->start >> PAGE_SHIFT;
	unsigned long end = (args->start + args->length - 1) >> PAGE_SHIFT;
	int ret = 0;

	mutex_lock(&policy->lock);
	while (!ret && page <= end) {
		unsigned long last = end;
		struct tandem_wish wish = tandem_policy_walk(policy, page, &last);

		if (args->fields & TANDEM_RANGE_PREFERRED)
			wish.preferred = args->preferred;
		if (args->fields & TANDEM_RANGE_FLAGS)
			wish.flags = args->flags;
		if (args->fields & TANDEM_RANGE_GRANULARITY)
			wish.granularity = args->granularity;
		ret = mtree_store_range(&policy->wishes, page, last, tandem_wish_pack(wish),
					GFP_KERNEL_ACCOUNT);
		page = last + 1;
	}
	mutex_unlock(&policy->lock);
	return ret;
}

/* Neighbours that wish the same may be entries of their own: here they are one range. */
void tandem_policy_get(struct tandem_policy *policy, struct tandem_ioc_range *args)
{
	unsigned long page = args->start >> PAGE_SHIFT;
	unsigned long limit = (TANDEM_VA_LIMIT >> PAGE_SHIFT) - 1;
	unsigned long first, last;
	struct tandem_wish wish;
	void *entry;

	MA_STATE(mas, &policy->wishes, page, page);

	mutex_lock(&policy->lock);
	mas_lock(&mas);
	entry = mas_walk(&mas);
	first = mas.index;
	last = mas.last;
	while (last < limit && mas_next_range(&mas, limit) == entry && mas.index == last + 1)
		last = mas.last;
	mas_set(&mas, first);
	mas_walk(&mas);
	while (first && mas_prev_range(&mas, 0) == entry && mas.last == first - 1)
		first = mas.index;
	mas_unlock(&mas);
	mutex_unlock(&policy->lock);

	wish = tandem_wish_unpack(entry);
	last = min(last, limit);
	args->start = (u64)first << PAGE_SHIFT;
	args->length = (u64)(last - first + 1) << PAGE_SHIFT;
	args->preferred = wish.preferred;
	args->flags = wish.flags;
	args->granularity = wish.granularity;
}

/*
 * What one fault at this address should move, if the process has said so: the part of it that has
 * the same wishes. False: it has not.
 */
bool tandem_policy_granule(struct tandem_policy *policy, u64 va, u64 *start, u64 *end)
{
	struct tandem_ioc_range same = { .start = round_down(va, PAGE_SIZE) };

	tandem_policy_get(policy, &same);
	if (!same.granularity)
		return false;
	*start = max(round_down(va, BIT_ULL(same.granularity)), same.start);
	*end = min(round_down(va, BIT_ULL(same.granularity)) + BIT_ULL(same.granularity),
		   same.start + same.length);
	return true;
}

/* ---- trips: blocks that travel ---- */

/* trips_lock. */
struct tandem_trip {
	bool away;                  /* moved to VRAM, and no CPU fault has brought any of it back */
	unsigned int returns;       /* in the time that began at `since` */
	unsigned long since;        /* jiffies */
	unsigned long pinned_until; /* jiffies; meaningful if pinned */
	bool pinned;
};

static unsigned long tandem_trip_index(u64 va)
{
	return va >> TANDEM_LEAF_2M;
}

static struct tandem_trip *tandem_trip_make(struct tandem_policy *policy, u64 va)
{
	struct tandem_trip *trip = xa_load(&policy->trips, tandem_trip_index(va)), *old;

	if (trip)
		return trip;
	trip = kzalloc_obj(*trip, GFP_KERNEL_ACCOUNT);
	if (!trip)
		return NULL;
	old = xa_cmpxchg(&policy->trips, tandem_trip_index(va), NULL, trip, GFP_KERNEL_ACCOUNT);
	if (!old)
		return trip;
	kfree(trip);
	return xa_is_err(old) ? NULL : old;
}

/* A GPU fault or an access counter moved something of the block to VRAM. No lock held. */
void tandem_policy_went(struct tandem_as *as, u64 va)
{
	struct tandem_trip *trip = tandem_trip_make(&as->policy, va);

	/* Without memory for it the block is not watched this time. */
	if (!trip)
		return;
	spin_lock(&as->policy.trips_lock);
	trip->away = true;
	spin_unlock(&as->policy.trips_lock);
}

/* A CPU fault brought something of the block home. */
void tandem_policy_came_back(struct tandem_as *as, u64 va)
{
	struct tandem_trip *trip = xa_load(&as->policy.trips, tandem_trip_index(va));

	if (!trip)
		return;
	spin_lock(&as->policy.trips_lock);
	if (trip->away) {
		trip->away = false;
		if (!trip->returns ||
		    time_after(jiffies, trip->since + msecs_to_jiffies(tandem_thrash_ms))) {
			trip->since = jiffies;
			trip->returns = 0;
		}
		if (++trip->returns >= tandem_thrash_limit && tandem_thrash_limit) {
			trip->returns = 0;
			trip->pinned = true;
			trip->pinned_until = jiffies + msecs_to_jiffies(tandem_thrash_pin_ms);
			atomic64_inc(&as->stats.thrash_pins);
		}
	}
	spin_unlock(&as->policy.trips_lock);
}

static bool tandem_policy_is_pinned(struct tandem_policy *policy, u64 va)
{
	struct tandem_trip *trip = xa_load(&policy->trips, tandem_trip_index(va));
	bool pinned;

	if (!trip)
		return false;
	spin_lock(&policy->trips_lock);
	if (trip->pinned && time_after(jiffies, trip->pinned_until))
		trip->pinned = false;
	pinned = trip->pinned;
	spin_unlock(&policy->trips_lock);
	return pinned;
}

/* ---- the decision ---- */

bool tandem_policy_is_read_mostly(struct tandem_as *as, u64 va)
{
	return tandem_policy_wish(&as->policy, va).flags & TANDEM_RANGE_READ_MOSTLY;
}

/* Should a GPU fault of this kind move what is there to VRAM? */
bool tandem_policy_wants_vram(struct tandem_as *as, u64 va, enum tandem_access access)
{
	struct tandem_wish wish;
	bool writes = access == TANDEM_ACCESS_WRITE || access == TANDEM_ACCESS_ATOMIC;

	if (!tandem_vram_is_there(&as->tdev->vram))
		return false;
	wish = tandem_policy_wish(&as->policy, va);
	if (wish.preferred == TANDEM_LOCATION_SYSTEM || wish.flags & TANDEM_RANGE_ACCESSED_BY)
		return false;
	if (wish.flags & TANDEM_RANGE_READ_MOSTLY && !writes)
		return false;
	if (wish.preferred == TANDEM_LOCATION_NONE && !as->policy.migrate)
		return false;
	return !tandem_policy_is_pinned(&as->policy, va);
}

/* ---- life ---- */

void tandem_policy_init(struct tandem_policy *policy)
{
	mutex_init(&policy->lock);
	mt_init(&policy->wishes);
	spin_lock_init(&policy->trips_lock);
	xa_init(&policy->trips);
}

void tandem_policy_fini(struct tandem_policy *policy)
{
	struct tandem_trip *trip;
	unsigned long index;

	xa_for_each(&policy->trips, index, trip)
		kfree(trip);
	xa_destroy(&policy->trips);
	mtree_destroy(&policy->wishes);
}
