# SPDX-License-Identifier: GPL-2.0-or-later
"""The matrix: what its page says, which tests that selects, and what becomes of their results."""
import io
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import fakes
from frontend import build_project, junit, matrix
from frontend.host_tests import HostProgram
from frontend.results import FAILED, PASSED, SKIPPED, Reporter, TestResult
from frontend.status import UsageError
from frontend.test_runner import Plan

PAGE = """\
# A page

| other | table |
| --- | --- |
| of two | columns |

## AMD: KFDTest

| behaviour | origin | test |
| --- | --- | --- |
| a read-only range faults | KFDSVMRangeTest.ReadOnly | MatrixRange.read_only |
| ranges split | KFDSVMRangeTest.Split | `Shapes/MatrixRange.splits/*` |

Words between.

## Intel: IGT

| behaviour | origin | test |
| --- | --- | --- |
| a shape | once-malloc | Shapes/MatrixRange.splits/left |
"""


def results(**statuses):
    return [TestResult("guest a", name.replace("__", ".", 1), status) for name, status in statuses.items()]


class MatrixTest(unittest.TestCase):
    def setUp(self):
        self.rows = matrix.parse(PAGE)

    def test_rows_are_those_of_the_pages_own_tables(self):
        self.assertEqual([(row.section, row.behaviour) for row in self.rows],
                         [("AMD: KFDTest", "a read-only range faults"), ("AMD: KFDTest", "ranges split"), ("Intel: IGT", "a shape")])
        self.assertEqual(self.rows[1].test, "Shapes/MatrixRange.splits/*")

    def test_a_row_without_a_cell_is_an_error_that_says_where(self):
        with self.assertRaisesRegex(ValueError, "line 5"):
            matrix.parse("## A\n\n| behaviour | origin | test |\n| --- | --- | --- |\n| b |  | T.t |\n")
        with self.assertRaisesRegex(UsageError, "No such file"):
            matrix.load("/nonexistent/matrix.md")

    def test_the_plan_takes_what_the_page_names_and_the_filter_matches(self):
        class Program:
            group = "guest a"

            @staticmethod
            def list_tests():
                return ["MatrixRange.read_only", "Shapes/MatrixRange.splits/left", "Other.test"]

        reporter = Reporter(io.StringIO())
        self.assertEqual(Plan(None, reporter, self.rows).names(Program), ["MatrixRange.read_only", "Shapes/MatrixRange.splits/left"])
        self.assertEqual(Plan("*read*", reporter, self.rows).names(Program), ["MatrixRange.read_only"])

    def test_a_test_of_two_rows_has_two_origins(self):
        self.assertEqual(matrix.origins(self.rows, "Shapes/MatrixRange.splits/left"), ["KFDSVMRangeTest.Split", "once-malloc"])
        self.assertEqual(matrix.origins(self.rows, "Other.test"), [])

    def test_outcomes(self):
        row = self.rows[1]
        cases = {"Shapes/MatrixRange.splits/left": PASSED, "Shapes/MatrixRange.splits/right": PASSED, "Other.test": FAILED}
        self.assertEqual(matrix.outcome(row, []), "not run")
        self.assertEqual(matrix.outcome(row, results(**cases)), "passed (2 of 2)")
        cases["Shapes/MatrixRange.splits/both"] = SKIPPED
        self.assertEqual(matrix.outcome(row, results(**cases)), "passed (2 of 3, 1 skipped)")
        cases["Shapes/MatrixRange.splits/none"] = FAILED
        self.assertEqual(matrix.outcome(row, results(**cases)), "failed (2 of 4, 1 skipped)")
        self.assertEqual(matrix.outcome(row, results(**{"Shapes/MatrixRange.splits/left": SKIPPED})), "skipped")

    def test_the_table_has_a_row_for_each_behaviour(self):
        text = matrix.table(self.rows, results(**{"MatrixRange.read_only": FAILED}))
        self.assertIn("## AMD: KFDTest\n\n| behaviour | origin | result |\n| --- | --- | --- |\n"
                      "| a read-only range faults | `KFDSVMRangeTest.ReadOnly` | failed |\n", text)
        self.assertIn("## Intel: IGT\n\n| behaviour | origin | result |\n| --- | --- | --- |\n| a shape | `once-malloc` | not run |\n", text)

    def test_junit_cases_carry_their_origins(self):
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "results.xml"
            junit.write(path, results(**{"Shapes/MatrixRange.splits/left": PASSED, "Other.test": PASSED}),
                        lambda name: [("origin", origin) for origin in matrix.origins(self.rows, name)])
            cases = ElementTree.parse(path).findall(".//testcase")
        self.assertEqual([[entry.get("value") for entry in case.iter("property")] for case in cases],
                         [["KFDSVMRangeTest.Split", "once-malloc"], []])


class CommandTest(unittest.TestCase):
    """With the project's own page and a guest that is fake."""

    def run_matrix(self, *arguments):
        with tempfile.TemporaryDirectory() as scratch:
            stage = fakes.make_stage(scratch)
            row = next(row for row in matrix.load() if not set("*?[/") & set(row.test))
            fakes.add_test_binary(stage, "a_test", {"One": ["Passes"], row.test.split(".")[0]: [row.test.split(".")[1]]})
            with fakes.behave("", FAKE_QEMU_LEAKS=""):
                process = fakes.tandem(["test", "matrix", *arguments], stage)
                out, error = process.communicate(timeout=60)
        return row, process.returncode, out.decode() + error.decode()

    def test_it_lists_what_the_page_names_and_nothing_else(self):
        row, status, text = self.run_matrix("--list")
        self.assertEqual((status, text), (0, f"guest a_test: {row.test}\n"))

    def test_a_place_for_the_table_that_cannot_be_written_is_refused_at_once(self):
        _row, status, text = self.run_matrix("--table", "/proc/nothing/table.md")
        self.assertEqual(status, 2, text)
        self.assertIn("--table /proc/nothing/table.md", text)


class PageTest(unittest.TestCase):
    """The project's own page and the project's own tests belong together."""

    @classmethod
    def setUpClass(cls):
        cls.rows = matrix.load()
        programs = sorted((build_project.guest_directory() / "bin").glob("*_test"))
        cls.names = [name for path in programs for name in HostProgram(path.name, [path]).list_tests()]

    def test_every_row_names_a_test(self):
        self.assertEqual([row.test for row in matrix.rows_without_test(self.rows, self.names)], [])

    def test_every_test_of_the_matrix_has_a_row(self):
        self.assertEqual(matrix.tests_without_row(self.rows, self.names), [])

    def test_the_sections_are_there(self):
        self.assertLessEqual({"Intel: xe_exec_system_allocator", "NVIDIA: UVM"}, {row.section for row in self.rows})

    def test_no_row_stands_twice(self):
        self.assertEqual(len(self.rows), len({(row.behaviour, row.origin) for row in self.rows}))


if __name__ == "__main__":
    unittest.main()
