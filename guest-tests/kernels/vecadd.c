/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Adds two vectors, one element for each work item. */
#include "tandem/device.h"

#include "arguments.h"

TANDEM_KERNEL void vecadd(const struct vecadd_arguments *a)
{
	uint64_t i = tandem_global_id_x();

	if (i < a->count)
		a->sum[i] = a->a[i] + a->b[i];
}
