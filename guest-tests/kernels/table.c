/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inserts into a hash table that CPU threads insert into at the same time. */
#include "tandem/device.h"

#include "table.h"

TANDEM_KERNEL void table_insert(const struct table_arguments *a)
{
	uint64_t step = tandem_grid_size_x();

	__atomic_fetch_add(a->started, 1, __ATOMIC_RELAXED);
	for (uint64_t i = tandem_global_id_x(); i < a->count; i += step)
		if (!table_add(a->slots, a->mask, a->keys[i], 1))
			__atomic_fetch_add(a->full, 1, __ATOMIC_RELAXED);
}
