/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiplies square matrices by tiles: a workgroup brings two tiles into its LDS, meets at the barrier, and multiplies. */
#include "tandem/device.h"

#include "arguments.h"

#define TILE_FLOATS (MATMUL_TILE * MATMUL_TILE)

TANDEM_KERNEL void matmul(const struct matmul_arguments *m)
{
	float *tile_a = tandem_lds(0);
	float *tile_b = tile_a + TILE_FLOATS;
	uint64_t x = tandem_local_id_x();
	uint64_t y = tandem_local_id_y();
	uint64_t column = tandem_global_id_x();
	uint64_t row = tandem_global_id_y();
	float sum = 0;

	for (uint64_t tile = 0; tile < m->n; tile += MATMUL_TILE) {
		tile_a[y * MATMUL_TILE + x] = m->a[row * m->n + tile + x];
		tile_b[y * MATMUL_TILE + x] = m->b[(tile + y) * m->n + column];
		tandem_barrier();
		for (uint64_t k = 0; k < MATMUL_TILE; k++)
			sum += tile_a[y * MATMUL_TILE + k] * tile_b[k * MATMUL_TILE + x];
		tandem_barrier();
	}
	m->product[row * m->n + column] = sum;
}
TANDEM_KERNEL_NEEDS(matmul, 2 * TILE_FLOATS * sizeof(float), 0);
