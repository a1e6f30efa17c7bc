/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The GPU's parties of the litmus tests: a wavefront each, of one workgroup; several begin each row together. */
#include "tandem/device.h"

#include "litmus.h"

/* Loads take their time here, so they make a delay that others can do something in. */
static void delay(const volatile struct litmus_arguments *a, uint64_t loads)
{
	for (; loads; loads--)
		(void)a->test;
}

TANDEM_KERNEL void litmus(const struct litmus_arguments *a)
{
	uint64_t party = 1 + tandem_local_id_x() / LITMUS_LANES, lane = tandem_local_id_x() % LITMUS_LANES, seed = a->seed;
	struct litmus_word *x = a->x + lane, *y = a->y + lane;
	struct litmus_result *results = a->results[party] + lane;
	uint32_t test = a->test, ordered = a->ordered;

	for (uint64_t row = 0; row < a->cells_count / LITMUS_LANES; row++) {
		if (row % LITMUS_ROWS == 0 && !litmus_meet(a, party, row / LITMUS_ROWS))
			return;
		if (a->parties > 2)
			tandem_barrier();
		delay(a, litmus_delay(seed, party, row) % 4);
		litmus_run(test, ordered, party, &x[row * LITMUS_LANES].value, &y[row * LITMUS_LANES].value, &results[row * LITMUS_LANES]);
	}
}
