/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stores one word: what a good and a bad address do. */
#include "tandem/device.h"

#include "arguments.h"

TANDEM_KERNEL void store(const struct store_arguments *a)
{
	if (tandem_global_id_x() == 0)
		*a->target = a->value;
}
