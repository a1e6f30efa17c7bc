/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mutations: the driver with one rule broken, to prove that the coherence checker sees what comes of
 * it (docs/checker.md). They are in the test-only module, which is built with TANDEM_MUTANTS; in
 * the product every one of them is a constant, and nothing of this is left.
 *
 * A gate holds a thread of the driver at a point where the order of events matters, so that a test
 * can make them happen in the order that it wants. It is in the test-only module, too, whether
 * anything is mutated or not.
 */
#ifndef TANDEM_MUTATE_H
#define TANDEM_MUTATE_H

#include <linux/compiler.h>
#include <linux/types.h>

struct mmu_notifier_range;
struct tandem_as;
struct tandem_copy_run;
struct tandem_invalidate;

/* A rule that is broken; tandem_mutate.c has the names that the parameter `mutate` takes. */
enum tandem_mutation {
	MUTANT_NONE,
	MUTANT_NO_READ_RETRY,
	MUTANT_SEQUENCE_AFTER_WALK,
	MUTANT_LOCK_DROPPED,
	MUTANT_NO_SET_SEQ,
	MUTANT_HALF_WATCHED,
	MUTANT_UNMAP_IGNORED,
	MUTANT_CLEAR_IGNORED,
	MUTANT_FORK_IGNORED,
	MUTANT_MPROTECT_IGNORED,
	MUTANT_MIGRATE_IGNORED,
	MUTANT_MIGRATE_OWNER,
	MUTANT_FLUSH_FORGOTTEN,
	MUTANT_FLUSH_NOT_AWAITED,
	MUTANT_FLUSH_LATE,
	MUTANT_FLUSH_BEFORE_CLEAR,
	MUTANT_FLUSH_OTHER_SPACE,
	MUTANT_FLUSH_LAST_RANGE,
	MUTANT_FLUSH_SHORT,
	MUTANT_FLUSH_NEXT_BLOCK,
	MUTANT_READ_ONLY_WRITABLE,
	MUTANT_FRAMES_NOT_ALIGNED,
	MUTANT_DIRTY_LOST,
	MUTANT_COPY_NOT_AWAITED,
	MUTANT_COPY_HOME_NOT_AWAITED,
	MUTANT_COPY_FAILURE_IGNORED,
	MUTANT_FILL_FORGOTTEN,
	MUTANT_PEER_AS_OWN,
	MUTANT_EXCLUSIVE_NOT_TAKEN,
	MUTANT_EXCLUSIVE_KEPT,
	MUTANT_EXCLUSIVE_OWNER,
	MUTANT_EXCLUSIVE_NOT_FILTERED,
	MUTANT_TOKEN_AFTER_UNLOCK,
	MUTANT_TOKEN_WITHOUT_RETRY,
	MUTANT_SVA_PASID_FREED_EARLY,
	MUTANT_SVA_NOT_DRAINED,
	MUTANT_NOTIFIER_ALLOCATES,
	MUTANT_MM_NOT_HELD,
	MUTANT_SERVICE_NOT_HELD,
};

enum tandem_mutant_place {
	GATE_NONE,
	GATE_LOOKED,  /* a fault: Linux was asked for the page, which is not committed yet */
	GATE_CHECKED, /* mutated: between the last check and the commit */
	GATE_TAKEN,   /* an atomic fault: the page is taken from the CPUs, and not mapped yet */
	GATE_FLUSH,   /* mutated: before an invalidation that somebody else sends later */
	GATE_FLUSHED, /* mutated: after an invalidation, before the entries are cleared */
	GATE_UNBOUND, /* mutated: the PASID is free, and the GPU does not know; the address is 0 */
};

#ifdef TANDEM_MUTANTS

extern enum tandem_mutation tandem_mutation;

static inline bool tandem_mutated(enum tandem_mutation mutation)
{
	return READ_ONCE(tandem_mutation) == mutation;
}

/* No lock held that anybody needs who is to open the gate. */
void tandem_mutant_gate(enum tandem_mutant_place place, u64 va);

bool tandem_mutant_ignores(struct tandem_as *as, const struct mmu_notifier_range *range);
bool tandem_mutant_hurries(const struct tandem_copy_run *run);
void tandem_mutant_flush_later(struct tandem_as *as, const struct tandem_invalidate *entry);
void tandem_mutant_frees_pasid(struct tandem_as *as);

#else

static inline bool tandem_mutated(enum tandem_mutation mutation)
{
	return false;
}

static inline void tandem_mutant_gate(enum tandem_mutant_place place, u64 va)
{
}

static inline bool tandem_mutant_ignores(struct tandem_as *as,
					 const struct mmu_notifier_range *range)
{
	return false;
}

static inline bool tandem_mutant_hurries(const struct tandem_copy_run *run)
{
	return false;
}

static inline void tandem_mutant_flush_later(struct tandem_as *as,
					     const struct tandem_invalidate *entry)
{
}

static inline void tandem_mutant_frees_pasid(struct tandem_as *as)
{
}

#endif

#endif
