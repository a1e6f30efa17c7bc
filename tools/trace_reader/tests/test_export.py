# SPDX-License-Identifier: GPL-2.0-or-later
"""`tandem trace export`: valid JSON, slices with both ends, times in microseconds, nothing overwritten by mistake."""
import json
import unittest

import trace_reader
from trace_reader.tests.support import TraceCase
from trace_reader.tests.writer import TraceWriter


class Export(TraceCase):
    def export(self, writer, status=0):
        self.write(writer)
        out = self.directory / "out.json"
        self.assertEqual(self.run_command(trace_reader.export_main, str(out))[0], status)
        return json.loads(out.read_text())

    def slices(self, events, category):
        chosen = [event for event in events if event.get("cat") == category]
        begins = {event["id"]: event for event in chosen if event["ph"] == "b"}
        ends = {event["id"]: event for event in chosen if event["ph"] == "e"}
        self.assertEqual(set(begins), set(ends))
        return [(begin["name"], begin["ts"], ends[key]["ts"]) for key, begin in begins.items()]

    def test_an_invalidation_lasts_from_put_to_acknowledgement(self):
        events = self.export(TraceWriter().bind().invalidate(1, at=9000).invalidated(1, at=12_000, wait=4500).end())
        self.assertEqual(self.slices(events, "invalidate"), [("invalidate unmap", 7.5, 12.0)])

    def test_a_migration_lasts_as_long_as_the_driver_says(self):
        events = self.export(TraceWriter().bind().migrate(at=12_000, ns=4500).end())
        self.assertEqual(self.slices(events, "migrate"), [("migrate gpu-fault to vram", 7.5, 12.0)])

    def test_a_fault_lasts_until_its_replay(self):
        writer = TraceWriter().bind().fault(0x1000, at=1000).record("REPLAY", at=3000, pasid=1)
        writer.fault(0x2000, at=4000, number=2)
        events = self.export(writer.record("DOORBELL", at=8000, pasid=1).end())
        self.assertEqual(self.slices(events, "fault"), [("fault write", 1.0, 3.0), ("fault write, unanswered", 4.0, 9.0)])

    def test_a_cancelled_fault_ends_alone(self):
        writer = TraceWriter().bind().fault(0x1010, at=1000, number=1).fault(0x2000, at=1000, number=2)
        writer.record("CANCEL", at=3000, pasid=1, va=0x1000).record("REPLAY", at=4000, pasid=1)
        self.assertEqual(self.slices(self.export(writer.end()), "fault"),
                         [("fault write, cancelled", 1.0, 3.0), ("fault write", 1.0, 4.0)])

    def test_address_spaces_carry_the_name_of_their_process(self):
        events = self.export(TraceWriter().bind(3, b"vecadd", 77).end())
        self.assertIn({"ph": "M", "name": "process_name", "pid": 3, "args": {"name": "vecadd[77]"}}, events)

    def test_a_trace_without_events_is_an_empty_list(self):
        self.assertEqual(self.export(TraceWriter().end()), [])

    def test_a_cut_off_trace_is_exported_as_far_as_it_goes(self):
        self.assertEqual(self.slices(self.export(TraceWriter().walk(0x1000, ns=500, at=500), status=1), "walk"),
                         [("walk read", 0.0, 0.5)])

    def test_the_trace_itself_is_never_overwritten(self):
        self.write(TraceWriter().bind().end())
        status, _out, err = self.run_command(trace_reader.export_main, self.path)
        self.assertEqual(status, 2)
        self.assertIn("is the trace itself", err)
        self.assertEqual(trace_reader.summarise(self.path).records, 1)

    def test_an_output_that_cannot_be_written_is_named(self):
        self.write(TraceWriter().end())
        status, _out, err = self.run_command(trace_reader.export_main, str(self.directory / "absent" / "out.json"))
        self.assertEqual(status, 2)
        self.assertIn("out.json: No such file", err)


if __name__ == "__main__":
    unittest.main()
