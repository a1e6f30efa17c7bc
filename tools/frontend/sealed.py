# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that nothing reaches from outside while it runs, so that it does the same thing each time.

Its programs stand in its initramfs (program_image.py), its orders and the program's input in a piece of memory (the script), and
what it prints goes to a file, which this module reads as it grows. There is no 9p and no way to type something in. The same
frames as ever (wire.py) are in script and file.
"""
import os
import threading
import time

from . import machine, processor_time, wire
from .boot import POWER_OFF_TIMEOUT_S, RECEIVE_BYTES, Guest, GuestDied
from .guest_image import ensure_initramfs
from .qmp import QmpError
from .status import GUEST_LOST, FrontendError, UsageError

POLL_S = 0.01
STOPPED_BY_GUEST = "guest-panicked"  # what QEMU calls it when init uses the pvpanic device
TICK_S = 0.5
SILENCE_CPU_S = 120.0  # a heartbeat comes each second of the guest's; the GPU may need ten of the host's for that
SILENCE_HOST_S = 600.0  # of a QEMU that does nothing at all


_running = set()  # guests of all threads of this process
_running_lock = threading.Lock()
_all_end = threading.Event()


def end_all():
    """Another thread's guests end now, and none begins any more: what waits for them gets on."""
    _all_end.set()  # before the look at who runs: a guest looks here when it has begun
    with _running_lock:
        guests = list(_running)
    for guest in guests:
        guest.kill()


def script(programs_frames):
    """The script's bytes. Raises UsageError when there is more to say than the guest has room for."""
    body = b"".join(programs_frames)
    data = wire.script_header(len(body)) + body
    if len(data) > machine.SCRIPT_BYTES:
        raise UsageError(f"standard input and arguments are {len(body)} bytes; a deterministic guest takes at most "
                         f"{machine.SCRIPT_BYTES >> 20} MiB. Give a file with --file and let the program read that")
    return data


def orders(modules, program, standard_input):
    """The frames for one program: load the modules, run it, power off."""
    frames = [wire.insmod(f"/modules/{name}", parameters) for name, parameters in modules]
    frames.append(program.start_frame())
    for start in range(0, len(standard_input), wire.INPUT_WINDOW):
        frames.append(wire.input_bytes(standard_input[start:start + wire.INPUT_WINDOW]))
    return [*frames, wire.input_bytes(b""), wire.power_off()]


def prepare_script(path, data=b""):
    """The file behind the script's memory, in which `data` stands."""
    with open(path, "wb") as file:
        file.write(data or wire.script_header(0))
        file.truncate(machine.SCRIPT_BYTES)


class SealedGuest(Guest):
    """One sealed guest, whose whole life is the script: start(), follow(), and it has powered itself off."""

    def __init__(self, config, artifacts, image, script_bytes, keep_console=None, *, initramfs=None, keep_initramfs=None,
                 patient=False, **sealed):
        """`initramfs`: one that was kept before, instead of a new one with `image`. `patient`: somebody debugs the guest, which
        may be silent for as long as it likes."""
        super().__init__(config, artifacts, keep_console)
        self._image = image
        self._script = script_bytes
        self._initramfs = initramfs
        self._keep_initramfs = keep_initramfs
        self._patient = patient
        self._sealed = machine.Sealed(script=str(self.directory / "script"), output=str(self.directory / "output"), **sealed)
        self._output = None
        self._spent_at_sign_of_life = 0.0
        self.uptime_ms = 0  # by the guest's own clock

    def start(self):
        prepare_script(self._sealed.script, self._script)
        open(self._sealed.output, "wb").close()
        self._output = open(self._sealed.output, "rb")  # closed by close()
        with _running_lock:
            _running.add(self)
        self._start_qemu(self._initramfs or self.write_initramfs(), None, self._sealed)
        if _all_end.is_set():
            self.kill()
        return self

    def write_initramfs(self):
        """What every guest boots from, followed by the programs: the kernel unpacks one archive after the other."""
        base = ensure_initramfs(self.artifacts.busybox, self._modules())
        path = self._keep_initramfs or self.directory / "initramfs"
        path.write_bytes(base.read_bytes() + self._image)
        return path

    # --- snapshots ---------------------------------------------------------------------------------------------------------

    def wait_for_snapshot(self):
        """Until init has stopped the machine. Raises GuestDied."""
        while self._run_state() != STOPPED_BY_GUEST:
            for _frame in self.receive(POLL_S):
                pass
            self._check_boot()

    def _run_state(self):
        """Raises GuestDied when QEMU does not tell any more."""
        try:
            return self._qmp.status()
        except QmpError as silence:
            raise self.death() from silence

    def save(self, path):
        """Write the machine's state to a file; the machine has stopped and stays so."""
        self._qmp.save(path)
        self._wait_for_migration("completed", "the booted guest cannot be saved")

    def resume(self, script_bytes):
        """Go on from the snapshot that the machine was started with, with these orders."""
        while self._run_state() == "inmigrate":
            time.sleep(POLL_S)
        with open(self._sealed.script, "r+b") as file:
            file.write(script_bytes)
        self.note_sign_of_life()
        self._qmp.go_on()

    def _wait_for_migration(self, wanted, failure):
        while True:
            state, problem = self._qmp.migration()
            if state == wanted:
                return
            if state in ("failed", "cancelled"):
                raise FrontendError(f"{failure}: {problem or state}", GUEST_LOST, self.qemu_errors())
            time.sleep(POLL_S)

    # --- life --------------------------------------------------------------------------------------------------------------

    def close(self):
        super().close()
        with _running_lock:
            _running.discard(self)
        if self._output is not None:
            self._output.close()

    def kill(self):
        if self._process is not None:
            self._process.kill()

    def _receive_bytes(self, timeout):
        deadline = time.monotonic() + timeout
        while True:
            ended = self._process.poll() is not None
            data = self._output.read(RECEIVE_BYTES)
            if data or ended:
                return data
            if time.monotonic() >= deadline:
                return None
            time.sleep(POLL_S)

    def follow(self, sink, timeout=None, guest_seconds=None):
        """Pass on what the program prints until it has ended; returns its wire.Ending. Raises GuestDied.

        `guest_seconds` limits the time by the guest's own clock, which is the same on every host.
        """
        deadline = time.monotonic() + timeout if timeout else None
        while deadline is None or time.monotonic() < deadline:
            if guest_seconds and self.uptime_ms > guest_seconds * 1000:
                raise GuestDied("hang", f"the program does not end within {guest_seconds} s of the guest's time", GUEST_LOST, self.autopsy())
            for kind, payload in self.receive(TICK_S if deadline is None else max(0.0, min(TICK_S, deadline - time.monotonic()))):
                ending = self._handle(kind, payload, sink)
                if ending is not None:
                    return ending
            self._check_boot()
        raise self.timeout(timeout)

    def _consume(self, kind, payload):
        if kind in (wire.FRAME_READY, wire.FRAME_HEARTBEAT):
            self.uptime_ms = wire.parse_ready(payload).uptime_ms
        return super()._consume(kind, payload)

    def _handle(self, kind, payload, sink):
        if kind == wire.FRAME_OUTPUT:
            sink.output(payload)
        elif kind == wire.FRAME_ERROR:
            sink.error(payload)
        elif kind == wire.FRAME_ANSWER and wire.parse_int(payload):
            raise FrontendError(f"a kernel module does not load: {os.strerror(wire.parse_int(payload))} (in the guest)", GUEST_LOST,
                                self.console_tail())
        return wire.parse_ending(payload) if kind == wire.FRAME_ENDED else None

    # Limits are in processor time of QEMU: instructions are counted, so the guest's time goes on with that alone, and a busy host
    # makes nothing a hang.

    def _spent(self):
        return processor_time.used_s(self._process.pid)

    def note_sign_of_life(self):
        super().note_sign_of_life()
        self._spent_at_sign_of_life = self._spent()

    def _check_silence(self):
        silence = time.monotonic() - self._last_sign_of_life
        limit = SILENCE_CPU_S * self._scale()
        if not self._patient and (self._spent() - self._spent_at_sign_of_life > limit or silence > SILENCE_HOST_S * self._scale()):
            raise GuestDied("hang", f"the guest hangs: no sign of life for {silence:.0f} s", GUEST_LOST, self.autopsy())

    def _check_boot(self):
        limit = self._boot_limit()
        boots = self.ready is None and not self._sealed.incoming
        if boots and not self._patient and self._spent() > limit:
            raise self._boot_failure(limit)

    def wait_for_power_off(self):
        """After follow(): the guest ends by itself. Log records that were still on their way are taken along."""
        deadline = time.monotonic() + POWER_OFF_TIMEOUT_S * self._scale()
        try:
            while time.monotonic() < deadline:
                for _frame in self.receive(POLL_S):
                    pass
        except GuestDied as death:
            if death.kind == "panic":
                raise


def read_standard_input():
    """All of it, before anything boots: a program of this guest cannot wait for more. A terminal has nothing to say."""
    try:
        if os.isatty(0):
            return b""
        with os.fdopen(os.dup(0), "rb") as stream:
            return stream.read()
    except OSError:
        return b""
