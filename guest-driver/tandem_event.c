// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Event ring: signals that were decremented, queues that failed, commands that could not be carried
 * out.
 */
#include "tandem_as.h"
#include "tandem_poison.h"
#include "tandem_queue.h"

static void tandem_event_signal(struct tandem_device *tdev, const struct tandem_event *event)
{
	struct tandem_as *as;

	rcu_read_lock();
	as = xa_load(&tdev->by_pasid, event->pasid);
	if (as)
		wake_up_all(&as->wait);
	rcu_read_unlock();
}

static void tandem_event_handle(struct tandem_device *tdev, const struct tandem_event *event)
{
	struct tandem_command_failure *failure;

	switch (event->type) {
	case TANDEM_EVENT_SIGNAL:
		tandem_event_signal(tdev, event);
		break;
	case TANDEM_EVENT_QUEUE_ERROR:
		tandem_queue_report(tdev, event);
		tandem_event_signal(tdev, event);
		break;
	case TANDEM_EVENT_COMMAND_ERROR:
		failure = &tdev->failures[event->value % TANDEM_RING_ENTRIES];
		if (failure->seqno)
			atomic64_inc(&tdev->failures_lost);
		failure->seqno = event->value;
		failure->code = event->code;
		dev_dbg(tdev->dev, "command %llu failed with %u\n", event->value, event->code);
		break;
	case TANDEM_EVENT_POISON:
		tandem_poison_report(tdev, event->value);
		break;
	case TANDEM_EVENT_ACCESS_COUNTER:
		tandem_hot_report(tdev, event);
		break;
	case TANDEM_EVENT_CHECK:
		tandem_check_asked(tdev);
		break;
	default:
		dev_warn_ratelimited(tdev->dev, "event of unknown type %u\n", event->type);
	}
}

/* Handles every event that was in the ring when this was called. Interrupt or process context. */
void tandem_event_drain(struct tandem_device *tdev)
{
	struct tandem_report_ring *ring = &tdev->event;
	const struct tandem_event *entries = ring->entries;
	unsigned long flags;
	u32 put;

	spin_lock_irqsave(&ring->lock, flags);
	if (READ_ONCE(tdev->hw) != TANDEM_HW_UP)
		goto out;
	/* Pairs with the device's release of PUT: the entries are there. */
	put = smp_load_acquire(ring->put);
	if (put == ring->get)
		goto out;
	for (; ring->get != put; ring->get++) {
		struct tandem_event event = entries[ring->get % TANDEM_RING_ENTRIES];

		atomic64_inc(&tdev->stats.events);
		tandem_event_handle(tdev, &event);
	}
	tandem_write32(tdev, ring->reg_get, ring->get);
out:
	spin_unlock_irqrestore(&ring->lock, flags);
}

/*
 * The verdict on a command whose completion was seen and after whose completion the ring was
 * drained.
 */
int tandem_event_command_error(struct tandem_device *tdev, u64 seqno)
{
	struct tandem_command_failure *failure = &tdev->failures[seqno % TANDEM_RING_ENTRIES];
	unsigned long flags;
	int code = TANDEM_COMMAND_OK;

	spin_lock_irqsave(&tdev->event.lock, flags);
	if (failure->seqno == seqno) {
		code = failure->code;
		failure->seqno = 0;
	}
	spin_unlock_irqrestore(&tdev->event.lock, flags);
	return code;
}
