/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the GPU is to read of a process: the arguments of the kernel shadow, as CPU and GPU see them. */
#ifndef TANDEM_TEST_SHADOW_H
#define TANDEM_TEST_SHADOW_H

#include <stdint.h>

#define SHADOW_PAGE_BYTES 4096ull
#define SHADOW_LANES 256ull
#define SHADOW_RANGES 200

struct shadow_range {
	uint64_t start;
	uint64_t end; /* exclusive */
};

/* Aligned to a page, and not larger than one. */
struct shadow_arguments {
	uint64_t ranges;
	uint64_t read;  /* pages that were there */
	uint64_t tried;
	struct shadow_range range[SHADOW_RANGES];
};

#endif
