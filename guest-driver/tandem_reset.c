// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Starting the device, resetting one that stopped answering, and letting it go.
 *
 * The reset itself is one register write, after which no translation, queue or DMA of the device is
 * alive; it is all that a notifier needs, and all that it does. What it means to processes (address
 * spaces lost, doorbells taken away, waiters woken) and the new start are the recovery's, in a work
 * item. The doorbells go before the device runs again.
 */
#include "tandem_as.h"
#include "tandem_trace.h"

/*
 * hw_lock held. Bumps the epoch only after the device was reset: who sees the new one relies on
 * that.
 */
static void tandem_hw_kill(struct tandem_device *tdev, enum tandem_hw_state next)
{
	lockdep_assert_held(&tdev->hw_lock);
	tandem_write32(tdev, TANDEM_REG_CONTROL, TANDEM_CONTROL_RESET);
	/* The write is posted; the read comes back after it has been carried out. */
	tandem_read32(tdev, TANDEM_REG_CONTROL);
	WRITE_ONCE(tdev->hw, next);
	/* Pairs with tandem_epoch(). */
	smp_store_release(&tdev->epoch, tdev->epoch + 1);
}

static void tandem_hw_wake(struct tandem_device *tdev)
{
	wake_up_all(&tdev->command.wait);
	wake_up_all(&tdev->invalidate.wait);
}

/*
 * Resets the device unless somebody has done so since `epoch`: of many callers whose deadlines pass
 * together one acts. When this returns nothing of that epoch is alive. Process context, may be
 * called in a notifier.
 */
void tandem_hw_reset(struct tandem_device *tdev, u32 epoch, const char *why)
{
	bool mine;

	spin_lock(&tdev->hw_lock);
	mine = tdev->hw == TANDEM_HW_UP && tdev->epoch == epoch;
	if (mine)
		tandem_hw_kill(tdev, TANDEM_HW_DOWN);
	spin_unlock(&tdev->hw_lock);
	if (!mine)
		return;
	atomic64_inc(&tdev->stats.resets);
	trace_tandem_reset(epoch, why);
	dev_err(tdev->dev, "device reset: %s\n", why);
	tandem_hw_wake(tdev);
	queue_work(system_dfl_wq, &tdev->recovery);
}

/*
 * For good: nothing touches a register afterwards, once handlers and mmio_lock's readers are out.
 */
void tandem_hw_gone(struct tandem_device *tdev)
{
	unsigned long flags;

	spin_lock(&tdev->hw_lock);
	if (tdev->hw != TANDEM_HW_GONE)
		tandem_hw_kill(tdev, TANDEM_HW_GONE);
	spin_unlock(&tdev->hw_lock);
	spin_lock_irqsave(&tdev->fault.lock, flags);
	spin_unlock_irqrestore(&tdev->fault.lock, flags);
	spin_lock_irqsave(&tdev->event.lock, flags);
	spin_unlock_irqrestore(&tdev->event.lock, flags);
	down_write(&tdev->mmio_lock);
	up_write(&tdev->mmio_lock);
	tandem_hw_wake(tdev);
}

/* Gives a device that was reset its rings and lets it run. */
int tandem_device_start(struct tandem_device *tdev)
{
	int ret = 0;

	spin_lock(&tdev->hw_lock);
	if (tdev->hw == TANDEM_HW_DOWN) {
		tandem_rings_program(tdev);
		tandem_check_program(tdev);
		tandem_write32(tdev, TANDEM_REG_INTERRUPT_ENABLE, tandem_irq_enable_mask(tdev));
		if (tdev->counts_accesses)
			tandem_write32(tdev, TANDEM_REG_ACCESS_THRESHOLD, tandem_access_threshold);
		tandem_write32(tdev, TANDEM_REG_CONTROL, TANDEM_CONTROL_ENABLE);
		if (tandem_read32(tdev, TANDEM_REG_STATUS) & TANDEM_STATUS_ENABLED)
			WRITE_ONCE(tdev->hw, TANDEM_HW_UP);
		else
			ret = -EIO;
	} else {
		ret = tdev->hw == TANDEM_HW_GONE ? -ENODEV : -EBUSY;
	}
	spin_unlock(&tdev->hw_lock);
	/* What it said before it counted as running, its interrupt found nobody to listen to. */
	if (!ret)
		tandem_event_drain(tdev);
	return ret;
}

/*
 * Counting costs every access beyond VRAM something, so it begins with the first range that asks
 * for it, and outlives resets. The register write makes the TLBs forget what they have: from then
 * on all accesses count.
 */
void tandem_hw_count_accesses(struct tandem_device *tdev)
{
	spin_lock(&tdev->hw_lock);
	if (!tdev->counts_accesses) {
		tdev->counts_accesses = true;
		if (tdev->hw == TANDEM_HW_UP)
			tandem_write32(tdev, TANDEM_REG_ACCESS_THRESHOLD, tandem_access_threshold);
	}
	spin_unlock(&tdev->hw_lock);
}

void tandem_recovery_work(struct work_struct *work)
{
	struct tandem_device *tdev = container_of(work, struct tandem_device, recovery);
	u32 epoch = tandem_epoch(tdev);
	struct tandem_as *as;
	int ret;

	mutex_lock(&tdev->spaces_lock);
	list_for_each_entry(as, &tdev->spaces, node)
		if (as->epoch != epoch)
			tandem_as_lose(as);
	mutex_unlock(&tdev->spaces_lock);
	ret = tandem_device_start(tdev);
	if (ret && ret != -ENODEV)
		dev_err(tdev->dev, "the device does not start again: error %u\n",
			tandem_read32(tdev, TANDEM_REG_ERROR));
}
