/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine runs or is stopped; handlers hear of it under the BQL. */
#ifndef SHIM_SYSTEM_RUNSTATE_H
#define SHIM_SYSTEM_RUNSTATE_H

#include <stdbool.h>

#include "hw/pci/pci_device.h"

typedef enum { RUN_STATE_PAUSED, RUN_STATE_RUNNING } RunState;
typedef struct VMChangeStateEntry VMChangeStateEntry;
typedef void VMChangeStateHandler(void *opaque, bool running, RunState state);

bool runstate_is_running(void);
VMChangeStateEntry *qdev_add_vm_change_state_handler(DeviceState *device, VMChangeStateHandler *handler, void *prepare, void *opaque);
void qemu_del_vm_change_state_handler(VMChangeStateEntry *entry);

#endif
