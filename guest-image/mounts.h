/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's file systems: the kernel's own, some writable tmpfs, and the host's files, read-only, under their own names.
 */
#ifndef TANDEM_GUEST_MOUNTS_H
#define TANDEM_GUEST_MOUNTS_H

/* Mount everything that needs no host. What the kernel was built without is left out. */
void mount_kernel_file_systems(void);

/* Mount the host's root read-only at /host and make its top-level directories visible under their own names. */
void mount_host(void);

/* Nothing of the initramfs changes any more: it stands for the host's files, which are read-only, too. */
void seal_initramfs(void);

/* Make `source` visible at `target`, creating the directories that are missing. Returns 0 or an errno. */
int bind_mount(const char *source, const char *target);

#endif
