/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small kernels for the tests of queues, faults and processes. */
#include "tandem/device.h"

#include "arguments.h"

TANDEM_KERNEL void count(const struct count_arguments *a)
{
	__atomic_fetch_add(a->counter, a->add, __ATOMIC_RELAXED);
}

/* Starts, and waits until the CPU lets it go. */
TANDEM_KERNEL void spin(const struct spin_arguments *a)
{
	__atomic_fetch_add(a->started, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(a->release, __ATOMIC_ACQUIRE))
		;
	__atomic_fetch_add(a->ended, 1, __ATOMIC_SEQ_CST);
}

/* Stores one word again and again, with nothing that orders the stores, until the CPU lets it go. */
TANDEM_KERNEL void store_until_released(const struct spin_arguments *a)
{
	while (!__atomic_load_n(a->release, __ATOMIC_RELAXED))
		__atomic_store_n(a->ended, 1, __ATOMIC_RELAXED);
}

/* Never ends, and touches no memory after it has started. */
TANDEM_KERNEL void run_wild(const struct spin_arguments *a)
{
	__atomic_fetch_add(a->started, 1, __ATOMIC_SEQ_CST);
	for (;;)
		__asm__ volatile("");
}

/* Reads or writes a byte of each page, spread over all lanes. */
TANDEM_KERNEL void touch(const struct touch_arguments *a)
{
	for (uint64_t page = tandem_global_id_x(); page < a->pages; page += tandem_grid_size_x()) {
		volatile unsigned char *byte = a->region + page * 4096;

		if (a->write)
			*byte = (unsigned char)(page + 1);
		else
			(void)*byte;
		__atomic_fetch_add(a->done, 1, __ATOMIC_SEQ_CST);
	}
}

/* Goes over the pages for ever. */
TANDEM_KERNEL void touch_for_ever(const struct touch_arguments *a)
{
	for (;;)
		touch(a);
}

/* Copies words, one lane. */
TANDEM_KERNEL void peek(const struct peek_arguments *a)
{
	for (uint64_t i = tandem_global_id_x(); i < a->words; i += tandem_grid_size_x())
		((volatile uint64_t *)a->destination)[i] = ((const volatile uint64_t *)a->source)[i];
}

/* Draws a ticket after a while: who came first? */
TANDEM_KERNEL void draw_ticket(const struct order_arguments *a)
{
	for (volatile uint64_t i = 0; i < a->delay; i++)
		;
	*a->slot = __atomic_fetch_add(a->ticket, 1, __ATOMIC_SEQ_CST) + 1;
}

TANDEM_KERNEL void illegal_instruction(void *unused)
{
	(void)unused;
	__asm__ volatile(".word 0xffffffff");
}

TANDEM_KERNEL void breakpoint(void *unused)
{
	(void)unused;
	__asm__ volatile("ebreak");
}

/* One lane stops with values that the test knows in its registers. */
TANDEM_KERNEL void fail_in_one_lane(const struct compute_arguments *a)
{
	if (tandem_global_id_x() == a->extra)
		__asm__ volatile("mv s3, %0; fmv.d.x fs3, %0; ebreak" : : "r"(a->in[0]) : "s3", "fs3");
}

TANDEM_KERNEL void environment_call(void *unused)
{
	(void)unused;
	__asm__ volatile("ecall");
}

TANDEM_KERNEL void misaligned_atomic(const struct count_arguments *a)
{
	uint64_t old;

	__asm__ volatile("amoadd.d %0, %1, (%2)" : "=r"(old) : "r"(a->add), "r"((char *)a->counter + 4) : "memory");
}

TANDEM_KERNEL void beyond_lds(const struct store_arguments *a)
{
	*(volatile uint64_t *)tandem_lds(tandem_lds_bytes()) = a->value;
}

TANDEM_KERNEL void atomic_add(const struct count_arguments *a)
{
	if (tandem_global_id_x() == 0)
		__atomic_fetch_add(a->counter, a->add, __ATOMIC_RELAXED);
}

/* A variable that CPU and GPU both know. */

__attribute__((visibility("default"))) uint64_t shared_variable = 42;
static const uint64_t constants[4] = {2, 3, 5, 7};
static const uint64_t *pointer_to_constants = constants;

TANDEM_KERNEL void use_variables(const struct compute_arguments *a)
{
	const uint64_t *volatile *slot = (const uint64_t *volatile *)&pointer_to_constants;

	if (tandem_global_id_x() == 0) {
		a->out[0] = shared_variable;
		a->out[1] = (*slot)[a->extra];
		shared_variable = 43;
	}
}
