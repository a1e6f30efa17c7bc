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
from .deterministic import job_of, seal
from .execution import exit_status
from .run import BASE_KINDS, boot_refusal, ensure
from .status import FAILED, OK, UsageError

HOST_SECONDS = 600
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
class Finding:
    """Something wrong in one run. Two with the same `what`, numbers apart, are the same finding."""
    what: str
    details: tuple = ()

    @property
    def identity(self):
        return _NUMBERS.sub("N", self.what)


def findings(status, death, splats, lines, qemu_errors):
    """All that a run shows to be wrong: the guest's death, the kernel's complaints, what QEMU reports, the exit status."""
    found = [Finding(f"the guest's kernel complained: {splat.title}", tuple(splat.lines[1:KEPT_LINES])) for splat in splats]
    found += [Finding(f"QEMU: {line}") for line in qemu_errors]
    if death:
        found.append(Finding(death.message, tuple(death.details[-KEPT_LINES:])))
    elif status and not found:
        found.append(Finding(f"exit status {status}: {_tell_tale(lines)}", tuple(lines[-KEPT_LINES:])))
    return found


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

    def run(self, seed):
        """The findings of the run with this seed."""
        job = copy.copy(self._job)
        job.program = dataclasses.replace(job.program, variables={**job.program.variables, "TANDEM_SEED": str(seed)})
        sink, status, death = Memory(), None, None
        config = self._config(seed, hostile_seed(self._args, seed))
        with sealed.SealedGuest(config, self._artifacts, b"", b"", initramfs=self._initramfs, incoming=str(self._snapshot)) as guest:
            guest.start()
            guest.resume(job.script())
            try:
                ending = guest.follow(sink, HOST_SECONDS, guest_seconds=self._args.guest_seconds)
                guest.wait_for_power_off()
                status = exit_status(ending)
            except GuestDied as trouble:
                death = trouble
            return findings(status, death, guest.kernel_log.take_splats(), sink.lines(), guest.qemu_errors())


def hostile_seed(args, seed):
    if args.no_hostile:
        return None
    return args.hostile if args.hostile is not None else max(1, seed)


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


def command(args, seed):
    """The shortest command that does this run again."""
    words = ["./tandem", "run", "--deterministic", "--seed", str(seed)]
    if hostile_seed(args, seed) is not None:
        words += ["--hostile", str(hostile_seed(args, seed))]
    for option, value, default in (("--gpu", args.gpu, ""), ("--gpus", args.gpus, 1), ("--iommu", args.iommu, "off"),
                                   ("--memory", args.memory, machine.DEFAULT_MEMORY), ("--kernel", args.kernel, "default"),
                                   ("--translation", args.translation, "mirror")):
        words += [option, str(value)] if value != default else []
    words += ["--no-fabric"] if args.no_fabric else []
    for option, values in (("--kernel-arg", args.kernel_arg), ("--qemu-arg", args.qemu_arg), ("--env", args.env), ("--file", args.file)):
        words += [f"{option}={value}" for value in values]
    return shlex.join([*words, args.target, *args.arguments])


class Account:
    """What has been found so far; every distinct finding is told once, when it first comes."""

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
        with self._lock:
            self.runs += 1
            for finding in found:
                self._known.setdefault(finding.identity, []).append(seed)
                if len(self._known[finding.identity]) == 1:
                    self._tell(seed, finding)
            self._progress()

    def _tell(self, seed, finding):
        self._clear()
        print(f"violation {self.distinct}: {finding.what}")
        for line in finding.details:
            print(f"    {line}")
        print(f"    again: {command(self._args, seed)}", flush=True)

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
            print(f"violation {number}: in {len(met)} of {self.runs} runs, seeds {', '.join(map(str, met[:8]))}{' ...' if len(met) > 8 else ''}")
        print(f"{self.runs} runs, {self.distinct} distinct violations, {time.monotonic() - self._began:.0f} s")


def explore(explorer, wanted, jobs, account):
    """All runs. The first failure of the machinery itself, or Ctrl-C, ends them; those under way are ended with their guests."""
    remaining = iter(wanted)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        pending = {}
        try:
            while True:
                for seed in _take(remaining, jobs - len(pending)):
                    pending[pool.submit(explorer.run, seed)] = seed
                if not pending:
                    return
                done, _rest = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    account.add(pending.pop(future), future.result())
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
            explore(explorer, wanted, jobs, account)
        finally:
            if account.runs:
                account.summary()
    return FAILED if account.distinct else OK
