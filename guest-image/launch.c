// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Starts a program: decodes the request, makes pipes or a terminal, forks, and learns through a close-on-exec pipe whether
 * execve() worked.
 */
#define _GNU_SOURCE
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

struct command {
    const char *path;
    const char *directory;
    char **arguments;
    char **variables;
    struct start_request request;
};

/* The program's side of the streams. */
struct child_files {
    int input;
    int output;
    int error;
};

static const char *next_string(const char **cursor, const char *end)
{
    const char *string = *cursor;
    const char *terminator = memchr(string, '\0', (size_t)(end - string));

    if (!terminator)
        return NULL;
    *cursor = terminator + 1;
    return string;
}

static char **next_strings(const char **cursor, const char *end, uint32_t count)
{
    if (count > (size_t)(end - *cursor))
        return NULL;
    char **strings = calloc((size_t)count + 1, sizeof(*strings));

    for (uint32_t i = 0; strings && i < count; i++) {
        strings[i] = (char *)next_string(cursor, end);
        if (!strings[i]) {
            free(strings);
            return NULL;
        }
    }
    return strings;
}

static void release_command(struct command *command)
{
    free(command->arguments);
    free(command->variables);
}

static int decode_command(const struct frame *frame, struct command *command)
{
    const char *cursor = frame->payload + sizeof(command->request);
    const char *end = frame->payload + frame->length;

    if (frame->length < sizeof(command->request))
        return EPROTO;
    memcpy(&command->request, frame->payload, sizeof(command->request));
    command->path = next_string(&cursor, end);
    command->directory = command->path ? next_string(&cursor, end) : NULL;
    if (!command->directory)
        return EPROTO;
    command->arguments = next_strings(&cursor, end, command->request.arguments);
    if (command->arguments)
        command->variables = next_strings(&cursor, end, command->request.variables);
    if (command->variables)
        return 0;
    release_command(command);
    return EPROTO;
}

static int open_terminal(const struct window_size *window, struct program_files *files, struct child_files *child)
{
    struct winsize size = {.ws_row = window->rows, .ws_col = window->columns};
    int master, slave;

    if (openpty(&master, &slave, NULL, NULL, &size))
        return errno;
    fcntl(master, F_SETFD, FD_CLOEXEC);
    *files = (struct program_files){.input = master, .output = master, .error = -1, .is_terminal = true};
    *child = (struct child_files){slave, slave, slave};
    return 0;
}

static void close_pair(const int pair[2])
{
    close(pair[0]);
    close(pair[1]);
}

static int open_pipes(struct program_files *files, struct child_files *child)
{
    int input[2], output[2], error[2];

    if (pipe2(input, O_CLOEXEC))
        return errno;
    if (pipe2(output, O_CLOEXEC)) {
        close_pair(input);
        return ENFILE;
    }
    if (pipe2(error, O_CLOEXEC)) {
        close_pair(input);
        close_pair(output);
        return ENFILE;
    }
    *files = (struct program_files){.input = input[1], .output = output[0], .error = error[0], .is_terminal = false};
    *child = (struct child_files){input[0], output[1], error[1]};
    return 0;
}

static void close_child_side(const struct child_files *child)
{
    close(child->input);
    if (child->output != child->input)
        close(child->output);
    if (child->error != child->output)
        close(child->error);
}

static void close_own_side(struct program_files *files)
{
    if (files->input != files->output)
        close(files->input);
    close(files->output);
    if (files->error >= 0)
        close(files->error);
    *files = (struct program_files){-1, -1, -1, false};
}

static void reset_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
}

/* In the child. Reports the errno of the first step that failed through `report` and does not return. */
static void become(const struct command *command, const struct child_files *child, int report)
{
    int error;

    setsid();
    if (command->request.flags & START_ON_TERMINAL)
        ioctl(child->input, TIOCSCTTY, 0);
    dup2(child->input, 0);
    dup2(child->output, 1);
    dup2(child->error, 2);
    if (child->input > 2)
        close(child->input);
    reset_signals();
    if (chdir(command->directory) == 0)
        execve(command->path, command->arguments, command->variables);
    error = errno;
    if (write(report, &error, sizeof(error)) < 0)
        _exit(126);
    _exit(127);
}

static int wait_for_exec(int report)
{
    int error = 0;

    if (read(report, &error, sizeof(error)) != sizeof(error))
        error = 0; /* closed by execve() */
    close(report);
    return error;
}

static int fork_command(const struct command *command, const struct child_files *child, pid_t *pid)
{
    int report[2];

    if (pipe2(report, O_CLOEXEC))
        return errno;
    *pid = fork();
    if (*pid < 0) {
        int error = errno;

        close_pair(report);
        return error;
    }
    if (*pid == 0)
        become(command, child, report[1]);
    close(report[1]);
    return wait_for_exec(report[0]);
}

static void make_nonblocking(const struct program_files *files)
{
    /* Reads follow poll() and may block no one; a full input pipe must not block init. */
    fcntl(files->input, F_SETFL, O_NONBLOCK);
    fcntl(files->output, F_SETFL, O_NONBLOCK);
    if (files->error >= 0)
        fcntl(files->error, F_SETFL, O_NONBLOCK);
}

int launch(const struct frame *request, struct program_files *files, pid_t *pid)
{
    struct command command = {0};
    struct child_files child = {-1, -1, -1};
    int error = decode_command(request, &command);

    if (error)
        return error;
    if (command.request.flags & START_ON_TERMINAL)
        error = open_terminal(&command.request.window, files, &child);
    else
        error = open_pipes(files, &child);
    if (!error) {
        error = fork_command(&command, &child, pid);
        close_child_side(&child);
        if (error)
            close_own_side(files);
        else
            make_nonblocking(files);
    }
    release_command(&command);
    return error;
}
