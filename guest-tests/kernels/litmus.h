/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Litmus tests between CPU threads and wavefronts. A test has up to four parties, and each party one short piece of code, which
 * it runs once for each cell. The 32 lanes of a wavefront take 32 cells together, a row. Every few rows all parties meet.
 *
 * "Ordered" gives the code the acquire, release or fence that forbids the weak outcome; without it that outcome may be seen.
 */
#ifndef TANDEM_TEST_LITMUS_H
#define TANDEM_TEST_LITMUS_H

#include <stdint.h>

enum litmus_test {
	LITMUS_MP_GPU_WRITES = 1, /* message passing */
	LITMUS_MP_CPU_WRITES,
	LITMUS_MP_ATOMIC_FLAG,    /* the GPU's flag is set by an atomic */
	LITMUS_SB,                /* store buffering */
	LITMUS_LB,                /* load buffering */
	LITMUS_IRIW_CPU_WRITES,   /* independent reads of independent writes: one of the writers is a CPU thread, */
	LITMUS_IRIW_CPU_READS,    /* or one of the readers */
	LITMUS_COHERENCE,         /* two writes to one word; "unordered" means: to two words */
};

enum { LITMUS_PARTIES = 4, LITMUS_LANES = 32, LITMUS_ROWS = 8, LITMUS_BATCH = LITMUS_ROWS * LITMUS_LANES };

/*
 * A cell is a word of each of two arrays. They share no page: what is done to one (it is taken from the CPUs for an atomic, and
 * given back) orders nothing about the other.
 */
struct litmus_word {
	uint64_t value;
	uint64_t padding[7];
};

struct litmus_result {
	uint64_t first;
	uint64_t second;
};

struct litmus_party {
	uint64_t arrived; /* batches that it is ready for */
	uint64_t padding[511]; /* a page for each: nobody else writes there */
};

struct litmus_arguments {
	uint32_t test;
	uint32_t ordered;
	uint64_t cells_count;          /* a multiple of LITMUS_BATCH */
	uint64_t parties;
	struct litmus_word *x;         /* cells_count each */
	struct litmus_word *y;
	struct litmus_result *results[LITMUS_PARTIES];
	struct litmus_party *party;    /* LITMUS_PARTIES */
	const uint64_t *stop;
	uint64_t seed;
};

#define LITMUS_STORE(at, value, order) __atomic_store_n(at, value, order)
#define LITMUS_LOAD(at, order) __atomic_load_n(at, order)

/* Two loads, the second not before the first if they are ordered. */
static inline void litmus_load_load(struct litmus_result *r, const uint64_t *first, const uint64_t *second, uint32_t ordered)
{
	if (ordered) {
		r->first = LITMUS_LOAD(first, __ATOMIC_ACQUIRE);
		r->second = LITMUS_LOAD(second, __ATOMIC_ACQUIRE);
	} else {
		uint64_t a = LITMUS_LOAD(first, __ATOMIC_RELAXED), b = LITMUS_LOAD(second, __ATOMIC_RELAXED);

		r->first = a;
		r->second = b;
	}
}

static inline void litmus_store_store(uint64_t *first, uint64_t a, uint64_t *second, uint64_t b, uint32_t ordered)
{
	LITMUS_STORE(first, a, __ATOMIC_RELAXED);
	if (ordered)
		LITMUS_STORE(second, b, __ATOMIC_RELEASE);
	else
		LITMUS_STORE(second, b, __ATOMIC_RELAXED);
}

static inline void litmus_store_atomic(uint64_t *first, uint64_t *second, uint32_t ordered)
{
	LITMUS_STORE(first, 1, __ATOMIC_RELAXED);
	if (ordered)
		__atomic_fetch_add(second, 1, __ATOMIC_RELEASE);
	else
		__atomic_fetch_add(second, 1, __ATOMIC_RELAXED);
}

static inline void litmus_store_load(struct litmus_result *r, uint64_t *store, const uint64_t *load, uint32_t ordered)
{
	LITMUS_STORE(store, 1, __ATOMIC_RELAXED);
	if (ordered)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	r->first = LITMUS_LOAD(load, __ATOMIC_RELAXED);
}

static inline void litmus_load_store(struct litmus_result *r, const uint64_t *load, uint64_t *store, uint32_t ordered)
{
	uint64_t seen = LITMUS_LOAD(load, __ATOMIC_RELAXED);

	if (ordered)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	LITMUS_STORE(store, 1, __ATOMIC_RELAXED);
	r->first = seen;
}

/*
 * Roles 0 and 1 write; 2 and 3 read, in opposite orders. A writer's store is seen before its next row, and it reads two words that
 * are nobody else's, so that a row takes it as long as a reader: else it would be done with all rows before they began.
 */
static inline void litmus_iriw(uint64_t role, uint64_t *x, uint64_t *y, struct litmus_result *r, uint32_t ordered)
{
	if (role < 2) {
		LITMUS_STORE(role == 0 ? x : y, 1, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		litmus_load_load(r, &r->first, &r->second, ordered);
	} else if (role == 2) {
		litmus_load_load(r, x, y, ordered);
	} else {
		litmus_load_load(r, y, x, ordered);
	}
}

/* Which party does what. Party 0 is a CPU thread, the others are wavefronts. */
static inline void litmus_run(uint32_t test, uint32_t ordered, uint64_t party, uint64_t *x, uint64_t *y, struct litmus_result *r)
{
	uint64_t *same_or_other = ordered ? x : y;

	switch (test) {
	case LITMUS_MP_GPU_WRITES:
		if (party == 1)
			litmus_store_store(x, 1, y, 1, ordered);
		else
			litmus_load_load(r, y, x, ordered);
		break;
	case LITMUS_MP_CPU_WRITES:
		if (party == 0)
			litmus_store_store(x, 1, y, 1, ordered);
		else
			litmus_load_load(r, y, x, ordered);
		break;
	case LITMUS_MP_ATOMIC_FLAG:
		if (party == 1)
			litmus_store_atomic(x, y, ordered);
		else
			litmus_load_load(r, y, x, ordered);
		break;
	case LITMUS_SB:
		if (party == 0)
			litmus_store_load(r, x, y, ordered);
		else
			litmus_store_load(r, y, x, ordered);
		break;
	case LITMUS_LB:
		if (party == 0)
			litmus_load_store(r, x, y, ordered);
		else
			litmus_load_store(r, y, x, ordered);
		break;
	case LITMUS_IRIW_CPU_WRITES:
		litmus_iriw(party, x, y, r, ordered);
		break;
	case LITMUS_IRIW_CPU_READS:
		litmus_iriw(LITMUS_PARTIES - 1 - party, x, y, r, ordered);
		break;
	case LITMUS_COHERENCE: /* the GPU writes twice; nothing but the place orders the writes */
		if (party == 1)
			litmus_store_store(x, 1, same_or_other, 2, 0);
		else
			litmus_load_load(r, same_or_other, x, 0);
		break;
	}
}

/* Everybody is through with the batches before. 0: told to stop. */
static inline int litmus_meet(const struct litmus_arguments *a, uint64_t party, uint64_t batch)
{
	__atomic_store_n(&a->party[party].arrived, batch + 1, __ATOMIC_RELEASE);
	/* Or the store would wait in the store queue while its writer waits for the others. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (uint64_t other = 0; other < a->parties; other++)
		while (__atomic_load_n(&a->party[other].arrived, __ATOMIC_ACQUIRE) < batch + 1)
			if (__atomic_load_n(a->stop, __ATOMIC_RELAXED))
				return 0;
	return 1;
}

/* A different short time for each party and row, so that they meet in all ways. */
static inline uint64_t litmus_delay(uint64_t seed, uint64_t party, uint64_t row)
{
	uint64_t h = seed + party * 0x9e3779b97f4a7c15ull + row * 0xbf58476d1ce4e5b9ull;

	h ^= h >> 31;
	h *= 0x94d049bb133111ebull;
	return h >> 33;
}

#endif
