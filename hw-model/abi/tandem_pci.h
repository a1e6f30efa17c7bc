/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR MIT */
/*
 * How the device looks on the PCI Express bus: identity, BARs and MSI-X vectors.
 * Steps "rings a doorbell" and "MSI-X" of the journey.
 */
#ifndef TANDEM_ABI_PCI_H
#define TANDEM_ABI_PCI_H

#include "tandem_base.h"

#define TANDEM_PCI_VENDOR_ID 0x1234
#define TANDEM_PCI_DEVICE_ID 0x7d01
#define TANDEM_PCI_REVISION  0x01
#define TANDEM_PCI_CLASS     0x120000 /* processing accelerator */

/* BAR 0: registers, then the MSI-X table and pending bits. 64 bit, not prefetchable. */
#define TANDEM_BAR_REGS        0
#define TANDEM_BAR_REGS_SIZE   0x20000
#define TANDEM_REGS_SIZE       0x10000
#define TANDEM_MSIX_TABLE      0x10000
#define TANDEM_MSIX_PBA        0x11000

/*
 * BAR 2: doorbells. One page for each address space (page number = PASID), so that a process can be given its own and no
 * other. Doorbell n of a page is the 8-byte word at n * 8. A write gives the queue's new write index.
 */
#define TANDEM_BAR_DOORBELLS         2
#define TANDEM_DOORBELL_PAGE_SIZE    4096
#define TANDEM_DOORBELLS_PER_PAGE    512
#define TANDEM_DOORBELL_BYTES        8

/* BAR 4: video memory, there only when the property vram-bar is on. 64 bit, prefetchable. */
#define TANDEM_BAR_VRAM 4

/*
 * Address translation services: ATS with page-aligned requests, PASID without execute and privileged modes, PRI whose responses
 * carry the PASID. An address space of the kind TANDEM_TRANSLATION_SVA needs all three enabled.
 */
#define TANDEM_PCI_PASID_BITS    12
#define TANDEM_PCI_PAGE_REQUESTS 64 /* that may be outstanding; the system may allow fewer */

/* Response codes of page request groups (PCI Express, 10.4.2.1). All others count as FAILURE. */
enum tandem_page_response {
	TANDEM_PAGE_RESPONSE_SUCCESS = 0,
	TANDEM_PAGE_RESPONSE_INVALID = 1,    /* some page of the group is not to be had */
	TANDEM_PAGE_RESPONSE_FAILURE = 0xf,  /* no page of any group: page requests are off until the system allows them anew. Other
					      * groups are still answered */
};

/* MSI-X vectors. */
enum tandem_vector {
	TANDEM_VECTOR_COMMAND    = 0, /* a kernel ring command with TANDEM_COMMAND_INTERRUPT completed */
	TANDEM_VECTOR_INVALIDATE = 1, /* an invalidation with TANDEM_INVALIDATE_INTERRUPT was acknowledged */
	TANDEM_VECTOR_FAULT      = 2, /* fault records were written */
	TANDEM_VECTOR_EVENT      = 3, /* event records were written (signals, queue errors) */
	TANDEM_VECTOR_ERROR      = 4, /* the device stopped: see TANDEM_REG_ERROR */
	TANDEM_VECTOR_COUNT      = 5,
};

#endif
