/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hash kernel as an ordinary program, to compare the GPU with: compiled for this machine, or for riscv64 to run under QEMU's
 * user-mode emulation. Prints the checksum after one pass, then the nanoseconds of a round of passes, three times.
 * The numbers are those of guest-tests/bench/hash.cpp.
 */
#include "hash.h"

#ifdef __riscv
#include "hash_riscv64.h"
#else
#include "hash_host.h"
#endif

enum { ELEMENTS = 1 << 20, PASSES = 16, ROUNDS = 3 };

static unsigned long in[ELEMENTS] __attribute__((aligned(1 << 21)));
static unsigned long out[ELEMENTS] __attribute__((aligned(1 << 21)));

/* A call that nothing is known about, so that no pass is merged with the next. */
static __attribute__((noinline)) void run_pass(const struct hash_arguments *arguments)
{
	hash_elements(arguments, 0, 1);
	__asm__ volatile("" ::: "memory");
}

static unsigned long checksum(void)
{
	unsigned long sum = 0;

	for (unsigned long i = 0; i < ELEMENTS; i++)
		sum = sum * 31 + out[i];
	return sum;
}

int main(void)
{
	struct hash_arguments arguments = { in, out, ELEMENTS };

	for (unsigned long i = 0; i < ELEMENTS; i++)
		in[i] = i * 0x9e3779b97f4a7c15;
	run_pass(&arguments);
	print_number("checksum", checksum());
	for (int round = 0; round < ROUNDS; round++) {
		unsigned long begin = now_ns();

		for (int pass = 0; pass < PASSES; pass++)
			run_pass(&arguments);
		print_number("ns", now_ns() - begin);
	}
	return 0;
}
