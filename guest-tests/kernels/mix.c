/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each lane computes on its own words for long: work that several queues and processes give the GPU at the same time. */
#include "tandem/device.h"

#include "arguments.h"
#include "mix.h"

TANDEM_KERNEL void mix(const struct mix_arguments *a)
{
	uint64_t step = tandem_grid_size_x();

	for (uint64_t i = tandem_global_id_x(); i < a->count; i += step)
		a->words[i] = mix_word(a->words[i], a->rounds);
}
