/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR MIT */
/*
 * The trace file: one header, then records of 64 bytes in the order in which the device did things, on one clock, closed
 * by a TANDEM_TRACE_END record that holds their number. A file without it was cut off.
 * The verbs are the project's: doorbell, fetch, dispatch, translate, fault, replay, migrate, invalidate, fence.
 */
#ifndef TANDEM_ABI_TRACE_H
#define TANDEM_ABI_TRACE_H

#include "tandem_base.h"

#define TANDEM_TRACE_MAGIC   "TANDEMTR"
#define TANDEM_TRACE_VERSION 1

struct tandem_trace_header {
	char magic[8];            /* 0x00 TANDEM_TRACE_MAGIC */
	uint32_t version;         /* 0x08 */
	uint32_t record_bytes;    /* 0x0c 64 */
	uint32_t header_bytes;    /* 0x10 64 */
	uint32_t abi_version;     /* 0x14 major << 16 | minor */
	uint64_t epoch_ns;        /* 0x18 device clock when the trace began */
	uint64_t wall_ns;         /* 0x20 Unix time at that moment */
	uint64_t reserved[3];
};
TANDEM_ASSERT_SIZE(struct tandem_trace_header, 64);

/*
 * Common fields: time_ns (device clock), pasid, queue (TANDEM_TRACE_NO_QUEUE if none), va, bytes, seqno.
 * unit: compute unit, or 0xffff for the shared parts of the device. What a, b, c and detail hold stands with each type.
 */
struct tandem_trace_record {
	uint64_t time_ns;  /* 0x00 */
	uint16_t type;     /* 0x08 enum tandem_trace_type */
	uint16_t unit;     /* 0x0a */
	uint32_t pasid;    /* 0x0c */
	uint32_t queue;    /* 0x10 */
	uint32_t detail;   /* 0x14 */
	uint64_t va;       /* 0x18 */
	uint64_t bytes;    /* 0x20 */
	uint64_t seqno;    /* 0x28 */
	uint64_t a;        /* 0x30 */
	uint64_t b;        /* 0x38 */
};
TANDEM_ASSERT_SIZE(struct tandem_trace_record, 64);
TANDEM_ASSERT_OFFSET(struct tandem_trace_record, va, 0x18);

#define TANDEM_TRACE_NO_QUEUE 0xffffffffu
#define TANDEM_TRACE_NO_UNIT  0xffffu

enum tandem_trace_type {
	/* 0 is not valid */
	TANDEM_TRACE_END         = 1,  /* a: records before this one; b: records lost by write errors (0 when whole) */
	TANDEM_TRACE_RESET       = 2,  /* detail: enum tandem_reset_kind */
	TANDEM_TRACE_BIND        = 3,  /* detail: enum tandem_translation; va: root DMA address; bytes: tgid; a, b: comm[16];
					* seqno: PASID on the bus (SVA) */
	TANDEM_TRACE_UNBIND      = 4,
	TANDEM_TRACE_QUEUE       = 5,  /* detail: enum tandem_queue_state entered; a: enum tandem_queue_error; va: faulting VA; b: pc */
	TANDEM_TRACE_DOORBELL    = 6,  /* a: write index */
	TANDEM_TRACE_FETCH       = 7,  /* va: packet; seqno: packet number; detail: enum tandem_packet_type */
	TANDEM_TRACE_DISPATCH    = 8,  /* seqno: packet number; va: kernel entry; a: workgroups; b: work items */
	TANDEM_TRACE_RETIRE      = 9,  /* a packet is complete. seqno: packet number; a: nanoseconds since FETCH; b: lane instructions */
	TANDEM_TRACE_FENCE       = 10, /* detail: enum tandem_trace_fence | scope << 8; seqno; va: signal; a: value written */
	TANDEM_TRACE_WALK        = 11, /* a page walk ended. va; detail: enum tandem_access | levels read << 8 | restarts << 16;
					* a: PTE found, or 0; b: nanoseconds */
	TANDEM_TRACE_FILL        = 12, /* TLB fill. va, bytes: range of the entry; unit: compute unit (L1) or NO_UNIT (L2);
					* detail: level 1 or 2; a: PTE; b: 1 if a valid entry was evicted */
	TANDEM_TRACE_FAULT       = 13, /* va; detail: access | reason << 8 | client << 16; seqno: record id; a: pc; b: 1 if it waits
					* for room in the buffer */
	TANDEM_TRACE_REPLAY      = 14, /* seqno: command; a: accesses released */
	TANDEM_TRACE_CANCEL      = 15, /* va; seqno: command; a: accesses failed; detail: enum tandem_queue_error */
	TANDEM_TRACE_INVALIDATE  = 16, /* received. va, bytes: range sent; seqno; detail: cause | flags << 16; a, b: notifier's
					* start and end; unit: NO_UNIT; queue: tgid of the causing process */
	TANDEM_TRACE_INVALIDATED = 17, /* acknowledged. va, bytes, seqno, detail as above; a: entries killed | stores drained << 32;
					* b: nanoseconds from the ring's PUT write to the acknowledgement; queue: TANDEM_HIT_*, what
					* was hit */
	TANDEM_TRACE_COPY        = 18, /* va: destination; bytes; a: source; b: nanoseconds; detail: enum tandem_trace_copy | apertures
					* source << 8, destination << 16; seqno: packet or command */
	TANDEM_TRACE_NOTE        = 19, /* from the driver. detail: cause; va, bytes: range; seqno; a: value; queue: tgid */
	TANDEM_TRACE_COMMAND     = 20, /* kernel command completed. detail: type | error << 16; seqno; a: nanoseconds since it was
					* fetched */
	TANDEM_TRACE_SUSPEND     = 21, /* a workgroup leaves a compute unit (a = 0) or returns (a = 1); seqno: packet number */
	TANDEM_TRACE_MIGRATE     = 22, /* pages have moved, told by the driver. va, bytes: range; seqno: command; queue: tgid; detail:
					* enum tandem_migrate_cause | from << 8 | to << 16 (apertures); a: bytes moved | pages failed
					* << 48; b: nanoseconds */
	TANDEM_TRACE_POISON      = 23, /* va: VRAM offset of the page; a: 0 found, 1 met by an access or a copy */
	TANDEM_TRACE_ACCESS_COUNTER = 24, /* va, bytes: region; a: its count */
	/*
	 * Through the IOMMU (SVA). seqno: PASID on the bus (TANDEM_TRACE_NO_PASID: request without one), in page requests and
	 * responses | group << 32.
	 */
	TANDEM_TRACE_ATS_REQUEST = 25, /* va; detail: enum tandem_access */
	TANDEM_TRACE_ATS_ANSWER  = 26, /* va, bytes: range answered for; detail: enum tandem_access | TANDEM_ATS_* << 8; a: translated
					* address; b: nanoseconds since the request */
	TANDEM_TRACE_PAGE_REQUEST = 27, /* va; detail: enum tandem_access | last of its group << 8 */
	TANDEM_TRACE_PAGE_RESPONSE = 28, /* detail: enum tandem_page_response; a: accesses released or failed; b: nanoseconds since the
					* group's last request */
	TANDEM_TRACE_ATC_INVALIDATED = 29, /* received and carried out. va, bytes: range; detail: 1 if for all PASIDs; a: entries killed |
					* stores drained << 32; b: nanoseconds that the IOMMU waited; queue: TANDEM_HIT_* */
	TANDEM_TRACE_DRAIN       = 30, /* an address space ended: its last page request was answered. a: page requests that were
					* outstanding; b: nanoseconds */
	TANDEM_TRACE_TYPE_LIMIT  = 31,
};

#define TANDEM_TRACE_NO_PASID 0xffffffffu

/* What an answer of the IOMMU grants (TANDEM_TRACE_ATS_ANSWER). */
#define TANDEM_ATS_READ  0x1
#define TANDEM_ATS_WRITE 0x2
#define TANDEM_ATS_STALE 0x4 /* an invalidation of the range came first: dropped, asked anew */

/* What kind of fence a FENCE record tells of. */
enum tandem_trace_fence {
	TANDEM_TRACE_FENCE_ACQUIRE = 1, /* of a packet, before it starts */
	TANDEM_TRACE_FENCE_RELEASE = 2, /* of a packet, before it completes */
	TANDEM_TRACE_FENCE_COMMAND = 3, /* kernel command fence */
	TANDEM_TRACE_FENCE_SIGNAL  = 4, /* a signal was decremented */
};

/* Which addresses a COPY record's copy worked on. */
enum tandem_trace_copy {
	TANDEM_TRACE_COPY_VIRTUAL  = 1, /* of the process: a packet */
	TANDEM_TRACE_COPY_PHYSICAL = 2, /* of an aperture: a kernel command */
};

enum tandem_reset_kind {
	TANDEM_RESET_POWER   = 1, /* machine or bus reset */
	TANDEM_RESET_DRIVER  = 2, /* TANDEM_CONTROL_RESET */
};

/* The life of a queue: Active -> Faulted | Draining -> Disabled; Faulted -> Draining. */
enum tandem_queue_state {
	TANDEM_QUEUE_DISABLED = 0,
	TANDEM_QUEUE_ACTIVE   = 1,
	TANDEM_QUEUE_FAULTED  = 2, /* an error was reported; nothing of it runs */
	TANDEM_QUEUE_DRAINING = 3, /* being destroyed */
};

/* What an acknowledged invalidation hit (TANDEM_TRACE_INVALIDATED.queue). */
#define TANDEM_HIT_L1     0x01
#define TANDEM_HIT_L2     0x02
#define TANDEM_HIT_WALK   0x04
#define TANDEM_HIT_CODE   0x08
#define TANDEM_HIT_STORES 0x10
#define TANDEM_HIT_COPY   0x20
#define TANDEM_HIT_ATS    0x40 /* a request that the IOMMU had not answered yet */
#define TANDEM_HIT_ATC    0x80

#endif
