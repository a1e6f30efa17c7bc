# SPDX-License-Identifier: GPL-2.0-or-later
"""`tandem trace summary`: the figures, by process and by cause."""
import json
import unittest

import trace_reader
from trace_reader.tests.support import TraceCase
from trace_reader.tests.writer import TraceWriter, constant


class SummaryCase(TraceCase):
    def summarise(self, writer):
        self.write(writer)
        return trace_reader.summarise(self.path)


class Invalidations(SummaryCase):
    def test_are_gathered_by_cause(self):
        writer = TraceWriter().bind()
        writer.invalidate(1).invalidated(1, entries=2, hit=("L1", "L2"), wait=100)
        writer.invalidate(2).invalidated(2, entries=1, stores=4, hit=("L1", "STORES"), wait=300)
        writer.invalidate(3, "CLEAR", size=0x2000).invalidated(3, "CLEAR", size=0x2000, wait=50)
        causes = self.summarise(writer.end()).as_dict()["invalidations"]
        self.assertEqual(causes["unmap"] | {"wait_ns": None}, {
            "received": 2, "acknowledged": 2, "whole_address_space": 0, "bytes": 0x2000, "entries_killed": 3,
            "stores_drained": 4, "hits": {"l1": 2, "l2": 1, "stores": 1}, "hit_nothing": 0, "wait_ns": None})
        self.assertEqual(causes["unmap"]["wait_ns"],
                         {"count": 2, "sum": 400, "p50": 100, "p90": 300, "p99": 300, "max": 300, "exact": True})
        self.assertEqual((causes["clear"]["bytes"], causes["clear"]["hit_nothing"]), (0x2000, 1))

    def test_of_a_whole_address_space_have_no_size(self):
        writer = TraceWriter().invalidate(1, "RELEASE", size=0x5000, flags=constant("INVALIDATE_ALL")).end()
        cause = self.summarise(writer).causes["release"]
        self.assertEqual((cause.whole, cause.bytes), (1, 0))

    def test_without_acknowledgement_are_counted(self):
        summary = self.summarise(TraceWriter().invalidate(1).invalidated(1).invalidate(2).invalidate(3).end())
        self.assertEqual(summary.unacknowledged, 2)
        self.assertIn("without an acknowledgement when the trace ends: 2", trace_reader.format_summary(summary))

    def test_that_a_reset_ended_are_not_missing(self):
        summary = self.summarise(TraceWriter().invalidate(1).record("RESET", detail=2).end())
        self.assertEqual((summary.unacknowledged, summary.dropped_by_reset, summary.resets), (0, 1, 1))


class Migrations(SummaryCase):
    def test_are_gathered_by_cause_and_ends(self):
        writer = TraceWriter().bind().migrate(ns=100).migrate(ns=300, moved=0x1000, failed=3)
        summary = self.summarise(writer.migrate("CPU_FAULT", source="VRAM", to="SYSTEM", size=0x1000).end())
        first, second = summary.as_dict()["migrations"]
        self.assertEqual((first["cause"], first["from"], first["to"]), ("gpu-fault", "system", "vram"))
        self.assertEqual((first["count"], first["bytes"], first["pages_failed"], first["ns"]["sum"]), (2, 0x201000, 3, 400))
        self.assertEqual((second["cause"], second["from"], second["to"], second["bytes"]), ("cpu-fault", "vram", "system", 0x1000))
        self.assertIn("Migrations by cause", trace_reader.format_summary(summary))

    def test_poison_and_access_counters_are_counted(self):
        writer = TraceWriter().record("POISON").record("POISON", a=1).record("POISON", a=1).record("ACCESS_COUNTER", pasid=1)
        summary = self.summarise(writer.end())
        self.assertEqual((summary.poisoned, summary.poison_met, summary.regions_counted), (1, 2, 1))
        self.assertIn("1, met 2 times", trace_reader.format_summary(summary))


class Processes(SummaryCase):
    def test_each_binding_of_a_pasid_is_its_own(self):
        summary = self.summarise(TraceWriter().bind(1, b"a", 10).walk(0).record("UNBIND", pasid=1).bind(1, b"b", 20)
                                 .walk(0).walk(0).end())
        self.assertEqual([(process.name, process.walks.count) for process in summary.processes], [("a", 1), ("b", 2)])

    def test_fills_are_counted_by_level_and_page_size(self):
        summary = self.summarise(TraceWriter().bind().fill(0, 4096, 1).fill(0, 4096, 2).fill(0, 1 << 21, 1, evicted=1)
                                 .fill(0, 4096, 1).end())
        process = summary.processes[0]
        self.assertEqual(dict(process.fills), {(1, 4096): 2, (2, 4096): 1, (1, 1 << 21): 1})
        self.assertEqual(process.evictions, 1)

    def test_walks_tell_those_that_found_nothing_and_restarts(self):
        summary = self.summarise(TraceWriter().bind().walk(0, 10).walk(0, 30, pte=0).walk(0, 20, restarts=2).end())
        process = summary.processes[0]
        self.assertEqual((process.walks.percentiles((50, 100)), process.walks_empty, process.walk_restarts), ([20, 30], 1, 2))

    def test_a_replay_ends_all_waiting_faults_of_its_address_space_only(self):
        writer = TraceWriter().bind(1).bind(2, b"two").fault(0x1000, at=1000, number=1).fault(0x2000, at=3000, number=2)
        writer.fault(0x1000, at=3000, pasid=2, number=3).record("REPLAY", at=5000, pasid=1, a=2).end()
        first, second = self.summarise(writer).processes
        self.assertEqual(first.fault_to_replay.percentiles((50, 100)), [2000, 4000])
        self.assertEqual((second.fault_to_replay.count, len(second.waiting)), (0, 1))

    def test_a_cancelled_fault_has_no_latency(self):
        writer = TraceWriter().bind().fault(0x1234, number=1).fault(0x9000, number=2).record("CANCEL", pasid=1, va=0x1000, a=1)
        process = self.summarise(writer.record("REPLAY", pasid=1, a=1).end()).processes[0]
        self.assertEqual((process.cancelled, process.fault_to_replay.count), (1, 1))

    def test_faults_are_counted_by_access_and_reason(self):
        writer = TraceWriter().bind().fault(0, "READ", number=1).fault(0, "WRITE", number=2, reason="PERMISSION")
        process = self.summarise(writer.fault(0, "WRITE", number=3).end()).processes[0]
        self.assertEqual(dict(process.faults_by_access), {"read": 1, "write": 2})
        self.assertEqual(dict(process.faults_by_reason), {"not-present": 2, "permission": 1})

    def test_packets_copies_and_queue_errors(self):
        writer = TraceWriter().bind().record("RETIRE", pasid=1, queue=0, a=500, b=1000).record("RETIRE", pasid=1, a=700, b=24)
        writer.record("COPY", pasid=1, bytes=4096, detail=constant("TRACE_COPY_VIRTUAL"))
        writer.record("COPY", bytes=100, detail=constant("TRACE_COPY_PHYSICAL"))
        writer.record("QUEUE", pasid=1, detail=constant("QUEUE_FAULTED"), a=constant("QUEUE_BAD_PACKET"))
        writer.record("QUEUE", pasid=1, detail=constant("QUEUE_DRAINING"))
        summary = self.summarise(writer.end())
        process = summary.processes[0]
        self.assertEqual((process.packets.count, process.lane_instructions, process.copies, process.copy_bytes),
                         (2, 1024, 1, 4096))
        self.assertEqual(dict(process.queue_errors), {"bad-packet": 1})
        self.assertEqual((summary.kernel_copies, summary.kernel_copy_bytes), (1, 100))

    def test_an_address_space_bound_before_the_trace_began_is_told_as_such(self):
        summary = self.summarise(TraceWriter().walk(0, pasid=9).end())
        self.assertIn("Address space 9: not bound in this trace", trace_reader.format_summary(summary))


class Whole(SummaryCase):
    def test_span_is_that_of_all_records(self):
        summary = self.summarise(TraceWriter().bind(at=0).record("DOORBELL", at=8_000_000, pasid=1).end())
        self.assertEqual(summary.span_ns, 8_001_000)

    def test_counts_are_by_verb(self):
        summary = self.summarise(TraceWriter().bind().walk(0).walk(0).record("DOORBELL", pasid=1, queue=0).end())
        self.assertEqual(summary.counts, {"end": 1, "bind": 1, "doorbell": 1, "walk": 2})
        self.assertIn("bind 1, doorbell 1, walk 2\n", trace_reader.format_summary(summary))

    def test_json_and_text_say_the_same_status(self):
        self.write(TraceWriter().bind().end())
        self.assertEqual(self.summary()[0], 0)
        status, out, err = self.summary("--json")
        self.assertEqual((status, err, json.loads(out)["complete"]), (0, "", True))

    def test_damage_stands_in_the_result(self):
        self.write(TraceWriter().bind())
        status, out, _err = self.summary("--json")
        self.assertEqual((status, json.loads(out)["complete"]), (1, False))
        self.assertIn("cut off", json.loads(out)["problems"][0])
        self.assertIn("INCOMPLETE", self.summary()[1])
        self.assertIn("note: cut off", trace_reader.format_summary(trace_reader.summarise(self.path)))

    def test_an_empty_trace_is_no_error(self):
        self.write(TraceWriter().end())
        self.assertEqual(self.summary()[0], 0)

    def test_failed_commands_are_named(self):
        writer = TraceWriter().record("COMMAND", detail=constant("COMMAND_COPY") | constant("COMMAND_BAD_ADDRESS") << 16, a=9)
        self.assertEqual(dict(self.summarise(writer.end()).command_errors), {"bad-address": 1})


if __name__ == "__main__":
    unittest.main()
