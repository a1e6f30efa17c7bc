/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A user-mode queue of an address space. Its states are enum tandem_queue_state of the trace's ABI.
 */
#ifndef TANDEM_QUEUE_H
#define TANDEM_QUEUE_H

#include "tandem_as.h"

struct tandem_queue {
	struct list_head node;   /* in as->queues; as->lock */
	struct tandem_as *as;
	u32 id;
	u32 doorbell;
	/* written by the device before its error event; NULL: it writes none */
	struct tandem_wave_report *report;
	dma_addr_t report_dma;
	/* tdev->queue_lock: */
	enum tandem_queue_state state;
	enum tandem_queue_error error;
	u32 detail;
	u64 va;
	u64 pc;
};

int tandem_queue_create(struct tandem_as *as, struct tandem_ioc_queue_create *args);
int tandem_queue_destroy(struct tandem_as *as, u32 id);
int tandem_queue_status(struct tandem_as *as, struct tandem_ioc_queue_status *args);
int tandem_queue_read_report(struct tandem_as *as, struct tandem_ioc_queue_report *args);
void tandem_queues_lose(struct tandem_as *as);
void tandem_queues_free(struct tandem_as *as);
void tandem_queue_report(struct tandem_device *tdev, const struct tandem_event *event);
int tandem_queue_failure(struct tandem_as *as, u32 id);

#endif
