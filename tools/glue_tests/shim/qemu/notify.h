/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_QEMU_NOTIFY_H
#define SHIM_QEMU_NOTIFY_H

typedef struct Notifier { int unused; } Notifier;

#endif
