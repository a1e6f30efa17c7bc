/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Gates: places where the driver stands still for a test until it is let go, so that what happens
 * in a window of a few instructions can be shown to end well. debugfs `test_gates` closes them.
 */
#ifndef TANDEM_GATE_H
#define TANDEM_GATE_H

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/wait.h>

enum tandem_gate {
	/* An address space is unbound, and everything that it had is still there. */
	TANDEM_GATE_TEARDOWN,
	TANDEM_GATE_COUNT,
};

struct tandem_gates {
	wait_queue_head_t wait;
	unsigned long closed; /* bit: enum tandem_gate */
	atomic_t standing[TANDEM_GATE_COUNT];
};

void tandem_gates_init(struct tandem_gates *gates);
void tandem_gates_set(struct tandem_gates *gates, unsigned long closed);
void tandem_gate_stand(struct tandem_gates *gates, enum tandem_gate gate);

/* May sleep if the gate is closed. */
static inline void tandem_gate_pass(struct tandem_gates *gates, enum tandem_gate gate)
{
	if (unlikely(test_bit(gate, &gates->closed)))
		tandem_gate_stand(gates, gate);
}

#endif
