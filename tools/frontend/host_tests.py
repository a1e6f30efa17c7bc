# SPDX-License-Identifier: GPL-2.0-or-later
"""The tests that run on the host: what they are, how their tests are listed, how one attempt at them goes.

The hardware model's come from meson's own description of the build directory, the front end's and the tools' are the files
tools/**/tests/test_*.py, and QEMU's test of the device prints TAP, where the others speak GoogleTest.
"""
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .cache import checkout_root
from .gtest_stream import Case, is_disabled, parse_list
from .interrupts import InterruptsHeld
from .results import FAILED, PASSED, SKIPPED

LIST_TIMEOUT_S = 60
POLL_S = 0.5
TAIL_LINES = 40
QTEST_PROGRAMS = {"tandem-gpu-test": "qemu qtest", "intel-iommu-svm-test": "qemu iommu qtest"}


class HostProgram:
    """A test program on the host that speaks GoogleTest."""

    def __init__(self, group, command, directory=None, variables=None):
        self.group = group
        self.command = [str(part) for part in command]
        self.directory = directory
        self.environment = {**os.environ, **(variables or {})}

    def list_tests(self):
        return [name for name in parse_list(self._capture(["--gtest_list_tests"])) if not is_disabled(name)]

    def attempt(self, names, recorder, limit):
        arguments = ["--gtest_color=no", f"--gtest_filter={':'.join(names)}"]
        return self._follow(arguments, recorder.stream(), limit)

    def _capture(self, arguments):
        result = subprocess.run(self.command + arguments, capture_output=True, text=True, timeout=LIST_TIMEOUT_S,
                                cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL, check=False)
        if result.returncode:
            raise OSError(f"{self.command[0]} lists no tests:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
        return result.stdout

    def _follow(self, arguments, stream, limit):
        """Run the program, feed what it prints to the stream, and say why it ended early, if it did."""
        with InterruptsHeld() as interrupts:
            process = subprocess.Popen(self.command + arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, cwd=self.directory, env=self.environment, start_new_session=True)
            try:
                interrupts.deliver()
                late = self._feed(process.stdout, stream, limit)
            finally:
                if process.poll() is None:
                    _end_group(process)
        reason = f"no end within {limit:g} s" if late else _ending(process.wait())
        if reason:
            stream.abandon(reason)
            return "\n".join([reason, *stream.trailing_output()[-TAIL_LINES:]])
        return ""

    @staticmethod
    def _feed(output, stream, limit):
        """Returns whether the time for one test ran out."""
        with output:
            while time.monotonic() - stream.last_event < limit:
                if not select.select([output], [], [], POLL_S)[0]:
                    continue
                data = os.read(output.fileno(), 65536)
                if not data:
                    return False
                stream.feed(data)
        return True


def _end_group(process):
    """A closed output is followed by the end; what does not end, or ran out of time, is killed with its children."""
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def _ending(code):
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit status {code}" if code else ""


class PlainProgram(HostProgram):
    """A test program whose exit status is its one result."""

    def list_tests(self):
        return [f"Program.{Path(self.command[0]).name}"]

    def attempt(self, names, recorder, limit):
        stream = recorder.stream()
        stream.feed(f"[ RUN      ] {names[0]}\n".encode())
        reason = self._follow([], stream, limit)
        if not reason:
            stream.feed(f"\n[       OK ] {names[0]} ({(time.monotonic() - stream.last_event) * 1000:.0f} ms)\n".encode())
        return reason


class TapStream:
    """Reads TAP with the interface of GtestStream. TAP tells of a test only when it has ended."""

    _RESULT = re.compile(r"(ok|not ok)(?: \d+)? (?:- )?(/\S+)(.*)")

    def __init__(self, on_end):
        self._on_end = on_end
        self._partial = b""
        self._lines = []
        self.last_event = time.monotonic()

    def feed(self, data):
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._line(line.decode(errors="replace"))

    def _line(self, line):
        match = self._RESULT.match(line)
        if not match:
            self._lines.append(line)
            return
        word, path, rest = match.groups()
        status = SKIPPED if "# SKIP" in rest else PASSED if word == "ok" else FAILED
        now = time.monotonic()
        self._on_end(Case(qtest_name(path), status, now - self.last_event, [*self._lines, line]))
        self._lines, self.last_event = [], now

    def abandon(self, reason):
        """Nothing to do: the next attempt starts with the test that was running, and fails there without progress."""

    def trailing_output(self):
        return self._lines


def qtest_name(path):
    return "Qtest." + path.strip("/")


class QtestProgram(HostProgram):
    """One of QEMU's own tests, a GLib test program that prints TAP."""

    def list_tests(self):
        return [qtest_name(line) for line in self._capture(["-l"]).splitlines() if line.startswith("/")]

    def attempt(self, names, recorder, limit):
        """One test at a time: a GLib test that fails ends its program."""
        name = names[0]
        reason = self._follow(["--tap", "-p", "/" + name.removeprefix("Qtest.")], TapStream(recorder.on_end), limit)
        if name not in recorder.done:
            recorder.add(name, FAILED, message=reason or "the program ended without a result for this test")
        return ""


# --- finding them ---------------------------------------------------------------------------------------------------------


def _speaks_gtest(path):
    """GoogleTest's own text is in every program that is linked with it."""
    try:
        return b"gtest_list_tests" in Path(path).read_bytes() or b"Google Test" in Path(path).read_bytes()
    except OSError:
        return False


def model_programs(build_dir):
    """The programs that meson's build directory declares as tests."""
    description = Path(build_dir) / "meson-info" / "intro-tests.json"
    if not description.exists():
        return []
    programs = []
    for entry in json.loads(description.read_text()):
        command = entry["cmd"]
        kind = HostProgram if entry.get("protocol") == "gtest" or _speaks_gtest(command[0]) else PlainProgram
        programs.append(kind(f"model {entry['name']}", command, entry.get("workdir") or str(build_dir), entry.get("env") or {}))
    return programs


def python_programs(prefix="test_"):
    """Python's test modules. Those named guest_*.py boot guests, and run where the guest's tests run."""
    tools = checkout_root() / "tools"
    runner = Path(__file__).with_name("units.py")
    files = sorted(path for path in tools.rglob(f"{prefix}*.py") if path.parent.name == "tests")
    return [HostProgram(f"{path.parents[1].name} {path.stem.removeprefix('test_')}",
                        [sys.executable, "-B", str(runner), str(path)], str(checkout_root())) for path in files]


def qemu_wrapper(artifacts, directory):
    """QEMU with its firmware directories, under a name that libqtest accepts."""
    script = Path(directory) / "qemu-system-x86_64"
    firmware = "".join(f" -L '{path}'" for path in artifacts.qemu_firmware_dirs)
    script.write_text(f"#!/bin/sh\nexec '{artifacts.qemu}'{firmware} \"$@\"\n")
    script.chmod(0o755)
    return script


def qtest_programs(artifacts, scratch):
    directory = Path(artifacts.qtest_dir or "/nonexistent")
    variables = {"QTEST_QEMU_BINARY": str(qemu_wrapper(artifacts, scratch)), "G_TEST_DBUS_DAEMON": "/bin/true"}
    if artifacts.model_libdir:
        variables["LD_LIBRARY_PATH"] = str(artifacts.model_libdir)
    return [QtestProgram(group, [directory / name], scratch, variables)
            for name, group in QTEST_PROGRAMS.items() if (directory / name).exists()]


def scratch_directory():
    return tempfile.TemporaryDirectory(prefix="tandem-tests-")


def discover(artifacts, scratch):
    return [*model_programs(artifacts.build_dir), *python_programs(), *qtest_programs(artifacts, scratch)]
