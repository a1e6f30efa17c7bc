# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the tests of one program to the last one, however often the program dies on the way.

A program is anything with `group`, `list_tests()` and `attempt(names, recorder, limit)`. An attempt runs the named tests until
they are done or something ends it, and returns why it ended early ("" if it did not). The loop here starts another attempt for
those that are left, so that a crash costs one test and not those behind it.
"""
from .gtest_stream import GtestStream
from .results import FAILED, TestResult


class Recorder:
    """Turns the cases of one program into results."""

    def __init__(self, reporter, group):
        self.reporter = reporter
        self.group = group
        self.done = {}

    def stream(self):
        return GtestStream(self.on_start, self.on_end)

    def on_start(self, name):
        """A test begins."""

    def on_end(self, case):
        message = "\n".join(case.output) if case.status != "passed" else ""
        self.add(case.name, case.status, case.seconds, message)

    def add(self, name, status, seconds=0.0, message=""):
        result = TestResult(self.group, name, status, seconds, message)
        self.done[name] = result
        self.reporter.add(result)
        return result

    def failures(self):
        return sum(result.status == FAILED for result in self.done.values())


def run_to_the_end(program, names, recorder, limit):
    """Attempt after attempt until each test has a result."""
    remaining = list(names)
    recorder.reporter.begin_group()
    while remaining:
        failures = recorder.failures()
        reason = program.attempt(remaining, recorder, limit)
        left = [name for name in remaining if name not in recorder.done]
        if len(left) == len(remaining):
            _give_up(left, recorder, reason or "the program ended without running this test")
            left = []
        elif reason and not left and recorder.failures() == failures:
            recorder.add("Program.EndsWell", FAILED, message=reason)
        remaining = left
    recorder.reporter.end_group(recorder.group)


def _give_up(names, recorder, reason):
    """Nothing of this program can be run. The first result says why, the others point to it."""
    recorder.add(names[0], FAILED, message=reason)
    for name in names[1:]:
        recorder.add(name, FAILED, message=f"not run, as {names[0]}: {reason.splitlines()[0]}")
