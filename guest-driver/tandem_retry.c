// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Retry mode: does a GPU access that finds no translation wait for one wherever the process has
 * memory (ON), or only where the process has granted it beforehand (OFF)? What is granted is mapped
 * at once, and again whenever Linux has taken it away for a moment; all else is the queue's end.
 *
 * OFF holds for what is mapped, too: whoever maps asks tandem_retry_grants() first, and commits
 * only if nothing was revoked since (docs/locking.md, "A grant is taken back").
 */
#include <linux/mm.h>

#include "tandem_as.h"

bool tandem_retry_grants(struct tandem_as *as, u64 va)
{
	return READ_ONCE(as->retry) != TANDEM_RETRY_OFF ||
	       tandem_policy_wish(&as->policy, va).flags & TANDEM_RANGE_ACCESSED_BY;
}

/* Why an access that is not granted fails: is there anything at all? */
int tandem_retry_refusal(struct tandem_as *as, u64 va)
{
	bool mapped;

	mmap_read_lock(as->mm);
	mapped = vma_lookup(as->mm, va);
	mmap_read_unlock(as->mm);
	return mapped ? -EACCES : -ENOENT;
}

/*
 * The process does not grant the range any more: who commits after this finds that something was
 * revoked, and what was committed before is dropped.
 */
void tandem_retry_revoke(struct tandem_as *as, u64 start, u64 end)
{
	if (READ_ONCE(as->retry) != TANDEM_RETRY_OFF)
		return;
	mutex_lock(&as->chunks_lock);
	WRITE_ONCE(as->revocations, as->revocations + 1);
	mutex_unlock(&as->chunks_lock);
	tandem_mirror_drop(as, start, end);
}

static int tandem_retry_change(struct tandem_as *as, enum tandem_retry_mode mode)
{
	int ret;

	if (!tandem_as_moves_pages(as))
		return -EOPNOTSUPP;
	mutex_lock(&as->lock);
	ret = tandem_as_error(as);
	if (!ret && as->queue_count)
		ret = -EBUSY;
	if (!ret)
		WRITE_ONCE(as->retry, mode);
	mutex_unlock(&as->lock);
	if (!ret)
		tandem_retry_revoke(as, 0, TANDEM_VA_LIMIT);
	return ret;
}

int tandem_retry_ioctl(struct tandem_as *as, struct tandem_ioc_retry *args)
{
	int ret = 0;

	if (args->reserved || args->mode > TANDEM_RETRY_OFF)
		return -EINVAL;
	if (args->mode)
		ret = tandem_retry_change(as, args->mode);
	args->mode = READ_ONCE(as->retry);
	return ret;
}
