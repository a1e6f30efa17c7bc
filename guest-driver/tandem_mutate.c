// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Only in the test-only module: which rule is broken, the gates, and what a mutation needs beyond a
 * line in its place.
 */
#include <linux/iommu.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/wait.h>

#include "tandem_as.h"
#include "tandem_copy.h"
#include "tandem_mutate.h"

/* ---- the mutation: chosen when the module is loaded ---- */

enum tandem_mutation tandem_mutation;

static const char * const tandem_mutation_names[] = {
	[MUTANT_NONE] = "none",
	[MUTANT_NO_READ_RETRY] = "no-read-retry",
	[MUTANT_SEQUENCE_AFTER_WALK] = "sequence-after-walk",
	[MUTANT_LOCK_DROPPED] = "lock-dropped",
	[MUTANT_NO_SET_SEQ] = "no-set-seq",
	[MUTANT_HALF_WATCHED] = "half-watched",
	[MUTANT_UNMAP_IGNORED] = "unmap-ignored",
	[MUTANT_CLEAR_IGNORED] = "clear-ignored",
	[MUTANT_FORK_IGNORED] = "fork-ignored",
	[MUTANT_MPROTECT_IGNORED] = "mprotect-ignored",
	[MUTANT_MIGRATE_IGNORED] = "migrate-ignored",
	[MUTANT_MIGRATE_OWNER] = "migrate-owner",
	[MUTANT_FLUSH_FORGOTTEN] = "flush-forgotten",
	[MUTANT_FLUSH_NOT_AWAITED] = "flush-not-awaited",
	[MUTANT_FLUSH_LATE] = "flush-late",
	[MUTANT_FLUSH_BEFORE_CLEAR] = "flush-before-clear",
	[MUTANT_FLUSH_OTHER_SPACE] = "flush-other-space",
	[MUTANT_FLUSH_LAST_RANGE] = "flush-last-range",
	[MUTANT_FLUSH_SHORT] = "flush-short",
	[MUTANT_FLUSH_NEXT_BLOCK] = "flush-next-block",
	[MUTANT_READ_ONLY_WRITABLE] = "read-only-writable",
	[MUTANT_FRAMES_NOT_ALIGNED] = "frames-not-aligned",
	[MUTANT_DIRTY_LOST] = "dirty-lost",
	[MUTANT_COPY_NOT_AWAITED] = "copy-not-awaited",
	[MUTANT_COPY_HOME_NOT_AWAITED] = "copy-home-not-awaited",
	[MUTANT_COPY_FAILURE_IGNORED] = "copy-failure-ignored",
	[MUTANT_FILL_FORGOTTEN] = "fill-forgotten",
	[MUTANT_PEER_AS_OWN] = "peer-as-own",
	[MUTANT_EXCLUSIVE_NOT_TAKEN] = "exclusive-not-taken",
	[MUTANT_EXCLUSIVE_KEPT] = "exclusive-kept",
	[MUTANT_EXCLUSIVE_OWNER] = "exclusive-owner",
	[MUTANT_EXCLUSIVE_NOT_FILTERED] = "exclusive-not-filtered",
	[MUTANT_TOKEN_AFTER_UNLOCK] = "token-after-unlock",
	[MUTANT_TOKEN_WITHOUT_RETRY] = "token-without-retry",
	[MUTANT_SVA_PASID_FREED_EARLY] = "sva-pasid-freed-early",
	[MUTANT_SVA_NOT_DRAINED] = "sva-not-drained",
	[MUTANT_NOTIFIER_ALLOCATES] = "notifier-allocates",
	[MUTANT_MM_NOT_HELD] = "mm-not-held",
	[MUTANT_SERVICE_NOT_HELD] = "service-not-held",
};

static int tandem_mutation_set(const char *value, const struct kernel_param *param)
{
	int found = sysfs_match_string(tandem_mutation_names, value);

	if (found < 0)
		return found;
	WRITE_ONCE(tandem_mutation, found);
	return 0;
}

static int tandem_mutation_get(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%s\n", tandem_mutation_names[READ_ONCE(tandem_mutation)]);
}

static const struct kernel_param_ops tandem_mutation_ops = {
	.set = tandem_mutation_set,
	.get = tandem_mutation_get,
};
module_param_cb(mutate, &tandem_mutation_ops, NULL, 0444);
MODULE_PARM_DESC(mutate, "Test: which rule this driver breaks, or none");

/* ---- gates ---- */

/* One is closed at a time, for one page. A test that died must not hold the driver for ever. */
#define TANDEM_MUTANT_GATE_SECONDS 30

static const char * const tandem_mutant_gate_names[] = {
	[GATE_NONE] = "none",
	[GATE_LOOKED] = "looked",
	[GATE_CHECKED] = "checked",
	[GATE_TAKEN] = "taken",
	[GATE_FLUSH] = "flush",
	[GATE_FLUSHED] = "flushed",
	[GATE_UNBOUND] = "unbound",
};

static DEFINE_SPINLOCK(tandem_mutant_gate_lock); /* which, where */
static enum tandem_mutant_place tandem_mutant_gate_closed;
static u64 tandem_mutant_gate_va;
static atomic_t tandem_mutant_gate_waiting = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(tandem_mutant_gate_wait);

static bool tandem_mutant_gate_is_closed(enum tandem_mutant_place place, u64 va)
{
	bool closed;

	spin_lock(&tandem_mutant_gate_lock);
	closed = tandem_mutant_gate_closed == place && tandem_mutant_gate_va == round_down(va, PAGE_SIZE);
	spin_unlock(&tandem_mutant_gate_lock);
	return closed;
}

void tandem_mutant_gate(enum tandem_mutant_place place, u64 va)
{
	if (!tandem_mutant_gate_is_closed(place, va))
		return;
	atomic_inc(&tandem_mutant_gate_waiting);
	if (!wait_event_timeout(tandem_mutant_gate_wait, !tandem_mutant_gate_is_closed(place, va),
				TANDEM_MUTANT_GATE_SECONDS * HZ))
		pr_warn("tandem: the gate '%s' was not opened\n", tandem_mutant_gate_names[place]);
	atomic_dec(&tandem_mutant_gate_waiting);
}

/* "looked 0x7f0000000000" closes that gate for that page, "none" opens it. */
static int tandem_mutant_gate_set(const char *value, const struct kernel_param *param)
{
	char name[16];
	u64 va = 0;
	int found;

	if (sscanf(value, "%15s %llx", name, &va) < 1)
		return -EINVAL;
	found = sysfs_match_string(tandem_mutant_gate_names, name);
	if (found < 0)
		return found;
	spin_lock(&tandem_mutant_gate_lock);
	tandem_mutant_gate_closed = found;
	tandem_mutant_gate_va = round_down(va, PAGE_SIZE);
	spin_unlock(&tandem_mutant_gate_lock);
	wake_up_all(&tandem_mutant_gate_wait);
	return 0;
}

/* How many wait there. */
static int tandem_mutant_gate_get(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%d\n", atomic_read(&tandem_mutant_gate_waiting));
}

static const struct kernel_param_ops tandem_mutant_gate_ops = {
	.set = tandem_mutant_gate_set,
	.get = tandem_mutant_gate_get,
};
module_param_cb(gate, &tandem_mutant_gate_ops, NULL, 0644);
MODULE_PARM_DESC(gate, "Test: a gate to close and for which page, or none; reads how many wait");

/* ---- notifiers that look away ---- */

bool tandem_mutant_ignores(struct tandem_as *as, const struct mmu_notifier_range *range)
{
	switch (READ_ONCE(tandem_mutation)) {
	case MUTANT_UNMAP_IGNORED:
		return range->event == MMU_NOTIFY_UNMAP;
	case MUTANT_CLEAR_IGNORED:
		return range->event == MMU_NOTIFY_CLEAR;
	case MUTANT_FORK_IGNORED:
		return range->event == MMU_NOTIFY_PROTECTION_PAGE;
	case MUTANT_MPROTECT_IGNORED:
		return range->event == MMU_NOTIFY_PROTECTION_VMA;
	case MUTANT_MIGRATE_IGNORED:
		return range->event == MMU_NOTIFY_MIGRATE &&
		       range->owner == tandem_vram_owner(as->tdev);
	case MUTANT_MIGRATE_OWNER:
		return range->event == MMU_NOTIFY_MIGRATE;
	case MUTANT_EXCLUSIVE_KEPT:
		return range->event == MMU_NOTIFY_CLEAR &&
		       tandem_pte_is_system_atomic(tandem_pt_read(&as->pt, range->start));
	default:
		return false;
	}
}

/* ---- copies that nobody waits for ---- */

bool tandem_mutant_hurries(const struct tandem_copy_run *run)
{
	bool home = run->command.u.copy.destination_aperture == TANDEM_APERTURE_SYSTEM;

	return tandem_mutated(home ? MUTANT_COPY_HOME_NOT_AWAITED : MUTANT_COPY_NOT_AWAITED);
}

/* ---- an invalidation that somebody else sends, later ---- */

struct tandem_late_flush {
	struct work_struct work;
	struct tandem_as *as;
	struct tandem_invalidate entry;
};

static void tandem_late_flush_work(struct work_struct *work)
{
	struct tandem_late_flush *late = container_of(work, struct tandem_late_flush, work);
	struct tandem_as *as = late->as;

	tandem_mutant_gate(GATE_FLUSH, late->entry.notify_start);
	tandem_invalidate_reserve(as->tdev, TANDEM_MAY_SLEEP);
	tandem_ring_submit(&as->tdev->invalidate, &late->entry, as->epoch);
	tandem_as_put(as);
	kfree(late);
}

void tandem_mutant_flush_later(struct tandem_as *as, const struct tandem_invalidate *entry)
{
	struct tandem_late_flush *late = kmalloc(sizeof(*late), GFP_ATOMIC);

	if (!late)
		return;
	INIT_WORK(&late->work, tandem_late_flush_work);
	tandem_as_get(as);
	late->as = as;
	late->entry = *entry;
	late->entry.pasid = as->pasid;
	queue_work(tandem_wq, &late->work);
}

/* ---- a PASID that somebody else may have, too soon ---- */

void tandem_mutant_frees_pasid(struct tandem_as *as)
{
	if (!tandem_mutated(MUTANT_SVA_PASID_FREED_EARLY) || !as->sva)
		return;
	tandem_sva_unbind(as);
	/* As Linux does when nobody holds the process's memory descriptor any more. */
	iommu_free_global_pasid(as->bus_pasid);
	tandem_mutant_gate(GATE_UNBOUND, 0);
}
