/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Structures that CPU threads and lanes fight for, and the algorithms that both sides compile. A participant is a CPU thread or
 * a lane; each has a number. Whoever waits looks at `stop`, so that a lost update ends as a wrong result, not as a hang.
 */
#ifndef TANDEM_TEST_CONTEND_H
#define TANDEM_TEST_CONTEND_H

#include "exchange.h"
#include "lock.h"
#include "table.h"

enum { CONTEND_PARTICIPANTS = 256 };

/* One page of words: the counters, and beside them words that belong to one participant each and are stored plainly. */
struct contend_counters {
	uint64_t wide;
	uint32_t narrow;
	uint32_t narrow_neighbour; /* nobody writes it */
	uint64_t own[CONTEND_PARTICIPANTS];
};

struct contend_ticket_state {
	uint64_t next;
	uint64_t serving;
	uint64_t guarded[LOCK_WORDS];
	uint64_t torn;
};

struct contend_node {
	struct contend_node *next;
	uint64_t waits;
	uint64_t padding[6];
};

struct contend_mcs_state {
	struct contend_node *tail;
	uint64_t guarded[LOCK_WORDS];
	uint64_t torn;
	uint64_t padding[2];
	struct contend_node nodes[CONTEND_PARTICIPANTS];
};

struct contend_queue_state {
	struct exchange_queue queue;
	uint64_t popped[CONTEND_PARTICIPANTS]; /* sums of what each participant got */
};

enum { CONTEND_SLOTS = 1024, CONTEND_KEYS = 600 };

struct contend_table_state {
	struct table_slot slots[CONTEND_SLOTS];
	uint64_t full;
};

/* Each participant owns a bit of these words; the other operations have words of their own. */
struct contend_operations {
	uint64_t bits;
	uint64_t xored;
	uint64_t swapped;
	uint64_t greatest;
	uint64_t least;
	uint64_t reserved; /* LR/SC */
	uint32_t bits32;
	uint32_t xored32;
	uint32_t swapped32;
	uint32_t greatest32;
	uint32_t least32;
	uint32_t reserved32;
	uint64_t wrong;    /* old values that cannot have been */
	uint64_t out[CONTEND_PARTICIPANTS]; /* sums of what came out of the exchanges */
	uint64_t out32[CONTEND_PARTICIPANTS];
};

struct contend_arguments {
	void *shared;
	uint64_t first;         /* number of lane 0 */
	uint64_t rounds;        /* that each lane makes at least */
	const uint64_t *enough; /* and it goes on until this is not 0 */
	const uint64_t *stop;   /* not 0: everybody gives up */
	uint64_t *started;      /* counts lanes that began */
	uint64_t *made;         /* rounds that each participant has made so far */
};

static inline int contend_stopped(const uint64_t *stop)
{
	return __atomic_load_n(stop, __ATOMIC_RELAXED) != 0;
}

static inline int contend_goes_on(const struct contend_arguments *a, uint64_t round)
{
	return round < a->rounds || !__atomic_load_n(a->enough, __ATOMIC_RELAXED);
}

#ifdef __riscv
#define contend_pause() ((void)0)
#else
void contend_pause(void);
#endif

/* ---- counters ---- */

static inline int contend_count(struct contend_counters *c, uint64_t me, uint64_t round)
{
	__atomic_fetch_add(&c->wide, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&c->narrow, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&c->own[me], round + 1, __ATOMIC_RELAXED);
	return 1;
}

/* ---- ticket lock ---- */

/* 0: told to stop. */
static inline int contend_ticket(struct contend_ticket_state *lock, const uint64_t *stop)
{
	uint64_t ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_ACQ_REL);

	while (__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket) {
		if (contend_stopped(stop))
			return 0;
		contend_pause();
	}
	if (!lock_work(lock->guarded))
		lock->torn++;
	__atomic_store_n(&lock->serving, ticket + 1, __ATOMIC_RELEASE);
	return 1;
}

/* ---- MCS lock ---- */

static inline int contend_mcs_take(struct contend_mcs_state *lock, struct contend_node *node, const uint64_t *stop)
{
	struct contend_node *before;

	__atomic_store_n(&node->next, (struct contend_node *)0, __ATOMIC_RELAXED);
	__atomic_store_n(&node->waits, 1, __ATOMIC_RELAXED);
	before = __atomic_exchange_n(&lock->tail, node, __ATOMIC_ACQ_REL);
	if (!before)
		return 1;
	__atomic_store_n(&before->next, node, __ATOMIC_RELEASE);
	while (__atomic_load_n(&node->waits, __ATOMIC_ACQUIRE)) {
		if (contend_stopped(stop))
			return 0;
		contend_pause();
	}
	return 1;
}

static inline int contend_mcs_release(struct contend_mcs_state *lock, struct contend_node *node, const uint64_t *stop)
{
	struct contend_node *next = __atomic_load_n(&node->next, __ATOMIC_ACQUIRE);
	struct contend_node *me = node;

	if (!next && __atomic_compare_exchange_n(&lock->tail, &me, (struct contend_node *)0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return 1;
	while (!next) {
		if (contend_stopped(stop))
			return 0;
		contend_pause();
		next = __atomic_load_n(&node->next, __ATOMIC_ACQUIRE);
	}
	__atomic_store_n(&next->waits, 0, __ATOMIC_RELEASE);
	return 1;
}

static inline int contend_mcs(struct contend_mcs_state *lock, uint64_t me, const uint64_t *stop)
{
	if (!contend_mcs_take(lock, &lock->nodes[me], stop))
		return 0;
	if (!lock_work(lock->guarded))
		lock->torn++;
	return contend_mcs_release(lock, &lock->nodes[me], stop);
}

/* ---- queue ---- */

/* What participant `me` puts in as its `round`th value. */
static inline uint64_t contend_value(uint64_t me, uint64_t round)
{
	return exchange_answer(me * 0x100000000ull + round + 1);
}

/*
 * Puts one value in and takes one out. Whoever waits for a value has put one in before, so there always is one on its way;
 * and whoever waits for room has taken out all that it put in.
 */
static inline int contend_queue(struct contend_queue_state *q, uint64_t me, uint64_t round, const uint64_t *stop)
{
	uint64_t value;

	while (!exchange_push(&q->queue, contend_value(me, round))) {
		if (contend_stopped(stop))
			return 0;
		contend_pause();
	}
	while (!exchange_pop(&q->queue, &value)) {
		if (contend_stopped(stop))
			return 0;
		contend_pause();
	}
	__atomic_store_n(&q->popped[me], q->popped[me] + value, __ATOMIC_RELAXED);
	return 1;
}

/* ---- hash table ---- */

static inline uint64_t contend_key(uint64_t me, uint64_t round)
{
	return 1 + exchange_answer(me * 0x100000000ull + round) % CONTEND_KEYS;
}

static inline int contend_insert(struct contend_table_state *t, uint64_t me, uint64_t round)
{
	if (!table_add(t->slots, CONTEND_SLOTS - 1, contend_key(me, round), 1))
		__atomic_fetch_add(&t->full, 1, __ATOMIC_RELAXED);
	return 1;
}

/* ---- each operation ---- */

/* Both sides run these; `amo` names what the compiler makes of them on the GPU. me < 32. */
static inline void contend_operate64(struct contend_operations *o, uint64_t me, uint64_t round)
{
	uint64_t mine = 1ull << me, value = round * CONTEND_PARTICIPANTS + me + 1, old, wrong = 0;

	/* amoor, amoand: my bit is as I left it. */
	old = __atomic_fetch_or(&o->bits, mine, __ATOMIC_ACQ_REL);
	wrong += (old & mine) != 0;
	old = __atomic_fetch_and(&o->bits, ~mine, __ATOMIC_ACQ_REL);
	wrong += (old & mine) == 0;
	/* amoxor */
	old = __atomic_fetch_xor(&o->xored, mine, __ATOMIC_RELAXED);
	wrong += ((old & mine) != 0) != (round & 1);
	/* amoswap: what goes in comes out once. */
	o->out[me] += __atomic_exchange_n(&o->swapped, value, __ATOMIC_RELAXED);
	/* lr, sc */
	old = __atomic_load_n(&o->reserved, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&o->reserved, &old, old + 1, 1, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		;
	if (wrong)
		__atomic_fetch_add(&o->wrong, wrong, __ATOMIC_RELAXED);
}

static inline void contend_operate32(struct contend_operations *o, uint64_t me, uint64_t round)
{
	uint32_t mine = 1u << me, value = (uint32_t)(round * CONTEND_PARTICIPANTS + me + 1), old;
	uint64_t wrong = 0;

	old = __atomic_fetch_or(&o->bits32, mine, __ATOMIC_ACQ_REL);
	wrong += (old & mine) != 0;
	old = __atomic_fetch_and(&o->bits32, ~mine, __ATOMIC_ACQ_REL);
	wrong += (old & mine) == 0;
	old = __atomic_fetch_xor(&o->xored32, mine, __ATOMIC_RELAXED);
	wrong += ((old & mine) != 0) != (round & 1);
	o->out32[me] += __atomic_exchange_n(&o->swapped32, value, __ATOMIC_RELAXED);
	old = __atomic_load_n(&o->reserved32, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&o->reserved32, &old, old + 1, 1, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		;
	if (wrong)
		__atomic_fetch_add(&o->wrong, wrong, __ATOMIC_RELAXED);
}

#endif
