// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fault service of one address space: takes all the records that wait, sorts them, serves pages
 * that lie one behind the other together and each page once, cancels what cannot be served, and
 * lets the device try again with one REPLAY for the batch.
 *
 * A record may be old: served by a neighbour's fault-around, or overtaken by an invalidation. It
 * never hurts to map what the process has mapped now, and the REPLAY makes the device record anew
 * whatever still finds nothing.
 */
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/sort.h>

#include "tandem_migrate.h"
#include "tandem_trace.h"

/* What is served last also serves what stands before it. Those that may be skipped come last. */
static int tandem_fault_rank(const struct tandem_fault *fault)
{
	switch (fault->access) {
	case TANDEM_ACCESS_WRITE:
		return 1;
	case TANDEM_ACCESS_ATOMIC:
		return 2;
	default:
		return 0;
	}
}

static int tandem_fault_compare(const void *left, const void *right)
{
	const struct tandem_fault *a = left, *b = right;

	if (a->resident_only != b->resident_only)
		return a->resident_only ? 1 : -1;
	if (a->va != b->va)
		return a->va < b->va ? -1 : 1;
	return tandem_fault_rank(a) - tandem_fault_rank(b);
}

static unsigned int tandem_service_take(struct tandem_fault_inbox *inbox)
{
	unsigned int count;

	spin_lock_irq(&inbox->lock);
	count = inbox->count;
	memcpy(inbox->batch, inbox->pending, count * sizeof(*inbox->batch));
	inbox->count = 0;
	spin_unlock_irq(&inbox->lock);
	sort(inbox->batch, count, sizeof(*inbox->batch), tandem_fault_compare, NULL);
	return count;
}

static void tandem_service_cancel(struct tandem_as *as, const struct tandem_fault *fault,
				  enum tandem_queue_error status)
{
	struct tandem_command command = {
		.type = TANDEM_COMMAND_CANCEL,
		.pasid = as->pasid,
		.u.cancel = { .queue = fault->queue, .status = status, .va = fault->va },
	};

	if (!tandem_as_post(as, &command))
		return;
	atomic64_inc(&as->stats.faults_cancelled);
	trace_tandem_cancel(as->pasid, fault->queue, fault->va, status);
}

static enum tandem_queue_error tandem_service_status(int error)
{
	switch (error) {
	case 0:
		return TANDEM_QUEUE_OK;
	case -ENOENT: /* no mapping there */
		return TANDEM_QUEUE_ADDRESS_FAULT;
	case -EACCES: /* a mapping without the permission */
	case -EPERM:
		return TANDEM_QUEUE_PERMISSION_FAULT;
	case -EOPNOTSUPP: /* memory that can neither be taken from the CPUs nor moved */
		return TANDEM_QUEUE_ATOMIC_FAULT;
	case -EHWPOISON:
		return TANDEM_QUEUE_MEMORY_ERROR;
	default:
		return TANDEM_QUEUE_SERVICE_FAILED;
	}
}

static void tandem_service_note(struct tandem_as *as, const struct tandem_service_result *result)
{
	struct tandem_command command = {
		.type = TANDEM_COMMAND_NOTE,
		.pasid = as->pasid,
		.u.note = {
			.cause = TANDEM_CAUSE_SERVICE,
			.tgid = as->tgid,
			.start = result->start,
			.end = result->end,
			.value = result->pages,
		},
	};

	if (as->tdev->config.features & TANDEM_FEATURE_TRACE)
		tandem_as_post(as, &command);
}

/*
 * What the device says cannot be repaired by mapping the page again. Behind an IOMMU a page may
 * have been unlinked between the device's look at the entry and its look at the address.
 */
static bool tandem_service_is_beyond_repair(struct tandem_as *as, const struct tandem_fault *fault)
{
	switch (fault->reason) {
	case TANDEM_FAULT_POISON:
	case TANDEM_FAULT_TABLE_DMA:
	case TANDEM_FAULT_BAD_PTE:
		return true;
	case TANDEM_FAULT_PAGE_DMA:
		return !as->tdev->translated;
	default:
		return false;
	}
}

static bool tandem_fault_is_write(const struct tandem_fault *fault)
{
	return fault->access == TANDEM_ACCESS_WRITE || fault->access == TANDEM_ACCESS_ATOMIC;
}

/* Cancels what is hopeless. False: the fault is dealt with. */
static bool tandem_service_wants_page(struct tandem_as *as, const struct tandem_fault *fault)
{
	bool atomic = fault->access == TANDEM_ACCESS_ATOMIC;

	if (tandem_service_is_beyond_repair(as, fault)) {
		dev_err_ratelimited(as->tdev->dev, "pasid %u va 0x%llx: fault reason %u\n",
				    as->pasid, fault->va, fault->reason);
		tandem_service_cancel(as, fault,
				      fault->reason == TANDEM_FAULT_POISON ?
					      TANDEM_QUEUE_MEMORY_ERROR :
					      TANDEM_QUEUE_DMA_ERROR);
		return false;
	}
	return !tandem_mirror_is_mapped(as, fault->va, tandem_fault_is_write(fault), atomic);
}

/*
 * Can it be served together with the fault before it? Not what is mapped already: asking Linux for
 * a page that was taken for atomics would give it back.
 */
static bool tandem_service_joins(struct tandem_as *as, const struct tandem_fault *before,
				 const struct tandem_fault *fault)
{
	return fault->va == before->va + PAGE_SIZE && fault->access == before->access &&
	       fault->resident_only == before->resident_only &&
	       !IS_ALIGNED(fault->va, 1ULL << TANDEM_LEAF_2M) &&
	       !tandem_service_is_beyond_repair(as, fault) &&
	       !tandem_mirror_is_mapped(as, fault->va, tandem_fault_is_write(fault),
					fault->access == TANDEM_ACCESS_ATOMIC);
}

/* Does its page have to be had by itself, because atomics are more than a write? */
static bool tandem_service_takes_page(struct tandem_as *as, const struct tandem_fault *fault)
{
	return fault->access == TANDEM_ACCESS_ATOMIC && !fault->resident_only &&
	       as->tdev->atomics != TANDEM_ATOMICS_PCIE;
}

/* How many faults from this one on ask for the same access to one page behind the other. */
static unsigned int tandem_service_run_length(struct tandem_as *as, const struct tandem_fault *run,
					      unsigned int count)
{
	unsigned int n = 1;

	while (!tandem_service_takes_page(as, run) && n < count &&
	       tandem_service_joins(as, &run[n - 1], &run[n]))
		n++;
	return n;
}

/*
 * How these pages are to be had: all of them the same way, together with what of the 2 MiB around
 * (or the granularity that the process chose) is wished to be where they are, and with nothing
 * else.
 */
static struct tandem_mirror_wish tandem_service_wish(struct tandem_as *as,
						     const struct tandem_fault *run)
{
	struct tandem_ioc_range same = { .start = run->va };
	u64 revocations = READ_ONCE(as->revocations);
	bool write = tandem_fault_is_write(run);
	u64 bytes, block;

	tandem_policy_get(&as->policy, &same);
	bytes = 1ULL << (same.granularity ?: TANDEM_LEAF_2M);
	block = round_down(run->va, bytes);
	return (struct tandem_mirror_wish){
		.from = max(block, same.start),
		.to = min(block + bytes, same.start + same.length),
		.revocations = revocations,
		.write = write,
		.atomic = tandem_service_takes_page(as, run),
		.read_only = !write && same.flags & TANDEM_RANGE_READ_MOSTLY,
	};
}

/*
 * Moves the pages and what is wished to be with them in the 2 MiB around, as far as the VMA goes,
 * if VRAM is where they should be. If it cannot be done they are used where they lie. Says how much
 * to map around them.
 */
static void tandem_service_migrate(struct tandem_as *as, const struct tandem_fault *run,
				   unsigned int count, struct tandem_mirror_wish *wish)
{
	struct tandem_moved moved = { 0 };

	wish->around = tandem_fault_around;
	if (wish->resident || !tandem_policy_wants_vram(as, run->va, run->access))
		return;
	/* Setup would take the translations of the whole block away, and for nothing. */
	if (!tandem_mirror_is_in_vram(as, run->va, count))
		tandem_migrate_to_vram(as, wish->from, wish->to, run->va,
				       run->va + (u64)count * PAGE_SIZE,
				       TANDEM_MIGRATE_GPU_FAULT, &moved);
	if (moved.moved)
		wish->around = 1ULL << TANDEM_LEAF_2M;
}

static int tandem_service_map(struct tandem_as *as, const struct tandem_fault *run,
			      unsigned int count, struct tandem_mirror_wish wish)
{
	struct tandem_service_result result = { .start = run->va, .end = run->va };
	int error;

	tandem_service_migrate(as, run, count, &wish);
	error = tandem_mirror_fault(as, run->va, count, wish, &result);
	trace_tandem_service(as->pasid, result.start, result.end, result.pages, error);
	if (!error)
		tandem_service_note(as, &result);
	return error;
}

static void tandem_service_fault(struct tandem_as *as, const struct tandem_fault *fault,
				 struct tandem_mirror_wish wish)
{
	int error;

	if (!tandem_service_wants_page(as, fault))
		return;
	error = tandem_service_map(as, fault, 1, wish);
	if (error)
		tandem_service_cancel(as, fault, tandem_service_status(error));
}

static void tandem_service_skip(struct tandem_as *as, u64 start, u64 end, u8 access)
{
	struct tandem_command command = {
		.type = TANDEM_COMMAND_SKIP,
		.pasid = as->pasid,
		.u.skip = { .start = start, .end = end, .access = access },
	};

	if (start < end && tandem_as_post(as, &command))
		atomic64_add((end - start) >> PAGE_SHIFT, &as->stats.faults_skipped);
}

/*
 * Pages in a row that a resident-only queue asks for: what the process has there now is mapped, and
 * the rest is skipped. Nothing fails: why there is nothing makes no difference.
 */
static void tandem_service_resident(struct tandem_as *as, const struct tandem_fault *run,
				    unsigned int count, struct tandem_mirror_wish wish)
{
	bool atomic = run->access == TANDEM_ACCESS_ATOMIC;
	u64 missing = run->va;
	unsigned int i;

	wish.resident = true;
	wish.atomic = false;
	if (tandem_service_map(as, run, count, wish))
		for (i = 0; count > 1 && i < count; i++)
			if (!tandem_mirror_is_mapped(as, run[i].va, wish.write, atomic))
				tandem_service_map(as, &run[i], 1, wish);
	for (i = 0; i < count; i++) {
		if (!tandem_mirror_is_mapped(as, run[i].va, wish.write, atomic))
			continue;
		tandem_service_skip(as, missing, run[i].va, run->access);
		missing = run[i].va + PAGE_SIZE;
	}
	tandem_service_skip(as, missing, run->va + (u64)count * PAGE_SIZE, run->access);
}

/* Under TANDEM_RETRY_OFF: nobody granted the page. */
static void tandem_service_refuse(struct tandem_as *as, const struct tandem_fault *fault)
{
	if (fault->resident_only)
		tandem_service_skip(as, fault->va, fault->va + PAGE_SIZE, fault->access);
	else
		tandem_service_cancel(as, fault,
				      tandem_service_status(tandem_retry_refusal(as, fault->va)));
}

static bool tandem_service_is_over(struct tandem_as *as)
{
	return READ_ONCE(as->state) != TANDEM_AS_ACTIVE;
}

/* The process is gone when nobody but us uses its memory: then nothing is worth serving. */
static bool tandem_service_is_futile(struct tandem_as *as)
{
	return tandem_service_is_over(as) || atomic_read(&as->mm->mm_users) == 1;
}

/*
 * Serves what begins the batch and says how many faults that was. Pages in a row are had with one
 * call; if they cannot be had together, each is tried by itself, and each fails by itself.
 */
static unsigned int tandem_service_run(struct tandem_as *as, const struct tandem_fault *run,
				       unsigned int count)
{
	struct tandem_mirror_wish wish;
	unsigned int i;

	atomic64_inc(&as->stats.faults);
	if (!tandem_service_wants_page(as, run))
		return 1;
	wish = tandem_service_wish(as, run);
	if (!tandem_retry_grants(as, run->va)) {
		tandem_service_refuse(as, run);
		return 1;
	}
	count = tandem_service_run_length(as, run, count);
	count = min_t(u64, count, (wish.to - run->va) >> PAGE_SHIFT);
	atomic64_add(count - 1, &as->stats.faults);
	if (run->resident_only) {
		tandem_service_resident(as, run, count, wish);
		return count;
	}
	if (count > 1 && !tandem_service_map(as, run, count, wish))
		return count;
	for (i = 0; i < count && !tandem_service_is_futile(as); i++) {
		tandem_service_fault(as, &run[i], wish);
		cond_resched();
	}
	return count;
}

static void tandem_service_replay(struct tandem_as *as, unsigned int faults)
{
	struct tandem_command command = {
		.type = TANDEM_COMMAND_REPLAY,
		.pasid = as->pasid,
	};

	if (tandem_as_post(as, &command))
		trace_tandem_replay(as->pasid, faults);
}

/*
 * Of one page the strongest access is served; if that is cancelled, REPLAY brings the others back.
 * Returns how many faults are left.
 */
static unsigned int tandem_service_merge(struct tandem_fault *batch, unsigned int count)
{
	unsigned int i, kept = 0;

	for (i = 0; i < count; i++)
		if (i + 1 == count || batch[i].va != batch[i + 1].va ||
		    batch[i].resident_only != batch[i + 1].resident_only)
			batch[kept++] = batch[i];
	return kept;
}

/*
 * Pages were taken for atomics, and the device can use them after REPLAY only, while the time for
 * which it may keep them runs. Does it have to come before the next fault is served?
 */
static bool tandem_service_is_pressed(struct tandem_as *as, u64 replay_by,
				      const struct tandem_fault *next)
{
	return replay_by && (ktime_get_ns() >= replay_by ||
			     (tandem_service_takes_page(as, next) &&
			      tandem_hold_cpu_rest(as, next->va)));
}

/* When it ends early, mmput brings the release that unbinds the address space. */
static void tandem_service_batch(struct tandem_as *as, unsigned int count)
{
	struct tandem_fault *batch = as->faults->batch;
	struct mem_cgroup *memcg, *before;
	unsigned int done = 0;
	u64 replay_by = 0;

	memcg = get_mem_cgroup_from_mm(as->mm);
	before = set_active_memcg(memcg);
	count = tandem_service_merge(batch, count);
	while (done < count && !tandem_service_is_futile(as)) {
		if (tandem_service_is_pressed(as, replay_by, &batch[done])) {
			tandem_service_replay(as, done);
			replay_by = 0;
		}
		if (!replay_by && tandem_service_takes_page(as, &batch[done]))
			replay_by = ktime_get_ns() + tandem_hold_replay_ns();
		done += tandem_service_run(as, &batch[done], count - done);
		cond_resched();
	}
	set_active_memcg(before);
	mem_cgroup_put(memcg);
}

void tandem_service_work(struct work_struct *work)
{
	struct tandem_as *as = container_of(work, struct tandem_as, service);
	unsigned int count = tandem_service_take(as->faults);

	if (count && !tandem_service_is_over(as) && mmget_not_zero(as->mm)) {
		atomic64_inc(&as->stats.fault_batches);
		tandem_service_batch(as, count);
		tandem_service_replay(as, count);
		/*
		 * Asynchronous: the last mmput runs exit_mmap and with it our own release, which
		 * must not wait for anything that this work item does.
		 */
		mmput_async(as->mm);
	}
	tandem_as_put(as);
}
