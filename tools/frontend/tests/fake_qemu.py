#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stands in for QEMU in the front end's tests: speaks init's protocol and QMP on the descriptors of the real command line.

FAKE_QEMU says how this guest behaves; what a "program" does is spelled by its arguments: print TEXT, print-many BYTES, exit N,
signal N, cat, env NAME, panic, vanish, die N, silence, warn TEXT, violate TEXT, gtest (see run_gtest).
"""
import array
import fcntl
import json
import os
import re
import socket
import struct
import sys
import termios
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from frontend import leaks, wire  # noqa: E402

MODE = os.environ.get("FAKE_QEMU", "normal")
COMMAND_LINE = " ".join(sys.argv)
SEALED = "TANDEM_SEALED" in COMMAND_LINE


def descriptor(name):
    return int(re.search(r"id=%s,fd=(\d+)" % name, COMMAND_LINE).group(1))


def argument(pattern):
    """What a part of the command line says, or None."""
    match = re.search(pattern, COMMAND_LINE)
    return match and match.group(1)


class SealedControl:
    """Orders from a file, output into another, as a sealed guest has them."""

    def __init__(self):
        self.output = open(argument(r"id=control,path=(\S+)"), "ab", buffering=0)
        self.script = argument(r"mem-path=(\S+)")
        self.read = 0

    def sendall(self, data):
        self.output.write(data)

    def recv(self, _most):
        data = Path(self.script).read_bytes()
        magic, length = struct.unpack_from("<II", data)
        assert magic == wire.SCRIPT_MAGIC
        begin, self.read = self.read, length
        return data[8 + begin:8 + length]


class FakeGuest:
    def __init__(self):
        self.control = SealedControl() if SEALED else socket.socket(fileno=descriptor("control"))
        self.machine = "running"
        self.resumed = threading.Event()
        self.serial = re.search(r"id=serial,path=(\S+)", COMMAND_LINE).group(1)
        self.reader = wire.FrameReader()
        self.pending = []
        self.quiet = False
        self.sending = threading.Lock()  # a heartbeat must not get into the middle of another frame

    def send(self, kind, payload=b""):
        with self.sending:
            self.control.sendall(wire.frame(kind, payload))

    def log(self, text):
        self.send(wire.FRAME_KERNEL_LOG, f"4,1,1,-;{text}\n".encode())

    def console(self, text):
        with open(self.serial, "a") as file:
            file.write(text + "\n")

    def next_frame(self):
        while not self.pending:
            data = self.control.recv(65536)
            if not data:
                sys.exit(0)
            self.reader.feed(data)
            self.pending = self.reader.frames()
        return self.pending.pop(0)

    def panic(self, reason="the fake guest has had enough"):
        self.console(f"Kernel panic - not syncing: {reason}")
        os._exit(0)

    def heartbeats(self):
        while True:
            time.sleep(0.1)
            if not self.quiet:
                self.send(wire.FRAME_HEARTBEAT, struct.pack("<Q", 1))

    def serve(self):
        self.console("fake kernel boots")
        if MODE == "panic-at-first-boot" and not os.path.exists(os.environ["FAKE_QEMU_BOOT_NOTE"]):
            Path(os.environ["FAKE_QEMU_BOOT_NOTE"]).touch()
            self.panic("bad luck")
        if MODE == "panic-at-boot":
            self.panic("no init found")
        if MODE == "never-ready":
            time.sleep(1000)
        if MODE == "nonsense":
            self.control.sendall(b"\xff" * 64)
        incoming = argument(r"-incoming file:(\S+)")
        if incoming:
            assert Path(incoming).read_text() == "a snapshot"
            self.machine = "paused"
            self.resumed.wait()
        else:
            self.send(wire.FRAME_READY, struct.pack("<Q", 1234) + b"7.3.0-fake\0")
        if "panic=pause" in COMMAND_LINE:
            self.machine = "guest-panicked"
            self.resumed.wait()
        if MODE == "splat-at-boot":
            self.log("WARNING: born with a flaw")
        while True:
            kind, payload = self.next_frame()
            if kind in (wire.FRAME_BIND, wire.FRAME_INSMOD):
                self.send(wire.FRAME_ANSWER, struct.pack("<i", 19 if MODE == "no-driver" and kind == wire.FRAME_INSMOD else 0))
            elif kind == wire.FRAME_START:
                self.run(payload)
            elif kind == wire.FRAME_POWER_OFF and MODE != "stays-on":
                os._exit(0)

    def end(self, kind, value, survivors=0):
        self.send(wire.FRAME_ENDED, struct.pack("<IIII", kind, value, survivors, 0))

    def run(self, payload):
        _flags, _rows, _columns, argc, envc = struct.unpack_from("<IHHII", payload)
        strings = payload[16:].split(b"\0")
        path, arguments = strings[0].decode(), [s.decode() for s in strings[2:2 + argc]]
        self.variables = dict(s.decode().split("=", 1) for s in strings[2 + argc:2 + argc + envc])
        if path.endswith("/missing"):
            self.end(wire.ENDING_NOT_STARTED, 2)
            return
        status = self.perform(arguments[1:])
        if status is not None:
            self.end(*status)

    def perform(self, words):
        words = list(words)
        if any(word.startswith("--gtest_") for word in words):
            return self.run_gtest(words)
        if any("kmemleak" in word for word in words):
            return self.answer_leak_check()
        while words:
            action = words.pop(0)
            if action == "print":
                self.send(wire.FRAME_OUTPUT, words.pop(0).encode())
            elif action == "complain":
                self.send(wire.FRAME_ERROR, words.pop(0).encode())
            elif action == "print-many":
                self.print_many(int(words.pop(0)))
            elif action == "env":
                self.send(wire.FRAME_OUTPUT, self.variables.get(words.pop(0), "(unset)").encode())
            elif action == "cat":
                self.cat()
            elif action == "exit-if-seed":  # SEED STATUS
                wanted, status = words.pop(0), int(words.pop(0))
                if self.variables.get("TANDEM_SEED") == wanted:
                    return wire.ENDING_EXITED, status
            elif action == "exit":
                return wire.ENDING_EXITED, int(words.pop(0))
            elif action == "signal":
                return wire.ENDING_SIGNALLED, int(words.pop(0))
            elif action == "warn":
                self.log(words.pop(0))
            elif action == "violate":
                self.violate(words.pop(0))
            elif action == "panic":
                self.panic()
            elif action == "vanish":
                os._exit(0)
            elif action == "die":
                os._exit(int(words.pop(0)))
            elif action == "silence":
                self.quiet = True
                time.sleep(1000)
            elif action == "sleep":
                time.sleep(float(words.pop(0)))
        return wire.ENDING_EXITED, 0

    def take_time(self):
        """A test takes longer than the front end needs for what was sent before it: reports come by another way than frames."""
        unread = array.array("i", [1])
        while unread[0]:
            fcntl.ioctl(self.control, termios.TIOCOUTQ, unread)
            time.sleep(0.1)

    def violate(self, text):
        """What the GPU's checker writes, if it is on."""
        for path in re.findall(r"check=on,check-log=(\S+)", COMMAND_LINE):
            with open(path, "a") as file:
                file.write(f"gpu0: X2.missed-level: {text}\n  access: somebody\n\n")

    def print_many(self, count):
        block = bytes(range(256)) * 256
        while count > 0:
            self.send(wire.FRAME_OUTPUT, block[:count])
            count -= len(block)

    def cat(self):
        while True:
            kind, payload = self.next_frame()
            if kind != wire.FRAME_INPUT:
                continue
            if not payload:
                return
            self.send(wire.FRAME_OUTPUT, payload)
            self.send(wire.FRAME_INPUT_TAKEN, struct.pack("<i", len(payload)))

    def answer_leak_check(self):
        """The default kernel has no kmemleak; a debug kernel prints its records."""
        if MODE == "splat-at-unload":
            self.log("BUG: KASAN: use-after-free in tandem_remove")
        elif MODE != "kmemleak":
            return wire.ENDING_EXITED, leaks.NO_KMEMLEAK
        self.send(wire.FRAME_OUTPUT, os.environ.get("FAKE_QEMU_LEAKS", "").encode())
        return wire.ENDING_EXITED, 0

    def run_gtest(self, words):
        """Runs the tests of the filter; a test's name says what it does: Passes, Fails, Warns, Violates, Panics, Stalls."""
        names = next(word for word in words if word.startswith("--gtest_filter=")).split("=", 1)[1].split(":")
        failed = False
        for name in names:
            self.send(wire.FRAME_OUTPUT, f"[ RUN      ] {name}\n".encode())
            if "Panics" in name:
                self.panic(name)
            if "Stalls" in name:
                time.sleep(1000)
            if "Warns" in name:
                self.log("WARNING: possible trouble")
            if "Violates" in name:
                self.take_time()
                self.violate("a stale use")
            bad = "Fails" in name
            failed |= bad
            text = "wrong answer\n[  FAILED  ]" if bad else "[       OK ]"
            self.send(wire.FRAME_OUTPUT, f"{text} {name} (3 ms)\n".encode())
        return wire.ENDING_EXITED, int(failed)


def answer(guest, request):
    command = request["execute"]
    if command == "query-status":
        return {"status": guest.machine}
    if command == "migrate":
        Path(request["arguments"]["uri"].removeprefix("file:")).write_text("a snapshot")
    if command == "query-migrate":
        return {"status": "failed", "error-desc": "the GPU is at work"} if MODE == "no-snapshot" else {"status": "completed"}
    if command == "cont":
        guest.machine = "running"
        guest.resumed.set()
    return {}


def serve_monitor(guest):
    monitor = socket.socket(fileno=descriptor("monitor"))
    stream = monitor.makefile("rw")

    def say(message):
        stream.write(json.dumps(message) + "\n")
        stream.flush()

    say({"QMP": {}})
    for line in stream:
        request = json.loads(line)
        if request["execute"] == "quit":
            say({"return": {}})
            Path(os.environ.get("FAKE_QEMU_QUIT_NOTE", os.devnull)).write_text("quit")
            os._exit(0)
        if request["execute"] == "human-monitor-command":
            say({"return": "fake GPU: idle\n"})
        else:
            say({"event": "IGNORE_ME"})
            say({"return": answer(guest, request)})


def main():
    if "tandem-gpu,help" in COMMAND_LINE:
        print("tandem-gpu options:\n  l1-sets=<uint32>       - Sets of each L1 TLB (default: 16)\n  addr=<int32>\n  seed=<uint64>")
        return
    if ",help" in COMMAND_LINE:
        print("pcie-root-port options:\n  addr=<int32>\n  id=<str>")
        return
    if MODE == "refuse":
        print(f"qemu-system-x86_64: {os.environ['FAKE_QEMU_ERROR']}", file=sys.stderr)
        sys.exit(1)
    for path in re.findall(r"trace=([^,\s]+)", COMMAND_LINE):
        Path(path).write_text(os.environ.get("FAKE_QEMU_TRACE", "a trace, of a kind"))
    if "rr=record" in COMMAND_LINE:
        Path(argument(r"rrfile=(\S+)")).write_text("a log")
    if "rr=replay" in COMMAND_LINE:
        assert Path(argument(r"rrfile=(\S+)")).read_text() == "a log"
    guest = FakeGuest()
    threading.Thread(target=serve_monitor, args=(guest,), daemon=True).start()
    if MODE != "never-ready":
        threading.Thread(target=guest.heartbeats, daemon=True).start()
    guest.serve()


if __name__ == "__main__":
    main()
