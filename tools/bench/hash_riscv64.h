/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What hash_user.c needs of its surroundings, on riscv64 Linux without a C library. */
#ifndef TANDEM_BENCH_HASH_RISCV64_H
#define TANDEM_BENCH_HASH_RISCV64_H

#include "riscv64_start.h"

enum { CLOCK_MONOTONIC_ID = 1 };

static inline unsigned long now_ns(void)
{
	struct {
		long seconds, nanoseconds;
	} now;

	system_call(SYSTEM_CLOCK_GETTIME, CLOCK_MONOTONIC_ID, (long)&now, 0);
	return now.seconds * 1000000000UL + now.nanoseconds;
}

static inline void print_number(const char *name, unsigned long value)
{
	char line[64];
	int length = 0;

	while (*name)
		line[length++] = *name++;
	line[length++] = ' ';
	for (int shift = 60; shift >= 0; shift -= 4)
		line[length++] = "0123456789abcdef"[value >> shift & 15];
	line[length++] = '\n';
	system_call(SYSTEM_WRITE, 1, (long)line, length);
}

#endif
