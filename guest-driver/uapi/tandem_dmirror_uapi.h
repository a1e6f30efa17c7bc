/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR MIT */
/*
 * /dev/hmm_dmirror0 and so on (module parameter hmm_dmirror): the requests of the kernel's own test
 * module, lib/test_hmm_uapi.h, value for value. docs/hmm-tests.md tells how each is carried out.
 */
#ifndef TANDEM_DMIRROR_UAPI_H
#define TANDEM_DMIRROR_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct tandem_dmirror_request {
	__u64 addr;   /* (in) first page, in the memory of the process that opened the file */
	__u64 ptr;    /* (in) what the device has there is copied here, or from here */
	__u64 npages; /* (in) not 0; FLAGS: TANDEM_DMIRROR_FAIL_ALLOC */
	__u64 cpages; /* (out) pages that were read, written, moved or looked at */
	__u64 faults; /* (out) fault rounds that the device needed */
};

#define TANDEM_DMIRROR_READ            _IOWR('H', 0x00, struct tandem_dmirror_request)
#define TANDEM_DMIRROR_WRITE           _IOWR('H', 0x01, struct tandem_dmirror_request)
#define TANDEM_DMIRROR_MIGRATE_TO_DEV  _IOWR('H', 0x02, struct tandem_dmirror_request)
#define TANDEM_DMIRROR_MIGRATE_TO_SYS  _IOWR('H', 0x03, struct tandem_dmirror_request)
#define TANDEM_DMIRROR_SNAPSHOT        _IOWR('H', 0x04, struct tandem_dmirror_request)
#define TANDEM_DMIRROR_EXCLUSIVE       _IOWR('H', 0x05, struct tandem_dmirror_request)
#define TANDEM_DMIRROR_CHECK_EXCLUSIVE _IOWR('H', 0x06, struct tandem_dmirror_request)
#define TANDEM_DMIRROR_RELEASE         _IOWR('H', 0x07, struct tandem_dmirror_request)
#define TANDEM_DMIRROR_FLAGS           _IOWR('H', 0x08, struct tandem_dmirror_request)
#define TANDEM_DMIRROR_READ_UNLOCKED   _IOWR('H', 0x09, struct tandem_dmirror_request)

#define TANDEM_DMIRROR_FAIL_ALLOC 0x1 /* the next allocation of 2 MiB for a page that moves fails */

/* SNAPSHOT: one byte for each page, to ptr. */
#define TANDEM_DMIRROR_NONE            0x00 /* nothing there, or nothing that may be accessed */
#define TANDEM_DMIRROR_PAGE_READ       0x01
#define TANDEM_DMIRROR_PAGE_WRITE      0x02
#define TANDEM_DMIRROR_PMD             0x04 /* mapped as one of 2 MiB */
#define TANDEM_DMIRROR_PUD             0x08 /* mapped as one of 1 GiB */
#define TANDEM_DMIRROR_ZERO            0x10 /* the zero page */
#define TANDEM_DMIRROR_PRIVATE_LOCAL   0x20 /* in the VRAM of this GPU, or of another */
#define TANDEM_DMIRROR_PRIVATE_REMOTE  0x30
#define TANDEM_DMIRROR_COHERENT_LOCAL  0x40
#define TANDEM_DMIRROR_COHERENT_REMOTE 0x50
#define TANDEM_DMIRROR_ERROR           0xff /* no mapping, or one that permits nothing */

#endif
