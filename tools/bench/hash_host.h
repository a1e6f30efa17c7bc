/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What hash_user.c needs of its surroundings, from this machine's C library. */
#ifndef TANDEM_BENCH_HASH_HOST_H
#define TANDEM_BENCH_HASH_HOST_H

#include <stdio.h>
#include <time.h>

static inline unsigned long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000UL + now.tv_nsec;
}

static inline void print_number(const char *name, unsigned long value)
{
	printf("%s %016lx\n", name, value);
}

#endif
