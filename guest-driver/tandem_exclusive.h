/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Atomics of a GPU that cannot do them on any memory (docs/locking.md, "Exclusive pages"): in what
 * mode the device works, how a page is taken from the CPUs, and for how long each side may keep it.
 */
#ifndef TANDEM_EXCLUSIVE_H
#define TANDEM_EXCLUSIVE_H

#include <linux/mmu_notifier.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct folio;
struct tandem_as;
struct tandem_device;
struct tandem_moved;

/* Where an atomic is atomic against the CPUs. Fixed at probe. */
enum tandem_atomics {
	TANDEM_ATOMICS_PCIE = 1,  /* everywhere: the root port completes AtomicOps */
	TANDEM_ATOMICS_EXCLUSIVE, /* in VRAM, and in pages that no CPU can reach meanwhile */
	TANDEM_ATOMICS_VRAM,      /* in VRAM only */
};

/*
 * Who got a contended page when. A hint against ping-pong and nothing else: of two pages that meet
 * in one slot the older one is forgotten.
 */
#define TANDEM_HOLD_BITS 7

struct tandem_hold {
	u64 page;     /* VA, 0: free */
	u64 taken;    /* ns: the device has it since; 0: it has not */
	u64 returned; /* ns: the CPUs have it back since */
};

struct tandem_holds {
	spinlock_t lock; /* innermost */
	struct tandem_hold slots[1 << TANDEM_HOLD_BITS];
};

void tandem_atomics_probe(struct tandem_device *tdev);
const char *tandem_atomics_name(enum tandem_atomics mode);

void tandem_holds_init(struct tandem_holds *holds);
void tandem_hold_take(struct tandem_as *as, u64 va);
void tandem_hold_return(struct tandem_as *as, const struct mmu_notifier_range *range);
void tandem_hold_wait(struct tandem_as *as, const struct mmu_notifier_range *range);
u64 tandem_hold_cpu_rest(struct tandem_as *as, u64 va);
void tandem_hold_wait_cpu(struct tandem_as *as, u64 va);
u64 tandem_hold_replay_ns(void);

bool tandem_exclusive_is_ours(struct tandem_as *as, const struct mmu_notifier_range *range);
int tandem_atomics_to_vram(struct tandem_as *as, u64 va, struct tandem_moved *moved);
int tandem_exclusive_make(struct tandem_as *as, u64 va, unsigned long *pfn, struct folio **folio);
void tandem_exclusive_release(struct tandem_as *as, struct folio *folio, bool mapped);

#endif
