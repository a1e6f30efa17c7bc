/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR MIT */
/*
 * What the driver tells the coherence checker (docs/checker.md), only where TANDEM_FEATURE_CHECK says that there is one: where
 * the page tables of processes are and how they are read, and what Linux is doing to them. The checker is no part of the
 * hardware: addresses here are physical ones, whether an IOMMU translates for the device or not, and it only reads.
 *
 * TANDEM_REG_CHECK_FORMAT leads to one struct tandem_check_format for the device, read when it is written; BIND to one
 * struct tandem_check_space for each address space, read whenever it is needed, until UNBIND or a reset.
 */
#ifndef TANDEM_ABI_CHECK_H
#define TANDEM_ABI_CHECK_H

#include "tandem_base.h"
#include "tandem_regs.h"

/* ---- how the page tables of processes are read ---- */

/*
 * Tables of TANDEM_CHECK_TABLE_ENTRIES entries of 8 bytes; a level is 9 bits of the address. An entry is, in this order:
 *
 *   nothing       no bit but those of `ignored` is set
 *   present       all bits of `present` are set. It grants only with all bits of `user`, at every level; writing only with all
 *                 bits of `write`, at every level. Above level 0 it is a leaf with all bits of `large`, else it leads to
 *                 the next table. Its address is in `address`; a large leaf's ends at its own size
 *   without right with all bits of `none_right`
 *   in transit    above level 0 with all bits of `large`: Linux is at it, and will write it again
 *   soft          neither: bits `type` have a number, kinds[number] says of what (enum tandem_check_kind); bits `offset`, after
 *                 exclusive or with `offset_flip`, have a value of which `offset_frame` is the number of a page frame
 *
 * Of a leaf above level 0 the frame is that of its first page.
 */
#define TANDEM_CHECK_TABLE_ENTRIES 512
#define TANDEM_CHECK_LEVEL_BITS    9
#define TANDEM_CHECK_TYPES         64
#define TANDEM_CHECK_LEVELS_MAX    5

enum tandem_check_kind {
	TANDEM_CHECK_UNKNOWN      = 0,
	TANDEM_CHECK_SWAP         = 1,
	TANDEM_CHECK_MIGRATION    = 2,
	TANDEM_CHECK_DEVICE_READ  = 3, /* a page of a device's memory, which CPUs do not reach */
	TANDEM_CHECK_DEVICE_WRITE = 4,
	TANDEM_CHECK_EXCLUSIVE    = 5, /* a page that a device has to itself */
	TANDEM_CHECK_POISON       = 6,
	TANDEM_CHECK_MARKER       = 7,
};

/* Page frames that are the memory of a GPU, as this GPU reaches it. pages 0: not in use. */
struct tandem_check_frames {
	uint64_t first;     /* 0x00 number of the first frame, which is offset 0 */
	uint64_t pages;     /* 0x08 */
	uint32_t aperture;  /* 0x10 enum tandem_aperture: VRAM or PEER */
	uint32_t peer;      /* 0x14 which peer, for PEER; else 0 */
};
TANDEM_ASSERT_SIZE(struct tandem_check_frames, 24);

/* Its own, then those on the link, each at its number. Changed only while no page of the GPU concerned is mapped. */
#define TANDEM_CHECK_FRAMES_OWN   TANDEM_FABRIC_LIMIT
#define TANDEM_CHECK_FRAMES_COUNT (TANDEM_FABRIC_LIMIT + 1)

/*
 * The lives of the GPU's own pages of VRAM: a uint32_t for each, in a row. The driver adds 1 whenever it gives the page out and whenever
 * it comes back, so that it is somebody's while the number is odd. Each life begins with a COPY or FILL into the page.
 */

struct tandem_check_format {
	uint64_t ignored;      /* 0x00 */
	uint64_t present;      /* 0x08 */
	uint64_t user;         /* 0x10 */
	uint64_t write;        /* 0x18 */
	uint64_t large;        /* 0x20 */
	uint64_t address;      /* 0x28 */
	uint64_t none_right;   /* 0x30 */
	uint64_t type;         /* 0x38 */
	uint64_t offset;       /* 0x40 */
	uint64_t offset_flip;  /* 0x48 */
	uint64_t offset_frame; /* 0x50 */
	uint64_t vram_lives;   /* 0x58 physical address of the lives of its pages of VRAM; 0: not told */
	uint64_t reserved[4];
	uint8_t kinds[TANDEM_CHECK_TYPES]; /* 0x80 enum tandem_check_kind */
	struct tandem_check_frames frames[TANDEM_CHECK_FRAMES_COUNT]; /* 0xc0 */
};
TANDEM_ASSERT_OFFSET(struct tandem_check_format, kinds, 0x80);
TANDEM_ASSERT_OFFSET(struct tandem_check_format, frames, 0xc0);
TANDEM_ASSERT_SIZE(struct tandem_check_format, 0xc0 + 24 * 17);

/* ---- what Linux is doing to one process's memory ---- */

/*
 * A window is the time between a notifier's start and its end: in it Linux changes entries of the range. It is opened after
 * everything that the driver does at the start (for a mirror: after the acknowledgement of its invalidation), and before Linux
 * changes anything. So an entry of the device that was there before a window over it, and is there after it was opened, is one
 * that should have gone. Except in a window of the driver's own: it takes the page for the device, which keeps it.
 *
 * Windows are numbered from 1 as they open; number n is in windows[n % TANDEM_CHECK_WINDOWS]. A slot is used again only after
 * its window has been closed: a window that finds no slot is counted in `lost` while it is open.
 *
 * Order: the writer sets number to 0, writes the slot, then number, then `opened`, each after the other is visible; the
 * reader reads `opened`, then number, the slot, and number again.
 */
#define TANDEM_CHECK_WINDOWS 96

struct tandem_check_window {
	uint64_t number;   /* 0x00 0: being written */
	uint64_t start;    /* 0x08 */
	uint64_t end;      /* 0x10 exclusive */
	uint32_t cause;    /* 0x18 enum tandem_cause */
	uint16_t open;     /* 0x1c 1; 0: it has been closed */
	uint16_t own;      /* 0x1e 1: the driver's own section */
	uint32_t tgid;     /* 0x20 process that does it */
	uint32_t reserved;
};
TANDEM_ASSERT_SIZE(struct tandem_check_window, 40);

/* One page. */
struct tandem_check_space {
	uint64_t root;     /* 0x00 physical address of the process's top table */
	uint32_t levels;   /* 0x08 of its tables */
	uint32_t flushing; /* 0x0c TANDEM_REG_CHECK_AT_REST: TLBs of the CPUs are still to be flushed */
	uint64_t opened;   /* 0x10 number of the window opened last */
	uint32_t open;     /* 0x18 windows that are open now, with a slot or without */
	uint32_t lost;     /* 0x1c those of them that have none */
	uint32_t lax_atomics; /* 0x20 1: a test has pages mapped for atomics that the CPUs reach, on purpose */
	uint32_t reserved[7];
	struct tandem_check_window windows[TANDEM_CHECK_WINDOWS]; /* 0x40 */
};
TANDEM_ASSERT_OFFSET(struct tandem_check_space, windows, 0x40);
TANDEM_STATIC_ASSERT(sizeof(struct tandem_check_space) <= 4096, "struct tandem_check_space must fit into a page");

#endif
