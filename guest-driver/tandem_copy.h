/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copies of pages by the copy engine, collected into runs and carried out together. The pages are
 * locked and unmapped by the caller, so nobody reads or writes them meanwhile.
 */
#ifndef TANDEM_COPY_H
#define TANDEM_COPY_H

#include "tandem_device.h"
#include "tandem_vram.h"

#define TANDEM_COPY_RUNS 64

struct tandem_copy_run {
	struct tandem_command command;
	struct tandem_fence fence;
	unsigned int first, pages; /* in the caller's numbering */
	/* Addresses that an IOMMU gave for the copy, or DMA_MAPPING_ERROR. */
	dma_addr_t mapped_source, mapped_destination;
};

struct tandem_copy {
	struct tandem_device *tdev; /* whose copy engine */
	unsigned int count;
	struct tandem_copy_run runs[TANDEM_COPY_RUNS];
	unsigned int failed;                           /* pages that could not be copied */
	DECLARE_BITMAP(bad, TANDEM_BLOCK_PAGES);       /* which */
	bool poisoned;                                 /* one of them because its source is */
};

void tandem_copy_add(struct tandem_copy *copy, struct tandem_device *tdev, unsigned int first,
		     unsigned int pages, const struct page *source, const struct page *destination);
void tandem_copy_finish(struct tandem_copy *copy);

#endif
