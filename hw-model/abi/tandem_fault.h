/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR MIT */
/*
 * Replayable faults. An access that finds no sufficient translation waits; a record goes into the fault buffer; the driver
 * services it and sends REPLAY, or CANCEL if there is nothing to map.
 *
 * One record is written for each (address space, page, access) that waits, however many wavefronts wait for it; after a
 * REPLAY those that still find nothing are recorded anew, so a record can never be swallowed for good. If the buffer is
 * full, TANDEM_STATUS_FAULT_OVERFLOW is set and the records are written as soon as the driver moves GET: nothing is lost.
 */
#ifndef TANDEM_ABI_FAULT_H
#define TANDEM_ABI_FAULT_H

#include "tandem_base.h"

enum tandem_access {
	/* 0 is not valid */
	TANDEM_ACCESS_READ    = 1,
	TANDEM_ACCESS_WRITE   = 2,
	TANDEM_ACCESS_ATOMIC  = 3,
	TANDEM_ACCESS_EXECUTE = 4, /* needs what READ needs: the device has no execute permission */
};

enum tandem_fault_reason {
	/* 0 is not valid */
	TANDEM_FAULT_NOT_PRESENT = 1, /* a level of the table is not valid */
	TANDEM_FAULT_PERMISSION  = 2, /* valid, without WRITE or ATOMIC */
	TANDEM_FAULT_BAD_PTE     = 3, /* reserved bits or a shape that the level does not allow */
	TANDEM_FAULT_TABLE_DMA   = 4, /* a table is not in memory */
	TANDEM_FAULT_PAGE_DMA    = 5, /* the page itself is not in memory (or outside VRAM) */
	TANDEM_FAULT_POISON      = 6, /* the page of VRAM is poisoned: cancel, nothing else helps */
};

enum tandem_fault_client {
	/* 0 is not valid */
	TANDEM_CLIENT_COMPUTE = 1, /* unit: compute unit */
	TANDEM_CLIENT_QUEUE   = 2, /* packet fetch, indices and signals */
	TANDEM_CLIENT_COPY    = 3, /* copy engine */
};

/*
 * The access is one of a resident-only queue (TANDEM_COMMAND_RESIDENT_ONLY): the driver maps what the process has there now,
 * or sends SKIP. Recorded apart from others to the same page.
 */
#define TANDEM_FAULT_RESIDENT_ONLY 0x1

struct tandem_fault_record {
	uint64_t va;         /* 0x00 page aligned */
	uint32_t pasid;      /* 0x08 */
	uint32_t queue;      /* 0x0c queue of the first access that waits */
	uint8_t access;      /* 0x10 enum tandem_access */
	uint8_t reason;      /* 0x11 enum tandem_fault_reason */
	uint8_t client;      /* 0x12 enum tandem_fault_client */
	uint8_t unit;        /* 0x13 */
	uint32_t flags;      /* 0x14 TANDEM_FAULT_RESIDENT_ONLY */
	uint64_t pc;         /* 0x18 for TANDEM_CLIENT_COMPUTE: program counter */
	uint64_t time_ns;    /* 0x20 device clock */
	uint64_t id;         /* 0x28 counts records since reset, from 1 */
	uint64_t reserved1[2];
};
TANDEM_ASSERT_SIZE(struct tandem_fault_record, 64);
TANDEM_ASSERT_OFFSET(struct tandem_fault_record, pc, 0x18);

/* Why a queue stopped. It stays in its error state until it is destroyed. */
enum tandem_queue_error {
	TANDEM_QUEUE_OK                 = 0,
	TANDEM_QUEUE_ADDRESS_FAULT      = 1, /* cancelled by the driver: nothing is mapped there */
	TANDEM_QUEUE_PERMISSION_FAULT   = 2, /* cancelled by the driver: mapped without the permission */
	TANDEM_QUEUE_RETRY_LIMIT        = 3,
	TANDEM_QUEUE_ADDRESS_RANGE      = 4, /* not a user address: beyond TANDEM_VA_LIMIT and no LDS */
	TANDEM_QUEUE_ILLEGAL_INSTRUCTION = 5,
	TANDEM_QUEUE_BREAKPOINT         = 6, /* ebreak */
	TANDEM_QUEUE_BAD_PACKET         = 7, /* AQL packet of unknown type or with impossible sizes */
	TANDEM_QUEUE_BAD_KERNEL         = 8, /* the kernel descriptor is malformed or asks for more than there is */
	TANDEM_QUEUE_BAD_INDEX          = 9, /* the write index went back or runs ahead of the ring */
	TANDEM_QUEUE_DMA_ERROR          = 10, /* translated, but no memory there */
	TANDEM_QUEUE_MISALIGNED_ATOMIC  = 11,
	TANDEM_QUEUE_ECALL              = 12,
	TANDEM_QUEUE_LOST               = 13, /* the device was reset (set by the driver) */
	TANDEM_QUEUE_SERVICE_FAILED     = 14, /* the driver could not service a fault (out of memory, process gone) */
	TANDEM_QUEUE_MEMORY_ERROR       = 15, /* the data is lost: a poisoned page */
	TANDEM_QUEUE_ATOMIC_FAULT       = 16, /* cancelled by the driver: memory on which this GPU can do no atomics */
};

#endif
