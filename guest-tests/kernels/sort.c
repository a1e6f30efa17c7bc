/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bitonic sort: what fits into a workgroup's local memory is sorted there between barriers; longer distances go over memory. */
#include "tandem/device.h"

#include "arguments.h"

static void order(uint64_t *low, uint64_t *high, int descending)
{
	uint64_t a = *low, b = *high;

	if ((a > b) != descending) {
		*low = b;
		*high = a;
	}
}

/* Pair number i at this distance begins here. */
static uint64_t first_of_pair(uint64_t i, uint64_t distance)
{
	return 2 * i - (i & (distance - 1));
}

static void exchange_in_tile(uint64_t *tile, uint64_t base, uint64_t block, uint64_t distance)
{
	for (; distance; distance /= 2) {
		uint64_t at = first_of_pair(tandem_local_id_x(), distance);

		tandem_barrier();
		order(&tile[at], &tile[at + distance], ((base + at) & block) != 0);
	}
}

static uint64_t *load_tile(const struct sort_arguments *a, uint64_t base)
{
	uint64_t *tile = tandem_lds(0);
	uint64_t local = tandem_local_id_x();

	tile[local] = a->keys[base + local];
	tile[local + SORT_TILE / 2] = a->keys[base + local + SORT_TILE / 2];
	return tile;
}

static void store_tile(const struct sort_arguments *a, uint64_t base, const uint64_t *tile)
{
	uint64_t local = tandem_local_id_x();

	tandem_barrier();
	a->keys[base + local] = tile[local];
	a->keys[base + local + SORT_TILE / 2] = tile[local + SORT_TILE / 2];
}

/* Sorts each tile, every other one downwards. */
TANDEM_KERNEL void sort_tiles(const struct sort_arguments *a)
{
	uint64_t base = tandem_group_id_x() * SORT_TILE;
	uint64_t *tile = load_tile(a, base);

	for (uint64_t block = 2; block <= SORT_TILE; block *= 2)
		exchange_in_tile(tile, base, block, block / 2);
	store_tile(a, base, tile);
}
TANDEM_KERNEL_NEEDS(sort_tiles, SORT_TILE * 8, 0);

/* One step of a merge whose distance is longer than a tile. */
TANDEM_KERNEL void merge_far(const struct sort_arguments *a)
{
	uint64_t at = first_of_pair(tandem_global_id_x(), a->distance);

	order(&a->keys[at], &a->keys[at + a->distance], (at & a->block) != 0);
}

/* The rest of the merge, within tiles. */
TANDEM_KERNEL void merge_tiles(const struct sort_arguments *a)
{
	uint64_t base = tandem_group_id_x() * SORT_TILE;
	uint64_t *tile = load_tile(a, base);

	exchange_in_tile(tile, base, a->block, SORT_TILE / 2);
	store_tile(a, base, tile);
}
TANDEM_KERNEL_NEEDS(merge_tiles, SORT_TILE * 8, 0);
