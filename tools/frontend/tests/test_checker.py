# SPDX-License-Identifier: GPL-2.0-or-later
"""The file of the checker's reports."""
import tempfile
import unittest
from pathlib import Path

from frontend.checker import CheckerLog, Report


class CheckerLogTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.path = Path(scratch.name) / "checker"
        self.log = CheckerLog(self.path)

    def write(self, text):
        with open(self.path, "a") as file:
            file.write(text)

    def titles(self):
        return [report.title for report in self.log.take_reports()]

    def test_without_a_file_there_are_no_reports(self):
        self.assertEqual(self.titles(), [])

    def test_each_report_is_told_once(self):
        self.write("gpu0: one\n  a line\n\ngpu1: two\n\n")
        reports = self.log.take_reports()
        self.assertEqual([report.lines for report in reports], [["gpu0: one", "  a line"], ["gpu1: two"]])
        self.assertEqual(self.titles(), [])

    def test_a_report_that_is_being_written_waits(self):
        self.write("gpu0: one\n\ngpu0: tw")
        self.assertEqual(self.titles(), ["gpu0: one"])
        self.write("o\n\n")
        self.assertEqual(self.titles(), ["gpu0: two"])

    def test_the_key_of_a_report(self):
        self.assertEqual(Report(["gpu0: X2.missed-level: what: was done"]).key, "X2.missed-level")
        self.assertEqual(Report(["odd"]).key, "")


if __name__ == "__main__":
    unittest.main()
