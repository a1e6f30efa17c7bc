/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_SYSTEM_MEMORY_H
#define SHIM_SYSTEM_MEMORY_H

typedef struct MemoryRegion { void *ram; } MemoryRegion;
typedef struct MemoryListener { int unused; } MemoryListener;

static inline void *memory_region_get_ram_ptr(MemoryRegion *mr)
{
	return mr->ram;
}

#endif
