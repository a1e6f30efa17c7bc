/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the harness does with the shim: starts and stops its main loop, waits for it, pauses the machine. */
#ifndef SHIM_H
#define SHIM_H

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "qemu/timer.h"

void shim_start(void);
void shim_stop(void);

/* BQL not held: until all that was scheduled before has run. */
void shim_wait_for_main_loop(void);

/* BQL. */
void shim_set_running(bool running);

#endif
