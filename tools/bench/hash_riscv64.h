/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What hash_user.c needs of its surroundings, on riscv64 Linux without a C library: a start, and three system calls. So no cross
 * tool chain is needed beyond the clang that compiles kernels.
 */
#ifndef TANDEM_BENCH_HASH_RISCV64_H
#define TANDEM_BENCH_HASH_RISCV64_H

enum { SYSTEM_WRITE = 64, SYSTEM_EXIT = 93, SYSTEM_CLOCK_GETTIME = 113, CLOCK_MONOTONIC_ID = 1 };

static inline long system_call(long number, long a, long b, long c)
{
	register long a7 __asm__("a7") = number;
	register long a0 __asm__("a0") = a;
	register long a1 __asm__("a1") = b;
	register long a2 __asm__("a2") = c;

	__asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
	return a0;
}

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

int main(void);

__attribute__((used, noreturn)) void _start(void)
{
	long status = main();

	for (;;)
		system_call(SYSTEM_EXIT, status, 0, 0);
}

#endif
