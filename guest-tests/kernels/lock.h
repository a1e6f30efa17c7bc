/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A spin lock and what it guards, the same for CPU threads and lanes. */
#ifndef TANDEM_TEST_LOCK_H
#define TANDEM_TEST_LOCK_H

#include "arguments.h"

static inline int lock_try(uint64_t *lock)
{
	return !__atomic_load_n(lock, __ATOMIC_RELAXED) && !__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE);
}

static inline void lock_release(uint64_t *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

/* Plain loads and stores: two at a time would lose an increment or see words that differ. Returns 0 if they did. */
static inline int lock_work(volatile uint64_t *guarded)
{
	uint64_t value = guarded[0];
	int whole = 1;

	for (int i = 1; i < LOCK_WORDS; i++)
		whole &= guarded[i] == value;
	for (int i = 0; i < LOCK_WORDS; i++)
		guarded[i] = value + 1;
	return whole;
}

#endif
