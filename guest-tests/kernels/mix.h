/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A long computation on one word, for both sides. */
#ifndef TANDEM_TEST_MIX_H
#define TANDEM_TEST_MIX_H

#include <stdint.h>

static inline uint64_t mix_word(uint64_t word, uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++) {
		word ^= word >> 29;
		word = word * 0xbf58476d1ce4e5b9ull + i;
	}
	return word;
}

#endif
