# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads GoogleTest's output while it is being written.

An XML report is written when a test program ends well; the stream knows, also after a crash, a panic or a hang, which tests
are done, which one was running, and what it had printed. Host tests, guest tests and the Python tests all speak it.
"""
import re
import time
from dataclasses import dataclass

from .results import FAILED, PASSED, SKIPPED

_START = re.compile(r"\[ RUN      \] (\S+)")
_END = re.compile(r"\[(       OK |  FAILED  |  SKIPPED )\] ([^\s,]+)(?:, where .*?)? \((\d+) ms\)")
_STATUS = {"OK": PASSED, "FAILED": FAILED, "SKIPPED": SKIPPED}
KEPT_LINES = 200


@dataclass
class Case:
    """A test as the stream tells it."""
    name: str
    status: str
    seconds: float
    output: list


class GtestStream:
    """Feed it bytes; it calls on_start(name) and on_end(Case)."""

    def __init__(self, on_start, on_end):
        self._on_start = on_start
        self._on_end = on_end
        self._partial = b""
        self._lines = []
        self.current = None
        self.last_event = time.monotonic()

    def feed(self, data):
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._line(line.decode(errors="replace").rstrip("\r"))

    def _line(self, line):
        start, end = _START.search(line), _END.search(line)
        if start:
            self._begin(start.group(1))
        elif end and end.group(2) == self.current:
            self._keep(line[:end.start()])
            self._finish(_STATUS[end.group(1).strip()], int(end.group(3)) / 1000)
        else:
            self._keep(line)

    def _keep(self, line):
        if line and len(self._lines) < KEPT_LINES:
            self._lines.append(line)

    def _begin(self, name):
        if self.current is not None:  # a forked child has printed its parent's buffer again, or the program restarted
            self.abandon()
        self.current, self._lines, self.last_event = name, [], time.monotonic()
        self._on_start(name)

    def _finish(self, status, seconds):
        case = Case(self.current, status, seconds, self._lines)
        self.current, self._lines, self.last_event = None, [], time.monotonic()
        self._on_end(case)

    def abandon(self, reason="the program went on without ending this test"):
        """The program is gone: the test that was running has failed. Returns whether there was one."""
        if self.current is None:
            return False
        self._keep(self._partial.decode(errors="replace"))
        self._partial = b""
        self._lines.append(reason)
        self._finish(FAILED, time.monotonic() - self.last_event)
        return True

    def trailing_output(self):
        """What was printed outside any test: why a program that ran none of them ended."""
        return [*self._lines, *([self._partial.decode(errors="replace")] if self._partial else [])]


def parse_list(text):
    """The names in the output of --gtest_list_tests."""
    names, suite = [], ""
    for line in text.splitlines():
        name = line.split("#", 1)[0].rstrip()
        if name.startswith("  "):
            names.append(suite + name.strip())
        elif re.fullmatch(r"\S+\.", name):
            suite = name
    return names


def is_disabled(name):
    return any(part.startswith("DISABLED_") for part in re.split(r"[./]", name))
