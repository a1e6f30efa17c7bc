# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs long commands and shows how far they are.

Each command writes its whole output to a log file in the cache; the person sees one line with a percentage and the time left
(rewritten in place on a terminal, repeated at intervals elsewhere). The estimate comes from how long the same step took last
time, kept in the cache, and from what the tool itself says: ninja's [n/m], or the count of objects that make has printed.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .cache import cache_root, inherited_locks, read_json, write_json
from .interrupts import InterruptsHeld
from .status import FrontendError

TERMINAL_INTERVAL = 0.2
PLAIN_INTERVAL = 20.0
LINES_SHOWN_ON_FAILURE = 30

# Seconds on two idle cores and objects to make, for the first run, when the cache knows nothing yet.
FIRST_ESTIMATES = {
    "packages.install": 60.0,
    "qemu.unpack": 5.0,
    "qemu.configure": 12.0,
    "qemu.build": 160.0,
    "kernel.unpack": 15.0,
    "kernel.build": 330.0,
    "kernel.export": 15.0,
    "project.configure": 5.0,
    "project.build": 90.0,
    "driver.build": 10.0,
    "mutant.build": 10.0,
}
FIRST_UNITS = {"kernel.build": 2040}


class Durations:
    """How long each step took last time and how many units of work it had; kept in the cache."""

    def __init__(self, path: Path | None = None):
        self._path = path or cache_root() / "durations.json"
        self._known = read_json(self._path)

    def seconds(self, step: str) -> float | None:
        entry = self._known.get(step)
        value = entry.get("seconds") if isinstance(entry, dict) else None
        return float(value) if isinstance(value, (int, float)) else FIRST_ESTIMATES.get(step)

    def units(self, step: str) -> int | None:
        entry = self._known.get(step)
        value = entry.get("units") if isinstance(entry, dict) else None
        return value if isinstance(value, int) and value > 0 else FIRST_UNITS.get(step)

    def remember(self, step: str, seconds: float, units: int | None = None) -> None:
        self._known = read_json(self._path)
        self._known[step] = {"seconds": round(seconds, 1), **({"units": units} if units else {})}
        write_json(self._path, self._known)


class Reporter:
    """Owns the progress line. Silent reporters exist too: `quiet` prints nothing until a step turns out to be long."""

    def __init__(self, stream=None, quiet: bool = False, verbose: bool = False):
        self._stream = stream or sys.stderr
        self.quiet = quiet
        self.verbose = verbose
        self._terminal = self._stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._last_shown = 0.0
        self._line_open = False
        self._queue: list[str] = []
        self.durations = Durations()

    def plan(self, steps: Sequence[str]) -> None:
        """Names the steps still to come, for the time left over all."""
        self._queue = list(steps)

    def say(self, text: str) -> None:
        """A line that stays."""
        self._close_line()
        print(text, file=self._stream, flush=True)

    def note(self, text: str) -> None:
        """A line that only a person who watches a setup wants."""
        if not self.quiet:
            self.say(text)

    def begin(self, step: str, title: str) -> None:
        if step in self._queue:
            self._queue.remove(step)
        self._last_shown = time.monotonic() - (PLAIN_INTERVAL if self._terminal else 0)
        if not self._terminal:
            estimate = self.durations.seconds(step)
            self.say(f"{title} ..." + (f" (about {clock(estimate)})" if estimate and estimate >= 10 else ""))

    def update(self, title: str, fraction: float | None, left: float | None) -> None:
        """Shows the state of the running step if the last time is long enough ago."""
        now = time.monotonic()
        if now - self._last_shown < (TERMINAL_INTERVAL if self._terminal else PLAIN_INTERVAL):
            return
        self._last_shown = now
        text = self._describe(title, fraction, left)
        if self._terminal:
            columns = shutil.get_terminal_size().columns
            print("\r\033[K" + text[:columns - 1], end="", file=self._stream, flush=True)
            self._line_open = True
        else:
            print(text, file=self._stream, flush=True)

    def _describe(self, title: str, fraction: float | None, left: float | None) -> str:
        text = title
        if fraction is not None:
            text += f"  {min(fraction, 0.99):4.0%}"
        if left is not None:
            text += f", {clock(left)} left"
            later = sum(self.durations.seconds(step) or 0 for step in self._queue)
            if later >= 10:
                text += f" (setup: {clock(left + later)} left)"
        return text

    def end(self, title: str, seconds: float) -> None:
        self._close_line()
        if seconds >= 1 or not self.quiet:
            self.say(f"{title}: done in {clock(seconds)}")

    def _close_line(self) -> None:
        if self._line_open:
            print("\r\033[K", end="", file=self._stream, flush=True)
            self._line_open = False


def clock(seconds: float) -> str:
    """7 s, 2:05 min, 1:02:03 h"""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02} h"


class Meter:
    """Turns counts of work done into a fraction and a time left."""

    def __init__(self, expected_seconds: float | None, expected_units: int | None):
        self._start = time.monotonic()
        self._expected_seconds = expected_seconds
        self.total = expected_units
        self.done = 0

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._start

    def fraction(self) -> float | None:
        if self.total and self.done:
            return min(self.done / self.total, 1.0)
        if self._expected_seconds:
            return min(self.elapsed / self._expected_seconds, 1.0)
        return None

    def left(self) -> float | None:
        """From the pace of this run once there is one, before that from the last run."""
        fraction = self.fraction()
        if fraction is None:
            return None
        by_history = max(0.0, (self._expected_seconds or 0) - self.elapsed)
        if not self.done or fraction < 0.02 or self.elapsed < 2:
            return by_history if self._expected_seconds else None
        return self.elapsed * (1 - fraction) / fraction


NINJA_STATUS = re.compile(r"^\[(\d+)/(\d+)\]")
MAKE_STATUS = re.compile(r"^  (?:[A-Z][A-Z0-9_]+)(?: \[M\])? +\S")


def ninja_counter(meter: Meter, line: str) -> None:
    match = NINJA_STATUS.match(line)
    if match:
        meter.done, meter.total = int(match.group(1)), int(match.group(2))


def make_counter(meter: Meter, line: str) -> None:
    if MAKE_STATUS.match(line):
        meter.done += 1


def elapsed_counter(meter: Meter, line: str) -> None:
    """For commands that say nothing about their progress."""


@contextlib.contextmanager
def step(reporter: Reporter, name: str, title: str, units: int | None = None) -> Iterator[Meter]:
    """Shows and times a step that this process does itself. The caller updates meter.done and calls reporter.update."""
    meter = Meter(reporter.durations.seconds(name), units)
    reporter.begin(name, title)
    yield meter
    reporter.durations.remember(name, meter.elapsed)
    reporter.end(title, meter.elapsed)


def run_step(reporter: Reporter, name: str, title: str, command: Sequence[str | Path], *, cwd: Path | None = None,
             environment: dict[str, str] | None = None, counter: Callable[[Meter, str], None] = elapsed_counter) -> str:
    """Runs one long command as a step; returns its output. Failure is a FrontendError with the end of the log."""
    meter = Meter(reporter.durations.seconds(name), reporter.durations.units(name))
    reporter.begin(name, title)
    output = run_logged(command, log=log_path(name), cwd=cwd, environment=environment, title=title,
                        echo=reporter.verbose, on_line=lambda line: counter(meter, line),
                        on_tick=lambda: reporter.update(title, meter.fraction(), meter.left()))
    if worth_remembering(meter):
        reporter.durations.remember(name, meter.elapsed, meter.done or None)
    reporter.end(title, meter.elapsed)
    return output


def worth_remembering(meter: Meter) -> bool:
    """A continued or incremental build must not teach that the whole step takes two seconds."""
    if meter.total is None or not meter.done:
        return meter.elapsed > 1
    return meter.elapsed > 1 and meter.done >= meter.total // 2


def log_path(name: str) -> Path:
    path = cache_root() / "logs" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def run_logged(command: Sequence[str | Path], *, log: Path, title: str, cwd: Path | None = None,
               environment: dict[str, str] | None = None, echo: bool = False,
               on_line: Callable[[str], None] = lambda line: None, on_tick: Callable[[], None] = lambda: None) -> str:
    """Runs a command in its own process group, its output in `log`; ends the whole group on Ctrl-C."""
    words = [str(word) for word in command]
    lines: list[str] = []
    with open(log, "w", encoding="utf-8", errors="replace") as record:
        record.write(f"$ {' '.join(words)}\n")
        with InterruptsHeld() as interrupts:
            try:
                process = subprocess.Popen(words, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                           stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace",
                                           start_new_session=True, pass_fds=inherited_locks())
            except OSError as error:
                raise FrontendError(f"{title}: cannot start {words[0]}: {error.strerror}") from error
            try:
                with process.stdout, _ticking(on_tick):
                    interrupts.deliver()
                    for line in process.stdout:
                        record.write(line)
                        record.flush()
                        lines.append(line)
                        on_line(line)
                        if echo:
                            print(line, end="", file=sys.stderr, flush=True)
                    status = process.wait()
            except BaseException:
                end_process_group(process)
                raise
    if status != 0:
        raise command_failed(title, status, lines, log)
    return "".join(lines)


def command_failed(title: str, status: int, lines: Sequence[str], log: Path) -> FrontendError:
    how = f"with status {status}" if status > 0 else f"killed by signal {-status} ({signal.Signals(-status).name})"
    tail = [line.rstrip("\n") for line in deque(lines, LINES_SHOWN_ON_FAILURE)]
    return FrontendError(f"{title} failed ({how}); the full log is {log}, its end is:", details=tail)


def end_process_group(process: subprocess.Popen) -> None:
    """Asks the group to end, and insists after two seconds: a compiler must not go on writing into the cache."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2)
            return


@contextlib.contextmanager
def _ticking(on_tick: Callable[[], None]) -> Iterator[None]:
    """Calls on_tick five times a second from a helper thread, so that the time left goes on while a command is silent."""
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(TERMINAL_INTERVAL):
            on_tick()

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        stop.set()
        ticker.join()
