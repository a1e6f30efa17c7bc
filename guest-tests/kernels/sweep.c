/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Works on a region without end while the CPU changes its mind about the pages. The proof that nothing stale is used:
 *
 *   CPU                                          GPU, each lane, for each of its pages
 *   generation = odd ("changing")                before = generation
 *   munmap, mmap, madvise, fork ...              value = the page's CPU word
 *   writes the new even generation to each page  after = generation
 *   generation = even                            if before == after and even, value must be equal to it
 *                                                writes `before` into the page's GPU word
 *   waits until each page's GPU word is even
 *   and new: then stores reach the new page
 *
 * A stale translation for reading gives a value of an older generation: an error is counted. A stale translation for writing
 * puts the word into a page that the CPU no longer looks at, and the CPU's wait runs out.
 */
#include "tandem/device.h"

#include "arguments.h"

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void report(struct sweep_control *control, uint64_t page, uint64_t value, uint64_t generation)
{
	control->bad_page = page;
	control->bad_value = value;
	control->bad_generation = generation;
	__atomic_fetch_add(&control->errors, 1, __ATOMIC_SEQ_CST);
}

static uint64_t check_page(struct sweep_control *control, const uint64_t *words, uint64_t page, uint64_t mode)
{
	uint64_t before = load(&control->generation);

	if (!(mode & SWEEP_CHECK))
		return before;
	uint64_t value = load(&words[SWEEP_CPU_WORD]);
	uint64_t after = load(&control->generation);

	if (before == after && !(before & 1) && value != before)
		report(control, page, value, before);
	return before;
}

static void sweep_page(const struct sweep_arguments *a, uint64_t page, uint64_t mode)
{
	uint64_t *words = a->region + page * SWEEP_PAGE_WORDS;
	uint64_t generation = check_page(a->control, words, page, mode);

	if (mode & SWEEP_ATOMIC)
		__atomic_exchange_n(&words[SWEEP_GPU_WORD], generation, __ATOMIC_RELAXED);
	else if (mode & SWEEP_WRITE)
		__atomic_store_n(&words[SWEEP_GPU_WORD], generation, __ATOMIC_RELAXED);
}

static void stand_still(struct sweep_control *control)
{
	__atomic_fetch_add(&control->paused, 1, __ATOMIC_SEQ_CST);
	while (load(&control->pause) && !load(&control->stop))
		;
	__atomic_fetch_sub(&control->paused, 1, __ATOMIC_SEQ_CST);
}

TANDEM_KERNEL void sweep(const struct sweep_arguments *a)
{
	struct sweep_control *control = a->control;
	uint64_t lane = tandem_global_id_x();

	while (!load(&control->stop)) {
		if (load(&control->pause)) {
			stand_still(control);
			continue;
		}
		uint64_t mode = load(&control->mode);

		for (uint64_t page = lane; page < a->pages; page += SWEEP_LANES)
			sweep_page(a, page, mode);
		__atomic_fetch_add(&control->rounds[lane], 1, __ATOMIC_SEQ_CST);
	}
}
