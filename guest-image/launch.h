/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a FRAME_START to a running process.
 */
#ifndef TANDEM_GUEST_LAUNCH_H
#define TANDEM_GUEST_LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "port.h"

/* init's ends of a program's standard streams; -1 is closed. On a terminal, input and output are one descriptor. */
struct program_files {
    int input;
    int output;
    int error;
    bool is_terminal;
};

/* Start what the request asks for. Returns 0, or the errno of what failed, execve() in the child included. */
int launch(const struct frame *request, struct program_files *files, pid_t *pid);

#endif
