/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arguments of the kernels in this folder, as the CPU writes them and the GPU reads them: both sides are 64-bit,
 * little-endian and lay out C structures alike.
 */
#ifndef TANDEM_TEST_ARGUMENTS_H
#define TANDEM_TEST_ARGUMENTS_H

#include <stdint.h>

/* ---- workloads ---- */

struct vecadd_arguments {
	const float *a;
	const float *b;
	float *sum;
	uint64_t count;
};

/* A binary search tree or list that the CPU built with new. */
struct chase_node {
	struct chase_node *next;
	uint64_t value;
	uint64_t seen; /* times that the GPU came by, an atomic */
};

struct chase_arguments {
	struct chase_node **heads; /* one list for each lane */
	uint64_t *sums;            /* of a lane's list */
	uint64_t *lengths;
	uint64_t lists;
};

struct histogram_arguments {
	const uint8_t *data;
	uint64_t count;
	uint64_t *bins; /* 256, shared with CPU threads that count at the same time */
	uint64_t *started;
};

#define MATMUL_TILE 16

struct matmul_arguments {
	const float *a;
	const float *b;
	float *product;
	uint32_t n; /* rows and columns, a multiple of MATMUL_TILE */
};

/* A node of a directed graph, one object each: the CPU makes nodes and their lists with new, the GPU follows them. */
struct graph_node {
	struct graph_node **targets;
	struct graph_node **sources;
	uint64_t target_count;
	uint64_t source_count;
	uint64_t depth; /* GRAPH_UNSEEN, or hops from where the search began; an atomic */
	double rank[2]; /* of the even and the odd rounds */
};

#define GRAPH_UNSEEN (~0ull)

struct bfs_arguments {
	struct graph_node **frontier; /* found in the round before */
	uint64_t count;
	struct graph_node **next; /* has room for every node */
	uint64_t *next_count;
	uint64_t depth; /* of what is found now */
};

struct pagerank_arguments {
	struct graph_node **nodes;
	uint64_t count;
	uint64_t from; /* which rank is read; the other is written */
	double base;
	double damping;
};

#define SCAN_BLOCK 256 /* elements and work items of a workgroup */

struct scan_arguments {
	uint64_t *data;   /* becomes the sums of what stands before, within the block */
	uint64_t *totals; /* of each block */
	uint64_t count;
};

#define SORT_TILE 512 /* keys of a workgroup, two for each work item */

struct sort_arguments {
	uint64_t *keys;
	uint64_t block;    /* sorted stretches are to become this long, alternating up and down; a power of 2 */
	uint64_t distance; /* between the keys that are compared */
};

struct numbers_arguments {
	const double *x;
	double *doubles;
	float *floats;
	uint64_t count;
};

/* A bounded queue for many producers and consumers on both sides; see kernels/exchange.c. */
#define EXCHANGE_CELLS 64

struct exchange_cell {
	uint64_t turn;
	uint64_t value;
};

struct exchange_queue {
	uint64_t put __attribute__((aligned(64)));
	uint64_t get __attribute__((aligned(64)));
	struct exchange_cell cells[EXCHANGE_CELLS] __attribute__((aligned(64)));
};

struct exchange_arguments {
	struct exchange_queue *requests; /* CPU to GPU */
	struct exchange_queue *answers;  /* GPU to CPU */
	uint64_t *stop;
};

/* A hash table with open addressing; key 0 is a free slot. */
struct table_slot {
	uint64_t key;
	uint64_t sum;
};

struct table_arguments {
	struct table_slot *slots;
	uint64_t mask; /* slots - 1 */
	const uint64_t *keys;
	uint64_t count;
	uint64_t *started;
	uint64_t *full; /* counts keys that found no slot */
};

/* An expression whose nodes the CPU made with new. Its functions are GPU code, called through pointers in the CPU's objects. */
struct expression {
	uint64_t (*apply)(const struct expression *self, uint64_t x);
	const struct expression *left;
	const struct expression *right;
	uint64_t constant;
};

struct expression_arguments {
	const struct expression *root;
	uint64_t *results; /* of the expression at x = number of the work item */
	uint64_t count;
};

struct lock_arguments {
	uint64_t *lock;
	uint64_t *guarded; /* LOCK_WORDS plain words, which the lock keeps equal */
	uint64_t *torn;    /* times that they were not */
	uint64_t rounds;
	uint64_t *started;
};

enum { LOCK_WORDS = 4 };

struct mix_arguments {
	uint64_t *words;
	uint64_t count;
	uint64_t rounds;
};

struct store_arguments {
	uint64_t *target;
	uint64_t value;
};

/*
 * The sweeper: lanes go over the pages of a region round after round, until they are told to stop, while the CPU does things
 * to the region. See kernels/sweep.c for the protocol. The control block lies in memory of its own.
 */
#define SWEEP_LANES 32
#define SWEEP_PAGE_WORDS 512

enum sweep_word {
	SWEEP_CPU_WORD = 0, /* the CPU writes the generation, the GPU checks it */
	SWEEP_GPU_WORD = 1, /* the GPU writes the generation it saw, the CPU waits for it */
};

enum sweep_mode {
	SWEEP_CHECK = 1,
	SWEEP_WRITE = 2,
	SWEEP_ATOMIC = 4, /* with SWEEP_WRITE: an atomic exchange in place of a store */
};

struct sweep_control {
	uint64_t generation; /* odd while the CPU is changing something */
	uint64_t mode;       /* enum sweep_mode */
	uint64_t pause;      /* 1: lanes stop between two rounds */
	uint64_t stop;
	uint64_t paused;     /* lanes that stopped */
	uint64_t errors;     /* words that were wrong */
	uint64_t bad_page;   /* of the last error */
	uint64_t bad_value;
	uint64_t bad_generation;
	uint64_t rounds[SWEEP_LANES];
};

struct sweep_arguments {
	uint64_t *region;
	uint64_t pages;
	struct sweep_control *control;
};

/* ---- tests ---- */

struct count_arguments {
	uint64_t *counter;
	uint64_t add;
};

struct spin_arguments {
	uint64_t *started; /* incremented by each lane when it starts */
	uint64_t *release; /* lanes wait until this is not 0 */
	uint64_t *ended;
};

struct touch_arguments {
	unsigned char *region;
	uint64_t pages;
	uint64_t *done; /* pages touched so far */
	uint64_t write;
};

struct peek_arguments {
	const uint64_t *source;
	uint64_t *destination;
	uint64_t words;
};

struct order_arguments {
	uint64_t *ticket; /* counts up */
	uint64_t *slot;   /* takes the ticket drawn */
	uint64_t delay;   /* rounds to waste first */
};

struct compute_arguments {
	uint64_t *out;
	const uint64_t *in;
	uint64_t count;
	uint64_t extra;
};

struct math_arguments {
	const double *x;
	const double *y;
	double *doubles; /* 8 results for each element */
	float *floats;   /* 8 results for each element */
	int64_t *integers; /* 8 results for each element */
	uint64_t count;
};

enum { MATH_RESULTS = 8 };

struct atomics_arguments {
	uint64_t *cells;      /* 8 of 64 bits: add, and, or, xor, min, max, umin, umax */
	uint32_t *cells32;    /* the same in 32 bits */
	uint64_t *exchange;   /* each lane exchanges its id in; the sum of what came out and what is left is known */
	uint64_t *exchanged;  /* sum of what came out */
	uint64_t *cas;        /* incremented by compare and exchange */
	uint64_t rounds;
};

enum { SCOPES_GROUPS = 8 };

struct scopes_arguments {
	uint64_t *system;     /* 2 words: of AMOs, and of LR/SC; CPU threads add to them, too */
	uint64_t *device;     /* 2 words, which only lanes touch */
	uint64_t *workgroup;  /* 2 words for each workgroup */
	uint32_t *system32;   /* the same in 32 bits */
	uint32_t *device32;
	uint32_t *workgroup32;
	uint64_t *mail;       /* 2 words for each workgroup: a letter and whether it is there */
	uint64_t *wrong;      /* letters that were not what was sent */
	uint64_t rounds;
};

#endif
