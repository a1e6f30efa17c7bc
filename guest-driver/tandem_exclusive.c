// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Atomic faults of a GPU without PCIe AtomicOps: the page is taken out of the CPUs' page tables
 * (make_device_exclusive), and only then may the device do a plain load, modify and store there.
 * Whatever Linux wants with the page next (a CPU access, fork, reclaim ...) comes as a notifier and
 * gets it back like any other page.
 *
 * Also here: how long each side keeps a page that both want, so that both get on. The mapping
 * itself is tandem_window.c's; docs/locking.md shows the races.
 */
#include <linux/delay.h>
#include <linux/hash.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/pagemap.h>
#include <linux/pci.h>

#include "tandem_as.h"
#include "tandem_compat.h"
#include "tandem_migrate.h"
#include "tandem_mutate.h"

static unsigned int tandem_exclusive_hold_us = 200;
module_param_named(exclusive_hold_us, tandem_exclusive_hold_us, uint, 0644);
MODULE_PARM_DESC(exclusive_hold_us,
		 "Time that the device keeps a page taken for atomics at least, in us, at most 100000");

static unsigned int tandem_cpu_hold_us = 100;
module_param_named(cpu_hold_us, tandem_cpu_hold_us, uint, 0644);
MODULE_PARM_DESC(cpu_hold_us,
		 "Time that the CPUs keep a page taken back from it at least, in us, at most 100000");

static bool tandem_skip_exclusive;
module_param_named(skip_exclusive, tandem_skip_exclusive, bool, 0644);
MODULE_PARM_DESC(skip_exclusive,
		 "Test: map for atomics without taking the page (lost updates); needs test hooks");

#define TANDEM_HOLD_LIMIT_US 100000

/* ---- mode ---- */

const char *tandem_atomics_name(enum tandem_atomics mode)
{
	switch (mode) {
	case TANDEM_ATOMICS_PCIE:
		return "pcie";
	case TANDEM_ATOMICS_EXCLUSIVE:
		return "exclusive";
	case TANDEM_ATOMICS_VRAM:
		return "vram";
	}
	return "unknown";
}

/* What the device could do is not yet what it may: the root port has to complete AtomicOps. */
static bool tandem_atomics_are_completed(struct tandem_device *tdev)
{
	return !pci_enable_atomic_ops_to_root(tdev->pdev, PCI_EXP_DEVCAP2_ATOMIC_COMP32 |
								  PCI_EXP_DEVCAP2_ATOMIC_COMP64);
}

void tandem_atomics_probe(struct tandem_device *tdev)
{
	u32 *features = &tdev->config.features;

	if (*features & TANDEM_FEATURE_PCIE_ATOMICS && !tandem_atomics_are_completed(tdev)) {
		dev_info(tdev->dev, "the root port completes no AtomicOps\n");
		*features &= ~TANDEM_FEATURE_PCIE_ATOMICS;
		*features |= TANDEM_FEATURE_EXCLUSIVE_ATOMICS;
	}
	tdev->atomics = *features & TANDEM_FEATURE_PCIE_ATOMICS	     ? TANDEM_ATOMICS_PCIE :
			*features & TANDEM_FEATURE_EXCLUSIVE_ATOMICS ? TANDEM_ATOMICS_EXCLUSIVE :
								       TANDEM_ATOMICS_VRAM;
}

/* ---- how long each side keeps a page ---- */

static u64 tandem_hold_ns(unsigned int us)
{
	return min_t(u64, us, TANDEM_HOLD_LIMIT_US) * NSEC_PER_USEC;
}

void tandem_holds_init(struct tandem_holds *holds)
{
	spin_lock_init(&holds->lock);
}

static struct tandem_hold *tandem_hold_slot(struct tandem_holds *holds, u64 va)
{
	return &holds->slots[hash_64(va >> PAGE_SHIFT, TANDEM_HOLD_BITS)];
}

/*
 * What two sides fight for changes hands page by page. What goes for good, or in one piece with
 * many others, is not fought for, and nobody has to wait for it. With PCIe AtomicOps nothing ever
 * changes hands for atomics.
 */
static bool tandem_hold_concerns(struct tandem_as *as, const struct mmu_notifier_range *range)
{
	return as->tdev->atomics != TANDEM_ATOMICS_PCIE &&
	       range->end - range->start == PAGE_SIZE && range->event != MMU_NOTIFY_UNMAP &&
	       range->event != MMU_NOTIFY_RELEASE;
}

/* The device has the page from now on. */
void tandem_hold_take(struct tandem_as *as, u64 va)
{
	struct tandem_hold *hold = tandem_hold_slot(&as->holds, va);

	spin_lock(&as->holds.lock);
	if (hold->page != va)
		hold->returned = 0;
	hold->page = va;
	hold->taken = ktime_get_ns();
	spin_unlock(&as->holds.lock);
}

/* The device has it no more: the CPUs' time begins. */
void tandem_hold_return(struct tandem_as *as, const struct mmu_notifier_range *range)
{
	struct tandem_hold *hold = tandem_hold_slot(&as->holds, range->start);

	if (!tandem_hold_concerns(as, range))
		return;
	spin_lock(&as->holds.lock);
	if (hold->page == range->start && hold->taken) {
		hold->taken = 0;
		hold->returned = ktime_get_ns();
	}
	spin_unlock(&as->holds.lock);
}

/* How much is left of what began then. */
static u64 tandem_hold_rest(u64 began, unsigned int us)
{
	u64 end = began + tandem_hold_ns(us), now = ktime_get_ns();

	return began && now < end ? end - now : 0;
}

static void tandem_hold_sleep(u64 ns)
{
	unsigned long us = div_u64(ns, NSEC_PER_USEC) + 1;

	usleep_range(us, us + us / 4 + 1);
}

/*
 * In a notifier that may sleep, with no lock of ours held: waits until the device has had the page
 * for its time. Bounded by that time, whatever happens meanwhile.
 */
void tandem_hold_wait(struct tandem_as *as, const struct mmu_notifier_range *range)
{
	struct tandem_hold *hold = tandem_hold_slot(&as->holds, range->start);
	u64 rest = 0;

	if (!tandem_hold_concerns(as, range))
		return;
	spin_lock(&as->holds.lock);
	if (hold->page == range->start)
		rest = tandem_hold_rest(hold->taken, READ_ONCE(tandem_exclusive_hold_us));
	spin_unlock(&as->holds.lock);
	if (rest)
		tandem_hold_sleep(rest);
}

/* How long the CPUs may still keep a page that they took back, in ns. */
u64 tandem_hold_cpu_rest(struct tandem_as *as, u64 va)
{
	struct tandem_hold *hold = tandem_hold_slot(&as->holds, va);
	u64 rest = 0;

	spin_lock(&as->holds.lock);
	if (hold->page == va)
		rest = tandem_hold_rest(hold->returned, READ_ONCE(tandem_cpu_hold_us));
	spin_unlock(&as->holds.lock);
	return rest;
}

void tandem_hold_wait_cpu(struct tandem_as *as, u64 va)
{
	u64 rest = tandem_hold_cpu_rest(as, va);

	if (rest)
		tandem_hold_sleep(rest);
}

/* A page that was taken is worth nothing to the device before REPLAY: by then at the latest. */
u64 tandem_hold_replay_ns(void)
{
	return tandem_hold_ns(READ_ONCE(tandem_exclusive_hold_us)) / 4;
}

/* ---- taking a page ---- */

/* Pages of one GPU are one owner's, whichever address space asks: it is atomic to itself. */
static void *tandem_exclusive_owner(struct tandem_as *as)
{
	return as->tdev;
}

/*
 * Is this Linux telling us what we are doing ourselves? Taking a page changes nothing for the
 * device that takes it. Another GPU's call, of this driver or of another, is an invalidation like
 * any.
 */
bool tandem_exclusive_is_ours(struct tandem_as *as, const struct mmu_notifier_range *range)
{
	bool ours = range->owner == tandem_exclusive_owner(as) ||
		    tandem_mutated(MUTANT_EXCLUSIVE_OWNER);

	return range->event == MMU_NOTIFY_EXCLUSIVE && ours &&
	       !tandem_mutated(MUTANT_EXCLUSIVE_NOT_FILTERED);
}

/* Only anonymous memory of one process can be taken: others have it under other addresses, too. */
static int tandem_exclusive_check(struct tandem_as *as, u64 va)
{
	struct vm_area_struct *vma = vma_lookup(as->mm, va);

	if (!vma)
		return -ENOENT;
	if (!(vma->vm_flags & VM_WRITE))
		return -EACCES;
	return vma->vm_flags & VM_SHARED || is_vm_hugetlb_page(vma) ? -EOPNOTSUPP : 0;
}

/*
 * The other way: the page goes to VRAM, where a CPU access brings it home from. 0: it was tried,
 * and for memory of that kind it is worth trying again.
 */
int tandem_atomics_to_vram(struct tandem_as *as, u64 va, struct tandem_moved *moved)
{
	int ret;

	mmap_read_lock(as->mm);
	ret = tandem_exclusive_check(as, va);
	mmap_read_unlock(as->mm);
	if (ret)
		return ret;
	ret = tandem_migrate_to_vram(as, va, va + PAGE_SIZE, va, va + PAGE_SIZE,
				     TANDEM_MIGRATE_GPU_FAULT, moved);
	/* It has gone meanwhile, or it is one that does not move: the next round finds out. */
	return ret == -ENOENT ? 0 : ret;
}

static bool tandem_exclusive_is_skipped(struct tandem_as *as)
{
	if (tandem_mutated(MUTANT_EXCLUSIVE_NOT_TAKEN))
		return true;
	if (!READ_ONCE(tandem_skip_exclusive) ||
	    !(as->tdev->config.features & TANDEM_FEATURE_TEST_HOOKS))
		return false;
	/* It is what a test wants. */
	tandem_check_lax_atomics(as);
	return true;
}

/*
 * Takes the page, which must be present and writable, out of the CPUs' page tables. On success *pfn
 * is it, and its folio is locked: until tandem_exclusive_release() no CPU access takes it back, and
 * before that it has to be mapped. mmap_lock stays held as long: fork() fails with EBUSY if it
 * meets an exclusive page whose folio is locked. -EOPNOTSUPP: it is of a kind that cannot be taken.
 */
int tandem_exclusive_make(struct tandem_as *as, u64 va, unsigned long *pfn, struct folio **folio)
{
	struct page *page;
	int ret;

	*folio = NULL;
	if (tandem_exclusive_is_skipped(as)) {
		*pfn = (*pfn & ~HMM_PFN_FLAGS) | HMM_PFN_VALID | HMM_PFN_WRITE;
		return 0;
	}
	mmap_read_lock(as->mm);
	ret = tandem_exclusive_check(as, va);
	if (!ret) {
		page = tandem_compat_make_exclusive(as->mm, va, tandem_exclusive_owner(as),
						    folio);
		ret = PTR_ERR_OR_ZERO(page);
	}
	if (ret) {
		mmap_read_unlock(as->mm);
		return ret;
	}
	*pfn = page_to_pfn(page) | HMM_PFN_VALID | HMM_PFN_WRITE;
	return 0;
}

/* mapped: the device has it. If not, Linux gives it back to whoever asks for it next. */
void tandem_exclusive_release(struct tandem_as *as, struct folio *folio, bool mapped)
{
	if (!folio)
		return;
	if (mapped)
		atomic64_inc(&as->stats.exclusive_taken);
	folio_unlock(folio);
	folio_put(folio);
	mmap_read_unlock(as->mm);
}
