// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VRAM as Linux sees it: one dev_pagemap for each GPU, private (addresses that nothing decodes) or
 * coherent (BAR 4). And the way from a page to the place that a device finds it at: the page is
 * always asked whose it is, never the entry that led to it.
 *
 * GPUs that are on a link share one owner, so that Linux hands each the frames of the others. While
 * such a frame is mapped its GPU cannot go: removal brings every page home first, which clears the
 * entries of all.
 */
#include <linux/bitfield.h>
#include <linux/ioport.h>
#include <linux/mm.h>

#include "tandem_as.h"
#include "tandem_migrate.h"
#include "tandem_mutate.h"
#include "tandem_poison.h"

/* The owner of all VRAM on the link, and who is on it. Entries change at probe and removal only. */
static u8 tandem_fabric_owner;
static struct tandem_vram *tandem_fabric[TANDEM_FABRIC_LIMIT];
static DEFINE_MUTEX(tandem_fabric_lock);

static void tandem_pagemap_free(struct folio *folio)
{
	struct tandem_vram *vram = tandem_page_vram(&folio->page);

	tandem_vram_free(vram, tandem_page_index(vram, &folio->page), folio_nr_pages(folio));
}

/* head keeps its pgmap; called once for each folio that comes off it, then with NULL. */
static void tandem_pagemap_split(struct folio *head, struct folio *tail)
{
	struct tandem_vram *vram = tandem_page_vram(&head->page);

	tandem_vram_split(vram, tandem_page_index(vram, &head->page));
	if (!tail)
		return;
	tail->pgmap = head->pgmap;
	tail->page.mapping = head->page.mapping;
}

static const struct dev_pagemap_ops tandem_pagemap_ops = {
	.folio_free = tandem_pagemap_free,
	.migrate_to_ram = tandem_migrate_cpu_fault,
	.folio_split = tandem_pagemap_split,
	.memory_failure = tandem_poison_failure,
};

/* The VRAM that the page belongs to, or NULL: memory, or somebody else's device page. */
struct tandem_vram *tandem_page_vram(const struct page *page)
{
	struct dev_pagemap *pgmap;

	if (!is_zone_device_page(page))
		return NULL;
	pgmap = page_pgmap(page);
	return pgmap->ops == &tandem_pagemap_ops ?
		       container_of(pgmap, struct tandem_vram, pagemap) :
		       NULL;
}

u64 tandem_page_index(const struct tandem_vram *vram, const struct page *page)
{
	return page_to_pfn(page) - vram->first_pfn;
}

void *tandem_vram_owner(struct tandem_device *tdev)
{
	return tdev->vram.fabric != TANDEM_FABRIC_NONE ? (void *)&tandem_fabric_owner :
							 (void *)tdev;
}

static bool tandem_vram_is_peer(struct tandem_device *tdev, const struct tandem_vram *vram)
{
	return tdev->vram.fabric != TANDEM_FABRIC_NONE && vram->fabric != TANDEM_FABRIC_NONE &&
	       tdev->vram.fabric_peers & BIT(vram->fabric);
}

/* Where this GPU finds the page. False: it cannot reach it. */
bool tandem_page_place(struct tandem_device *tdev, const struct page *page,
		       struct tandem_place *place)
{
	struct tandem_vram *vram = tandem_page_vram(page);

	*place = (struct tandem_place){ .aperture = TANDEM_APERTURE_SYSTEM };
	if (!vram) {
		place->address = page_to_phys((struct page *)page);
		return !is_zone_device_page(page);
	}
	place->address = tandem_page_index(vram, page) * PAGE_SIZE;
	place->aperture = TANDEM_APERTURE_VRAM;
	if (vram->tdev == tdev || tandem_mutated(MUTANT_PEER_AS_OWN))
		return true;
	place->aperture = TANDEM_APERTURE_PEER;
	place->peer = vram->fabric;
	return tandem_vram_is_peer(tdev, vram);
}

/* The way back, for an entry of this GPU's table; while it is valid its page is mapped. */
struct page *tandem_pte_page(struct tandem_device *tdev, u64 pte)
{
	unsigned long pfn = PHYS_PFN(pte & TANDEM_PTE_ADDRESS);

	switch (FIELD_GET(TANDEM_PTE_APERTURE, pte)) {
	case TANDEM_APERTURE_VRAM:
		return pfn_to_page(tdev->vram.first_pfn + pfn);
	case TANDEM_APERTURE_PEER:
		return pfn_to_page(
			READ_ONCE(tandem_fabric[FIELD_GET(TANDEM_PTE_PEER, pte)])->first_pfn +
			pfn);
	default:
		return pfn_to_page(pfn);
	}
}

/* ---- making and unmaking ---- */

static int tandem_pagemap_range(struct tandem_vram *vram, u64 bytes)
{
	struct tandem_device *tdev = vram->tdev;
	struct dev_pagemap *pagemap = &vram->pagemap;

	if (pagemap->type == MEMORY_DEVICE_COHERENT) {
		pagemap->range.start = pci_resource_start(tdev->pdev, TANDEM_BAR_VRAM);
		if (pci_resource_len(tdev->pdev, TANDEM_BAR_VRAM) < bytes ||
		    pcim_request_region(tdev->pdev, TANDEM_BAR_VRAM, TANDEM_NAME))
			return -ENODEV;
	} else {
		vram->resource =
			request_free_mem_region(&iomem_resource, bytes, TANDEM_NAME " vram");
		if (IS_ERR(vram->resource))
			return PTR_ERR(vram->resource);
		pagemap->range.start = vram->resource->start;
	}
	pagemap->range.end = pagemap->range.start + bytes - 1;
	return 0;
}

static void tandem_pagemap_release_range(struct tandem_vram *vram)
{
	if (!IS_ERR_OR_NULL(vram->resource))
		release_mem_region(vram->resource->start, resource_size(vram->resource));
	vram->resource = NULL;
}

static int tandem_pagemap_map(struct tandem_vram *vram)
{
	struct dev_pagemap *pagemap = &vram->pagemap;
	void *address;
	int ret;

	pagemap->type = vram->tdev->config.features & TANDEM_FEATURE_VRAM_BAR ?
				MEMORY_DEVICE_COHERENT :
				MEMORY_DEVICE_PRIVATE;
	pagemap->nr_range = 1;
	pagemap->ops = &tandem_pagemap_ops;
	pagemap->owner = tandem_vram_owner(vram->tdev);
	ret = tandem_pagemap_range(vram, vram->pages * PAGE_SIZE);
	if (!ret) {
		address = memremap_pages(pagemap, dev_to_node(vram->tdev->dev));
		ret = PTR_ERR_OR_ZERO(address);
	}
	if (ret) {
		tandem_pagemap_release_range(vram);
		return ret;
	}
	vram->first_pfn = PHYS_PFN(pagemap->range.start);
	return 0;
}

/* Two GPUs with one number would take each other's pages for their own. */
static int tandem_fabric_join(struct tandem_vram *vram)
{
	int ret = 0;

	if (vram->fabric == TANDEM_FABRIC_NONE)
		return 0;
	mutex_lock(&tandem_fabric_lock);
	if (tandem_fabric[vram->fabric])
		ret = -EEXIST;
	else
		WRITE_ONCE(tandem_fabric[vram->fabric], vram);
	mutex_unlock(&tandem_fabric_lock);
	return ret;
}

static void tandem_fabric_leave(struct tandem_vram *vram)
{
	if (vram->fabric == TANDEM_FABRIC_NONE)
		return;
	mutex_lock(&tandem_fabric_lock);
	WRITE_ONCE(tandem_fabric[vram->fabric], NULL);
	mutex_unlock(&tandem_fabric_lock);
}

static void tandem_frames_describe(struct tandem_check_frames *frames,
				   const struct tandem_vram *vram, enum tandem_aperture aperture)
{
	*frames = (struct tandem_check_frames){
		.first = vram->first_pfn,
		.pages = tandem_vram_is_there(vram) ? vram->pages : 0,
		.aperture = aperture,
		.peer = aperture == TANDEM_APERTURE_PEER ? vram->fabric : 0,
	};
}

/* For the checker: the frames that are memory of GPUs which this one reaches. */
void tandem_vram_describe(struct tandem_device *tdev, struct tandem_check_frames *frames)
{
	unsigned int i;

	lockdep_assert_held(&tandem_fabric_lock);
	memset(frames, 0, TANDEM_CHECK_FRAMES_COUNT * sizeof(*frames));
	tandem_frames_describe(&frames[TANDEM_CHECK_FRAMES_OWN], &tdev->vram,
			       TANDEM_APERTURE_VRAM);
	for (i = 0; i < TANDEM_FABRIC_LIMIT; i++)
		if (tandem_fabric[i] && tandem_vram_is_peer(tdev, tandem_fabric[i]) &&
		    tandem_fabric[i] != &tdev->vram)
			tandem_frames_describe(&frames[i], tandem_fabric[i], TANDEM_APERTURE_PEER);
}

/* This GPU's memory has got its frames, or lost them: its own checker and its peers' are told. */
static void tandem_frames_changed(struct tandem_device *tdev)
{
	unsigned int i;

	mutex_lock(&tandem_fabric_lock);
	tandem_check_frames_changed(tdev);
	for (i = 0; i < TANDEM_FABRIC_LIMIT; i++)
		if (tandem_fabric[i] && tandem_fabric[i] != &tdev->vram)
			tandem_check_frames_changed(tandem_fabric[i]->tdev);
	mutex_unlock(&tandem_fabric_lock);
}

static void tandem_fabric_read(struct tandem_device *tdev)
{
	struct tandem_vram *vram = &tdev->vram;

	vram->fabric = TANDEM_FABRIC_NONE;
	if ((tdev->config.abi_version & 0xffff) < 1)
		return;
	vram->fabric = tandem_read32(tdev, TANDEM_REG_FABRIC);
	vram->fabric_peers = tandem_read32(tdev, TANDEM_REG_FABRIC_PEERS);
	if (vram->fabric >= TANDEM_FABRIC_LIMIT)
		vram->fabric = TANDEM_FABRIC_NONE;
}

/*
 * Without VRAM that processes can have, the GPU works on: only what asks for it is refused. So only
 * running out of memory is an error.
 */
int tandem_pagemap_init(struct tandem_device *tdev)
{
	struct tandem_vram *vram = &tdev->vram;
	int ret;

	vram->tdev = tdev;
	vram->kind = TANDEM_VRAM_NONE;
	tandem_fabric_read(tdev);
	if (!IS_ENABLED(CONFIG_DEVICE_PRIVATE)) {
		dev_info(tdev->dev, "this kernel has no CONFIG_DEVICE_PRIVATE: VRAM is not used\n");
		return 0;
	}
	if (tdev->config.vram_bytes < SZ_2M)
		return 0;
	ret = tandem_vram_init(vram, PHYS_PFN(tdev->config.vram_bytes));
	if (ret)
		return ret;
	ret = tandem_fabric_join(vram);
	if (ret) {
		dev_err(tdev->dev, "another GPU on the link has number %u, too\n", vram->fabric);
		goto err_vram;
	}
	ret = tandem_pagemap_map(vram);
	if (ret) {
		dev_err(tdev->dev, "no page frames for VRAM: error %d\n", ret);
		goto err_fabric;
	}
	vram->kind = vram->pagemap.type == MEMORY_DEVICE_COHERENT ? TANDEM_VRAM_COHERENT :
								    TANDEM_VRAM_PRIVATE;
	tandem_frames_changed(tdev);
	return 0;

err_fabric:
	tandem_fabric_leave(vram);
err_vram:
	tandem_vram_fini(vram);
	return ret;
}

/* tandem_vram_evacuate() has brought every page home. */
void tandem_pagemap_fini(struct tandem_device *tdev)
{
	struct tandem_vram *vram = &tdev->vram;

	if (!tandem_vram_is_there(vram))
		return;
	memunmap_pages(&vram->pagemap);
	vram->kind = TANDEM_VRAM_NONE;
	tandem_frames_changed(tdev);
	tandem_pagemap_release_range(vram);
	tandem_fabric_leave(vram);
	tandem_vram_fini(vram);
}
