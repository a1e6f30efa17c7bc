// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Links between addresses of the device and pages of memory: see tandem_iova.h. Pages one by one
 * are linked as hmm does it; a huge page in one piece, so that the IOMMU, too, needs one entry for
 * it.
 */
#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/pci-p2pdma.h>
#include <linux/slab.h>

#include "tandem_iova.h"

#define TANDEM_IOVA_BYTES BIT_ULL(TANDEM_LEAF_2M)

/* NULL: no memory, or no addresses. */
struct tandem_iova *tandem_iova_alloc(struct device *dev)
{
	struct tandem_iova *iova = kzalloc_obj(*iova, GFP_KERNEL_ACCOUNT);

	if (!iova)
		return NULL;
	if (hmm_dma_map_alloc(dev, &iova->map, TANDEM_PT_ENTRIES, TANDEM_PAGE_BYTES)) {
		kfree(iova);
		return NULL;
	}
	if (dma_use_iova(&iova->map.state) && IS_ALIGNED(iova->map.state.addr, TANDEM_IOVA_BYTES))
		return iova;
	tandem_iova_free(dev, iova);
	return NULL;
}

/* Nothing is linked any more. NULL is allowed. */
void tandem_iova_free(struct device *dev, struct tandem_iova *iova)
{
	if (!iova)
		return;
	hmm_dma_map_free(dev, &iova->map);
	kfree(iova);
}

static int tandem_iova_link_huge(struct device *dev, struct tandem_iova *iova, unsigned long pfn)
{
	struct dma_iova_state *state = &iova->map.state;
	int ret = dma_iova_link(dev, state, PFN_PHYS(pfn), 0, TANDEM_IOVA_BYTES, DMA_BIDIRECTIONAL,
				DMA_ATTR_REQUIRE_COHERENT);

	if (ret)
		return ret;
	ret = dma_iova_sync(dev, state, 0, TANDEM_IOVA_BYTES);
	if (ret) {
		dma_iova_unlink(dev, state, 0, TANDEM_IOVA_BYTES, DMA_BIDIRECTIONAL,
				DMA_ATTR_REQUIRE_COHERENT);
		return ret;
	}
	iova->huge = true;
	iova->map.pfn_list[0] = pfn | HMM_PFN_VALID;
	return 0;
}

static int tandem_iova_link_page(struct device *dev, struct tandem_iova *iova, unsigned int index,
				 unsigned long pfn)
{
	struct pci_p2pdma_map_state p2pdma = { };

	iova->map.pfn_list[index] = pfn | HMM_PFN_VALID;
	if (dma_mapping_error(dev, hmm_dma_map_pfn(dev, &iova->map, index, &p2pdma))) {
		iova->map.pfn_list[index] = 0;
		return -ENOMEM;
	}
	return 0;
}

/*
 * Pages index .. index + pages - 1 of the block are the frames from pfn on: one or sixteen pages,
 * or all. They are not linked. Nothing is when it fails.
 */
int tandem_iova_link(struct device *dev, struct tandem_iova *iova, unsigned int index,
		     unsigned int pages, unsigned long pfn)
{
	unsigned int i;
	int ret = 0;

	if (pages == TANDEM_PT_ENTRIES)
		return tandem_iova_link_huge(dev, iova, pfn);
	for (i = 0; !ret && i < pages; i++)
		ret = tandem_iova_link_page(dev, iova, index + i, pfn + i);
	if (ret)
		tandem_iova_unlink(dev, iova, index, pages);
	return ret;
}

/*
 * When this returns the IOMMU has forgotten these pages, and so has the device's cache of what it
 * said (ATS). Pages that are not linked are passed over.
 */
void tandem_iova_unlink(struct device *dev, struct tandem_iova *iova, unsigned int index,
			unsigned int pages)
{
	unsigned int i;

	if (iova->huge) {
		dma_iova_unlink(dev, &iova->map.state, 0, TANDEM_IOVA_BYTES, DMA_BIDIRECTIONAL,
				DMA_ATTR_REQUIRE_COHERENT);
		iova->huge = false;
		iova->map.pfn_list[0] = 0;
		return;
	}
	for (i = index; i < index + pages; i++) {
		hmm_dma_unmap_pfn(dev, &iova->map, i);
		iova->map.pfn_list[i] = 0;
	}
}

/* NULL: the page is not linked. */
struct page *tandem_iova_page(const struct tandem_iova *iova, unsigned int index)
{
	unsigned long pfn = iova->map.pfn_list[iova->huge ? 0 : index];

	if (!(pfn & HMM_PFN_VALID))
		return NULL;
	return pfn_to_page((pfn & ~HMM_PFN_FLAGS) + (iova->huge ? index : 0));
}
