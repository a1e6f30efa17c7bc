/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The arguments of the benchmarks' kernels, as the CPU writes them and the GPU reads them. */
#ifndef TANDEM_BENCH_ARGUMENTS_H
#define TANDEM_BENCH_ARGUMENTS_H

#include <stdint.h>

/* Each lane writes one word every `stride` bytes: lane n at n * stride. */
struct bench_touch_arguments {
	unsigned char *region;
	uint64_t stride;
	uint64_t count;
};

/* Each lane adds 1 to one word, so many times. */
struct bench_add_arguments {
	uint64_t *word;
	uint64_t rounds;
};

#endif
