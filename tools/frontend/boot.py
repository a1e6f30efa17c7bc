# SPDX-License-Identifier: GPL-2.0-or-later
"""One guest, from the start of QEMU to its end: boot it, run programs in it, power it off, and say what went wrong.

    Guest(config, artifacts).start() -> wait_ready() -> run_program()* -> power_off()

The control port (wire.py) carries everything that programs read and write; the serial console goes to a file and is looked at
when the guest dies. Init sends a heartbeat every second, so a guest whose kernel hangs is told from a program that computes.
"""
import collections
import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import machine, processor_time, wire
from .checker import CheckerLog
from .console import KernelLog, SerialConsole, tail
from .guest_image import ensure_initramfs
from .qmp import Qmp, QmpError
from .status import GUEST_LOST, GUEST_PANICKED, TIMED_OUT, FrontendError

BOOT_TIMEOUT_S = 90.0
KVM_BOOT_TIMEOUT_S = 20.0
SILENCE_S = 30.0  # thirty heartbeats missed; a busy host may delay a few
POWER_OFF_TIMEOUT_S = 5.0
RECEIVE_BYTES = 256 * 1024
_PR_SET_PDEATHSIG = 1


class GuestDied(FrontendError):
    """The guest panicked, hung or went away. `kind` is one of panic, hang, lost, timeout."""

    def __init__(self, kind, message, status, details=()):
        super().__init__(message, status, details)
        self.kind = kind


def _die_with_parent():
    """In the child: end with the front end, even when that is killed outright; and leave Ctrl-C to the front end."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()


class Guest:
    """A running guest. Use it in a with statement: leaving it ends QEMU whatever has happened."""

    def __init__(self, config, artifacts, keep_console=None):
        self.config = config
        self.artifacts = artifacts
        self.kernel_log = KernelLog()
        self.ready = None
        self.started_at = None
        self._reader = wire.FrameReader()
        self._pending = collections.deque()
        self._process = None
        self._control = None
        self._qmp = None
        self._last_sign_of_life = None
        self._directory = tempfile.TemporaryDirectory(prefix="tandem-")
        self.directory = Path(self._directory.name)
        self.serial = SerialConsole(Path(keep_console) if keep_console else self.directory / "console")
        self.checker = CheckerLog(self.directory / "checker")
        self._qemu_errors = self.directory / "qemu-stderr"

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    # --- life ----------------------------------------------------------------------------------------------------------

    def start(self):
        initramfs = ensure_initramfs(self.artifacts.busybox, self._modules())
        self._control, control_remote = socket.socketpair()
        with control_remote:
            self._start_qemu(initramfs, control_remote.fileno())
        return self

    def _start_qemu(self, initramfs, control_fd, sealed=None):
        monitor, monitor_remote = socket.socketpair()
        self._qmp = Qmp(monitor)
        descriptors = [fd for fd in (control_fd, monitor_remote.fileno()) if fd is not None]
        command = machine.command_line(self.config, self.artifacts, initramfs, control_fd, monitor_remote.fileno(),
                                       self.serial.path, self.checker.path, sealed)
        with monitor_remote, open(self._qemu_errors, "wb") as errors:
            self._spawn(command, descriptors, errors)
        self.started_at = self._last_sign_of_life = time.monotonic()

    def _spawn(self, command, descriptors, errors):
        environment = dict(os.environ)
        if self.artifacts.model_libdir:
            paths = [str(self.artifacts.model_libdir), environment.get("LD_LIBRARY_PATH", "")]
            environment["LD_LIBRARY_PATH"] = ":".join(path for path in paths if path)
        try:
            self._process = subprocess.Popen(  # closed by close()
                command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, pass_fds=descriptors, env=environment,
                preexec_fn=_die_with_parent)
        except OSError as error:
            raise FrontendError(f"QEMU does not start: {error}", GUEST_LOST) from error

    def _modules(self):
        modules = [self.artifacts.driver_ko] if self.config.gpu_present else []
        extra = self.artifacts.kernel_modules
        if extra:
            modules += sorted(Path(extra).rglob("test_hmm.ko"))[:1]
        return [module for module in modules if module]

    def wait_ready(self, timeout=None):
        """Wait for init, then make the workloads visible and load the driver."""
        limit = timeout or self._boot_limit()
        deadline = time.monotonic() + limit
        while self.ready is None:
            if time.monotonic() > deadline:
                raise self._boot_failure(limit)
            self._handle_idle_frames(self.receive(min(1.0, limit)))
        self._prepare(deadline)
        return self

    def _prepare(self, deadline):
        steps = []
        if self.artifacts.guest_dir:
            steps.append((wire.bind(f"/host{self.artifacts.guest_dir}", "/tandem"), "the workloads' directory"))
        if self.config.gpu_present and self.artifacts.driver_ko:
            module = f"/modules/{Path(self.artifacts.driver_ko).name}"
            steps.append((wire.insmod(module, self.config.driver_parameters), "the GPU's driver"))
        for message, _what in steps:
            self.send(message)
        for _message, what in steps:
            self._expect_answer(what, deadline)

    def insert_module(self, name, parameters=""):
        self.send(wire.insmod(f"/modules/{name}", parameters))
        self._expect_answer(name, time.monotonic() + BOOT_TIMEOUT_S * self._scale())

    def _boot_limit(self):
        return (KVM_BOOT_TIMEOUT_S if self.config.accel == "kvm" else BOOT_TIMEOUT_S) * self._scale()

    def _scale(self):
        return machine.time_scale(self.config.kernel)

    def _expect_answer(self, what, deadline):
        while time.monotonic() < deadline:
            for kind, payload in self.receive(1.0):
                if kind == wire.FRAME_ANSWER:
                    error = wire.parse_int(payload)
                    if error:
                        raise FrontendError(f"{what}: {os.strerror(error)} (in the guest)", GUEST_LOST, self.console_tail())
                    return
        raise self._boot_failure(BOOT_TIMEOUT_S * self._scale())

    def _boot_failure(self, limit):
        if self.config.accel == "kvm":
            message = f"no guest comes up under KVM within {limit:.0f} s on this machine; leave out --accel kvm"
        else:
            message = f"the guest did not come up within {limit:.0f} s"
        return GuestDied("hang", message, GUEST_LOST, self.console_tail())

    def power_off(self):
        """Let the guest shut down; a guest that does not is ended through QEMU."""
        self.send(wire.power_off())
        if not self._wait_for_exit(POWER_OFF_TIMEOUT_S):
            self.close()

    def close(self):
        """End QEMU, gently first: its trace file is complete only when it ends by itself."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(QmpError):
                self._qmp.quit()
            if not self._wait_for_exit(POWER_OFF_TIMEOUT_S):
                self._process.kill()
                self._process.wait()
        for channel in (self._control, self._qmp):
            if channel is not None:
                channel.close()
        self._directory.cleanup()

    def _wait_for_exit(self, limit):
        """QEMU may need its last bytes read before it can end."""
        deadline = time.monotonic() + limit
        while self._process.poll() is None:
            if time.monotonic() > deadline:
                return False
            with contextlib.suppress(OSError, wire.WireError):
                if self._receive_bytes(0.01) == b"":
                    time.sleep(0.005)
        return True

    def processor_s(self, thread=None):
        """Processor time of QEMU so far: of all of it, or of its threads of this name."""
        return processor_time.used_s(self._process.pid, thread)

    # --- frames ----------------------------------------------------------------------------------------------------------

    def send(self, message):
        """Send a frame. A QEMU that is gone is noticed by receive(), behind all that it still had to say."""
        with contextlib.suppress(ConnectionError):
            self._control.sendall(message)

    def fileno(self):
        return self._control.fileno()

    def note_sign_of_life(self):
        """The front end itself was busy or blocked: silence until now was not the guest's."""
        self._last_sign_of_life = time.monotonic()

    def receive(self, timeout):
        """Yield frames that arrive within `timeout` seconds; heartbeats and log records are dealt with in their turn.

        A log record counts from when the caller has come to it, so it can be blamed on what the output before it said.
        Raises GuestDied.
        """
        if not self._pending:
            self._fill_pending(timeout)
        while self._pending:
            item = self._pending.popleft()
            if not self._consume(*item):
                yield item

    def _fill_pending(self, timeout):
        data = self._receive_bytes(timeout)
        if data is None:
            self._check_silence()
            return
        if not data:
            raise self.death()
        self.note_sign_of_life()
        try:
            self._reader.feed(data)
            self._pending.extend(self._reader.frames())
        except wire.WireError as error:
            raise GuestDied("lost", f"the guest's init sends nonsense: {error}", GUEST_LOST, self.console_tail()) from error

    def _receive_bytes(self, timeout):
        """What the guest has sent; None if nothing came in time, nothing at all at its end."""
        if not select.select([self._control], [], [], timeout)[0]:
            return None
        try:
            return self._control.recv(RECEIVE_BYTES)
        except ConnectionError:
            return b""

    def _consume(self, kind, payload):
        if kind == wire.FRAME_KERNEL_LOG:
            self.kernel_log.add(wire.parse_kernel_log(payload))
        elif kind == wire.FRAME_READY:
            self.ready = wire.parse_ready(payload)
        return kind in (wire.FRAME_KERNEL_LOG, wire.FRAME_HEARTBEAT, wire.FRAME_READY)

    def _handle_idle_frames(self, frames):
        for kind, _payload in frames:
            raise GuestDied("lost", f"the guest's init sent frame {kind} before it was ready", GUEST_LOST,
                            self.console_tail())

    def _check_silence(self):
        """A QEMU that has ended shows as the end of the stream, behind everything that it still had to say."""
        if self.ready is not None and time.monotonic() - self._last_sign_of_life > SILENCE_S * self._scale():
            raise GuestDied("hang", f"the guest hangs: no sign of life for {SILENCE_S * self._scale():.0f} s", GUEST_LOST, self.autopsy())

    # --- what went wrong ---------------------------------------------------------------------------------------------------

    def death(self):
        """The guest's end came unasked: find out why."""
        self._wait_for_exit(POWER_OFF_TIMEOUT_S)
        panic = self.serial.panic()
        errors = self.qemu_errors()
        if panic is not None:
            return GuestDied("panic", f"the guest's kernel panicked: {panic}", GUEST_PANICKED,
                             [*_titled("QEMU", errors), *self.console_tail()])
        code = self._process.poll()
        if code is not None and code < 0:
            message = f"QEMU was killed by {_signal_name(-code)}"
        elif code:
            message = errors[-1] if errors and self.ready is None else f"QEMU ended with status {code}"
        else:
            message = "the guest ended without an exit status"
        return GuestDied("lost", message, GUEST_LOST, [*_titled("QEMU", errors), *self.console_tail()])

    def timeout(self, seconds):
        return GuestDied("timeout", f"time ran out after {seconds:g} s", TIMED_OUT, self.autopsy())

    def console_tail(self):
        return tail(self.serial, self.kernel_log)

    def autopsy(self):
        """Of a guest that still runs but does not get on: the console's end and what the GPU is doing."""
        lines = self.console_tail()
        try:
            text = self._qmp.monitor("info tandem") if self.config.gpu_present else ""
        except QmpError as error:
            text = f"QEMU's monitor does not answer: {error}"
        return [*lines, *_titled("QEMU", self.qemu_errors()), *_titled("info tandem", text.splitlines())]

    def qemu_errors(self):
        try:
            return self._qemu_errors.read_text(errors="replace").splitlines()
        except OSError:
            return []


def _titled(title, lines):
    return [f"--- {title}", *lines] if any(line.strip() for line in lines) else []


def _signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
