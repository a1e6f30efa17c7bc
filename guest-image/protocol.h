/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest's init and the front end say to each other.
 *
 * One virtio-serial port, named TANDEM_PORT, carries frames in both directions: an eight-byte header, then the payload.
 * Everything a program prints travels on the same ordered stream as the news of its end, so nothing can be lost between
 * the last byte and the exit status. tools/frontend/wire.py holds the same definitions for Python, and a unit test compares
 * the two.
 *
 * Integers are little-endian. Strings end in a NUL byte.
 */
#ifndef TANDEM_GUEST_PROTOCOL_H
#define TANDEM_GUEST_PROTOCOL_H

#include <stdint.h>

#define TANDEM_PORT "tandem.control"

/* A peer that announces a longer payload has lost its place in the stream. */
#define FRAME_MAX_PAYLOAD (1u << 20)

/* How many bytes of standard input may be on their way: the host spends this credit, FRAME_INPUT_TAKEN gives it back. */
#define INPUT_WINDOW (64u * 1024)

struct frame_header {
    uint32_t type;
    uint32_t length; /* of the payload */
};

/* What a sealed guest is told stands in memory (script.h): this, then frames up to `length` bytes. */
#define SCRIPT_MAGIC 0x70637374u /* "tscp" */

struct script_header {
    uint32_t magic;
    uint32_t length;
};

/* Host to guest. */
#define FRAME_BIND 1        /* source\0 target\0: bind mount; answered */
#define FRAME_INSMOD 2      /* path\0 parameters\0: load a kernel module; answered */
#define FRAME_START 3       /* struct start_request, then strings: path, directory, arguments, environment */
#define FRAME_INPUT 4       /* bytes for standard input; an empty one is its end */
#define FRAME_WINDOW_SIZE 5 /* struct window_size, for a program on a terminal */
#define FRAME_KILL 6        /* uint32_t signal for the program's process group */
#define FRAME_POWER_OFF 7   /* empty */

/* Guest to host. */
#define FRAME_READY 32       /* struct ready_report, then the kernel's release\0 */
#define FRAME_ANSWER 33      /* int32_t: 0 or an errno, for one FRAME_BIND or FRAME_INSMOD, in order */
#define FRAME_OUTPUT 34      /* bytes of standard output (of the terminal, when there is one) */
#define FRAME_ERROR 35       /* bytes of standard error */
#define FRAME_INPUT_TAKEN 36 /* uint32_t bytes of standard input handed to the program */
#define FRAME_KERNEL_LOG 37  /* one record of /dev/kmsg, sent before any later output */
#define FRAME_HEARTBEAT 38   /* struct ready_report: still alive */
#define FRAME_ENDED 39       /* struct ending: no more output follows */

#define START_ON_TERMINAL 1u /* give the program a terminal in place of three pipes */

struct window_size {
    uint16_t rows;
    uint16_t columns;
};

struct start_request {
    uint32_t flags;
    struct window_size window;
    uint32_t arguments;
    uint32_t variables;
};

struct ready_report {
    uint64_t uptime_ms;
};

enum ending_kind {
    ENDING_EXITED = 1,      /* value is the exit status */
    ENDING_SIGNALLED = 2,   /* value is the signal */
    ENDING_NOT_STARTED = 3, /* value is the errno of chdir or execve */
};

struct ending {
    uint32_t kind;
    uint32_t value;
    uint32_t survivors; /* processes that SIGKILL did not end within the grace period */
    uint32_t reserved;
};

#endif
