/*
 * Tandem GPU: who runs the model, and when.  All locks of the device are here.
 *
 * The model is single-threaded; the device lock makes it so.  Two ways to run:
 *
 * parallel: a device thread runs the model in slices under the device lock.
 *   vCPUs, the monitor and the main loop ("visitors") take the lock for
 *   register accesses and the like.
 * deterministic: a timer on QEMU_CLOCK_VIRTUAL runs one slice each quantum of
 *   virtual time, under the BQL, and raises interrupts before it returns, so
 *   that record/replay replays the GPU too.
 *
 * Lock order: BQL, device lock, leaf locks (of the trace, of QEMU's memory
 * core).  The device thread never takes the BQL: interrupts and questions to
 * the IOMMU go through bottom halves, DMA touches RAM only.  So a vCPU may
 * wait for the device lock with the BQL held, and does so for about a
 * microsecond, because the model looks at should_yield() each few dozen
 * instructions.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "hw/boards.h"
#include "hw/pci/msix.h"
#include "exec/icount.h"
#include "system/qtest.h"
#include "system/tcg.h"
#include "tandem-gpu.h"

/* How often the model looks at memory that others change (TANDEM_RUN_WAIT). */
#define TANDEM_POLL_MS 1
/* An idle device writes out its trace after this time. */
#define TANDEM_IDLE_FLUSH_MS 100

/* The turnstile ---------------------------------------------------------- */

/*
 * A mutex lets the thread that just released it take it again before those
 * who wait for it wake up, so the device thread would keep visitors out for
 * many slices.  Therefore a visitor draws a ticket before it asks for the lock
 * (should_yield() sees that and ends the slice), and the device thread waits
 * until all tickets drawn by then have been served.  Visitors that come later
 * compete with it like any thread: they cannot keep it out for good.
 */
void tandem_enter(TandemGpu *s)
{
    qatomic_inc(&s->exec.tickets_taken);
    qemu_mutex_lock(&s->exec.lock);
    /* Only written under the lock; should_yield() reads it there, too. */
    s->exec.tickets_served++;
}

static void tandem_deliver_interrupts(TandemGpu *s);

/*
 * Without delivering anything: the caller is inside the IOMMU's register
 * write, and an interrupt goes through the IOMMU, which QEMU lets nobody enter
 * twice.  tandem_kick() has armed the timer whose end delivers.
 */
void tandem_leave_silently(TandemGpu *s)
{
    if (s->exec.at_turnstile) {
        qemu_cond_signal(&s->exec.turnstile);
    }
    qemu_mutex_unlock(&s->exec.lock);
}

void tandem_leave(TandemGpu *s)
{
    bool deterministic = s->exec.mode == TANDEM_EXECUTION_DETERMINISTIC;

    tandem_leave_silently(s);
    if (deterministic && qatomic_read(&s->exec.pending_vectors)) {
        tandem_deliver_interrupts(s);
    }
    if (deterministic && qatomic_read(&s->fabric.poison_untold)) {
        tandem_fabric_tell_poison(s);
    }
}

static bool tandem_visitors_wait(TandemGpu *s)
{
    return qatomic_read(&s->exec.tickets_taken) != s->exec.tickets_served;
}

/* Device thread, lock held: lets those in who have drawn a ticket by now. */
static void tandem_let_visitors_in(TandemGpu *s)
{
    uint32_t until = qatomic_read(&s->exec.tickets_taken);

    s->exec.at_turnstile = true;
    while ((int32_t)(until - s->exec.tickets_served) > 0) {
        qemu_cond_wait(&s->exec.turnstile, &s->exec.lock);
    }
    s->exec.at_turnstile = false;
}

bool tandem_exec_should_yield(void *opaque)
{
    return tandem_visitors_wait(opaque);
}

/* Time and interrupts ---------------------------------------------------- */

/* Safe in any thread: the clock is read under a sequence lock. */
uint64_t tandem_exec_now(void *opaque)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

/* BQL held, device lock not held: MSI-X may be a write to any device. */
static void tandem_deliver_interrupts(TandemGpu *s)
{
    uint32_t vectors = qatomic_xchg(&s->exec.pending_vectors, 0);

    assert(bql_locked());
    while (vectors) {
        msix_notify(PCI_DEVICE(s), ctz32(vectors));
        vectors &= vectors - 1;
    }
}

static void tandem_interrupt_bh(void *opaque)
{
    tandem_deliver_interrupts(opaque);
}

/*
 * Parallel: the bottom half runs in the main loop; scheduling it takes no
 * lock.  Deterministic: whoever entered the model delivers when it leaves, or,
 * if it must leave silently, the timer does.
 */
void tandem_exec_interrupt(void *opaque, uint32_t vector)
{
    TandemGpu *s = opaque;

    assert(vector < TANDEM_VECTOR_COUNT);
    qatomic_or(&s->exec.pending_vectors, 1u << vector);
    if (s->exec.mode == TANDEM_EXECUTION_PARALLEL) {
        qemu_bh_schedule(s->exec.interrupt_bh);
    }
}

/* For reset: what the device raised before it must not arrive after it. */
void tandem_exec_drop_interrupts(TandemGpu *s)
{
    qatomic_set(&s->exec.pending_vectors, 0);
}

/* BQL held. */
void tandem_exec_loaded(TandemGpu *s)
{
    if (qatomic_read(&s->exec.pending_vectors)) {
        tandem_deliver_interrupts(s);
    }
    tandem_enter(s);
    tandem_kick(s);
    tandem_leave(s);
}

/* One slice -------------------------------------------------------------- */

static enum tandem_run_result tandem_run_slice(TandemGpu *s)
{
    RCU_READ_LOCK_GUARD();

    tandem_trace_refresh(s);
    return tandem_model_run(s->model, s->slice_ticks);
}

/* Parallel --------------------------------------------------------------- */

/* Lock held; gives it up meanwhile, so that a slow disk stalls nobody else. */
static void tandem_flush_trace(TandemGpu *s)
{
    if (tandem_trace_hand_over(s)) {
        qemu_mutex_unlock(&s->exec.lock);
        tandem_trace_write(s);
        qemu_mutex_lock(&s->exec.lock);
    }
}

static bool tandem_has_work(TandemGpu *s)
{
    return s->exec.stop || (s->exec.work && s->exec.vm_running);
}

/* Lock held.  Nothing to do until somebody calls tandem_kick(). */
static void tandem_sleep(TandemGpu *s)
{
    if (!tandem_has_work(s)) {
        qemu_cond_timedwait(&s->exec.wake, &s->exec.lock,
                            TANDEM_IDLE_FLUSH_MS);
    }
    if (!tandem_has_work(s)) {
        tandem_flush_trace(s);
    }
    while (!tandem_has_work(s)) {
        qemu_cond_wait(&s->exec.wake, &s->exec.lock);
    }
}

/* Asked at each poll: has the model been waiting for TANDEM_IDLE_FLUSH_MS? */
static bool tandem_polled_for_long(TandemGpu *s)
{
    return ++s->exec.polls % (TANDEM_IDLE_FLUSH_MS / TANDEM_POLL_MS) == 0;
}

/* Lock held.  The model waits for memory that nobody reports. */
static void tandem_poll(TandemGpu *s)
{
    if (!s->exec.work && !s->exec.stop) {
        qemu_cond_timedwait(&s->exec.wake, &s->exec.lock, TANDEM_POLL_MS);
    }
    if (tandem_polled_for_long(s)) {
        tandem_flush_trace(s);
    }
    s->exec.work = true;
}

static void *tandem_device_thread(void *opaque)
{
    TandemGpu *s = opaque;
    enum tandem_run_result result;

    rcu_register_thread();
    qemu_mutex_lock(&s->exec.lock);
    for (;;) {
        tandem_let_visitors_in(s);
        tandem_sleep(s);
        if (s->exec.stop) {
            break;
        }
        s->exec.work = false; /* a visitor may set it again */
        result = tandem_run_slice(s);
        if (tandem_trace_is_filling_up(s)) {
            tandem_flush_trace(s);
        }
        switch (result) {
        case TANDEM_RUN_READY:
            s->exec.work = true;
            break;
        case TANDEM_RUN_WAIT:
            tandem_poll(s);
            break;
        case TANDEM_RUN_IDLE:
            break;
        }
    }
    qemu_mutex_unlock(&s->exec.lock);
    rcu_unregister_thread();
    return NULL;
}

/*
 * BQL held.  While the machine is stopped the GPU stands still: when this
 * returns no slice is under way.
 */
static void tandem_vm_state_changed(void *opaque, bool running, RunState state)
{
    TandemGpu *s = opaque;

    tandem_enter(s);
    s->exec.vm_running = running;
    qemu_cond_signal(&s->exec.wake);
    tandem_leave(s);
}

/* Deterministic ---------------------------------------------------------- */

static void tandem_arm_timer(TandemGpu *s, int64_t ns)
{
    timer_mod_anticipate(s->exec.timer,
                         qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + ns);
}

static void tandem_quantum(void *opaque)
{
    TandemGpu *s = opaque;
    enum tandem_run_result result;

    tandem_enter(s);
    result = tandem_run_slice(s);
    if (result == TANDEM_RUN_READY) {
        tandem_arm_timer(s, s->quantum_ns);
    } else if (result == TANDEM_RUN_WAIT) {
        tandem_arm_timer(s, MAX(s->quantum_ns, TANDEM_POLL_MS * SCALE_MS));
    }
    if ((result == TANDEM_RUN_IDLE || tandem_trace_is_filling_up(s) ||
         (result == TANDEM_RUN_WAIT && tandem_polled_for_long(s))) &&
        tandem_trace_hand_over(s)) {
        tandem_trace_write(s);
    }
    tandem_leave(s);
    if (qatomic_read(&s->ats.calls_wait)) {
        tandem_ats_serve(s);
    }
}

/* Both ------------------------------------------------------------------- */

void tandem_kick(TandemGpu *s)
{
    if (s->exec.mode == TANDEM_EXECUTION_DETERMINISTIC) {
        tandem_arm_timer(s, s->quantum_ns);
    } else if (!s->exec.work) {
        s->exec.work = true;
        qemu_cond_signal(&s->exec.wake);
    }
}

/*
 * The GPU's atomics are host atomics.  TCG makes the guest's atomics so, too,
 * only if it expects several vCPU threads: see tcg_cpu_init_cflags().
 */
static bool tandem_check_parallel(Error **errp)
{
    if (qtest_enabled() || !tcg_enabled()) {
        return true;
    }
    if (icount_enabled()) {
        error_setg(errp, "execution=parallel cannot be combined with -icount: "
                   "use execution=deterministic");
        return false;
    }
    if (!qemu_tcg_mttcg_enabled()) {
        error_setg(errp, "execution=parallel needs -accel tcg,thread=multi: "
                   "with one thread for all vCPUs the guest's atomic "
                   "instructions are not atomic against the GPU");
        return false;
    }
    if (current_machine->smp.max_cpus < 2) {
        error_setg(errp, "execution=parallel needs a machine with maxcpus of "
                   "at least 2 (-smp 1,maxcpus=2 for one CPU): otherwise TCG "
                   "makes the guest's atomic instructions plain loads and "
                   "stores");
        return false;
    }
    return true;
}

bool tandem_exec_configure(TandemGpu *s, Error **errp)
{
    if (!s->slice_ticks || !s->quantum_ns) {
        error_setg(errp, "%s must be at least 1",
                   s->slice_ticks ? "quantum-ns" : "slice-ticks");
        return false;
    }
    if (!strcmp(s->execution, "parallel") ||
        (!strcmp(s->execution, "auto") && !icount_enabled())) {
        s->exec.mode = TANDEM_EXECUTION_PARALLEL;
        return tandem_check_parallel(errp);
    }
    if (strcmp(s->execution, "deterministic") && strcmp(s->execution, "auto")) {
        error_setg(errp, "execution must be auto, parallel or deterministic, "
                   "not '%s'", s->execution);
        return false;
    }
    s->exec.mode = TANDEM_EXECUTION_DETERMINISTIC;
    return true;
}

/* In instance_init: vCPUs may still be in a handler while unplug goes on. */
void tandem_exec_init(TandemGpu *s)
{
    qemu_mutex_init(&s->exec.lock);
    qemu_cond_init(&s->exec.turnstile);
    qemu_cond_init(&s->exec.wake);
}

void tandem_exec_finalize(TandemGpu *s)
{
    qemu_cond_destroy(&s->exec.wake);
    qemu_cond_destroy(&s->exec.turnstile);
    qemu_mutex_destroy(&s->exec.lock);
}

void tandem_exec_start(TandemGpu *s)
{
    if (s->exec.mode == TANDEM_EXECUTION_DETERMINISTIC) {
        s->exec.timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, tandem_quantum, s);
        return;
    }
    s->exec.stop = false;
    s->exec.vm_running = runstate_is_running();
    s->exec.interrupt_bh =
        qemu_bh_new_guarded(tandem_interrupt_bh, s,
                            &DEVICE(s)->mem_reentrancy_guard);
    s->exec.vm_state =
        qdev_add_vm_change_state_handler(DEVICE(s), tandem_vm_state_changed,
                                         NULL, s);
    qemu_thread_create(&s->exec.thread, "tandem-gpu", tandem_device_thread, s,
                       QEMU_THREAD_JOINABLE);
    s->exec.thread_started = true;
}

/*
 * BQL held.  Afterwards nobody runs the model but those who enter it.  The
 * join is safe with the BQL held because the device thread never takes it.
 */
static void tandem_join_thread(TandemGpu *s)
{
    tandem_enter(s);
    s->exec.stop = true;
    qemu_cond_signal(&s->exec.wake);
    tandem_leave(s);
    qemu_thread_join(&s->exec.thread);
    s->exec.thread_started = false;
}

/* May be called twice: at exit and when the device is unplugged. */
void tandem_exec_stop(TandemGpu *s)
{
    if (s->exec.thread_started) {
        tandem_join_thread(s);
    }
    if (s->exec.timer) {
        timer_del(s->exec.timer);
    }
}

/* BQL held.  No visitor finds a model any more: nothing is armed again. */
void tandem_exec_release(TandemGpu *s)
{
    g_clear_pointer(&s->exec.vm_state, qemu_del_vm_change_state_handler);
    g_clear_pointer(&s->exec.timer, timer_free);
    g_clear_pointer(&s->exec.interrupt_bh, qemu_bh_delete);
    tandem_exec_drop_interrupts(s);
}
