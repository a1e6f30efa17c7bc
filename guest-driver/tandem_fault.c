// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fault producer: fetches records from the fault buffer and hands each to its address space, whose
 * own work item services it (tandem_service.c), so that a process whose memory is slow
 * (userfaultfd, swap) holds up nobody else.
 *
 * Records of an address space that is no more are dropped. They cannot be taken for those of a
 * successor: a PASID is given away only after UNBIND completed and the buffer was drained
 * (tandem_as_teardown).
 */
#include <linux/delay.h>

#include "tandem_as.h"
#include "tandem_mutate.h"
#include "tandem_trace.h"

static void tandem_fault_push(struct tandem_fault_inbox *inbox,
			      const struct tandem_fault_record *record)
{
	spin_lock(&inbox->lock);
	if (inbox->count < TANDEM_FAULTS_PENDING)
		inbox->pending[inbox->count++] = (struct tandem_fault) {
			.va = record->va,
			.pc = record->pc,
			.queue = record->queue,
			.access = record->access,
			.reason = record->reason,
			.resident_only = record->flags & TANDEM_FAULT_RESIDENT_ONLY,
		};
	spin_unlock(&inbox->lock);
}

static void tandem_fault_route(struct tandem_device *tdev, const struct tandem_fault_record *record)
{
	struct tandem_as *as = tandem_as_by_pasid(tdev, record->pasid);

	trace_tandem_fault(record->pasid, record->queue, record->va, record->access, record->reason,
			   record->id);
	atomic64_inc(&tdev->stats.fault_records);
	if (!as) {
		atomic64_inc(&tdev->stats.fault_records_stale);
		return;
	}
	tandem_fault_push(as->faults, record);
	/* The work item keeps the reference until it has run. */
	if (!queue_work(tandem_wq, &as->service) || tandem_mutated(MUTANT_SERVICE_NOT_HELD))
		tandem_as_put(as);
}

/*
 * Fetches every record that was in the buffer when this was called. Interrupt or process context.
 */
void tandem_fault_drain(struct tandem_device *tdev)
{
	struct tandem_report_ring *ring = &tdev->fault;
	const struct tandem_fault_record *entries = ring->entries;
	unsigned long flags;
	u32 put;

	spin_lock_irqsave(&ring->lock, flags);
	if (READ_ONCE(tdev->hw) != TANDEM_HW_UP)
		goto out;
	/* Pairs with the device's release of PUT: the records are there. */
	put = smp_load_acquire(ring->put);
	if (put == ring->get)
		goto out;
	for (; ring->get != put; ring->get++) {
		struct tandem_fault_record record = entries[ring->get % TANDEM_RING_ENTRIES];

		tandem_fault_route(tdev, &record);
	}
	tandem_write32(tdev, ring->reg_get, ring->get);
out:
	spin_unlock_irqrestore(&ring->lock, flags);
}

/* ---- on request ---- */

static unsigned int tandem_inbox_forget(struct tandem_fault_inbox *inbox)
{
	unsigned int count;

	spin_lock_irq(&inbox->lock);
	count = inbox->count;
	inbox->count = 0;
	spin_unlock_irq(&inbox->lock);
	return count;
}

/* Forgets the records in the buffer; returns how many. */
static unsigned int tandem_fault_forget(struct tandem_device *tdev)
{
	struct tandem_report_ring *ring = &tdev->fault;
	unsigned int count = 0;
	unsigned long flags;

	spin_lock_irqsave(&ring->lock, flags);
	if (READ_ONCE(tdev->hw) == TANDEM_HW_UP) {
		/* Pairs with the device's release of PUT, as in tandem_fault_drain(). */
		u32 put = smp_load_acquire(ring->put);

		count = put - ring->get;
		ring->get = put;
		tandem_write32(tdev, ring->reg_get, put);
	}
	spin_unlock_irqrestore(&ring->lock, flags);
	return count;
}

/* Of one address space; what waits is recorded anew. */
static void tandem_fault_try_again(struct tandem_as *as)
{
	struct tandem_command note = {
		.type = TANDEM_COMMAND_NOTE,
		.pasid = as->pasid,
		.u.note.cause = TANDEM_CAUSE_TEST,
	};
	struct tandem_command replay = {
		.type = TANDEM_COMMAND_REPLAY,
		.pasid = as->pasid,
	};

	tandem_as_post(as, &note);
	tandem_as_post(as, &replay);
}

/*
 * Forgets every fault that nobody serves yet, and has the device try all accesses again that wait:
 * those that still find nothing are recorded anew. So nothing is lost. For tests.
 */
void tandem_fault_flush(struct tandem_device *tdev)
{
	unsigned int count = tandem_fault_forget(tdev);
	struct tandem_as *as;

	mutex_lock(&tdev->spaces_lock);
	list_for_each_entry(as, &tdev->spaces, node) {
		count += tandem_inbox_forget(as->faults);
		if (as->translation == TANDEM_TRANSLATION_MIRROR)
			tandem_fault_try_again(as);
	}
	mutex_unlock(&tdev->spaces_lock);
	atomic64_add(count, &tdev->stats.fault_records_flushed);
}

/* Does any fault that the device has reported, or has no room to report, wait for its service? */
static bool tandem_fault_waits(struct tandem_device *tdev)
{
	struct tandem_as *as;
	bool waits = false;

	down_read(&tdev->mmio_lock);
	if (!tandem_device_is_gone(tdev))
		waits = tandem_read32(tdev, TANDEM_REG_STATUS) & TANDEM_STATUS_FAULT_OVERFLOW;
	up_read(&tdev->mmio_lock);
	tandem_fault_drain(tdev);
	mutex_lock(&tdev->spaces_lock);
	list_for_each_entry(as, &tdev->spaces, node)
		waits |= READ_ONCE(as->faults->count) || work_busy(&as->service);
	mutex_unlock(&tdev->spaces_lock);
	return waits;
}

/* Waits until no fault waits. -ETIMEDOUT; -EINTR. */
int tandem_fault_settle(struct tandem_device *tdev, unsigned int timeout_ms)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(timeout_ms);

	while (tandem_fault_waits(tdev)) {
		if (time_after(jiffies, deadline))
			return -ETIMEDOUT;
		if (msleep_interruptible(1))
			return -EINTR;
	}
	return 0;
}
