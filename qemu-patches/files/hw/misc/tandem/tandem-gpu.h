/*
 * Tandem GPU: what the parts of the QEMU device share.
 *
 * The hardware itself is a library (libtandem-model) behind one C header.
 * The device translates between it and QEMU and decides nothing:
 *
 *   tandem-gpu.c      QOM, PCI Express, BARs, reset
 *   tandem-properties.c  properties: defaults, words, descriptions
 *   tandem-exec.c     device lock, device thread or timer, interrupts
 *   tandem-dma.c      the memory that the GPU reaches
 *   tandem-ats.c      what the GPU asks of the IOMMU, and what that takes back
 *   tandem-fabric.c   the link between GPUs: peers and their memory
 *   tandem-trace.c    trace file and trace events
 *   tandem-check.c    reports of the coherence checker
 *   tandem-migration.c  saved state
 *   tandem-monitor.c  "info tandem", counters
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_TANDEM_GPU_H
#define HW_MISC_TANDEM_GPU_H

#include <tandem/model.h>

#include "hw/pci/pci_device.h"
#include "qemu/notify.h"
#include "qemu/queue.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "qom/object.h"
#include "system/memory.h"
#include "system/runstate.h"
#include "trace/control.h"

#define TYPE_TANDEM_GPU "tandem-gpu"
OBJECT_DECLARE_SIMPLE_TYPE(TandemGpu, TANDEM_GPU)

typedef enum TandemExecution {
    TANDEM_EXECUTION_PARALLEL,      /* a thread of its own */
    TANDEM_EXECUTION_DETERMINISTIC, /* a timer on QEMU_CLOCK_VIRTUAL */
} TandemExecution;

/* Who runs the model, and when.  Owned by tandem-exec.c. */
typedef struct TandemExec {
    TandemExecution mode;
    QemuMutex lock;           /* the device lock */

    /* The turnstile; see tandem_enter(). */
    uint32_t tickets_taken;   /* atomic */
    uint32_t tickets_served;  /* atomic; written under the lock */
    QemuCond turnstile;       /* a visitor has left */
    bool at_turnstile;        /* the device thread waits there; lock */

    /* Parallel */
    QemuThread thread;
    QemuCond wake;            /* work, stop or vm_running changed */
    bool thread_started;      /* BQL */
    bool work;                /* the model may have something to do; lock */
    bool stop;                /* lock */
    unsigned polls;           /* device lock */
    bool vm_running;          /* lock */
    QEMUBH *interrupt_bh;
    VMChangeStateEntry *vm_state;

    /* Deterministic */
    QEMUTimer *timer;         /* BQL */

    uint32_t pending_vectors; /* atomic: raised, not yet delivered */
} TandemExec;

/* A piece of RAM that the GPU reaches, at its place on the bus. */
typedef struct TandemDmaSection {
    uint64_t start;
    uint64_t last;
    uint64_t offset;          /* of start in mr */
    MemoryRegion *mr;         /* referenced */
    uint8_t *host;            /* pointer to start */
    bool writable;
} TandemDmaSection;

/* The memory that the GPU reaches.  Owned by tandem-dma.c. */
typedef struct TandemDma {
    MemoryListener listener;  /* of the bus */
    MemoryListener memory_listener;
    GArray *next;             /* RAM on the bus, being put together; BQL */
    GArray *memory;           /* the same for the system's memory; BQL */
    unsigned iommus;          /* on the bus: then memory is used; BQL */
    bool changed;             /* since the last commit; BQL */
    bool translated;          /* what the model was told; device lock */
    GArray *sections;         /* in address order; device lock */
    unsigned last_hit;        /* device lock */
} TandemDma;

/* Where trace records go.  Owned by tandem-trace.c. */
typedef struct TandemTrace {
    GPtrArray *events;        /* QEMU's trace events of the record types */
    bool file_on;             /* property trace-recording; device lock */
    bool model_on;            /* what the model was told; device lock */

    int fd;                   /* -1: no file */
    uint64_t records;         /* taken since the header; device lock */
    uint64_t last_ns;         /* time of the last one; device lock */
    uint8_t *filling;         /* buffer being filled; device lock */
    size_t filled;            /* bytes in it; device lock */

    QemuMutex write_lock;     /* a leaf: taken with or without device lock */
    uint8_t *writing;         /* buffer being written; write_lock */
    size_t to_write;          /* bytes in it; write_lock */
    uint64_t lost;            /* records; write_lock */
    int error;                /* errno of the first failure; write_lock */
} TandemTrace;

/* Another GPU's video memory.  The region is its owner's. */
typedef struct TandemPeer {
    MemoryRegion *vram;       /* NULL: there is no such peer, or it has none */
    uint8_t *host;
    uint64_t bytes;
} TandemPeer;

/* The link between GPUs.  Owned by tandem-fabric.c. */
typedef struct TandemFabric {
    QLIST_ENTRY(TandemGpu) next;           /* BQL */
    bool joined;                           /* BQL */
    TandemPeer peers[TANDEM_FABRIC_LIMIT]; /* by number; device lock */
    bool poison_untold;                    /* atomic: peers must be told */
    QEMUBH *poison_bh;
} TandemFabric;

/* Between the GPU and the IOMMU.  Owned by tandem-ats.c. */
typedef struct TandemAts {
    GArray *calls;            /* of the model, in order; device lock */
    bool calls_wait;          /* there are some; atomic, device lock */
    GHashTable *pasids;       /* known to the IOMMU; BQL */
    QEMUBH *bh;
} TandemAts;

struct TandemGpu {
    PCIDevice parent_obj;

    /* Properties */
    struct tandem_model_config config;
    char *store_drain;
    char *atomics;
    char *execution;
    char *trace_path;
    char *check_log;
    char *mutation;
    char *poison;
    uint32_t slice_ticks;
    uint32_t quantum_ns;

    MemoryRegion regs_bar;
    MemoryRegion regs;
    MemoryRegion doorbells;
    MemoryRegion vram_bar;
    MemoryRegion vram;

    GArray *poison_at_start;    /* offsets, from the property; after check */

    struct tandem_model *model; /* device lock; NULL: not realized */
    TandemExec exec;
    TandemDma dma;
    TandemAts ats;
    TandemFabric fabric;
    TandemTrace trace;
    int check_fd;               /* -1: no file; device lock */

    uint8_t *saved;             /* the model's state while it is migrated */
    uint32_t saved_bytes;

    Notifier exit_notifier;
};

/* The name the user gave the device, for messages. */
const char *tandem_gpu_name(TandemGpu *s);
/* BQL held: the device's state has been replaced. */
void tandem_gpu_loaded(TandemGpu *s);
/* The page of video memory is poisoned from now on. */
bool tandem_gpu_poison(TandemGpu *s, uint64_t offset, Error **errp);

/* tandem-properties.c */
void tandem_properties_class_init(ObjectClass *klass);
void tandem_properties_init(TandemGpu *s);
void tandem_properties_finalize(TandemGpu *s);
bool tandem_properties_check(TandemGpu *s, Error **errp);

/*
 * tandem-exec.c.  tandem_enter() and tandem_leave() bracket each use of the
 * model outside its own thread.
 */
void tandem_exec_init(TandemGpu *s);
void tandem_exec_finalize(TandemGpu *s);
bool tandem_exec_configure(TandemGpu *s, Error **errp);
void tandem_exec_start(TandemGpu *s);
void tandem_exec_stop(TandemGpu *s);
void tandem_exec_release(TandemGpu *s);
void tandem_exec_drop_interrupts(TandemGpu *s);
void tandem_enter(TandemGpu *s);
void tandem_leave(TandemGpu *s);
void tandem_leave_silently(TandemGpu *s); /* after tandem_kick() */
/* The model may have something to do.  Device lock held. */
void tandem_kick(TandemGpu *s);
/* After migration: what was raised and not delivered is delivered. */
void tandem_exec_loaded(TandemGpu *s);

/* Host operations of the model: called under the device lock. */
void tandem_exec_interrupt(void *opaque, uint32_t vector);
uint64_t tandem_exec_now(void *opaque);
bool tandem_exec_should_yield(void *opaque);

/* tandem-dma.c */
void tandem_dma_start(TandemGpu *s);
void tandem_dma_stop(TandemGpu *s);
bool tandem_dma_read(void *opaque, uint64_t address, void *buffer,
                     uint64_t bytes);
bool tandem_dma_write(void *opaque, uint64_t address, const void *buffer,
                      uint64_t bytes);
void *tandem_dma_map(void *opaque, uint64_t address, uint64_t *bytes,
                     bool write);
void tandem_dma_stored(void *opaque, const struct tandem_stored_range *ranges,
                       uint32_t count);
void tandem_dma_vram_stored(void *opaque, uint64_t offset, uint64_t bytes);
/* After each store to a region: dirty logs, translated code. */
void tandem_dma_written(MemoryRegion *mr, uint64_t offset, uint64_t bytes);

/* tandem-ats.c.  BQL held, device lock not held. */
void tandem_ats_init_capabilities(TandemGpu *s);
void tandem_ats_start(TandemGpu *s);
void tandem_ats_stop(TandemGpu *s);
void tandem_ats_reset(TandemGpu *s);
void tandem_ats_config_written(TandemGpu *s, uint32_t address, int len);
void tandem_ats_update(TandemGpu *s);
/* Asks the IOMMU what the model has asked for, and tells it the answers. */
void tandem_ats_serve(TandemGpu *s);
/* Host operations of the model: called under the device lock. */
void tandem_ats_request(void *opaque, const struct tandem_ats_request *request);
void tandem_ats_page_request(void *opaque,
                             const struct tandem_page_request *request);

/* tandem-fabric.c.  BQL held, device lock not held. */
bool tandem_fabric_check(TandemGpu *s, Error **errp);
void tandem_fabric_join(TandemGpu *s);
void tandem_fabric_leave(TandemGpu *s);
void tandem_fabric_release(TandemGpu *s);
/* If there is something new about poisoned pages. */
void tandem_fabric_tell_poison(TandemGpu *s);
/* Host operations of the model: called under the device lock. */
void *tandem_fabric_map(void *opaque, uint32_t peer, uint64_t offset,
                        uint64_t *bytes, bool write);
void tandem_fabric_stored(void *opaque, uint32_t peer, uint64_t offset,
                          uint64_t bytes);
void tandem_fabric_poison_changed(void *opaque);

/*
 * tandem-trace.c.  open: errors go to errp; close: the END record, the error
 * report; both under the BQL.
 */
bool tandem_trace_open(TandemGpu *s, Error **errp);
void tandem_trace_close(TandemGpu *s);
void tandem_trace_free(TandemGpu *s);
void tandem_trace_record(void *opaque,
                         const struct tandem_trace_record *record);
/* Does anybody want records?  Tells the model when that changed. */
void tandem_trace_refresh(TandemGpu *s);
/* Device lock held. */
bool tandem_trace_is_filling_up(TandemGpu *s);
/* Device lock held: is there a buffer that tandem_trace_write() should take? */
bool tandem_trace_hand_over(TandemGpu *s);
/* Device lock not held. */
void tandem_trace_write(TandemGpu *s);

/* tandem-check.c */
bool tandem_check_open(TandemGpu *s, Error **errp);
void tandem_check_close(TandemGpu *s);
void tandem_check_report(void *opaque,
                         const struct tandem_check_report *report);

/* tandem-migration.c */
extern const VMStateDescription tandem_gpu_vmstate;

/* tandem-monitor.c */
void tandem_monitor_class_init(ObjectClass *klass);

#endif /* HW_MISC_TANDEM_GPU_H */
