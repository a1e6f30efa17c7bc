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

/* ---- scopes ---- */

#define SCOPED_INCREMENTS(scope, name, bits)                                                                        \
	static void name##bits(uint##bits##_t *words)                                                               \
	{                                                                                                           \
		uint##bits##_t seen;                                                                                \
                                                                                                                    \
		tandem_atomic_add##bits(&words[0], 1, __ATOMIC_RELAXED, scope);                                     \
		do                                                                                                  \
			seen = tandem_load_reserved##bits(&words[1], __ATOMIC_RELAXED, scope);                      \
		while (!tandem_store_conditional##bits(&words[1], seen + 1, __ATOMIC_RELAXED, scope));              \
	}

SCOPED_INCREMENTS(TANDEM_SCOPE_SYSTEM, increment_system, 64)
SCOPED_INCREMENTS(TANDEM_SCOPE_SYSTEM, increment_system, 32)
SCOPED_INCREMENTS(TANDEM_SCOPE_DEVICE, increment_device, 64)
SCOPED_INCREMENTS(TANDEM_SCOPE_DEVICE, increment_device, 32)
SCOPED_INCREMENTS(TANDEM_SCOPE_WORKGROUP, increment_workgroup, 64)
SCOPED_INCREMENTS(TANDEM_SCOPE_WORKGROUP, increment_workgroup, 32)

TANDEM_KERNEL void scope_system(const struct scopes_arguments *a)
{
	for (uint64_t i = 0; i < a->rounds; i++) {
		increment_system64(a->system);
		increment_system32(a->system32);
	}
}

TANDEM_KERNEL void scope_device(const struct scopes_arguments *a)
{
	for (uint64_t i = 0; i < a->rounds; i++) {
		increment_device64(a->device);
		increment_device32(a->device32);
	}
}

TANDEM_KERNEL void scope_workgroup(const struct scopes_arguments *a)
{
	uint64_t group = tandem_group_id_x();

	for (uint64_t i = 0; i < a->rounds; i++) {
		increment_workgroup64(a->workgroup + 2 * group);
		increment_workgroup32(a->workgroup32 + 2 * group);
	}
}

/*
 * Letters go round, from each workgroup to the next one, by plain stores and an exchange that orders them for the device. The first
 * lane of each workgroup is its postman; the first workgroup begins.
 */
TANDEM_KERNEL void scope_mail(const struct scopes_arguments *a)
{
	uint64_t me = tandem_group_id_x(), *mine = a->mail + 2 * me, *next = a->mail + 2 * ((me + 1) % SCOPES_GROUPS);

	if (tandem_local_id_x() != 0)
		return;
	for (uint64_t i = 0; i < a->rounds; i++) {
		if (me != 0 || i != 0) {
			while (!tandem_atomic_swap64(&mine[1], 0, __ATOMIC_ACQUIRE, TANDEM_SCOPE_DEVICE))
				;
			if (*(volatile uint64_t *)&mine[0] != i * SCOPES_GROUPS + me)
				tandem_atomic_add64(a->wrong, 1, __ATOMIC_RELAXED, TANDEM_SCOPE_DEVICE);
		}
		*(volatile uint64_t *)&next[0] = i * SCOPES_GROUPS + me + 1;
		tandem_atomic_swap64(&next[1], 1, __ATOMIC_RELEASE, TANDEM_SCOPE_DEVICE);
	}
}
