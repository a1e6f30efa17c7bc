# SPDX-License-Identifier: GPL-2.0-or-later
"""Eight of the kernel's own mm selftests, unmodified, each run twice in one guest: alone, and with the GPU reading all that it has.

The GPU must change nothing: both runs must give the same result, skips included, for each case. That it did read is demanded, too,
or the proof would be empty. guest-tests/shadow/ has the two programs that this takes; docs/mm-selftests.md tells more.
"""
import re
import time
from dataclasses import dataclass

from . import gtest_stream, workloads
from .boot import GuestDied
from .build_selftests import READ_ALONG
from .execution import Execution, Program, exit_status
from .guest_tests import GuestSession, machine_for
from .results import FAILED, PASSED
from .status import FrontendError

# What the programs ask for: processors and nodes to migrate between, and memory for huge pages of 2 MiB.
MACHINE = {"cpus": 4, "memory": "4G", "numa": 2}
TIMEOUT_S = 1800  # for one run: migration takes 120 s by its own clock, and the others much of a busy host's


# --- reading what they print -------------------------------------------------------------------------------------------------

_CASE = re.compile(r"(ok|not ok) (\d+)\b(.*)")
_DIRECTIVE = re.compile(r"#\s*(SKIP|XFAIL|XPASS|ERROR)\b", re.IGNORECASE)
_SHADOW = re.compile(r"# shadow: (\d+) processes, (\d+) rounds, (\d+) pages read, (\d+) tried, (\d+) failures$", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """One run of a program: how it ended, the result of each case by its number and name, and all that it printed."""
    status: int
    cases: dict
    output: str


def read_cases(text):
    """{"12 name": "ok"}; with a directive "ok SKIP"."""
    cases = {}
    for line in text.splitlines():
        match = _CASE.match(line)
        if match:
            directive = _DIRECTIVE.search(match.group(3))
            name = " ".join(_DIRECTIVE.sub("", match.group(3)).split())
            cases[f"{match.group(2)} {name}"] = match.group(1) + (f" {directive.group(1).upper()}" if directive else "")
    return cases


def shadow_problem(text):
    """What is wrong with the GPU's part of a run, or ""."""
    match = _SHADOW.search(text)
    if not match:
        return "the GPU did not say what it has read"
    processes, rounds, read, _tried, failures = map(int, match.groups())
    if failures:
        return f"the GPU failed to read along {failures} time(s)"
    return "" if processes and rounds and read else f"the GPU has read nothing: {match.group(0)}"


def differences(alone, shadowed):
    """Lines, one for each case whose results are not the same, and for the ends of the programs."""
    lines = [f"{case}: {alone.cases.get(case, 'not run')} alone, {shadowed.cases.get(case, 'not run')} with the GPU"
             for case in {**alone.cases, **shadowed.cases} if alone.cases.get(case) != shadowed.cases.get(case)]
    if alone.status != shadowed.status:
        lines.append(f"the program ended with status {alone.status} alone, {shadowed.status} with the GPU")
    return lines


def judge(alone, shadowed):
    """Why the test has failed: lines, none if it passed."""
    problems = differences(alone, shadowed)
    if "ok" not in alone.cases.values():
        problems.append("not one case passed in the run without the GPU")
    problem = shadow_problem(shadowed.output)
    return [*problems, problem] if problem else problems


# --- running -----------------------------------------------------------------------------------------------------------------

class _Collector:
    """Takes what a program prints. Its cases are on standard output; errors may come in the middle of a line of that."""

    def __init__(self):
        self._output, self._all = [], []

    def output(self, data):
        self._output.append(data)
        self._all.append(data)

    def error(self, data):
        self._all.append(data)

    def run(self, status):
        output, everything = (b"".join(parts).decode(errors="replace") for parts in (self._output, self._all))
        return Run(status, read_cases(output), everything)


class SelftestPrograms:
    """All of them, as one program of the test runner's."""

    group = "guest selftests"

    def __init__(self, place, session, variables):
        self._place = place
        self._session = session
        self._variables = variables

    def list_tests(self):
        return [selftest.test for selftest in READ_ALONG]

    def attempt(self, names, recorder, limit):
        for selftest in READ_ALONG:
            if selftest.test in names:
                reason = self._test(selftest, recorder, limit)
                if reason:
                    return reason
        return ""

    def _test(self, selftest, recorder, limit):
        """Returns why no other can follow in this guest; then this one has failed."""
        began = time.monotonic()
        try:
            guest = self._session.guest()
            recorder.listen(guest)
            recorder.on_start(selftest.test)
            alone, shadowed = (self._run(guest, selftest, mode, limit) for mode in ((), ("--shadow",)))
        except FrontendError as failure:  # a guest that died is one, too
            if isinstance(failure, GuestDied):
                self._session.discard()
            reason = "\n".join([failure.message, *failure.details])
            recorder.add(selftest.test, FAILED, time.monotonic() - began, reason)
            return reason
        self._conclude(selftest, recorder, time.monotonic() - began, alone, shadowed)
        return ""

    def _run(self, guest, selftest, mode, limit):
        collector = _Collector()
        arguments = ["selftest", *mode, workloads.guest_path(str(self._place / selftest.name))]
        program = Program(f"{workloads.GUEST_STAGE}/bin/selftest", arguments, "/tmp", self._variables)
        return collector.run(exit_status(Execution(guest, collector).run(program, limit)))

    def _conclude(self, selftest, recorder, seconds, alone, shadowed):
        problems = judge(alone, shadowed)
        if problems:
            problems += ["--- alone", *alone.output.splitlines()[-gtest_stream.KEPT_LINES:],
                         "--- with the GPU", *shadowed.output.splitlines()[-gtest_stream.KEPT_LINES:]]
        case = gtest_stream.Case(selftest.test, FAILED if problems else PASSED, seconds, problems)
        recorder.on_end(case)
        if recorder.complained:
            self._session.discard()


def discover(artifacts, base, variables):
    """As guest_tests.discover()."""
    place = artifacts.selftests
    if not place or not all((place / selftest.name).exists() for selftest in READ_ALONG):
        return []
    session = GuestSession(machine_for(base, MACHINE, base.gpu), artifacts, {})
    return [(session, [(SelftestPrograms(place, session, variables), TIMEOUT_S)])]
