# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input: each kind of broken file gets a message with the offset and its status, and what is readable is shown."""
import os
import random
import unittest

from trace_reader import TraceReader
from trace_reader import reader as reader_module
from trace_reader.tests.support import TraceCase
from trace_reader.tests.writer import TraceWriter, constant, file_header


class Unreadable(TraceCase):
    def refused(self, status, *expected):
        for command in (self.show, self.summary):
            result, out, err = command()
            self.assertEqual((result, out), (status, ""))
            self.assertEqual(len(err.splitlines()), 1, err)
            for part in (self.path, *expected):
                self.assertIn(part, err)

    def test_missing_file(self):
        self.refused(2, "no such file")

    def test_directory(self):
        os.mkdir(self.path)
        self.refused(2, "is a directory")

    def test_empty_file(self):
        self.write(b"")
        self.refused(1, "empty")

    def test_another_kind_of_file(self):
        self.write(b"\x7fELF" + bytes(200))
        self.refused(1, "offset 0", "not a Tandem trace", "7f 45 4c 46", "--trace FILE")

    def test_short_file_of_another_kind(self):
        self.write(b"hello")
        self.refused(1, "offset 0", "not a Tandem trace")

    def test_file_that_ends_in_its_header(self):
        self.write(file_header()[:40])
        self.refused(1, "offset 40", "within its 64-byte header")

    def test_wrong_version(self):
        self.write(TraceWriter().end(), version=9)
        self.refused(1, "offset 8", "version 9", "version 1")

    def test_wrong_record_size(self):
        self.write(TraceWriter().end(), record_bytes=32)
        self.refused(1, "offset 12", "32")

    def test_impossible_header_size(self):
        self.write(TraceWriter().end(), header_bytes=1 << 31)
        self.refused(1, "offset 16")

    def test_device_of_another_major_version(self):
        self.write(TraceWriter().end(), abi_version=7 << 16)
        self.refused(1, "offset 20", "version 7")


class Damaged(TraceCase):
    def shown(self, events, *expected, status=1):
        """The events that can be read are shown, and one message tells the rest."""
        result, out, err = self.show()
        self.assertEqual((result, len(out.splitlines()) - 1), (status, events), out + err)
        for part in (self.path, *expected):
            self.assertIn(part, err)
        result, out, err = self.summary()
        self.assertEqual(result, status)
        for part in expected:
            self.assertIn(part, err)
        return err

    def test_no_end_record(self):
        self.write(TraceWriter().bind().walk(0x1000))
        self.shown(2, "cut off at offset 192", "after 2 records", "no END record")

    def test_header_alone(self):
        self.write(file_header())
        self.shown(0, "cut off at offset 64, after 0 records")

    def test_partial_last_record(self):
        self.write(TraceWriter().bind().walk(0x1000).bytes()[:-24])
        self.shown(1, "cut off at offset 168", "after 1 records and 40 bytes of another")

    def test_cut_in_every_place_never_raises_and_never_passes_for_whole(self):
        data = TraceWriter().bind().walk(0x1000).invalidate(1).invalidated(1).end().bytes()
        for length in range(len(data)):
            self.write(data[:length])
            status, _out, err = self.show()
            self.assertEqual(status, 1, length)
            self.assertTrue(err)

    def test_unknown_record_type_is_skipped_and_told_once(self):
        writer = TraceWriter().bind().record(0xdead).walk(0x1000).record(0).fault(0x1000).end()
        self.write(writer)
        err = self.shown(4, "offset 128 (record 1): 57005 is no record type, and 1 more records like it: skipped")
        self.assertEqual(len(err.splitlines()), 1)

    def test_type_whose_low_byte_is_that_of_end_is_no_end(self):
        self.write(TraceWriter().bind().record(0x0500 + constant("TRACE_END")).walk(0x1000).end())
        self.shown(3, "1281 is no record type")

    def test_damage_is_skipped_under_a_type_filter_too(self):
        self.write(TraceWriter().bind().record(0xdead).walk(0x1000).end())
        status, out, err = self.show("--type", "walk")
        self.assertEqual((status, len(out.splitlines())), (1, 2))
        self.assertIn("57005", err)

    def test_end_that_announces_another_number(self):
        self.write(TraceWriter().bind().walk(0x1000).end(records=10))
        self.shown(3, "offset 192", "announces 10 records, and 2 stand before it")

    def test_lost_records(self):
        self.write(TraceWriter().bind().end(lost=17))
        self.shown(2, "17 records were lost")

    def test_bytes_after_the_end(self):
        self.write(TraceWriter().bind().end().bind().walk(0x1000))
        self.shown(2, "offset 192: more bytes follow the END record")

    def test_random_damage_never_raises(self):
        generator = random.Random(11)
        writer = TraceWriter().bind().walk(0x1000).fill(0x1000).fault(0x2000).invalidate(1).invalidated(1, hit=("L1",))
        whole = writer.end().bytes()
        for _ in range(300):
            data = bytearray(whole)
            for _ in range(generator.randrange(1, 8)):
                data[generator.randrange(len(data))] = generator.choice((0, 1, 0xff, generator.randrange(256)))
            self.write(bytes(data[:generator.randrange(len(data) + 1)] if generator.random() < 0.3 else data))
            for command in (self.show, self.summary):
                for arguments in ((), ("--json",)):
                    status, _out, err = command(*arguments)
                    self.assertEqual(status != 0, err != "")

    def test_limit_does_not_judge_what_it_has_not_read(self):
        self.write(TraceWriter().bind().walk(0x1000))
        self.assertEqual(self.show("--limit", "1")[::2], (0, ""))


class Streaming(TraceCase):
    def test_blocks_join_without_a_seam(self):
        """Records on both sides of every block's edge, an END as a block's first and last record."""
        old = reader_module.BLOCK_RECORDS
        self.addCleanup(setattr, reader_module, "BLOCK_RECORDS", old)
        reader_module.BLOCK_RECORDS = 4
        for count in range(1, 13):
            writer = TraceWriter()
            for index in range(count):
                writer.walk(index << 12)
            self.write(writer.end())
            with TraceReader(self.path) as reader:
                seen = [record[6] >> 12 for batch in reader.batches({constant("TRACE_WALK")}) for record in batch]
            self.assertEqual((seen, reader.problems, reader.records, reader.complete), (list(range(count)), [], count, True))

    def test_a_longer_header_is_skipped(self):
        self.write(file_header(header_bytes=128) + bytes(64) + TraceWriter().bind().end().bytes()[64:])
        self.assertEqual(len(self.lines()), 2)


if __name__ == "__main__":
    unittest.main()
