# SPDX-License-Identifier: GPL-2.0-or-later
"""./tandem explore: one workload with many seeds, from a snapshot of a booted guest, on all cores.

The guest boots once, without the GPU's driver, and stops where init would read its orders. From there each run goes on with a seed
of its own: it loads the driver and runs the workload. A run from the snapshot does what a deterministic run with that seed does
from the start, so the command that reproduces a finding needs no snapshot.

What counts as a finding stands in findings(): one place for everything that can tell that something is wrong.
"""
import concurrent.futures
import copy
import dataclasses
import itertools
import os
import re
import shlex
import sys
import tempfile
import threading
import time
from pathlib import Path

from . import machine, sealed
from .boot import GuestDied
from .deterministic import DEFAULT_SEED, job_of, seal
from .execution import exit_status
from .run import BASE_KINDS, boot_refusal, ensure
from .status import FAILED, OK, UsageError

HOST_SECONDS = 1800.0  # for one run; what hangs is told by the guest's own clock
KEPT_LINES = 12
_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+")


class Memory:
    """A sink that keeps the end of what the program printed."""

    def __init__(self):
        self._text = b""

    def output(self, data):
        self._text = (self._text + data)[-16384:]

    error = output

    def lines(self):
        return [line for line in self._text.decode(errors="replace").splitlines() if line.strip()]


@dataclasses.dataclass(frozen=True)
class Attempt:
    """What tells one run from the others."""
    seed: int
    hostile: int | None

    def words(self):
        seed = ["--seed", str(self.seed)] if self.seed != DEFAULT_SEED else []
        return seed + (["--hostile", str(self.hostile)] if self.hostile is not None else [])

    def shorter(self):
        """Attempts that are told in fewer words, the shortest first."""
        candidates = (Attempt(DEFAULT_SEED, None), Attempt(self.seed, None))
        return [attempt for attempt in dict.fromkeys(candidates) if len(attempt.words()) < len(self.words())]


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something wrong in one run. Two with the same `what`, numbers apart, are the same finding."""
    what: str
    details: tuple = ()

    @property
    def identity(self):
        return _NUMBERS.sub("N", self.what)


def findings(status, death, reports, splats, lines, qemu_errors):
    """All that a run shows to be wrong: what the checker reports, the kernel's complaints, what QEMU says, the guest's death, and,
    where nothing else tells, the exit status."""
    found = [_finding_of(report) for report in reports]
    found += [Finding(f"the guest's kernel complained: {splat.title}", tuple(splat.lines[1:KEPT_LINES])) for splat in splats]
    found += [Finding(f"QEMU: {line}") for line in qemu_errors]
    if death:
        found.append(Finding(death.message, tuple(death.details[-KEPT_LINES:])))
    elif status and not found:
        found.append(Finding(f"exit status {status}: {_tell_tale(lines)}", tuple(lines[-KEPT_LINES:])))
    return found


def _finding_of(report):
    """Whole: the chain of events stands at its end. Which GPU it was makes no difference."""
    return Finding(report.title.partition(": ")[2], tuple(line.removeprefix("  ") for line in report.lines[1:]))


def _tell_tale(lines):
    """The line that says most about a failure: what failed, or the last one."""
    marked = [line for line in lines if "FAILED" in line or "Failure" in line or "wrong" in line]
    return (marked or lines or ["it printed nothing"])[0].strip()


# --- the snapshot and the runs from it ------------------------------------------------------------------------------------


class Explorer:
    """Runs of one job from one snapshot. run() may be called by several threads."""

    def __init__(self, job, artifacts, args, place):
        self._job = job
        self._artifacts = artifacts
        self._args = args
        self._initramfs = Path(place) / "initramfs"
        self._snapshot = Path(place) / "snapshot"

    def take_snapshot(self):
        with sealed.SealedGuest(self._config(None, None), self._artifacts, self._job.image, b"", keep_initramfs=self._initramfs,
                                snapshots=True) as guest:
            guest.start()
            with boot_refusal(guest, self._job.config, self._artifacts):
                guest.wait_for_snapshot()
            guest.save(self._snapshot)

    def _config(self, seed, hostile):
        return dataclasses.replace(self._job.config, seed=seed, hostile=hostile)

    def run(self, attempt):
        """The findings of this run."""
        job = copy.copy(self._job)
        job.program = dataclasses.replace(job.program, variables={**job.program.variables, "TANDEM_SEED": str(attempt.seed)})
        sink, status, death = Memory(), None, None
        config = self._config(attempt.seed, attempt.hostile)
        with sealed.SealedGuest(config, self._artifacts, b"", b"", initramfs=self._initramfs, incoming=str(self._snapshot)) as guest:
            guest.start()
            guest.resume(job.script())
            try:
                ending = guest.follow(sink, self._args.timeout or HOST_SECONDS, guest_seconds=self._args.guest_seconds)
                guest.wait_for_power_off()
                status = exit_status(ending)
            except GuestDied as trouble:
                death = trouble
            return findings(status, death, guest.checker.take_reports(), guest.kernel_log.take_splats(), sink.lines(),
                            guest.qemu_errors())

    def shortest(self, attempt, finding):
        """The attempt in the fewest words that shows it, and how: hostile timing and the seed may have had no part in it."""
        for candidate in attempt.shorter():
            for found in self.run(candidate):
                if found.identity == finding.identity:
                    return candidate, found
        return attempt, finding


def attempt_of(args, seed):
    if args.no_hostile:
        return Attempt(seed, None)
    return Attempt(seed, args.hostile if args.hostile is not None else max(1, seed))


# --- which seeds ----------------------------------------------------------------------------------------------------------


def parse_slice(text):
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match.group(1)) <= int(match.group(2)):
        raise UsageError(f"--slice takes INDEX/COUNT with INDEX from 1 to COUNT, as in 2/8, and '{text}' is none")
    return int(match.group(1)) - 1, int(match.group(2))


def share(args, environment=os.environ):
    """(index from 0, count) of this process among several: Meson's --slice, or GoogleTest's variables."""
    if args.slice:
        return parse_slice(args.slice)
    total, index = environment.get("GTEST_TOTAL_SHARDS"), environment.get("GTEST_SHARD_INDEX")
    if total is None and index is None:
        return 0, 1
    if not (total or "").isdigit() or not (index or "").isdigit() or int(index) >= int(total):
        raise UsageError(f"GTEST_TOTAL_SHARDS={total} and GTEST_SHARD_INDEX={index} name no share: the index runs from 0 to one "
                         "less than the total")
    return int(index), int(total)


def seeds(args, environment=os.environ):
    index, count = share(args, environment)
    return [args.first_seed + n for n in range(args.runs) if n % count == index]


# --- telling ---------------------------------------------------------------------------------------------------------------


def command(args, attempt):
    """The shortest command that does this run again."""
    words = ["./tandem", "run", "--deterministic", *attempt.words()]
    words += ["--check"] if args.check else []
    for option, value, default in (("--gpu", args.gpu, ""), ("--gpus", args.gpus, 1), ("--iommu", args.iommu, "off"),
                                   ("--memory", args.memory, machine.DEFAULT_MEMORY), ("--kernel", args.kernel, "default"),
                                   ("--translation", args.translation, "mirror")):
        words += [option, str(value)] if value != default else []
    words += ["--no-fabric"] if args.no_fabric else []
    for option, values in (("--driver-arg", args.driver_arg), ("--kernel-arg", args.kernel_arg), ("--qemu-arg", args.qemu_arg),
                           ("--env", args.env), ("--file", args.file)):
        words += [f"{option}={value}" for value in values]
    return shlex.join([*words, args.target, *args.arguments])


class Account:
    """What has been found so far; every distinct finding is told once, when it first comes. Called by several threads."""

    def __init__(self, args, total):
        self._args = args
        self._total = total
        self._began = time.monotonic()
        self._known = {}
        self._lock = threading.Lock()
        self.runs = 0

    @property
    def distinct(self):
        return len(self._known)

    def add(self, seed, found):
        """Returns those that are new: tell() is for them."""
        with self._lock:
            self.runs += 1
            new = []
            for finding in found:
                seeds_of_it = self._known.setdefault(finding.identity, [])
                new += [finding] if not seeds_of_it else []
                seeds_of_it += [seed] if seed not in seeds_of_it[-1:] else []
            self._progress()
            return new

    def tell(self, attempt, finding):
        with self._lock:
            self._clear()
            print(f"violation {list(self._known).index(finding.identity) + 1}: {finding.what}")
            for line in finding.details:
                print(f"    {line}")
            print(f"    again: {command(self._args, attempt)}", flush=True)

    def _left(self):
        spent = time.monotonic() - self._began
        left = int(spent / self.runs * (self._total - self.runs))
        return f"{left // 60}:{left % 60:02d} min left"

    def _progress(self):
        if sys.stderr.isatty():
            print(f"\r\x1b[K{self.runs} of {self._total} runs, {self.distinct} distinct violations, {self._left()}", end="",
                  file=sys.stderr, flush=True)
        elif self.runs == 1 or self.runs % max(1, self._total // 10) == 0:
            print(f"tandem: {self.runs} of {self._total} runs, {self.distinct} distinct violations, {self._left()}", file=sys.stderr,
                  flush=True)

    def _clear(self):
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def summary(self):
        self._clear()
        for number, (_identity, met) in enumerate(self._known.items(), 1):
            print(f"violation {number}: in {len(met)} of {self.runs} runs, seeds {', '.join(map(str, sorted(met)[:8]))}{' ...' if len(met) > 8 else ''}")
        print(f"{self.runs} runs, {self.distinct} distinct violations, {time.monotonic() - self._began:.0f} s")


def investigate(explorer, attempt, account):
    """One run, and a few more for what nobody has seen yet."""
    for finding in account.add(attempt.seed, explorer.run(attempt)):
        account.tell(*explorer.shortest(attempt, finding))


def explore(explorer, attempts, jobs, account):
    """All runs. The first failure of the machinery itself, or Ctrl-C, ends them; those under way are ended with their guests."""
    remaining = iter(attempts)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        pending = set()
        try:
            while True:
                pending |= {pool.submit(investigate, explorer, attempt, account) for attempt in _take(remaining, jobs - len(pending))}
                if not pending:
                    return
                done, pending = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            sealed.end_all()
            raise


def _take(iterator, count):
    return list(itertools.islice(iterator, count))


def explore_command(args):
    if args.record or args.trace:
        raise UsageError("explore takes neither --record nor --trace: repeat the run that is of interest with them")
    if not args.target:
        raise UsageError("nothing to explore; './tandem list' shows the workloads")
    wanted = seeds(args)
    seal(args)
    artifacts = ensure(args, *BASE_KINDS)
    job = job_of(args, artifacts)
    jobs = min(args.jobs or len(os.sched_getaffinity(0)), max(1, len(wanted)))
    account = Account(args, len(wanted))
    with tempfile.TemporaryDirectory(prefix="tandem-explore-") as place:
        explorer = Explorer(job, artifacts, args, place)
        try:
            explorer.take_snapshot()
            explore(explorer, [attempt_of(args, seed) for seed in wanted], jobs, account)
        finally:
            if account.runs:
                account.summary()
    return FAILED if account.distinct else OK
