# SPDX-License-Identifier: GPL-2.0-or-later
"""What the GPU's coherence checker has reported (docs/checker.md): a file to which QEMU appends. A report is a few lines and an
empty one; the first names the GPU and the kind of violation, the others are indented."""
from dataclasses import dataclass


@dataclass
class Report:
    """One violation, as the checker tells it."""
    lines: list

    @property
    def title(self):
        """As in "gpu0: X2.missed-level: what was done"."""
        return self.lines[0]

    @property
    def key(self):
        return (self.title.split(": ") + ["", ""])[1]


class CheckerLog:
    """The reports since the last take_reports(). What QEMU is still writing waits for the next time."""

    def __init__(self, path):
        self.path = path
        self._read = 0

    def take_reports(self):
        try:
            with open(self.path, "rb") as file:
                file.seek(self._read)
                text = file.read()
        except FileNotFoundError:  # no GPU, or the checker is off
            return []
        whole, end, _rest = text.rpartition(b"\n\n")
        self._read += len(whole) + len(end)
        return [Report(report.splitlines()) for report in whole.decode(errors="replace").split("\n\n") if report]
