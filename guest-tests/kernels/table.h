/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Insertion into the hash table, the same for CPU threads and lanes, which do it at the same time. */
#ifndef TANDEM_TEST_TABLE_H
#define TANDEM_TEST_TABLE_H

#include "arguments.h"

static inline uint64_t table_hash(uint64_t key)
{
	key *= 0x9e3779b97f4a7c15ull;
	return key ^ key >> 32;
}

/* Adds to the key's sum; whoever comes first makes the slot the key's. 0: no slot is left. */
static inline int table_add(struct table_slot *slots, uint64_t mask, uint64_t key, uint64_t value)
{
	uint64_t at = table_hash(key) & mask;

	for (uint64_t tried = 0; tried <= mask; tried++, at = (at + 1) & mask) {
		uint64_t there = __atomic_load_n(&slots[at].key, __ATOMIC_RELAXED);

		if (there == 0 &&
		    __atomic_compare_exchange_n(&slots[at].key, &there, key, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			there = key;
		if (there == key) {
			__atomic_fetch_add(&slots[at].sum, value, __ATOMIC_RELAXED);
			return 1;
		}
	}
	return 0;
}

#endif
