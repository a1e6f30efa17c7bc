// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs one program at a time for the host: its input and output travel through pipes or a terminal, its ending comes back as
 * an exit status or a signal. See program.h for the life of a program.
 */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "launch.h"

#define COPY_BYTES (64 * 1024)
#define GRACE_MS 20000 /* for killed processes to die: long enough for the driver to reset a GPU that does not answer */

enum program_state { PROGRAM_IDLE, PROGRAM_RUNNING, PROGRAM_ENDING };

static struct {
    enum program_state state;
    struct program_files files;
    pid_t pid;
    struct ending ending;
    int64_t deadline_ms; /* while PROGRAM_ENDING */
    char input[INPUT_WINDOW];
    size_t input_length;
    bool input_ended;
} program = {.state = PROGRAM_IDLE, .files = {-1, -1, -1, false}};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void close_descriptor(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_input(void)
{
    if (program.files.is_terminal)
        program.files.input = -1; /* the same descriptor as the output */
    close_descriptor(&program.files.input);
    program.input_length = 0;
}

static void report_not_started(int error)
{
    struct ending ending = {.kind = ENDING_NOT_STARTED, .value = (uint32_t)error};

    port_send(FRAME_ENDED, &ending, sizeof(ending));
}

void program_start(const struct frame *request)
{
    int error;

    if (program.state != PROGRAM_IDLE) {
        report_not_started(EBUSY);
        return;
    }
    error = launch(request, &program.files, &program.pid);
    if (error) {
        report_not_started(error);
        return;
    }
    program.input_length = 0;
    program.input_ended = false;
    program.state = PROGRAM_RUNNING;
}

/* --- standard input ------------------------------------------------------------------------------------------------- */

static void end_input(void)
{
    const char end_of_file = 4; /* what a terminal's line discipline calls VEOF */

    if (program.files.is_terminal && write(program.files.input, &end_of_file, 1) < 0)
        return;
    close_input();
}

void program_input(const struct frame *input)
{
    if (program.state != PROGRAM_RUNNING || program.files.input < 0)
        return;
    if (input->length == 0) {
        program.input_ended = true;
        if (program.input_length == 0)
            end_input();
        return;
    }
    if (input->length > sizeof(program.input) - program.input_length)
        return; /* the host overspent its credit: a bug there, and never a reason to die here */
    memcpy(program.input + program.input_length, input->payload, input->length);
    program.input_length += input->length;
}

bool program_is_settled(void)
{
    if (program.state == PROGRAM_RUNNING)
        return program.input_length == 0 && !program.input_ended;
    return program.state == PROGRAM_IDLE;
}

static void pass_input(void)
{
    ssize_t written = write(program.files.input, program.input, program.input_length);
    uint32_t taken = 0;

    if (written > 0) {
        taken = (uint32_t)written;
        program.input_length -= taken;
        memmove(program.input, program.input + taken, program.input_length);
    } else if (written < 0 && errno != EAGAIN && errno != EINTR) {
        close_input(); /* the program has closed its end and will never read the rest */
        return;
    }
    if (taken)
        port_send(FRAME_INPUT_TAKEN, &taken, sizeof(taken));
    if (program.input_ended && program.input_length == 0)
        end_input();
}

/* --- output --------------------------------------------------------------------------------------------------------- */

static void close_output(int *fd)
{
    if (program.files.is_terminal)
        close_input();
    close_descriptor(fd);
}

static void pass_output(int *fd, uint32_t type)
{
    static char bytes[COPY_BYTES];
    ssize_t count = read(*fd, bytes, sizeof(bytes));

    if (count > 0)
        port_send(type, bytes, (size_t)count);
    else if (count == 0 || (errno != EAGAIN && errno != EINTR))
        close_output(fd); /* a terminal whose last user is gone reads as EIO */
}

static int add_entry(struct pollfd *entry, int fd, short events)
{
    if (fd < 0)
        return 0;
    *entry = (struct pollfd){.fd = fd, .events = events};
    return 1;
}

int program_poll_entries(struct pollfd *entries)
{
    int count = 0;

    if (program.state == PROGRAM_IDLE)
        return 0;
    if (program.files.input >= 0 && program.input_length > 0)
        count += add_entry(&entries[count], program.files.input, POLLOUT);
    count += add_entry(&entries[count], program.files.output, POLLIN);
    count += add_entry(&entries[count], program.files.error, POLLIN);
    return count;
}

static void serve_entry(const struct pollfd *entry)
{
    if (entry->events & POLLOUT) {
        if (entry->fd == program.files.input)
            pass_input();
    } else if (entry->fd == program.files.output) {
        pass_output(&program.files.output, FRAME_OUTPUT);
    } else if (entry->fd == program.files.error) {
        pass_output(&program.files.error, FRAME_ERROR);
    }
}

void program_serve(const struct pollfd *entries, int count)
{
    for (int i = 0; i < count; i++)
        if (entries[i].revents)
            serve_entry(&entries[i]);
}

void program_set_window(const struct frame *window)
{
    struct window_size size;

    if (window->length != sizeof(size) || !program.files.is_terminal || program.files.output < 0)
        return;
    memcpy(&size, window->payload, sizeof(size));
    struct winsize terminal = {.ws_row = size.rows, .ws_col = size.columns};
    ioctl(program.files.output, TIOCSWINSZ, &terminal);
}

void program_kill(const struct frame *request)
{
    uint32_t signal_number;

    if (request->length != sizeof(signal_number) || program.state != PROGRAM_RUNNING)
        return;
    memcpy(&signal_number, request->payload, sizeof(signal_number));
    kill(-program.pid, (int)signal_number);
}

/* --- the ending ----------------------------------------------------------------------------------------------------- */

static void begin_ending(int status)
{
    program.ending = (struct ending){
        .kind = WIFSIGNALED(status) ? ENDING_SIGNALLED : ENDING_EXITED,
        .value = (uint32_t)(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)),
    };
    program.deadline_ms = now_ms() + GRACE_MS;
    program.state = PROGRAM_ENDING;
    close_input();
    kill(-1, SIGKILL); /* everything but init itself */
}

void program_reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (program.state == PROGRAM_RUNNING && pid == program.pid)
            begin_ending(status);
}

static bool children_left(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void program_finish_if_done(void)
{
    if (program.state != PROGRAM_ENDING)
        return;
    bool drained = program.files.output < 0 && program.files.error < 0;
    bool survivors = children_left();
    if ((!drained || survivors) && now_ms() < program.deadline_ms)
        return;
    close_descriptor(&program.files.output);
    close_descriptor(&program.files.error);
    program.ending.survivors = survivors;
    program.state = PROGRAM_IDLE;
    port_send(FRAME_ENDED, &program.ending, sizeof(program.ending));
}
