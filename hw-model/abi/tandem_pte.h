/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR MIT */
/*
 * Device page tables (the GMMU): four levels of 512 entries of 8 bytes, each table one 4 KiB page of system memory.
 * Level 3 is the root; an entry of level n covers 4 KiB << (9 * n).
 *
 *   level 3: directory entries only         512 GiB
 *   level 2: directory entry or 1 GiB leaf
 *   level 1: directory entry or 2 MiB leaf
 *   level 0: 4 KiB leaf; 16 aligned neighbours with TANDEM_PTE_GROUP form one 64 KiB leaf
 *
 * Accessed and dirty are set by the walker by compare-and-swap on the whole entry, before the access is made; if the entry
 * changed meanwhile the walk starts again. The driver clears an entry by exchange, so no dirty bit is lost: a store
 * needs a TLB entry whose fill saw or set DIRTY. In a 64 KiB group the walker sets the bits in the entry of the page
 * that was accessed first, so the group is dirty if any of the 16 is.
 */
#ifndef TANDEM_ABI_PTE_H
#define TANDEM_ABI_PTE_H

#include "tandem_base.h"

#define TANDEM_PTE_VALID      TANDEM_BIT(0)
#define TANDEM_PTE_WRITE      TANDEM_BIT(1)
#define TANDEM_PTE_ATOMIC     TANDEM_BIT(2) /* atomics permitted (they need WRITE, too) */
#define TANDEM_PTE_ACCESSED   TANDEM_BIT(3)
#define TANDEM_PTE_DIRTY      TANDEM_BIT(4)
#define TANDEM_PTE_LEAF       TANDEM_BIT(5) /* levels 2 and 1: a leaf, no directory. Level 0: must be set */
#define TANDEM_PTE_GROUP      TANDEM_BIT(6) /* level 0: one of 16 entries of an aligned 64 KiB leaf; they agree in
					     * everything but ACCESSED and DIRTY, and their addresses are consecutive
					     * and 64 KiB aligned */
#define TANDEM_PTE_SOFTWARE   TANDEM_MASK(11, 8)  /* for the driver; ignored by the walker */
#define TANDEM_PTE_ADDRESS    TANDEM_MASK(51, 12) /* system: DMA address; VRAM: offset; bits 51..12 in place */
#define TANDEM_PTE_APERTURE   TANDEM_MASK(53, 52) /* enum tandem_aperture */
#define TANDEM_PTE_PEER       TANDEM_MASK(57, 54) /* which peer, for the peer aperture */
#define TANDEM_PTE_RESERVED   (TANDEM_MASK(63, 58) | TANDEM_BIT(7)) /* must be 0, else a PTE fault */

/* A directory entry has VALID, not LEAF, the next table's DMA address, and nothing else. */
#define TANDEM_PDE_RESERVED   (~(TANDEM_PTE_VALID | TANDEM_PTE_ADDRESS | TANDEM_PTE_SOFTWARE))

enum tandem_aperture {
	TANDEM_APERTURE_SYSTEM = 0,
	TANDEM_APERTURE_VRAM   = 1,
	TANDEM_APERTURE_PEER   = 2,
};

#define TANDEM_PT_LEVELS        4
#define TANDEM_PT_ENTRIES       512
#define TANDEM_PT_BYTES         4096
#define TANDEM_PAGE_SHIFT       12
#define TANDEM_PAGE_BYTES       4096ULL
#define TANDEM_GROUP_PAGES      16
#define TANDEM_LEVEL_SHIFT(level) (TANDEM_PAGE_SHIFT + 9 * (level))
#define TANDEM_LEVEL_INDEX(va, level) (((va) >> TANDEM_LEVEL_SHIFT(level)) & (TANDEM_PT_ENTRIES - 1))

/* log2 of the bytes that a leaf covers: 12, 16, 21 or 30. */
enum tandem_leaf_shift {
	TANDEM_LEAF_4K  = 12,
	TANDEM_LEAF_64K = 16,
	TANDEM_LEAF_2M  = 21,
	TANDEM_LEAF_1G  = 30,
};

#endif
