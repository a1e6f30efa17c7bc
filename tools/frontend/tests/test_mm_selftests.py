# SPDX-License-Identifier: GPL-2.0-or-later
import io
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from frontend import build_selftests, mm_selftests, wire
from frontend.boot import GuestDied
from frontend.checker import CheckerLog
from frontend.console import KernelLog
from frontend.guest_tests import GuestRecorder
from frontend.results import FAILED, PASSED, Reporter

OUTPUT = """TAP version 13
1..4
# [RUN] a case
ok 1 a case ... with base page
not ok 2 another
ok 3 # SKIP a third (feature missing)
ok 4 # XFAIL mremap - misaligned
\tExpected mremap failure
# Totals: pass:1 fail:1 xfail:1 xpass:0 skip:1 error:0
"""
SHADOW = "# shadow: 3 processes, 9 rounds, 400 pages read, 500 tried, 0 failures\n"


def run(text=OUTPUT, status=0):
    return mm_selftests.Run(status, mm_selftests.read_cases(text), text)


class ReadingTest(unittest.TestCase):
    def test_cases_are_known_by_number_and_name_and_keep_their_directive(self):
        self.assertEqual(mm_selftests.read_cases(OUTPUT), {
            "1 a case ... with base page": "ok", "2 another": "not ok", "3 a third (feature missing)": "ok SKIP",
            "4 mremap - misaligned": "ok XFAIL"})

    def test_a_directive_may_stand_behind_the_name(self):
        self.assertEqual(mm_selftests.read_cases("ok 7 guard.file.basic # SKIP only anon\n"),
                         {"7 guard.file.basic only anon": "ok SKIP"})

    def test_comments_and_indented_lines_are_no_cases(self):
        self.assertEqual(mm_selftests.read_cases("# ok 1 a\n   ok 2 b\nokay 3\n"), {})


class JudgingTest(unittest.TestCase):
    def test_equal_runs_pass_even_if_cases_fail_or_are_skipped(self):
        self.assertEqual(mm_selftests.judge(run(), run(OUTPUT + SHADOW)), [])

    def test_each_case_that_differs_is_named(self):
        changed = OUTPUT.replace("not ok 2", "ok 2").replace("ok 3 # SKIP", "ok 3") + SHADOW
        self.assertEqual(mm_selftests.judge(run(), run(changed)), [
            "2 another: not ok alone, ok with the GPU",
            "3 a third (feature missing): ok SKIP alone, ok with the GPU"])

    def test_a_case_that_did_not_run_differs(self):
        cut = "".join(OUTPUT.splitlines(keepends=True)[:4]) + SHADOW
        self.assertIn("4 mremap - misaligned: ok XFAIL alone, not run with the GPU", mm_selftests.judge(run(), run(cut)))

    def test_so_does_the_way_the_program_ended(self):
        self.assertEqual(mm_selftests.judge(run(), run(OUTPUT + SHADOW, 139)),
                         ["the program ended with status 0 alone, 139 with the GPU"])

    def test_a_gpu_that_read_nothing_or_failed_proves_nothing(self):
        for last, problem in (("", "the GPU did not say"), (SHADOW.replace("400 pages", "0 pages"), "has read nothing"),
                              (SHADOW.replace("0 failures", "2 failures"), "failed to read along 2")):
            self.assertRegex("\n".join(mm_selftests.judge(run(), run(OUTPUT + last))), problem)

    def test_a_program_of_which_nothing_passes_proves_nothing(self):
        skipped = "1..0 # SKIP not root\n"
        self.assertEqual(mm_selftests.judge(run(skipped, 4), run(skipped + SHADOW, 4)),
                         ["not one case passed in the run without the GPU"])


class FakeSession:
    def __init__(self):
        self.discarded = 0
        self._guest = SimpleNamespace(kernel_log=KernelLog(), checker=CheckerLog("/no GPU"))

    def guest(self):
        return self._guest

    def discard(self):
        self.discarded += 1


class RunningTest(unittest.TestCase):
    """With an Execution that prints what the test says."""

    def attempt(self, answer, names=None):
        calls = []

        class FakeExecution:
            def __init__(self, _guest, sink):
                self._sink = sink

            def run(self, program, _limit):
                calls.append(program.arguments)
                text = answer(program.arguments)
                self._sink.error(b"noise\n")
                self._sink.output(text.encode())
                return wire.Ending(wire.ENDING_EXITED, 0, False)

        self.session = FakeSession()
        self.programs = mm_selftests.SelftestPrograms(Path("/selftests"), self.session, {})
        recorder = GuestRecorder(Reporter(io.StringIO()), self.programs.group)
        with mock.patch.object(mm_selftests, "Execution", FakeExecution):
            reason = self.programs.attempt(names or self.programs.list_tests(), recorder, 10)
        return calls, recorder.done, reason

    def test_each_program_runs_alone_and_then_with_the_gpu(self):
        calls, done, reason = self.attempt(lambda words: OUTPUT + (SHADOW if "--shadow" in words else ""))
        self.assertEqual(reason, "")
        self.assertEqual([result.status for result in done.values()], [PASSED] * 8)
        self.assertEqual(calls[:2], [["selftest", "/selftests/ksm_functional_tests"],
                                     ["selftest", "--shadow", "/selftests/ksm_functional_tests"]])

    def test_only_those_that_are_asked_for(self):
        calls, done, _ = self.attempt(lambda words: OUTPUT + SHADOW, ["Selftests.uffd_unit_tests_with_the_gpu_reading"])
        self.assertEqual(list(done), ["Selftests.uffd_unit_tests_with_the_gpu_reading"])
        self.assertEqual(len(calls), 2)

    def test_a_difference_fails_the_test_with_both_outputs(self):
        _, done, _ = self.attempt(lambda words: OUTPUT.replace("not ok", "ok") + SHADOW if "--shadow" in words else OUTPUT,
                                  ["Selftests.cow_with_the_gpu_reading"])
        result = done["Selftests.cow_with_the_gpu_reading"]
        self.assertEqual(result.status, FAILED)
        self.assertTrue(result.message.startswith("2 another: not ok alone, ok with the GPU"), result.message)
        self.assertIn("--- with the GPU", result.message)

    def test_a_guest_that_dies_fails_the_test_and_ends_the_attempt(self):
        def die(_words):
            raise GuestDied("panic", "the guest's kernel panicked", 1)

        calls, done, reason = self.attempt(die)
        self.assertEqual(len(calls), 1)
        self.assertEqual([result.status for result in done.values()], [FAILED])
        self.assertIn("panicked", reason)
        self.assertEqual(self.session.discarded, 1)

    def test_a_kernel_without_these_programs_has_no_such_tests(self):
        self.assertEqual(mm_selftests.discover(SimpleNamespace(selftests=Path("/nonexistent")), None, {}), [])


class BuildingTest(unittest.TestCase):
    def make_kernel(self, directory):
        kernel = Path(directory) / "linux-7.3-key"
        for selftest in build_selftests.SELFTESTS:
            for path in build_selftests.source_files(kernel / "source", selftest):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("")
        return kernel

    def test_a_kernel_that_lacks_a_source_has_none(self):
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(build_selftests.build_project, "checkout_directory",
                                                                           return_value=Path(directory)):
            self.assertEqual(list(build_selftests.ensure(Path(directory) / "linux-6.12-key").glob("*.key")), [])

    def test_programs_are_compiled_once_and_again_when_the_command_changes(self):
        ran = []

        def compile_it(words, **_options):
            ran.append(words)
            Path(words[words.index("-o") + 1]).write_text("program")
            return SimpleNamespace(returncode=0, stderr="")

        with tempfile.TemporaryDirectory() as directory, \
             mock.patch.object(build_selftests.build_project, "checkout_directory", return_value=Path(directory)), \
             mock.patch.object(build_selftests.subprocess, "run", compile_it):
            kernel = self.make_kernel(directory)
            place = build_selftests.ensure(kernel)
            self.assertEqual(len(ran), 9)
            self.assertTrue((place / "cow").exists())
            build_selftests.ensure(kernel)
            self.assertEqual(len(ran), 9)
            with mock.patch.object(build_selftests, "FLAGS", ("-O1",)):
                build_selftests.ensure(kernel)
            self.assertEqual(len(ran), 18)
        self.assertTrue(all(("-static" in words) == words[words.index("-o") + 1].endswith("/hmm-tests") for words in ran))


if __name__ == "__main__":
    unittest.main()
