# SPDX-License-Identifier: GPL-2.0-or-later
"""What a whole trace amounts to: counts, bytes and latencies, by process and by cause, gathered in one pass.

Memory grows with the number of address spaces, not with the file: durations go into Samples, and only what is under way
(faults that wait, invalidations not acknowledged yet) is remembered one by one. report.py turns the result into text,
as_dict() into data.
"""
from collections import Counter

from .decode import (ats_answer_is_stale, ats_grants, bytes_migrated, entries_killed, invalidation_cause, migrate_cause,
                     migrate_ends, page_response_code, pages_failed, stores_drained)
from .reader import TraceReader
from .samples import Samples
from .vocabulary import constant, enum_names, flag_names, process_name, record_type

_PAGE_SHIFT = 12


class ProcessSummary:
    """One address space from BIND to UNBIND. `name` is None if the trace does not hold its BIND."""

    def __init__(self, pasid, name=None, tgid=0, translation=None):
        self.pasid = pasid
        self.name = name
        self.tgid = tgid
        self.translation = translation
        self.faults_by_access = Counter()
        self.faults_by_reason = Counter()
        self.cancelled = 0
        self.fault_to_replay = Samples()
        self.fills = Counter()  # (level, bytes)
        self.evictions = 0
        self.walks = Samples()
        self.walks_empty = 0
        self.walk_restarts = 0
        self.packets = Samples()
        self.lane_instructions = 0
        self.ats = Samples()
        self.ats_empty = 0
        self.ats_stale = 0
        self.page_requests = 0
        self.page_responses = Counter()  # code
        self.page_response_times = Samples()
        self.copies = 0
        self.copy_bytes = 0
        self.queue_errors = Counter()
        self.invalidations = Counter()  # cause
        self.pages_serviced = 0
        self.waiting = {}  # fault id -> (time, page)

    def samples(self):
        return (self.fault_to_replay, self.walks, self.packets, self.ats, self.page_response_times)

    def as_dict(self):
        return {
            "pasid": self.pasid, "name": self.name, "tgid": self.tgid, "translation": self.translation,
            "faults": dict(self.faults_by_access), "fault_reasons": dict(self.faults_by_reason),
            "faults_cancelled": self.cancelled, "faults_waiting_at_end": len(self.waiting),
            "fault_to_replay_ns": self.fault_to_replay.as_dict(), "pages_serviced": self.pages_serviced,
            "fills": [{"level": level, "page_bytes": size, "count": count}
                      for (level, size), count in sorted(self.fills.items())],
            "evictions": self.evictions, "walks_ns": self.walks.as_dict(), "walks_empty": self.walks_empty,
            "walk_restarts": self.walk_restarts, "ats_ns": self.ats.as_dict(), "ats_empty": self.ats_empty,
            "ats_stale": self.ats_stale, "page_requests": self.page_requests, "page_responses": dict(self.page_responses),
            "page_response_ns": self.page_response_times.as_dict(), "packets_ns": self.packets.as_dict(),
            "lane_instructions": self.lane_instructions, "copies": self.copies, "copy_bytes": self.copy_bytes,
            "queue_errors": dict(self.queue_errors), "invalidations": dict(self.invalidations),
        }


class CauseSummary:
    """All invalidations of one cause. `whole` counts those of a whole address space, which have no size."""

    def __init__(self):
        self.received = 0
        self.acknowledged = 0
        self.whole = 0
        self.bytes = 0
        self.entries_killed = 0
        self.stores_drained = 0
        self.hits = Counter()
        self.hit_nothing = 0
        self.waits = Samples()

    def met(self, record, hits, waited):
        """What an INVALIDATED or ATC_INVALIDATED record tells; hits: names of the bits."""
        self.acknowledged += 1
        self.waits.add(waited)
        self.entries_killed += entries_killed(record)
        self.stores_drained += stores_drained(record)
        for bit, name in hits.items():
            if record[4] & bit:
                self.hits[name] += 1
        if not record[4]:
            self.hit_nothing += 1

    def as_dict(self):
        return {"received": self.received, "acknowledged": self.acknowledged, "whole_address_space": self.whole,
                "bytes": self.bytes, "entries_killed": self.entries_killed, "stores_drained": self.stores_drained,
                "hits": dict(self.hits), "hit_nothing": self.hit_nothing, "wait_ns": self.waits.as_dict()}


class MigrationSummary:
    """All migrations of one cause, from one kind of memory to another."""

    def __init__(self):
        self.count = 0
        self.bytes = 0
        self.pages_failed = 0
        self.times = Samples()

    def as_dict(self):
        return {"count": self.count, "bytes": self.bytes, "pages_failed": self.pages_failed, "ns": self.times.as_dict()}


class Summary:
    """The result. Attributes as in as_dict(), with Samples and Counters instead of plain values."""

    def __init__(self, path, header):
        self.path = path
        self.header = header
        self.records = 0
        self.counts = {}
        self.span_ns = 0
        self.lost = 0
        self.complete = False
        self.problems = []
        self.processes = []
        self.causes = {}
        self.by_iommu = CauseSummary()
        self.migrations = {}  # (cause, from, to)
        self.poisoned = 0
        self.poison_met = 0
        self.regions_counted = 0
        self.unacknowledged = 0
        self.dropped_by_reset = 0
        self.resets = 0
        self.command_errors = Counter()
        self.commands = Samples()
        self.kernel_copies = 0
        self.kernel_copy_bytes = 0

    def as_dict(self):
        return {
            "file": self.path, "complete": self.complete, "problems": self.problems, "records": self.records,
            "records_lost": self.lost, "span_ns": self.span_ns, "wall_ns": self.header.wall_ns, "events": self.counts,
            "invalidations": {cause: result.as_dict() for cause, result in self.causes.items()},
            "atc_invalidations": self.by_iommu.as_dict(),
            "migrations": [{"cause": cause, "from": source, "to": destination, **result.as_dict()}
                           for (cause, source, destination), result in self.migrations.items()],
            "pages_poisoned": self.poisoned, "poison_met": self.poison_met, "regions_counted": self.regions_counted,
            "invalidations_unacknowledged": self.unacknowledged,
            "invalidations_dropped_by_reset": self.dropped_by_reset, "resets": self.resets,
            "processes": [process.as_dict() for process in self.processes], "commands_ns": self.commands.as_dict(),
            "command_errors": dict(self.command_errors), "kernel_copies": self.kernel_copies,
            "kernel_copy_bytes": self.kernel_copy_bytes,
        }


class _Collector:
    """Feeds records into a Summary: one method for each type that tells more than its mere number."""

    def __init__(self, summary):
        self._summary = summary
        self._by_pasid = {}
        self._under_way = {}  # invalidation's seqno -> cause
        self._access = enum_names("tandem_access")
        self._reason = enum_names("tandem_fault_reason")
        self._cause = enum_names("tandem_cause")
        self._hits = flag_names("TANDEM_HIT_")
        self._pte_valid = constant("TANDEM_PTE_VALID")
        self._invalidate_all = constant("TANDEM_INVALIDATE_ALL")
        self._everything = constant("TANDEM_VA_LIMIT")
        self._service = constant("TANDEM_CAUSE_SERVICE")
        self._copy_virtual = constant("TANDEM_TRACE_COPY_VIRTUAL")
        self.handlers = {record_type(name): method for name, method in {
            "BIND": self._bind, "UNBIND": self._unbind, "RESET": self._reset, "FAULT": self._fault, "REPLAY": self._replay,
            "CANCEL": self._cancel, "FILL": self._fill, "WALK": self._walk, "INVALIDATE": self._invalidate,
            "INVALIDATED": self._invalidated, "RETIRE": self._retire, "COPY": self._copy, "QUEUE": self._queue,
            "NOTE": self._note, "COMMAND": self._command, "MIGRATE": self._migrate, "POISON": self._poison,
            "ACCESS_COUNTER": self._access_counter, "ATS_ANSWER": self._ats_answer, "PAGE_REQUEST": self._page_request,
            "PAGE_RESPONSE": self._page_response, "ATC_INVALIDATED": self._atc_invalidated,
        }.items()}

    def settle(self):
        for process in self._by_pasid.values():
            for samples in process.samples():
                samples.settle()
        for cause in self._summary.causes.values():
            cause.waits.settle()
        self._summary.by_iommu.waits.settle()
        for migrations in self._summary.migrations.values():
            migrations.times.settle()
        self._summary.commands.settle()

    def finish(self):
        self._summary.unacknowledged = len(self._under_way)

    def _process(self, pasid):
        process = self._by_pasid.get(pasid)
        if process is None:
            process = self._begin(ProcessSummary(pasid))
        return process

    def _begin(self, process):
        self._by_pasid[process.pasid] = process
        self._summary.processes.append(process)
        return process

    def _cause_summary(self, record):
        name = self._cause[invalidation_cause(record)]
        result = self._summary.causes.get(name)
        if result is None:
            result = self._summary.causes[name] = CauseSummary()
        return name, result

    def _bind(self, record):
        translation = enum_names("tandem_translation")[record[5]]
        self._begin(ProcessSummary(record[3], process_name(record[9], record[10]), record[7], translation))

    def _unbind(self, record):
        self._process(record[3]).waiting.clear()

    def _reset(self, _record):
        self._summary.resets += 1
        self._summary.dropped_by_reset += len(self._under_way)
        self._under_way.clear()
        for process in self._by_pasid.values():
            process.waiting.clear()

    def _fault(self, record):
        process, detail = self._process(record[3]), record[5]
        process.faults_by_access[self._access[detail & 0xff]] += 1
        process.faults_by_reason[self._reason[detail >> 8 & 0xff]] += 1
        process.waiting[record[8]] = (record[0], record[6] >> _PAGE_SHIFT)

    def _replay(self, record):
        process, now = self._process(record[3]), record[0]
        for began, _page in process.waiting.values():
            process.fault_to_replay.add(max(0, now - began))
        process.waiting.clear()

    def _cancel(self, record):
        process, page = self._process(record[3]), record[6] >> _PAGE_SHIFT
        ended = [fault for fault, (_began, at) in process.waiting.items() if at == page]
        for fault in ended:
            del process.waiting[fault]
        process.cancelled += len(ended)

    def _fill(self, record):
        process = self._by_pasid.get(record[3]) or self._process(record[3])
        process.fills[record[5], record[7]] += 1
        if record[10]:
            process.evictions += 1

    def _walk(self, record):
        process = self._by_pasid.get(record[3]) or self._process(record[3])
        process.walks.add(record[10])
        if not record[9] & self._pte_valid:
            process.walks_empty += 1
        process.walk_restarts += record[5] >> 16

    def _invalidate(self, record):
        name, cause = self._cause_summary(record)
        cause.received += 1
        if record[5] >> 16 & self._invalidate_all:
            cause.whole += 1
        else:
            cause.bytes += record[7]
        self._process(record[3]).invalidations[name] += 1
        self._under_way[record[8]] = name

    def _invalidated(self, record):
        _name, cause = self._cause_summary(record)
        cause.met(record, self._hits, record[10])
        self._under_way.pop(record[8], None)

    def _atc_invalidated(self, record):
        summary = self._summary.by_iommu
        summary.received += 1
        if record[7] == self._everything:
            summary.whole += 1
        else:
            summary.bytes += record[7]
        summary.met(record, self._hits, record[10])

    def _ats_answer(self, record):
        process = self._by_pasid.get(record[3]) or self._process(record[3])
        process.ats.add(record[10])
        if ats_answer_is_stale(record):
            process.ats_stale += 1
        elif not ats_grants(record):
            process.ats_empty += 1

    def _page_request(self, record):
        self._process(record[3]).page_requests += 1

    def _page_response(self, record):
        process = self._process(record[3])
        process.page_responses[page_response_code(record)] += 1
        process.page_response_times.add(record[10])

    def _retire(self, record):
        process = self._process(record[3])
        process.packets.add(record[9])
        process.lane_instructions += record[10]

    def _copy(self, record):
        if record[5] & 0xff == self._copy_virtual:
            process = self._process(record[3])
            process.copies += 1
            process.copy_bytes += record[7]
        else:
            self._summary.kernel_copies += 1
            self._summary.kernel_copy_bytes += record[7]

    def _queue(self, record):
        if record[9]:
            self._process(record[3]).queue_errors[enum_names("tandem_queue_error")[record[9]]] += 1

    def _note(self, record):
        if invalidation_cause(record) == self._service:
            self._process(record[3]).pages_serviced += record[9]

    def _migrate(self, record):
        migrations = self._summary.migrations.setdefault((migrate_cause(record), *migrate_ends(record)), MigrationSummary())
        migrations.count += 1
        migrations.bytes += bytes_migrated(record)
        migrations.pages_failed += pages_failed(record)
        migrations.times.add(record[10])

    def _poison(self, record):
        if record[9]:
            self._summary.poison_met += 1
        else:
            self._summary.poisoned += 1

    def _access_counter(self, _record):
        self._summary.regions_counted += 1

    def _command(self, record):
        self._summary.commands.add(record[9])
        if record[5] >> 16:
            self._summary.command_errors[enum_names("tandem_command_error")[record[5] >> 16]] += 1


def summarise(path):
    """Read the whole file. Raises TraceError if nothing of it can be read; damage stands in the result's `problems`."""
    with TraceReader(path) as reader:
        summary = Summary(reader.path, reader.header)
        collector = _Collector(summary)
        handlers = collector.handlers
        for batch in reader.batches(frozenset(handlers)):
            for record in batch:
                handlers[record[1]](record)
            collector.settle()
        collector.finish()
        names = enum_names("tandem_trace_type")
        summary.counts = {names[value]: reader.counts[value] for value in sorted(reader.counts)}
        summary.records, summary.lost, summary.complete = reader.records, reader.lost, reader.complete
        summary.problems = reader.problems
        summary.span_ns = reader.last_ns - reader.header.epoch_ns
        return summary
