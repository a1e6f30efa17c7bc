/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The GPU's side of contend.h: each lane is a participant that makes its rounds. */
#include "tandem/device.h"

#include "contend.h"

#define AMO(name, type, cell, operand, old) \
	__asm__ volatile(name " %0, %2, %1" : "=r"(old), "+A"(*(cell)) : "r"((type)(operand)) : "memory")

static uint64_t begin(const struct contend_arguments *a)
{
	__atomic_fetch_add(a->started, 1, __ATOMIC_RELAXED);
	return a->first + tandem_global_id_x();
}

/* One kernel for each contest: rounds, until one of them says that it gives up, or enough were made. */
#define CONTEST(name, one_round)                                                        \
	TANDEM_KERNEL void name(const struct contend_arguments *a)                      \
	{                                                                               \
		uint64_t me = begin(a), round = 0;                                      \
                                                                                        \
		while (contend_goes_on(a, round) && (one_round))                        \
			__atomic_store_n(&a->made[me], ++round, __ATOMIC_RELAXED);      \
	}

CONTEST(contend_counters, contend_count(a->shared, me, round))
CONTEST(contend_ticket_lock, contend_ticket(a->shared, a->stop))
CONTEST(contend_mcs_lock, contend_mcs(a->shared, me, a->stop))
CONTEST(contend_queues, contend_queue(a->shared, me, round, a->stop))
CONTEST(contend_inserts, contend_insert(a->shared, me, round))

/* Values only grow (or shrink): an old value beyond the new one, or one that goes back, cannot have been. */
static void extremes64(struct contend_operations *o, uint64_t me, uint64_t round)
{
	uint64_t value = round * CONTEND_PARTICIPANTS + me + 1;
	uint64_t first, second;

	AMO("amomaxu.d", uint64_t, &o->greatest, value, first);
	AMO("amomax.d", int64_t, &o->greatest, value, second);
	if (second < value || second < first)
		__atomic_fetch_add(&o->wrong, 1, __ATOMIC_RELAXED);
	AMO("amominu.d", uint64_t, &o->least, ~value >> 1, first);
	AMO("amomin.d", int64_t, &o->least, ~value >> 1, second);
	if (second > ~value >> 1 || second > first)
		__atomic_fetch_add(&o->wrong, 1, __ATOMIC_RELAXED);
}

static void extremes32(struct contend_operations *o, uint64_t me, uint64_t round)
{
	uint32_t value = (uint32_t)(round * CONTEND_PARTICIPANTS + me + 1);
	uint64_t first, second;

	AMO("amomaxu.w", uint64_t, &o->greatest32, value, first);
	AMO("amomax.w", uint64_t, &o->greatest32, value, second);
	if ((uint32_t)second < value || (uint32_t)second < (uint32_t)first)
		__atomic_fetch_add(&o->wrong, 1, __ATOMIC_RELAXED);
	AMO("amominu.w", uint64_t, &o->least32, ~value >> 1, first);
	AMO("amomin.w", uint64_t, &o->least32, ~value >> 1, second);
	if ((uint32_t)second > ~value >> 1 || (uint32_t)second > (uint32_t)first)
		__atomic_fetch_add(&o->wrong, 1, __ATOMIC_RELAXED);
}

static int operations64(struct contend_operations *o, uint64_t me, uint64_t round)
{
	contend_operate64(o, me, round);
	extremes64(o, me, round);
	return 1;
}

static int operations32(struct contend_operations *o, uint64_t me, uint64_t round)
{
	contend_operate32(o, me, round);
	extremes32(o, me, round);
	return 1;
}

CONTEST(contend_operations64, operations64(a->shared, me, round))
CONTEST(contend_operations32, operations32(a->shared, me, round))
