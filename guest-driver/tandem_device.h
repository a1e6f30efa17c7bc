/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the driver share: the device, its rings, and the functions that one duty offers
 * to the others. The order of locks, and what each protects, stands in docs/locking.md.
 */
#ifndef TANDEM_DEVICE_H
#define TANDEM_DEVICE_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "tandem_abi.h"
#include "tandem_checker.h"
#include "tandem_exclusive.h"
#include "tandem_gate.h"
#include "tandem_uapi.h"
#include "tandem_vram.h"

#define TANDEM_NAME "tandem"

struct tandem_as;
struct tandem_queue;

/*
 * Life of the hardware: DOWN -> UP (tandem_device_start), UP -> DOWN (a reset), DOWN | UP -> GONE
 * (remove). Changed under hw_lock only. Whenever it leaves UP the device has been reset under that
 * same hold of the lock, so whoever sees another epoch than its own knows that nothing of the old
 * epoch is alive.
 */
enum tandem_hw_state {
	TANDEM_HW_DOWN = 1,
	TANDEM_HW_UP,
	TANDEM_HW_GONE,
};

/* How long a caller may wait. */
enum tandem_wait_mode {
	TANDEM_MAY_SLEEP = 1,
	TANDEM_MUST_NOT_SLEEP, /* polls for nonblock_us at most */
};

/*
 * A point in one of the driver's rings. It is reached when the device has completed the entry, or
 * was reset since: after a reset nothing that the entry was about is alive. seqno 0 is reached from
 * the beginning.
 */
struct tandem_fence {
	u64 seqno;
	u32 epoch;
};

/* A ring that the driver produces and the device consumes. Protected by hw_lock. */
struct tandem_ring {
	struct tandem_device *dev;
	void *entries;
	dma_addr_t dma;
	u64 seqno;              /* of the entry written last, in this epoch */
	u32 put;
	u32 reserved;           /* slots promised and not yet used */
	u32 reg_base, reg_order, reg_put;
	const u64 *done;        /* in the status page */
	const u32 *get;         /* in the status page */
	enum tandem_vector vector;
	wait_queue_head_t wait;
};

/* A ring that the device produces and the driver consumes. */
struct tandem_report_ring {
	struct tandem_device *dev;
	spinlock_t lock;        /* taken in interrupts */
	void *entries;
	dma_addr_t dma;
	u32 get;
	u32 reg_base, reg_order, reg_get;
	const u32 *put;         /* in the status page */
};

#define TANDEM_RING_ORDER   8
#define TANDEM_RING_ENTRIES BIT(TANDEM_RING_ORDER)

/* What the device said about itself at probe. */
struct tandem_config {
	u32 abi_version;
	u32 compute_units;
	u32 waves_per_cu;
	u32 lds_bytes;
	u32 address_spaces;
	u32 max_queues;
	u32 features;
	u64 vram_bytes;
};

/* Counters of the driver for the whole device (debugfs). */
struct tandem_device_stats {
	atomic64_t interrupts[TANDEM_VECTOR_COUNT];
	atomic64_t fault_records;
	atomic64_t fault_records_stale; /* of an address space that is no more */
	atomic64_t fault_records_flushed; /* forgotten on request: the device has them anew */
	atomic64_t events;
	atomic64_t commands;
	atomic64_t invalidations;
	atomic64_t invalidate_sleeps;   /* waits that had to go to sleep */
	atomic64_t nonblock_refused;
	atomic64_t resets;
};

struct tandem_command_failure {
	u64 seqno;
	u16 code;
};

struct tandem_device {
	struct kref ref;
	struct pci_dev *pdev;
	struct device *dev;
	int index;
	char name[24];
	struct miscdevice misc;
	char dmirror_name[24];
	struct miscdevice dmirror;     /* registered with hmm_dmirror=1 */
	struct dentry *debugfs;
	struct tandem_config config;
	enum tandem_atomics atomics;
	bool translated;               /* an IOMMU stands before its DMA */

	void __iomem *regs;
	phys_addr_t doorbells;	       /* of page 0 in BAR 2 */
	struct rw_semaphore mmio_lock; /* read: registers may be read, if not GONE */

	spinlock_t hw_lock;            /* hw, epoch, irq_sleepers and the driver's rings */
	enum tandem_hw_state hw;
	u32 epoch;                     /* counts resets; written under hw_lock, read anywhere */
	bool counts_accesses;          /* hw_lock: some range asked for it once */
	u32 irq_sleepers[TANDEM_VECTOR_COUNT];

	struct tandem_status_page *status;
	dma_addr_t status_dma;
	struct tandem_ring command;
	struct tandem_ring invalidate;
	struct tandem_report_ring fault;
	struct tandem_report_ring event;
	struct tandem_command_failure failures[TANDEM_RING_ENTRIES]; /* event.lock */
	atomic64_t failures_lost; /* overwritten before anybody asked for them */

	struct mutex spaces_lock;      /* spaces, pasid_map, last_pasid */
	struct list_head spaces;
	unsigned long *pasid_map;
	u32 last_pasid;
	struct xarray by_pasid;        /* read under RCU */

	spinlock_t queue_lock;         /* queues, queue_map, last_queue; taken in interrupts */
	struct tandem_queue **queues;
	unsigned long *queue_map;
	u32 last_queue;

	struct tandem_vram vram;
	struct tandem_check check;

	struct work_struct recovery;
	struct tandem_gates gates;
	struct tandem_device_stats stats;
};

extern unsigned int tandem_deadline_ms;
extern unsigned int tandem_spin_us;
extern unsigned int tandem_nonblock_us;
extern unsigned int tandem_fault_around;
extern unsigned int tandem_retry_ms;
extern unsigned int tandem_queues_per_file;
extern unsigned int tandem_access_threshold;
extern struct workqueue_struct *tandem_wq;

static inline u32 tandem_read32(struct tandem_device *tdev, u32 reg)
{
	return readl(tdev->regs + reg);
}

static inline u64 tandem_read64(struct tandem_device *tdev, u32 reg)
{
	return readq(tdev->regs + reg);
}

static inline void tandem_write32(struct tandem_device *tdev, u32 reg, u32 value)
{
	writel(value, tdev->regs + reg);
}

static inline void tandem_write64(struct tandem_device *tdev, u32 reg, u64 value)
{
	writeq(value, tdev->regs + reg);
}

static inline bool tandem_device_is_gone(struct tandem_device *tdev)
{
	return READ_ONCE(tdev->hw) == TANDEM_HW_GONE;
}

static inline u32 tandem_epoch(struct tandem_device *tdev)
{
	/*
	 * Pairs with the release in tandem_hw_kill(): who sees the new epoch sees the reset as
	 * done.
	 */
	return smp_load_acquire(&tdev->epoch);
}

/* tandem_drv.c */
void tandem_device_get(struct tandem_device *tdev);
void tandem_device_put(struct tandem_device *tdev);

/* tandem_ring.c */
int tandem_rings_alloc(struct tandem_device *tdev);
void tandem_rings_free(struct tandem_device *tdev);
void tandem_rings_program(struct tandem_device *tdev);
bool tandem_ring_reserve(struct tandem_ring *ring, enum tandem_wait_mode mode);
void tandem_ring_unreserve(struct tandem_ring *ring);
struct tandem_fence tandem_ring_submit(struct tandem_ring *ring, void *entry, u32 epoch);
bool tandem_ring_wait(struct tandem_ring *ring, struct tandem_fence fence,
		      enum tandem_wait_mode mode);
bool tandem_fence_reached(struct tandem_ring *ring, struct tandem_fence fence);

/* tandem_command.c */
struct tandem_fence tandem_command_post(struct tandem_device *tdev, struct tandem_command *command,
					u32 epoch);
int tandem_command_sync(struct tandem_device *tdev, struct tandem_command *command, u32 epoch);

/* tandem_invalidate.c */
bool tandem_invalidate_reserve(struct tandem_device *tdev, enum tandem_wait_mode mode);
void tandem_invalidate_unreserve(struct tandem_device *tdev);
struct tandem_fence tandem_invalidate_send(struct tandem_as *as, struct tandem_invalidate *entry,
					   enum tandem_wait_mode mode);
bool tandem_invalidate_wait(struct tandem_as *as, struct tandem_fence fence,
			    enum tandem_wait_mode mode);
void tandem_invalidate_good(struct tandem_as *as, u64 start, u64 end);

/* tandem_irq.c */
int tandem_irq_init(struct tandem_device *tdev);
void tandem_irq_fini(struct tandem_device *tdev);
void tandem_irq_arm(struct tandem_device *tdev, enum tandem_vector vector);
void tandem_irq_disarm(struct tandem_device *tdev, enum tandem_vector vector);
u32 tandem_irq_enable_mask(struct tandem_device *tdev);

/* tandem_event.c */
void tandem_event_drain(struct tandem_device *tdev);
int tandem_event_command_error(struct tandem_device *tdev, u64 seqno);

/* tandem_fault.c */
void tandem_fault_drain(struct tandem_device *tdev);
void tandem_fault_flush(struct tandem_device *tdev);
int tandem_fault_settle(struct tandem_device *tdev, unsigned int timeout_ms);

/* tandem_reset.c */
int tandem_device_start(struct tandem_device *tdev);
void tandem_hw_reset(struct tandem_device *tdev, u32 epoch, const char *why);
void tandem_hw_count_accesses(struct tandem_device *tdev);
void tandem_hw_gone(struct tandem_device *tdev);
void tandem_recovery_work(struct work_struct *work);

/* tandem_ioctl.c */
extern const struct file_operations tandem_fops;

/* tandem_stats.c */
void tandem_stats_counters(struct tandem_device *tdev, u64 *counters, unsigned int count);

/* tandem_debugfs.c */
#ifdef CONFIG_DEBUG_FS
void tandem_debugfs_init(struct tandem_device *tdev);
void tandem_debugfs_fini(struct tandem_device *tdev);
#else
static inline void tandem_debugfs_init(struct tandem_device *tdev) {}
static inline void tandem_debugfs_fini(struct tandem_device *tdev) {}
#endif

#endif
