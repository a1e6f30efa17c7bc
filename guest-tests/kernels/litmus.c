/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The GPU's parties of the litmus tests: a workgroup of one wavefront each. */
#include "tandem/device.h"

#include "litmus.h"

TANDEM_KERNEL void litmus(const struct litmus_arguments *a)
{
	uint64_t party = a->first_party + tandem_group_id_x(), lane = tandem_local_id_x();

	for (uint64_t batch = 0; batch < a->cells_count / LITMUS_BATCH; batch++) {
		if (!litmus_meet(a, party, batch))
			return;
		for (uint64_t spin = litmus_delay(a, party, batch) % 16; spin; spin--)
			__asm__ volatile("" : "+r"(spin));
		litmus_run(a, party, batch * LITMUS_BATCH + lane);
	}
}
