/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libtandem: the GPU from a process's point of view. Open the device, make a queue, load a kernel, dispatch it on memory the
 * process has anyway (malloc, stack, mmap, new), wait. Submitting work makes no system call; waiting sleeps in the driver.
 * First step of the journey: "writes an AQL packet in its own memory, rings a doorbell".
 *
 * Errors are values: each function that can fail returns 0 or a negative enum tandem_status, and leaves a sentence about
 * what went wrong in tandem_error_text(), which belongs to the calling thread. Out parameters are written on success only.
 *
 * Ownership: what a _create, _open or _load function gives belongs to the caller until the matching call takes it back. A device
 * must outlive its queues and modules.
 *
 * Threads: all functions on one device may be called from several threads at once, and several threads may submit to one
 * queue. Nobody may use an object while another thread destroys it. fork(): the child must not use any object of its parent
 * (the driver answers EPERM); it opens the device anew. exec and exit end everything by themselves.
 *
 * Units: sizes in bytes, times in nanoseconds, grids in work items.
 */
#ifndef TANDEM_H
#define TANDEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tandem_aql.h"
#include "tandem_fault.h"
#include "tandem_regs.h"
#include "tandem_report.h"
#include "tandem_ring.h"
#include "tandem_trace.h"
#include "tandem_uapi.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tandem_status {
	TANDEM_SUCCESS           = 0,
	TANDEM_ERROR_NO_DEVICE   = -1,  /* no such device file: no GPU, or the driver is not loaded */
	TANDEM_ERROR_ACCESS      = -2,  /* not allowed: permissions, or a child uses its parent's device */
	TANDEM_ERROR_BUSY        = -3,
	TANDEM_ERROR_UNSUPPORTED = -4,  /* this machine has it not: a kind of translation, a version */
	TANDEM_ERROR_INVALID     = -5,  /* an argument is out of its range */
	TANDEM_ERROR_MEMORY      = -6,  /* the process or the kernel is out of memory */
	TANDEM_ERROR_EXHAUSTED   = -7,  /* no queue, doorbell or address space left */
	TANDEM_ERROR_TIMEOUT     = -8,
	TANDEM_ERROR_QUEUE       = -9,  /* the queue stopped: see tandem_queue_describe() */
	TANDEM_ERROR_LOST        = -10, /* the device was reset under us: close, and open anew */
	TANDEM_ERROR_FILE        = -11, /* not a kernel file that the GPU could run */
	TANDEM_ERROR_NOT_FOUND   = -12, /* no such kernel, no such file */
	TANDEM_ERROR_SYSTEM      = -13, /* any other failure of a system call */
	TANDEM_ERROR_LIMIT       = -14,
};

/* A few words for a status; never NULL, static. */
const char *tandem_strerror(int status);

/* The sentence left by this thread's last call that failed; "" if none did. Valid until the thread's next call. */
const char *tandem_error_text(void);

struct tandem_device; /* opaque: one address space of the GPU, bound to this process's memory */
struct tandem_queue;  /* opaque */
struct tandem_module; /* opaque: a kernel file in memory */

/* ---- device ---- */

struct tandem_open_options {
	uint32_t translation; /* enum tandem_translation; 0: as TANDEM_TRANSLATION says (mirror, sva, softtlb), else mirror */
	const char *path;     /* NULL: as TANDEM_DEVICE says, else /dev/tandem0 */
	uint32_t flags;       /* TANDEM_INIT_*; TANDEM_MIGRATE=1 in the environment adds TANDEM_INIT_MIGRATE */
};

/* options may be NULL. */
int tandem_open(const struct tandem_open_options *options, struct tandem_device **device);

/* Destroys the queues and modules that are left, then waits until nothing of this address space runs. NULL is allowed. */
void tandem_close(struct tandem_device *device);

int tandem_query(struct tandem_device *device, struct tandem_ioc_query *info);
int tandem_get_stats(struct tandem_device *device, struct tandem_ioc_stats *stats);

/* The address space's number, as it stands in traces. */
uint32_t tandem_pasid(const struct tandem_device *device);

/* TANDEM_TRANSLATION_SVA: the process's PASID in the IOMMU, of all its devices; else 0. */
uint32_t tandem_bus_pasid(const struct tandem_device *device);

/* The open file, for calls that this library does not wrap. It stays the device's. */
int tandem_file(const struct tandem_device *device);

/* ---- device memory ----
 *
 * Any page of the process may lie in the GPU's memory and stays the process's: pointers do not change, and a CPU that reads or
 * writes it finds its contents (a private page comes home for that; tandem_query() tells the kind in vram_kind). Here a
 * program says where pages should be; it never has to. Ranges are multiples of 4 KiB, or TANDEM_ERROR_INVALID.
 * TANDEM_ERROR_UNSUPPORTED: this GPU has no memory for processes.
 */

/*
 * Moves the range's pages now: to this GPU's memory (TANDEM_LOCATION_DEVICE) or to the system's. Pages that are not there yet, or
 * that cannot move (file, shared, pinned ...), stay where they are: success all the same. moved (may be NULL) takes the number
 * of pages that moved. TANDEM_ERROR_MEMORY: no room, even after evicting.
 */
int tandem_prefetch(struct tandem_device *device, const void *address, size_t bytes, enum tandem_location location,
		    uint64_t *moved);

/*
 * Wishes for a range of addresses: where its pages are preferred, TANDEM_RANGE_* flags, and how much one fault moves.
 * wishes->fields says which of the three are set. They hold until they are set anew, whatever is mapped there meanwhile, or until the device is closed.
 */
int tandem_range_set(struct tandem_device *device, const struct tandem_ioc_range *wishes);

/* The wishes that hold at an address, and the range around it that has the same. */
int tandem_range_get(struct tandem_device *device, const void *address, struct tandem_ioc_range *wishes);

/* Where pages are at this moment, a byte each (TANDEM_PAGE_*): bytes / 4096 of them, bytes at most 1 GiB. Moves nothing. */
int tandem_pages(struct tandem_device *device, const void *address, size_t bytes, uint8_t *pages);

/*
 * Whether GPU accesses that find no translation are made good wherever the process has memory (TANDEM_RETRY_ON, as after
 * tandem_open()) or only where TANDEM_RANGE_ACCESSED_BY was set beforehand. mode 0 only asks; now (may be NULL) takes what holds
 * then. TANDEM_ERROR_BUSY: the device has queues.
 */
int tandem_retry(struct tandem_device *device, unsigned int mode, enum tandem_retry_mode *now);

/* ---- kernels ---- */

/*
 * Brings an ELF file made by tandem-kcc into the process's memory: text and constants read-only, data private to this load.
 * The file is checked whole before anything is mapped; TANDEM_ERROR_FILE with a sentence says what is wrong with it.
 */
int tandem_module_load(struct tandem_device *device, const char *path, struct tandem_module **module);

/* The same for an image in memory, which is copied. name is for messages. */
int tandem_module_load_memory(struct tandem_device *device, const void *image, size_t bytes, const char *name,
			      struct tandem_module **module);

/*
 * Finds the file `name` (say "vecadd.elf"): as it stands if it contains a slash, else in each directory of TANDEM_KERNEL_PATH
 * (separated by colons), else beside the executable, else in ../kernels from there, else among those that come with Tandem. Then as
 * tandem_module_load().
 */
int tandem_module_find(struct tandem_device *device, const char *name, struct tandem_module **module);

/* No dispatch of its kernels may be under way. NULL is allowed. */
void tandem_module_unload(struct tandem_module *module);

/* A kernel by name. The descriptor lives as long as the module. TANDEM_ERROR_NOT_FOUND names those that are there. */
int tandem_module_kernel(struct tandem_module *module, const char *name, const struct tandem_kernel_descriptor **kernel);

/* Where a variable or function of the kernel file lies in this process: CPU and GPU see the same one. */
int tandem_module_symbol(struct tandem_module *module, const char *name, void **address, size_t *bytes);

/* ---- signals ---- */

/*
 * A signal is 64 bytes of memory, aligned to 64, anywhere in the process. Work that is given one decrements its value when it
 * completes. Make it with tandem_signal_init() in memory of your own, or let tandem_signal_create() allocate it.
 */
void tandem_signal_init(struct tandem_signal *signal, int64_t value);
int tandem_signal_create(int64_t value, struct tandem_signal **signal);
void tandem_signal_destroy(struct tandem_signal *signal);

/* The value, with acquire order. */
int64_t tandem_signal_value(const struct tandem_signal *signal);

#define TANDEM_FOREVER ((int64_t)-1)

/*
 * Waits until the signal's value is 0 or less: spins for a moment, then sleeps. queue: whose failure ends the wait with
 * TANDEM_ERROR_QUEUE and a sentence about it. timeout_ns: TANDEM_FOREVER, or TANDEM_ERROR_TIMEOUT when it is over. Signal
 * handlers run meanwhile, and the wait goes on.
 */
int tandem_wait(struct tandem_queue *queue, const struct tandem_signal *signal, int64_t timeout_ns);

/* The same for any comparison; observed (may be NULL) takes the value seen last. */
int tandem_wait_until(struct tandem_queue *queue, const struct tandem_signal *signal, enum tandem_wait_condition condition,
		      int64_t value, int64_t timeout_ns, int64_t *observed);

/* ---- queues ---- */

struct tandem_queue_options {
	uint32_t ring_order;         /* log2 of the packets; 0: 8 */
	uint32_t scratch_lane_bytes; /* stack of a lane, multiple of 16, 256 at least; 0: 4096 */
	uint32_t scratch_waves;      /* wavefronts live at a time, 32 at least; 0: as many as the device has room for */
	uint32_t retry_limit;        /* replays of one access before the queue fails; 0: no limit */
	uint32_t flags;              /* TANDEM_QUEUE_RESIDENT_ONLY */
};

/* options may be NULL. Allocates ring, indices and stacks. */
int tandem_queue_create(struct tandem_device *device, const struct tandem_queue_options *options, struct tandem_queue **queue);

/* When it returns the GPU does nothing for this queue any more, however wild its kernels run. NULL is allowed. */
void tandem_queue_destroy(struct tandem_queue *queue);

int tandem_queue_status(struct tandem_queue *queue, struct tandem_ioc_queue_status *status);

/* Writes a sentence on the queue's state: error, address, program counter with symbol. Returns text. */
char *tandem_queue_describe(struct tandem_queue *queue, char *text, size_t bytes);

/*
 * What the device wrote about the wavefront that stopped the queue: lane, registers, work item. TANDEM_ERROR_NOT_FOUND if the
 * queue has not failed, or by something else than a wavefront.
 */
int tandem_queue_report(struct tandem_queue *queue, struct tandem_wave_report *report);

/*
 * Writes the sentence of tandem_queue_describe() and, if a wavefront failed, lines about its work item, the disassembled code
 * around the instruction and the lane's registers. 4 KiB are room enough. Returns text. Programs that call this are linked with
 * Capstone, if this library was built with it.
 */
char *tandem_queue_explain(struct tandem_queue *queue, char *text, size_t bytes);

/* The queue's number on the device and its indices, for traces and tests. */
uint32_t tandem_queue_number(const struct tandem_queue *queue);
const struct tandem_queue_indices *tandem_queue_progress(const struct tandem_queue *queue);

/* ---- work ----
 *
 * Packets are taken in the order of submission. Two dispatches of one queue may run at the same time, unless the later one
 * has `barrier` set. When a signal is decremented, everything that the work wrote is visible to the CPUs.
 * When the ring is full, a submission waits until there is room or the queue fails.
 */

struct tandem_launch {
	const struct tandem_kernel_descriptor *kernel;
	uint32_t grid[3];                 /* work items; 0 counts as 1 */
	uint16_t group[3];                /* work items of a workgroup, product at most TANDEM_WORKGROUP_MAX; 0 counts as 1 */
	bool barrier;                     /* starts when everything before it has completed */
	uint32_t group_bytes;             /* LDS beyond what the kernel declares */
	uint32_t private_bytes;           /* stack of a lane beyond what the kernel declares; 0: the kernel's */
	const void *arguments;            /* what the kernel gets in its argument; must live until completion */
	struct tandem_signal *completion; /* or NULL */
};

int tandem_dispatch(struct tandem_queue *queue, const struct tandem_launch *launch);

/* tandem_dispatch() and tandem_wait() on a signal of its own; launch->completion must be NULL. */
int tandem_run(struct tandem_queue *queue, const struct tandem_launch *launch, int64_t timeout_ns);

/* The copy engine. The areas must not overlap. fill: bytes must be a multiple of 8. */
int tandem_copy(struct tandem_queue *queue, void *destination, const void *source, uint64_t bytes,
		struct tandem_signal *completion);
int tandem_fill(struct tandem_queue *queue, void *destination, uint64_t pattern, uint64_t bytes,
		struct tandem_signal *completion);

enum tandem_barrier_kind {
	TANDEM_BARRIER_ALL = TANDEM_PACKET_BARRIER_AND,
	TANDEM_BARRIER_ANY = TANDEM_PACKET_BARRIER_OR,
};

/* Holds the packets behind it that have `barrier` set until all (or one) of at most 5 signals are 0. */
int tandem_barrier(struct tandem_queue *queue, enum tandem_barrier_kind kind, struct tandem_signal *const *signals,
		   unsigned int count, struct tandem_signal *completion);

/* A packet of 64 bytes of your own, as it is; its first 16 bits are written last. For tests and new kinds of packet. */
int tandem_submit(struct tandem_queue *queue, const void *packet);

#ifdef __cplusplus
}
#endif

#endif
