# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs that can be had again, with a real guest and the GPU: two runs alike, a recording, a snapshot. Run by ./tandem test guest."""
import os
import re
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TANDEM = [sys.executable, os.environ.get("TANDEM_COMMAND") or str(Path(__file__).resolve().parents[3] / "tandem")]

# The guest's clock in nanoseconds: whatever went differently before shows in it.
CLOCK = "while read line; do case $line in now*) echo $line;; esac; done < /proc/timer_list"


def tandem(*arguments, data=b"", timeout=110):
    return subprocess.run([*TANDEM, *arguments], input=data, capture_output=True, timeout=timeout, check=False)


class ReplayTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.directory = Path(scratch.name)

    def deterministic(self, name, *options):
        trace = self.directory / f"{name}.trace"
        result = tandem("run", "--deterministic", "--trace", str(trace), *options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout, trace.read_bytes()

    def test_two_runs_are_the_same_to_the_byte(self):
        first = self.deterministic("first", "--hostile", "5", "vecadd")
        self.assertGreater(len(first[1]), 10000)
        self.assertEqual(self.deterministic("second", "--hostile", "5", "vecadd"), first)

    def test_other_seeds_make_other_runs(self):
        first = self.deterministic("first", "--hostile", "5", "vecadd")
        self.assertNotEqual(self.deterministic("second", "--hostile", "6", "vecadd")[1], first[1])

    def test_a_program_of_the_host_comes_with_its_libraries_and_nothing_else(self):
        result = tandem("run", "--deterministic", "--no-gpu", "--file", "/bin/cat", "/bin/sh", "-c",
                        "/bin/cat; test -e /etc/hostname || echo alone; echo y > /x", data=b"input\n")
        self.assertEqual(result.stdout, b"input\nalone\n")
        self.assertIn(b"Read-only", result.stderr)

    def test_a_recording_is_replayed_exactly(self):
        recording, trace = str(self.directory / "case.rec"), self.directory / "again.trace"
        recorded = tandem("run", "--record", recording, "--hostile", "3", "--trace", str(self.directory / "was.trace"), "vecadd")
        self.assertEqual(recorded.returncode, 0, recorded.stderr)
        replayed = tandem("replay", recording, "--trace", str(trace))
        self.assertEqual((replayed.returncode, replayed.stderr), (0, b""))
        self.assertEqual(replayed.stdout, recorded.stdout)
        self.assertEqual(trace.read_bytes(), (self.directory / "was.trace").read_bytes())

    def test_a_panic_is_recorded_and_replayed(self):
        recording = str(self.directory / "panic.rec")
        arguments = ("--no-gpu", "/bin/sh", "-c", "echo last words; busybox sleep 1; echo c > /proc/sysrq-trigger; busybox sleep 100")
        self.assertEqual(tandem("run", "--record", recording, *arguments).returncode, 125)
        replayed = tandem("replay", recording)
        self.assertEqual((replayed.returncode, replayed.stdout), (125, b"last words\n"))
        self.assertIn(b"sysrq triggered crash", replayed.stderr)

    def test_gdb_finds_the_guest_at_its_first_instruction(self):
        recording = str(self.directory / "case.rec")
        self.assertEqual(tandem("run", "--record", recording, "--no-gpu", "/bin/sh", "-c", "echo done").returncode, 0)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process = subprocess.Popen([*TANDEM, "replay", recording, "--gdb", str(port)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        with process:
            self.assertIn(b"waits for gdb", process.stderr.readline())
            stub = self.connect(port)
            with stub:
                self.assertRegex(self.ask(stub, b"?"), rb"^T05")
                self.assertIn(b"fff0", self.register_pc(stub))
                stub.sendall(self.packet(b"c"))
                self.assertEqual(process.stdout.readline(), b"done\n")
            self.assertEqual(process.wait(timeout=60), 0)

    def connect(self, port):
        for _attempt in range(600):
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=60)
            except ConnectionRefusedError:
                subprocess.run(["sleep", "0.1"], check=True)
        self.fail("no gdbstub")

    @staticmethod
    def packet(body):
        return b"$%s#%02x" % (body, sum(body) % 256)

    def ask(self, stub, body):
        stub.sendall(self.packet(body))
        answer = b""
        while not re.search(rb"\$[^#]*#..", answer):
            answer += stub.recv(65536)
        stub.sendall(b"+")
        return re.search(rb"\$([^#]*)#", answer).group(1)

    def register_pc(self, stub):
        """rip is register 16 of x86-64, in target byte order: turned round for reading."""
        return bytes.fromhex(self.ask(stub, b"g")[256:272].decode())[::-1].hex().encode()

    def test_what_exploration_finds_the_command_shows_again(self):
        result = tandem("explore", "--runs", "3", "--jobs", "1", "/bin/sh", "--", "-c",
                        f"test $TANDEM_SEED != 2 && exit 0; {CLOCK}; exit 3", timeout=200)
        self.assertEqual(result.returncode, 1, result.stderr)
        text = result.stdout.decode()
        self.assertIn("3 runs, 1 distinct violations", text)
        self.assertIn("./tandem run --deterministic --seed 2 --check /bin/sh -c", text)
        again = tandem("run", "--deterministic", "--seed", "2", "--check", "/bin/sh", "-c",
                       f"test $TANDEM_SEED != 2 && exit 0; {CLOCK}; exit 3")
        self.assertEqual(again.returncode, 3)
        self.assertRegex(again.stdout, rb"now at \d+ nsecs")
        self.assertIn(again.stdout.decode().strip(), text)


if __name__ == "__main__":
    unittest.main()
