// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Access counters: the hardware says which regions beyond VRAM the GPU reaches most, and those
 * whose range asks for it (TANDEM_RANGE_COUNTED) move to VRAM, whatever the fault did with them.
 *
 * A report comes once until ACCESS_CLEAR. A region that nobody wants moved is never cleared, so it
 * costs one event; what finds no room in the list is cleared, and reported again if it stays hot.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "tandem_look.h"
#include "tandem_migrate.h"

/* A report of the device. Interrupt or process context, inside the event ring's lock. */
void tandem_hot_report(struct tandem_device *tdev, const struct tandem_event *event)
{
	struct tandem_as *as = tandem_as_by_pasid(tdev, event->pasid);
	unsigned long flags;

	if (!as)
		return;
	/* Counted because some other address space asked for it. */
	if (!tandem_as_moves_pages(as)) {
		tandem_as_put(as);
		return;
	}
	spin_lock_irqsave(&as->hot.lock, flags);
	if (as->hot.count < TANDEM_HOT_REGIONS)
		as->hot.regions[as->hot.count++] = event->value;
	else
		as->hot.overflow = true;
	spin_unlock_irqrestore(&as->hot.lock, flags);
	/* The work item keeps the reference until it has run. */
	if (!queue_work(tandem_wq, &as->hot.work))
		tandem_as_put(as);
}

static void tandem_hot_clear(struct tandem_as *as, u64 start, u64 end)
{
	struct tandem_command command = {
		.type = TANDEM_COMMAND_ACCESS_CLEAR,
		.pasid = as->pasid,
		.u.access = { .start = start, .end = end },
	};

	tandem_as_post(as, &command);
}

/* A region that is part of a huge page moves with all of that: else the page would be split. */
static void tandem_hot_move(struct tandem_as *as, struct tandem_look *look, u64 region)
{
	u64 start = region, end = region + TANDEM_ACCESS_REGION;
	struct tandem_moved moved = { 0 };

	if (tandem_look(look, as->tdev, as->mm, start, end))
		return;
	if (look->pages[0] & TANDEM_PAGE_HUGE) {
		start = round_down(region, 1ULL << TANDEM_LEAF_2M);
		end = start + (1ULL << TANDEM_LEAF_2M);
	}
	/* Nothing that is not there yet: it cannot be hot. */
	if (tandem_migrate_to_vram(as, start, end, region, region, TANDEM_MIGRATE_ACCESS, &moved))
		return;
	if (!tandem_look(look, as->tdev, as->mm, start, end))
		tandem_look_map(as, look, start, (end - start) >> PAGE_SHIFT, TANDEM_PAGE_DEVICE);
}

static bool tandem_hot_is_wanted(struct tandem_as *as, u64 region)
{
	return region < TANDEM_VA_LIMIT && IS_ALIGNED(region, TANDEM_ACCESS_REGION) &&
	       tandem_policy_wish(&as->policy, region).flags & TANDEM_RANGE_COUNTED;
}

static void tandem_hot_serve(struct tandem_as *as, const u64 *regions, unsigned int count)
{
	struct tandem_look *look = tandem_look_alloc();
	unsigned int i;

	for (i = 0; look && i < count; i++) {
		if (!tandem_hot_is_wanted(as, regions[i]))
			continue;
		tandem_hot_move(as, look, regions[i]);
		tandem_hot_clear(as, regions[i], regions[i] + TANDEM_ACCESS_REGION);
		cond_resched();
	}
	kvfree(look);
}

void tandem_hot_work(struct work_struct *work)
{
	struct tandem_as *as = container_of(work, struct tandem_as, hot.work);
	u64 regions[TANDEM_HOT_REGIONS];
	unsigned int count;
	bool overflow;

	spin_lock_irq(&as->hot.lock);
	count = as->hot.count;
	overflow = as->hot.overflow;
	memcpy(regions, as->hot.regions, count * sizeof(*regions));
	as->hot.count = 0;
	as->hot.overflow = false;
	spin_unlock_irq(&as->hot.lock);
	if (READ_ONCE(as->state) == TANDEM_AS_ACTIVE && mmget_not_zero(as->mm)) {
		tandem_hot_serve(as, regions, count);
		if (overflow)
			tandem_hot_clear(as, 0, TANDEM_VA_LIMIT);
		/* The last one runs our own release: not here. */
		mmput_async(as->mm);
	}
	tandem_as_put(as);
}
