/*
 * Tandem GPU: where trace records go: into a file (property "trace", layout
 * in tandem_trace.h) and to QEMU's trace events.
 *
 * The model hands over records under the device lock.  They are copied into a
 * buffer; full buffers are written without that lock, so that no vCPU waits
 * for a disk.  No record is lost silently: if writing fails, the rest of the
 * file is given up, lost records are counted, and the user is told.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/units.h"
#include "tandem-gpu.h"
#include "trace.h"

#define TANDEM_TRACE_BUFFER_BYTES (1 * MiB)

QEMU_BUILD_BUG_ON(TANDEM_TRACE_BUFFER_BYTES %
                  sizeof(struct tandem_trace_record));

/* Who wants records ------------------------------------------------------ */

/* QEMU's events are switched from outside, by -trace or the monitor. */
static bool tandem_trace_events_on(TandemTrace *trace)
{
    for (unsigned i = 0; i < trace->events->len; i++) {
        if (trace_event_get_state_dynamic(trace->events->pdata[i])) {
            return true;
        }
    }
    return false;
}

static bool tandem_trace_to_file(TandemTrace *trace)
{
    return trace->file_on && trace->fd >= 0;
}

void tandem_trace_refresh(TandemGpu *s)
{
    TandemTrace *trace = &s->trace;
    bool on = tandem_trace_to_file(trace) || tandem_trace_events_on(trace);

    if (on != trace->model_on) {
        trace->model_on = on;
        tandem_model_set_trace(s->model, on);
    }
}

static GPtrArray *tandem_trace_list_events(void)
{
    GPtrArray *events = g_ptr_array_new();
    TraceEventIter iter;
    TraceEvent *event;

    trace_event_iter_init_pattern(&iter, "tandem_*");
    while ((event = trace_event_iter_next(&iter)) != NULL) {
        g_ptr_array_add(events, event);
    }
    return events;
}

/* The file --------------------------------------------------------------- */

/* A full disk may end in the middle of a record: readers expect whole ones. */
static void tandem_trace_cut_partial_record(int fd)
{
    off_t end = lseek(fd, 0, SEEK_END);

    if (end > 0) {
        end -= end % sizeof(struct tandem_trace_record);
        if (ftruncate(fd, end) == 0) {
            lseek(fd, end, SEEK_SET);
        }
    }
}

/* write_lock held. */
static void tandem_trace_write_locked(TandemTrace *trace)
{
    ssize_t done = 0;

    if (!trace->error && trace->to_write) {
        done = qemu_write_full(trace->fd, trace->writing, trace->to_write);
        if (done < trace->to_write) {
            trace->error = errno ? errno : EIO;
            tandem_trace_cut_partial_record(trace->fd);
        }
    }
    trace->lost += DIV_ROUND_UP(trace->to_write - done,
                                sizeof(struct tandem_trace_record));
    trace->to_write = 0;
}

/* Device lock and write_lock held; the buffer to write is empty. */
static void tandem_trace_swap(TandemTrace *trace)
{
    uint8_t *full = trace->filling;

    trace->filling = trace->writing;
    trace->writing = full;
    trace->to_write = trace->filled;
    trace->filled = 0;
}

bool tandem_trace_is_filling_up(TandemGpu *s)
{
    return s->trace.filled >= TANDEM_TRACE_BUFFER_BYTES / 2;
}

bool tandem_trace_hand_over(TandemGpu *s)
{
    TandemTrace *trace = &s->trace;

    if (!trace->filled) {
        return false;
    }
    QEMU_LOCK_GUARD(&trace->write_lock);
    if (!trace->to_write) {
        tandem_trace_swap(trace);
    }
    return true;
}

void tandem_trace_write(TandemGpu *s)
{
    QEMU_LOCK_GUARD(&s->trace.write_lock);
    tandem_trace_write_locked(&s->trace);
}

/* Device lock held: one slice filled a whole buffer, or it is the end. */
static void tandem_trace_drain(TandemTrace *trace)
{
    QEMU_LOCK_GUARD(&trace->write_lock);
    tandem_trace_write_locked(trace);
    tandem_trace_swap(trace);
    tandem_trace_write_locked(trace);
}

static void tandem_trace_append(TandemTrace *trace,
                                const struct tandem_trace_record *record)
{
    memcpy(trace->filling + trace->filled, record, sizeof(*record));
    trace->filled += sizeof(*record);
    trace->last_ns = record->time_ns;
    trace->records++;
    if (trace->filled == TANDEM_TRACE_BUFFER_BYTES) {
        tandem_trace_drain(trace);
    }
}

/*
 * Unix time.  In virtual time that is the machine's own date (-rtc), so that
 * equal runs have equal traces.
 */
static uint64_t tandem_trace_wall_clock(TandemGpu *s)
{
    struct tm date;

    if (s->exec.mode == TANDEM_EXECUTION_PARALLEL) {
        return g_get_real_time() * 1000ULL;
    }
    qemu_get_timedate(&date, 0);
    return mktimegm(&date) * 1000000000ULL;
}

static bool tandem_trace_write_header(TandemGpu *s, int fd)
{
    struct tandem_trace_header header = {
        .version = TANDEM_TRACE_VERSION,
        .record_bytes = sizeof(struct tandem_trace_record),
        .header_bytes = sizeof(struct tandem_trace_header),
        .abi_version = TANDEM_ABI_MAJOR << 16 | TANDEM_ABI_MINOR,
        .epoch_ns = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL),
        .wall_ns = tandem_trace_wall_clock(s),
    };

    memcpy(header.magic, TANDEM_TRACE_MAGIC, sizeof(header.magic));
    errno = 0;
    return qemu_write_full(fd, &header, sizeof(header)) == sizeof(header);
}

bool tandem_trace_open(TandemGpu *s, Error **errp)
{
    TandemTrace *trace = &s->trace;
    int fd = -1;

    if (s->trace_path) {
        fd = qemu_create(s->trace_path, O_WRONLY | O_TRUNC, 0644, errp);
        if (fd < 0) {
            return false;
        }
        if (!tandem_trace_write_header(s, fd)) {
            error_setg_errno(errp, errno ? errno : EIO,
                             "Could not write trace file '%s'", s->trace_path);
            close(fd);
            return false;
        }
    }
    trace->events = tandem_trace_list_events();
    trace->filling = g_malloc(TANDEM_TRACE_BUFFER_BYTES);
    trace->writing = g_malloc(TANDEM_TRACE_BUFFER_BYTES);
    trace->filled = trace->to_write = 0;
    trace->records = trace->lost = 0;
    trace->last_ns = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    trace->error = 0;
    trace->model_on = false;
    trace->fd = fd;
    return true;
}

/*
 * The END record counts what came before it and says how much of that is
 * missing.  It is written even after an error: if there is room again the
 * reader learns what happened.  In virtual time it carries the last record's
 * time: the machine ends when the host gets to it.
 */
static void tandem_trace_write_end(TandemGpu *s)
{
    TandemTrace *trace = &s->trace;
    struct tandem_trace_record end = {
        .time_ns = s->exec.mode == TANDEM_EXECUTION_PARALLEL ?
                   qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) : trace->last_ns,
        .type = TANDEM_TRACE_END,
        .unit = TANDEM_TRACE_NO_UNIT,
        .queue = TANDEM_TRACE_NO_QUEUE,
        .a = trace->records - trace->lost,
        .b = trace->lost,
    };

    errno = 0;
    if (qemu_write_full(trace->fd, &end, sizeof(end)) < (ssize_t)sizeof(end) &&
        !trace->error) {
        trace->error = errno ? errno : EIO;
    }
}

static void tandem_trace_close_file(TandemGpu *s)
{
    TandemTrace *trace = &s->trace;

    tandem_trace_drain(trace);
    tandem_trace_write_end(s);
    if (close(trace->fd) < 0 && !trace->error) {
        trace->error = errno;
    }
    trace->fd = -1;
    if (trace->error) {
        error_report("%s: trace file '%s' is incomplete, %" PRIu64
                     " of %" PRIu64 " records are lost: %s", tandem_gpu_name(s),
                     s->trace_path, trace->lost, trace->records,
                     strerror(trace->error));
    }
}

/* After this the model makes no more records.  May be called twice. */
void tandem_trace_close(TandemGpu *s)
{
    TandemTrace *trace = &s->trace;

    tandem_enter(s);
    if (trace->fd >= 0) {
        tandem_trace_close_file(s);
    }
    if (s->model && trace->model_on) {
        tandem_model_set_trace(s->model, false);
    }
    trace->model_on = false;
    tandem_leave(s);
}

void tandem_trace_free(TandemGpu *s)
{
    g_clear_pointer(&s->trace.events, g_ptr_array_unref);
    g_clear_pointer(&s->trace.filling, g_free);
    g_clear_pointer(&s->trace.writing, g_free);
}

/* Trace events ----------------------------------------------------------- */

/* A jump table, as the record's type picks the sentence. */
static void tandem_trace_event(const char *gpu,
                               const struct tandem_trace_record *r)
{
    switch (r->type) {
    case TANDEM_TRACE_RESET:
        trace_tandem_reset(gpu, r->detail);
        break;
    case TANDEM_TRACE_BIND:
        trace_tandem_bind(gpu, r->pasid, r->detail, r->va, r->bytes);
        break;
    case TANDEM_TRACE_UNBIND:
        trace_tandem_unbind(gpu, r->pasid);
        break;
    case TANDEM_TRACE_QUEUE:
        trace_tandem_queue(gpu, r->pasid, r->queue, r->detail, r->a, r->va,
                           r->b);
        break;
    case TANDEM_TRACE_DOORBELL:
        trace_tandem_doorbell(gpu, r->pasid, r->queue, r->a);
        break;
    case TANDEM_TRACE_FETCH:
        trace_tandem_fetch(gpu, r->pasid, r->queue, r->seqno, r->detail, r->va);
        break;
    case TANDEM_TRACE_DISPATCH:
        trace_tandem_dispatch(gpu, r->pasid, r->queue, r->seqno, r->va, r->a,
                              r->b);
        break;
    case TANDEM_TRACE_RETIRE:
        trace_tandem_retire(gpu, r->pasid, r->queue, r->seqno, r->a, r->b);
        break;
    case TANDEM_TRACE_FENCE:
        trace_tandem_fence(gpu, r->pasid, r->queue, r->detail, r->seqno, r->va,
                           r->a);
        break;
    case TANDEM_TRACE_WALK:
        trace_tandem_walk(gpu, r->pasid, r->va, r->detail, r->a, r->b);
        break;
    case TANDEM_TRACE_FILL:
        trace_tandem_fill(gpu, r->detail, r->unit, r->pasid, r->va, r->bytes,
                          r->a, r->b);
        break;
    case TANDEM_TRACE_FAULT:
        trace_tandem_fault(gpu, r->pasid, r->queue, r->va, r->detail, r->seqno,
                           r->a, r->b);
        break;
    case TANDEM_TRACE_REPLAY:
        trace_tandem_replay(gpu, r->pasid, r->seqno, r->a);
        break;
    case TANDEM_TRACE_CANCEL:
        trace_tandem_cancel(gpu, r->pasid, r->queue, r->va, r->detail,
                            r->seqno, r->a);
        break;
    case TANDEM_TRACE_INVALIDATE:
        trace_tandem_invalidate(gpu, r->pasid, r->va, r->bytes, r->seqno,
                                r->detail & 0xffff, r->detail >> 16, r->queue);
        break;
    case TANDEM_TRACE_INVALIDATED:
        trace_tandem_invalidated(gpu, r->pasid, r->va, r->bytes, r->seqno,
                                 r->a, r->queue, r->b);
        break;
    case TANDEM_TRACE_COPY:
        trace_tandem_copy(gpu, r->pasid, r->a, r->va, r->bytes, r->detail,
                          r->seqno, r->b);
        break;
    case TANDEM_TRACE_NOTE:
        trace_tandem_note(gpu, r->pasid, r->detail, r->va, r->bytes, r->seqno,
                          r->a, r->queue);
        break;
    case TANDEM_TRACE_COMMAND:
        trace_tandem_command(gpu, r->detail & 0xffff, r->detail >> 16,
                             r->seqno, r->a);
        break;
    case TANDEM_TRACE_SUSPEND:
        trace_tandem_suspend(gpu, r->pasid, r->queue, r->seqno, r->a);
        break;
    default:
        /* A newer library's record: the file has it. */
        break;
    }
}

/* Host operation of the model: device lock held. */
void tandem_trace_record(void *opaque, const struct tandem_trace_record *record)
{
    TandemGpu *s = opaque;

    if (tandem_trace_to_file(&s->trace)) {
        tandem_trace_append(&s->trace, record);
    }
    if (trace_events_enabled_count) {
        tandem_trace_event(tandem_gpu_name(s), record);
    }
}
