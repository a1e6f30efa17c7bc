/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_QEMU_QUEUE_H
#define SHIM_QEMU_QUEUE_H

#define QLIST_ENTRY(type) struct { struct type *next; struct type **previous; }

#endif
