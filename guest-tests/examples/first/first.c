/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tandem/device.h"

struct arguments { double *data; double factor; };

TANDEM_KERNEL void scale(struct arguments *a)
{
	a->data[tandem_global_id_x()] *= a->factor;
}
