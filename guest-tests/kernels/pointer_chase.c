/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Follows linked lists that the CPU built: each pointer is the process's own, each step may miss every TLB. */
#include "tandem/device.h"

#include "arguments.h"

TANDEM_KERNEL void pointer_chase(const struct chase_arguments *a)
{
	uint64_t lane = tandem_global_id_x();
	uint64_t sum = 0;
	uint64_t length = 0;

	if (lane >= a->lists)
		return;
	for (struct chase_node *node = a->heads[lane]; node; node = node->next) {
		sum += node->value;
		length++;
		__atomic_fetch_add(&node->seen, 1, __ATOMIC_RELAXED);
	}
	a->sums[lane] = sum;
	a->lengths[lane] = length;
}
