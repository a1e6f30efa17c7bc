// SPDX-License-Identifier: GPL-2.0-or-later
/* What happened, in numbers: of an address space, and the device's own counters. */
#include "tandem_as.h"

/* Reads zero once the device is gone. Enumerators beyond what this ABI knows stay 0. */
void tandem_stats_counters(struct tandem_device *tdev, u64 *counters, unsigned int count)
{
	unsigned int i;

	memset(counters, 0, count * sizeof(*counters));
	down_read(&tdev->mmio_lock);
	if (!tandem_device_is_gone(tdev))
		for (i = 0; i < min_t(unsigned int, count, TANDEM_COUNTER_COUNT); i++)
			counters[i] = tandem_read64(tdev, TANDEM_REG_COUNTERS + i * sizeof(u64));
	up_read(&tdev->mmio_lock);
}

void tandem_stats_as(struct tandem_as *as, struct tandem_ioc_stats *out)
{
	struct tandem_as_stats *stats = &as->stats;
	unsigned int i;

	out->faults = atomic64_read(&stats->faults);
	out->fault_batches = atomic64_read(&stats->fault_batches);
	out->faults_cancelled = atomic64_read(&stats->faults_cancelled);
	out->faults_skipped = atomic64_read(&stats->faults_skipped);
	out->faults_retried = atomic64_read(&stats->faults_retried);
	out->pages_mapped = atomic64_read(&stats->pages_mapped);
	out->pages_mirrored = atomic64_read(&as->pt.pages);
	out->leaves_64k = atomic64_read(&as->pt.leaves_64k);
	out->leaves_2m = atomic64_read(&as->pt.leaves_2m);
	out->pages_dirtied = atomic64_read(&as->pt.dirtied);
	out->invalidations = atomic64_read(&stats->invalidations);
	out->invalidations_empty = atomic64_read(&stats->invalidations_empty);
	out->invalidate_wait_ns = atomic64_read(&stats->invalidate_wait_ns);
	out->pages_to_vram = atomic64_read(&stats->pages_to_vram);
	out->pages_to_system = atomic64_read(&stats->pages_to_system);
	out->pages_evicted = atomic64_read(&stats->pages_evicted);
	out->thrash_pins = atomic64_read(&stats->thrash_pins);
	out->exclusive_taken = atomic64_read(&stats->exclusive_taken);
	out->exclusive_returned = atomic64_read(&stats->exclusive_returned);
	out->cpu_faults = atomic64_read(&stats->cpu_faults);
	for (i = 0; i < TANDEM_STATS_CAUSES; i++)
		out->cause[i] = atomic64_read(&stats->cause[i]);
	tandem_stats_counters(as->tdev, out->counter, TANDEM_STATS_COUNTERS);
}
