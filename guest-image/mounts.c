// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Builds the file tree that a program in the guest sees. The host's root arrives over 9p, read-only; each of its top-level
 * directories is bound under its own name, so that a program, its interpreter, its libraries and its working directory have
 * the same paths as on the host. /tmp, /run, /dev, /proc and /sys are the guest's own.
 */
#include "mounts.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

struct mount_point {
    const char *type;
    const char *target;
    const char *options;
};

static const struct mount_point kernel_mounts[] = {
    {"devtmpfs", "/dev", "mode=0755"},
    {"proc", "/proc", ""},
    {"sysfs", "/sys", ""},
    {"tmpfs", "/tmp", "mode=1777"},
    {"tmpfs", "/run", "mode=0755"},
    {"tmpfs", "/dev/shm", "mode=1777"},
    {"devpts", "/dev/pts", "ptmxmode=0666"},
    {"debugfs", "/sys/kernel/debug", ""},
    {"tracefs", "/sys/kernel/tracing", ""},
    {"cgroup2", "/sys/fs/cgroup", ""},
};

/* Directories of the host that the guest has its own version of. */
static const char *const guest_owned[] = {"dev", "proc", "sys", "tmp", "run", "host", "tandem", "modules", "lost+found"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

void mount_kernel_file_systems(void)
{
    for (size_t i = 0; i < COUNT(kernel_mounts); i++) {
        const struct mount_point *point = &kernel_mounts[i];

        mkdir(point->target, 0755);
        if (mount(point->type, point->target, point->type, 0, point->options) && errno != ENODEV && errno != ENOENT)
            fprintf(stderr, "init: %s on %s: %s\n", point->type, point->target, strerror(errno));
    }
}

static bool is_guest_owned(const char *name)
{
    for (size_t i = 0; i < COUNT(guest_owned); i++)
        if (strcmp(name, guest_owned[i]) == 0)
            return true;
    return false;
}

static void mirror_link(const char *source, const char *target)
{
    char destination[PATH_MAX];
    ssize_t length = readlink(source, destination, sizeof(destination) - 1);

    if (length < 0)
        return;
    destination[length] = '\0';
    symlink(destination, target);
}

/* Links are copied as links, not followed: /lib64 -> usr/lib64 then means the same as on the host. */
static void expose_entry(const char *name)
{
    char source[NAME_MAX + 16];
    char target[NAME_MAX + 16];
    struct stat status;

    snprintf(source, sizeof(source), "/host/%s", name);
    snprintf(target, sizeof(target), "/%s", name);
    if (lstat(source, &status))
        return;
    if (S_ISLNK(status.st_mode))
        mirror_link(source, target);
    else if (S_ISDIR(status.st_mode))
        bind_mount(source, target);
}

static void expose_top_level(void)
{
    DIR *directory = opendir("/host");
    struct dirent *entry;

    if (!directory)
        return;
    while ((entry = readdir(directory)))
        if (entry->d_name[0] != '.' && !is_guest_owned(entry->d_name))
            expose_entry(entry->d_name);
    closedir(directory);
}

void mount_host(void)
{
    mkdir("/host", 0755);
    if (mount("host", "/host", "9p", MS_RDONLY, "trans=virtio,version=9p2000.L,cache=loose,msize=512000")) {
        fprintf(stderr, "init: the host's files: %s\n", strerror(errno));
        return;
    }
    expose_top_level();
}

void seal_initramfs(void)
{
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL))
        fprintf(stderr, "init: the initramfs stays writable: %s\n", strerror(errno));
}

static void make_parents(const char *path)
{
    char prefix[PATH_MAX];

    for (size_t i = 1; path[i] && i < sizeof(prefix); i++) {
        if (path[i] != '/')
            continue;
        memcpy(prefix, path, i);
        prefix[i] = '\0';
        mkdir(prefix, 0755);
    }
}

int bind_mount(const char *source, const char *target)
{
    make_parents(target);
    mkdir(target, 0755);
    return mount(source, target, NULL, MS_BIND | MS_REC, NULL) ? errno : 0;
}
