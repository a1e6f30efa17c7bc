/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sealed guest: nothing reaches it from outside at a moment that is not its own, so that it can do the same thing each time.
 *
 * What to do was written by the host before: frames (protocol.h), in the memory of an ivshmem device. Its files are all in the
 * initramfs, which becomes read-only. What programs print leaves through the control port as ever; nothing comes in there.
 */
#ifndef TANDEM_GUEST_SCRIPT_H
#define TANDEM_GUEST_SCRIPT_H

#include <stdbool.h>

#include "port.h"

/* Whether the host has sealed this guest: it says so in init's environment. */
bool script_wanted(void);

/*
 * Find the script, and give the host the chance to take a snapshot: the machine may stop here, and goes on with a script that
 * was written later. Returns 0 or a negative errno.
 */
int script_open(void);

/* The next frame: 1, or 0 at the end. The caller takes it only when it is done with the one before. */
int script_next(struct frame *frame);

#endif
