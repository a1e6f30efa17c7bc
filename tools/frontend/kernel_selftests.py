# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own selftests, unmodified: compiled from the guest kernel's source, run in the guest, read from their TAP.

What a program prints for each test:

    #  RUN           hmm.hmm_device_private.migrate ...
    # hmm-tests.c:1019:migrate:Expected ret (-12) == 0 (0)
    #          FAIL  hmm.hmm_device_private.migrate
    not ok 12 hmm.hmm_device_private.migrate
"""
import re
import subprocess
import time
from pathlib import Path

from . import build_project
from .cache import content_key, locked, write_atomically
from .gtest_stream import GtestStream
from .results import FAILED, PASSED, SKIPPED
from .status import FrontendError

# Name -> sources, in tools/testing/selftests/mm.
PROGRAMS = {"hmm-tests": ("hmm-tests.c", "vm_util.c", "hugepage_settings.c")}
FLAGS = ("-O2", "-static", "-pthread", "-D_GNU_SOURCE", "-U_FORTIFY_SOURCE", "-Wall")

_FIXTURE_VARIANT = re.compile(r"^FIXTURE_VARIANT_ADD\((\w+), (\w+)\)", re.MULTILINE)
_TEST = re.compile(r"^TEST_F(?:_TIMEOUT|_SIGNAL)?\((\w+), (\w+)", re.MULTILINE)
_BEGIN = re.compile(r"#\s+RUN\s+(\S+) \.\.\.$")
_RESULT = re.compile(r"(ok|not ok) \d+ (\S+)(?: # (\w+)\s*(.*))?$")
_TOTALS = re.compile(r"# (Totals: .*)$")


# --- building ------------------------------------------------------------------------------------------------------------

def _sources(kernel_source, name):
    directory = Path(kernel_source) / "tools/testing/selftests/mm"
    return [directory / source for source in PROGRAMS[name]]


def directory(kernel):
    return build_project.checkout_directory() / f"selftests-{kernel.name}"


def ensure(kernel):
    """Compiles, with the headers and sources of this finished kernel, what it has the sources of; returns where."""
    place = directory(kernel)
    for name in PROGRAMS:
        sources = _sources(kernel / "source", name)
        if all(source.exists() for source in sources):
            with locked(f"{place.name}-{build_project.checkout_directory().name}"):
                _ensure_program(kernel, place, name, sources)
    return place


def _ensure_program(kernel, place, name, sources):
    stamp, program = place / f"{name}.key", place / name
    key = content_key(kernel.name, *FLAGS, *(source.read_bytes() for source in sources))
    if program.exists() and stamp.exists() and stamp.read_text() == key:
        return
    place.mkdir(parents=True, exist_ok=True)
    source = kernel / "source"
    command = ["gcc", *FLAGS, f"-I{source}", f"-I{source / 'tools/testing/selftests'}", "-isystem", str(kernel / "headers/include"),
               "-o", str(program), *map(str, sources)]
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if result.returncode:
        raise FrontendError(f"the kernel's {name} does not compile:", details=result.stderr.splitlines()[-20:])
    write_atomically(stamp, key.encode())


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


def list_tests(kernel_source, name):
    return test_names(_sources(kernel_source, name)[0].read_text())


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
