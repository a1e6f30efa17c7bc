/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Litmus tests between CPU threads and wavefronts. A test has up to four parties, and each party one short piece of code, which
 * it runs once for each cell; between two batches of cells all parties meet. The 32 lanes of a wavefront take a batch together.
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
	LITMUS_IRIW,              /* independent reads of independent writes */
	LITMUS_COHERENCE,         /* two writes to one word; "unordered" means: to two words */
};

enum { LITMUS_PARTIES = 4, LITMUS_BATCH = 32 };

struct litmus_cell {
	uint64_t x;
	uint64_t padding0[7];
	uint64_t y;
	uint64_t padding1[7];
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
	uint64_t first_party;          /* of wavefront 0; those before are CPU threads */
	struct litmus_cell *cells;
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

/* Which party does what. Party numbers: the CPU's first. */
static inline void litmus_run(const struct litmus_arguments *a, uint64_t party, uint64_t i)
{
	struct litmus_cell *c = &a->cells[i];
	struct litmus_result *r = &a->results[party][i];
	uint64_t *same_or_other = a->ordered ? &c->x : &c->y;

	switch (a->test) {
	case LITMUS_MP_GPU_WRITES:
		if (party == 1)
			litmus_store_store(&c->x, 1, &c->y, 1, a->ordered);
		else
			litmus_load_load(r, &c->y, &c->x, a->ordered);
		break;
	case LITMUS_MP_CPU_WRITES:
		if (party == 0)
			litmus_store_store(&c->x, 1, &c->y, 1, a->ordered);
		else
			litmus_load_load(r, &c->y, &c->x, a->ordered);
		break;
	case LITMUS_MP_ATOMIC_FLAG:
		if (party == 1)
			litmus_store_atomic(&c->x, &c->y, a->ordered);
		else
			litmus_load_load(r, &c->y, &c->x, a->ordered);
		break;
	case LITMUS_SB:
		if (party == 0)
			litmus_store_load(r, &c->x, &c->y, a->ordered);
		else
			litmus_store_load(r, &c->y, &c->x, a->ordered);
		break;
	case LITMUS_LB:
		if (party == 0)
			litmus_load_store(r, &c->x, &c->y, a->ordered);
		else
			litmus_load_store(r, &c->y, &c->x, a->ordered);
		break;
	case LITMUS_IRIW: /* parties 0 and 1, CPU threads, write; wavefronts read, in opposite orders */
		if (party == 0)
			LITMUS_STORE(&c->x, 1, __ATOMIC_RELAXED);
		else if (party == 1)
			LITMUS_STORE(&c->y, 1, __ATOMIC_RELAXED);
		else if (party == 2)
			litmus_load_load(r, &c->x, &c->y, a->ordered);
		else
			litmus_load_load(r, &c->y, &c->x, a->ordered);
		break;
	case LITMUS_COHERENCE: /* the GPU writes twice; nothing but the place orders the writes */
		if (party == 1)
			litmus_store_store(&c->x, 1, same_or_other, 2, 0);
		else
			litmus_load_load(r, same_or_other, &c->x, 0);
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

/* A different short time for each party and batch, so that they meet in all ways. */
static inline uint64_t litmus_delay(const struct litmus_arguments *a, uint64_t party, uint64_t batch)
{
	uint64_t h = a->seed + party * 0x9e3779b97f4a7c15ull + batch * 0xbf58476d1ce4e5b9ull;

	h ^= h >> 31;
	h *= 0x94d049bb133111ebull;
	return h >> 33;
}

#endif
