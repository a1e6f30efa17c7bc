# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/matrix.md: which test shows which behaviour that the vendors' suites check. ./tandem test matrix runs what it names.

A section of the page is a heading of level 2 with a table below it, of which every line is a row:

    | behaviour | origin | test |
    | --- | --- | --- |
    | what a GPU reads nowhere | fault | MatrixAllocator.a_bad_address_fails_its_queue |

The test is a Suite.Name as ./tandem test --list prints it, or a glob for several. A test may run in several configurations of
the machine: each is a case of the row.
"""
import fnmatch
from dataclasses import dataclass
from pathlib import Path

from .cache import checkout_root
from .results import FAILED, PASSED, SKIPPED
from .status import UsageError

COLUMNS = ["behaviour", "origin", "test"]
OWN_SUITES = "*Matrix*.*"  # every test whose suite's name begins so has a row; "Kinds/" may stand before it
NOT_RUN = "not run"


@dataclass(frozen=True)
class Row:
    section: str
    behaviour: str
    origin: str
    test: str

    def names(self, name):
        return fnmatch.fnmatchcase(name, self.test)


def page_path():
    return checkout_root() / "docs" / "matrix.md"


def load(path=None):
    path = Path(path or page_path())
    try:
        return parse(path.read_text())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def parse(text):
    """The rows in the page's order. Only tables with the page's three columns count."""
    rows, section, inside = [], "", False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            section = line[3:].strip()
        cells = _cells(line)
        if cells == COLUMNS:
            inside = True
        elif not cells:
            inside = False
        elif inside and not _is_rule(cells):
            rows.append(_row(section, cells, number))
    return rows


def _cells(line):
    line = line.strip()
    if not (line.startswith("|") and line.endswith("|") and len(line) > 1):
        return []
    return [cell.strip() for cell in line[1:-1].split("|")]


def _is_rule(cells):
    return all(cell and set(cell) <= set("-:") for cell in cells)


def _row(section, cells, number):
    if len(cells) != len(COLUMNS) or not all(cells):
        raise ValueError(f"line {number}: a row has a behaviour, an origin and a test")
    if not section:
        raise ValueError(f"line {number}: a row stands below a heading '## ...'")
    behaviour, origin, test = (cell.replace("`", "") for cell in cells)  # a glob is set as code, or it would become emphasis
    return Row(section, behaviour, origin, test)


def selects(rows, name):
    return any(row.names(name) for row in rows)


def origins(rows, name):
    """Where the behaviours come from that this test shows, each once."""
    return list(dict.fromkeys(row.origin for row in rows if row.names(name)))


def rows_without_test(rows, names):
    return [row for row in rows if not any(row.names(name) for name in names)]


def tests_without_row(rows, names):
    return [name for name in names if fnmatch.fnmatchcase(name, OWN_SUITES) and not selects(rows, name)]


# --- results -------------------------------------------------------------------------------------------------------------


def outcome(row, results):
    """What became of a row: one word, and for several cases how many of them passed."""
    statuses = [result.status for result in results if row.names(result.name)]
    if not statuses:
        return NOT_RUN
    word = next(status for status in (FAILED, PASSED, SKIPPED) if status in statuses)
    if len(statuses) == 1:
        return word
    skipped = statuses.count(SKIPPED)
    note = f", {skipped} skipped" if skipped and word != SKIPPED else ""
    return f"{word} ({statuses.count(word if word == SKIPPED else PASSED)} of {len(statuses)}{note})"


def table(rows, results):
    """The results as Markdown: for each section of the page a table of behaviour, origin and result."""
    lines = []
    for section in dict.fromkeys(row.section for row in rows):
        lines += ["", f"## {section}", "", "| behaviour | origin | result |", "| --- | --- | --- |"]
        lines += [f"| {row.behaviour} | `{row.origin}` | {outcome(row, results)} |" for row in rows if row.section == section]
    return "\n".join(lines[1:]) + "\n"
