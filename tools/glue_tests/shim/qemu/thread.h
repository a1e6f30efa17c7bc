/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mutexes complain about a thread that locks twice or unlocks what it has not locked. */
#ifndef SHIM_QEMU_THREAD_H
#define SHIM_QEMU_THREAD_H

#include <pthread.h>
#include <stdbool.h>

typedef struct QemuMutex { pthread_mutex_t posix; } QemuMutex;
typedef struct QemuCond { pthread_cond_t posix; } QemuCond;
typedef struct QemuThread { pthread_t posix; } QemuThread;

#define QEMU_THREAD_JOINABLE 0

void qemu_mutex_init(QemuMutex *mutex);
void qemu_mutex_destroy(QemuMutex *mutex);
void qemu_mutex_lock(QemuMutex *mutex);
void qemu_mutex_unlock(QemuMutex *mutex);

void qemu_cond_init(QemuCond *cond);
void qemu_cond_destroy(QemuCond *cond);
void qemu_cond_signal(QemuCond *cond);
void qemu_cond_wait(QemuCond *cond, QemuMutex *mutex);
bool qemu_cond_timedwait(QemuCond *cond, QemuMutex *mutex, int milliseconds);

void qemu_thread_create(QemuThread *thread, const char *name, void *(*run)(void *), void *argument, int mode);
void *qemu_thread_join(QemuThread *thread);

#endif
