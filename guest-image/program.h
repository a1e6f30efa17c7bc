/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one program that init runs at a time, from the host's request to its ending.
 *
 *   Idle -> Running -> Ending -> Idle
 *
 * Running ends with the program's own process. Ending kills whatever it left behind, passes on the output that is still in the
 * pipes, and reports. So every program starts in a guest that holds no process of the one before.
 */
#ifndef TANDEM_GUEST_PROGRAM_H
#define TANDEM_GUEST_PROGRAM_H

#include <poll.h>
#include <stdbool.h>

#include "port.h"

/* Descriptors that program_poll_entries() can fill in. */
#define PROGRAM_POLL_ENTRIES 3

void program_start(const struct frame *request);
void program_input(const struct frame *input);
void program_set_window(const struct frame *window);
void program_kill(const struct frame *request);

/* Nothing is under way that the next order must wait for: no program runs, or one that has taken the input it was given. */
bool program_is_settled(void);

/* What to wait for; returns how many entries were filled in. */
int program_poll_entries(struct pollfd *entries);

/* Move bytes for each entry that poll() marked. */
void program_serve(const struct pollfd *entries, int count);

/* Collect children that have died. */
void program_reap(void);

/* Once the program is gone and its output has been passed on, report the ending. */
void program_finish_if_done(void);

#endif
