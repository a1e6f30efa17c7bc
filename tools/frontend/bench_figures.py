# SPDX-License-Identifier: GPL-2.0-or-later
"""What a benchmark gives: figures, made from samples by their median, shown as a table and written as JSON."""
import json
import statistics
from dataclasses import dataclass

from .status import FrontendError


@dataclass(frozen=True)
class Figure:
    """One line of the table. `baseline` is in the same unit; the ratio is this project divided by the baseline."""
    name: str
    value: float
    unit: str
    baseline: float = None
    at_least: float = None      #: what the ratio should be
    at_most: float = None

    @property
    def ratio(self):
        return None if self.baseline is None else self.value / self.baseline

    def record(self):
        record = {"name": self.name, "value": self.value, "unit": self.unit}
        if self.baseline is not None:
            record |= {"baseline": self.baseline, "ratio": self.ratio}
        return record

    def verdict(self):
        """The target beside the figure, and whether it was met; figures never fail a command."""
        if self.at_least is not None:
            return f">= {self.at_least:g} " + ("met" if self.ratio >= self.at_least else "MISSED")
        if self.at_most is not None:
            return f"<= {self.at_most:g} " + ("met" if self.ratio <= self.at_most else "MISSED")
        return ""


class SampleSet(dict):
    """Name -> samples; a name that a program did not print is an error of that program."""

    def __missing__(self, name):
        raise FrontendError(f"a benchmark gave no samples of {name}")


def compare(name, unit, samples, baseline, **target):
    """A figure from this project's samples and those of what it is compared with."""
    return Figure(name, median(name, samples), unit, median(name, baseline), **target)


def measured(name, unit, samples):
    return Figure(name, median(name, samples), unit)


def median(name, samples):
    """Of positive numbers: anything else is a measurement that went wrong."""
    if not samples or min(samples) <= 0:
        raise FrontendError(f"{name} was not measured: the samples are {list(samples)[:5]}")
    return statistics.median(samples)


# --- table ---------------------------------------------------------------------------------------------------------------

_SCALES = {"elements/s": (1e6, "M elements/s"), "bytes/s": (1e9, "GB/s"), "faults/s": (1e3, "k faults/s")}
HEADINGS = ("NAME", "VALUE", "BASELINE", "UNIT", "RATIO", "TARGET")


def _number(value):
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def _row(figure):
    divisor, unit = _SCALES.get(figure.unit, (1, figure.unit))
    if figure.unit == "ns" and figure.value >= 1e5:
        divisor, unit = 1e3, "us"
    baseline = None if figure.baseline is None else figure.baseline / divisor
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return (figure.name, _number(figure.value / divisor), _number(baseline), unit, ratio, figure.verdict())


def table(figures):
    """Lines for the terminal."""
    rows = [HEADINGS, *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    left = (0, 3, 5)
    return ["  ".join(cell.ljust(width) if column in left else cell.rjust(width)
                      for column, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def write_json(path, figures):
    try:
        with open(path, "w", encoding="utf-8") as file:
            json.dump([figure.record() for figure in figures], file, indent=2)
            file.write("\n")
    except OSError as error:
        raise FrontendError(f"cannot write {path}: {error.strerror}") from error
