/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR MIT */
/*
 * What every other abi header rests on: fixed-width types in the kernel, in C, in C++ and on the GPU itself, compile-time
 * checks of layouts, and helpers that put a value into a field or take it out. All structures are little-endian and laid
 * out with explicit padding; no bit fields.
 */
#ifndef TANDEM_ABI_BASE_H
#define TANDEM_ABI_BASE_H

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>
#else
#include <stddef.h>
#include <stdint.h>
#endif

#ifdef __cplusplus
#define TANDEM_STATIC_ASSERT(cond, msg) static_assert(cond, msg)
#else
#define TANDEM_STATIC_ASSERT(cond, msg) _Static_assert(cond, msg)
#endif

#define TANDEM_ASSERT_SIZE(type, bytes) TANDEM_STATIC_ASSERT(sizeof(type) == (bytes), #type " must be " #bytes " bytes")
#define TANDEM_ASSERT_OFFSET(type, member, bytes) \
	TANDEM_STATIC_ASSERT(offsetof(type, member) == (bytes), #type "." #member " must be at " #bytes)

/* A mask of the bits hi..lo, as an integer constant of 64 bits. */
#define TANDEM_BIT(n) (1ULL << (n))
#define TANDEM_MASK(hi, lo) ((~0ULL >> (63 - (hi))) & (~0ULL << (lo)))

/* Takes a field out of a word, and puts a value into an empty field. The value must fit: see tandem_field_fits(). */
#define TANDEM_FIELD_GET(mask, word) (((uint64_t)(word) & (mask)) / ((mask) & (~(mask) + 1)))
#define TANDEM_FIELD_PUT(mask, value) (((uint64_t)(value) * ((mask) & (~(mask) + 1))) & (mask))
#define TANDEM_FIELD_FITS(mask, value) (TANDEM_FIELD_GET(mask, TANDEM_FIELD_PUT(mask, value)) == (uint64_t)(value))

/* Version of everything in this directory. The driver refuses a device of another major version. */
#define TANDEM_ABI_MAJOR 1
#define TANDEM_ABI_MINOR 2

/* Lanes of one wavefront. */
#define TANDEM_WAVE_LANES 32

/* Virtual addresses that the GPU translates have 47 bits: bits 63..47 must be 0. */
#define TANDEM_VA_BITS 47
#define TANDEM_VA_LIMIT (1ULL << TANDEM_VA_BITS)

#endif
