# SPDX-License-Identifier: GPL-2.0-or-later
"""GoogleTest's output, cut anywhere and broken off anywhere."""
import unittest

from frontend.gtest_stream import GtestStream, is_disabled, parse_list

OUTPUT = b"""Note: Google Test filter = *
[==========] Running 3 tests from 1 test suite.
[ RUN      ] Tlb.Fills
[       OK ] Tlb.Fills (12 ms)
[ RUN      ] Tlb.Drops
tlb_test.cpp:9: Failure
half a line[  FAILED  ] Tlb.Drops (3 ms)
[ RUN      ] Sizes/Tlb.Holds/2
not here
[  SKIPPED ] Sizes/Tlb.Holds/2 (0 ms)
[ RUN      ] Typed/0.Works
[  FAILED  ] Typed/0.Works, where TypeParam = int (7 ms)
[  FAILED  ] 2 tests, listed below:
[  FAILED  ] Tlb.Drops
"""


class GtestStreamTest(unittest.TestCase):
    def setUp(self):
        self.started, self.cases = [], []
        self.stream = GtestStream(self.started.append, self.cases.append)

    def summary(self):
        return [(case.name, case.status, case.seconds, case.output) for case in self.cases]

    def test_results_do_not_depend_on_how_the_bytes_arrive(self):
        for step in (1, 13, len(OUTPUT)):
            self.setUp()
            for start in range(0, len(OUTPUT), step):
                self.stream.feed(OUTPUT[start:start + step])
            self.assertEqual(self.summary(), [
                ("Tlb.Fills", "passed", 0.012, []),
                ("Tlb.Drops", "failed", 0.003, ["tlb_test.cpp:9: Failure", "half a line"]),
                ("Sizes/Tlb.Holds/2", "skipped", 0.0, ["not here"]),
                ("Typed/0.Works", "failed", 0.007, [])])

    def test_a_test_that_was_running_at_the_end_has_failed(self):
        self.stream.feed(b"[ RUN      ] A.B\nlast words\nhalf")
        self.assertEqual(self.stream.current, "A.B")
        self.assertTrue(self.stream.abandon("killed by SIGSEGV"))
        self.assertEqual((self.cases[0].status, self.cases[0].output), ("failed", ["last words", "half", "killed by SIGSEGV"]))

    def test_nothing_running_nothing_abandoned(self):
        self.stream.feed(b"usage: ...\nbad option")
        self.assertFalse(self.stream.abandon("x"))
        self.assertEqual(self.stream.trailing_output(), ["usage: ...", "bad option"])

    def test_the_end_of_another_test_is_not_taken_for_this_ones(self):
        self.stream.feed(b"[ RUN      ] A.B\n[       OK ] C.D (1 ms)\n")
        self.assertEqual(self.stream.current, "A.B")
        self.assertEqual(self.cases, [])

    def test_a_test_that_never_ended_before_the_next_began_has_failed(self):
        self.stream.feed(b"[ RUN      ] A.B\n[ RUN      ] A.C\n[       OK ] A.C (1 ms)\n")
        self.assertEqual([(case.name, case.status) for case in self.cases], [("A.B", "failed"), ("A.C", "passed")])

    def test_list_with_parameters_and_types(self):
        text = "Running main() from gtest_main.cc\nTlb.\n  Fills\n  DISABLED_Drops\nSizes/Tlb.\n  Holds/0  # GetParam() = 4\n" \
               "Typed/0.  # TypeParam = int\n  Works\n"
        self.assertEqual(parse_list(text), ["Tlb.Fills", "Tlb.DISABLED_Drops", "Sizes/Tlb.Holds/0", "Typed/0.Works"])
        self.assertEqual([name for name in parse_list(text) if is_disabled(name)], ["Tlb.DISABLED_Drops"])


if __name__ == "__main__":
    unittest.main()
