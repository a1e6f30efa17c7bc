/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An address space of the GPU: one open file, bound by TANDEM_IOC_INIT to one process's memory.
 */
#ifndef TANDEM_AS_H
#define TANDEM_AS_H

#include <linux/mmu_notifier.h>

#include "tandem_device.h"
#include "tandem_policy.h"
#include "tandem_pt.h"

/*
 *   NEW -> ACTIVE         TANDEM_IOC_INIT bound it
 *   NEW | ACTIVE -> LOST  the device was reset or went away under it
 *   any -> ENDED          close, exit, exec: unbound
 *
 * One function per arrow, each under as->lock. Read without the lock where a stale value does no
 * harm.
 */
enum tandem_as_state {
	TANDEM_AS_NEW = 1,
	TANDEM_AS_ACTIVE,
	TANDEM_AS_LOST,
	TANDEM_AS_ENDED,
};

/* A fault record, reduced to what the service needs. */
struct tandem_fault {
	u64 va;
	u64 pc;
	u32 queue;
	u8 access;  /* enum tandem_access */
	u8 reason;  /* enum tandem_fault_reason */
	bool resident_only;
};

/*
 * Records that wait for service. A record that finds no room is dropped: the REPLAY that follows
 * each batch makes the device record anew whatever still waits.
 */
#define TANDEM_FAULTS_PENDING 256

struct tandem_fault_inbox {
	spinlock_t lock;          /* taken in interrupts */
	unsigned int count;
	struct tandem_fault pending[TANDEM_FAULTS_PENDING];
	struct tandem_fault batch[TANDEM_FAULTS_PENDING]; /* the service's own */
};

/* Regions that access counters reported and nobody has looked at yet. */
#define TANDEM_HOT_REGIONS 32

struct tandem_hot {
	spinlock_t lock;          /* taken in interrupts */
	struct work_struct work;
	unsigned int count;
	bool overflow;
	u64 regions[TANDEM_HOT_REGIONS];
};

struct tandem_as_stats {
	atomic64_t faults;
	atomic64_t fault_batches;
	atomic64_t faults_cancelled;
	atomic64_t faults_skipped;
	atomic64_t faults_retried;
	atomic64_t pages_mapped;
	atomic64_t invalidations;
	atomic64_t invalidations_empty;
	atomic64_t invalidate_wait_ns;
	atomic64_t pages_to_vram;
	atomic64_t pages_to_system;
	atomic64_t pages_evicted;
	atomic64_t thrash_pins;
	atomic64_t exclusive_taken;
	atomic64_t exclusive_returned;
	atomic64_t cpu_faults;
	atomic64_t cause[TANDEM_STATS_CAUSES];
};

struct tandem_as {
	struct kref ref;
	struct tandem_device *tdev;
	struct list_head node;         /* in tdev->spaces, from INIT to teardown */
	struct work_struct free_work;
	struct rcu_head rcu;

	struct mutex setup_lock; /* INIT and teardown, once each */
	struct mutex lock;	 /* state, queues, the order of this address space's commands */
	enum tandem_as_state state;
	bool quiet;                    /* nothing of it is alive on the device, for good */
	u32 epoch;                     /* of the device when it was bound */
	u32 pasid;                     /* 0: none */
	struct mm_struct *mm;          /* mm_count reference, from INIT to the end */
	enum tandem_translation translation;
	struct iommu_sva *sva;         /* SVA: the process's bond with the IOMMU; setup_lock */
	u32 bus_pasid;                 /* SVA: and the PASID that it gave, else 0 */
	bool draining;                 /* SVA: unbound, but page requests await their answers */
	struct mmu_notifier notifier;  /* exit and ageing */
	bool notifier_registered;
	struct tandem_check_as *check; /* NULL: no checker */
	pid_t tgid;
	char comm[16];

	struct tandem_pt pt;
	struct mutex chunks_lock;      /* making chunks against teardown and revocations */
	bool chunks_closed;
	struct xarray chunks;          /* struct tandem_chunk, by number */
	struct tandem_holds holds;

	struct tandem_policy policy;
	u32 deny_huge;                 /* dmirror: the next 2 MiB for a page that moves is denied */
	enum tandem_retry_mode retry;  /* written under lock, while there are no queues */
	u64 revocations;               /* grants taken back, under OFF; chunks_lock */

	struct tandem_hot hot;

	struct work_struct service;
	struct tandem_fault_inbox *faults;

	struct file *doorbell_file;
	struct page *doorbell_dummy; /* what a doorbell write hits when the address space is over */
	struct mutex doorbell_lock;  /* doorbell_open against inserting the page */
	bool doorbell_open;
	DECLARE_BITMAP(doorbell_map, TANDEM_DOORBELLS_PER_PAGE);

	struct list_head queues;
	unsigned int queue_count;
	wait_queue_head_t wait;        /* TANDEM_IOC_WAIT */

	struct tandem_as_stats stats;
};

/* tandem_as.c */
struct tandem_as *tandem_as_create(struct tandem_device *tdev);
int tandem_as_init(struct tandem_as *as, struct tandem_ioc_init *args);
int tandem_as_unbind(struct tandem_as *as);
void tandem_as_stop(struct tandem_as *as);
void tandem_as_lose(struct tandem_as *as);
void tandem_as_teardown(struct tandem_as *as);
void tandem_as_get(struct tandem_as *as);
void tandem_as_put(struct tandem_as *as);
int tandem_as_enter(struct tandem_as *as);
int tandem_as_error(struct tandem_as *as);
bool tandem_as_post(struct tandem_as *as, struct tandem_command *command);
bool tandem_as_moves_pages(struct tandem_as *as);
struct tandem_as *tandem_as_by_pasid(struct tandem_device *tdev, u32 pasid);

/* tandem_window.c */
struct tandem_service_result {
	u64 start, end;  /* what was mapped */
	u64 pages;
};

/* How much around the pages asked for is looked at, and how it is mapped. */
struct tandem_mirror_wish {
	u64 around;      /* bytes, power of two from 4 KiB to 2 MiB */
	u64 from, to;    /* but nothing outside of this; to 0: no limit */
	bool write;      /* the pages asked for must be writable */
	bool atomic;     /* one page is asked for, and atomics on it */
	bool read_only;  /* what lies in the system's memory is mapped without WRITE */
	bool keeps_lock; /* mmap_lock is kept over faults: who would have to drop it fails */
	u64 revocations; /* as->revocations, from before the grant was asked for */
	bool resident;   /* what is there now is mapped, and nothing else is done */
};

int tandem_mirror_fault(struct tandem_as *as, u64 va, unsigned int pages,
			struct tandem_mirror_wish wish, struct tandem_service_result *result);
bool tandem_mirror_is_in_vram(struct tandem_as *as, u64 va, unsigned int pages);

/* tandem_mirror.c */
u16 tandem_mirror_cause(enum mmu_notifier_event event);
u64 tandem_mirror_entry(struct tandem_as *as, u64 va);
bool tandem_mirror_is_mapped(struct tandem_as *as, u64 va, bool write, bool atomic);
void tandem_mirror_drop(struct tandem_as *as, u64 start, u64 end);
bool tandem_mirror_was_used(struct tandem_as *as, u64 start, u64 end);
bool tandem_mirror_young(struct tandem_as *as, unsigned long start, unsigned long end, bool clear);
void tandem_mirror_close(struct tandem_as *as);
void tandem_mirror_free(struct tandem_as *as);

/* tandem_sva.c */
bool tandem_sva_is_there(struct tandem_device *tdev);
int tandem_sva_bind(struct tandem_as *as);
u32 tandem_sva_explain(struct tandem_as *as, u64 va, u32 access);
void tandem_sva_drain(struct tandem_as *as);
void tandem_sva_unbind(struct tandem_as *as);

/* tandem_fault.c, tandem_service.c */
void tandem_service_work(struct work_struct *work);

/* tandem_hot.c */
void tandem_hot_report(struct tandem_device *tdev, const struct tandem_event *event);
void tandem_hot_work(struct work_struct *work);

/* tandem_doorbell.c */
int tandem_doorbell_init(struct tandem_as *as);
void tandem_doorbell_zap(struct tandem_as *as);
void tandem_doorbell_fini(struct tandem_as *as);
int tandem_doorbell_mmap(struct tandem_as *as, struct vm_area_struct *vma);

/* tandem_range_ioctl.c */
int tandem_range_set(struct tandem_as *as, const struct tandem_ioc_range *args);
int tandem_range_get(struct tandem_as *as, struct tandem_ioc_range *args);

/* tandem_memory_ioctl.c */
bool tandem_memory_range_is_bad(u64 start, u64 length);
int tandem_memory_map_present(struct tandem_as *as, u64 start, u64 end);
int tandem_memory_prefetch(struct tandem_as *as, struct tandem_ioc_prefetch *args);
int tandem_memory_pages(struct tandem_as *as, const struct tandem_ioc_pages *args);

/* tandem_retry.c */
int tandem_retry_ioctl(struct tandem_as *as, struct tandem_ioc_retry *args);
bool tandem_retry_grants(struct tandem_as *as, u64 va);
int tandem_retry_refusal(struct tandem_as *as, u64 va);
void tandem_retry_revoke(struct tandem_as *as, u64 start, u64 end);

/* tandem_wait.c */
int tandem_wait_signal(struct tandem_as *as, struct tandem_ioc_wait *args);

/* tandem_stats.c */
void tandem_stats_as(struct tandem_as *as, struct tandem_ioc_stats *out);

#endif
