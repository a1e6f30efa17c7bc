/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What kernels/tally.c and support/tally.cpp share. The sweeper (kernels/sweep.c) serves events that throw contents away; the
 * tally serves events that must keep them: migration, reclaim, KSM, collapse, copy on write. One lost store or one stale
 * page is seen by the GPU itself, a round later at the latest.
 */
#ifndef TANDEM_TEST_TALLY_H
#define TANDEM_TEST_TALLY_H

#include <stdint.h>

#define TALLY_LANES 32
#define TALLY_PAGE_WORDS 512

enum tally_mode {
	TALLY_READ = 0,
	TALLY_WRITE = 1,  /* by plain stores */
	TALLY_ATOMIC = 2, /* by atomic additions */
};

struct tally_control {
	uint64_t region;     /* address of the first page; may change while the lanes stand still */
	uint64_t pages;
	uint64_t stride;     /* pages from one to the next */
	uint64_t seed;       /* of the patterns */
	uint64_t alike;      /* 1: all pages have the same pattern */
	uint64_t mode;       /* enum tally_mode */
	uint64_t pause;      /* 1: lanes stop between two rounds */
	uint64_t stop;
	uint64_t paused;     /* lanes that stopped */
	uint64_t errors;     /* words that were wrong */
	uint64_t bad_page;   /* of the last error */
	uint64_t bad_word;
	uint64_t bad_value;
	uint64_t bad_expected;
	uint64_t rounds[TALLY_LANES]; /* made by each lane */
	uint64_t counts[TALLY_LANES]; /* of these, those that wrote: what the first word of each of its pages holds */
};

/* What word 1..511 of a page holds. */
static inline uint64_t tally_pattern(uint64_t seed, uint64_t page, uint64_t word)
{
	uint64_t x = seed + page * 0x9e3779b97f4a7c15 + word * 0xd1342543de82ef95;

	x = (x ^ x >> 32) * 0xd6e8feb86659fd93;
	return x ^ x >> 32;
}

#endif
