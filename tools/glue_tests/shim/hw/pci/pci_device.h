/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_HW_PCI_PCI_DEVICE_H
#define SHIM_HW_PCI_PCI_DEVICE_H

typedef struct MemReentrancyGuard { int unused; } MemReentrancyGuard;
typedef struct DeviceState { MemReentrancyGuard mem_reentrancy_guard; } DeviceState;
typedef struct PCIDevice { DeviceState qdev; } PCIDevice;

#define PCI_DEVICE(object) (&(object)->parent_obj)
#define DEVICE(object) (&(object)->parent_obj.qdev)

#endif
