/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_HW_BOARDS_H
#define SHIM_HW_BOARDS_H

typedef struct MachineState { struct { unsigned max_cpus; } smp; } MachineState;

extern MachineState *current_machine;

#endif
