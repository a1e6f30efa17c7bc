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
#include "tandem_as.h"
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
	if (!queue_work(tandem_wq, &as->service))
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
