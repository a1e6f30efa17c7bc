/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a word of each page of the process, for a queue that is resident-only: what is not there is skipped. The arguments lie
 * in the page of the kernarg address, which is always there.
 */
#include "tandem/device.h"

#include "shadow.h"

static uint64_t read_word(uint64_t address)
{
	uint32_t before = tandem_skipped();

	(void)*(const volatile uint64_t *)address;
	return tandem_skipped() == before;
}

TANDEM_KERNEL void shadow(struct shadow_arguments *a)
{
	uint64_t lane = tandem_global_id_x(), read = 0, tried = 0;

	for (uint64_t n = 0; n < a->ranges; n++) {
		for (uint64_t page = a->range[n].start + lane * SHADOW_PAGE_BYTES; page < a->range[n].end;
		     page += SHADOW_LANES * SHADOW_PAGE_BYTES) {
			read += read_word(page);
			tried++;
		}
	}
	__atomic_fetch_add(&a->read, read, __ATOMIC_RELAXED);
	__atomic_fetch_add(&a->tried, tried, __ATOMIC_RELAXED);
}
