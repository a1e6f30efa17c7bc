// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Waiting for a signal: the value stands in the process's memory, the device posts an event after
 * it changed it. The loop reads user memory, which may sleep, hence wait_woken(): a wake-up between
 * the look and the sleep is not lost.
 */
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "tandem_as.h"
#include "tandem_queue.h"

static bool tandem_wait_holds(const struct tandem_ioc_wait *args)
{
	switch (args->condition) {
	case TANDEM_WAIT_EQ:
		return args->observed == args->value;
	case TANDEM_WAIT_NE:
		return args->observed != args->value;
	case TANDEM_WAIT_LT:
		return args->observed < args->value;
	default:
		return args->observed >= args->value;
	}
}

static int tandem_wait_check(const struct tandem_ioc_wait *args)
{
	const struct tandem_signal __user *signal = u64_to_user_ptr(args->signal);
	u32 event;

	if (args->reserved || args->condition < TANDEM_WAIT_EQ || args->condition > TANDEM_WAIT_GTE)
		return -EINVAL;
	if (!IS_ALIGNED(args->signal, 64))
		return -EINVAL;
	if (get_user(event, &signal->event_id))
		return -EFAULT;
	return event ? 0 : -EINVAL;
}

/* 1: the condition holds; 0: not yet; else an error that ends the wait. */
static int tandem_wait_look(struct tandem_as *as, struct tandem_ioc_wait *args)
{
	const struct tandem_signal __user *signal = u64_to_user_ptr(args->signal);
	int failure = tandem_queue_failure(as, args->queue);
	int error = tandem_as_error(as);
	s64 value;

	/* Failure first, then the value: a signal that was set before the queue failed counts. */
	if (get_user(value, &signal->value))
		return -EFAULT;
	args->observed = value;
	if (tandem_wait_holds(args))
		return 1;
	return error ? error : failure;
}

static long tandem_wait_jiffies(s64 left_ns)
{
	if (left_ns < 0)
		return MAX_SCHEDULE_TIMEOUT;
	return min_t(u64, nsecs_to_jiffies64(left_ns) + 1, MAX_SCHEDULE_TIMEOUT - 1);
}

int tandem_wait_signal(struct tandem_as *as, struct tandem_ioc_wait *args)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	bool forever = args->timeout_ns < 0;
	u64 begin = ktime_get_ns();
	s64 given = args->timeout_ns;
	int ret = tandem_wait_check(args);

	if (ret)
		return ret;
	add_wait_queue(&as->wait, &wait);
	for (;;) {
		ret = tandem_wait_look(as, args);
		if (!forever)
			args->timeout_ns = max_t(s64, given - (s64)(ktime_get_ns() - begin), 0);
		if (ret)
			break;
		ret = signal_pending(current) ? -ERESTARTSYS : !args->timeout_ns ? -ETIMEDOUT : 0;
		if (ret)
			break;
		wait_woken(&wait, TASK_INTERRUPTIBLE, tandem_wait_jiffies(args->timeout_ns));
	}
	remove_wait_queue(&as->wait, &wait);
	return ret == 1 ? 0 : ret;
}
