// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The copy engine's part of a migration: pages that lie one behind the other on both sides are one
 * COPY, pages that do not exist yet are one FILL, and a batch of them is waited for once.
 *
 * A copy that failed is tried once more. One that a reset took away is done again when the device
 * runs: memory and VRAM keep their contents over a reset, and nobody else can reach the pages. What
 * cannot be copied is named in `bad`, and the caller leaves it where it is.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>

#include "tandem_copy.h"
#include "tandem_mutate.h"

#define TANDEM_COPY_TRIES 3

static u64 tandem_run_end(const struct tandem_copy_run *run, u64 start)
{
	return start + run->command.u.copy.bytes;
}

/* ---- where the copy engine finds the pages ---- */

/*
 * A page of the system's memory has its frame as address, or one that lasts until the copies are
 * finished. False: there is none to be had.
 */
static bool tandem_copy_place(struct tandem_device *tdev, const struct page *page,
			      unsigned int pages, enum dma_data_direction direction,
			      struct tandem_place *place, dma_addr_t *mapped)
{
	size_t bytes = (size_t)pages * PAGE_SIZE;

	*mapped = DMA_MAPPING_ERROR;
	if (!tandem_page_place(tdev, page, place))
		return false;
	if (!tdev->translated || place->aperture != TANDEM_APERTURE_SYSTEM)
		return true;
	*mapped = dma_map_page(tdev->dev, (struct page *)page, 0, bytes, direction);
	place->address = *mapped;
	return !dma_mapping_error(tdev->dev, *mapped);
}

static void tandem_copy_unmap(struct tandem_copy *copy, const struct tandem_copy_run *run)
{
	size_t bytes = (size_t)run->pages * PAGE_SIZE;

	if (run->mapped_source != DMA_MAPPING_ERROR)
		dma_unmap_page(copy->tdev->dev, run->mapped_source, bytes, DMA_TO_DEVICE);
	if (run->mapped_destination != DMA_MAPPING_ERROR)
		dma_unmap_page(copy->tdev->dev, run->mapped_destination, bytes, DMA_FROM_DEVICE);
}

static bool tandem_copy_is_mapped(const struct tandem_copy_run *run)
{
	return run->mapped_source != DMA_MAPPING_ERROR ||
	       run->mapped_destination != DMA_MAPPING_ERROR;
}

/*
 * Do these pages continue the run that was begun last? Not if they were mapped for it: what was
 * mapped at once is unmapped at once.
 */
static bool tandem_copy_extend(struct tandem_copy *copy, const struct tandem_copy_run *next)
{
	struct tandem_copy_run *last = copy->count ? &copy->runs[copy->count - 1] : NULL;
	bool fill = next->command.type == TANDEM_COMMAND_FILL;

	if (!last || last->command.type != next->command.type ||
	    last->first + last->pages != next->first || tandem_copy_is_mapped(last) ||
	    tandem_copy_is_mapped(next))
		return false;
	if (last->command.u.copy.destination_aperture !=
		    next->command.u.copy.destination_aperture ||
	    last->command.u.copy.destination_peer != next->command.u.copy.destination_peer ||
	    last->command.u.copy.source_aperture != next->command.u.copy.source_aperture ||
	    last->command.u.copy.source_peer != next->command.u.copy.source_peer)
		return false;
	if (tandem_run_end(last, last->command.u.copy.destination) !=
	    next->command.u.copy.destination)
		return false;
	if (!fill &&
	    tandem_run_end(last, last->command.u.copy.source) != next->command.u.copy.source)
		return false;
	last->command.u.copy.bytes += next->command.u.copy.bytes;
	last->pages += next->pages;
	return true;
}

static void tandem_copy_give_up(struct tandem_copy *copy, const struct tandem_copy_run *run)
{
	bitmap_set(copy->bad, run->first, run->pages);
	copy->failed += run->pages;
}

/* Posts the runs; the fence of the last covers them, because commands complete in order. */
static void tandem_copy_post(struct tandem_copy *copy, struct tandem_copy_run *runs,
			     unsigned int count, u32 epoch)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (i + 1 == count)
			runs[i].command.flags |= TANDEM_COMMAND_INTERRUPT;
		runs[i].fence = tandem_command_post(copy->tdev, &runs[i].command, epoch);
	}
	if (!tandem_mutant_hurries(runs))
		tandem_ring_wait(&copy->tdev->command, runs[count - 1].fence, TANDEM_MAY_SLEEP);
}

/*
 * Carries the runs out once. -EIO: the device was reset meanwhile, or failures got lost: nothing is
 * known of any of them. Otherwise verdicts[] has the answer to each.
 */
static int tandem_copy_round(struct tandem_copy *copy, struct tandem_copy_run *runs,
			     unsigned int count, u16 *verdicts)
{
	struct tandem_device *tdev = copy->tdev;
	u64 lost = atomic64_read(&tdev->failures_lost);
	unsigned int i;
	u32 epoch;

	/* A reset is recovered from first: no lock that we hold is in the recovery's way. */
	flush_work(&tdev->recovery);
	epoch = tandem_epoch(tdev);
	tandem_copy_post(copy, runs, count, epoch);
	if (!runs[count - 1].fence.seqno || tandem_epoch(tdev) != epoch)
		return -EIO;
	/* The error events precede the completion: they are in the ring by now. */
	tandem_event_drain(tdev);
	for (i = 0; i < count; i++)
		verdicts[i] = tandem_event_command_error(tdev, runs[i].fence.seqno);
	return atomic64_read(&tdev->failures_lost) == lost ? 0 : -EIO;
}

static int tandem_copy_persist(struct tandem_copy *copy, struct tandem_copy_run *runs,
			       unsigned int count, u16 *verdicts)
{
	int tries, ret = -EIO;

	for (tries = 0; ret && tries < TANDEM_COPY_TRIES; tries++) {
		if (tries)
			atomic64_inc(&copy->tdev->vram.stats.copy_retries);
		ret = tandem_copy_round(copy, runs, count, verdicts);
	}
	return ret;
}

/* One run that failed: once more, by itself. */
static void tandem_copy_again(struct tandem_copy *copy, struct tandem_copy_run *run)
{
	u16 verdict = TANDEM_COMMAND_OK;
	int ret;

	atomic64_inc(&copy->tdev->vram.stats.copy_retries);
	ret = tandem_copy_persist(copy, run, 1, &verdict);
	if (ret || verdict != TANDEM_COMMAND_OK)
		tandem_copy_give_up(copy, run);
	if (!ret && verdict == TANDEM_COMMAND_POISONED)
		copy->poisoned = true;
}

/* Of a run that met poison all but the poisoned pages can be had. */
static void tandem_copy_singly(struct tandem_copy *copy, const struct tandem_copy_run *run)
{
	unsigned int i;

	for (i = 0; i < run->pages; i++) {
		struct tandem_copy_run page = *run;

		page.first += i;
		page.pages = 1;
		page.command.u.copy.source += (u64)i * PAGE_SIZE;
		page.command.u.copy.destination += (u64)i * PAGE_SIZE;
		page.command.u.copy.bytes = PAGE_SIZE;
		tandem_copy_again(copy, &page);
	}
}

/* When this returns every page that was added is copied, or named in `bad`. */
void tandem_copy_finish(struct tandem_copy *copy)
{
	u16 verdicts[TANDEM_COPY_RUNS];
	unsigned int i;
	int ret;

	if (!copy->count)
		return;
	ret = tandem_copy_persist(copy, copy->runs, copy->count, verdicts);
	for (i = 0; i < copy->count; i++) {
		if (ret)
			tandem_copy_give_up(copy, &copy->runs[i]);
		else if (verdicts[i] == TANDEM_COMMAND_POISONED)
			tandem_copy_singly(copy, &copy->runs[i]);
		else if (verdicts[i] != TANDEM_COMMAND_OK)
			tandem_copy_again(copy, &copy->runs[i]);
		tandem_copy_unmap(copy, &copy->runs[i]);
	}
	copy->count = 0;
}

/*
 * Adds pages first .. first + pages - 1 of the caller's, which begin at these two pages and lie in
 * a row there. No source: they are filled with zeros. tdev's copy engine must reach both.
 */
void tandem_copy_add(struct tandem_copy *copy, struct tandem_device *tdev, unsigned int first,
		     unsigned int pages, const struct page *source, const struct page *destination)
{
	struct tandem_place from = { 0 }, to;
	struct tandem_copy_run run = {
		.first = first,
		.pages = pages,
		.mapped_source = DMA_MAPPING_ERROR,
		.mapped_destination = DMA_MAPPING_ERROR,
	};

	if (tandem_mutated(MUTANT_FILL_FORGOTTEN) && !source)
		return;
	if (copy->tdev != tdev || copy->count == TANDEM_COPY_RUNS)
		tandem_copy_finish(copy);
	copy->tdev = tdev;
	if (!tandem_copy_place(tdev, destination, pages, DMA_FROM_DEVICE, &to,
			       &run.mapped_destination) ||
	    (source && !tandem_copy_place(tdev, source, pages, DMA_TO_DEVICE, &from,
					  &run.mapped_source))) {
		tandem_copy_unmap(copy, &run);
		tandem_copy_give_up(copy, &run);
		return;
	}
	run.command = (struct tandem_command){
		.type = source ? TANDEM_COMMAND_COPY : TANDEM_COMMAND_FILL,
		.u.copy = {
			.source = from.address,
			.destination = to.address,
			.bytes = (u64)pages * PAGE_SIZE,
			.source_aperture = from.aperture,
			.destination_aperture = to.aperture,
			.source_peer = from.peer,
			.destination_peer = to.peer,
		},
	};
	if (!tandem_copy_extend(copy, &run))
		copy->runs[copy->count++] = run;
}
