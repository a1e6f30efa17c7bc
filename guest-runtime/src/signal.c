/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signals: how work reports that it is done, and how a thread waits for it: first by looking, then asleep in the driver. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define SIGNAL_ALIGNMENT 64
#define SPINS 256

void tandem_signal_init(struct tandem_signal *signal, int64_t value)
{
	static uint32_t last_event;
	uint32_t event = __atomic_add_fetch(&last_event, 1, __ATOMIC_RELAXED);

	/* 0 means that nobody sleeps on it, and nobody would be woken. */
	if (event == 0)
		event = __atomic_add_fetch(&last_event, 1, __ATOMIC_RELAXED);
	*signal = (struct tandem_signal){.kind = TANDEM_SIGNAL_USER, .event_id = event};
	__atomic_store_n(&signal->value, value, __ATOMIC_RELEASE);
}

int tandem_signal_create(int64_t value, struct tandem_signal **signal)
{
	struct tandem_signal *made = aligned_alloc(SIGNAL_ALIGNMENT, sizeof(*made));

	if (!made)
		return tandem_fail_errno(ENOMEM, "creating a signal");
	tandem_signal_init(made, value);
	*signal = made;
	return 0;
}

void tandem_signal_destroy(struct tandem_signal *signal)
{
	free(signal);
}

int64_t tandem_signal_value(const struct tandem_signal *signal)
{
	return __atomic_load_n(&signal->value, __ATOMIC_ACQUIRE);
}

static bool holds(int64_t seen, enum tandem_wait_condition condition, int64_t value)
{
	switch (condition) {
	case TANDEM_WAIT_EQ:
		return seen == value;
	case TANDEM_WAIT_NE:
		return seen != value;
	case TANDEM_WAIT_LT:
		return seen < value;
	case TANDEM_WAIT_GTE:
		return seen >= value;
	}
	return false;
}

static bool spin(const struct tandem_signal *signal, enum tandem_wait_condition condition, int64_t value, int64_t *observed)
{
	for (int i = 0; i < SPINS; i++) {
		*observed = tandem_signal_value(signal);
		if (holds(*observed, condition, value))
			return true;
		__builtin_ia32_pause();
	}
	return false;
}

static int check_wait(const struct tandem_signal *signal, enum tandem_wait_condition condition)
{
	if (!signal || (uintptr_t)signal % SIGNAL_ALIGNMENT)
		return tandem_fail(TANDEM_ERROR_INVALID, "no signal can be at %p: it is not aligned to %d bytes",
				   (const void *)signal, SIGNAL_ALIGNMENT);
	if (!signal->event_id)
		return tandem_fail(TANDEM_ERROR_INVALID, "the signal at %p has event_id 0: nobody would wake a sleeper; make it with "
				   "tandem_signal_init()", (const void *)signal);
	if (condition < TANDEM_WAIT_EQ || condition > TANDEM_WAIT_GTE)
		return tandem_fail(TANDEM_ERROR_INVALID, "%d is no condition to wait for", (int)condition);
	return 0;
}

static int sleep_until(struct tandem_queue *queue, struct tandem_ioc_wait *wait)
{
	struct tandem_device *device = tandem_queue_device(queue);
	int error;

	do {
		error = tandem_ioctl(device, TANDEM_IOC_WAIT, wait);
	} while (error == EINTR); /* timeout_ns holds what is left */
	if (!error)
		return 0;
	if (error == EIO)
		return tandem_queue_failure(queue);
	if (error == ETIMEDOUT)
		return tandem_fail(TANDEM_ERROR_TIMEOUT, "the signal at 0x%llx still has the value %lld after the time given",
				   (unsigned long long)wait->signal, (long long)wait->observed);
	return tandem_fail_errno(error, "waiting for the signal at 0x%llx", (unsigned long long)wait->signal);
}

int tandem_wait_until(struct tandem_queue *queue, const struct tandem_signal *signal, enum tandem_wait_condition condition,
		      int64_t value, int64_t timeout_ns, int64_t *observed)
{
	int64_t seen = 0;
	int status = check_wait(signal, condition);

	if (status)
		return status;
	if (!spin(signal, condition, value, &seen)) {
		struct tandem_ioc_wait wait = {
			.signal = (uintptr_t)signal,
			.value = value,
			.condition = condition,
			.queue = tandem_queue_number(queue),
			.timeout_ns = timeout_ns,
		};

		status = sleep_until(queue, &wait);
		seen = wait.observed;
	}
	/* Acquire: what the work wrote is seen after this. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (observed)
		*observed = seen;
	return status;
}

int tandem_wait(struct tandem_queue *queue, const struct tandem_signal *signal, int64_t timeout_ns)
{
	return tandem_wait_until(queue, signal, TANDEM_WAIT_LT, 1, timeout_ns, NULL);
}
