/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memcpy of this machine, to compare the copy engine with. Prints the nanoseconds of each copy; see guest-tests/bench/copy.cpp. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { BYTES = 32 << 20, ROUNDS = 5 };

static unsigned long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000UL + now.tv_nsec;
}

static unsigned char *make_buffer(int value)
{
	void *buffer = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (buffer == MAP_FAILED)
		return NULL;
	madvise(buffer, BYTES, MADV_HUGEPAGE); /* as the guest's memory may be; it need not succeed */
	return memset(buffer, value, BYTES);
}

int main(void)
{
	unsigned char *from = make_buffer(1), *to = make_buffer(2);

	if (!from || !to) {
		perror("memcpy-host");
		return 1;
	}
	for (int round = 0; round < ROUNDS; round++) {
		unsigned long begin = now_ns();

		memcpy(to, from, BYTES);
		__asm__ volatile("" ::: "memory");
		printf("ns %016lx\n", now_ns() - begin);
	}
	return 0;
}
