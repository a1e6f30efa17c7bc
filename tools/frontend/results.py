# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests gave: one result for each case, collected and told to the user while they come in."""
import sys
import time
from dataclasses import dataclass

PASSED = "passed"
FAILED = "failed"
SKIPPED = "skipped"


@dataclass
class TestResult:
    group: str  # "guest mirror_test": where it ran, and in which program
    name: str  # Suite.Name
    status: str
    seconds: float = 0.0
    message: str = ""


class Reporter:
    """Collects results; prints a line for each group and the message of each failure."""

    def __init__(self, stream=None):
        self.results = []
        self._stream = stream or sys.stdout
        self._group_began = None

    def say(self, text=""):
        print(text, file=self._stream, flush=True)

    def begin_group(self):
        self._group_began = time.monotonic()

    def add(self, result):
        self.results.append(result)
        if result.status == FAILED:
            self._say_failure(result, result.message)

    def blame(self, result, message):
        """A result that has been reported turns out to be a failure, or a worse one."""
        result.message = "\n".join(part for part in (result.message, message) if part)
        result.status = FAILED
        self._say_failure(result, message)

    def _say_failure(self, result, message):
        self.say(f"FAILED  {result.group}: {result.name} ({result.seconds:.2f} s)")
        for line in message.rstrip().splitlines():
            self.say(f"    {line}")

    def end_group(self, group):
        mine = [result for result in self.results if result.group == group]
        if not mine:
            return
        counts = ", ".join(f"{self.count(status, mine)} {status}" for status in (PASSED, FAILED, SKIPPED)
                           if status == PASSED or self.count(status, mine))
        mark = "FAILED" if self.count(FAILED, mine) else "ok"
        self.say(f"{mark:<7} {group:<34} {counts}, {time.monotonic() - self._group_began:.1f} s")

    def count(self, status, results=None):
        return sum(result.status == status for result in (self.results if results is None else results))

    def last_line(self):
        return ", ".join(f"{self.count(status)} {status}" for status in (PASSED, FAILED, SKIPPED))
