# SPDX-License-Identifier: GPL-2.0-or-later
"""./tandem test: all tests of all kinds, filtered by one pattern, reported in one way.

    discover programs -> list their tests -> filter -> run each program to the end -> JUnit file, last line, exit status
"""
import fnmatch
import sys
from pathlib import Path

from . import guest_tests, host_tests, junit, matrix, mm_selftests, sanitized
from .build_selftests import HMM_TESTS
from .machine import time_scale
from .recorder import Recorder, run_to_the_end
from .results import FAILED, Reporter, TestResult
from .run import Interrupted, ensure, guest_variables, machine_config
from .status import FAILED as STATUS_FAILED
from .status import OK, UsageError

TEST_TIMEOUT_S = 120.0
HOST_KINDS = ("model", "qemu", "hosttests", "qtest", "kernel")  # the kernel: its tools read the driver's sources
GUEST_KINDS = ("qemu", "kernel", "model", "driver", "guest")
# Parts of the guest's tests that have a name of their own: the programs.
GUEST_PARTS = {"hmm": (HMM_TESTS.name,)}


class Plan:
    """The tests of a program that match the filter; a program that cannot list its tests is itself a failure."""

    def __init__(self, pattern, reporter, rows=None):
        """rows: of the matrix; then only what they name."""
        self._pattern = pattern
        self._reporter = reporter
        self._rows = rows

    def names(self, program):
        try:
            names = program.list_tests()
        except Exception as error:  # a program that does not even start must not end the run of the others
            if self._pattern is None:
                self._reporter.add(TestResult(program.group, "Program.ListsItsTests", FAILED, message=str(error)))
            return []
        return [name for name in names if self._wants(name)]

    def _wants(self, name):
        return ((self._pattern is None or fnmatch.fnmatchcase(name, self._pattern))
                and (self._rows is None or matrix.selects(self._rows, name)))


def run_host(programs, plan, reporter, limit):
    for program in programs:
        names = plan.names(program)
        if names:
            run_to_the_end(program, names, Recorder(reporter, program.group), limit)


def run_guest(sessions, plan, reporter, limit, scale=1):
    """`limit` is the user's; the tests' own are meant for the default kernel, and grow by `scale` for a slower one."""
    for session, programs in sessions:
        try:
            for program, own_limit in programs:
                names = plan.names(program)
                if names:
                    recorder = guest_tests.GuestRecorder(reporter, program.group)
                    run_to_the_end(program, names, recorder, limit or (own_limit or TEST_TIMEOUT_S) * scale)
            session.check_leaks(reporter)
        finally:
            session.close()


def print_tests(programs, plan):
    """--list: every test, one a line, ready to be given to --filter."""
    count = 0
    for program in programs:
        for name in plan.names(program):
            print(f"{program.group}: {name}")
            count += 1
    return OK if count else STATUS_FAILED


def finish(reporter, args):
    if args.junit or args.table or args.where == "matrix":
        write_results(reporter, args, matrix.load())
    if not reporter.results:
        print("tandem: no test " + (f"matches '{args.filter}'" if args.filter else "was found"), file=sys.stderr)
    reporter.say(reporter.last_line())
    return OK if reporter.results and not reporter.count(FAILED) else STATUS_FAILED


def write_results(reporter, args, rows):
    """As files, and after a run of the matrix its table for the person who reads."""
    if args.junit:
        junit.write(args.junit, reporter.results, lambda name: [("origin", origin) for origin in matrix.origins(rows, name)])
    text = matrix.table(rows, reporter.results)
    if args.table:
        Path(args.table).write_text(text)
    if args.where == "matrix":
        reporter.say("\n" + text)


def check_paths(args):
    """Find out now, not after ten minutes of tests."""
    for option, path in (("--junit", args.junit), ("--table", args.table)):
        if not path:
            continue
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with open(path, "a"):
                pass
        except OSError as error:
            raise UsageError(f"{option} {path}: {error.strerror}") from error


def discover(args, artifacts, base, scratch):
    """(programs on the host, sessions of the guest), as far as they were asked for."""
    host, sessions = [], []
    if args.where in ("all", "host"):
        host += host_tests.discover(artifacts, scratch)
    if args.where in ("all", "guest"):
        host += host_tests.python_programs("guest_")
    if args.where != "host":
        sessions = guest_tests.discover(artifacts, base, base.gpu, guest_variables(args), only=GUEST_PARTS.get(args.where))
    if args.where not in ("host", "matrix"):
        sessions += mm_selftests.discover(artifacts, base, guest_variables(args))
    return host, sessions


def sanitize_command(args):
    """The model's tests once more, under the compiler's sanitizers."""
    if args.where != "host":
        raise UsageError("--sanitize is for './tandem test host'")
    from .artifacts import default_jobs  # loaded late, as in run.ensure()
    programs = sanitized.programs(default_jobs())
    reporter = Reporter()
    plan = Plan(args.filter, reporter)
    if args.list_only:
        return print_tests(programs, plan)
    try:
        run_host(programs, plan, reporter, args.test_timeout or TEST_TIMEOUT_S * sanitized.SLOWER)
    except Interrupted:
        finish(reporter, args)
        raise
    return finish(reporter, args)


def test_command(args):
    check_paths(args)
    if args.where == "mutations":
        from . import mutation_tests
        return mutation_tests.mutations_command(args)
    if args.sanitize:
        return sanitize_command(args)
    base = machine_config(args)
    rows = matrix.load() if args.where == "matrix" else None
    kinds = (HOST_KINDS if args.where in ("all", "host") else ()) + (GUEST_KINDS if args.where != "host" else ())
    artifacts = ensure(args, *dict.fromkeys(kinds))
    reporter = Reporter()
    plan = Plan(args.filter, reporter, rows)
    with host_tests.scratch_directory() as scratch:
        host, sessions = discover(args, artifacts, base, scratch)
        if args.list_only:
            return print_tests([*host, *(program for _session, programs in sessions for program, _limit in programs)], plan)
        try:
            run_host(host, plan, reporter, args.test_timeout or TEST_TIMEOUT_S)
            run_guest(sessions, plan, reporter, args.test_timeout, time_scale(base.kernel))
        except Interrupted:
            finish(reporter, args)  # what is known so far
            raise
    return finish(reporter, args)
