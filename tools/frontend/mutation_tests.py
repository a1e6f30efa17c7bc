# SPDX-License-Identifier: GPL-2.0-or-later
"""./tandem test mutations: does the checker see each mutation of the catalogue, and name its cause?

    for each machine:   the provocations on the driver and the hardware as they are: they pass, and nothing is reported
    for each mutation:  a boot of its own with the mutation, its provocation until the expected report, so many times at most

One kernel after the other, the default one first.

A boot of its own, because what a mutation does to the guest's memory nobody knows. The table is printed while it grows; its last
line is 'N of M detected', and the exit status is 0 if that is all of them and no report was false.
"""
import dataclasses
import fnmatch
import json
import time
from pathlib import Path

from . import guest_tests, gpu_options, junit, mutations, workloads
from .boot import Guest, GuestDied
from .execution import Collector, Execution, Program, exit_status
from .machine import time_scale
from .results import FAILED, PASSED, Reporter, TestResult
from .run import Interrupted, boot, ensure, guest_variables, machine_config
from .status import FAILED as STATUS_FAILED
from .status import OK, FrontendError, UsageError

KINDS = ("qemu", "model", "guest", "mutant")
PROGRAM = "provoke"
PROVOCATION_TIMEOUT_S = 120.0
NO_MUTATION = "none"
DEFAULT_KERNEL = "default"
COLUMNS = ("mutation", "bug", "detected by", "runs", "seconds", "control")
OUTPUT_LINES = 30


@dataclasses.dataclass
class Observation:
    """What one run of a provocation gave."""
    passed: bool
    reports: list  # (key, text) of the checker
    complaints: list  # texts of the kernel
    output: str = ""

    @property
    def is_silent(self):
        return self.passed and not self.reports and not self.complaints

    def describe(self):
        lines = [text for _key, text in self.reports] + self.complaints
        if not self.passed:
            lines += ["the provocation ended so:", *self.output.splitlines()[-OUTPUT_LINES:]]
        return "\n".join(lines)


@dataclasses.dataclass
class Verdict:
    """What became of one mutation."""
    mutation: mutations.Mutation
    detected_by: str  # a key, or the words for what was seen instead
    detected: bool
    runs: int
    seconds: float
    control: str = ""
    details: str = ""

    def cells(self):
        return (self.mutation.name, self.mutation.bug, self.detected_by, str(self.runs), f"{self.seconds:.1f}", self.control)


# --- guests ----------------------------------------------------------------------------------------------------------------

def machine_of(mutation, base, broken=True):
    """The machine of a mutation; or the same one with nothing broken, for the control."""
    name = mutation.name if broken else NO_MUTATION
    gpu = gpu_options.merge("test-hooks=on", base.gpu, mutation.machine.get("gpu", ""))
    if mutation.side == "hardware" and broken:
        gpu = gpu_options.merge(gpu, f"mutate={name}")
    config = {**mutation.machine, "gpu": ""}
    if mutation.translation == "sva":
        config.setdefault("iommu", "passthrough")
    parameters = f"mutate={name if mutation.side == 'driver' else NO_MUTATION}"
    machine = guest_tests.machine_for(base, config, gpu)
    return dataclasses.replace(machine, kernel=mutation.kernel, driver_parameters=parameters)


class MutationGuest:
    """A booted guest in which provocations are run and watched."""

    def __init__(self, machine, artifacts, variables):
        self._guest = Guest(machine, artifacts)
        self._limit = PROVOCATION_TIMEOUT_S * time_scale(machine.kernel)
        self._variables = variables
        try:
            boot(self._guest, machine, artifacts)
        except FrontendError:
            self._guest.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def close(self):
        self._guest.close()

    def provoke(self, test, translation):
        """Runs it once. A guest that dies has also been observed; it is of no use afterwards."""
        collector = Collector()
        arguments = [PROGRAM, "--gtest_color=no", f"--gtest_filter={test}"]
        program = Program(f"{workloads.GUEST_STAGE}/bin/{PROGRAM}", arguments, "/tmp",
                          {**self._variables, "TANDEM_TRANSLATION": translation})
        passed, death = False, []
        try:
            passed = exit_status(Execution(self._guest, collector).run(program, self._limit)) == 0
        except GuestDied as reason:
            death = ["\n".join([reason.message, *reason.details])] if reason.kind == "panic" else []
            collector.output("\n".join([reason.message, *reason.details]).encode())
        reports = [(report.key, "\n".join(report.lines)) for report in self._guest.checker.take_reports()]
        complaints = ["\n".join(splat.lines) for splat in self._guest.kernel_log.take_splats()] + death
        return Observation(passed and f"[       OK ] {test}" in collector.text(), reports, complaints, collector.text())


class Laboratory:
    """Boots guests; one set of artifacts for each kernel."""

    def __init__(self, args):
        self._args = args
        self._base = machine_config(args)
        self._artifacts = {}

    def artifacts(self, kernel):
        if kernel not in self._artifacts:
            self._args.kernel = kernel
            found = ensure(self._args, *KINDS)
            self._artifacts[kernel] = dataclasses.replace(found, driver_ko=found.mutant_ko)
        return self._artifacts[kernel]

    def guest(self, mutation, broken):
        variables = guest_variables(self._args)
        variables["TANDEM_TIME_SCALE"] = str(time_scale(mutation.kernel))
        return MutationGuest(machine_of(mutation, self._base, broken), self.artifacts(mutation.kernel), variables)

    def machine_key(self, mutation):
        """Mutations of one key have one control."""
        return json.dumps([mutation.machine, mutation.translation, mutation.kernel], sort_keys=True)


# --- controls and trials ----------------------------------------------------------------------------------------------------

def run_controls(laboratory, chosen, reporter):
    """{(machine key, provocation): what was observed with nothing broken}."""
    groups = {}
    for mutation in chosen:
        groups.setdefault(laboratory.machine_key(mutation), {}).setdefault(mutation.provoke, mutation)
    return {(key, provoke): observation for key, members in groups.items()
            for provoke, observation in control_machine(laboratory, members.values(), reporter)}


def control_machine(laboratory, members, reporter):
    """One boot for the provocations of one machine, and another one after each that was not silent."""
    guest = None
    try:
        for mutation in members:
            began = time.monotonic()
            try:
                guest = guest or laboratory.guest(mutation, broken=False)
                observation = guest.provoke(mutation.provoke, mutation.translation)
            except FrontendError as failure:
                observation = Observation(False, [], [], "\n".join([failure.message, *failure.details]))
            if guest and not observation.is_silent:
                guest.close()
                guest = None
            reporter.add(TestResult("mutations control", mutation.provoke, PASSED if observation.is_silent else FAILED,
                                    time.monotonic() - began, observation.describe()))
            yield mutation.provoke, observation
    finally:
        if guest:
            guest.close()


def try_mutation(laboratory, mutation):
    """Runs the provocation until the cause is named, or the tries are used up."""
    began = time.monotonic()
    instead, details = "nothing", ""
    for run in range(1, mutation.runs + 1):
        try:
            with laboratory.guest(mutation, broken=True) as guest:
                observation = guest.provoke(mutation.provoke, mutation.translation)
        except FrontendError as failure:
            instead, details = "no guest", "\n".join([failure.message, *failure.details])
            continue
        named = named_cause(mutation, observation)
        if named:
            return Verdict(mutation, named, True, run, time.monotonic() - began, details=observation.describe())
        instead, details = seen_instead(observation), observation.describe() or observation.output
    return Verdict(mutation, instead, False, mutation.runs, time.monotonic() - began, details=details)


def named_cause(mutation, observation):
    if mutation.seen_by == mutations.CHECKER:
        return next((key for key, _text in observation.reports if mutation.explains(key)), None)
    return mutation.seen_by if any(mutation.is_meant_by(text) for text in observation.complaints) else None


def seen_instead(observation):
    if observation.reports:
        return "instead: " + ", ".join(dict.fromkeys(key for key, _text in observation.reports))
    if observation.complaints:
        return "instead: the kernel complained"
    return "nothing" if observation.passed else "nothing; the provocation failed"


# --- the table --------------------------------------------------------------------------------------------------------------

def table_row(cells, widths):
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()


def markdown(verdicts, last_lines):
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(verdict.cells() for verdict in verdicts)]
    return "\n".join([*("| " + " | ".join(row) + " |" for row in rows), "", *last_lines, ""])


def summary(verdicts):
    """The last lines: those that only the kernel's own checks can see, if there are any; then the checker's."""
    ours = [verdict for verdict in verdicts if verdict.mutation.seen_by == mutations.CHECKER]
    others = [verdict for verdict in verdicts if verdict.mutation.seen_by != mutations.CHECKER]
    count = lambda some: f"{sum(verdict.detected for verdict in some)} of {len(some)}"  # noqa: E731
    lines = [f"{count(others)} detected by KASAN and lockdep, which alone can see them"] if others else []
    return [*lines, f"{count(ours)} detected"]


def choose(catalogue, pattern):
    return [mutation for mutation in catalogue if pattern is None or fnmatch.fnmatchcase(mutation.name, pattern)]


def by_kernel(chosen):
    """Lists of mutations; the kernel that is there anyhow comes first."""
    kernels = sorted({mutation.kernel for mutation in chosen}, key=lambda kernel: (kernel != DEFAULT_KERNEL, kernel))
    return [[mutation for mutation in chosen if mutation.kernel == kernel] for kernel in kernels]


def run_all(laboratory, chosen, reporter, verdicts):
    """Controls, then trials; appends to the verdicts and prints the table as it grows."""
    widths = [max(len(COLUMNS[0]), *(len(mutation.name) for mutation in chosen)), 4, 32, 4, 7, 7]
    reporter.say(table_row(COLUMNS, widths))
    for mutations_of_kernel in by_kernel(chosen):
        controls = run_controls(laboratory, mutations_of_kernel, reporter)
        for mutation in mutations_of_kernel:
            verdict = try_mutation(laboratory, mutation)
            control = controls[laboratory.machine_key(mutation), mutation.provoke]
            verdict.control = "silent" if control.is_silent else "FAILED"
            verdicts.append(verdict)
            show_verdict(verdict, widths, reporter)


def show_verdict(verdict, widths, reporter):
    reporter.results.append(TestResult("mutations", verdict.mutation.name, PASSED if verdict.detected else FAILED,
                                       verdict.seconds, verdict.details))
    reporter.say(table_row(verdict.cells(), widths))
    if not verdict.detected:
        for line in verdict.details.splitlines()[-OUTPUT_LINES:]:
            reporter.say(f"    {line}")


def finish(verdicts, reporter, args):
    lines = summary(verdicts)
    if args.junit:
        junit.write(args.junit, reporter.results)
    if args.table:
        Path(args.table).write_text(markdown(verdicts, lines))
    for line in lines:
        reporter.say(line)
    good = all(verdict.detected and verdict.control == "silent" for verdict in verdicts)
    return OK if verdicts and good else STATUS_FAILED


def mutations_command(args):
    laboratory = Laboratory(args)
    catalogue = mutations.load(laboratory.artifacts("default").guest_dir)
    chosen = choose(catalogue, args.filter)
    if not chosen:
        raise UsageError(f"no mutation matches '{args.filter}'; './tandem test mutations --list' shows them")
    reporter = Reporter()
    if args.list_only:
        for mutation in chosen:
            reporter.say(f"{mutation.name}: {mutation.breaks}")
        return OK
    verdicts = []
    try:
        run_all(laboratory, chosen, reporter, verdicts)
    except Interrupted:
        finish(verdicts, reporter, args)
        raise
    return finish(verdicts, reporter, args)
