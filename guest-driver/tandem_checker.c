// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * For the coherence checker in the device: see tandem_checker.h, and docs/locking.md, "Windows for
 * the checker".
 *
 * A window is opened by a notifier of the whole memory. Linux calls those after the interval
 * notifiers, so after our own has had its invalidation acknowledged, and before it changes an
 * entry; it closes it after it has changed them.
 */
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/slab.h>
#include <linux/stop_machine.h>
#include <linux/swap.h>
#include <linux/swapops.h>

#include "tandem_as.h"

struct tandem_check_as {
	struct tandem_check_space *shared; /* a page, read by the checker */
	spinlock_t lock;                   /* writing it; innermost */
	/* Of the windows that are open, by slot: Linux ends a notifier with what it began it. */
	const struct mmu_notifier_range *ranges[TANDEM_CHECK_WINDOWS];
};

/* ---- how page tables are read ---- */

#ifdef CONFIG_X86_64

static void tandem_check_describe_types(u8 *kinds)
{
	memset(kinds, TANDEM_CHECK_SWAP, MAX_SWAPFILES);
#ifdef CONFIG_MIGRATION
	kinds[SWP_MIGRATION_READ] = TANDEM_CHECK_MIGRATION;
	kinds[SWP_MIGRATION_READ_EXCLUSIVE] = TANDEM_CHECK_MIGRATION;
	kinds[SWP_MIGRATION_WRITE] = TANDEM_CHECK_MIGRATION;
#endif
#ifdef CONFIG_DEVICE_PRIVATE
	kinds[SWP_DEVICE_READ] = TANDEM_CHECK_DEVICE_READ;
	kinds[SWP_DEVICE_WRITE] = TANDEM_CHECK_DEVICE_WRITE;
	kinds[SWP_DEVICE_EXCLUSIVE] = TANDEM_CHECK_EXCLUSIVE;
#endif
#ifdef CONFIG_MEMORY_FAILURE
	kinds[SWP_HWPOISON] = TANDEM_CHECK_POISON;
#endif
	kinds[SWP_PTE_MARKER] = TANDEM_CHECK_MARKER;
}

static void tandem_check_describe(struct tandem_check_format *format)
{
	format->ignored = _PAGE_KNL_ERRATUM_MASK;
	format->present = _PAGE_PRESENT;
	format->user = _PAGE_USER;
	format->write = _PAGE_RW;
	format->large = _PAGE_PSE;
	format->address = PTE_PFN_MASK;
	format->none_right = _PAGE_PROTNONE;
	format->type = GENMASK_ULL(63, 64 - SWP_TYPE_BITS);
	format->offset = GENMASK_ULL(63 - SWP_TYPE_BITS, SWP_OFFSET_FIRST_BIT);
	format->offset_flip = ~0ULL;
	format->offset_frame = SWP_PFN_MASK;
	tandem_check_describe_types(format->kinds);
}

static u32 tandem_check_levels(void)
{
	return pgtable_l5_enabled() ? 5 : 4;
}

static bool tandem_check_knows_tables(void)
{
	return true;
}

#else

static void tandem_check_describe(struct tandem_check_format *format) { }

static u32 tandem_check_levels(void)
{
	return 0;
}

/* Nobody has written down how they are read: the checker does without. */
static bool tandem_check_knows_tables(void)
{
	return false;
}

#endif

/* ---- the device ---- */

static void tandem_check_rest_work(struct work_struct *work);

/* In one piece, so that one address says where it is: of very much VRAM nothing is told. */
static void tandem_check_share_lives(struct tandem_device *tdev)
{
	size_t bytes = PHYS_PFN(tdev->config.vram_bytes) * sizeof(*tdev->check.vram_lives);

	if (!bytes)
		return;
	tdev->check.vram_lives = alloc_pages_exact(bytes, GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN);
	if (tdev->check.vram_lives)
		tdev->check.format->vram_lives = virt_to_phys(tdev->check.vram_lives);
}

static void tandem_check_forget_lives(struct tandem_device *tdev)
{
	if (tdev->check.vram_lives)
		free_pages_exact(tdev->check.vram_lives, PHYS_PFN(tdev->config.vram_bytes) *
								 sizeof(*tdev->check.vram_lives));
	tdev->check.vram_lives = NULL;
}

/*
 * Pages of VRAM are given out, or have come back. They are the caller's: between the copy engine's
 * last access in the old life and its first in the new one. Any context.
 */
void tandem_check_vram_turns(struct tandem_device *tdev, u64 index, unsigned int pages)
{
	u32 *lives = tdev->check.vram_lives;
	u64 i;

	for (i = index; lives && i < index + pages; i++)
		/* Seen before the command that fills the page, which is submitted after. */
		WRITE_ONCE(lives[i], lives[i] + 1);
}

int tandem_check_init(struct tandem_device *tdev)
{
	INIT_WORK(&tdev->check.rest, tandem_check_rest_work);
	if (!(tdev->config.features & TANDEM_FEATURE_CHECK) || !tandem_check_knows_tables())
		return 0;
	tdev->check.format = (void *)get_zeroed_page(GFP_KERNEL);
	if (!tdev->check.format)
		return -ENOMEM;
	tandem_check_describe(tdev->check.format);
	tandem_check_share_lives(tdev);
	return 0;
}

/* The device has been reset for the last time. */
void tandem_check_fini(struct tandem_device *tdev)
{
	cancel_work_sync(&tdev->check.rest);
	tandem_check_forget_lives(tdev);
	free_page((unsigned long)tdev->check.format);
	tdev->check.format = NULL;
}

/* hw_lock held, the device may be written to. */
void tandem_check_program(struct tandem_device *tdev)
{
	lockdep_assert_held(&tdev->hw_lock);
	if (tdev->check.format)
		tandem_write64(tdev, TANDEM_REG_CHECK_FORMAT, virt_to_phys(tdev->check.format));
}

/*
 * GPUs have come or gone whose memory this one reaches; none of their pages is mapped. The device
 * reads the format when it is told where it is.
 */
void tandem_check_frames_changed(struct tandem_device *tdev)
{
	if (!tdev->check.format)
		return;
	tandem_vram_describe(tdev, tdev->check.format->frames);
	spin_lock(&tdev->hw_lock);
	if (tdev->hw == TANDEM_HW_UP)
		tandem_check_program(tdev);
	spin_unlock(&tdev->hw_lock);
}

/* ---- processors at rest ---- */

/*
 * Has somebody changed entries, and TLBs are still to be flushed? Most count themselves; fork
 * flushes at its end only, with mmap_lock held all the while.
 */
static bool tandem_check_is_flushing(struct mm_struct *mm)
{
	return mm_tlb_flush_pending(mm) || rwsem_is_locked(&mm->mmap_lock);
}

/*
 * In stop_machine(): no processor has preemption disabled elsewhere, so none holds the lock of a
 * page table. Who is between changing an entry and flushing TLBs is told apart.
 */
static int tandem_check_at_rest(void *data)
{
	struct tandem_device *tdev = data;
	struct tandem_as *as;

	list_for_each_entry(as, &tdev->spaces, node)
		if (as->check)
			WRITE_ONCE(as->check->shared->flushing, tandem_check_is_flushing(as->mm));
	tandem_write32(tdev, TANDEM_REG_CHECK_AT_REST, 1);
	return 0;
}

static void tandem_check_rest_work(struct work_struct *work)
{
	struct tandem_device *tdev = container_of(work, struct tandem_device, check.rest);

	mutex_lock(&tdev->spaces_lock);
	down_read(&tdev->mmio_lock);
	if (!tandem_device_is_gone(tdev))
		stop_machine(tandem_check_at_rest, tdev, NULL);
	up_read(&tdev->mmio_lock);
	mutex_unlock(&tdev->spaces_lock);
}

/* The checker has seen something that may be wrong for a moment only. Interrupt context. */
void tandem_check_asked(struct tandem_device *tdev)
{
	queue_work(system_dfl_wq, &tdev->check.rest);
}

/* ---- one process ---- */

/* Its memory is known, the device does not know it yet. */
int tandem_check_begin(struct tandem_as *as)
{
	struct tandem_check_as *check;

	if (!as->tdev->check.format)
		return 0;
	check = kzalloc_obj(*check, GFP_KERNEL_ACCOUNT);
	if (!check)
		return -ENOMEM;
	check->shared = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!check->shared) {
		kfree(check);
		return -ENOMEM;
	}
	spin_lock_init(&check->lock);
	check->shared->root = virt_to_phys(as->mm->pgd);
	check->shared->levels = tandem_check_levels();
	as->check = check;
	return 0;
}

/* Nobody has a reference to the address space any more. */
void tandem_check_end(struct tandem_as *as)
{
	if (!as->check)
		return;
	free_page((unsigned long)as->check->shared);
	kfree(as->check);
}

/* A test has the address space map pages for atomics that are not taken from the CPUs. */
void tandem_check_lax_atomics(struct tandem_as *as)
{
	if (as->check)
		/* Pairs with Windows::lax_atomics(). */
		smp_store_release(&as->check->shared->lax_atomics, 1);
}

/* For BIND. */
u64 tandem_check_address(struct tandem_as *as)
{
	return as->check ? virt_to_phys(as->check->shared) : 0;
}

/*
 * Is it the section of this device's own call? Told by what Linux says, not by the driver's own
 * tandem_exclusive_is_ours(), which may be wrong.
 */
static bool tandem_check_is_own(struct tandem_as *as, const struct mmu_notifier_range *range)
{
	return range->event == MMU_NOTIFY_EXCLUSIVE && range->owner == as->tdev;
}

static void tandem_check_write(struct tandem_check_window *slot, u64 number, struct tandem_as *as,
			       const struct mmu_notifier_range *range)
{
	WRITE_ONCE(slot->number, 0);
	/* Pairs with Windows::read(): who sees the old number again has seen the old slot. */
	smp_wmb();
	WRITE_ONCE(slot->start, range->start);
	WRITE_ONCE(slot->end, range->end);
	WRITE_ONCE(slot->cause, tandem_mirror_cause(range->event));
	WRITE_ONCE(slot->own, tandem_check_is_own(as, range));
	WRITE_ONCE(slot->tgid, task_tgid_nr(current));
	WRITE_ONCE(slot->open, 1);
	/* Pairs with Windows::read(): who sees the number sees the slot. */
	smp_store_release(&slot->number, number);
}

/*
 * As invalidate_range_start of a notifier; never fails. What is written here is visible before
 * Linux changes an entry: on x86 stores are seen in order, and elsewhere Linux takes the lock of
 * the page table first.
 */
int tandem_check_window_opens(struct tandem_as *as, const struct mmu_notifier_range *range)
{
	struct tandem_check_as *check = as->check;
	struct tandem_check_space *shared = check->shared;
	unsigned int index;
	u64 number;

	spin_lock(&check->lock);
	number = shared->opened + 1;
	index = number % TANDEM_CHECK_WINDOWS;
	WRITE_ONCE(shared->open, shared->open + 1);
	if (check->ranges[index]) {
		WRITE_ONCE(shared->lost, shared->lost + 1);
	} else {
		check->ranges[index] = range;
		tandem_check_write(&shared->windows[index], number, as, range);
	}
	/* Pairs with Windows::opened(). */
	smp_store_release(&shared->opened, number);
	spin_unlock(&check->lock);
	return 0;
}

static int tandem_check_find(struct tandem_check_as *check, const struct mmu_notifier_range *range)
{
	int index;

	for (index = 0; index < TANDEM_CHECK_WINDOWS; index++)
		if (check->ranges[index] == range)
			return index;
	return -ENOENT;
}

/* As invalidate_range_end: Linux has changed what it wanted to change. */
void tandem_check_window_closes(struct tandem_as *as, const struct mmu_notifier_range *range)
{
	struct tandem_check_as *check = as->check;
	struct tandem_check_space *shared = check->shared;
	int index;

	spin_lock(&check->lock);
	index = tandem_check_find(check, range);
	if (index >= 0) {
		check->ranges[index] = NULL;
		/* What was changed is seen by who sees the window closed. */
		smp_store_release(&shared->windows[index].open, 0);
	} else if (shared->lost) {
		/* The same. */
		smp_store_release(&shared->lost, shared->lost - 1);
	}
	if (shared->open)
		WRITE_ONCE(shared->open, shared->open - 1);
	spin_unlock(&check->lock);
}
