/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_HW_PCI_MSIX_H
#define SHIM_HW_PCI_MSIX_H

#include "hw/pci/pci_device.h"

/* BQL. Counts: see glue_delivered(). */
void msix_notify(PCIDevice *device, unsigned vector);

#endif
