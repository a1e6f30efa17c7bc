/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nothing here frees by RCU; what counts is that whoever reads has registered. */
#ifndef SHIM_QEMU_RCU_H
#define SHIM_QEMU_RCU_H

void rcu_register_thread(void);
void rcu_unregister_thread(void);
void shim_rcu_check(void);

#define RCU_READ_LOCK_GUARD() shim_rcu_check()

#endif
