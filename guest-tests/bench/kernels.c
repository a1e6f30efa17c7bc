/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernels of the benchmarks. The hash is the one source that the wavefront engine's own benchmark, QEMU's user-mode emulation
 * (tools/bench/hash_user.c) and native code run as well: hw-model/tests/compute/kernels/hash.h.
 */
#include "tandem/device.h"

#include "arguments.h"
#include "hash.h"

TANDEM_KERNEL void bench_hash(const struct hash_arguments *a)
{
	hash_elements(a, tandem_global_id_x(), tandem_grid_size_x());
}

TANDEM_KERNEL void bench_touch(const struct bench_touch_arguments *a)
{
	uint64_t lane = tandem_global_id_x();

	if (lane < a->count)
		*(volatile uint64_t *)(a->region + lane * a->stride) = lane;
}

TANDEM_KERNEL void bench_add(const struct bench_add_arguments *a)
{
	for (uint64_t round = 0; round < a->rounds; round++)
		__atomic_fetch_add(a->word, 1, __ATOMIC_RELAXED);
}
