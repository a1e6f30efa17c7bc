/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The QEMU device without QEMU: tandem-exec.c and tandem-fabric.c as they are, over the shim, with a model that only counts. All that the locks are
 * to protect is plain memory here, so whatever they fail to protect is a data race that ThreadSanitizer reports.
 */
#ifndef GLUE_H
#define GLUE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct glue;

enum glue_mode { GLUE_PARALLEL, GLUE_DETERMINISTIC };

/* Plugs the device in, and unplugs it unless that has been done. Visitors must be gone before glue_free(). */
struct glue *glue_new(enum glue_mode mode);
struct glue *glue_new_linked(enum glue_mode mode, uint32_t number); /* on the link between GPUs */
void glue_unplug(struct glue *glue);
void glue_free(struct glue *glue);

/* What a vCPU does; in deterministic mode, or with `big_lock`, under the BQL. A write is a piece of work that raises its vector
 * when it is done. A read gives the number of writes. Unplugged: nothing happens. */
void glue_write(struct glue *glue, unsigned vector, bool big_lock);
uint64_t glue_read(struct glue *glue, bool big_lock);

/* With the BQL: power-on reset; the machine stops or goes on. */
void glue_reset(struct glue *glue);
void glue_set_running(struct glue *glue, bool running);

/* One more page of its memory is poisoned; how many its peers have, as far as it has been told. */
void glue_poison(struct glue *glue, bool big_lock);
uint64_t glue_peers_poison(struct glue *glue);
/* Each piece of work is a store to every peer. Takes no lock: while it is plugged. */
uint64_t glue_stored_by_peers(struct glue *glue);

/* The model runs until somebody asks for it; it polls instead of going idle. */
void glue_never_idle(struct glue *glue, bool on);
void glue_poll(struct glue *glue, bool on);

uint64_t glue_done(struct glue *glue);
uint64_t glue_delivered(struct glue *glue, unsigned vector);
/* Bytes of trace written to disk. */
uint64_t glue_traced(struct glue *glue);
/* Takes no lock: only while the machine is stopped. */
uint64_t glue_slices_while_stopped(struct glue *glue);

void glue_wait_for_main_loop(void);

#ifdef __cplusplus
}
#endif

#endif
