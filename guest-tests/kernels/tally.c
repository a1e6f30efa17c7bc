/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each lane goes over its pages round after round. The first word of a page counts the rounds that wrote: the lane is the only
 * one that writes it, so it knows what must be there. The other words hold a pattern, of which each visit looks at one more.
 *
 * A store through a stale translation is missing from the new page: the next visit finds the count too small. A page that was
 * copied before the last store, dropped, or mixed up with another one shows in the count or in the pattern.
 */
#include "tandem/device.h"

#include "tally.h"

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void expect(struct tally_control *control, uint64_t page, uint64_t word, uint64_t value, uint64_t expected)
{
	if (value == expected)
		return;
	control->bad_page = page;
	control->bad_word = word;
	control->bad_value = value;
	control->bad_expected = expected;
	__atomic_fetch_add(&control->errors, 1, __ATOMIC_SEQ_CST);
}

static void visit(struct tally_control *control, uint64_t page, uint64_t round, uint64_t count, uint64_t mode)
{
	uint64_t *words = (uint64_t *)load(&control->region) + page * control->stride * TALLY_PAGE_WORDS;
	uint64_t word = 1 + (round * 97 + page * 13) % (TALLY_PAGE_WORDS - 1);
	uint64_t pattern = tally_pattern(control->seed, control->alike ? 0 : page, word);

	expect(control, page, word, load(&words[word]), pattern);
	if (mode == TALLY_ATOMIC) {
		expect(control, page, 0, __atomic_fetch_add(&words[0], 1, __ATOMIC_RELAXED), count);
		return;
	}
	expect(control, page, 0, load(&words[0]), count);
	if (mode == TALLY_WRITE)
		__atomic_store_n(&words[0], count + 1, __ATOMIC_RELAXED);
}

static void stand_still(struct tally_control *control)
{
	__atomic_fetch_add(&control->paused, 1, __ATOMIC_SEQ_CST);
	while (load(&control->pause) && !load(&control->stop))
		;
	__atomic_fetch_sub(&control->paused, 1, __ATOMIC_SEQ_CST);
}

TANDEM_KERNEL void tally(struct tally_control *const *argument)
{
	struct tally_control *control = *argument;
	uint64_t lane = tandem_global_id_x();

	while (!load(&control->stop)) {
		if (load(&control->pause)) {
			stand_still(control);
			continue;
		}
		uint64_t mode = load(&control->mode);
		uint64_t round = load(&control->rounds[lane]);
		uint64_t count = load(&control->counts[lane]);

		for (uint64_t page = lane; page < load(&control->pages); page += TALLY_LANES)
			visit(control, page, round, count, mode);
		if (mode != TALLY_READ)
			__atomic_store_n(&control->counts[lane], count + 1, __ATOMIC_SEQ_CST);
		__atomic_store_n(&control->rounds[lane], round + 1, __ATOMIC_SEQ_CST);
	}
}
