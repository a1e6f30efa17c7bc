# SPDX-License-Identifier: GPL-2.0-or-later
"""The front end with a real QEMU and a real kernel: what the fake guest cannot show. Run by ./tandem test guest and all.

Without the GPU: these tests are about booting and about programs, and must tell the truth when the driver is broken.
"""
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

TANDEM = [sys.executable, os.environ.get("TANDEM_COMMAND") or str(Path(__file__).resolve().parents[3] / "tandem")]


def run(*arguments, data=b"", **options):
    return subprocess.run([*TANDEM, "run", "--no-gpu", *arguments], input=data, capture_output=True, timeout=100, check=False,
                          **options)


class GuestBootTest(unittest.TestCase):
    def script(self, text, directory=None):
        """An executable shell script of the host that goes away after the test."""
        scratch = tempfile.TemporaryDirectory(dir=directory)
        self.addCleanup(scratch.cleanup)
        path = Path(scratch.name) / "script"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def test_a_script_of_the_host_runs_with_streams_status_and_binary_data(self):
        data = os.urandom(1_000_000)
        result = run(str(self.script("echo to-error >&2; cat; exit 42")), data=data)
        self.assertEqual((result.returncode, result.stderr), (42, b"to-error\n"))
        self.assertEqual(result.stdout, data)

    def test_the_guest_is_linux_with_the_host_read_only_and_a_writable_tmp(self):
        result = run("/bin/sh", "-c", "echo x > /tmp/x && cat /tmp/x; echo y > /usr/y; test -d /sys/kernel/debug/tracing "
                     "-o -d /sys/kernel/tracing/events && test -d /proc/self && test -c /dev/null && pwd", cwd="/usr/share")
        self.assertEqual(result.stdout.splitlines(), [b"x", b"/usr/share"])
        self.assertIn(b"Read-only", result.stderr)
        self.assertEqual(result.returncode, 0)

    def test_signals_and_processes_left_behind(self):
        began = time.monotonic()
        self.assertEqual(run("/bin/sh", "-c", "sleep 1000 & sleep 1001 & echo started; kill -SEGV $$").returncode, 139)
        self.assertLess(time.monotonic() - began, 40)

    def test_a_program_without_an_interpreter_cannot_start(self):
        script = self.script("exit 0")
        script.write_text("#!/no/such/interpreter\n")
        result = run(str(script))
        self.assertEqual(result.returncode, 127)
        self.assertIn(b"cannot be started in the guest", result.stderr)

    def test_a_real_panic_is_told(self):
        result = run("/bin/sh", "-c", "echo last words; echo c > /proc/sysrq-trigger; sleep 100")
        self.assertEqual((result.returncode, result.stdout), (125, b"last words\n"))
        self.assertIn(b"panicked: sysrq triggered crash", result.stderr)
        self.assertIn(b"Call Trace", result.stderr)

    def test_time_limit_ends_a_busy_guest(self):
        result = run("--timeout", "1", "/bin/sh", "-c", "while :; do :; done")
        self.assertEqual(result.returncode, 124)

    def test_ctrl_c_leaves_no_qemu_behind(self):
        process = subprocess.Popen([*TANDEM, "run", "--no-gpu", "/bin/sh", "-c", "echo up; sleep 1000"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        with process:
            self.assertEqual(process.stdout.readline(), b"up\n")
            children = self.children(process.pid)
            self.assertEqual(len(children), 1)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(timeout=20), 130)
            self.assertFalse(Path(f"/proc/{children[0]}").exists())

    def test_a_killed_front_end_takes_qemu_with_it(self):
        process = subprocess.Popen([*TANDEM, "run", "--no-gpu", "/bin/sh", "-c", "echo up; sleep 1000"], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        with process:
            self.assertEqual(process.stdout.readline(), b"up\n")
            child = self.children(process.pid)[0]
            process.kill()
        deadline = time.monotonic() + 10
        while self.is_alive(child) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertFalse(self.is_alive(child))

    @staticmethod
    def children(pid):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    @staticmethod
    def is_alive(pid):
        try:
            return " Z " not in Path(f"/proc/{pid}/stat").read_text()  # a zombie waits for whoever inherited it
        except OSError:
            return False

    def test_shell_on_a_terminal(self):
        self.on_terminal(self.talk_to_shell, 9)

    def test_shell_has_a_way_out(self):
        self.on_terminal(self.leave_by_escape, 130)

    def talk_to_shell(self, terminal):
        os.write(terminal, b"tty && stty size && sleep 1000\r")
        self.read_until(terminal, b"\n24 80\r\n")
        self.read_until(terminal, b"# ", nudge=b"\x03")  # in raw mode Ctrl-C reaches the guest, not the front end
        os.write(terminal, b"exit 9\r")

    def leave_by_escape(self, terminal):
        os.write(terminal, b"trap '' INT; echo stuck; sleep 1000\r")
        self.read_until(terminal, b"\nstuck")
        os.write(terminal, b"\x1d")

    def on_terminal(self, talk, status):
        """Start the shell on a new terminal, wait for its prompt, talk, and expect its exit status."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(TANDEM[0], [*TANDEM, "shell", "--no-gpu"])
        try:
            self.read_until(terminal, b"# ")
            talk(terminal)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), status)
            pid = None
        finally:
            os.close(terminal)
            if pid:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def read_until(self, terminal, end, nudge=b""):
        """Read up to `end`. The nudge is typed every second: a shell that is just starting a program may miss a signal."""
        text, deadline = b"", time.monotonic() + 60
        while end not in text:
            self.assertLess(time.monotonic(), deadline, text)
            if select.select([terminal], [], [], 1)[0]:
                text += os.read(terminal, 65536)
            else:
                os.write(terminal, nudge)


if __name__ == "__main__":
    unittest.main()
