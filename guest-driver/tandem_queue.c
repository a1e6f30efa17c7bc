// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * User-mode queues: made and destroyed by kernel commands; their errors come as events. Queue
 * numbers are given out in turn, so that an event about a queue that was destroyed meanwhile finds
 * nobody.
 */
#include <linux/dma-mapping.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "tandem_queue.h"
#include "tandem_trace.h"

/* Address and size lie in what both the process and the device can address. */
static bool tandem_range_is_user(u64 address, u64 bytes, u64 align)
{
	u64 end;

	return address && IS_ALIGNED(address, align) && !check_add_overflow(address, bytes, &end) &&
	       end <= min_t(u64, TASK_SIZE_MAX, TANDEM_VA_LIMIT);
}

static int tandem_queue_check(const struct tandem_ioc_queue_create *args)
{
	u64 scratch;

	if (args->flags & ~TANDEM_QUEUE_RESIDENT_ONLY)
		return -EINVAL;
	if (args->reserved0 || args->reserved[0] || args->reserved[1])
		return -EINVAL;
	if (args->ring_order < TANDEM_RING_ORDER_MIN || args->ring_order > TANDEM_RING_ORDER_MAX)
		return -EINVAL;
	if (!tandem_range_is_user(args->ring, (u64)TANDEM_PACKET_BYTES << args->ring_order,
				  TANDEM_PACKET_BYTES))
		return -EINVAL;
	if (!tandem_range_is_user(args->indices, sizeof(struct tandem_queue_indices), 64))
		return -EINVAL;
	if (args->scratch_lane_bytes < 256 || !IS_ALIGNED(args->scratch_lane_bytes, 16) ||
	    args->scratch_waves < 32)
		return -EINVAL;
	if (check_mul_overflow((u64)args->scratch_lane_bytes * TANDEM_WAVE_LANES,
			       (u64)args->scratch_waves, &scratch))
		return -EINVAL;
	return tandem_range_is_user(args->scratch, scratch, 16) ? 0 : -EINVAL;
}

/* Takes the next free number after the one given out last. */
static int tandem_queue_number(struct tandem_device *tdev, struct tandem_queue *queue)
{
	u32 limit = tdev->config.max_queues, id;

	spin_lock_irq(&tdev->queue_lock);
	id = find_next_zero_bit(tdev->queue_map, limit, tdev->last_queue + 1);
	if (id >= limit)
		id = find_first_zero_bit(tdev->queue_map, limit);
	if (id < limit) {
		__set_bit(id, tdev->queue_map);
		tdev->queues[id] = queue;
		tdev->last_queue = id;
		queue->id = id;
	}
	spin_unlock_irq(&tdev->queue_lock);
	return id < limit ? 0 : -ENOSPC;
}

static void tandem_queue_release_number(struct tandem_device *tdev, struct tandem_queue *queue)
{
	spin_lock_irq(&tdev->queue_lock);
	__clear_bit(queue->id, tdev->queue_map);
	tdev->queues[queue->id] = NULL;
	spin_unlock_irq(&tdev->queue_lock);
}

/* The one place where a queue's state changes. queue_lock held. */
static void tandem_queue_enter(struct tandem_queue *queue, enum tandem_queue_state state,
			       enum tandem_queue_error error)
{
	lockdep_assert_held(&queue->as->tdev->queue_lock);
	queue->state = state;
	queue->error = error;
	trace_tandem_queue(queue->as->pasid, queue->id, state, error, queue->va, queue->pc);
}

static void tandem_queue_set_state(struct tandem_queue *queue, enum tandem_queue_state state)
{
	struct tandem_device *tdev = queue->as->tdev;

	spin_lock_irq(&tdev->queue_lock);
	/* An error that was reported stays. */
	if (queue->state != TANDEM_QUEUE_FAULTED || state != TANDEM_QUEUE_ACTIVE)
		tandem_queue_enter(queue, state, queue->error);
	spin_unlock_irq(&tdev->queue_lock);
}

/* A place for each queue: a DMA buffer is page aligned, so to TANDEM_WAVE_REPORT_ALIGN. */
static int tandem_queue_alloc_report(struct tandem_queue *queue)
{
	struct device *dev = queue->as->tdev->dev;

	queue->report = dma_alloc_coherent(dev, sizeof(*queue->report), &queue->report_dma,
					   GFP_KERNEL_ACCOUNT);
	return queue->report ? 0 : -ENOMEM;
}

/* The device writes there no more: the queue is destroyed on it, or was never told. */
static void tandem_queue_free(struct tandem_queue *queue)
{
	struct device *dev = queue->as->tdev->dev;

	if (queue->report)
		dma_free_coherent(dev, sizeof(*queue->report), queue->report,
				  queue->report_dma);
	kfree(queue);
}

/*
 * Without it errors are reported all the same, only with less about them; so what the device says
 * to it does not matter.
 */
static void tandem_queue_submit_report(struct tandem_queue *queue)
{
	struct tandem_as *as = queue->as;
	struct tandem_command command = {
		.type = TANDEM_COMMAND_QUEUE_REPORT,
		.pasid = as->pasid,
		.u.report = { .queue = queue->id, .address = queue->report_dma },
	};

	tandem_command_sync(as->tdev, &command, as->epoch);
}

static int tandem_queue_submit_create(struct tandem_queue *queue,
				      const struct tandem_ioc_queue_create *args)
{
	struct tandem_as *as = queue->as;
	struct tandem_command command = {
		.type = TANDEM_COMMAND_QUEUE_CREATE,
		.flags = args->flags & TANDEM_QUEUE_RESIDENT_ONLY ?
				 TANDEM_COMMAND_RESIDENT_ONLY : 0,
		.pasid = as->pasid,
		.u.queue = {
			.queue = queue->id,
			.doorbell = queue->doorbell,
			.ring = args->ring,
			.indices = args->indices,
			.ring_order = args->ring_order,
			.retry_limit = args->retry_limit,
			.scratch = args->scratch,
			.scratch_lane_bytes = args->scratch_lane_bytes,
			.scratch_waves = args->scratch_waves,
		},
	};

	return tandem_command_sync(as->tdev, &command, as->epoch);
}

/* as->lock held, as is ACTIVE. */
static int tandem_queue_attach(struct tandem_as *as, struct tandem_queue *queue,
			       struct tandem_ioc_queue_create *args)
{
	unsigned int doorbell = find_first_zero_bit(as->doorbell_map, TANDEM_DOORBELLS_PER_PAGE);
	int ret;

	if (doorbell >= TANDEM_DOORBELLS_PER_PAGE || as->queue_count >= tandem_queues_per_file)
		return -ENOSPC;
	ret = tandem_queue_number(as->tdev, queue);
	if (ret)
		return ret;
	queue->doorbell = doorbell;
	tandem_queue_set_state(queue, TANDEM_QUEUE_ACTIVE);
	ret = tandem_queue_submit_create(queue, args);
	if (ret) {
		tandem_queue_release_number(as->tdev, queue);
		return ret;
	}
	tandem_queue_submit_report(queue);
	__set_bit(doorbell, as->doorbell_map);
	list_add_tail(&queue->node, &as->queues);
	as->queue_count++;
	args->queue = queue->id;
	args->doorbell = doorbell;
	return 0;
}

int tandem_queue_create(struct tandem_as *as, struct tandem_ioc_queue_create *args)
{
	struct tandem_queue *queue;
	int ret = tandem_queue_check(args);

	if (ret)
		return ret;
	queue = kzalloc_obj(*queue, GFP_KERNEL_ACCOUNT);
	if (!queue)
		return -ENOMEM;
	queue->as = as;
	ret = tandem_queue_alloc_report(queue);
	if (ret)
		goto free;
	mutex_lock(&as->lock);
	ret = tandem_as_error(as);
	if (!ret)
		ret = tandem_queue_attach(as, queue, args);
	mutex_unlock(&as->lock);
free:
	if (ret)
		tandem_queue_free(queue);
	return ret;
}

static struct tandem_queue *tandem_queue_find(struct tandem_as *as, u32 id)
{
	struct tandem_queue *queue;

	lockdep_assert_held(&as->lock);
	list_for_each_entry(queue, &as->queues, node)
		if (queue->id == id)
			return queue;
	return NULL;
}

static void tandem_queue_detach(struct tandem_as *as, struct tandem_queue *queue)
{
	list_del(&queue->node);
	as->queue_count--;
	__clear_bit(queue->doorbell, as->doorbell_map);
	tandem_queue_release_number(as->tdev, queue);
	tandem_queue_free(queue);
}

/* Also of an address space that was lost: then there is nothing left to stop. */
int tandem_queue_destroy(struct tandem_as *as, u32 id)
{
	struct tandem_command command = {
		.type = TANDEM_COMMAND_QUEUE_DESTROY,
		.pasid = as->pasid,
		.u.queue = { .queue = id },
	};
	struct tandem_queue *queue;
	int ret = 0;

	mutex_lock(&as->lock);
	queue = tandem_queue_find(as, id);
	if (!queue) {
		ret = -ENOENT;
	} else {
		tandem_queue_set_state(queue, TANDEM_QUEUE_DRAINING);
		/*
		 * -EIO: reset meanwhile, so nothing of it runs either. Its events are drained with
		 * the command's completion.
		 */
		tandem_command_sync(as->tdev, &command, as->epoch);
		tandem_queue_set_state(queue, TANDEM_QUEUE_DISABLED);
		tandem_queue_detach(as, queue);
	}
	mutex_unlock(&as->lock);
	return ret;
}

static int tandem_queue_read_status(struct tandem_as *as, struct tandem_ioc_queue_status *args)
{
	struct tandem_device *tdev = as->tdev;
	struct tandem_queue *queue;

	mutex_lock(&as->lock);
	queue = tandem_queue_find(as, args->queue);
	if (queue) {
		spin_lock_irq(&tdev->queue_lock);
		args->state = queue->state;
		args->error = queue->error;
		args->detail = queue->detail;
		args->va = queue->va;
		args->pc = queue->pc;
		spin_unlock_irq(&tdev->queue_lock);
	}
	mutex_unlock(&as->lock);
	return queue ? 0 : -ENOENT;
}

/* What was found out about the failure is what every later question is answered with. */
static void tandem_queue_refine_error(struct tandem_as *as, u32 id, u32 error)
{
	struct tandem_queue *queue;

	mutex_lock(&as->lock);
	queue = tandem_queue_find(as, id);
	if (queue) {
		spin_lock_irq(&as->tdev->queue_lock);
		queue->error = error;
		spin_unlock_irq(&as->tdev->queue_lock);
	}
	mutex_unlock(&as->lock);
}

int tandem_queue_status(struct tandem_as *as, struct tandem_ioc_queue_status *args)
{
	int ret;

	if (args->reserved[0] || args->reserved[1])
		return -EINVAL;
	ret = tandem_queue_read_status(as, args);
	if (ret || args->error != TANDEM_QUEUE_ADDRESS_FAULT ||
	    as->translation != TANDEM_TRANSLATION_SVA)
		return ret;
	/* All that the IOMMU says is no. */
	args->error = tandem_sva_explain(as, args->va, args->detail);
	if (args->error != TANDEM_QUEUE_ADDRESS_FAULT)
		tandem_queue_refine_error(as, args->queue, args->error);
	return 0;
}

/* A copy of what the device wrote, or -ENODATA. as->lock held. */
static struct tandem_wave_report *tandem_queue_copy_report(struct tandem_queue *queue)
{
	struct tandem_device *tdev = queue->as->tdev;
	bool failed;

	/* The error event was seen under this lock, and the report was there before the event. */
	spin_lock_irq(&tdev->queue_lock);
	failed = queue->state == TANDEM_QUEUE_FAULTED;
	spin_unlock_irq(&tdev->queue_lock);
	if (!failed || !queue->report->version)
		return ERR_PTR(-ENODATA);
	return kmemdup(queue->report, sizeof(*queue->report), GFP_KERNEL) ?: ERR_PTR(-ENOMEM);
}

int tandem_queue_read_report(struct tandem_as *as, struct tandem_ioc_queue_report *args)
{
	struct tandem_wave_report *copy = ERR_PTR(-ENOENT);
	struct tandem_queue *queue;
	int ret = 0;

	if (args->reserved[0] || args->reserved[1])
		return -EINVAL;
	mutex_lock(&as->lock);
	queue = tandem_queue_find(as, args->queue);
	if (queue)
		copy = tandem_queue_copy_report(queue);
	mutex_unlock(&as->lock);
	if (IS_ERR(copy))
		return PTR_ERR(copy);
	/* Not under as->lock: the user's memory may fault. */
	args->bytes = min_t(u32, args->bytes, sizeof(*copy));
	if (copy_to_user(u64_to_user_ptr(args->report), copy, args->bytes))
		ret = -EFAULT;
	kfree(copy);
	return ret;
}

/* A queue error event. Interrupt or process context, inside the event ring's lock. */
void tandem_queue_report(struct tandem_device *tdev, const struct tandem_event *event)
{
	struct tandem_queue *queue = NULL;

	spin_lock(&tdev->queue_lock);
	if (event->queue < tdev->config.max_queues)
		queue = tdev->queues[event->queue];
	if (queue && queue->as->pasid == event->pasid && queue->state == TANDEM_QUEUE_ACTIVE) {
		queue->detail = event->detail;
		queue->va = event->value;
		queue->pc = event->pc;
		tandem_queue_enter(queue, TANDEM_QUEUE_FAULTED, event->code);
	}
	spin_unlock(&tdev->queue_lock);
}

/*
 * -EIO if this queue has failed, or any of the address space for ~0; -ENOENT if there is no such
 * queue.
 */
int tandem_queue_failure(struct tandem_as *as, u32 id)
{
	bool failed = false, found = id == ~0u;
	struct tandem_queue *queue;

	mutex_lock(&as->lock);
	spin_lock_irq(&as->tdev->queue_lock);
	list_for_each_entry(queue, &as->queues, node) {
		if (id != ~0u && queue->id != id)
			continue;
		found = true;
		failed |= queue->error != TANDEM_QUEUE_OK;
	}
	spin_unlock_irq(&as->tdev->queue_lock);
	mutex_unlock(&as->lock);
	if (!found)
		return -ENOENT;
	return failed ? -EIO : 0;
}

/* The device was reset: as->lock held. */
void tandem_queues_lose(struct tandem_as *as)
{
	struct tandem_device *tdev = as->tdev;
	struct tandem_queue *queue;

	lockdep_assert_held(&as->lock);
	spin_lock_irq(&tdev->queue_lock);
	list_for_each_entry(queue, &as->queues, node)
		tandem_queue_enter(queue, TANDEM_QUEUE_FAULTED, TANDEM_QUEUE_LOST);
	spin_unlock_irq(&tdev->queue_lock);
}

/* The address space is over on the device; its events are drained. */
void tandem_queues_free(struct tandem_as *as)
{
	struct tandem_queue *queue, *next;

	mutex_lock(&as->lock);
	list_for_each_entry_safe(queue, next, &as->queues, node)
		tandem_queue_detach(as, queue);
	mutex_unlock(&as->lock);
}
