/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Float and double mathematics, to be compared with the CPU's to the bit. */
#include "tandem/device.h"

#include "arguments.h"
#include "numbers.h"

TANDEM_KERNEL void numbers(const struct numbers_arguments *a)
{
	uint64_t i = tandem_global_id_x();

	if (i >= a->count)
		return;
	numbers_doubles(a->doubles + i * NUMBERS_RESULTS, a->x[i]);
	numbers_floats(a->floats + i * NUMBERS_RESULTS, (float)a->x[i]);
}
