/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR MIT */
/*
 * What the device writes about a wavefront that failed: which lane of which work item, where, doing what, with which
 * registers. One record for each queue, at the DMA address that TANDEM_COMMAND_QUEUE_REPORT gave; it is written whole before
 * the event TANDEM_EVENT_QUEUE_ERROR. Errors that no wavefront made (bad packets, copies, signals) leave it as it is.
 */
#ifndef TANDEM_ABI_REPORT_H
#define TANDEM_ABI_REPORT_H

#include "tandem_base.h"

#define TANDEM_WAVE_REPORT_VERSION 1
#define TANDEM_WAVE_REPORT_ALIGN 1024 /* so that it never crosses a page */

struct tandem_wave_report {
	uint32_t version;      /* 0x00 TANDEM_WAVE_REPORT_VERSION; the driver's 0 stays where nothing was written */
	uint32_t error;        /* 0x04 enum tandem_queue_error */
	uint32_t pasid;        /* 0x08 */
	uint32_t queue;        /* 0x0c */
	uint64_t packet;       /* 0x10 number of the packet in the queue */
	uint64_t pc;           /* 0x18 of the instruction that failed */
	uint64_t va;           /* 0x20 address concerned, as in the event */
	uint32_t detail;       /* 0x28 as in the event: instruction word, or enum tandem_access */
	uint32_t lane;         /* 0x2c the lane that failed; if several did, the lowest that the device looked at */
	uint32_t active_lanes; /* 0x30 lanes that executed the instruction together */
	uint32_t live_lanes;   /* 0x34 lanes of the wavefront that had not ended */
	uint32_t wave;         /* 0x38 wavefront in the workgroup */
	uint32_t compute_unit; /* 0x3c */
	uint32_t group_id[3];  /* 0x40 workgroup in the grid */
	uint32_t local_id[3];  /* 0x4c work item in the workgroup */
	uint32_t fcsr;         /* 0x58 of the lane */
	uint32_t reserved0;
	uint64_t reserved[4];
	uint64_t x[32];        /* 0x80 of the lane, as before the instruction */
	uint64_t f[32];        /* 0x180 raw bits */
};
TANDEM_ASSERT_SIZE(struct tandem_wave_report, 0x280);
TANDEM_ASSERT_OFFSET(struct tandem_wave_report, group_id, 0x40);
TANDEM_ASSERT_OFFSET(struct tandem_wave_report, x, 0x80);
TANDEM_ASSERT_OFFSET(struct tandem_wave_report, f, 0x180);

#endif
