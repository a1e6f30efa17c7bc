// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/jiffies.h>
#include <linux/sched.h>

#include "tandem_gate.h"

/* Whoever forgets to open one again must not hang a process for ever. */
#define TANDEM_GATE_PATIENCE (30 * HZ)

void tandem_gates_init(struct tandem_gates *gates)
{
	init_waitqueue_head(&gates->wait);
}

void tandem_gates_set(struct tandem_gates *gates, unsigned long closed)
{
	WRITE_ONCE(gates->closed, closed);
	wake_up_all(&gates->wait);
}

/* Not killable: what stands at a gate is in the middle of what cannot be given up. */
void tandem_gate_stand(struct tandem_gates *gates, enum tandem_gate gate)
{
	atomic_inc(&gates->standing[gate]);
	wait_event_timeout(gates->wait, !test_bit(gate, &gates->closed), TANDEM_GATE_PATIENCE);
	atomic_dec(&gates->standing[gate]);
}
