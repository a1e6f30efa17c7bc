// SPDX-License-Identifier: GPL-2.0-or-later
/* The parts of QEMU that the headers of this folder promise: locks, the main loop with its bottom halves and timers, RCU. */
#include "shim.h"

#include <errno.h>
#include <time.h>

#include "hw/boards.h"
#include "qemu/rcu.h"
#include "system/runstate.h"

#define NAP_NS 50000

MachineState *current_machine;

static void must(int error)
{
	if (error) {
		fprintf(stderr, "shim: %s\n", strerror(error));
		abort();
	}
}

/* Locks ------------------------------------------------------------------------------------------------------------------- */

void qemu_mutex_init(QemuMutex *mutex)
{
	pthread_mutexattr_t attributes;

	must(pthread_mutexattr_init(&attributes));
	must(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK));
	must(pthread_mutex_init(&mutex->posix, &attributes));
	must(pthread_mutexattr_destroy(&attributes));
}

void qemu_mutex_destroy(QemuMutex *mutex)
{
	must(pthread_mutex_destroy(&mutex->posix));
}

void qemu_mutex_lock(QemuMutex *mutex)
{
	must(pthread_mutex_lock(&mutex->posix));
}

void qemu_mutex_unlock(QemuMutex *mutex)
{
	must(pthread_mutex_unlock(&mutex->posix));
}

void qemu_cond_init(QemuCond *cond)
{
	must(pthread_cond_init(&cond->posix, NULL));
}

void qemu_cond_destroy(QemuCond *cond)
{
	must(pthread_cond_destroy(&cond->posix));
}

void qemu_cond_signal(QemuCond *cond)
{
	must(pthread_cond_signal(&cond->posix));
}

void qemu_cond_wait(QemuCond *cond, QemuMutex *mutex)
{
	must(pthread_cond_wait(&cond->posix, &mutex->posix));
}

bool qemu_cond_timedwait(QemuCond *cond, QemuMutex *mutex, int milliseconds)
{
	struct timespec until;
	int error;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += milliseconds * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	error = pthread_cond_timedwait(&cond->posix, &mutex->posix, &until);
	must(error == ETIMEDOUT ? 0 : error);
	return error == 0;
}

void qemu_thread_create(QemuThread *thread, const char *name, void *(*run)(void *), void *argument, int mode)
{
	(void)name, (void)mode;
	must(pthread_create(&thread->posix, NULL, run, argument));
}

void *qemu_thread_join(QemuThread *thread)
{
	void *result;

	must(pthread_join(thread->posix, &result));
	return result;
}

/* The Big QEMU Lock ------------------------------------------------------------------------------------------------------- */

static QemuMutex bql;
static __thread bool bql_is_mine;

void bql_lock(void)
{
	qemu_mutex_lock(&bql);
	bql_is_mine = true;
}

void bql_unlock(void)
{
	bql_is_mine = false;
	qemu_mutex_unlock(&bql);
}

bool bql_locked(void)
{
	return bql_is_mine;
}

/* RCU --------------------------------------------------------------------------------------------------------------------- */

static __thread bool rcu_is_registered;

void rcu_register_thread(void)
{
	rcu_is_registered = true;
}

void rcu_unregister_thread(void)
{
	rcu_is_registered = false;
}

void shim_rcu_check(void)
{
	assert(rcu_is_registered);
}

/* Bottom halves and timers: lists under the BQL --------------------------------------------------------------------------- */

struct QEMUBH {
	void (*callback)(void *);
	void *opaque;
	bool scheduled; /* atomic */
	QEMUBH *next;
};

struct QEMUTimer {
	void (*callback)(void *);
	void *opaque;
	int64_t expires; /* timers_lock; INT64_MAX: not armed */
	QEMUTimer *next;
};

static QEMUBH *all_bhs;
static QEMUTimer *all_timers;
static QemuMutex timers_lock; /* a leaf, as in QEMU */

QEMUBH *qemu_bh_new_guarded(void (*callback)(void *), void *opaque, MemReentrancyGuard *guard)
{
	QEMUBH *bh = g_new0(QEMUBH, 1);

	assert(bql_locked() && guard);
	*bh = (QEMUBH){.callback = callback, .opaque = opaque, .next = all_bhs};
	all_bhs = bh;
	return bh;
}

void qemu_bh_schedule(QEMUBH *bh)
{
	__atomic_store_n(&bh->scheduled, true, __ATOMIC_SEQ_CST);
}

void qemu_bh_delete(QEMUBH *bh)
{
	assert(bql_locked());
	for (QEMUBH **place = &all_bhs; *place; place = &(*place)->next) {
		if (*place == bh) {
			*place = bh->next;
			break;
		}
	}
	g_free(bh);
}

int64_t qemu_clock_get_ns(QEMUClockType clock)
{
	struct timespec now;

	(void)clock;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

QEMUTimer *timer_new_ns(QEMUClockType clock, void (*callback)(void *), void *opaque)
{
	QEMUTimer *timer = g_new0(QEMUTimer, 1);

	(void)clock;
	assert(bql_locked());
	*timer = (QEMUTimer){.callback = callback, .opaque = opaque, .expires = INT64_MAX, .next = all_timers};
	all_timers = timer;
	return timer;
}

void timer_mod_anticipate(QEMUTimer *timer, int64_t expires_ns)
{
	qemu_mutex_lock(&timers_lock);
	timer->expires = MIN(timer->expires, expires_ns);
	qemu_mutex_unlock(&timers_lock);
}

void timer_del(QEMUTimer *timer)
{
	qemu_mutex_lock(&timers_lock);
	timer->expires = INT64_MAX;
	qemu_mutex_unlock(&timers_lock);
}

void timer_free(QEMUTimer *timer)
{
	assert(bql_locked());
	for (QEMUTimer **place = &all_timers; *place; place = &(*place)->next) {
		if (*place == timer) {
			*place = timer->next;
			break;
		}
	}
	g_free(timer);
}

static bool timer_is_due(QEMUTimer *timer)
{
	bool due;

	qemu_mutex_lock(&timers_lock);
	due = timer->expires <= qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
	if (due)
		timer->expires = INT64_MAX;
	qemu_mutex_unlock(&timers_lock);
	return due;
}

/* The main loop ----------------------------------------------------------------------------------------------------------- */

static QemuThread main_loop;
static bool main_loop_stops;      /* atomic */
static uint64_t main_loop_rounds; /* atomic */

/* BQL. No callback here adds to or takes from a list. */
static void main_loop_round(void)
{
	for (QEMUBH *bh = all_bhs; bh; bh = bh->next)
		if (__atomic_exchange_n(&bh->scheduled, false, __ATOMIC_SEQ_CST))
			bh->callback(bh->opaque);
	for (QEMUTimer *timer = all_timers; timer; timer = timer->next)
		if (timer_is_due(timer))
			timer->callback(timer->opaque);
}

static void *run_main_loop(void *unused)
{
	const struct timespec nap = {.tv_nsec = NAP_NS};

	rcu_register_thread();
	while (!qatomic_read(&main_loop_stops)) {
		bql_lock();
		main_loop_round();
		bql_unlock();
		qatomic_inc(&main_loop_rounds);
		nanosleep(&nap, NULL);
	}
	rcu_unregister_thread();
	return unused;
}

void shim_start(void)
{
	qemu_mutex_init(&bql);
	qemu_mutex_init(&timers_lock);
	qatomic_set(&main_loop_stops, false);
	qemu_thread_create(&main_loop, "main loop", run_main_loop, NULL, QEMU_THREAD_JOINABLE);
}

void shim_stop(void)
{
	qatomic_set(&main_loop_stops, true);
	qemu_thread_join(&main_loop);
	assert(!all_bhs && !all_timers);
	qemu_mutex_destroy(&timers_lock);
	qemu_mutex_destroy(&bql);
}

void shim_wait_for_main_loop(void)
{
	uint64_t until = qatomic_read(&main_loop_rounds) + 2;
	const struct timespec nap = {.tv_nsec = NAP_NS};

	while (qatomic_read(&main_loop_rounds) < until)
		nanosleep(&nap, NULL);
}

/* The machine's state ------------------------------------------------------------------------------------------------------ */

struct VMChangeStateEntry {
	VMChangeStateHandler *handler;
	void *opaque;
	VMChangeStateEntry *next;
};

static VMChangeStateEntry *vm_states;

bool runstate_is_running(void)
{
	return true;
}

VMChangeStateEntry *qdev_add_vm_change_state_handler(DeviceState *device, VMChangeStateHandler *handler, void *prepare, void *opaque)
{
	VMChangeStateEntry *entry = g_new0(VMChangeStateEntry, 1);

	assert(bql_locked() && device && !prepare);
	*entry = (VMChangeStateEntry){handler, opaque, vm_states};
	vm_states = entry;
	return entry;
}

void qemu_del_vm_change_state_handler(VMChangeStateEntry *entry)
{
	VMChangeStateEntry **place = &vm_states;

	assert(bql_locked());
	while (*place != entry)
		place = &(*place)->next;
	*place = entry->next;
	g_free(entry);
}

void shim_set_running(bool running)
{
	assert(bql_locked());
	for (VMChangeStateEntry *entry = vm_states; entry; entry = entry->next)
		entry->handler(entry->opaque, running, running ? RUN_STATE_RUNNING : RUN_STATE_PAUSED);
}
