/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device header: what a kernel, compiled for the GPU by tandem-kcc, sees of the machine it runs on. For C and C++.
 * Everything here is one instruction or a few.
 *
 * A kernel is a function with one argument, the kernarg pointer of the dispatch; it runs once for each work item (lane):
 *
 *     TANDEM_KERNEL void scale(struct scale_arguments *a)
 *     {
 *             uint64_t i = tandem_global_id_x();
 *             a->data[i] *= a->factor;
 *     }
 *
 * All pointers are the process's own. There is no C library; memcpy, memmove, memset and memcmp are linked in, because
 * compilers call them.
 *
 * Divergence. Lanes may take different ways, loop for different numbers of rounds, recurse, call through pointers. They come
 * together again by themselves. tandem_ballot(), tandem_shuffle() and tandem_active_lanes() speak of the lanes that execute
 * that very instruction together: use them where all lanes of a wavefront come, not inside a diverged branch.
 *
 * Memory order. Between lanes, wavefronts and CPU threads the rules of C11 hold, and the __atomic built-ins of the
 * compiler are the way to say what is wanted: every atomic and every fence has system scope, that is, holds against the
 * CPUs as well. Atomic read-modify-write comes in 32 and 64 bits. A plain store may become visible late and out of order, and
 * so may a plain load be done.
 *
 * Scopes. Most sharing stays within the device, or within a workgroup. tandem_atomic_*() and tandem_fence_scope() say for
 * whom an atomic or a fence has to hold. The narrower ones never ask for the right to do atomics on a page: on a GPU
 * without PCIe AtomicOps they take no page away from the CPUs, and cost no fault. Do not mix scopes on one word while others than
 * the narrowest can reach it: to a CPU an atomic of device scope is a load and a store.
 */
#ifndef TANDEM_DEVICE_H
#define TANDEM_DEVICE_H

#ifndef __riscv
#error "tandem/device.h is for kernels: compile this file with tandem-kcc"
#endif

#include <stddef.h>
#include <stdint.h>

#include "tandem_kernel_isa.h"

#ifdef __cplusplus
#define TANDEM_EXTERN_C extern "C"
#else
#define TANDEM_EXTERN_C
#endif

/* Marks a kernel: the host finds it by its name. */
#define TANDEM_KERNEL TANDEM_EXTERN_C __attribute__((used, visibility("default")))

/*
 * What a kernel needs beyond the usual, once for each kernel that needs it, after its definition: LDS of a workgroup and
 * stack of a lane, in bytes. The loader reads the records from this section.
 */
struct tandem_kernel_needs {
	uint64_t entry;         /* address of the kernel */
	uint32_t group_bytes;
	uint32_t private_bytes;
};

#define TANDEM_KERNEL_NEEDS_SECTION ".tandem.kernels"
#define TANDEM_KERNEL_NEEDS(kernel, lds_bytes, stack_bytes)                                          \
	static const struct {                                                                        \
		void (*entry)(void);                                                                 \
		uint32_t group_bytes;                                                                \
		uint32_t private_bytes;                                                              \
	} tandem_needs_of_##kernel __attribute__((used, section(TANDEM_KERNEL_NEEDS_SECTION))) =     \
		{(void (*)(void))(kernel), (lds_bytes), (stack_bytes)}

#define TANDEM_STRING_(x) #x
#define TANDEM_STRING(x) TANDEM_STRING_(x)

/* Who am I: constant for the life of a lane, so the compiler may read once and keep. */
#define TANDEM_ID_FUNCTION(name, csr)                                                  \
	static inline __attribute__((always_inline)) uint64_t name(void)               \
	{                                                                              \
		uint64_t value;                                                        \
		__asm__("csrr %0, " TANDEM_STRING(csr) : "=r"(value));                 \
		return value;                                                          \
	}

TANDEM_ID_FUNCTION(tandem_lane_id, TANDEM_CSR_LANE_ID)           /* 0..31 in the wavefront */
TANDEM_ID_FUNCTION(tandem_wave_id, TANDEM_CSR_WAVE_ID)           /* wavefront in the workgroup */
TANDEM_ID_FUNCTION(tandem_global_id_x, TANDEM_CSR_GLOBAL_ID_X)   /* work item in the grid */
TANDEM_ID_FUNCTION(tandem_global_id_y, TANDEM_CSR_GLOBAL_ID_Y)
TANDEM_ID_FUNCTION(tandem_global_id_z, TANDEM_CSR_GLOBAL_ID_Z)
TANDEM_ID_FUNCTION(tandem_local_id_x, TANDEM_CSR_LOCAL_ID_X)     /* work item in the workgroup */
TANDEM_ID_FUNCTION(tandem_local_id_y, TANDEM_CSR_LOCAL_ID_Y)
TANDEM_ID_FUNCTION(tandem_local_id_z, TANDEM_CSR_LOCAL_ID_Z)
TANDEM_ID_FUNCTION(tandem_group_id_x, TANDEM_CSR_GROUP_ID_X)     /* workgroup in the grid */
TANDEM_ID_FUNCTION(tandem_group_id_y, TANDEM_CSR_GROUP_ID_Y)
TANDEM_ID_FUNCTION(tandem_group_id_z, TANDEM_CSR_GROUP_ID_Z)
TANDEM_ID_FUNCTION(tandem_group_size_x, TANDEM_CSR_GROUP_SIZE_X) /* of a full workgroup, in work items */
TANDEM_ID_FUNCTION(tandem_group_size_y, TANDEM_CSR_GROUP_SIZE_Y)
TANDEM_ID_FUNCTION(tandem_group_size_z, TANDEM_CSR_GROUP_SIZE_Z)
TANDEM_ID_FUNCTION(tandem_grid_size_x, TANDEM_CSR_GRID_SIZE_X)   /* in work items */
TANDEM_ID_FUNCTION(tandem_grid_size_y, TANDEM_CSR_GRID_SIZE_Y)
TANDEM_ID_FUNCTION(tandem_grid_size_z, TANDEM_CSR_GRID_SIZE_Z)
TANDEM_ID_FUNCTION(tandem_lds_base, TANDEM_CSR_LDS_BASE)
TANDEM_ID_FUNCTION(tandem_lds_bytes, TANDEM_CSR_LDS_BYTES)
TANDEM_ID_FUNCTION(tandem_dispatch_id, TANDEM_CSR_DISPATCH_ID)   /* packet number in the queue */

#undef TANDEM_ID_FUNCTION

/* These two may differ from one instruction to the next. */
static inline __attribute__((always_inline)) uint64_t tandem_compute_unit(void)
{
	uint64_t value;

	__asm__ volatile("csrr %0, " TANDEM_STRING(TANDEM_CSR_COMPUTE_UNIT) : "=r"(value));
	return value;
}

static inline __attribute__((always_inline)) uint32_t tandem_active_lanes(void)
{
	uint64_t value;

	__asm__ volatile("csrr %0, " TANDEM_STRING(TANDEM_CSR_ACTIVE_LANES) : "=r"(value));
	return (uint32_t)value;
}

/*
 * Accesses of this lane, loads, stores and atomics, that were skipped so far: on a queue made with TANDEM_QUEUE_RESIDENT_ONLY, where
 * the process had no such page. A load that was skipped gave 0.
 */
static inline __attribute__((always_inline)) uint32_t tandem_skipped(void)
{
	uint64_t value;

	__asm__ volatile("csrr %0, " TANDEM_STRING(TANDEM_CSR_SKIPPED) : "=r"(value)::"memory");
	return (uint32_t)value;
}

/* Byte `offset` of the workgroup's local memory. Beyond tandem_lds_bytes() an access ends the queue with an error. */
static inline __attribute__((always_inline)) void *tandem_lds(uint64_t offset)
{
	return (void *)(uintptr_t)(tandem_lds_base() + offset);
}

/* Waits for all lanes of the workgroup that have not ended; what they wrote before is seen by all of them afterwards. */
static inline __attribute__((always_inline)) void tandem_barrier(void)
{
	__asm__ volatile(".insn r " TANDEM_STRING(TANDEM_OPCODE_CUSTOM0) ", " TANDEM_STRING(TANDEM_FUNCT3_BARRIER)
			 ", 0, x0, x0, x0" ::: "memory");
}

/* Ends this lane. */
static inline __attribute__((always_inline, noreturn)) void tandem_exit(void)
{
	__asm__ volatile(".insn r " TANDEM_STRING(TANDEM_OPCODE_CUSTOM0) ", " TANDEM_STRING(TANDEM_FUNCT3_EXIT)
			 ", 0, x0, x0, x0" ::: "memory");
	__builtin_unreachable();
}

/* Bit n is set if lane n executes this together with us and its condition is not 0. */
static inline __attribute__((always_inline)) uint32_t tandem_ballot(uint64_t condition)
{
	uint64_t mask;

	__asm__ volatile(".insn r " TANDEM_STRING(TANDEM_OPCODE_CUSTOM0) ", " TANDEM_STRING(TANDEM_FUNCT3_BALLOT)
			 ", 0, %0, %1, x0" : "=r"(mask) : "r"(condition));
	return (uint32_t)mask;
}

/* The value of lane (lane & 31), or 0 if it does not execute this together with us. */
static inline __attribute__((always_inline)) uint64_t tandem_shuffle(uint64_t value, uint64_t lane)
{
	uint64_t other;

	__asm__ volatile(".insn r " TANDEM_STRING(TANDEM_OPCODE_CUSTOM0) ", " TANDEM_STRING(TANDEM_FUNCT3_SHUFFLE)
			 ", 0, %0, %1, %2" : "=r"(other) : "r"(value), "r"(lane));
	return other;
}

/*
 * Atomics with a scope. They return the old value. `order` is one of the __ATOMIC_ constants; it and `scope` should be constants:
 * each call is one instruction then.
 *
 *     old = tandem_atomic_add64(&a->tickets, 1, __ATOMIC_RELAXED, TANDEM_SCOPE_DEVICE);
 *
 * name           operation on the word           type of the word
 * swap           = value                         uint32_t, uint64_t
 * add and or xor += &= |= ^= value               uint32_t, uint64_t
 * min max        the smaller, larger one         int32_t, int64_t
 * minu maxu      the same, unsigned              uint32_t, uint64_t
 *
 * Acquire orders what comes after it, release what comes before it, __ATOMIC_ACQ_REL and __ATOMIC_SEQ_CST both.
 */
#define TANDEM_AQRL_(order)                                                                     \
	((order) == __ATOMIC_RELAXED ? 0 :                                                      \
	 (order) == __ATOMIC_RELEASE ? 1 :                                                      \
	 (order) == __ATOMIC_ACQUIRE || (order) == __ATOMIC_CONSUME ? 2 : 3)

#define TANDEM_AMO_INSTRUCTION_(opcode, funct3, funct5, aqrl, operand)                          \
	__asm__ volatile(".insn r " TANDEM_STRING(opcode) ", " #funct3 ", " #funct5 " * 4 + " #aqrl ", %0, %1, " operand \
			 : "=r"(result) : "r"(at), "r"(value) : "memory")

#define TANDEM_AMO_ORDERS_(opcode, funct3, funct5, operand)                                     \
	switch (TANDEM_AQRL_(order)) {                                                          \
	case 0: TANDEM_AMO_INSTRUCTION_(opcode, funct3, funct5, 0, operand); break;             \
	case 1: TANDEM_AMO_INSTRUCTION_(opcode, funct3, funct5, 1, operand); break;             \
	case 2: TANDEM_AMO_INSTRUCTION_(opcode, funct3, funct5, 2, operand); break;             \
	default: TANDEM_AMO_INSTRUCTION_(opcode, funct3, funct5, 3, operand); break;            \
	}

/* The instruction of this scope and order; leaves its rd in `result`. */
#define TANDEM_AMO_(funct3, funct5, operand)                                                    \
	switch (scope) {                                                                        \
	case TANDEM_SCOPE_WORKGROUP:                                                            \
		TANDEM_AMO_ORDERS_(TANDEM_OPCODE_AMO_WORKGROUP, funct3, funct5, operand) break; \
	case TANDEM_SCOPE_DEVICE:                                                               \
		TANDEM_AMO_ORDERS_(TANDEM_OPCODE_AMO_DEVICE, funct3, funct5, operand) break;    \
	default:                                                                                \
		TANDEM_AMO_ORDERS_(TANDEM_OPCODE_AMO, funct3, funct5, operand) break;           \
	}

#define TANDEM_ATOMIC_FUNCTION_(name, type, funct3, funct5)                                     \
	static inline __attribute__((always_inline)) type tandem_atomic_##name(type *at, type value, int order,        \
									       enum tandem_scope scope)        \
	{                                                                                       \
		uint64_t result;                                                                \
		TANDEM_AMO_(funct3, funct5, "%2")                                               \
		return (type)result;                                                            \
	}

TANDEM_ATOMIC_FUNCTION_(swap32, uint32_t, 2, 0x01)
TANDEM_ATOMIC_FUNCTION_(swap64, uint64_t, 3, 0x01)
TANDEM_ATOMIC_FUNCTION_(add32, uint32_t, 2, 0x00)
TANDEM_ATOMIC_FUNCTION_(add64, uint64_t, 3, 0x00)
TANDEM_ATOMIC_FUNCTION_(and32, uint32_t, 2, 0x0c)
TANDEM_ATOMIC_FUNCTION_(and64, uint64_t, 3, 0x0c)
TANDEM_ATOMIC_FUNCTION_(or32, uint32_t, 2, 0x08)
TANDEM_ATOMIC_FUNCTION_(or64, uint64_t, 3, 0x08)
TANDEM_ATOMIC_FUNCTION_(xor32, uint32_t, 2, 0x04)
TANDEM_ATOMIC_FUNCTION_(xor64, uint64_t, 3, 0x04)
TANDEM_ATOMIC_FUNCTION_(min32, int32_t, 2, 0x10)
TANDEM_ATOMIC_FUNCTION_(min64, int64_t, 3, 0x10)
TANDEM_ATOMIC_FUNCTION_(max32, int32_t, 2, 0x14)
TANDEM_ATOMIC_FUNCTION_(max64, int64_t, 3, 0x14)
TANDEM_ATOMIC_FUNCTION_(minu32, uint32_t, 2, 0x18)
TANDEM_ATOMIC_FUNCTION_(minu64, uint64_t, 3, 0x18)
TANDEM_ATOMIC_FUNCTION_(maxu32, uint32_t, 2, 0x1c)
TANDEM_ATOMIC_FUNCTION_(maxu64, uint64_t, 3, 0x1c)

/*
 * Load-reserved and store-conditional, in pairs on the same word and in the same scope, with no other memory access in between.
 * The store is not done, and the answer is 0, if somebody else may have written since; be ready to try again.
 */
#define TANDEM_RESERVE_FUNCTIONS_(bits, type, funct3)                                           \
	static inline __attribute__((always_inline)) type tandem_load_reserved##bits(type *at, int order,              \
										     enum tandem_scope scope)  \
	{                                                                                       \
		const uint64_t value = 0;                                                       \
		uint64_t result;                                                                \
		TANDEM_AMO_(funct3, 0x02, "x0")                                                 \
		return (type)result;                                                            \
	}                                                                                       \
	static inline __attribute__((always_inline)) int tandem_store_conditional##bits(type *at, type value,          \
											int order,             \
											enum tandem_scope scope) \
	{                                                                                       \
		uint64_t result;                                                                \
		TANDEM_AMO_(funct3, 0x03, "%2")                                                 \
		return result == 0;                                                             \
	}

TANDEM_RESERVE_FUNCTIONS_(32, uint32_t, 2)
TANDEM_RESERVE_FUNCTIONS_(64, uint64_t, 3)

#undef TANDEM_RESERVE_FUNCTIONS_
#undef TANDEM_ATOMIC_FUNCTION_
#undef TANDEM_AMO_
#undef TANDEM_AMO_ORDERS_
#undef TANDEM_AMO_INSTRUCTION_

#define TANDEM_FENCE_INSTRUCTION_(scope, before, after)                                         \
	__asm__ volatile(".insn r " TANDEM_STRING(TANDEM_OPCODE_CUSTOM0) ", " TANDEM_STRING(TANDEM_FUNCT3_FENCE)       \
			 ", " #scope ", x0, x" #before ", x" #after ::: "memory")

#define TANDEM_FENCE_ORDERS_(scope)                                                             \
	switch (TANDEM_AQRL_(order)) {                                                          \
	case 0: __asm__ volatile("" ::: "memory"); break;                                       \
	case 1: TANDEM_FENCE_INSTRUCTION_(scope, 3, 1); break;                                  \
	case 2: TANDEM_FENCE_INSTRUCTION_(scope, 2, 3); break;                                  \
	default: TANDEM_FENCE_INSTRUCTION_(scope, 3, 3); break;                                 \
	}

/* A fence of the given order that holds among the lanes of that scope (and, if it is the system, the CPUs). */
static inline __attribute__((always_inline)) void tandem_fence_scope(int order, enum tandem_scope scope)
{
	switch (scope) {
	case TANDEM_SCOPE_WORKGROUP:
		TANDEM_FENCE_ORDERS_(2) break;
	case TANDEM_SCOPE_DEVICE:
		TANDEM_FENCE_ORDERS_(1) break;
	default:
		TANDEM_FENCE_ORDERS_(0) break;
	}
}

#undef TANDEM_FENCE_ORDERS_
#undef TANDEM_FENCE_INSTRUCTION_
#undef TANDEM_AQRL_

/* Everything this lane wrote before is seen, by lanes and CPUs, before what it writes afterwards; the same for reads. */
static inline __attribute__((always_inline)) void tandem_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#endif
