/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR MIT */
/*
 * What the driver and the device tell each other through memory: kernel commands, invalidations, events and the status
 * page. All rings are in memory from dma_alloc_coherent().
 *
 * Order: the producer writes the entry, then a write barrier, then PUT (by register for the driver's rings; the device
 * writes PUT to the status page after the entry, with release order). The consumer reads PUT, then with acquire order the
 * entry.
 */
#ifndef TANDEM_ABI_RING_H
#define TANDEM_ABI_RING_H

#include "tandem_base.h"

/*
 * The status page: written by the device only. 64-bit words, each written by one single-copy atomic store.
 * A sequence number that the device writes is that of the last command (or invalidation) done: they complete in order.
 */
struct tandem_status_page {
	uint64_t command_done;     /* 0x00 seqno of the last completed kernel command */
	uint64_t invalidate_done;  /* 0x08 seqno of the last acknowledged invalidation */
	uint32_t command_get;      /* 0x10 copy of TANDEM_REG_COMMAND_GET */
	uint32_t invalidate_get;   /* 0x14 */
	uint32_t fault_put;        /* 0x18 copy of TANDEM_REG_FAULT_PUT */
	uint32_t event_put;        /* 0x1c copy of TANDEM_REG_EVENT_PUT */
	uint32_t error;            /* 0x20 copy of TANDEM_REG_ERROR */
	uint32_t status;           /* 0x24 copy of TANDEM_REG_STATUS, as of the last interrupt */
	uint64_t reserved[3];
};
TANDEM_ASSERT_SIZE(struct tandem_status_page, 64);
TANDEM_ASSERT_OFFSET(struct tandem_status_page, fault_put, 0x18);

/* ---- kernel commands: 64 bytes ---- */

enum tandem_command_type {
	/* 0 is not valid */
	TANDEM_COMMAND_NOP           = 1, /* completes: a fence */
	TANDEM_COMMAND_BIND          = 2, /* pasid: gives it a page table */
	TANDEM_COMMAND_UNBIND        = 3, /* pasid: kills its queues, drops its translations; when done, nothing of it is left.
					   * SVA, error TANDEM_COMMAND_DRAINING: but page requests of it that have not been
					   * answered. The PASID may not be stopped yet: send it again later. It does not wait
					   * itself, because answering a page request may take other commands (migration) */
	TANDEM_COMMAND_QUEUE_CREATE  = 4,
	TANDEM_COMMAND_QUEUE_DESTROY = 5, /* when done, no access of the queue is under way or will come */
	TANDEM_COMMAND_REPLAY        = 6, /* pasid: everything that waits for a translation tries again */
	TANDEM_COMMAND_CANCEL        = 7, /* pasid, queue, va: what waits for this page fails, the queue gets an error */
	TANDEM_COMMAND_COPY          = 8, /* copy engine, physical addresses */
	TANDEM_COMMAND_FILL          = 9, /* copy engine: fills with a 64-bit pattern */
	TANDEM_COMMAND_NOTE          = 10, /* into the trace: a driver's event (enum tandem_cause, range) */
	TANDEM_COMMAND_QUEUE_REPORT  = 11, /* pasid, queue: where to describe a wavefront that fails (tandem_report.h) */
	TANDEM_COMMAND_MIGRATED      = 12, /* into the trace: pages have moved */
	TANDEM_COMMAND_ACCESS_CLEAR  = 13, /* pasid: access counters of [start, end) begin again at 0 and may report again */
	TANDEM_COMMAND_ACCESS        = 14, /* pasid (mirror): reads, writes or does atomics on pages by their virtual addresses,
					    * through the TLBs. A page that is not mapped for it is no fault: nothing waits,
					    * nothing is recorded, the command ends with TANDEM_COMMAND_NOT_MAPPED */
	TANDEM_COMMAND_SKIP          = 15, /* pasid: accesses of resident-only queues that wait for [start, end) are skipped */
};

#define TANDEM_COMMAND_INTERRUPT 0x0001 /* raise TANDEM_VECTOR_COMMAND when done */
/*
 * QUEUE_CREATE: what the queue's kernels load, store and do atomics on is only what the process has mapped anyway. Where it has
 * nothing, or not with the permission, the access is skipped and the lane goes on: a load gives 0, a store is dropped, an atomic
 * is dropped and gives 0; TANDEM_CSR_SKIPPED counts them. Instructions, lane stacks, the page of the kernarg address, packets,
 * indices and signals are had as by any queue; a copy packet is an error.
 */
#define TANDEM_COMMAND_RESIDENT_ONLY 0x0002

struct tandem_command {
	uint16_t type;      /* 0x00 enum tandem_command_type */
	uint16_t flags;     /* 0x02 TANDEM_COMMAND_* */
	uint32_t pasid;     /* 0x04 */
	uint64_t seqno;     /* 0x08 written to command_done when completed; must grow */
	union {
		struct {
			uint64_t root;         /* 0x10 DMA address of the level 3 table; SVA: 0 */
			uint32_t translation;  /* 0x18 enum tandem_translation */
			uint32_t tgid;         /* 0x1c process id, for traces and displays */
			char comm[16];         /* 0x20 process name */
			uint32_t bus_pasid;    /* 0x30 SVA: the PASID of its requests to the IOMMU, which several address
						* spaces may share; else 0 */
			uint32_t reserved0;
			uint64_t check;        /* 0x38 physical address of struct tandem_check_space; 0: not checked */
		} bind;
		struct {
			uint32_t queue;        /* 0x10 queue number, 0 .. MAX_QUEUES-1, chosen by the driver */
			uint32_t doorbell;     /* 0x14 doorbell in the address space's page */
			uint64_t ring;         /* 0x18 VA of the packets, 64-byte aligned */
			uint64_t indices;      /* 0x20 VA of struct tandem_queue_indices */
			uint32_t ring_order;   /* 0x28 log2 of the number of packets */
			uint32_t retry_limit;  /* 0x2c replays of one access after which the queue fails; 0: none */
			uint64_t scratch;      /* 0x30 VA of the lanes' stacks */
			uint32_t scratch_lane_bytes; /* 0x38 stack of one lane, multiple of 16 */
			uint32_t scratch_waves;      /* 0x3c wavefronts that the scratch area has room for */
		} queue;
		struct {
			uint32_t queue;        /* 0x10 */
			uint32_t status;       /* 0x14 enum tandem_queue_error reported to the queue */
			uint64_t va;           /* 0x18 page of the access */
			uint64_t reserved[4];
		} cancel;
		struct {
			uint64_t source;       /* 0x10 DMA address or VRAM offset; FILL: the pattern */
			uint64_t destination;  /* 0x18 */
			uint64_t bytes;        /* 0x20 */
			uint8_t source_aperture;      /* 0x28 enum tandem_aperture */
			uint8_t destination_aperture; /* 0x29 */
			uint8_t source_peer;          /* 0x2a which peer, for the peer aperture; else 0 */
			uint8_t destination_peer;     /* 0x2b */
			uint32_t reserved1;
			uint64_t reserved2[2];
		} copy;
		struct {
			uint32_t cause;        /* 0x10 enum tandem_cause */
			uint32_t tgid;         /* 0x14 */
			uint64_t start;        /* 0x18 */
			uint64_t end;          /* 0x20 exclusive */
			uint64_t value;        /* 0x28 meaning depends on the cause */
			uint64_t reserved[2];
		} note;
		struct {
			uint32_t queue;        /* 0x10 */
			uint32_t reserved0;
			uint64_t address;      /* 0x18 DMA address of struct tandem_wave_report, aligned to
						* TANDEM_WAVE_REPORT_ALIGN; 0: nowhere, as after QUEUE_CREATE */
			uint64_t reserved[4];
		} report;
		struct {
			uint32_t cause;        /* 0x10 enum tandem_migrate_cause */
			uint32_t tgid;         /* 0x14 of the process whose pages moved, 0 if unknown */
			uint64_t start;        /* 0x18 VA; EVICT and REMOVE without a known process: VRAM offset */
			uint64_t end;          /* 0x20 exclusive */
			uint64_t bytes;        /* 0x28 moved; the rest of the range stayed */
			uint64_t nanoseconds;  /* 0x30 from the first look at the pages to the end */
			uint8_t from;          /* 0x38 enum tandem_aperture */
			uint8_t to;            /* 0x39 */
			uint16_t reserved0;
			uint32_t failed;       /* 0x3c pages that were to move and did not */
		} migrated;
		struct {
			uint64_t start;        /* 0x10 multiple of TANDEM_ACCESS_REGION */
			uint64_t end;          /* 0x18 exclusive, the same */
			uint64_t reserved[4];
		} access;
		struct {
			uint64_t va;           /* 0x10 multiple of TANDEM_PAGE_BYTES */
			uint64_t bytes;        /* 0x18 the same, not 0 */
			uint64_t address;      /* 0x20 DMA address of as many bytes, page aligned. READ: they are copied there;
						* WRITE: from there; ATOMIC: 0 */
			uint32_t access;       /* 0x28 TANDEM_ACCESS_READ, WRITE, or ATOMIC: adds 0 to the first 64-bit word
						* of each page */
			uint32_t reserved0;
			uint64_t reserved[2];
		} pages;
		struct {
			uint64_t start;        /* 0x10 page aligned */
			uint64_t end;          /* 0x18 exclusive, the same */
			uint32_t access;       /* 0x20 enum tandem_access of those that are skipped */
			uint32_t reserved0;
			uint64_t reserved[3];
		} skip;
		uint64_t words[6];
	} u;
};
TANDEM_ASSERT_SIZE(struct tandem_command, 64);
TANDEM_ASSERT_OFFSET(struct tandem_command, u, 0x10);

/*
 * A command that cannot be carried out completes all the same, and an event TANDEM_EVENT_COMMAND_ERROR with its sequence
 * number precedes the write of command_done.
 */
enum tandem_command_error {
	TANDEM_COMMAND_OK              = 0,
	TANDEM_COMMAND_BAD_TYPE        = 1,
	TANDEM_COMMAND_BAD_PASID       = 2, /* out of range, not bound, or bound already; REPLAY, CANCEL, SKIP: SVA, which
					     * has no fault records */
	TANDEM_COMMAND_BAD_QUEUE       = 3, /* out of range, absent, or there already; doorbell in use */
	TANDEM_COMMAND_BAD_ADDRESS     = 4, /* misaligned, out of range, or no memory there */
	TANDEM_COMMAND_BAD_PARAMETER   = 5,
	TANDEM_COMMAND_COPY_FAILED     = 6, /* DMA error on the way; an unknown part was copied */
	TANDEM_COMMAND_POISONED        = 7, /* COPY: the source is poisoned; an unknown part was copied */
	TANDEM_COMMAND_DRAINING        = 8, /* UNBIND: page requests are still to be answered */
	TANDEM_COMMAND_NOT_MAPPED      = 9, /* ACCESS: some page is not mapped, or not for that; an unknown part was accessed */
};

enum tandem_translation {
	/* 0 is not valid */
	TANDEM_TRANSLATION_MIRROR = 1, /* the device's own page table */
	TANDEM_TRANSLATION_SVA    = 2, /* the process's page table, through the IOMMU */
	TANDEM_TRANSLATION_SOFTTLB = 3, /* no table: each miss faults */
};

/* ---- invalidations: 64 bytes ---- */

#define TANDEM_INVALIDATE_INTERRUPT 0x0001 /* raise TANDEM_VECTOR_INVALIDATE when acknowledged */
#define TANDEM_INVALIDATE_ALL       0x0002 /* the whole address space; start and end are ignored */
#define TANDEM_INVALIDATE_NOWAIT    0x0004 /* for the trace: the caller could not block */

/*
 * Contract (design page, "Invalidation"): after invalidate_done >= seqno no access uses a translation of [start, end) of
 * this address space that was obtained before: every TLB level and every decoded instruction of the range is gone, walks
 * that overlapped it will not fill, stores and copies that had translated have been written, and no atomic is halfway.
 * An entry that overlaps the range in any byte is killed whole.
 */
struct tandem_invalidate {
	uint32_t pasid;    /* 0x00 */
	uint16_t flags;    /* 0x04 TANDEM_INVALIDATE_* */
	uint16_t cause;    /* 0x06 enum tandem_cause */
	uint64_t seqno;    /* 0x08 must grow by one from entry to entry */
	uint64_t start;    /* 0x10 first byte, page aligned */
	uint64_t end;      /* 0x18 exclusive, page aligned */
	uint64_t notify_start; /* 0x20 the range that Linux's notifier was called for, for the trace */
	uint64_t notify_end;   /* 0x28 */
	uint32_t tgid;     /* 0x30 process that caused it (current), 0 if unknown */
	uint32_t dirty;    /* 0x34 pages of the range of which Linux has been told that the device has written to them */
	uint64_t reserved1;
};
TANDEM_ASSERT_SIZE(struct tandem_invalidate, 64);
TANDEM_ASSERT_OFFSET(struct tandem_invalidate, notify_start, 0x20);

/*
 * Why an invalidation was sent. The first group is Linux's enum mmu_notifier_event plus one (7.3); the second belongs to
 * the driver itself.
 */
enum tandem_cause {
	TANDEM_CAUSE_NONE            = 0,
	TANDEM_CAUSE_UNMAP           = 1, /* munmap, mremap, exit of a mapping */
	TANDEM_CAUSE_CLEAR           = 2, /* a PTE is cleared: COW, reclaim, DONTNEED, KSM, split, taking back exclusive */
	TANDEM_CAUSE_PROTECTION_VMA  = 3, /* mprotect */
	TANDEM_CAUSE_PROTECTION_PAGE = 4, /* write protection of single pages: fork, clear_refs */
	TANDEM_CAUSE_SOFT_DIRTY      = 5,
	TANDEM_CAUSE_RELEASE         = 6, /* exit of the process */
	TANDEM_CAUSE_MIGRATE         = 7, /* migrate_vma to or from a device */
	TANDEM_CAUSE_EXCLUSIVE       = 8, /* make_device_exclusive */

	TANDEM_CAUSE_DRIVER_BASE     = 64,
	TANDEM_CAUSE_UPGRADE         = 64, /* a mapping is replaced by one with other permissions or another size */
	TANDEM_CAUSE_UNBIND          = 65, /* the address space goes away */
	TANDEM_CAUSE_RECOVERY        = 66, /* after a device reset */
	TANDEM_CAUSE_SERVICE         = 67, /* NOTE only: a fault batch was serviced; value: pages mapped */
	TANDEM_CAUSE_TEST            = 68, /* a test wants it: translations are dropped that are good; NOTE: the driver has forgotten
	                                    * the faults of the address space, and a REPLAY follows */
	TANDEM_CAUSE_LIMIT           = 69,
};

/* Why pages moved. */
enum tandem_migrate_cause {
	/* 0 is not valid */
	TANDEM_MIGRATE_REQUEST   = 1, /* the process asked for it */
	TANDEM_MIGRATE_GPU_FAULT = 2,
	TANDEM_MIGRATE_CPU_FAULT = 3,
	TANDEM_MIGRATE_EVICT     = 4, /* VRAM was wanted for others */
	TANDEM_MIGRATE_ACCESS    = 5, /* an access counter */
	TANDEM_MIGRATE_REMOVE    = 6, /* the driver lets go of the device */
};

/* ---- events: 32 bytes ---- */

enum tandem_event_type {
	/* 0 is not valid */
	TANDEM_EVENT_SIGNAL        = 1, /* a signal with an event id was decremented; value: event id */
	TANDEM_EVENT_QUEUE_ERROR   = 2, /* code: enum tandem_queue_error; value: VA concerned */
	TANDEM_EVENT_COMMAND_ERROR = 3, /* code: enum tandem_command_error; value: seqno of the command */
	TANDEM_EVENT_POISON        = 4, /* value: VRAM offset of the page; posted when it is found, and for each after ENABLE */
	TANDEM_EVENT_ACCESS_COUNTER = 5, /* pasid; value: VA of the region; detail: its count */
	TANDEM_EVENT_CHECK = 6, /* the checker wants TANDEM_REG_CHECK_AT_REST to be written */
};

struct tandem_event {
	uint16_t type;   /* 0x00 */
	uint16_t code;   /* 0x02 */
	uint32_t pasid;  /* 0x04 */
	uint32_t queue;  /* 0x08 */
	uint32_t detail; /* 0x0c QUEUE_ERROR: instruction word for an illegal instruction, else access type */
	uint64_t value;  /* 0x10 */
	uint64_t pc;     /* 0x18 QUEUE_ERROR: program counter of the wavefront, else 0 */
};
TANDEM_ASSERT_SIZE(struct tandem_event, 32);

#endif
