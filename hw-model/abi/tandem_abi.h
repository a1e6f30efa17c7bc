/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR MIT */
/* All of the device's contract at once. */
#ifndef TANDEM_ABI_H
#define TANDEM_ABI_H

#include "tandem_base.h"
#include "tandem_pci.h"
#include "tandem_regs.h"
#include "tandem_pte.h"
#include "tandem_ring.h"
#include "tandem_report.h"
#include "tandem_fault.h"
#include "tandem_aql.h"
#include "tandem_kernel_isa.h"
#include "tandem_trace.h"
#include "tandem_check.h"

#endif
