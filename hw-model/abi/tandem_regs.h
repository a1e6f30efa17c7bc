/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR MIT */
/*
 * The registers of BAR 0 in offset order.
 *
 * Access: RO (writes are ignored and logged as guest errors), RW, W1C (writing 1 clears), WO (reads as 0). 64-bit
 * registers may be accessed as one aligned 8-byte access or as two aligned 4-byte accesses, low half first; a 64-bit
 * value takes effect when its high half is written. 32-bit registers take aligned 4-byte accesses. Anything else reads as
 * all ones and is dropped on writes, and is logged as a guest error.
 *
 * Rings. In each ring, GET is the consumer's index and PUT the producer's. Indices run freely over 32 bits and are masked
 * with (entries - 1); PUT - GET is the fill. A ring register block can be written only while TANDEM_CONTROL_ENABLE is
 * clear; only the index that belongs to the driver can be written while it is set.
 */
#ifndef TANDEM_ABI_REGS_H
#define TANDEM_ABI_REGS_H

#include "tandem_base.h"

/* Identity ---------------------------------------------------------------------------------- reset value */
#define TANDEM_REG_ID               0x0000 /* RO 32  TANDEM_ID_VALUE */
#define TANDEM_REG_ABI_VERSION      0x0004 /* RO 32  major << 16 | minor */
#define TANDEM_REG_COMPUTE_UNITS    0x0008 /* RO 32  number of compute units */
#define TANDEM_REG_WAVES_PER_CU     0x000c /* RO 32  wavefronts resident in one compute unit */
#define TANDEM_REG_ADDRESS_SPACES   0x0010 /* RO 32  PASIDs 1 .. n-1 can be bound; n doorbell pages */
#define TANDEM_REG_MAX_QUEUES       0x0014 /* RO 32  user queues at a time, in all address spaces */
#define TANDEM_REG_LDS_BYTES        0x0018 /* RO 32  local memory of one compute unit */
#define TANDEM_REG_FEATURES         0x001c /* RO 32  TANDEM_FEATURE_* */
#define TANDEM_REG_VRAM_BYTES       0x0020 /* RO 64  video memory */
#define TANDEM_REG_CLOCK_NS         0x0028 /* RO 64  the device's clock, the one in trace records and signals */

#define TANDEM_REG_FABRIC           0x0030 /* RO 32  this GPU's number on the link between GPUs, or TANDEM_FABRIC_NONE */
#define TANDEM_REG_FABRIC_PEERS     0x0034 /* RO 32  bit n: GPU number n is on the link, too */
#define TANDEM_FABRIC_NONE          0xffffffffu
#define TANDEM_FABRIC_LIMIT         16     /* numbers 0..15: TANDEM_PTE_PEER has four bits */

#define TANDEM_ID_VALUE             0x4d444e54u /* "TNDM" */

#define TANDEM_FEATURE_VRAM_BAR     TANDEM_BIT(0) /* video memory can be reached through BAR 4 */
#define TANDEM_FEATURE_PCIE_ATOMICS TANDEM_BIT(1) /* atomics on system memory are atomic against the CPUs */
#define TANDEM_FEATURE_TEST_HOOKS   TANDEM_BIT(2) /* TANDEM_REG_TEST_* work */
#define TANDEM_FEATURE_TRACE        TANDEM_BIT(3) /* a trace is being taken */
#define TANDEM_FEATURE_EXCLUSIVE_ATOMICS TANDEM_BIT(4) /* they are only while no CPU can reach the page */
#define TANDEM_FEATURE_CHECK        TANDEM_BIT(5) /* the coherence checker is there: TANDEM_REG_CHECK_* work */

/* Control */
#define TANDEM_REG_CONTROL          0x0040 /* RW 32  0 */
#define TANDEM_CONTROL_ENABLE       TANDEM_BIT(0) /* rings are served and queues run */
#define TANDEM_CONTROL_RESET        TANDEM_BIT(1) /* write 1: everything is as after power-on before the write returns:
						   * queues killed, address spaces unbound, TLBs empty, no DMA after it.
						   * Reads as 0. */
#define TANDEM_REG_STATUS           0x0044 /* RO 32  0 */
#define TANDEM_STATUS_ENABLED       TANDEM_BIT(0)
#define TANDEM_STATUS_BUSY          TANDEM_BIT(1) /* a wavefront, copy, walk or command is under way */
#define TANDEM_STATUS_STOPPED       TANDEM_BIT(2) /* stopped by TANDEM_REG_ERROR; only a reset helps */
#define TANDEM_STATUS_FAULT_OVERFLOW TANDEM_BIT(3) /* faults wait for room in the fault buffer */
#define TANDEM_STATUS_EVENT_OVERFLOW TANDEM_BIT(4) /* events wait for room in the event ring */
#define TANDEM_REG_ERROR            0x0048 /* RO 32  enum tandem_device_error */
#define TANDEM_REG_INTERRUPT_STATUS 0x0050 /* W1C 32 0  bit n: vector n was raised since it was last cleared */
#define TANDEM_REG_INTERRUPT_ENABLE 0x0054 /* RW 32  0  bit n: vector n may be raised */
#define TANDEM_REG_STATUS_PAGE      0x0058 /* RW 64  0  DMA address of struct tandem_status_page, 4 KiB aligned */

/*
 * Access counters: for each address space and region of TANDEM_ACCESS_REGION bytes, how often wavefronts reached beyond the
 * GPU's own memory (apertures system and peer): one for each memory instruction and page. When a region's count reaches the
 * threshold, TANDEM_EVENT_ACCESS_COUNTER is posted, once until TANDEM_COMMAND_ACCESS_CLEAR names the region. The counters are
 * a cache: a region that is rarely reached may lose its count.
 */
#define TANDEM_REG_ACCESS_THRESHOLD 0x0060 /* RW 32  0  0: nothing is counted */
#define TANDEM_ACCESS_REGION        0x10000ULL

/*
 * The coherence checker (tandem_check.h). AT_REST: the driver says, in answer to TANDEM_EVENT_CHECK, that while it writes this no
 * processor is inside a section that changes page tables under their lock; what the checker sees wrong then is wrong.
 */
#define TANDEM_REG_CHECK_FORMAT     0x0080 /* RW 64  0  physical address of struct tandem_check_format; 0: there is none */
#define TANDEM_REG_CHECK_AT_REST    0x0088 /* WO 32 */

/* Kernel command ring: struct tandem_command, produced by the driver */
#define TANDEM_REG_COMMAND_BASE     0x0100 /* RW 64  0  DMA address, 4 KiB aligned */
#define TANDEM_REG_COMMAND_ORDER    0x0108 /* RW 32  0  log2 of the number of entries, 1..16 */
#define TANDEM_REG_COMMAND_GET      0x010c /* RO 32  0 */
#define TANDEM_REG_COMMAND_PUT      0x0110 /* RW 32  0 */

/* Invalidation ring: struct tandem_invalidate, produced by the driver */
#define TANDEM_REG_INVALIDATE_BASE  0x0140 /* RW 64  0 */
#define TANDEM_REG_INVALIDATE_ORDER 0x0148 /* RW 32  0 */
#define TANDEM_REG_INVALIDATE_GET   0x014c /* RO 32  0 */
#define TANDEM_REG_INVALIDATE_PUT   0x0150 /* RW 32  0 */

/* Fault buffer: struct tandem_fault_record, produced by the device */
#define TANDEM_REG_FAULT_BASE       0x0180 /* RW 64  0 */
#define TANDEM_REG_FAULT_ORDER      0x0188 /* RW 32  0 */
#define TANDEM_REG_FAULT_GET        0x018c /* RW 32  0 */
#define TANDEM_REG_FAULT_PUT        0x0190 /* RO 32  0 */

/* Event ring: struct tandem_event, produced by the device */
#define TANDEM_REG_EVENT_BASE       0x01c0 /* RW 64  0 */
#define TANDEM_REG_EVENT_ORDER      0x01c8 /* RW 32  0 */
#define TANDEM_REG_EVENT_GET        0x01cc /* RW 32  0 */
#define TANDEM_REG_EVENT_PUT        0x01d0 /* RO 32  0 */

/* Performance counters: enum tandem_counter, 64 bits each, counting from reset */
#define TANDEM_REG_COUNTERS         0x0400 /* RO 64 x TANDEM_COUNTER_COUNT  0 */

/* Test hooks, only with the property test-hooks=on; otherwise reserved */
#define TANDEM_REG_TEST_CONTROL     0x0f00 /* RW 32  0 */
#define TANDEM_TEST_STALL_INVALIDATE TANDEM_BIT(0) /* invalidations are not served: their deadline passes */
#define TANDEM_TEST_STALL_COMMAND   TANDEM_BIT(1) /* kernel commands are not served */
#define TANDEM_TEST_STALL_FAULT     TANDEM_BIT(2) /* fault records are held back */
#define TANDEM_TEST_STALL_RESPONSE  TANDEM_BIT(3) /* answers to page requests have not come yet */
#define TANDEM_TEST_STALLS          (TANDEM_TEST_STALL_INVALIDATE | TANDEM_TEST_STALL_COMMAND | \
				     TANDEM_TEST_STALL_FAULT | TANDEM_TEST_STALL_RESPONSE)

#define TANDEM_REG_TEST_COPY_FAIL   0x0f04 /* RW 32  0  so many COPY and FILL commands fail half-way, counting down */
#define TANDEM_REG_TEST_POISON      0x0f08 /* WO 64     offset: this page of VRAM is poisoned from now on */

#define TANDEM_RING_ORDER_MIN 1
#define TANDEM_RING_ORDER_MAX 16

/* Why the device stopped (TANDEM_REG_ERROR). All of these are mistakes of the driver. */
enum tandem_device_error {
	TANDEM_DEVICE_OK             = 0,
	TANDEM_DEVICE_BAD_RING       = 1, /* ring base or order is out of range, or PUT - GET exceeds the ring */
	TANDEM_DEVICE_RING_DMA       = 2, /* a ring or the status page is not in memory */
	TANDEM_DEVICE_BAD_INVALIDATE = 3, /* an invalidation could not be decoded: ignoring it would be unsafe */
};

/* Performance counters. Fixed order: the index is the position in TANDEM_REG_COUNTERS. */
enum tandem_counter {
	TANDEM_COUNTER_INSTRUCTIONS      = 0,  /* wavefront instructions retired */
	TANDEM_COUNTER_LANE_INSTRUCTIONS = 1,  /* the same, times the active lanes */
	TANDEM_COUNTER_WAVES             = 2,  /* wavefronts finished */
	TANDEM_COUNTER_LANES             = 3,  /* lanes finished: work items run */
	TANDEM_COUNTER_WORKGROUPS        = 4,
	TANDEM_COUNTER_PACKETS           = 5,  /* AQL packets completed */
	TANDEM_COUNTER_L1_HITS           = 6,
	TANDEM_COUNTER_L1_MISSES         = 7,
	TANDEM_COUNTER_L2_HITS           = 8,
	TANDEM_COUNTER_L2_MISSES         = 9,
	TANDEM_COUNTER_WALKS             = 10, /* page walks that ended, whatever they found */
	TANDEM_COUNTER_WALK_RESTARTS     = 11, /* walks begun again: an invalidation overlapped or an entry changed */
	TANDEM_COUNTER_FAULTS            = 12, /* fault records written */
	TANDEM_COUNTER_FAULT_OVERFLOWS   = 13, /* faults that had to wait for room */
	TANDEM_COUNTER_REPLAYS           = 14,
	TANDEM_COUNTER_CANCELS           = 15,
	TANDEM_COUNTER_INVALIDATES       = 16, /* invalidations acknowledged */
	TANDEM_COUNTER_ENTRIES_KILLED    = 17, /* TLB entries that they killed */
	TANDEM_COUNTER_STORES_DRAINED    = 18, /* queued stores that had to be written before an acknowledgement */
	TANDEM_COUNTER_ATOMICS           = 19, /* lane atomics */
	TANDEM_COUNTER_LOADS             = 20, /* lane loads */
	TANDEM_COUNTER_STORES            = 21, /* lane stores */
	TANDEM_COUNTER_COPY_BYTES        = 22,
	TANDEM_COUNTER_COMMANDS          = 23,
	TANDEM_COUNTER_SUSPENDS          = 24, /* workgroups taken off a compute unit at the end of a time slice */
	TANDEM_COUNTER_ACCESS_EVENTS     = 25, /* regions whose access counter reached the threshold */
	TANDEM_COUNTER_POISON_HITS       = 26, /* accesses and copies that met a poisoned page */
	TANDEM_COUNTER_ATS_REQUESTS      = 27, /* translations asked of the IOMMU */
	TANDEM_COUNTER_ATS_STALE         = 28, /* answers dropped: an invalidation of their range came before them */
	TANDEM_COUNTER_PAGE_REQUESTS     = 29,
	TANDEM_COUNTER_ATC_INVALIDATES   = 30, /* invalidations that the IOMMU sent */
	TANDEM_COUNTER_SKIPPED           = 31, /* lane accesses of resident-only queues that found no page */
	TANDEM_COUNTER_COUNT             = 32,
};

#endif
