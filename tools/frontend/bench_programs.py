# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the programs that take samples: tandem-bench in the guest, the model's Google Benchmark, and on the host what the GPU is
compared with. Each returns samples in base units (seconds become rates or nanoseconds where they are taken).
"""
import contextlib
import json
import os
import shutil
import subprocess
import time

from .bench_figures import SampleSet
from .boot import Guest
from .execution import Execution, Program, exit_status
from .run import boot, report_splats, report_violations
from .status import FrontendError

BENCH_PROGRAM = "/tandem/bin/tandem-bench"
PROGRAM_TIMEOUT_S = 600
# As in tools/bench/hash_user.c and memcpy_host.c.
HASH_ELEMENTS_A_ROUND = 16 << 20
MEMCPY_BYTES = 32 << 20


class Collector:
    """The sink for a benchmark in the guest."""

    def __init__(self):
        self._output = b""
        self._errors = b""

    def output(self, data):
        self._output += data

    def error(self, data):
        self._errors += data

    def objects(self):
        return parse_objects(self._output.decode(errors="replace"))

    def complaint(self):
        return self._errors.decode(errors="replace").splitlines()


def parse_objects(text):
    """Name -> object, of one JSON object a line."""
    try:
        return {entry["name"]: entry for entry in map(json.loads, text.splitlines())}
    except (ValueError, TypeError, KeyError) as error:
        raise FrontendError(f"a benchmark printed what is no result: {text[-200:]!r}") from error


class GuestBench:
    """A guest that runs benchmarks, from boot to power-off; use it in a with statement."""

    def __init__(self, config, artifacts, variables):
        self._variables = variables
        self._stack = contextlib.ExitStack()
        self._config, self._artifacts = config, artifacts
        self._guest = None
        self.ready_s = None
        self._modules = set()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            began = time.monotonic()
            self._guest = stack.enter_context(Guest(self._config, self._artifacts))
            boot(self._guest, self._config, self._artifacts)
            self.ready_s = time.monotonic() - began
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        if exception[0] is None:
            self._guest.power_off()
        self._stack.close()

    def load_module(self, name):
        """A module of the kernel's own, once."""
        if name not in self._modules:
            self._guest.insert_module(name)
            self._modules.add(name)

    def run(self, path, *arguments):
        """Returns what the program printed; raises when it fails or when kernel or checker complain."""
        collector = Collector()
        program = Program(path, [os.path.basename(path), *arguments], "/tmp", self._variables)
        ending = Execution(self._guest, collector).run(program, PROGRAM_TIMEOUT_S)
        status = exit_status(ending)
        if report_splats(self._guest) + report_violations(self._guest) or status:
            raise FrontendError(f"{os.path.basename(path)} {' '.join(arguments)} failed in the guest with status {status}",
                                1, collector.complaint())
        return collector

    def processor_s(self, work, thread=None):
        """Processor time that QEMU, or its threads of this name, use for this work."""
        before = self._guest.processor_s(thread)
        work()
        return self._guest.processor_s(thread) - before

    def shell(self, commands):
        return self.run("/guest-bin/sh", "-c", commands)

    def samples(self, benchmark):
        """Name -> samples of one benchmark of tandem-bench; text values (checksums) as they are."""
        objects = self.run(BENCH_PROGRAM, benchmark).objects()
        return SampleSet({name: entry.get("samples", entry.get("value")) for name, entry in objects.items()})


class HostPrograms:
    """What the build directory holds for the host."""

    def __init__(self, artifacts):
        self._directory = artifacts.build_dir

    def _capture(self, command):
        command = [str(part) for part in command]
        try:
            result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        except OSError as error:
            raise FrontendError(f"{command[0]} does not start: {error.strerror}") from error
        if result.returncode:
            raise FrontendError(f"{os.path.basename(command[0])} ended with status {result.returncode}", 1,
                                (result.stdout + result.stderr).splitlines()[-10:])
        return result.stdout

    def hash(self, variant):
        """(checksum, elements a second) of 'native', 'native-vector' or 'riscv64'."""
        program = self._directory / "guest-tests/bench" / f"hash-{variant}"
        checksum, times = parse_times(self._capture([*emulator(variant), program]))
        return checksum, [1e9 * HASH_ELEMENTS_A_ROUND / ns for ns in times]

    def memcpy(self):
        _checksum, times = parse_times(self._capture([self._directory / "guest-tests/bench/memcpy-host"]))
        return [1e9 * MEMCPY_BYTES / ns for ns in times[1:]]  # the first finds cold caches

    def mmu(self, repetitions):
        """Benchmark -> nanoseconds for each item, one sample for each repetition; the repetitions of all take turns."""
        program = self._directory / "hw-model/bench/mmu_bench"
        if not program.exists():
            raise FrontendError("the model's benchmarks were not built: Google Benchmark (libbenchmark-dev) is missing")
        return parse_google_benchmark(self._capture([
            program, "--benchmark_format=json", f"--benchmark_repetitions={repetitions}", "--benchmark_min_time=0.1",
            "--benchmark_enable_random_interleaving=true"]))


def emulator(variant):
    if variant != "riscv64":
        return []
    program = shutil.which("qemu-riscv64") or shutil.which("qemu-riscv64-static")
    if program is None:
        raise FrontendError("QEMU's user-mode emulation of RISC-V is missing; install the Debian package qemu-user")
    return [program]


def parse_times(text):
    """Lines "checksum HEX" and "ns HEX"."""
    try:
        lines = [(name, int(value, 16)) for name, value in map(str.split, text.splitlines())]
    except ValueError as error:
        raise FrontendError(f"a benchmark printed what is no result: {text[-200:]!r}") from error
    checksum = next((f"{value:016x}" for name, value in lines if name == "checksum"), None)
    return checksum, [value for name, value in lines if name == "ns"]


def parse_google_benchmark(text):
    runs = [run for run in json.loads(text)["benchmarks"] if run["run_type"] == "iteration"]
    failed = [f"{run['name']}: {run['error_message']}" for run in runs if run.get("error_occurred")]
    if failed:
        raise FrontendError("the model's benchmarks failed", 1, failed)
    samples = SampleSet()
    for run in runs:
        # Its CPU time: what other programs of this machine took does not count.
        samples.setdefault(run["run_name"].split("/repeats:")[0], []).append(1e9 / run["items_per_second"])
    return samples
