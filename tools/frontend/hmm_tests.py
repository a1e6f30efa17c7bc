# SPDX-License-Identifier: GPL-2.0-or-later
"""Which tests the kernel's hmm-tests have, and their results, read from their TAP.

What a program prints for each test:

    #  RUN           hmm.hmm_device_private.migrate ...
    # hmm-tests.c:1019:migrate:Expected ret (-12) == 0 (0)
    #          FAIL  hmm.hmm_device_private.migrate
    not ok 12 hmm.hmm_device_private.migrate
"""
import re
import time
from pathlib import Path

from .build_selftests import source_files
from .gtest_stream import GtestStream
from .results import FAILED, PASSED, SKIPPED

_FIXTURE_VARIANT = re.compile(r"^FIXTURE_VARIANT_ADD\((\w+), (\w+)\)", re.MULTILINE)
_TEST = re.compile(r"^TEST_F(?:_TIMEOUT|_SIGNAL)?\((\w+), (\w+)", re.MULTILINE)
_BEGIN = re.compile(r"#\s+RUN\s+(\S+) \.\.\.$")
_RESULT = re.compile(r"(ok|not ok) \d+ (\S+)(?: # (\w+)\s*(.*))?$")
_TOTALS = re.compile(r"# (Totals: .*)$")


# --- listing -------------------------------------------------------------------------------------------------------------

def test_names(text):
    """FIXTURE.VARIANT.TEST, in the order in which they run. Read from the source: the program itself changes the machine that it
    runs on before it lists anything.
    """
    variants, tests = {}, {}
    for fixture, variant in _FIXTURE_VARIANT.findall(text):
        variants.setdefault(fixture, []).append(variant)
    for fixture, test in _TEST.findall(text):
        tests.setdefault(fixture, []).append(test)
    return [f"{fixture}.{variant}.{test}" for fixture in tests for variant in variants.get(fixture, ()) for test in tests[fixture]]


def list_tests(kernel_source, selftest):
    return test_names(source_files(Path(kernel_source), selftest)[0].read_text())


# --- reading -------------------------------------------------------------------------------------------------------------

class KselftestStream(GtestStream):
    """The TAP of the kernel's test harness, with the interface of GtestStream. on_totals(text) gets the suite's own count."""

    def __init__(self, on_start, on_end, on_totals):
        super().__init__(on_start, on_end)
        self._on_totals = on_totals

    def _line(self, line):
        begin, result, totals = _BEGIN.match(line), _RESULT.match(line), _TOTALS.match(line)
        if begin:
            self._begin(begin.group(1))
        elif result and result.group(2) == self.current:
            self._keep(line)
            self._finish(_status(result.group(1), result.group(3)), time.monotonic() - self.last_event)
        elif totals:
            self._on_totals(totals.group(1))
        else:
            self._keep(line)


def _status(word, directive):
    """A test that was expected to fail and did is one that passed; one that did not is worth a look."""
    if word == "not ok" or directive == "XPASS":
        return FAILED
    return SKIPPED if directive == "SKIP" else PASSED
