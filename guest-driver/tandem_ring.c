// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rings between driver and device: memory, registers, and for the two that the driver produces
 * (commands and invalidations) reserving a slot, submitting, and waiting for the sequence number to
 * come back.
 *
 * A slot is reserved before the caller does anything that it could not take back. A wait that
 * misses its deadline resets the device; after that every fence of the old epoch is reached,
 * because nothing of it is alive.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/ktime.h>

#include "tandem_device.h"

#define TANDEM_ENTRY_BYTES 64

/* Both kinds of entry that the driver produces carry their sequence number at the same place. */
#define TANDEM_ENTRY_SEQNO 8
static_assert(offsetof(struct tandem_command, seqno) == TANDEM_ENTRY_SEQNO);
static_assert(offsetof(struct tandem_invalidate, seqno) == TANDEM_ENTRY_SEQNO);
static_assert(sizeof(struct tandem_command) == TANDEM_ENTRY_BYTES);
static_assert(sizeof(struct tandem_invalidate) == TANDEM_ENTRY_BYTES);

static int tandem_ring_alloc(struct tandem_device *tdev, struct tandem_ring *ring)
{
	ring->dev = tdev;
	init_waitqueue_head(&ring->wait);
	ring->entries = dma_alloc_coherent(tdev->dev, TANDEM_RING_ENTRIES * TANDEM_ENTRY_BYTES,
					   &ring->dma, GFP_KERNEL);
	return ring->entries ? 0 : -ENOMEM;
}

static int tandem_report_alloc(struct tandem_device *tdev, struct tandem_report_ring *ring,
			       size_t entry_bytes)
{
	ring->dev = tdev;
	spin_lock_init(&ring->lock);
	ring->entries = dma_alloc_coherent(tdev->dev, PAGE_ALIGN(TANDEM_RING_ENTRIES * entry_bytes),
					   &ring->dma, GFP_KERNEL);
	return ring->entries ? 0 : -ENOMEM;
}

static void tandem_rings_describe(struct tandem_device *tdev)
{
	tdev->command.reg_base = TANDEM_REG_COMMAND_BASE;
	tdev->command.reg_order = TANDEM_REG_COMMAND_ORDER;
	tdev->command.reg_put = TANDEM_REG_COMMAND_PUT;
	tdev->command.done = &tdev->status->command_done;
	tdev->command.get = &tdev->status->command_get;
	tdev->command.vector = TANDEM_VECTOR_COMMAND;

	tdev->invalidate.reg_base = TANDEM_REG_INVALIDATE_BASE;
	tdev->invalidate.reg_order = TANDEM_REG_INVALIDATE_ORDER;
	tdev->invalidate.reg_put = TANDEM_REG_INVALIDATE_PUT;
	tdev->invalidate.done = &tdev->status->invalidate_done;
	tdev->invalidate.get = &tdev->status->invalidate_get;
	tdev->invalidate.vector = TANDEM_VECTOR_INVALIDATE;

	tdev->fault.reg_base = TANDEM_REG_FAULT_BASE;
	tdev->fault.reg_order = TANDEM_REG_FAULT_ORDER;
	tdev->fault.reg_get = TANDEM_REG_FAULT_GET;
	tdev->fault.put = &tdev->status->fault_put;

	tdev->event.reg_base = TANDEM_REG_EVENT_BASE;
	tdev->event.reg_order = TANDEM_REG_EVENT_ORDER;
	tdev->event.reg_get = TANDEM_REG_EVENT_GET;
	tdev->event.put = &tdev->status->event_put;
}

/* On failure the caller calls tandem_rings_free(), which copes with what is missing. */
int tandem_rings_alloc(struct tandem_device *tdev)
{
	int ret;

	tdev->status = dma_alloc_coherent(tdev->dev, PAGE_SIZE, &tdev->status_dma, GFP_KERNEL);
	if (!tdev->status)
		return -ENOMEM;
	tandem_rings_describe(tdev);
	ret = tandem_ring_alloc(tdev, &tdev->command);
	if (!ret)
		ret = tandem_ring_alloc(tdev, &tdev->invalidate);
	if (!ret)
		ret = tandem_report_alloc(tdev, &tdev->fault, sizeof(struct tandem_fault_record));
	if (!ret)
		ret = tandem_report_alloc(tdev, &tdev->event, sizeof(struct tandem_event));
	return ret;
}

void tandem_rings_free(struct tandem_device *tdev)
{
	size_t bytes = TANDEM_RING_ENTRIES * TANDEM_ENTRY_BYTES;

	if (tdev->event.entries)
		dma_free_coherent(tdev->dev,
				  PAGE_ALIGN(TANDEM_RING_ENTRIES * sizeof(struct tandem_event)),
				  tdev->event.entries, tdev->event.dma);
	if (tdev->fault.entries)
		dma_free_coherent(tdev->dev, bytes, tdev->fault.entries, tdev->fault.dma);
	if (tdev->invalidate.entries)
		dma_free_coherent(tdev->dev, bytes, tdev->invalidate.entries, tdev->invalidate.dma);
	if (tdev->command.entries)
		dma_free_coherent(tdev->dev, bytes, tdev->command.entries, tdev->command.dma);
	if (tdev->status)
		dma_free_coherent(tdev->dev, PAGE_SIZE, tdev->status, tdev->status_dma);
}

static void tandem_report_program(struct tandem_report_ring *ring)
{
	unsigned long flags;

	spin_lock_irqsave(&ring->lock, flags);
	ring->get = 0;
	tandem_write64(ring->dev, ring->reg_base, ring->dma);
	tandem_write32(ring->dev, ring->reg_order, TANDEM_RING_ORDER);
	tandem_write32(ring->dev, ring->reg_get, 0);
	spin_unlock_irqrestore(&ring->lock, flags);
}

static void tandem_ring_program(struct tandem_ring *ring)
{
	lockdep_assert_held(&ring->dev->hw_lock);
	ring->put = 0;
	ring->seqno = 0;
	tandem_write64(ring->dev, ring->reg_base, ring->dma);
	tandem_write32(ring->dev, ring->reg_order, TANDEM_RING_ORDER);
	tandem_write32(ring->dev, ring->reg_put, 0);
}

/*
 * Tells a device that was just reset where everything is. hw_lock held, hw is DOWN: nobody submits,
 * no handler reads.
 */
void tandem_rings_program(struct tandem_device *tdev)
{
	memset(tdev->status, 0, sizeof(*tdev->status));
	tandem_write64(tdev, TANDEM_REG_STATUS_PAGE, tdev->status_dma);
	tandem_ring_program(&tdev->command);
	tandem_ring_program(&tdev->invalidate);
	tandem_report_program(&tdev->fault);
	tandem_report_program(&tdev->event);
}

static bool tandem_ring_try_reserve(struct tandem_ring *ring)
{
	struct tandem_device *tdev = ring->dev;
	bool room = true;

	spin_lock(&tdev->hw_lock);
	if (tdev->hw == TANDEM_HW_UP)
		/* Acquire: a slot that the device gave back may be overwritten. */
		room = ring->put - smp_load_acquire(ring->get) + ring->reserved <
		       TANDEM_RING_ENTRIES;
	if (room)
		ring->reserved++;
	spin_unlock(&tdev->hw_lock);
	return room;
}

/*
 * Promises the caller a slot, which it uses by tandem_ring_submit() or returns by
 * tandem_ring_unreserve(). Always succeeds for who may sleep. Allocates nothing and takes only
 * hw_lock: fit for notifiers.
 */
bool tandem_ring_reserve(struct tandem_ring *ring, enum tandem_wait_mode mode)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(tandem_deadline_ms);
	u32 epoch = tandem_epoch(ring->dev);

	while (!tandem_ring_try_reserve(ring)) {
		if (mode == TANDEM_MUST_NOT_SLEEP)
			return false;
		if (time_after(jiffies, deadline))
			tandem_hw_reset(ring->dev, epoch, "a ring stays full");
		usleep_range(50, 200);
	}
	return true;
}

void tandem_ring_unreserve(struct tandem_ring *ring)
{
	spin_lock(&ring->dev->hw_lock);
	ring->reserved--;
	spin_unlock(&ring->dev->hw_lock);
}

/*
 * Uses a reserved slot. An entry of another epoch than the device's is dropped and its fence is
 * reached: what it was about died in the reset.
 */
struct tandem_fence tandem_ring_submit(struct tandem_ring *ring, void *entry, u32 epoch)
{
	struct tandem_device *tdev = ring->dev;
	struct tandem_fence fence = { .epoch = epoch };

	spin_lock(&tdev->hw_lock);
	ring->reserved--;
	if (tdev->hw == TANDEM_HW_UP && tdev->epoch == epoch) {
		fence.seqno = ++ring->seqno;
		*(u64 *)(entry + TANDEM_ENTRY_SEQNO) = fence.seqno;
		memcpy(ring->entries + (ring->put % TANDEM_RING_ENTRIES) * TANDEM_ENTRY_BYTES,
		       entry, TANDEM_ENTRY_BYTES);
		ring->put++;
		/*
		 * writel() orders the entry, and every page table entry written before, ahead of
		 * PUT.
		 */
		tandem_write32(tdev, ring->reg_put, ring->put);
	}
	spin_unlock(&tdev->hw_lock);
	return fence;
}

bool tandem_fence_reached(struct tandem_ring *ring, struct tandem_fence fence)
{
	/* Acquire: what the device did before it wrote done is seen by who goes on. */
	return smp_load_acquire(ring->done) >= fence.seqno ||
	       tandem_epoch(ring->dev) != fence.epoch;
}

static bool tandem_ring_poll(struct tandem_ring *ring, struct tandem_fence fence, unsigned int us)
{
	u64 end = ktime_get_ns() + us * 1000ULL;

	do {
		if (tandem_fence_reached(ring, fence))
			return true;
		cpu_relax();
	} while (ktime_get_ns() < end);
	return tandem_fence_reached(ring, fence);
}

/*
 * Sleeps in two halves: if the whole machine stood still for longer than the deadline, its clock
 * jumps over the first half only, and the device has the second one.
 */
static void tandem_ring_sleep(struct tandem_ring *ring, struct tandem_fence fence)
{
	unsigned long half = msecs_to_jiffies(tandem_deadline_ms) / 2 + 1;
	bool reached;

	tandem_irq_arm(ring->dev, ring->vector);
	reached = wait_event_timeout(ring->wait, tandem_fence_reached(ring, fence), half) ||
		  wait_event_timeout(ring->wait, tandem_fence_reached(ring, fence), half);
	tandem_irq_disarm(ring->dev, ring->vector);
	if (!reached)
		tandem_hw_reset(ring->dev, fence.epoch,
				ring->vector == TANDEM_VECTOR_INVALIDATE ?
					"an invalidation was not acknowledged in time" :
					"a command did not complete in time");
}

/*
 * Always returns true for who may sleep: the deadline sees to it. Allocates nothing, takes only
 * hw_lock.
 */
bool tandem_ring_wait(struct tandem_ring *ring, struct tandem_fence fence,
		      enum tandem_wait_mode mode)
{
	if (mode == TANDEM_MUST_NOT_SLEEP)
		return tandem_ring_poll(ring, fence, tandem_nonblock_us);
	if (!tandem_ring_poll(ring, fence, tandem_spin_us)) {
		if (ring->vector == TANDEM_VECTOR_INVALIDATE)
			atomic64_inc(&ring->dev->stats.invalidate_sleeps);
		tandem_ring_sleep(ring, fence);
	}
	return true;
}
