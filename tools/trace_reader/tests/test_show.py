# SPDX-License-Identifier: GPL-2.0-or-later
"""`tandem trace show`: what the lines say, which events the filters let through, how it ends."""
import json
import subprocess
import sys
import unittest
from pathlib import Path

from trace_reader.tests.support import TraceCase
from trace_reader.tests.writer import TraceWriter, constant

TOOLS = Path(__file__).resolve().parents[2]


class Lines(TraceCase):
    def one(self, writer, *arguments):
        self.write(writer.end())
        lines = self.lines(*arguments)
        self.assertEqual(len(lines), 1, lines)
        return lines[0]

    def test_time_is_relative_to_the_start_in_milliseconds(self):
        line = self.one(TraceWriter().record("RESET", at=12_345_678, detail=1), "--type", "reset")
        self.assertEqual(line.split()[0], "12.345678")

    def test_an_invalidation_tells_cause_process_and_notifier_range(self):
        writer = TraceWriter().bind().invalidate(45, "PROTECTION_VMA", va=0x7f0000000000, size=0x200000)
        line = self.one(writer, "--type", "invalidate")
        self.assertIn("1(vecadd)", line)
        self.assertIn("0x7f0000000000+2M ", line)
        self.assertIn("#45 protection-vma by vecadd[123], notifier 0x7f0000000000+4M", line)

    def test_its_acknowledgement_tells_what_was_hit_and_the_wait(self):
        writer = TraceWriter().bind().invalidate(45).invalidated(45, entries=3, stores=5, wait=2200,
                                                                 hit=("L1", "L2", "WALK", "CODE", "STORES", "COPY"))
        line = self.one(writer, "--type", "invalidated")
        self.assertIn("#45 unmap acknowledged after 2.20 us: 3 entries killed, hit l1, l2, walk, code, stores, copy, "
                      "5 stores drained", line)

    def test_an_invalidation_of_everything_shows_no_range_and_its_flags(self):
        flags = constant("INVALIDATE_ALL") | constant("INVALIDATE_NOWAIT")
        line = self.one(TraceWriter().invalidate(1, "RELEASE", va=0, size=0, tgid=9, flags=flags), "--type", "invalidate")
        self.assertIn(" everything ", line)
        self.assertIn("by process 9", line)
        self.assertIn("(all, nowait)", line)

    def test_a_fault_tells_access_reason_and_place(self):
        line = self.one(TraceWriter().bind().fault(0x5000, "ATOMIC", reason="PERMISSION", number=7, b=1), "--type", "fault")
        self.assertIn("q0 ", line)
        self.assertIn("#7 atomic, permission, by compute unit 2, pc 0x10074, waits for room in the fault buffer", line)

    def test_a_walk_tells_what_it_found(self):
        pte = constant("PTE_VALID") | constant("PTE_WRITE") | constant("PTE_DIRTY") | 0x42000 | 1 << 52
        line = self.one(TraceWriter().walk(0x5000, pte=pte, access="WRITE", restarts=2), "--type", "walk")
        self.assertIn("write, 4 levels in 200 ns, began again 2 times: found vram 0x42000, write dirty", line)

    def test_a_walk_that_found_nothing_says_so(self):
        self.assertIn("found nothing", self.one(TraceWriter().walk(0x5000, pte=0), "--type", "walk"))

    def test_a_fill_tells_level_unit_and_page_size(self):
        line = self.one(TraceWriter().fill(0x200000, size=1 << 21, level=1, unit=3, evicted=1), "--type", "fill")
        self.assertIn("0x200000+2M", line)
        self.assertIn("L1 of compute unit 3 takes a 2M page", line)
        self.assertIn("an older entry evicted", line)

    def test_a_queue_error_names_the_error_and_where(self):
        line = self.one(TraceWriter().record("QUEUE", pasid=1, queue=4, detail=constant("QUEUE_FAULTED"), va=0x5000, b=0x10074,
                                             a=constant("QUEUE_ILLEGAL_INSTRUCTION")), "--type", "queue")
        self.assertIn("q4 ", line)
        self.assertIn("is faulted: illegal-instruction at 0x5000, pc 0x10074", line)

    def test_a_physical_copy_names_both_apertures(self):
        line = self.one(TraceWriter().record("COPY", va=0x5000, bytes=8192, a=0x9000, b=900, seqno=9,
                                             detail=constant("TRACE_COPY_PHYSICAL") | constant("APERTURE_VRAM") << 16),
                        "--type", "copy")
        self.assertIn("command #9 from system 0x9000 to vram 0x5000+8K, 900 ns", line)

    def test_serviced_faults_are_told_with_their_pages(self):
        line = self.one(TraceWriter().bind().record("NOTE", pasid=1, queue=123, detail=constant("CAUSE_SERVICE"), a=16),
                        "--type", "note")
        self.assertIn("the driver serviced faults by vecadd[123]: 16 pages mapped", line)

    def test_a_fence_tells_its_kind_scope_and_signal(self):
        detail = constant("TRACE_FENCE_SIGNAL") | constant("FENCE_SYSTEM") << 8
        line = self.one(TraceWriter().record("FENCE", pasid=1, queue=0, detail=detail, seqno=4, va=0x7f00, a=0),
                        "--type", "fence")
        self.assertIn("0x7f00", line)
        self.assertIn("signal of packet 4, system scope, value 0", line)

    def test_a_migration_tells_cause_range_ends_bytes_and_time(self):
        writer = TraceWriter().bind().migrate(moved=0x1fe000, failed=2)
        line = self.one(writer, "--type", "migrate")
        self.assertIn(" 0x200000+2M ", line)
        self.assertIn("command #5 gpu-fault of vecadd[123]: 2040K from system to vram in 90.0 us, 2 pages stayed", line)

    def test_a_migration_of_no_known_process_tells_the_place_in_vram(self):
        line = self.one(TraceWriter().migrate("EVICT", source="VRAM", to="SYSTEM", pasid=0, tgid=0), "--type", "migrate")
        self.assertIn("command #5 evict: 2M from vram to system from VRAM offset 0x200000+2M in 90.0 us", line)

    def test_poison_found_and_met(self):
        self.write(TraceWriter().record("POISON", va=0x3000).record("POISON", pasid=1, va=0x3000, a=1).end())
        found, met = self.lines("--type", "poison")
        self.assertIn("the page at VRAM offset 0x3000 is found poisoned", found)
        self.assertIn("the page at VRAM offset 0x3000 was met", met)

    def test_an_access_counter_tells_region_and_count(self):
        line = self.one(TraceWriter().bind().record("ACCESS_COUNTER", pasid=1, va=0x10000, bytes=0x10000, a=256),
                        "--type", "access-counter")
        self.assertIn("0x10000+64K", line)
        self.assertIn("256 accesses beyond VRAM", line)

    def test_a_pasid_bound_again_gets_the_new_name(self):
        self.write(TraceWriter().bind(1, b"old").walk(0x1000).bind(1, b"new").walk(0x1000).end())
        first, second = self.lines("--type", "walk")
        self.assertIn("1(old)", first)
        self.assertIn("1(new)", second)

    def test_a_process_name_cannot_reach_the_terminal_as_an_escape_sequence(self):
        line = self.one(TraceWriter().bind(name=b"\x1b[31mred\n"), "--type", "bind")
        self.assertIn("?[31mred?", line)
        self.assertNotIn("\x1b", line)

    def test_values_that_the_headers_do_not_name_are_shown_as_numbers(self):
        line = self.one(TraceWriter().record("RESET", detail=77), "--type", "reset")
        self.assertIn("unknown(77) reset", line)


class Filters(TraceCase):
    def setUp(self):
        super().setUp()
        writer = TraceWriter().bind(1, b"one", 11, at=0).bind(2, b"two", 22, at=0)
        writer.walk(0x10000, at=1_000_000, pasid=1).walk(0x20000, at=2_000_000, pasid=2)
        writer.fault(0x10000, at=3_000_000, pasid=1)
        writer.invalidate(7, "UNMAP", va=0x10000, size=0x2000, at=4_000_000, pasid=1, tgid=0)
        writer.invalidated(7, "UNMAP", va=0x10000, size=0x2000, at=4_500_000, pasid=1)
        writer.invalidate(8, "CLEAR", va=0x40000, at=5_000_000, pasid=2, tgid=22)
        writer.invalidate(9, "RELEASE", va=0, size=0, at=6_000_000, pasid=2, tgid=22, flags=constant("INVALIDATE_ALL"))
        writer.record("COPY", 7_000_000, pasid=1, queue=0, va=0x60000, bytes=0x1000, a=0x80000,
                      detail=constant("TRACE_COPY_VIRTUAL"))
        writer.record("DOORBELL", 8_000_000, pasid=1, queue=22, a=1)
        writer.migrate("REQUEST", at=9_000_000, tgid=22)
        writer.migrate("EVICT", at=9_100_000, va=0x900000, pasid=0, tgid=0)
        self.write(writer.end())

    def events(self, *arguments):
        return [json.loads(line)["type"] for line in self.lines("--json", *arguments)]

    def test_type_takes_several(self):
        self.assertEqual(self.events("--type", "fault,invalidate"), ["fault"] + ["invalidate"] * 3)

    def test_translate_means_walks_and_fills(self):
        self.assertEqual(self.events("--type", "translate"), ["walk", "walk"])

    def test_pasid(self):
        self.assertEqual(self.events("--pasid", "2"), ["bind", "walk", "invalidate", "invalidate"])

    def test_queue_does_not_mistake_a_process_id_for_a_queue(self):
        self.assertEqual(self.events("--queue", "22"), ["doorbell"])

    def test_cause(self):
        self.assertEqual(self.events("--cause", "unmap,clear"), ["invalidate", "invalidated", "invalidate"])
        self.assertEqual(self.events("--cause", "clear,evict"), ["invalidate", "migrate"])

    def test_va_meets_ranges_in_any_byte(self):
        self.assertEqual(self.events("--va", "11fff", "--type", "walk,fault,invalidate,invalidated", "--pasid", "1"),
                         ["invalidate", "invalidated"])

    def test_va_end_is_exclusive(self):
        self.assertEqual(self.events("--va", "0xf000-0x10000", "--pasid", "1"), [])
        self.assertEqual(self.events("--va", "0xf000-0x10001", "--pasid", "1"), ["walk", "fault", "invalidate", "invalidated"])

    def test_va_meets_an_invalidation_of_everything(self):
        self.assertEqual(self.events("--va", "900000"), ["invalidate"])

    def test_va_meets_a_migration_of_a_process_and_no_offset(self):
        self.assertEqual(self.events("--va", "3ff000-900001", "--type", "migrate"), ["migrate"])

    def test_va_meets_the_source_of_a_copy(self):
        self.assertEqual(self.events("--va", "80800", "--type", "copy"), ["copy"])

    def test_time_window_is_inclusive(self):
        self.assertEqual(self.events("--since", "2", "--until", "3ms"), ["walk", "fault"])
        self.assertEqual(self.events("--since", "2000001ns", "--until", "2999.999us"), [])

    def test_limit_ends_the_output(self):
        self.assertEqual(self.events("--limit", "3"), ["bind", "bind", "walk"])

    def test_names_are_known_even_if_the_bind_is_filtered_out(self):
        self.assertIn("1(one)", self.lines("--type", "fault", "--since", "3")[0])

    def test_unknown_values_are_refused_with_the_valid_ones(self):
        for arguments, expected in ((("--type", "walk,wlak"), ("'wlak'", "doorbell", "translate")),
                                    (("--cause", "munmap"), ("'munmap'", "unmap", "protection-vma", "service")),
                                    (("--va", "xyz"), ("'xyz'", "START-END")), (("--va", "20-10"), ("empty",)),
                                    (("--since", "soon"), ("'soon'", "12.5us")), (("--pasid", "-1"), ("'-1'",)),
                                    (("--limit", "0"), ("at least 1",))):
            status, out, err = self.show(*arguments)
            self.assertEqual((status, out), (2, ""), arguments)
            for part in expected:
                self.assertIn(part, err)


class Json(TraceCase):
    def test_each_line_is_an_object_with_symbolic_names(self):
        self.write(TraceWriter().bind().invalidate(3).invalidated(3, hit=("L2",), entries=1, wait=99).end())
        events = [json.loads(line) for line in self.lines("--json")]
        self.assertEqual([event["type"] for event in events], ["bind", "invalidate", "invalidated", "end"])
        self.assertEqual(events[1]["process"], "vecadd")
        self.assertEqual(events[1]["notify_end"], "0x7f0000002000")
        self.assertEqual((events[2]["hit"], events[2]["entries"], events[2]["ns"]), (["l2"], 1, 99))
        self.assertNotIn("queue", events[2])


class Pipes(TraceCase):
    def command(self, *arguments):
        code = (f"import sys; sys.path.insert(0, {str(TOOLS)!r}); import trace_reader; "
                f"sys.exit(trace_reader.show_main({list(arguments)!r}))")
        return subprocess.Popen([sys.executable, "-B", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def test_a_reader_that_goes_away_ends_it_quietly(self):
        writer = TraceWriter()
        for _ in range(20000):
            writer.walk(0x1000)
        self.write(writer.end())
        with self.command(self.path) as process:
            self.assertIn(b"event", process.stdout.readline())
            process.stdout.close()
            self.assertEqual((process.stderr.read(), process.wait()), (b"", 141))

    def test_a_trace_can_come_through_a_pipe(self):
        data = TraceWriter().bind().walk(0x1000).end().bytes()
        with self.command("/dev/stdin") as process:
            out, err = process.communicate(data)
        self.assertEqual((process.returncode, err, len(out.splitlines())), (0, b"", 4))


if __name__ == "__main__":
    unittest.main()
