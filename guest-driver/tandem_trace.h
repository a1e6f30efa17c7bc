/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tracepoints. Verbs and keys are those of the device's own trace (fault, replay, invalidate, fence; pasid, queue, seqno,
 * va), so that the two join.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM tandem

#if !defined(TANDEM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define TANDEM_TRACE_H

#include <linux/tracepoint.h>
#include <linux/types.h>

TRACE_EVENT(tandem_fault,
	TP_PROTO(u32 pasid, u32 queue, u64 va, u8 access, u8 reason, u64 id),
	TP_ARGS(pasid, queue, va, access, reason, id),
	TP_STRUCT__entry(
		__field(u64, va)
		__field(u64, id)
		__field(u32, pasid)
		__field(u32, queue)
		__field(u8, access)
		__field(u8, reason)
	),
	TP_fast_assign(
		__entry->va = va;
		__entry->id = id;
		__entry->pasid = pasid;
		__entry->queue = queue;
		__entry->access = access;
		__entry->reason = reason;
	),
	TP_printk("pasid %u queue %u va 0x%llx access %u reason %u record %llu", __entry->pasid, __entry->queue,
		  __entry->va, __entry->access, __entry->reason, __entry->id)
);

TRACE_EVENT(tandem_service,
	TP_PROTO(u32 pasid, u64 start, u64 end, u64 pages, int error),
	TP_ARGS(pasid, start, end, pages, error),
	TP_STRUCT__entry(
		__field(u64, start)
		__field(u64, end)
		__field(u64, pages)
		__field(u32, pasid)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->start = start;
		__entry->end = end;
		__entry->pages = pages;
		__entry->pasid = pasid;
		__entry->error = error;
	),
	TP_printk("pasid %u va 0x%llx..0x%llx mapped %llu pages error %d", __entry->pasid, __entry->start,
		  __entry->end, __entry->pages, __entry->error)
);

TRACE_EVENT(tandem_replay,
	TP_PROTO(u32 pasid, unsigned int faults),
	TP_ARGS(pasid, faults),
	TP_STRUCT__entry(
		__field(u32, pasid)
		__field(unsigned int, faults)
	),
	TP_fast_assign(
		__entry->pasid = pasid;
		__entry->faults = faults;
	),
	TP_printk("pasid %u after %u faults", __entry->pasid, __entry->faults)
);

TRACE_EVENT(tandem_cancel,
	TP_PROTO(u32 pasid, u32 queue, u64 va, u32 status),
	TP_ARGS(pasid, queue, va, status),
	TP_STRUCT__entry(
		__field(u64, va)
		__field(u32, pasid)
		__field(u32, queue)
		__field(u32, status)
	),
	TP_fast_assign(
		__entry->va = va;
		__entry->pasid = pasid;
		__entry->queue = queue;
		__entry->status = status;
	),
	TP_printk("pasid %u queue %u va 0x%llx status %u", __entry->pasid, __entry->queue, __entry->va,
		  __entry->status)
);

TRACE_EVENT(tandem_invalidate,
	TP_PROTO(u32 pasid, u64 seqno, u64 start, u64 end, u32 cause, u64 notify_start, u64 notify_end, int mode),
	TP_ARGS(pasid, seqno, start, end, cause, notify_start, notify_end, mode),
	TP_STRUCT__entry(
		__field(u64, seqno)
		__field(u64, start)
		__field(u64, end)
		__field(u64, notify_start)
		__field(u64, notify_end)
		__field(u32, pasid)
		__field(u32, cause)
		__field(int, mode)
	),
	TP_fast_assign(
		__entry->seqno = seqno;
		__entry->start = start;
		__entry->end = end;
		__entry->notify_start = notify_start;
		__entry->notify_end = notify_end;
		__entry->pasid = pasid;
		__entry->cause = cause;
		__entry->mode = mode;
	),
	TP_printk("pasid %u seqno %llu va 0x%llx..0x%llx cause %u notified 0x%llx..0x%llx mode %d", __entry->pasid,
		  __entry->seqno, __entry->start, __entry->end, __entry->cause, __entry->notify_start,
		  __entry->notify_end, __entry->mode)
);

TRACE_EVENT(tandem_fence,
	TP_PROTO(u32 pasid, u64 seqno, u64 wait_ns, bool reached),
	TP_ARGS(pasid, seqno, wait_ns, reached),
	TP_STRUCT__entry(
		__field(u64, seqno)
		__field(u64, wait_ns)
		__field(u32, pasid)
		__field(bool, reached)
	),
	TP_fast_assign(
		__entry->seqno = seqno;
		__entry->wait_ns = wait_ns;
		__entry->pasid = pasid;
		__entry->reached = reached;
	),
	TP_printk("pasid %u seqno %llu waited %llu ns%s", __entry->pasid, __entry->seqno, __entry->wait_ns,
		  __entry->reached ? "" : ", not reached")
);

TRACE_EVENT(tandem_as,
	TP_PROTO(u32 pasid, pid_t tgid, int state),
	TP_ARGS(pasid, tgid, state),
	TP_STRUCT__entry(
		__field(u32, pasid)
		__field(pid_t, tgid)
		__field(int, state)
	),
	TP_fast_assign(
		__entry->pasid = pasid;
		__entry->tgid = tgid;
		__entry->state = state;
	),
	TP_printk("pasid %u tgid %d state %d", __entry->pasid, __entry->tgid, __entry->state)
);

TRACE_EVENT(tandem_queue,
	TP_PROTO(u32 pasid, u32 queue, u32 state, u32 error, u64 va, u64 pc),
	TP_ARGS(pasid, queue, state, error, va, pc),
	TP_STRUCT__entry(
		__field(u64, va)
		__field(u64, pc)
		__field(u32, pasid)
		__field(u32, queue)
		__field(u32, state)
		__field(u32, error)
	),
	TP_fast_assign(
		__entry->va = va;
		__entry->pc = pc;
		__entry->pasid = pasid;
		__entry->queue = queue;
		__entry->state = state;
		__entry->error = error;
	),
	TP_printk("pasid %u queue %u state %u error %u va 0x%llx pc 0x%llx", __entry->pasid, __entry->queue,
		  __entry->state, __entry->error, __entry->va, __entry->pc)
);

TRACE_EVENT(tandem_migrate,
	TP_PROTO(u32 pasid, pid_t tgid, u64 start, u64 end, u32 cause, bool to_vram, u64 moved, u64 failed,
		 u64 ns),
	TP_ARGS(pasid, tgid, start, end, cause, to_vram, moved, failed, ns),
	TP_STRUCT__entry(
		__field(u64, start)
		__field(u64, end)
		__field(u64, moved)
		__field(u64, failed)
		__field(u64, ns)
		__field(u32, pasid)
		__field(pid_t, tgid)
		__field(u32, cause)
		__field(bool, to_vram)
	),
	TP_fast_assign(
		__entry->start = start;
		__entry->end = end;
		__entry->moved = moved;
		__entry->failed = failed;
		__entry->ns = ns;
		__entry->pasid = pasid;
		__entry->tgid = tgid;
		__entry->cause = cause;
		__entry->to_vram = to_vram;
	),
	TP_printk("pasid %u tgid %d va 0x%llx..0x%llx cause %u to %s: %llu pages, %llu failed, %llu ns",
		  __entry->pasid, __entry->tgid, __entry->start, __entry->end, __entry->cause,
		  __entry->to_vram ? "VRAM" : "memory", __entry->moved, __entry->failed, __entry->ns)
);

TRACE_EVENT(tandem_reset,
	TP_PROTO(u32 epoch, const char *why),
	TP_ARGS(epoch, why),
	TP_STRUCT__entry(
		__field(u32, epoch)
		__string(why, why)
	),
	TP_fast_assign(
		__entry->epoch = epoch;
		__assign_str(why);
	),
	TP_printk("epoch %u ends: %s", __entry->epoch, __get_str(why))
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE tandem_trace
#include <trace/define_trace.h>
