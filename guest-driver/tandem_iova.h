/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the device finds the system's memory when an IOMMU translates its DMA: addresses for the
 * pages that one 2 MiB block of a process is mapped to. Page i of the block has one address,
 * whatever page of memory stands behind it at the moment, so the block is as contiguous for the
 * device as it is for the process.
 *
 * A link follows the entry of the device page table: made before the entry is written, taken away
 * after the entry was. All under the lock of the chunk that the block lies in, and nothing here
 * sleeps or allocates but tandem_iova_alloc(). (linux/hmm-dma.h)
 */
#ifndef TANDEM_IOVA_H
#define TANDEM_IOVA_H

#include <linux/hmm-dma.h>
#include <linux/types.h>

#include "tandem_abi.h"

struct tandem_iova {
	struct hmm_dma_map map; /* pfn_list: what is linked, as HMM_PFN_* */
	bool huge;              /* as one piece of 2 MiB */
};

struct tandem_iova *tandem_iova_alloc(struct device *dev);
void tandem_iova_free(struct device *dev, struct tandem_iova *iova);
int tandem_iova_link(struct device *dev, struct tandem_iova *iova, unsigned int index,
		     unsigned int pages, unsigned long pfn);
void tandem_iova_unlink(struct device *dev, struct tandem_iova *iova, unsigned int index,
			unsigned int pages);
struct page *tandem_iova_page(const struct tandem_iova *iova, unsigned int index);

static inline dma_addr_t tandem_iova_address(const struct tandem_iova *iova, unsigned int index)
{
	return iova->map.state.addr + (u64)index * TANDEM_PAGE_BYTES;
}

#endif
