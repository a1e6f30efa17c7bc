/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counts bytes into bins that CPU threads count into at the same time: right only if atomics are atomic on both sides. */
#include "tandem/device.h"

#include "arguments.h"

TANDEM_KERNEL void histogram(const struct histogram_arguments *a)
{
	uint64_t step = tandem_grid_size_x();

	__atomic_fetch_add(a->started, 1, __ATOMIC_RELAXED);
	for (uint64_t i = tandem_global_id_x(); i < a->count; i += step)
		__atomic_fetch_add(&a->bins[a->data[i]], 1, __ATOMIC_RELAXED);
}
