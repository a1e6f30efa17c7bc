// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control port: finds the virtio-serial port by its name and moves frames over it. See protocol.h for what they mean.
 */
#include "port.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define PORT_WAIT_STEP_US 2000
#define PORT_WAIT_STEPS 5000 /* ten seconds in all */

static int port = -1;
static char received[sizeof(struct frame_header) + FRAME_MAX_PAYLOAD];
static size_t received_end;
static size_t received_start;

static bool has_our_name(const char *device)
{
    char path[300];
    char name[64] = "";

    snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", device);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    if (!fgets(name, sizeof(name), file))
        name[0] = '\0';
    fclose(file);
    name[strcspn(name, "\n")] = '\0';
    return strcmp(name, TANDEM_PORT) == 0;
}

static int find_port(char *path, size_t size)
{
    DIR *directory = opendir("/sys/class/virtio-ports");
    struct dirent *entry;
    int found = -ENODEV;

    if (!directory)
        return -errno;
    while (found && (entry = readdir(directory))) {
        if (entry->d_name[0] != '.' && has_our_name(entry->d_name)) {
            snprintf(path, size, "/dev/%s", entry->d_name);
            found = 0;
        }
    }
    closedir(directory);
    return found;
}

static bool host_is_connected(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLOUT};

    return poll(&entry, 1, 0) >= 0 && !(entry.revents & POLLHUP);
}

int port_open(void)
{
    char path[300];

    for (int step = 0; step < PORT_WAIT_STEPS; step++) {
        if (port < 0 && find_port(path, sizeof(path)) == 0)
            port = open(path, O_RDWR | O_CLOEXEC);
        if (port >= 0 && host_is_connected(port))
            return 0;
        usleep(PORT_WAIT_STEP_US);
    }
    return -ETIMEDOUT;
}

int port_fd(void)
{
    return port;
}

static void drop_consumed_bytes(void)
{
    memmove(received, received + received_start, received_end - received_start);
    received_end -= received_start;
    received_start = 0;
}

int port_fill(void)
{
    drop_consumed_bytes();
    ssize_t count = read(port, received + received_end, sizeof(received) - received_end);
    if (count > 0) {
        received_end += (size_t)count;
        return 0;
    }
    if (count < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    return count < 0 ? -errno : -EPIPE;
}

int frame_take(const char *bytes, size_t available, struct frame *frame)
{
    struct frame_header header;

    if (available < sizeof(header))
        return 0;
    memcpy(&header, bytes, sizeof(header));
    if (header.length > FRAME_MAX_PAYLOAD)
        return -EPROTO;
    if (available - sizeof(header) < header.length)
        return 0;
    frame->type = header.type;
    frame->length = header.length;
    frame->payload = bytes + sizeof(header);
    return (int)(sizeof(header) + header.length);
}

int port_next(struct frame *frame)
{
    int used = frame_take(received + received_start, received_end - received_start, frame);

    if (used <= 0)
        return used;
    received_start += (size_t)used;
    return 1;
}

static void skip_written(struct iovec *parts, size_t written)
{
    for (int part = 0; part < 2; part++) {
        size_t taken = written < parts[part].iov_len ? written : parts[part].iov_len;

        parts[part].iov_base = (char *)parts[part].iov_base + taken;
        parts[part].iov_len -= taken;
        written -= taken;
    }
}

void port_send(uint32_t type, const void *payload, size_t length)
{
    struct frame_header header = {.type = type, .length = (uint32_t)length};
    struct iovec parts[2] = {
        {.iov_base = &header, .iov_len = sizeof(header)},
        {.iov_base = (void *)payload, .iov_len = length},
    };

    while (parts[0].iov_len + parts[1].iov_len > 0) {
        ssize_t written = writev(port, parts, 2);
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return;
        if (written > 0)
            skip_written(parts, (size_t)written);
    }
}
