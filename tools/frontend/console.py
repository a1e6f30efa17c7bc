# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest's kernel says: the serial console's file, the kernel log that init passes on, and what in them is a splat.

The serial console survives init (a panic is there and nowhere else); the log passed on by init comes in order with the
program's output, so that a warning can be blamed on the test that ran at that moment.
"""
import collections
import re
from dataclasses import dataclass

TAIL_LINES = 30
KEPT_LOG_RECORDS = 400
REPORT_LINES = 150  # lockdep tells long stories

_PANIC = re.compile(r"Kernel panic - not syncing: ?(.*)")

_SPLAT_START = re.compile(
    r"WARNING: |BUG: |kernel BUG at |Oops: |general protection fault|INFO: task .* blocked for more than"
    r"|INFO: possible |INFO: rcu|INFO: trying to register non-static key|INFO: inconsistent lock state|possible circular locking"
    r"|possible recursive locking|suspicious RCU usage|watchdog: BUG|soft lockup|hard LOCKUP"
    r"|Kernel panic|UBSAN: |KFENCE: |refcount_t: |DEBUG_LOCKS_WARN_ON|Bad page state|Bad rss-counter"
    r"|nobody cared|VM_BUG_ON|page dumped because|pagealloc: ")

_TIME_STAMP = re.compile(r"^\[ *\d+\.\d+\](\[[^\]]*\])? ")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def clean(line):
    """A line of the serial console without terminal control sequences."""
    return _CONTROL.sub("", line).rstrip()


def is_splat(text):
    return bool(_SPLAT_START.search(text))


class SerialConsole:
    """The file that QEMU writes the serial console to."""

    def __init__(self, path):
        self.path = path

    def lines(self):
        try:
            with open(self.path, errors="replace") as file:
                return [line for line in map(clean, file) if line]
        except FileNotFoundError:
            return []

    def panic(self):
        """What the kernel said when it panicked, or None."""
        for line in self.lines():
            match = _PANIC.search(line)
            if match:
                return match.group(1) or "no reason given"
        return None


@dataclass
class Splat:
    """One complaint of the kernel, with the lines that follow it."""
    lines: list

    @property
    def title(self):
        return _TIME_STAMP.sub("", self.lines[0])


class KernelLog:
    """The records that init passed on: the last ones, and every splat since the last take_splats()."""

    def __init__(self):
        self.records = collections.deque(maxlen=KEPT_LOG_RECORDS)
        self._splats = []
        self._open_report = None

    def add(self, text):
        self.records.append(text)
        if self._open_report is not None:
            self._extend(text)
        elif is_splat(text):
            self._open_report = [text]
            self._splats.append(Splat(self._open_report))

    def _extend(self, text):
        """Until its end mark, everything belongs to the report that is open: an oops names itself several times."""
        self._open_report.append(text)
        if "---[ end trace" in text or len(self._open_report) >= REPORT_LINES:
            self._open_report = None

    def take_splats(self):
        splats, self._splats, self._open_report = self._splats, [], None
        return splats


def tail(serial, log, count=TAIL_LINES):
    """The end of what the kernel said. The serial console has the panic; without one, the log is the fuller account."""
    lines = serial.lines()
    if serial.panic() is None and len(log.records) > len(lines):
        lines = list(log.records)
    return lines[-count:]
