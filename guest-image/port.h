/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's end of the control port: whole frames in, whole frames out.
 *
 * Writing blocks until the host has taken the bytes. That is the flow control: a program whose output nobody reads waits in
 * its own write, because init no longer empties its pipe.
 */
#ifndef TANDEM_GUEST_PORT_H
#define TANDEM_GUEST_PORT_H

#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

struct frame {
    uint32_t type;
    uint32_t length;
    const char *payload; /* valid as long as the bytes that it was taken from: for the port, until the next port_fill() */
};

/* Find the port named TANDEM_PORT and open it, waiting for the device and for the host. Returns 0 or a negative errno. */
int port_open(void);

/* The descriptor to poll for reading. */
int port_fd(void);

/* Read what has arrived. Returns 0, or a negative errno when the host has closed its end or lost its place. */
int port_fill(void);

/* Take the next whole frame out of what port_fill() has read: 1 when there is one, 0 when more bytes are needed. */
int port_next(struct frame *frame);

/* Decode the frame that these bytes begin with: returns its size, 0 when more bytes are needed, or -EPROTO. */
int frame_take(const char *bytes, size_t available, struct frame *frame);

/* Send one frame. A host that is gone is not an error: init notices it when it reads. */
void port_send(uint32_t type, const void *payload, size_t length);

#endif
