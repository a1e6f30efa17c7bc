/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_SYSTEM_MEMORY_H
#define SHIM_SYSTEM_MEMORY_H

typedef struct MemoryRegion { int unused; } MemoryRegion;
typedef struct MemoryListener { int unused; } MemoryListener;

#endif
