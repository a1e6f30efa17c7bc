/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands in for QEMU's header of this name, as all files of this folder do: just what tandem-exec.c uses, on POSIX threads, so
 * that ThreadSanitizer sees every lock. Atomics order what QEMU's do and no more.
 */
#ifndef SHIM_QEMU_OSDEP_H
#define SHIM_QEMU_OSDEP_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

typedef struct Error Error;

#define qatomic_read(pointer) __atomic_load_n(pointer, __ATOMIC_RELAXED)
#define qatomic_set(pointer, value) __atomic_store_n(pointer, value, __ATOMIC_RELAXED)
#define qatomic_inc(pointer) ((void)__atomic_fetch_add(pointer, 1, __ATOMIC_SEQ_CST))
#define qatomic_or(pointer, value) ((void)__atomic_fetch_or(pointer, value, __ATOMIC_SEQ_CST))
#define qatomic_xchg(pointer, value) __atomic_exchange_n(pointer, value, __ATOMIC_SEQ_CST)

#define SCALE_MS 1000000

static inline int ctz32(uint32_t value)
{
	return value ? __builtin_ctz(value) : 32;
}

typedef struct VMStateDescription VMStateDescription;

#endif
