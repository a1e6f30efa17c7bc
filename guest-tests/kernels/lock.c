/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every lane takes one spin lock again and again, while the lanes of its own wavefront and CPU threads do the same. Ends only if
 * a lane that holds the lock makes progress while its neighbours spin.
 */
#include "tandem/device.h"

#include "lock.h"

TANDEM_KERNEL void take_lock(const struct lock_arguments *a)
{
	__atomic_fetch_add(a->started, 1, __ATOMIC_RELAXED);
	for (uint64_t i = 0; i < a->rounds; i++) {
		while (!lock_try(a->lock))
			;
		if (!lock_work(a->guarded))
			++*a->torn;
		lock_release(a->lock);
	}
}
