# SPDX-License-Identifier: GPL-2.0-or-later
"""Processor time as /proc has it."""
import os
import threading
import unittest
from pathlib import Path

from frontend import processor_time


class ProcessorTimeTest(unittest.TestCase):
    def test_user_and_system_time_are_behind_any_name(self):
        line = "42 (a) (b c) S 1 42 42 0 -1 4194560 100 0 0 0 250 31 7 9 20 0 1 0 5 0 0"
        self.assertEqual(processor_time.parse(line), ("a) (b c", 281))

    def test_a_thread_has_its_part_of_the_process(self):
        names = {processor_time.parse(file.read_text())[0] for file in Path("/proc/self/task").glob("*/stat")}
        whole = processor_time.used_s(os.getpid())
        self.assertLessEqual(sum(processor_time.used_s(os.getpid(), name) for name in names), processor_time.used_s(os.getpid()))
        self.assertEqual(processor_time.used_s(os.getpid(), "no such thread"), 0)
        self.assertGreater(whole, 0)

    def test_a_thread_that_works_uses_time(self):
        done = threading.Event()

        def work():
            while not done.is_set():
                pass

        before = processor_time.used_s(os.getpid())
        worker = threading.Thread(target=work)
        worker.start()
        while processor_time.used_s(os.getpid()) == before:
            pass
        done.set()
        worker.join()


if __name__ == "__main__":
    unittest.main()
