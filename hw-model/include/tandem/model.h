/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one seam between the hardware model (C++) and its host (QEMU, the unit tests, a simulator): an opaque handle and a
 * table of host operations. No exception crosses it and no C++ type appears in it.
 *
 * Threads. The model owns none and takes no lock. The host calls at most one function of a model at a time (QEMU: under the
 * device lock). Host operations are called only
 * from inside a call of the host, on that thread; they must not call back into the model.
 *
 * Determinism. The model reads no clock but now() and no other source of chance than its seed.
 */
#ifndef TANDEM_MODEL_H
#define TANDEM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tandem_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TANDEM_MODEL_EXPORT __attribute__((visibility("default")))
#else
#define TANDEM_MODEL_EXPORT
#endif

struct tandem_model; /* opaque; owned by the host from create to destroy */

/* Shape of the hardware. tandem_model_default_config() fills it; the host changes what the user asked for. */
struct tandem_model_config {
	uint32_t compute_units;        /* 1..64 */
	uint32_t waves_per_cu;         /* 1..64 */
	uint32_t lds_bytes;            /* of one compute unit, multiple of 1024, at most TANDEM_LDS_WINDOW */
	uint32_t address_spaces;       /* 2..65536, power of two; PASID 0 is never bound */
	uint32_t max_queues;           /* 1..4096 */
	uint32_t l1_sets, l1_ways;     /* per compute unit; sets a power of two, ways 1..64 */
	uint32_t l2_sets, l2_ways;     /* shared */
	uint32_t walkers;              /* page walks at a time, 1..64 */
	uint32_t walk_latency;         /* scheduler ticks for each table level; 0: a walk ends in the tick in which it began */
	uint32_t l2_latency;           /* ticks of an L2 lookup */
	uint32_t copy_chunk_bytes;     /* bytes the copy engine moves in one tick, 64..1 MiB */
	uint32_t store_queue_depth;    /* vector stores of a wavefront that may be translated but not written; 0: none */
	uint32_t store_drain;          /* enum tandem_store_drain */
	uint32_t time_slice;           /* wavefront instructions of a queue's turn while others wait; 0: no slicing */
	uint32_t atc_sets, atc_ways;   /* address translation cache: sets a power of two, ways 1..64 */
	uint32_t invalidate_latency;   /* ticks from fetching an invalidation to its acknowledgement */
	uint64_t vram_bytes;           /* multiple of 2 MiB, 0..1 TiB */
	uint32_t fabric;               /* number on the link between GPUs, 0..15, or TANDEM_FABRIC_NONE */
	uint64_t seed;                 /* for every choice that the hardware leaves open */
	uint64_t hostile;              /* seed of hostile timing; 0: none */
	uint32_t atomics;              /* enum tandem_atomics */
	uint32_t atomic_pause;         /* ticks between load and store of an atomic that is no host atomic */
	bool load_reorder;             /* loads of a wavefront may be done late */
	bool vram_bar;                 /* reported in TANDEM_REG_FEATURES */
	bool test_hooks;               /* TANDEM_REG_TEST_* work */
	bool trace;                    /* call ops->trace for every event from the start */
	bool check;                    /* hold every access against the contract (docs/checker.md): needs ops->check_report */
	uint32_t mutation;             /* enum tandem_mutation: breaks one rule of the hardware; needs test_hooks */
};

/* What atomics on system memory are worth. */
enum tandem_atomics {
	TANDEM_ATOMICS_PCIE      = 0, /* PCIe AtomicOps: atomic against the CPUs */
	TANDEM_ATOMICS_EXCLUSIVE = 1, /* a load and a store: atomic only while no CPU can reach the page */
	TANDEM_ATOMICS_VRAM      = 2, /* the same, and the driver is told not to try: atomics only in VRAM */
};

/* Rules of the hardware that a test may have it break, one at a time, to see that the checker tells. */
enum tandem_mutation {
	TANDEM_MUTATION_NONE = 0,
	TANDEM_MUTATION_ACK_BEFORE_DRAIN,   /* an invalidation is acknowledged a step before it is carried out */
	TANDEM_MUTATION_WALK_NOT_RESTARTED, /* a walk that overlaps an invalidation fills what it read before */
	TANDEM_MUTATION_L2_KEPT,            /* invalidations do not reach the L2 TLB */
	TANDEM_MUTATION_RANGE_SHORT,        /* the last page of an invalidation is left out */
	TANDEM_MUTATION_WRONG_SPACE,        /* invalidations hit another address space */
	TANDEM_MUTATION_READ_ONLY_KEPT,     /* a store meets a read-only TLB entry: it faults, and the entry stays */
	TANDEM_MUTATION_STORE_PASSES_ACK,   /* queued stores are not written before an acknowledgement */
	TANDEM_MUTATION_COPY_KEEPS_ADDRESS, /* copies do not forget what they translated ahead */
	TANDEM_MUTATION_ATOMIC_SPLIT,       /* AtomicOps are a load and, later, a store */
	TANDEM_MUTATION_ATC_REFILL,         /* an answer that an ATC invalidation overtook is believed */
	TANDEM_MUTATION_ATC_KEPT,           /* ATC invalidations are acknowledged and ignored */
	TANDEM_MUTATION_LATE_FAULT,         /* fault records are written although their address space is gone */
	TANDEM_MUTATION_COPY_DROPPED,       /* now and then the copy engine drops a piece, and says that it was moved */
	TANDEM_MUTATION_SPACE_KEPT,         /* TLB entries outlive their address space */
	TANDEM_MUTATION_REPLAY_LOST,        /* a replay leaves one access waiting */
	TANDEM_MUTATION_CODE_KEPT,          /* decoded instructions outlive invalidations */
	TANDEM_MUTATION_COUNT,
};

/* In which order queued stores become visible. */
enum tandem_store_drain {
	TANDEM_DRAIN_FIFO   = 0,
	TANDEM_DRAIN_RANDOM = 1, /* any order that keeps stores to one address in order; chosen by the seed */
};

/* Bytes of system memory, by their device address, that the device has stored to. */
struct tandem_stored_range {
	uint64_t address;
	uint64_t bytes;
};

/* A request without PASID: what the driver's own addresses are in. */
#define TANDEM_NO_PASID 0xffffffffu

/* An ATS translation request (PCI Express, 10.2.2) for one page. */
struct tandem_ats_request {
	uint64_t id;                   /* comes back with the answer; never used again, over resets too */
	uint64_t address;              /* 4 KiB aligned */
	uint32_t pasid;                /* on the bus, or TANDEM_NO_PASID */
	bool write;                    /* false: "no write": the page must not be marked dirty; the device stores only by answers
					* to requests with true */
};

/*
 * Its completion. Neither read nor write: nothing is mapped there, and translated and bytes say nothing. An answer that breaks the
 * rules below is a guest error and taken for that. Writing without reading is of no use to this device: nothing mapped, too.
 */
struct tandem_ats_answer {
	uint64_t translated;           /* address of memory of the first byte, aligned to bytes */
	uint64_t bytes;                /* a power of two, at least 4096: what holds for the aligned block around the request's
					* address */
	bool read, write;
};

/* A page request (10.4): all of a group are answered together (enum tandem_page_response), after the last one. */
struct tandem_page_request {
	uint64_t address;              /* 4 KiB aligned */
	uint32_t pasid;
	uint32_t group;                /* 0..511; the requests of a group are sent in one row */
	bool read, write;
	bool last;
};

/* An ATC invalidation of the IOMMU (10.3): [address, address + bytes), bytes 0: everything. */
struct tandem_atc_invalidation {
	uint64_t address, bytes;       /* 4 KiB aligned */
	uint32_t pasid;                /* on the bus, or TANDEM_NO_PASID: what was translated without one */
	bool global;                   /* whatever the PASID */
	uint64_t waited_ns;            /* that the host had to wait for the device, for the trace */
};

/* What the checker found (docs/checker.md): English, in lines, the key first. Valid during the call. */
struct tandem_check_report {
	const char *key;               /* stable, as in "X2.missed-level" */
	const char *text;              /* the whole report, with the newline of its last line */
};

/*
 * What the host does for the model. All members must be set except trace (needed when tracing), should_yield, and those that
 * say so.
 * DMA addresses are what the driver programs, bus addresses of the device, or what an IOMMU translated them to.
 */
struct tandem_host_ops {
	uint32_t size; /* sizeof(struct tandem_host_ops): checked */

	/* Reads or writes [address, address+bytes). Returns false if any byte is not RAM (or peer VRAM). Not atomic: for
	 * command entries and records; page tables, indices and user data go through map(). */
	bool (*dma_read)(void *opaque, uint64_t address, void *buffer, uint64_t bytes);
	bool (*dma_write)(void *opaque, uint64_t address, const void *buffer, uint64_t bytes);

	/* Host pointer for the 4 KiB aligned page run [address, address+bytes), the same memory that the vCPUs use; NULL if it is
	 * not all RAM, or not writable though write is set. Stays valid until the host calls
	 * tandem_model_memory_map_changed(). May return a run shorter than asked for by setting *bytes (multiple of 4 KiB). */
	void *(*map)(void *opaque, uint64_t address, uint64_t *bytes, bool write);

	/* Must be called after each store through a mapped pointer, before the end of the call of the host in which it happened
	 * and before any acknowledgement: the host's dirty tracking and code invalidation. No range crosses a mapped run. */
	void (*stored)(void *opaque, const struct tandem_stored_range *ranges, uint32_t count);

	/* The same for VRAM (offsets). */
	void (*vram_stored)(void *opaque, uint64_t offset, uint64_t bytes);

	/*
	 * The VRAM of the GPU with that number on the link (config.fabric), as map() and stored(). Only for peers that
	 * tandem_model_set_peers() told of; pointers stay valid until it is called again. Needed if fabric is a number.
	 */
	void *(*map_peer)(void *opaque, uint32_t peer, uint64_t offset, uint64_t *bytes, bool write);
	void (*peer_stored)(void *opaque, uint32_t peer, uint64_t offset, uint64_t bytes);

	/* The set of this GPU's poisoned pages is another now: its peers must be told (tandem_model_set_peers()). May be NULL. */
	void (*poison_changed)(void *opaque);

	/*
	 * Asks the IOMMU for a translation, and for a page. Only from inside tandem_model_run(), and while tandem_model_set_ats()
	 * allows it; may be NULL if it never does. Must not answer before the call of the host ends. Every ATS request is answered once by tandem_model_ats_answer(), unless the model is reset before;
	 * every group of page requests by tandem_model_page_response(), if the system keeps the rules.
	 */
	void (*ats_request)(void *opaque, const struct tandem_ats_request *request);
	void (*page_request)(void *opaque, const struct tandem_page_request *request);

	/* Raises MSI-X vector n (enum tandem_vector). May be deferred by the host. */
	void (*interrupt)(void *opaque, uint32_t vector);

	/* Device clock in nanoseconds; never goes back. */
	uint64_t (*now)(void *opaque);

	/* True if somebody waits for the device: tandem_model_run() returns as soon as the instruction under way is done. */
	bool (*should_yield)(void *opaque);

	/* Takes one trace record. Must not lose it silently. */
	void (*trace)(void *opaque, const struct tandem_trace_record *record);

	/* Takes a report of the checker; needed when checking. There is a bounded number of them. */
	void (*check_report)(void *opaque, const struct tandem_check_report *report);

	/* A mistake of the guest, for the host's log; text is valid during the call. */
	void (*guest_error)(void *opaque, const char *text);
};

/* Fills in the defaults, which are always valid together. */
TANDEM_MODEL_EXPORT void tandem_model_default_config(struct tandem_model_config *config);

/*
 * Makes a model. config, ops and what vram points to (config->vram_bytes bytes, may be NULL if 0) are the host's; config
 * and ops are copied, vram must outlive the model. Returns NULL and writes a sentence for the user to error (at most
 * error_bytes, always terminated) if a value is out of range: it names the property and the limits.
 */
TANDEM_MODEL_EXPORT struct tandem_model *tandem_model_create(const struct tandem_model_config *config,
							      const struct tandem_host_ops *ops, void *opaque, void *vram,
							      char *error, size_t error_bytes);
TANDEM_MODEL_EXPORT void tandem_model_destroy(struct tandem_model *model);

/* As after power-on. When it returns no translation, host pointer or pending DMA of the past is left. */
TANDEM_MODEL_EXPORT void tandem_model_reset(struct tandem_model *model, enum tandem_reset_kind kind);

/* Register and doorbell accesses; bar is TANDEM_BAR_REGS or TANDEM_BAR_DOORBELLS, size 1, 2, 4 or 8. Never fails: mistakes go to
 * guest_error(). After a write the host should let the model run. */
TANDEM_MODEL_EXPORT uint64_t tandem_model_mmio_read(struct tandem_model *model, int bar, uint64_t offset, unsigned size);
TANDEM_MODEL_EXPORT void tandem_model_mmio_write(struct tandem_model *model, int bar, uint64_t offset, uint64_t value,
						  unsigned size);

enum tandem_run_result {
	TANDEM_RUN_IDLE  = 0, /* nothing to do until the host calls mmio_write or reset */
	TANDEM_RUN_READY = 1, /* call again: there is more to do */
	TANDEM_RUN_WAIT  = 2, /* only things that wait for memory to change are left (signals of barrier packets, an AQL header
				* not written yet): call again within a millisecond or so */
};

/* Works for about budget ticks (a tick is about one wavefront instruction) or until should_yield(). */
TANDEM_MODEL_EXPORT enum tandem_run_result tandem_model_run(struct tandem_model *model, uint64_t budget);

/* The host's memory map changed: all pointers from map() are dropped before this returns; queued stores are written first. */
TANDEM_MODEL_EXPORT void tandem_model_memory_map_changed(struct tandem_model *model);

/* What one GPU knows of another one on the link. */
struct tandem_model_peer {
	uint32_t number;
	const uint64_t *poisoned;      /* offsets of the poisoned pages of its VRAM, in any order */
	size_t poisoned_pages;
};

/*
 * The GPUs on the link besides this one; replaces what was told before. All host pointers are dropped before this returns, as
 * with memory_map_changed(). Survives resets.
 */
TANDEM_MODEL_EXPORT void tandem_model_set_peers(struct tandem_model *model, const struct tandem_model_peer *peers, size_t count);

/*
 * The page of VRAM at this offset is poisoned from now on, until a reset of kind TANDEM_RESET_POWER. When it returns nothing of
 * the device uses the page any more. False: no such offset.
 */
TANDEM_MODEL_EXPORT bool tandem_model_poison(struct tandem_model *model, uint64_t offset);

/* Writes the offsets of the poisoned pages, as many as there is room for; returns how many there are. */
TANDEM_MODEL_EXPORT size_t tandem_model_poisoned_pages(const struct tandem_model *model, uint64_t *offsets, size_t room);

/*
 * Whether the bus does AtomicOps that this device sends to system memory. Without (TANDEM_ATOMICS_PCIE only) they are a load and
 * a store, as with TANDEM_ATOMICS_EXCLUSIVE. True until told otherwise; survives resets.
 */
TANDEM_MODEL_EXPORT void tandem_model_set_atomic_requester(struct tandem_model *model, bool on);

/*
 * Whether the device may send ATS requests now, and how many page requests may be outstanding (0: none may be sent). Off until
 * told otherwise. When it is switched off what waits for an answer fails, the answers are not waited for (late ones are ignored, or
 * refused as of an unknown group), and every translation that came by ATS is gone, as after an invalidation of everything. More page
 * requests than the new number may be outstanding: none is sent until there are fewer. Survives resets, and so does a FAILURE.
 *
 * The host should let the model run after this and after the three calls below.
 */
TANDEM_MODEL_EXPORT void tandem_model_set_ats(struct tandem_model *model, bool ats, uint32_t page_requests);

/*
 * Whether an IOMMU translates what the driver programs (rings, tables, pages, copies): then each such address is asked for by an ATS
 * request without PASID, and map(), dma_read(), dma_write() and stored() are given what was answered. Off until told
 * otherwise. Survives resets.
 */
TANDEM_MODEL_EXPORT void tandem_model_set_bus_translation(struct tandem_model *model, bool on);

/* The answer to an ATS request. One whose id is not known (any more) is ignored, one that an invalidation overtook is dropped. */
TANDEM_MODEL_EXPORT void tandem_model_ats_answer(struct tandem_model *model, uint64_t id,
						 const struct tandem_ats_answer *answer);

/*
 * When it returns nothing of the device rests on what the IOMMU said before of this range: entries are gone, stores are written,
 * answers under way will be dropped. An entry that overlaps the range in any byte is killed whole.
 */
TANDEM_MODEL_EXPORT void tandem_model_atc_invalidate(struct tandem_model *model,
						     const struct tandem_atc_invalidation *invalidation);

/*
 * The response to a group of page requests. False: no such group is outstanding (or not with this PASID); nothing happened but a
 * guest error.
 */
TANDEM_MODEL_EXPORT bool tandem_model_page_response(struct tandem_model *model, uint32_t pasid, uint32_t group, uint32_t code);

/*
 * Writes the device's state, piece by piece: a stream of bytes that tandem_model_load() of this library understands. Only while no
 * address space is bound and nothing is under way; otherwise returns false and writes a sentence to error. Not in it: VRAM, the
 * configuration, what the host told (peers, ATS, AtomicOps), and whatever can be looked up again.
 */
TANDEM_MODEL_EXPORT bool tandem_model_save(const struct tandem_model *model,
					   void (*write)(void *to, const void *bytes, size_t count), void *to, char *error,
					   size_t error_bytes);

/*
 * Replaces the state by a saved one. False, with a sentence: it was saved by another version or for another shape of the
 * hardware, or it is none that a device can be in; nothing has changed then.
 */
TANDEM_MODEL_EXPORT bool tandem_model_load(struct tandem_model *model, const void *bytes, size_t count, char *error,
					   size_t error_bytes);

/* Switches tracing at run time. */
TANDEM_MODEL_EXPORT void tandem_model_set_trace(struct tandem_model *model, bool on);

/* enum tandem_counter; names are words joined by '-', as in "l1-hits". */
TANDEM_MODEL_EXPORT uint64_t tandem_model_counter(const struct tandem_model *model, enum tandem_counter counter);
TANDEM_MODEL_EXPORT const char *tandem_model_counter_name(enum tandem_counter counter);

/* What the checker has seen, since the model was made. */
enum tandem_check_counter {
	TANDEM_CHECK_USES,             /* translations judged when they were used */
	TANDEM_CHECK_FILLS,            /* and when they were made */
	TANDEM_CHECK_INVALIDATIONS,    /* acknowledgements seen */
	TANDEM_CHECK_STALE_USES,       /* the page table has changed, and the invalidation is still to come: permitted */
	TANDEM_CHECK_LATE_ACCESSES,    /* queued stores, late loads, atomics and pieces of copies judged when they were done */
	TANDEM_CHECK_COPIES,           /* pieces of copies of the driver compared */
	TANDEM_CHECK_FAULTS,           /* faults followed from the access to the answer */
	TANDEM_CHECK_VIOLATIONS,       /* all that were seen */
	TANDEM_CHECK_REPORTS,          /* those told by ops->check_report: one for each kind and place */
	TANDEM_CHECK_UNREPORTED,       /* kinds and places beyond the number of reports */
	TANDEM_CHECK_COUNTER_COUNT,
};
TANDEM_MODEL_EXPORT uint64_t tandem_model_check_counter(const struct tandem_model *model, enum tandem_check_counter counter);
TANDEM_MODEL_EXPORT const char *tandem_model_check_counter_name(enum tandem_check_counter counter);

/* Names of enum tandem_mutation: words joined by '-', as in "l2-kept". NULL beyond the last. */
TANDEM_MODEL_EXPORT const char *tandem_model_mutation_name(uint32_t mutation);

/*
 * What the hardware holds now, as text for a monitor. topic: "summary", "tlbs", "address-spaces", "queues", "waves", "faults",
 * "counters", "checker" or "all". Calls write() piece by piece. Returns false for an unknown topic.
 */
TANDEM_MODEL_EXPORT bool tandem_model_describe(const struct tandem_model *model, const char *topic,
						void (*write)(void *to, const char *text), void *to);

/* Version of this interface: the host compares it with TANDEM_MODEL_INTERFACE. */
#define TANDEM_MODEL_INTERFACE 5
TANDEM_MODEL_EXPORT uint32_t tandem_model_interface(void);

#ifdef __cplusplus
}
#endif

#endif
