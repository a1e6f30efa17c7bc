// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The life of an address space: open -> INIT binds it to the caller's memory -> exit, close, reset
 * or removal of the device end it. Ending has two parts. Stopping unbinds it on the device and may
 * happen in a notifier. Tearing down takes notifiers, tables and the PASID away; it may sleep and
 * waits for nobody's memory: a service that hangs in a page fault of the process finds under the
 * chunk's lock that there is nothing to commit to any more.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "tandem_as.h"
#include "tandem_mutate.h"
#include "tandem_queue.h"
#include "tandem_trace.h"

struct tandem_as *tandem_as_create(struct tandem_device *tdev)
{
	struct tandem_as *as = kzalloc_obj(*as, GFP_KERNEL_ACCOUNT);

	if (!as)
		return NULL;
	kref_init(&as->ref);
	tandem_device_get(tdev);
	/*
	 * Its work items run this module's code: the module stays until the last of them is done
	 * with it.
	 */
	__module_get(THIS_MODULE);
	as->tdev = tdev;
	as->state = TANDEM_AS_NEW;
	as->retry = TANDEM_RETRY_ON;
	INIT_LIST_HEAD(&as->node);
	INIT_LIST_HEAD(&as->queues);
	INIT_WORK(&as->service, tandem_service_work);
	mutex_init(&as->setup_lock);
	mutex_init(&as->lock);
	mutex_init(&as->chunks_lock);
	mutex_init(&as->doorbell_lock);
	mutex_init(&as->pt.lock);
	xa_init(&as->chunks);
	tandem_holds_init(&as->holds);
	tandem_policy_init(&as->policy);
	spin_lock_init(&as->hot.lock);
	INIT_WORK(&as->hot.work, tandem_hot_work);
	init_waitqueue_head(&as->wait);
	return as;
}

void tandem_as_get(struct tandem_as *as)
{
	kref_get(&as->ref);
}

/*
 * mmdrop() and the chunks' notifiers want process context, and as may still be looked at under RCU.
 */
static void tandem_as_free(struct work_struct *work)
{
	struct tandem_as *as = container_of(work, struct tandem_as, free_work);

	tandem_mirror_free(as);
	tandem_policy_fini(&as->policy);
	if (as->mm)
		mmdrop(as->mm);
	if (as->doorbell_dummy)
		__free_page(as->doorbell_dummy);
	kvfree(as->faults);
	tandem_check_end(as);
	tandem_device_put(as->tdev);
	kfree_rcu(as, rcu);
	module_put(THIS_MODULE);
}

static void tandem_as_release(struct kref *ref)
{
	struct tandem_as *as = container_of(ref, struct tandem_as, ref);

	INIT_WORK(&as->free_work, tandem_as_free);
	queue_work(tandem_wq, &as->free_work);
}

/* Any context. */
void tandem_as_put(struct tandem_as *as)
{
	kref_put(&as->ref, tandem_as_release);
}

/* With a reference, or NULL. Any context. */
struct tandem_as *tandem_as_by_pasid(struct tandem_device *tdev, u32 pasid)
{
	struct tandem_as *as;

	rcu_read_lock();
	as = xa_load(&tdev->by_pasid, pasid);
	if (as && !kref_get_unless_zero(&as->ref))
		as = NULL;
	rcu_read_unlock();
	return as;
}

/* Why the address space cannot be used, or 0. */
int tandem_as_error(struct tandem_as *as)
{
	if (tandem_device_is_gone(as->tdev))
		return -ENODEV;
	/* Pairs with tandem_as_move(). */
	switch (smp_load_acquire(&as->state)) {
	case TANDEM_AS_ACTIVE:
		return tandem_epoch(as->tdev) == as->epoch ? 0 : -EIO;
	case TANDEM_AS_LOST:
		return -EIO;
	default:
		return -EINVAL;
	}
}

/* May the caller use it? Only the process that bound it: the memory is compared, not the task. */
int tandem_as_enter(struct tandem_as *as)
{
	/* Pairs with tandem_as_move(). */
	if (smp_load_acquire(&as->state) == TANDEM_AS_NEW)
		return tandem_device_is_gone(as->tdev) ? -ENODEV : -EINVAL;
	return current->mm == as->mm ? tandem_as_error(as) : -EPERM;
}

/*
 * Whether pages of the process can be the GPU's. What the IOMMU walks is the CPUs' page table, in
 * which device-private pages are nowhere.
 */
bool tandem_as_moves_pages(struct tandem_as *as)
{
	return as->translation == TANDEM_TRANSLATION_MIRROR &&
	       tandem_vram_is_there(&as->tdev->vram);
}

/* Posts a command unless the address space is over: nothing of it can follow its UNBIND. */
bool tandem_as_post(struct tandem_as *as, struct tandem_command *command)
{
	bool active;

	mutex_lock(&as->lock);
	active = as->state == TANDEM_AS_ACTIVE;
	if (active)
		tandem_command_post(as->tdev, command, as->epoch);
	mutex_unlock(&as->lock);
	return active;
}

/* ---- state: one function for each arrow, as->lock held ---- */

static void tandem_as_move(struct tandem_as *as, enum tandem_as_state state)
{
	lockdep_assert_held(&as->lock);
	/* Pairs with the acquires above: who sees ACTIVE sees mm, epoch and pasid. */
	smp_store_release(&as->state, state);
	trace_tandem_as(as->pasid, as->tgid, state);
}

static int tandem_as_activate(struct tandem_as *as)
{
	struct tandem_command command = {
		.type = TANDEM_COMMAND_BIND,
		.pasid = as->pasid,
		.u.bind = {
			.root = as->pt.root ? as->pt.root->dma : 0,
			.translation = as->translation,
			.tgid = as->tgid,
			.bus_pasid = as->bus_pasid,
			.check = tandem_check_address(as),
		},
	};
	int ret;

	memcpy(command.u.bind.comm, as->comm, sizeof(command.u.bind.comm));
	mutex_lock(&as->lock);
	ret = as->state == TANDEM_AS_NEW ? tandem_command_sync(as->tdev, &command, as->epoch) :
					   -EIO;
	if (!ret)
		tandem_as_move(as, TANDEM_AS_ACTIVE);
	mutex_unlock(&as->lock);
	return ret;
}

/*
 * -EIO: reset meanwhile. -EINPROGRESS: page requests are still to be answered (SVA). In any case
 * nothing of it is alive.
 */
int tandem_as_unbind(struct tandem_as *as)
{
	struct tandem_command command = {
		.type = TANDEM_COMMAND_UNBIND,
		.pasid = as->pasid,
	};

	return tandem_command_sync(as->tdev, &command, as->epoch);
}

/*
 * When this returns the device does nothing for this address space, for good. Idempotent. Called in
 * notifiers (exit): takes no lock under which anybody allocates or waits for memory.
 */
void tandem_as_stop(struct tandem_as *as)
{
	mutex_lock(&as->lock);
	if (as->state == TANDEM_AS_ACTIVE) {
		tandem_as_move(as, TANDEM_AS_ENDED);
		as->draining = tandem_as_unbind(as) == -EINPROGRESS;
	}
	if (as->state == TANDEM_AS_NEW)
		tandem_as_move(as, TANDEM_AS_ENDED);
	WRITE_ONCE(as->quiet, true);
	mutex_unlock(&as->lock);
	wake_up_all(&as->wait);
}

/*
 * The device was reset or is gone. What is mapped stays to be collected by the notifiers; the
 * doorbells must not.
 */
void tandem_as_lose(struct tandem_as *as)
{
	mutex_lock(&as->lock);
	if (as->state == TANDEM_AS_NEW || as->state == TANDEM_AS_ACTIVE)
		tandem_as_move(as, TANDEM_AS_LOST);
	tandem_queues_lose(as);
	WRITE_ONCE(as->quiet, true);
	mutex_unlock(&as->lock);
	tandem_doorbell_zap(as);
	wake_up_all(&as->wait);
}

/* ---- notifier of the whole memory: exit and ageing ---- */

static void tandem_as_notify_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	tandem_as_stop(container_of(notifier, struct tandem_as, notifier));
}

static bool tandem_as_notify_clear_young(struct mmu_notifier *notifier, struct mm_struct *mm,
					 unsigned long start, unsigned long end)
{
	return tandem_mirror_young(container_of(notifier, struct tandem_as, notifier), start, end,
				   true);
}

static bool tandem_as_notify_test_young(struct mmu_notifier *notifier, struct mm_struct *mm,
					unsigned long address)
{
	return tandem_mirror_young(container_of(notifier, struct tandem_as, notifier), address,
				   address + PAGE_SIZE, false);
}

static const struct mmu_notifier_ops tandem_as_notifier_ops = {
	.release = tandem_as_notify_release,
	.clear_flush_young = tandem_as_notify_clear_young,
	.clear_young = tandem_as_notify_clear_young,
	.test_young = tandem_as_notify_test_young,
};

/* The same, and the checker is told what Linux is doing. */
static int tandem_as_notify_start(struct mmu_notifier *notifier,
				  const struct mmu_notifier_range *range)
{
	return tandem_check_window_opens(container_of(notifier, struct tandem_as, notifier), range);
}

static void tandem_as_notify_end(struct mmu_notifier *notifier,
				 const struct mmu_notifier_range *range)
{
	tandem_check_window_closes(container_of(notifier, struct tandem_as, notifier), range);
}

static const struct mmu_notifier_ops tandem_as_checked_notifier_ops = {
	.release = tandem_as_notify_release,
	.clear_flush_young = tandem_as_notify_clear_young,
	.clear_young = tandem_as_notify_clear_young,
	.test_young = tandem_as_notify_test_young,
	.invalidate_range_start = tandem_as_notify_start,
	.invalidate_range_end = tandem_as_notify_end,
};

/* ---- PASIDs, given out in turn ---- */

static int tandem_as_take_pasid(struct tandem_as *as)
{
	struct tandem_device *tdev = as->tdev;
	u32 limit = tdev->config.address_spaces, pasid;

	lockdep_assert_held(&tdev->spaces_lock);
	pasid = find_next_zero_bit(tdev->pasid_map, limit, tdev->last_pasid + 1);
	if (pasid >= limit)
		pasid = find_next_zero_bit(tdev->pasid_map, limit, 1);
	if (pasid >= limit)
		return -ENOSPC;
	if (xa_err(xa_store(&tdev->by_pasid, pasid, as, GFP_KERNEL)))
		return -ENOMEM;
	__set_bit(pasid, tdev->pasid_map);
	tdev->last_pasid = pasid;
	as->pasid = pasid;
	return 0;
}

/* From here on the removal of the device finds it, and waits for setup_lock. */
static int tandem_as_enlist(struct tandem_as *as)
{
	struct tandem_device *tdev = as->tdev;
	int ret;

	mutex_lock(&tdev->spaces_lock);
	ret = tandem_device_is_gone(tdev) ? -ENODEV : tandem_as_take_pasid(as);
	if (!ret)
		list_add_tail(&as->node, &tdev->spaces);
	mutex_unlock(&tdev->spaces_lock);
	return ret;
}

static void tandem_as_delist(struct tandem_as *as)
{
	struct tandem_device *tdev = as->tdev;

	mutex_lock(&tdev->spaces_lock);
	xa_erase(&tdev->by_pasid, as->pasid);
	list_del_init(&as->node);
	mutex_unlock(&tdev->spaces_lock);
	/*
	 * Records and events of this PASID that are still in the rings find nobody. After that its
	 * names are free.
	 */
	tandem_fault_drain(tdev);
	tandem_event_drain(tdev);
	tandem_queues_free(as);
	mutex_lock(&tdev->spaces_lock);
	__clear_bit(as->pasid, tdev->pasid_map);
	mutex_unlock(&tdev->spaces_lock);
}

/* setup_lock held. Undoes whatever INIT has done; as is unbound or was never bound. */
static void tandem_as_undo(struct tandem_as *as)
{
	lockdep_assert_held(&as->setup_lock);
	if (!as->pasid)
		return;
	tandem_doorbell_zap(as);
	tandem_sva_drain(as);
	tandem_mirror_close(as);
	if (as->notifier_registered)
		mmu_notifier_unregister(&as->notifier, as->mm);
	as->notifier_registered = false;
	tandem_as_delist(as);
	tandem_sva_unbind(as);
	tandem_pt_fini(&as->pt);
	tandem_doorbell_fini(as);
	as->pasid = 0;
}

/* Whose page table is walked. */
static int tandem_as_init_translation(struct tandem_as *as)
{
	return as->translation == TANDEM_TRANSLATION_SVA ? tandem_sva_bind(as) :
							   tandem_pt_init(&as->pt, as->tdev);
}

/*
 * What INIT may fail at. Everything that it makes, tandem_as_undo() can take away in any state of
 * completeness.
 */
static int tandem_as_build(struct tandem_as *as)
{
	int ret;

	as->faults = kvzalloc_obj(*as->faults, GFP_KERNEL_ACCOUNT);
	if (!as->faults)
		return -ENOMEM;
	spin_lock_init(&as->faults->lock);
	as->mm = current->mm;
	if (!tandem_mutated(MUTANT_MM_NOT_HELD))
		mmgrab(as->mm);
	as->tgid = task_tgid_nr(current);
	get_task_comm(as->comm, current);
	ret = tandem_check_begin(as);
	if (ret)
		return ret;
	ret = tandem_as_enlist(as);
	if (ret)
		return ret;
	ret = tandem_as_init_translation(as);
	if (ret)
		return ret;
	ret = tandem_doorbell_init(as);
	if (ret)
		return ret;
	as->notifier.ops = as->check ? &tandem_as_checked_notifier_ops : &tandem_as_notifier_ops;
	ret = mmu_notifier_register(&as->notifier, as->mm);
	if (ret)
		return ret;
	as->notifier_registered = true;
	return tandem_as_activate(as);
}

/* A file whose INIT failed cannot be used for another: it answers as one that is over. */
int tandem_as_init(struct tandem_as *as, struct tandem_ioc_init *args)
{
	int ret;

	/* A reset that is being recovered from is none of the caller's business. */
	flush_work(&as->tdev->recovery);
	mutex_lock(&as->setup_lock);
	if (as->mm) {
		ret = current->mm == as->mm ? -EBUSY : -EPERM;
		goto out;
	}
	as->epoch = tandem_epoch(as->tdev);
	as->translation = args->translation;
	as->policy.migrate = args->flags & TANDEM_INIT_MIGRATE;
	ret = tandem_as_build(as);
	if (ret) {
		tandem_as_stop(as);
		tandem_as_undo(as);
	} else {
		args->pasid = as->pasid;
		args->bus_pasid = as->bus_pasid;
	}
out:
	mutex_unlock(&as->setup_lock);
	return ret;
}

/* close() and the removal of the device, whichever comes first; idempotent. */
void tandem_as_teardown(struct tandem_as *as)
{
	tandem_mutant_frees_pasid(as);
	tandem_as_stop(as);
	tandem_gate_pass(&as->tdev->gates, TANDEM_GATE_TEARDOWN);
	mutex_lock(&as->setup_lock);
	tandem_as_undo(as);
	mutex_unlock(&as->setup_lock);
}
