// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * MSI-X vectors. Faults and events are fetched in the handler itself: it copies a bounded number of
 * records and wakes their consumers. The vectors of the two rings that the driver produces are
 * enabled only while somebody sleeps on them, so that an acknowledgement which a spinning caller
 * sees costs no interrupt.
 */
#include <linux/interrupt.h>

#include "tandem_device.h"

static irqreturn_t tandem_irq_command(int irq, void *data)
{
	struct tandem_device *tdev = data;

	atomic64_inc(&tdev->stats.interrupts[TANDEM_VECTOR_COMMAND]);
	wake_up_all(&tdev->command.wait);
	return IRQ_HANDLED;
}

static irqreturn_t tandem_irq_invalidate(int irq, void *data)
{
	struct tandem_device *tdev = data;

	atomic64_inc(&tdev->stats.interrupts[TANDEM_VECTOR_INVALIDATE]);
	wake_up_all(&tdev->invalidate.wait);
	return IRQ_HANDLED;
}

static irqreturn_t tandem_irq_fault(int irq, void *data)
{
	struct tandem_device *tdev = data;

	atomic64_inc(&tdev->stats.interrupts[TANDEM_VECTOR_FAULT]);
	tandem_fault_drain(tdev);
	return IRQ_HANDLED;
}

static irqreturn_t tandem_irq_event(int irq, void *data)
{
	struct tandem_device *tdev = data;

	atomic64_inc(&tdev->stats.interrupts[TANDEM_VECTOR_EVENT]);
	tandem_event_drain(tdev);
	return IRQ_HANDLED;
}

/* In a thread: a reset takes hw_lock, which is not taken in interrupts. */
static irqreturn_t tandem_irq_error(int irq, void *data)
{
	struct tandem_device *tdev = data;
	u32 epoch = tandem_epoch(tdev);
	u32 error = READ_ONCE(tdev->status->error);

	atomic64_inc(&tdev->stats.interrupts[TANDEM_VECTOR_ERROR]);
	if (error) {
		dev_err(tdev->dev, "the device stopped with error %u\n", error);
		tandem_hw_reset(tdev, epoch, "the device stopped");
	}
	return IRQ_HANDLED;
}

static const struct {
	irq_handler_t handler;
	irq_handler_t thread;
	const char *name;
} tandem_vectors[TANDEM_VECTOR_COUNT] = {
	[TANDEM_VECTOR_COMMAND] = { tandem_irq_command, NULL, "command" },
	[TANDEM_VECTOR_INVALIDATE] = { tandem_irq_invalidate, NULL, "invalidate" },
	[TANDEM_VECTOR_FAULT] = { tandem_irq_fault, NULL, "fault" },
	[TANDEM_VECTOR_EVENT] = { tandem_irq_event, NULL, "event" },
	[TANDEM_VECTOR_ERROR] = { NULL, tandem_irq_error, "error" },
};

int tandem_irq_init(struct tandem_device *tdev)
{
	int vector, ret;

	ret = pci_alloc_irq_vectors(tdev->pdev, TANDEM_VECTOR_COUNT, TANDEM_VECTOR_COUNT,
				    PCI_IRQ_MSIX);
	if (ret < 0)
		return ret;
	for (vector = 0; vector < TANDEM_VECTOR_COUNT; vector++) {
		ret = pci_request_irq(tdev->pdev, vector, tandem_vectors[vector].handler,
				      tandem_vectors[vector].thread, tdev, "%s-%s", tdev->name,
				      tandem_vectors[vector].name);
		if (ret)
			goto err_free;
	}
	return 0;

err_free:
	while (vector--)
		pci_free_irq(tdev->pdev, vector, tdev);
	pci_free_irq_vectors(tdev->pdev);
	return ret;
}

void tandem_irq_fini(struct tandem_device *tdev)
{
	int vector;

	for (vector = 0; vector < TANDEM_VECTOR_COUNT; vector++)
		pci_free_irq(tdev->pdev, vector, tdev);
	pci_free_irq_vectors(tdev->pdev);
}

u32 tandem_irq_enable_mask(struct tandem_device *tdev)
{
	u32 mask = BIT(TANDEM_VECTOR_FAULT) | BIT(TANDEM_VECTOR_EVENT) | BIT(TANDEM_VECTOR_ERROR);
	int vector;

	lockdep_assert_held(&tdev->hw_lock);
	for (vector = 0; vector < TANDEM_VECTOR_COUNT; vector++)
		if (tdev->irq_sleepers[vector])
			mask |= BIT(vector);
	return mask;
}

/*
 * After this returns, a completion that is not visible yet raises the vector. What was raised while
 * nobody slept is forgotten first, or enabling the vector would raise it now.
 */
void tandem_irq_arm(struct tandem_device *tdev, enum tandem_vector vector)
{
	spin_lock(&tdev->hw_lock);
	if (!tdev->irq_sleepers[vector]++ && tdev->hw == TANDEM_HW_UP) {
		tandem_write32(tdev, TANDEM_REG_INTERRUPT_STATUS, BIT(vector));
		tandem_write32(tdev, TANDEM_REG_INTERRUPT_ENABLE, tandem_irq_enable_mask(tdev));
	}
	spin_unlock(&tdev->hw_lock);
}

void tandem_irq_disarm(struct tandem_device *tdev, enum tandem_vector vector)
{
	spin_lock(&tdev->hw_lock);
	if (!--tdev->irq_sleepers[vector] && tdev->hw == TANDEM_HW_UP)
		tandem_write32(tdev, TANDEM_REG_INTERRUPT_ENABLE, tandem_irq_enable_mask(tdev));
	spin_unlock(&tdev->hw_lock);
}
