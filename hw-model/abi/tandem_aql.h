/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR MIT */
/*
 * User-mode queues: packets in the HSA Architected Queuing Language (HSA Platform System Architecture 1.2, section 2.9)
 * and signals. A process writes a packet into its own memory, moves the write index, and rings its doorbell; no
 * system call. The device reads packets through the process's address space and may fault on them.
 */
#ifndef TANDEM_ABI_AQL_H
#define TANDEM_ABI_AQL_H

#include "tandem_base.h"

#define TANDEM_PACKET_BYTES 64

/* The first 16 bits of each packet. It is written last, with release order; type INVALID holds the device back. */
#define TANDEM_PACKET_TYPE    TANDEM_MASK(7, 0)
#define TANDEM_PACKET_BARRIER TANDEM_BIT(8)      /* starts when all packets before it have completed */
#define TANDEM_PACKET_ACQUIRE TANDEM_MASK(10, 9)  /* enum tandem_fence_scope, before the packet starts */
#define TANDEM_PACKET_RELEASE TANDEM_MASK(12, 11) /* enum tandem_fence_scope, before the packet completes */

enum tandem_packet_type {
	TANDEM_PACKET_VENDOR          = 0, /* struct tandem_copy_packet */
	TANDEM_PACKET_INVALID         = 1,
	TANDEM_PACKET_KERNEL_DISPATCH = 2,
	TANDEM_PACKET_BARRIER_AND     = 3,
	TANDEM_PACKET_AGENT_DISPATCH  = 4, /* not supported: a queue error */
	TANDEM_PACKET_BARRIER_OR      = 5,
};

enum tandem_fence_scope {
	TANDEM_FENCE_NONE   = 0,
	TANDEM_FENCE_AGENT  = 1,
	TANDEM_FENCE_SYSTEM = 2,
};

struct tandem_dispatch_packet {
	uint16_t header;             /* 0x00 */
	uint16_t setup;              /* 0x02 bits 1..0: number of dimensions, 1..3 */
	uint16_t workgroup_size[3];  /* 0x04 x, y, z; product at most TANDEM_WORKGROUP_MAX */
	uint16_t reserved0;
	uint32_t grid_size[3];       /* 0x0c work items; need not be a multiple of the workgroup's */
	uint32_t private_bytes;      /* 0x18 stack of a lane that the kernel needs; at most the queue's */
	uint32_t group_bytes;        /* 0x1c LDS of a workgroup */
	uint64_t kernel_object;      /* 0x20 VA of struct tandem_kernel_descriptor */
	uint64_t kernarg_address;    /* 0x28 VA, in a0 when a lane starts */
	uint64_t reserved2;
	uint64_t completion_signal;  /* 0x38 VA of struct tandem_signal or 0 */
};
TANDEM_ASSERT_SIZE(struct tandem_dispatch_packet, 64);
TANDEM_ASSERT_OFFSET(struct tandem_dispatch_packet, kernel_object, 0x20);

#define TANDEM_DISPATCH_DIMENSIONS TANDEM_MASK(1, 0)
#define TANDEM_WORKGROUP_MAX 1024

struct tandem_barrier_packet {
	uint16_t header;             /* 0x00 */
	uint16_t reserved0;
	uint32_t reserved1;
	uint64_t dependency[5];      /* 0x08 VA of struct tandem_signal or 0; waits until all (AND) or one (OR) is 0 */
	uint64_t reserved2;
	uint64_t completion_signal;  /* 0x38 */
};
TANDEM_ASSERT_SIZE(struct tandem_barrier_packet, 64);

/* Vendor packet: the copy engine, on the process's virtual addresses. */
enum tandem_copy_operation {
	/* 0 is not valid */
	TANDEM_COPY_LINEAR = 1, /* source .. source+bytes to destination; must not overlap */
	TANDEM_COPY_FILL   = 2, /* 64-bit pattern in source, little-endian, repeated */
};

struct tandem_copy_packet {
	uint16_t header;             /* 0x00 */
	uint16_t operation;          /* 0x02 enum tandem_copy_operation */
	uint32_t reserved0;
	uint64_t source;             /* 0x08 VA or pattern */
	uint64_t destination;        /* 0x10 VA */
	uint64_t bytes;              /* 0x18 */
	uint64_t reserved1[3];
	uint64_t completion_signal;  /* 0x38 */
};
TANDEM_ASSERT_SIZE(struct tandem_copy_packet, 64);

/*
 * A signal, in the layout of HSA's amd_signal_t. On completion the device writes the time stamps, then decrements value by
 * a system-scope atomic with release order; then, if event_id is not 0, posts TANDEM_EVENT_SIGNAL with event_id.
 */
enum tandem_signal_kind {
	TANDEM_SIGNAL_USER = 1,
};

struct tandem_signal {
	int64_t kind;                /* 0x00 enum tandem_signal_kind */
	int64_t value;               /* 0x08 */
	uint64_t event_mailbox;      /* 0x10 not used, 0 */
	uint32_t event_id;           /* 0x18 0: nobody sleeps on this signal */
	uint32_t reserved0;
	uint64_t start_ns;           /* 0x20 device clock when the packet started */
	uint64_t end_ns;             /* 0x28 when it completed */
	uint64_t reserved1;
	uint32_t reserved2[2];
};
TANDEM_ASSERT_SIZE(struct tandem_signal, 64);
TANDEM_ASSERT_OFFSET(struct tandem_signal, start_ns, 0x20);

/*
 * A queue's indices, in the process's memory. The process adds to write_index and rings the doorbell with the new value;
 * the device publishes read_index (with release order) when a packet's slot may be used again. Indices are 64-bit packet
 * numbers that never wrap.
 */
struct tandem_queue_indices {
	uint64_t write_index;        /* 0x00 */
	uint64_t reserved0[7];
	uint64_t read_index;         /* 0x40 */
	uint64_t reserved1[7];
};
TANDEM_ASSERT_SIZE(struct tandem_queue_indices, 128);
TANDEM_ASSERT_OFFSET(struct tandem_queue_indices, read_index, 0x40);

/* What kernel_object points to; the runtime's loader builds it. */
#define TANDEM_KERNEL_MAGIC 0x4c4e524bu /* "KRNL" */

struct tandem_kernel_descriptor {
	uint32_t magic;              /* 0x00 TANDEM_KERNEL_MAGIC */
	uint32_t abi_major;          /* 0x04 TANDEM_ABI_MAJOR */
	uint64_t entry;              /* 0x08 VA of the first instruction */
	uint64_t global_pointer;     /* 0x10 initial gp, or 0 */
	uint32_t group_bytes;        /* 0x18 LDS that the kernel declares itself; the packet's comes on top */
	uint32_t private_bytes;      /* 0x1c least stack of a lane */
	uint64_t reserved[4];
};
TANDEM_ASSERT_SIZE(struct tandem_kernel_descriptor, 64);

#endif
