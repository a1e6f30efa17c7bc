/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One clock, and timers that the main loop's thread runs with the BQL held. */
#ifndef SHIM_QEMU_TIMER_H
#define SHIM_QEMU_TIMER_H

#include <stdint.h>

typedef struct QEMUTimer QEMUTimer;
typedef struct QEMUBH QEMUBH;
typedef enum { QEMU_CLOCK_VIRTUAL } QEMUClockType;

int64_t qemu_clock_get_ns(QEMUClockType clock);
QEMUTimer *timer_new_ns(QEMUClockType clock, void (*callback)(void *), void *opaque);
void timer_mod_anticipate(QEMUTimer *timer, int64_t expires_ns);
void timer_del(QEMUTimer *timer);
void timer_free(QEMUTimer *timer);

#endif
