/* SPDX-License-Identifier: (GPL-2.0-or-later WITH Linux-syscall-note) OR MIT */
/*
 * What a process says to the driver through /dev/tandem0. Submitting work needs none of it: packets go through the
 * process's own memory and doorbell page (hw-model/abi/tandem_aql.h).
 *
 * One open file is one address space of the GPU. TANDEM_IOC_INIT binds it to the calling process's memory; from then on only
 * threads of that process can use the file (a child that inherited it gets EPERM). Closing the file, exec, exit and
 * kill end the address space: when close() returns nothing of it is running.
 *
 * Each structure: (in) fields are read, (out) fields are written by the driver, reserved ones must be 0 (else EINVAL).
 * Common errors: EFAULT bad pointer; EINVAL bad value; EPERM another process; ENODEV the device is gone; EIO the device was
 * reset under this address space (open anew), but QUEUE_STATUS, QUEUE_DESTROY, QUEUE_REPORT and STATS go on answering for
 * what was there; ENOTTY unknown request.
 */
#ifndef TANDEM_UAPI_H
#define TANDEM_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define TANDEM_UAPI_MAJOR 1
/*
 * 1: QUEUE_REPORT; 2: device memory: PREFETCH, RANGE_SET, RANGE_GET, PAGES; 3: exclusive_* in STATS; 4: bus_pasid in INIT;
 * 5: RETRY, granularity in RANGE_SET and RANGE_GET, cpu_faults in STATS; 6: TANDEM_QUEUE_RESIDENT_ONLY, faults_skipped in STATS
 */
#define TANDEM_UAPI_MINOR 6

/* mmap() offset of the address space's doorbell page: one page, MAP_SHARED, PROT_WRITE; not inherited over fork. */
#define TANDEM_MMAP_DOORBELLS 0

/* The device. Allowed before TANDEM_IOC_INIT. */
struct tandem_ioc_query {
	__u32 uapi_version;        /* (out) major << 16 | minor */
	__u32 abi_version;         /* (out) of the hardware */
	__u32 compute_units;       /* (out) */
	__u32 waves_per_cu;        /* (out) */
	__u32 lds_bytes;           /* (out) of one compute unit */
	__u32 wave_lanes;          /* (out) */
	__u32 max_queues;          /* (out) of the device */
	__u32 translations;        /* (out) bit n: enum tandem_translation n can be chosen */
	__u64 vram_bytes;          /* (out) */
	__u64 features;            /* (out) TANDEM_FEATURE_* */
	__u64 clock_ns;            /* (out) device clock now */
	__u32 vram_kind;           /* (out) enum tandem_vram_kind */
	__u32 fabric;              /* (out) the GPU's number on the link between GPUs, ~0: on none */
	__u64 reserved;
};

/* How Linux sees the GPU's memory. */
enum tandem_vram_kind {
	TANDEM_VRAM_NONE     = 0, /* there is none, or this kernel cannot lend it to processes */
	TANDEM_VRAM_PRIVATE  = 1, /* MEMORY_DEVICE_PRIVATE: a CPU access brings the page home */
	TANDEM_VRAM_COHERENT = 2, /* MEMORY_DEVICE_COHERENT: the CPU loads and stores there */
};

/* Binds the file to the process's memory. Once for a file: EBUSY the second time. EOPNOTSUPP: translation not to be had. */
struct tandem_ioc_init {
	__u32 translation;         /* (in) enum tandem_translation */
	__u32 flags;               /* (in) TANDEM_INIT_* */
	__u32 pasid;               /* (out) the address space's number, for traces */
	__u32 bus_pasid;           /* (out) TANDEM_TRANSLATION_SVA: the process's PASID in the IOMMU, else 0 */
	__u64 reserved[2];
};

/*
 * What GPU faults find moves to the GPU's memory, as if the whole address space preferred it (RANGE_SET overrules). Not with
 * TANDEM_TRANSLATION_SVA: EOPNOTSUPP.
 */
#define TANDEM_INIT_MIGRATE 0x1

/*
 * The queue's kernels find what the process has mapped at that moment, and nothing is ever made for them: no page is faulted in,
 * copied, moved, taken for atomics or pinned. Where there is none, or not with the permission, the access is skipped: a load
 * gives 0, a store is dropped, an atomic is dropped and gives 0. Stacks, code, the page of the kernarg address, packets and
 * signals are had as by any queue. Copy packets stop the queue.
 */
#define TANDEM_QUEUE_RESIDENT_ONLY 0x1

/* ENOSPC: no queue or doorbell left. */
struct tandem_ioc_queue_create {
	__u64 ring;                /* (in) packets, aligned to 64 bytes */
	__u64 indices;             /* (in) struct tandem_queue_indices, aligned to 64 bytes, both indices 0 */
	__u64 scratch;             /* (in) stacks, aligned to 16 bytes: scratch_waves * 32 * scratch_lane_bytes */
	__u32 ring_order;          /* (in) log2 of packets, 1..16 */
	__u32 scratch_lane_bytes;  /* (in) multiple of 16, at least 256 */
	__u32 scratch_waves;       /* (in) wavefronts of this queue that may be live at a time, at least 32 (one workgroup) */
	__u32 retry_limit;         /* (in) replays of one access before the queue fails; 0: no limit */
	__u32 flags;               /* (in) TANDEM_QUEUE_RESIDENT_ONLY */
	__u32 queue;               /* (out) */
	__u32 doorbell;            /* (out) index of the 8-byte doorbell in the doorbell page */
	__u32 reserved0;
	__u64 reserved[2];
};

/* When it returns the device makes no access for this queue any more. ENOENT: no such queue of this file. */
struct tandem_ioc_queue_destroy {
	__u32 queue;               /* (in) */
	__u32 reserved0;
};

struct tandem_ioc_queue_status {
	__u32 queue;               /* (in) */
	__u32 state;               /* (out) enum tandem_queue_state */
	__u32 error;               /* (out) enum tandem_queue_error */
	__u32 detail;              /* (out) instruction word, or enum tandem_access */
	__u64 va;                  /* (out) address concerned */
	__u64 pc;                  /* (out) program counter of the wavefront concerned */
	__u64 reserved[2];
};

/*
 * What the device wrote about the wavefront that stopped the queue: struct tandem_wave_report of the hardware's abi, of which a
 * longer one may come. ENOENT: no such queue of this file. ENODATA: the queue has not failed, or no wavefront made it fail.
 */
struct tandem_ioc_queue_report {
	__u32 queue;               /* (in) */
	__u32 bytes;               /* (in) room at report; (out) bytes written there */
	__u64 report;              /* (in) address */
	__u64 reserved[2];
};

/*
 * Sleeps until *(s64 *)(signal value) compares true, a queue of the file fails (EIO), the time is over (ETIMEDOUT) or a signal
 * arrives (restarted; EINTR). The signal's event_id must not be 0, or nobody would wake the caller: EINVAL.
 */
enum tandem_wait_condition {
	TANDEM_WAIT_EQ = 1,
	TANDEM_WAIT_NE = 2,
	TANDEM_WAIT_LT = 3,
	TANDEM_WAIT_GTE = 4,
};

struct tandem_ioc_wait {
	__u64 signal;              /* (in) address of struct tandem_signal, aligned to 64 bytes */
	__s64 value;               /* (in) to compare with */
	__u32 condition;           /* (in) enum tandem_wait_condition */
	__u32 queue;               /* (in) queue whose failure ends the wait, or ~0 for any of the file */
	__s64 timeout_ns;          /* (in) relative; negative: for ever. (out) what is left, so that a restart waits on */
	__s64 observed;            /* (out) the value seen last */
	__u64 reserved;
};

/* What happened to this address space so far; the last part counts the whole device. */
#define TANDEM_STATS_CAUSES   16 /* index: enum tandem_cause below TANDEM_CAUSE_DRIVER_BASE; 15: all driver causes */
#define TANDEM_STATS_COUNTERS 32 /* index: enum tandem_counter */

struct tandem_ioc_stats {
	__u64 faults;              /* (out) fault records serviced for this address space */
	__u64 fault_batches;       /* (out) */
	__u64 faults_cancelled;    /* (out) */
	__u64 faults_retried;      /* (out) collisions with a notifier */
	__u64 pages_mapped;        /* (out) 4 KiB pages mapped, a page mapped twice counts twice */
	__u64 pages_mirrored;      /* (out) 4 KiB pages mapped now */
	__u64 leaves_64k;          /* (out) 64 KiB leaves written */
	__u64 leaves_2m;           /* (out) 2 MiB leaves written */
	__u64 pages_dirtied;       /* (out) pages given back to Linux as dirty */
	__u64 invalidations;       /* (out) sent to the device */
	__u64 invalidations_empty; /* (out) notifier calls that had nothing to invalidate */
	__u64 invalidate_wait_ns;  /* (out) time spent waiting for acknowledgements */
	__u64 pages_to_vram;       /* (out) 4 KiB pages moved to this GPU's memory, for this address space */
	__u64 pages_to_system;     /* (out) and from it to the system's, whatever the cause */
	__u64 pages_evicted;       /* (out) those among them that had to make room */
	__u64 thrash_pins;         /* (out) times that a block was left where it was because it had moved to and fro */
	__u64 exclusive_taken;     /* (out) pages taken from the CPUs for atomics */
	__u64 exclusive_returned;  /* (out) and given back, whatever the cause */
	__u64 cpu_faults;          /* (out) CPU accesses that brought pages home from this GPU's memory */
	__u64 faults_skipped;      /* (out) records of resident-only queues that found no page */
	__u64 cause[TANDEM_STATS_CAUSES];     /* (out) invalidations sent, by cause */
	__u64 counter[TANDEM_STATS_COUNTERS]; /* (out) performance counters of the device */
};

/*
 * ---- device memory ----
 *
 * Ranges are page aligned (EINVAL) and need not be mapped; what is unmapped, or cannot move (file, shared, hugetlb, special
 * and pinned pages), stays. EOPNOTSUPP: the GPU has no memory for processes, or the IOMMU translates for this address space.
 */
enum tandem_location {
	TANDEM_LOCATION_NONE   = 0, /* no wish: pages are used where they lie */
	TANDEM_LOCATION_SYSTEM = 1,
	TANDEM_LOCATION_DEVICE = 2, /* this GPU */
};

/* Moves pages now. 0 also when some could not be moved: see moved. ENOMEM: no room, even after evicting. EINTR. */
struct tandem_ioc_prefetch {
	__u64 start;               /* (in) */
	__u64 length;              /* (in) */
	__u32 location;            /* (in) SYSTEM or DEVICE */
	__u32 flags;               /* (in) 0 */
	__u64 moved;               /* (out) 4 KiB pages that moved */
	__u64 resident;            /* (out) 4 KiB pages of the range that lie there now */
	__u64 reserved[2];
};

/* Which of the fields of a range are set (RANGE_SET); the others stay as they are. */
#define TANDEM_RANGE_PREFERRED   0x1
#define TANDEM_RANGE_FLAGS       0x2
#define TANDEM_RANGE_GRANULARITY 0x4

#define TANDEM_RANGE_ACCESSED_BY 0x1 /* mapped for this GPU at once and where it lies; a GPU fault never moves it */
#define TANDEM_RANGE_READ_MOSTLY 0x2 /* a GPU read never moves it; a write does if DEVICE is preferred */
#define TANDEM_RANGE_COUNTED     0x4 /* access counters move it when it is used much, whatever the fault did */

/* Wishes for a range of addresses, kept until they are set anew, over unmapping too, until the address space ends. */
struct tandem_ioc_range {
	__u64 start;               /* (in); RANGE_GET: (out) too, first byte that has these values */
	__u64 length;              /* (in); RANGE_GET: (out) bytes that have these values */
	__u32 fields;              /* (in) TANDEM_RANGE_*; RANGE_GET: 0 */
	__u32 preferred;           /* (in), RANGE_GET: (out) enum tandem_location */
	__u32 flags;               /* (in), RANGE_GET: (out) */
	__u32 granularity;         /* (in), RANGE_GET: (out) log2 of the bytes that one fault moves; below */
	__u64 reserved[2];
};

/*
 * Of these bytes around the address, aligned to their number, a fault moves what has the same wishes: a GPU's to VRAM, a CPU's
 * home. 0: as the driver thinks best (a GPU's fault 2 MiB, a CPU's the page, or the 2 MiB if they are mapped as one). A CPU's
 * fault on a page of 2 MiB that is mapped as one brings all of it home.
 */
#define TANDEM_GRANULARITY_MIN 12
#define TANDEM_GRANULARITY_MAX 21

/* Where the pages of a range are now; nothing is faulted in or moved. One byte a page. */
struct tandem_ioc_pages {
	__u64 start;               /* (in) */
	__u64 length;              /* (in) at most 1 GiB */
	__u64 pages;               /* (in) address of length / 4096 bytes */
	__u64 reserved[2];
};

#define TANDEM_PAGE_PLACE     0x03 /* enum tandem_page_place */
#define TANDEM_PAGE_WRITE     0x04 /* writable for the CPU or its owner */
#define TANDEM_PAGE_HUGE      0x08 /* part of a mapping of 2 MiB or more */
#define TANDEM_PAGE_MAPPED    0x10 /* this GPU has a translation */
#define TANDEM_PAGE_MAPPED_WRITE 0x20 /* that it may write through */

enum tandem_page_place {
	TANDEM_PAGE_ABSENT = 0, /* nowhere: not touched yet, swapped out, or in the memory of a GPU on no common link */
	TANDEM_PAGE_SYSTEM = 1,
	TANDEM_PAGE_DEVICE = 2,
	TANDEM_PAGE_PEER   = 3,
};

/*
 * Are GPU accesses that find no translation made good and tried again? ON, as after INIT: wherever the process has mapped memory.
 * OFF: only where TANDEM_RANGE_ACCESSED_BY holds, and that means every byte the GPU reads or writes for the process (code,
 * arguments, rings and signals, too). Anything else ends the queue with TANDEM_QUEUE_PERMISSION_FAULT, and a PREFETCH maps nothing.
 * EBUSY: the file has queues. EOPNOTSUPP: as for device memory.
 */
enum tandem_retry_mode {
	TANDEM_RETRY_ON  = 1,
	TANDEM_RETRY_OFF = 2,
};

struct tandem_ioc_retry {
	__u32 mode;                /* (in) enum tandem_retry_mode, 0: only ask; (out) what holds now */
	__u32 reserved;
};

#define TANDEM_IOC_MAGIC 'T'
#define TANDEM_IOC_QUERY         _IOWR(TANDEM_IOC_MAGIC, 0x40, struct tandem_ioc_query)
#define TANDEM_IOC_INIT          _IOWR(TANDEM_IOC_MAGIC, 0x41, struct tandem_ioc_init)
#define TANDEM_IOC_QUEUE_CREATE  _IOWR(TANDEM_IOC_MAGIC, 0x42, struct tandem_ioc_queue_create)
#define TANDEM_IOC_QUEUE_DESTROY _IOWR(TANDEM_IOC_MAGIC, 0x43, struct tandem_ioc_queue_destroy)
#define TANDEM_IOC_QUEUE_STATUS  _IOWR(TANDEM_IOC_MAGIC, 0x44, struct tandem_ioc_queue_status)
#define TANDEM_IOC_WAIT          _IOWR(TANDEM_IOC_MAGIC, 0x45, struct tandem_ioc_wait)
#define TANDEM_IOC_STATS         _IOWR(TANDEM_IOC_MAGIC, 0x46, struct tandem_ioc_stats)
#define TANDEM_IOC_QUEUE_REPORT  _IOWR(TANDEM_IOC_MAGIC, 0x47, struct tandem_ioc_queue_report)
#define TANDEM_IOC_PREFETCH      _IOWR(TANDEM_IOC_MAGIC, 0x48, struct tandem_ioc_prefetch)
#define TANDEM_IOC_RANGE_SET     _IOWR(TANDEM_IOC_MAGIC, 0x49, struct tandem_ioc_range)
#define TANDEM_IOC_RANGE_GET     _IOWR(TANDEM_IOC_MAGIC, 0x4a, struct tandem_ioc_range)
#define TANDEM_IOC_PAGES         _IOWR(TANDEM_IOC_MAGIC, 0x4b, struct tandem_ioc_pages)
#define TANDEM_IOC_RETRY         _IOWR(TANDEM_IOC_MAGIC, 0x4c, struct tandem_ioc_retry)

#endif
