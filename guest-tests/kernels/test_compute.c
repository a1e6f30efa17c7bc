/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lanes can do: diverge, recurse, call through pointers, meet at barriers, wait for each other, compute. */
#include "tandem/device.h"

#include "arguments.h"

TANDEM_KERNEL void who_am_i(const struct compute_arguments *a)
{
	uint64_t index = (tandem_global_id_z() * tandem_grid_size_y() + tandem_global_id_y()) * tandem_grid_size_x() +
			 tandem_global_id_x();
	uint64_t *out = a->out + index * 8;

	out[0] += 1; /* once for each work item */
	out[1] = tandem_global_id_x() | tandem_global_id_y() << 16 | tandem_global_id_z() << 32;
	out[2] = tandem_local_id_x() | tandem_local_id_y() << 16 | tandem_local_id_z() << 32;
	out[3] = tandem_group_id_x() | tandem_group_id_y() << 16 | tandem_group_id_z() << 32;
	out[4] = tandem_group_size_x() | tandem_group_size_y() << 16 | tandem_group_size_z() << 32;
	out[5] = tandem_lane_id();
	out[6] = tandem_wave_id();
	out[7] = tandem_dispatch_id();
}

/* The Collatz sequence: lanes loop for different numbers of rounds and take different ways. */
TANDEM_KERNEL void diverge(const struct compute_arguments *a)
{
	uint64_t i = tandem_global_id_x();
	uint64_t n = a->in[i];
	uint64_t steps = 0;

	while (n != 1) {
		if (n & 1)
			n = 3 * n + 1;
		else
			n >>= 1;
		steps++;
	}
	a->out[i] = steps;
}

static __attribute__((noinline)) uint64_t ackermann(uint64_t m, uint64_t n)
{
	if (m == 0)
		return n + 1;
	if (n == 0)
		return ackermann(m - 1, 1);
	return ackermann(m - 1, ackermann(m, n - 1));
}

TANDEM_KERNEL void recurse(const struct compute_arguments *a)
{
	uint64_t i = tandem_global_id_x();

	a->out[i] = ackermann(2, i % 8);
}
TANDEM_KERNEL_NEEDS(recurse, 0, 2048);

static __attribute__((noinline)) uint64_t twice(uint64_t x) { return x * 2; }
static __attribute__((noinline)) uint64_t square(uint64_t x) { return x * x; }
static __attribute__((noinline)) uint64_t negate(uint64_t x) { return -x; }
static __attribute__((noinline)) uint64_t rotate(uint64_t x) { return x << 13 | x >> 51; }
static uint64_t (*const functions[4])(uint64_t) = {twice, square, negate, rotate};

TANDEM_KERNEL void call_pointers(const struct compute_arguments *a)
{
	uint64_t i = tandem_global_id_x();

	a->out[i] = functions[a->in[i] & 3](a->in[i]);
}

/* Reverses each workgroup's part through its LDS. */
TANDEM_KERNEL void reverse_in_group(const struct compute_arguments *a)
{
	uint64_t *lds = tandem_lds(0);
	uint64_t size = tandem_group_size_x();
	uint64_t local = tandem_local_id_x();

	lds[local] = a->in[tandem_global_id_x()];
	tandem_barrier();
	a->out[tandem_global_id_x()] = lds[size - 1 - local];
}

/* A sum over the workgroup in log steps: a barrier in a loop. */
TANDEM_KERNEL void reduce(const struct compute_arguments *a)
{
	uint64_t *lds = tandem_lds(0);
	uint64_t local = tandem_local_id_x();

	lds[local] = tandem_global_id_x() < a->count ? a->in[tandem_global_id_x()] : 0;
	tandem_barrier();
	for (uint64_t half = tandem_group_size_x() / 2; half; half /= 2) {
		if (local < half)
			lds[local] += lds[local + half];
		tandem_barrier();
	}
	if (local == 0)
		a->out[tandem_group_id_x()] = lds[0];
}

/* Lanes of the wavefront see each other's registers. */
TANDEM_KERNEL void exchange_lanes(const struct compute_arguments *a)
{
	uint64_t i = tandem_global_id_x();
	uint64_t lane = tandem_lane_id();
	uint64_t mine = a->in[i];
	uint32_t odd = tandem_ballot(mine & 1);
	uint64_t neighbour = tandem_shuffle(mine, lane ^ 1);
	uint64_t beyond = tandem_shuffle(mine, lane + 33);

	a->out[i * 3 + 0] = odd;
	a->out[i * 3 + 1] = neighbour;
	a->out[i * 3 + 2] = beyond;
}

/* A spin lock taken by every lane of a wavefront in turn: ends only if the lane that holds it makes progress. */
TANDEM_KERNEL void take_turns(const struct compute_arguments *a)
{
	uint64_t *lock = &a->out[0];
	uint64_t *shared = &a->out[1];

	for (uint64_t i = 0; i < a->extra; i++) {
		while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
			;
		uint64_t value = *(volatile uint64_t *)shared;

		*(volatile uint64_t *)shared = value + 1;
		__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
	}
}

/* Lane n waits for lane n + 1 of its own wavefront. */
TANDEM_KERNEL void chain(const struct compute_arguments *a)
{
	uint64_t i = tandem_global_id_x();

	if (i + 1 < a->count)
		while (!__atomic_load_n(&a->out[i + 1], __ATOMIC_ACQUIRE))
			;
	__atomic_store_n(&a->out[i], a->count - i, __ATOMIC_RELEASE);
}

/* Lanes end at different times; those that are left still meet at the barrier. */
TANDEM_KERNEL void leave_early(const struct compute_arguments *a)
{
	uint64_t *lds = tandem_lds(0);
	uint64_t local = tandem_local_id_x();

	if (local % 3 == 0)
		tandem_exit();
	lds[local] = local;
	tandem_barrier();
	uint64_t other = tandem_group_size_x() - 1 - local;

	a->out[tandem_global_id_x()] = other % 3 ? lds[other] + 1 : 1;
}

struct particle {
	uint64_t position[9];
};

/* Large objects by value: the compiler calls memcpy and memset; the lane's own stack is used. */
TANDEM_KERNEL void copy_structures(const struct compute_arguments *a)
{
	uint64_t i = tandem_global_id_x();
	struct particle table[8];

	__builtin_memset(table, 0, sizeof(table));
	for (uint64_t k = 0; k < 8; k++)
		table[k].position[k] = a->in[i] + k;
	struct particle last = table[a->in[i] & 7];
	uint64_t sum = 0;

	for (uint64_t k = 0; k < 9; k++)
		sum += last.position[k] * (k + 1);
	a->out[i] = sum;
}
TANDEM_KERNEL_NEEDS(copy_structures, 0, 2048);

static void doubles(double *out, double x, double y)
{
	out[0] = x + y;
	out[1] = x - y;
	out[2] = x * y;
	out[3] = x / y;
	out[4] = __builtin_sqrt(x < 0 ? -x : x);
	out[5] = __builtin_fma(x, y, x);
	out[6] = x < y ? x : y;
	out[7] = (double)(float)x;
}

static void floats(float *out, float x, float y)
{
	out[0] = x + y;
	out[1] = x - y;
	out[2] = x * y;
	out[3] = x / y;
	out[4] = __builtin_sqrtf(x < 0 ? -x : x);
	out[5] = __builtin_fmaf(x, y, x);
	out[6] = x > y ? x : y;
	out[7] = (float)(int32_t)(x * 1000);
}

static void integers(int64_t *out, int64_t x, int64_t y)
{
	out[0] = x + y;
	out[1] = x * y;
	out[2] = x / y;
	out[3] = x % y;
	out[4] = (int64_t)((uint64_t)x >> (y & 63));
	out[5] = x >> (y & 63);
	out[6] = (int64_t)((__int128)x * y >> 64);
	out[7] = (int32_t)((int32_t)x * (int32_t)y);
}

TANDEM_KERNEL void mathematics(const struct math_arguments *a)
{
	uint64_t i = tandem_global_id_x();

	if (i >= a->count)
		return;
	doubles(a->doubles + i * MATH_RESULTS, a->x[i], a->y[i]);
	floats(a->floats + i * MATH_RESULTS, (float)a->x[i], (float)a->y[i]);
	integers(a->integers + i * MATH_RESULTS, (int64_t)(a->x[i] * 1e12), (int64_t)(a->y[i] * 1000) | 1);
}
TANDEM_KERNEL_NEEDS(mathematics, 0, 1024);
