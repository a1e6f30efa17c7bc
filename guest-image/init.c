// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's process 1. It mounts, tells the host that it is ready, and from then on does what frames on the control port
 * ask for: load a module, run a program, power off. Nothing here decides anything; the front end on the host does.
 *
 * If process 1 dies, the kernel panics, and the host reports that with the end of the console. That is the right answer to a
 * lost control port, so init exits where it cannot go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "mounts.h"
#include "port.h"
#include "program.h"
#include "script.h"

#define HEARTBEAT_MS 1000
#define KERNEL_LOG_RECORD 8192

static int kernel_log = -1;

static uint64_t uptime_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void send_ready(void)
{
    struct {
        struct ready_report report;
        char release[sizeof(((struct utsname *)0)->release)];
    } message = {.report.uptime_ms = uptime_ms()};
    struct utsname names;

    uname(&names);
    memcpy(message.release, names.release, sizeof(message.release));
    port_send(FRAME_READY, &message, sizeof(message.report) + strlen(message.release) + 1);
}

static void send_heartbeat_if_due(void)
{
    static uint64_t last;
    struct ready_report report = {.uptime_ms = uptime_ms()};

    if (report.uptime_ms - last < HEARTBEAT_MS)
        return;
    last = report.uptime_ms;
    port_send(FRAME_HEARTBEAT, &report, sizeof(report));
}

static void pass_kernel_log(void)
{
    char record[KERNEL_LOG_RECORD];
    ssize_t count;

    while (kernel_log >= 0) {
        count = read(kernel_log, record, sizeof(record));
        if (count > 0)
            port_send(FRAME_KERNEL_LOG, record, (size_t)count);
        else if (count == 0 || errno != EPIPE) /* EPIPE: records were overwritten before init got to them; go on */
            return;
    }
}

static void answer(int error)
{
    int32_t value = error;

    port_send(FRAME_ANSWER, &value, sizeof(value));
}

/* The two strings of a FRAME_BIND or FRAME_INSMOD; NULL unless both are there. */
static const char *second_string(const struct frame *frame)
{
    const char *terminator = memchr(frame->payload, '\0', frame->length);
    size_t used = terminator ? (size_t)(terminator + 1 - frame->payload) : frame->length;

    if (used == frame->length || frame->payload[frame->length - 1] != '\0')
        return NULL;
    return terminator + 1;
}

static int load_module(const char *path, const char *parameters)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int error = 0;

    if (fd < 0)
        return errno;
    if (syscall(SYS_finit_module, fd, parameters, 0))
        error = errno;
    close(fd);
    return error;
}

static void power_off(void)
{
    pass_kernel_log();
    sync();
    reboot(RB_POWER_OFF);
}

static void handle_frame(const struct frame *frame)
{
    const char *second;

    switch (frame->type) {
    case FRAME_BIND:
        second = second_string(frame);
        answer(second ? bind_mount(frame->payload, second) : EPROTO);
        break;
    case FRAME_INSMOD:
        second = second_string(frame);
        answer(second ? load_module(frame->payload, second) : EPROTO);
        break;
    case FRAME_START:
        program_start(frame);
        break;
    case FRAME_INPUT:
        program_input(frame);
        break;
    case FRAME_WINDOW_SIZE:
        program_set_window(frame);
        break;
    case FRAME_KILL:
        program_kill(frame);
        break;
    case FRAME_POWER_OFF:
        power_off();
        break;
    default:
        fprintf(stderr, "init: unknown frame %u from the host\n", frame->type);
    }
}

static void handle_host(void)
{
    struct frame frame;
    int status = port_fill();

    while (status >= 0 && (status = port_next(&frame)) == 1)
        handle_frame(&frame);
    if (status < 0) {
        fprintf(stderr, "init: control port: %s\n", strerror(-status));
        power_off();
    }
}

/* Orders have no descriptor: each is taken as soon as what came before it is done. */
static void follow_script(void)
{
    struct frame frame;

    while (program_is_settled() && script_next(&frame))
        handle_frame(&frame);
}

static void handle_dead_children(int signals)
{
    struct signalfd_siginfo information;

    if (read(signals, &information, sizeof(information)) > 0)
        program_reap();
}

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void serve_forever(int signals, bool sealed)
{
    enum { HOST, SIGNALS, KERNEL_LOG, PROGRAM };
    struct pollfd entries[PROGRAM + PROGRAM_POLL_ENTRIES];

    for (;;) {
        if (sealed)
            follow_script();
        entries[HOST] = (struct pollfd){.fd = sealed ? -1 : port_fd(), .events = POLLIN};
        entries[SIGNALS] = (struct pollfd){.fd = signals, .events = POLLIN};
        entries[KERNEL_LOG] = (struct pollfd){.fd = kernel_log, .events = POLLIN};
        int count = program_poll_entries(&entries[PROGRAM]);

        if (poll(entries, (nfds_t)(PROGRAM + count), HEARTBEAT_MS) < 0 && errno != EINTR)
            return;
        pass_kernel_log(); /* first: what the kernel said before a line of output must arrive before it */
        program_serve(&entries[PROGRAM], count);
        if (entries[SIGNALS].revents)
            handle_dead_children(signals);
        if (entries[HOST].revents)
            handle_host();
        program_finish_if_done();
        send_heartbeat_if_due();
    }
}

int main(void)
{
    sethostname("tandem", strlen("tandem"));
    umask(0);
    mount_kernel_file_systems();
    umask(022);
    int signals = open_signals();
    int status = port_open();

    if (status < 0) {
        fprintf(stderr, "init: no control port named %s: %s\n", TANDEM_PORT, strerror(-status));
        return EXIT_FAILURE;
    }
    bool sealed = script_wanted();
    if (sealed)
        seal_initramfs();
    else
        mount_host();
    kernel_log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    send_ready();
    status = sealed ? script_open() : 0;
    if (status < 0) {
        fprintf(stderr, "init: no script of what to do: %s\n", strerror(-status));
        return EXIT_FAILURE;
    }
    serve_forever(signals, sealed);
    return EXIT_FAILURE;
}
