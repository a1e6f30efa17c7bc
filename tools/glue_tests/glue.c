// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The harness: the callers of tandem-exec.c as tandem-gpu.c has them, and what it calls, a model and a trace that count. Every
 * field of struct glue is plain memory, under the lock that its comment names.
 */
#include "glue.h"

#include "hw/pci/msix.h"
#include "shim.h"
#include "tandem-gpu.h"

#define RECORD_BYTES 32
#define FLUSH_BYTES (16 * RECORD_BYTES)

struct tandem_model {
	TandemGpu *host;
	uint64_t writes;                        /* device lock, like all of the model */
	uint64_t waiting[TANDEM_VECTOR_COUNT];  /* pieces of work */
	uint64_t done;
	uint64_t slices;
	bool never_idle;
	bool poll;
	uint32_t peers;                         /* on the link, by number */
	uint64_t *peer_memory[TANDEM_FABRIC_LIMIT];
	uint64_t poison;                        /* pages */
	uint64_t peers_poison;                  /* pages of all peers together */
};

static void store_to_peers(struct tandem_model *model);

struct glue {
	TandemGpu gpu; /* first: see msix_notify() */
	uint64_t delivered[TANDEM_VECTOR_COUNT]; /* BQL */
	uint64_t traced;                         /* write_lock of the trace */
};

/* The model --------------------------------------------------------------------------------------------------------------- */

static bool do_one_piece(struct tandem_model *model)
{
	for (unsigned vector = 0; vector < TANDEM_VECTOR_COUNT; vector++) {
		if (!model->waiting[vector])
			continue;
		model->waiting[vector]--;
		model->done++;
		store_to_peers(model);
		model->host->trace.filled += RECORD_BYTES;
		tandem_exec_interrupt(model->host, vector);
		return true;
	}
	return false;
}

enum tandem_run_result tandem_model_run(struct tandem_model *model, uint64_t budget)
{
	model->slices++;
	for (uint64_t tick = 0; tick < budget || model->never_idle; tick++) {
		if (tandem_exec_should_yield(model->host))
			return TANDEM_RUN_READY;
		if (!do_one_piece(model) && !model->never_idle)
			return model->poll ? TANDEM_RUN_WAIT : TANDEM_RUN_IDLE;
	}
	return TANDEM_RUN_READY;
}

/* The trace --------------------------------------------------------------------------------------------------------------- */

void tandem_trace_refresh(TandemGpu *s)
{
	s->trace.model_on = !s->trace.model_on; /* a write, so that the lock is needed */
}

bool tandem_trace_is_filling_up(TandemGpu *s)
{
	return s->trace.filled >= FLUSH_BYTES;
}

bool tandem_trace_hand_over(TandemGpu *s)
{
	TandemTrace *trace = &s->trace;

	if (!trace->filled)
		return false;
	qemu_mutex_lock(&trace->write_lock);
	trace->to_write += trace->filled;
	trace->filled = 0;
	qemu_mutex_unlock(&trace->write_lock);
	return true;
}

void tandem_trace_write(TandemGpu *s)
{
	struct glue *glue = (struct glue *)s;

	qemu_mutex_lock(&s->trace.write_lock);
	glue->traced += s->trace.to_write;
	s->trace.to_write = 0;
	qemu_mutex_unlock(&s->trace.write_lock);
}

/* The IOMMU: this model asks nothing of one ------------------------------------------------------------------------------- */

void tandem_ats_serve(TandemGpu *s)
{
	(void)s;
	abort();
}

/* The link: each piece of work stores to every peer, through pointers that are kept as the real model keeps them ------------- */

static void store_to_peers(struct tandem_model *model)
{
	uint64_t bytes = sizeof(uint64_t);

	for (uint32_t peer = 0; peer < TANDEM_FABRIC_LIMIT; peer++) {
		if (!(model->peers & 1u << peer))
			continue;
		if (!model->peer_memory[peer])
			model->peer_memory[peer] = tandem_fabric_map(model->host, peer, 0, &bytes, true);
		__atomic_fetch_add(model->peer_memory[peer], 1, __ATOMIC_RELAXED);
		tandem_fabric_stored(model->host, peer, 0, sizeof(uint64_t));
	}
}

void tandem_model_set_peers(struct tandem_model *model, const struct tandem_model_peer *peers, size_t count)
{
	memset(model->peer_memory, 0, sizeof(model->peer_memory));
	model->peers = 0;
	model->peers_poison = 0;
	for (size_t i = 0; i < count; i++) {
		model->peers |= 1u << peers[i].number;
		model->peers_poison += peers[i].poisoned_pages;
	}
}

/* Their offsets do not matter. */
size_t tandem_model_poisoned_pages(const struct tandem_model *model, uint64_t *offsets, size_t room)
{
	for (size_t n = 0; n < room && n < model->poison; n++)
		offsets[n] = n * TANDEM_PAGE_BYTES;
	return model->poison;
}

void tandem_dma_written(MemoryRegion *mr, uint64_t offset, uint64_t bytes)
{
	assert(mr->ram && offset == 0 && bytes == sizeof(uint64_t));
}

const char *tandem_gpu_name(TandemGpu *s)
{
	(void)s;
	return "glue";
}

/* Interrupts -------------------------------------------------------------------------------------------------------------- */

void msix_notify(PCIDevice *device, unsigned vector)
{
	struct glue *glue = (struct glue *)device;

	assert(bql_locked());
	glue->delivered[vector]++;
}

/* Life: the order of tandem_gpu_realize() and tandem_gpu_exit() ------------------------------------------------------------ */

static unsigned plugged; /* the test's thread: the main loop is there for the first and until the last */

struct glue *glue_new(enum glue_mode mode)
{
	return glue_new_linked(mode, TANDEM_FABRIC_NONE);
}

struct glue *glue_new_linked(enum glue_mode mode, uint32_t number)
{
	struct glue *glue = g_new0(struct glue, 1);
	TandemGpu *s = &glue->gpu;

	if (!plugged++)
		shim_start();
	bql_lock();
	s->config.fabric = number;
	s->config.vram_bytes = sizeof(uint64_t);
	s->vram.ram = g_new0(uint64_t, 1);
	tandem_exec_init(s);
	qemu_mutex_init(&s->trace.write_lock);
	s->execution = mode == GLUE_PARALLEL ? "parallel" : "deterministic";
	s->slice_ticks = 64;
	s->quantum_ns = 20000;
	if (!tandem_exec_configure(s, NULL))
		abort();
	tandem_enter(s);
	s->model = g_new0(struct tandem_model, 1);
	s->model->host = s;
	tandem_leave(s);
	tandem_exec_start(s);
	if (!tandem_fabric_check(s, NULL))
		abort();
	tandem_fabric_join(s);
	bql_unlock();
	return glue;
}

static void drop_model(TandemGpu *s)
{
	struct tandem_model *model;

	tandem_enter(s);
	model = g_steal_pointer(&s->model);
	tandem_leave(s);
	g_free(model);
}

void glue_unplug(struct glue *glue)
{
	TandemGpu *s = &glue->gpu;

	bql_lock();
	tandem_exec_stop(s);
	tandem_fabric_leave(s);
	drop_model(s);
	tandem_exec_release(s);
	tandem_fabric_release(s);
	g_clear_pointer(&s->vram.ram, g_free);
	bql_unlock();
}

void glue_free(struct glue *glue)
{
	glue_unplug(glue);
	if (!--plugged)
		shim_stop();
	tandem_exec_finalize(&glue->gpu);
	qemu_mutex_destroy(&glue->gpu.trace.write_lock);
	g_free(glue);
}

/* Visitors: tandem_mmio_write() and tandem_mmio_read() ---------------------------------------------------------------------- */

static bool lock_big(struct glue *glue, bool asked_for)
{
	bool needed = asked_for || glue->gpu.exec.mode == TANDEM_EXECUTION_DETERMINISTIC;

	if (needed)
		bql_lock();
	return needed;
}

static void unlock_big(bool locked)
{
	if (locked)
		bql_unlock();
}

void glue_write(struct glue *glue, unsigned vector, bool big_lock)
{
	TandemGpu *s = &glue->gpu;
	bool locked = lock_big(glue, big_lock);

	tandem_enter(s);
	if (s->model) {
		s->model->writes++;
		s->model->waiting[vector]++;
		tandem_kick(s);
	}
	tandem_leave(s);
	unlock_big(locked);
}

/* Something of the model, or 0 when it is gone. */
static uint64_t look(struct glue *glue, bool big_lock, uint64_t (*field)(const struct tandem_model *))
{
	TandemGpu *s = &glue->gpu;
	bool locked = lock_big(glue, big_lock);
	uint64_t value;

	tandem_enter(s);
	value = s->model ? field(s->model) : 0;
	tandem_leave(s);
	unlock_big(locked);
	return value;
}

static uint64_t field_writes(const struct tandem_model *model)
{
	return model->writes;
}

static uint64_t field_done(const struct tandem_model *model)
{
	return model->done;
}

static uint64_t field_peers_poison(const struct tandem_model *model)
{
	return model->peers_poison;
}

uint64_t glue_peers_poison(struct glue *glue)
{
	return look(glue, false, field_peers_poison);
}

void glue_poison(struct glue *glue, bool big_lock)
{
	TandemGpu *s = &glue->gpu;
	bool locked = lock_big(glue, big_lock);

	tandem_enter(s);
	if (s->model) {
		s->model->poison++;
		tandem_fabric_poison_changed(s);
	}
	tandem_leave(s);
	unlock_big(locked);
}

uint64_t glue_stored_by_peers(struct glue *glue)
{
	return __atomic_load_n((uint64_t *)glue->gpu.vram.ram, __ATOMIC_RELAXED);
}

uint64_t glue_read(struct glue *glue, bool big_lock)
{
	return look(glue, big_lock, field_writes);
}

uint64_t glue_done(struct glue *glue)
{
	return look(glue, false, field_done);
}

void glue_reset(struct glue *glue)
{
	TandemGpu *s = &glue->gpu;

	bql_lock();
	tandem_enter(s);
	if (s->model) {
		memset(s->model->waiting, 0, sizeof(s->model->waiting));
		tandem_exec_drop_interrupts(s);
		tandem_kick(s);
	}
	tandem_leave(s);
	bql_unlock();
}

void glue_set_running(struct glue *glue, bool running)
{
	(void)glue;
	bql_lock();
	shim_set_running(running);
	bql_unlock();
}

void glue_never_idle(struct glue *glue, bool on)
{
	TandemGpu *s = &glue->gpu;

	tandem_enter(s);
	s->model->never_idle = on;
	tandem_kick(s);
	tandem_leave(s);
}

void glue_poll(struct glue *glue, bool on)
{
	TandemGpu *s = &glue->gpu;

	tandem_enter(s);
	s->model->poll = on;
	tandem_kick(s);
	tandem_leave(s);
}

uint64_t glue_delivered(struct glue *glue, unsigned vector)
{
	uint64_t count;

	bql_lock();
	count = glue->delivered[vector];
	bql_unlock();
	return count;
}

uint64_t glue_traced(struct glue *glue)
{
	uint64_t bytes;

	qemu_mutex_lock(&glue->gpu.trace.write_lock);
	bytes = glue->traced;
	qemu_mutex_unlock(&glue->gpu.trace.write_lock);
	return bytes;
}

uint64_t glue_slices_while_stopped(struct glue *glue)
{
	return glue->gpu.model->slices;
}

void glue_wait_for_main_loop(void)
{
	shim_wait_for_main_loop();
}
