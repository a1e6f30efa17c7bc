/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exclusive prefix sums: each workgroup scans its block in local memory; then each block is raised by what stands before it. */
#include "tandem/device.h"

#include "arguments.h"

TANDEM_KERNEL void scan_blocks(const struct scan_arguments *a)
{
	uint64_t *lds = tandem_lds(0);
	uint64_t local = tandem_local_id_x(), i = tandem_global_id_x();
	uint64_t own = i < a->count ? a->data[i] : 0;

	lds[local] = own;
	tandem_barrier();
	for (uint64_t distance = 1; distance < SCAN_BLOCK; distance *= 2) {
		uint64_t before = local >= distance ? lds[local - distance] : 0;

		tandem_barrier();
		lds[local] += before;
		tandem_barrier();
	}
	if (i < a->count)
		a->data[i] = lds[local] - own;
	if (local == SCAN_BLOCK - 1)
		a->totals[tandem_group_id_x()] = lds[local];
}
TANDEM_KERNEL_NEEDS(scan_blocks, SCAN_BLOCK * 8, 0);

TANDEM_KERNEL void scan_raise(const struct scan_arguments *a)
{
	uint64_t i = tandem_global_id_x();

	if (i < a->count)
		a->data[i] += a->totals[i / SCAN_BLOCK];
}
