// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Invalidation frontend: reserve, send, wait. The contract stands in hw-model/abi/tandem_ring.h:
 * once the acknowledgement is there (or the device was reset) no access uses an old translation of
 * the range.
 */
#include <linux/ktime.h>

#include "tandem_as.h"
#include "tandem_mutate.h"
#include "tandem_trace.h"

bool tandem_invalidate_reserve(struct tandem_device *tdev, enum tandem_wait_mode mode)
{
	return tandem_ring_reserve(&tdev->invalidate, mode);
}

void tandem_invalidate_unreserve(struct tandem_device *tdev)
{
	tandem_ring_unreserve(&tdev->invalidate);
}

static void tandem_invalidate_count(struct tandem_as *as, u16 cause)
{
	atomic64_inc(&as->stats.invalidations);
	atomic64_inc(&as->tdev->stats.invalidations);
	atomic64_inc(&as->stats.cause[min_t(unsigned int, cause, TANDEM_STATS_CAUSES - 1)]);
}

/*
 * Uses the reserved slot. The caller fills range, cause and the notifier's range; the page table
 * entries are cleared already. An address space that is quiet on the device has no translations:
 * its fence is reached.
 */
struct tandem_fence tandem_invalidate_send(struct tandem_as *as, struct tandem_invalidate *entry,
					   enum tandem_wait_mode mode)
{
	struct tandem_fence fence;

	if (tandem_mutated(MUTANT_FLUSH_LATE))
		tandem_mutant_flush_later(as, entry);
	if (READ_ONCE(as->quiet) || tandem_mutated(MUTANT_FLUSH_FORGOTTEN) ||
	    tandem_mutated(MUTANT_FLUSH_LATE)) {
		tandem_invalidate_unreserve(as->tdev);
		return (struct tandem_fence){ .epoch = as->epoch };
	}
	entry->pasid = tandem_mutated(MUTANT_FLUSH_OTHER_SPACE) ? as->pasid + 1 : as->pasid;
	entry->tgid = task_tgid_nr(current);
	entry->flags |= mode == TANDEM_MAY_SLEEP ? TANDEM_INVALIDATE_INTERRUPT :
						   TANDEM_INVALIDATE_NOWAIT;
	fence = tandem_ring_submit(&as->tdev->invalidate, entry, as->epoch);
	if (fence.seqno) {
		tandem_invalidate_count(as, entry->cause);
		trace_tandem_invalidate(as->pasid, fence.seqno, entry->start, entry->end,
					entry->cause, entry->notify_start, entry->notify_end, mode);
	}
	return fence;
}

/* False: the caller must not sleep, and the acknowledgement was not there in time. */
bool tandem_invalidate_wait(struct tandem_as *as, struct tandem_fence fence,
			    enum tandem_wait_mode mode)
{
	u64 begin;
	bool reached;

	if (tandem_fence_reached(&as->tdev->invalidate, fence) ||
	    tandem_mutated(MUTANT_FLUSH_NOT_AWAITED))
		return true;
	begin = ktime_get_ns();
	reached = tandem_ring_wait(&as->tdev->invalidate, fence, mode);
	begin = ktime_get_ns() - begin;
	atomic64_add(begin, &as->stats.invalidate_wait_ns);
	trace_tandem_fence(as->pasid, fence.seqno, begin, reached);
	return reached;
}

/*
 * Drops the device's translations of the range though nothing has changed, or all of the address
 * space's if the range is everything: the next access finds the same ones again. For tests.
 */
void tandem_invalidate_good(struct tandem_as *as, u64 start, u64 end)
{
	struct tandem_invalidate entry = {
		.start = start,
		.end = end,
		.cause = TANDEM_CAUSE_TEST,
		.flags = start == 0 && end == TANDEM_VA_LIMIT ? TANDEM_INVALIDATE_ALL : 0,
	};

	tandem_invalidate_reserve(as->tdev, TANDEM_MAY_SLEEP);
	tandem_invalidate_wait(as, tandem_invalidate_send(as, &entry, TANDEM_MAY_SLEEP),
			       TANDEM_MAY_SLEEP);
}
