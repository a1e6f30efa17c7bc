// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Mirror translation, the side that follows Linux: the process's memory is watched, and when Linux
 * changes its mind the device forgets: chunk lock -> set_seq, clear, send -> unlock -> wait for the
 * acknowledgement. The other direction is the fault (tandem_window.c); docs/locking.md shows the
 * two against each other.
 *
 * Each chunk of 64 MiB has one interval notifier, made when the device first faults there. Smaller
 * chunks mean more callbacks and more commands for one large munmap; larger ones mean that faults
 * collide with invalidations far away, because the sequence number is the chunk's. 64 MiB is the
 * size and the alignment of malloc's arenas, so that one thread trimming its arena never makes the
 * faults of another one retry; and it divides the 1 GiB that one table of level 1 covers, so that
 * the chunk's lock can own its entries.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "tandem_mirror.h"
#include "tandem_mutate.h"

#define TANDEM_CHUNK_SHIFT 26
#define TANDEM_CHUNK_BYTES BIT_ULL(TANDEM_CHUNK_SHIFT)

/* ---- notifier: Linux changes its mind ---- */

u16 tandem_mirror_cause(enum mmu_notifier_event event)
{
	static_assert(MMU_NOTIFY_UNMAP + 1 == TANDEM_CAUSE_UNMAP);
	static_assert(MMU_NOTIFY_RELEASE + 1 == TANDEM_CAUSE_RELEASE);
	static_assert(MMU_NOTIFY_EXCLUSIVE + 1 == TANDEM_CAUSE_EXCLUSIVE);
	return event + 1;
}

/* The order that a mutation has. */
static void tandem_chunk_flush_first(struct tandem_chunk *chunk, struct tandem_invalidate *entry)
{
	struct tandem_as *as = chunk->as;

	tandem_invalidate_wait(as, tandem_invalidate_send(as, entry, TANDEM_MAY_SLEEP),
			       TANDEM_MAY_SLEEP);
	tandem_mutant_gate(GATE_FLUSHED, entry->start);
	tandem_invalidate_reserve(as->tdev, TANDEM_MAY_SLEEP);
}

/* What is to be invalidated of what was taken away. */
static void tandem_chunk_name(struct tandem_invalidate *entry, const struct tandem_gather *gather)
{
	entry->start = gather->start;
	entry->end = gather->end;
	entry->dirty = gather->dirty;
	if (tandem_mutated(MUTANT_FLUSH_SHORT) && entry->end - entry->start > PAGE_SIZE)
		entry->end -= PAGE_SIZE;
}

/*
 * Clears the range and sends one invalidation for what was there; uses up or gives back the
 * reserved slot. Returns the fence to wait for: it also covers invalidations that others have sent
 * before and not seen acknowledged.
 */
static struct tandem_fence tandem_chunk_clear(struct tandem_chunk *chunk,
					      struct tandem_invalidate *entry,
					      enum tandem_wait_mode mode)
{
	u64 start = max_t(u64, entry->notify_start, chunk->start);
	u64 end = min_t(u64, entry->notify_end, chunk->start + TANDEM_CHUNK_BYTES);
	struct tandem_gather gather = { 0 };
	struct tandem_as *as = chunk->as;

	lockdep_assert_held(&chunk->lock);
	entry->start = start;
	entry->end = end;
	if (tandem_mutated(MUTANT_FLUSH_BEFORE_CLEAR) && chunk->pages)
		tandem_chunk_flush_first(chunk, entry);
	if (chunk->pages)
		tandem_pt_clear(&as->pt, start, end, &gather);
	if (!gather.pages) {
		tandem_invalidate_unreserve(as->tdev);
		atomic64_inc(&as->stats.invalidations_empty);
		return chunk->fence;
	}
	chunk->pages -= gather.pages;
	if (as->tdev->atomics == TANDEM_ATOMICS_EXCLUSIVE)
		atomic64_add(gather.atomic_pages, &as->stats.exclusive_returned);
	if (tandem_mutated(MUTANT_FLUSH_BEFORE_CLEAR)) {
		tandem_invalidate_unreserve(as->tdev);
		return chunk->fence;
	}
	tandem_chunk_name(entry, &gather);
	chunk->fence = tandem_invalidate_send(as, entry, mode);
	return chunk->fence;
}

static bool tandem_chunk_lock(struct tandem_chunk *chunk, enum tandem_wait_mode mode)
{
	if (mode == TANDEM_MUST_NOT_SLEEP)
		return mutex_trylock(&chunk->lock);
	mutex_lock(&chunk->lock);
	return true;
}

/*
 * When this returns true no access of the device uses what the range was mapped to. It allocates
 * nothing and takes no lock under which anybody allocates.
 *
 * A call that must not sleep and cannot finish returns false. If it had to give up before it
 * cleared anything, nothing has happened; if the acknowledgement was late, the entries are gone,
 * their dirty bits are with Linux, and the chunk's fence makes the next call wait for it.
 */
static bool tandem_mirror_invalidate(struct mmu_interval_notifier *notifier,
				     const struct mmu_notifier_range *range, unsigned long sequence)
{
	struct tandem_chunk *chunk = container_of(notifier, struct tandem_chunk, notifier);
	enum tandem_wait_mode mode = mmu_notifier_range_blockable(range) ? TANDEM_MAY_SLEEP :
									   TANDEM_MUST_NOT_SLEEP;
	struct tandem_as *as = chunk->as;
	struct tandem_invalidate entry = {
		.cause = tandem_mirror_cause(range->event),
		.notify_start = range->start,
		.notify_end = range->end,
	};
	struct tandem_fence fence;

	/* We are the cause ourselves: the page stays what it is, and becomes ours alone. */
	if (tandem_exclusive_is_ours(as, range) || tandem_mutant_ignores(as, range))
		return true;
	if (tandem_mutated(MUTANT_NOTIFIER_ALLOCATES))
		kfree(kmalloc(sizeof(entry), GFP_KERNEL));
	if (mode == TANDEM_MAY_SLEEP)
		tandem_hold_wait(as, range);
	/* The process is over: unbinding at once spares an invalidation for each chunk. */
	if (range->event == MMU_NOTIFY_RELEASE)
		tandem_as_stop(as);
	if (!tandem_invalidate_reserve(as->tdev, mode))
		goto refused;
	if (!tandem_chunk_lock(chunk, mode)) {
		tandem_invalidate_unreserve(as->tdev);
		goto refused;
	}
	if (!tandem_mutated(MUTANT_NO_SET_SEQ))
		mmu_interval_set_seq(notifier, sequence);
	fence = tandem_chunk_clear(chunk, &entry, mode);
	mutex_unlock(&chunk->lock);
	if (tandem_invalidate_wait(as, fence, mode)) {
		tandem_hold_return(as, range);
		return true;
	}
refused:
	atomic64_inc(&as->tdev->stats.nonblock_refused);
	return false;
}

static const struct mmu_interval_notifier_ops tandem_mirror_ops = {
	.invalidate = tandem_mirror_invalidate,
};

/* ---- chunks ---- */

static struct tandem_chunk *tandem_chunk_alloc(struct tandem_as *as, u64 va)
{
	struct tandem_chunk *chunk = kzalloc_obj(*chunk, GFP_KERNEL_ACCOUNT);

	if (!chunk)
		return NULL;
	chunk->as = as;
	chunk->start = round_down(va, TANDEM_CHUNK_BYTES);
	chunk->fence.epoch = as->epoch;
	mutex_init(&chunk->lock);
	return chunk;
}

/* chunks_lock held, and a reference to mm_users. */
static int tandem_chunk_insert(struct tandem_as *as, struct tandem_chunk *chunk)
{
	unsigned long index = chunk->start >> TANDEM_CHUNK_SHIFT;
	int ret;

	if (as->chunks_closed)
		return -ENODEV;
	if (xa_load(&as->chunks, index))
		return -EEXIST;
	ret = xa_reserve(&as->chunks, index, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;
	ret = mmu_interval_notifier_insert(&chunk->notifier, as->mm, chunk->start,
					   TANDEM_CHUNK_BYTES >>
						   tandem_mutated(MUTANT_HALF_WATCHED),
					   &tandem_mirror_ops);
	if (ret)
		xa_release(&as->chunks, index);
	else
		xa_store(&as->chunks, index, chunk, GFP_KERNEL);
	return ret;
}

/* NULL if the device never asked for anything there. Chunks stay as long as the address space. */
struct tandem_chunk *tandem_chunk_find(struct tandem_as *as, u64 va)
{
	return xa_load(&as->chunks, va >> TANDEM_CHUNK_SHIFT);
}

struct tandem_chunk *tandem_chunk_get(struct tandem_as *as, u64 va)
{
	struct tandem_chunk *chunk = tandem_chunk_find(as, va);
	int ret;

	if (chunk)
		return chunk;
	chunk = tandem_chunk_alloc(as, va);
	if (!chunk)
		return ERR_PTR(-ENOMEM);
	mutex_lock(&as->chunks_lock);
	ret = tandem_chunk_insert(as, chunk);
	mutex_unlock(&as->chunks_lock);
	if (!ret)
		return chunk;
	kfree(chunk);
	/* The service and a prefetch may want the same one. */
	return ret == -EEXIST ? tandem_chunk_find(as, va) : ERR_PTR(ret);
}

/*
 * Gives dirty pages back, and lets nothing be mapped any more. The device is unbound or was reset.
 */
static void tandem_chunk_close(struct tandem_as *as, struct tandem_chunk *chunk)
{
	struct tandem_gather gather = { 0 };

	/*
	 * Whoever commits after us sees under this lock that the address space is not ACTIVE any
	 * more.
	 */
	mutex_lock(&chunk->lock);
	if (chunk->pages)
		tandem_pt_clear(&as->pt, chunk->start, chunk->start + TANDEM_CHUNK_BYTES, &gather);
	chunk->pages = 0;
	mutex_unlock(&chunk->lock);
	mmu_interval_notifier_remove(&chunk->notifier);
}

void tandem_mirror_close(struct tandem_as *as)
{
	struct tandem_chunk *chunk;
	unsigned long index;

	mutex_lock(&as->chunks_lock);
	as->chunks_closed = true;
	mutex_unlock(&as->chunks_lock);
	xa_for_each(&as->chunks, index, chunk)
		tandem_chunk_close(as, chunk);
}

void tandem_mirror_free(struct tandem_as *as)
{
	struct tandem_chunk *chunk;
	unsigned long index;

	xa_for_each(&as->chunks, index, chunk)
		kfree(chunk);
	xa_destroy(&as->chunks);
}

/* ---- what the device has now ---- */

/* The device's entry for this page as it is now, with the address of the page itself, or 0. */
u64 tandem_mirror_entry(struct tandem_as *as, u64 va)
{
	struct tandem_chunk *chunk = tandem_chunk_find(as, va);
	u64 pte = 0;

	if (!chunk)
		return 0;
	mutex_lock(&chunk->lock);
	if (READ_ONCE(as->state) == TANDEM_AS_ACTIVE)
		pte = tandem_pt_read(&as->pt, va);
	mutex_unlock(&chunk->lock);
	return pte;
}

/* Would the access succeed as things are? True for what a neighbour's window has mapped already. */
bool tandem_mirror_is_mapped(struct tandem_as *as, u64 va, bool write, bool atomic)
{
	u64 need = TANDEM_PTE_VALID | (write ? TANDEM_PTE_WRITE : 0) |
		   (atomic ? TANDEM_PTE_ATOMIC : 0);

	return (tandem_mirror_entry(as, va) & need) == need;
}

static void tandem_chunk_drop(struct tandem_as *as, struct tandem_chunk *chunk, u64 start, u64 end)
{
	struct tandem_invalidate entry = {
		.cause = TANDEM_CAUSE_UPGRADE,
		.notify_start = start,
		.notify_end = end,
	};
	struct tandem_fence fence = { .epoch = as->epoch };

	tandem_invalidate_reserve(as->tdev, TANDEM_MAY_SLEEP);
	mutex_lock(&chunk->lock);
	if (READ_ONCE(as->state) == TANDEM_AS_ACTIVE)
		fence = tandem_chunk_clear(chunk, &entry, TANDEM_MAY_SLEEP);
	else
		tandem_invalidate_unreserve(as->tdev);
	mutex_unlock(&chunk->lock);
	tandem_invalidate_wait(as, fence, TANDEM_MAY_SLEEP);
}

/*
 * Takes the device's translations of the range away. Nothing keeps it from asking again; no lock
 * held.
 */
void tandem_mirror_drop(struct tandem_as *as, u64 start, u64 end)
{
	struct tandem_chunk *chunk;
	unsigned long index;

	xa_for_each_range(&as->chunks, index, chunk, start >> TANDEM_CHUNK_SHIFT,
			  (end - 1) >> TANDEM_CHUNK_SHIFT)
		tandem_chunk_drop(as, chunk, start, end);
}

/* Did the device use anything in the range, inside one chunk, since this was last asked? */
bool tandem_mirror_was_used(struct tandem_as *as, u64 start, u64 end)
{
	struct tandem_chunk *chunk = tandem_chunk_find(as, start);
	bool used = false;

	if (!chunk)
		return false;
	mutex_lock(&chunk->lock);
	if (READ_ONCE(as->state) == TANDEM_AS_ACTIVE)
		used = tandem_pt_young(&as->pt, start, end, true);
	mutex_unlock(&chunk->lock);
	return used;
}

/*
 * Called with page table locks held: takes no lock. The tables live until the notifier is
 * unregistered.
 */
bool tandem_mirror_young(struct tandem_as *as, unsigned long start, unsigned long end, bool clear)
{
	end = min_t(u64, end, TANDEM_VA_LIMIT);
	return start < end && tandem_pt_young(&as->pt, start, end, clear);
}
