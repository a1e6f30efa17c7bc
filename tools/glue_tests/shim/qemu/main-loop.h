/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Big QEMU Lock and bottom halves, which the main loop's thread runs with it held. */
#ifndef SHIM_QEMU_MAIN_LOOP_H
#define SHIM_QEMU_MAIN_LOOP_H

#include <stdbool.h>

#include "hw/pci/pci_device.h"

typedef struct QEMUBH QEMUBH;

void bql_lock(void);
void bql_unlock(void);
bool bql_locked(void);

QEMUBH *qemu_bh_new_guarded(void (*callback)(void *), void *opaque, MemReentrancyGuard *guard);
void qemu_bh_schedule(QEMUBH *bh); /* any thread; takes no lock that anybody waits with */
void qemu_bh_delete(QEMUBH *bh);   /* BQL */

#endif
