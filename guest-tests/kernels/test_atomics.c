/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each atomic memory operation of RV64A, in 32 and 64 bits, on cells that all lanes and the CPUs share. */
#include "tandem/device.h"

#include "arguments.h"

#define AMO(name, type, cell, operand)                                                                       \
	do {                                                                                                 \
		type ignored_;                                                                               \
		__asm__ volatile(name " %0, %2, %1" : "=r"(ignored_), "+A"(*(cell)) : "r"((type)(operand)) : "memory"); \
	} while (0)

static void amo64(uint64_t *cells, uint64_t item)
{
	uint64_t bit = 1ull << (item & 63);

	AMO("amoadd.d", uint64_t, &cells[0], item);
	AMO("amoand.d", uint64_t, &cells[1], ~bit);
	AMO("amoor.d", uint64_t, &cells[2], bit);
	AMO("amoxor.d", uint64_t, &cells[3], bit);
	AMO("amomin.d", int64_t, &cells[4], -(int64_t)item);
	AMO("amomax.d", int64_t, &cells[5], (int64_t)item);
	AMO("amominu.d", uint64_t, &cells[6], ~0ull - item);
	AMO("amomaxu.d", uint64_t, &cells[7], ~0ull - 1000 + item);
}

static void amo32(uint32_t *cells, uint64_t item)
{
	uint32_t bit = 1u << (item & 31);

	AMO("amoadd.w", uint64_t, &cells[0], item);
	AMO("amoand.w", uint64_t, &cells[1], ~bit);
	AMO("amoor.w", uint64_t, &cells[2], bit);
	AMO("amoxor.w", uint64_t, &cells[3], bit);
	AMO("amomin.w", int64_t, &cells[4], -(int64_t)item);
	AMO("amomax.w", int64_t, &cells[5], (int64_t)item);
	AMO("amominu.w", uint64_t, &cells[6], 0xffffffffu - item);
	AMO("amomaxu.w", uint64_t, &cells[7], 0xffffffffu - 1000 + item);
}

TANDEM_KERNEL void all_atomics(const struct atomics_arguments *a)
{
	uint64_t item = tandem_global_id_x();

	amo64(a->cells, item);
	amo32(a->cells32, item);
}

/* Values travel through one cell: what comes out of it and what stays in it is what went in. */
TANDEM_KERNEL void exchange(const struct atomics_arguments *a)
{
	uint64_t out = __atomic_exchange_n(a->exchange, tandem_global_id_x() + 1, __ATOMIC_SEQ_CST);

	__atomic_fetch_add(a->exchanged, out, __ATOMIC_SEQ_CST);
}

/* Increments by load-reserved and store-conditional, and by the compiler's compare and exchange. */
TANDEM_KERNEL void compare_and_swap(const struct atomics_arguments *a)
{
	for (uint64_t i = 0; i < a->rounds; i++) {
		uint64_t seen = __atomic_load_n(a->cas, __ATOMIC_RELAXED);

		while (!__atomic_compare_exchange_n(a->cas, &seen, seen + 1, 1, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			;
	}
}

TANDEM_KERNEL void add_many(const struct atomics_arguments *a)
{
	for (uint64_t i = 0; i < a->rounds; i++)
		__atomic_fetch_add(a->cells, 1, __ATOMIC_RELAXED);
}

TANDEM_KERNEL void add_many32(const struct atomics_arguments *a)
{
	for (uint64_t i = 0; i < a->rounds; i++)
		__atomic_fetch_add(a->cells32, 1, __ATOMIC_RELAXED);
}
