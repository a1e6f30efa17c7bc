# SPDX-License-Identifier: GPL-2.0-or-later
"""Long commands: their logs, their failures, and the estimates shown while they run."""

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from frontend import progress
from frontend.progress import Durations, Meter, Reporter, clock, make_counter, ninja_counter, run_step
from frontend.status import FrontendError


class ProgressCase(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        environment = mock.patch.dict(os.environ, {"TANDEM_CACHE": str(self.root)})
        environment.start()
        self.addCleanup(environment.stop)
        self.stream = io.StringIO()

    def run_script(self, script, counter=progress.elapsed_counter):
        return run_step(Reporter(stream=self.stream), "some.step", "doing it", ["sh", "-c", script], counter=counter)


class Commands(ProgressCase):
    def test_output_is_returned_and_logged(self):
        self.assertEqual(self.run_script("echo out; echo err >&2"), "out\nerr\n")
        self.assertIn("out\nerr\n", (self.root / "logs/some.step.log").read_text())

    def test_failure_shows_the_last_thirty_lines_and_the_log(self):
        with self.assertRaises(FrontendError) as caught:
            self.run_script("seq 1 100; exit 3")
        self.assertEqual(caught.exception.details, [str(number) for number in range(71, 101)])
        self.assertIn("status 3", caught.exception.message)
        self.assertIn(str(self.root / "logs/some.step.log"), caught.exception.message)

    def test_death_by_signal_is_named(self):
        with self.assertRaises(FrontendError) as caught:
            self.run_script("kill -SEGV $$")
        self.assertIn("SIGSEGV", caught.exception.message)

    def test_a_command_that_does_not_exist_is_explained(self):
        with self.assertRaises(FrontendError) as caught:
            run_step(Reporter(stream=self.stream), "s", "doing it", ["/nonexistent/tool"])
        self.assertIn("/nonexistent/tool", caught.exception.message)

    def test_output_that_is_not_text_is_survived(self):
        self.assertIn("ok", self.run_script("printf '\\377\\376'; echo ok"))

    def test_interrupt_ends_the_whole_process_group(self):
        script = (f"import sys; sys.path.insert(0, {str(Path(progress.__file__).parents[1])!r})\n"
                  "from frontend.progress import Reporter, run_step\n"
                  "run_step(Reporter(), 's', 't', ['sh', '-c', 'sleep 60 & echo $! > pid; wait'])\n")
        process = subprocess.Popen([sys.executable, "-B", "-c", script], cwd=self.root, stderr=subprocess.DEVNULL)
        child = self.wait_for_pid(self.root / "pid")
        process.send_signal(signal.SIGINT)
        process.wait(10)
        # Its signal is on the way when the front end ends; by itself it would live for a minute.
        deadline = time.monotonic() + 10
        while running(child) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertFalse(running(child))

    def test_interrupt_before_the_start_is_known_ends_the_child_too(self):
        children = []
        start = subprocess.Popen

        def interrupted(*arguments, **options):
            children.append(start(*arguments, **options))
            signal.raise_signal(signal.SIGINT)
            return children[-1]

        with mock.patch("subprocess.Popen", interrupted), self.assertRaises(KeyboardInterrupt):
            run_step(Reporter(io.StringIO()), "s", "t", ["sleep", "60"])
        self.assertIsNotNone(children[0].poll())

    def wait_for_pid(self, path):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if path.exists() and path.read_text().strip():
                return int(path.read_text())
            time.sleep(0.02)
        self.fail("the child did not start")


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Counting(unittest.TestCase):
    def test_ninja(self):
        meter = Meter(None, None)
        ninja_counter(meter, "[25/100] Compiling C object x.o\n")
        ninja_counter(meter, "warning: [99/100] is no status\n")
        self.assertEqual((meter.done, meter.total, meter.fraction()), (25, 100, 0.25))

    def test_make(self):
        meter = Meter(None, 4)
        for line in ("  CC      a.o\n", "  LD [M]  b.ko\n", "a.c:1: warning: x\n", "make: nothing\n", "  HOSTCC  s/x\n"):
            make_counter(meter, line)
        self.assertEqual((meter.done, meter.fraction()), (3, 0.75))

    def test_time_left_follows_the_pace_of_this_run(self):
        meter = Meter(1000, None)
        meter.done, meter.total = 50, 100
        with mock.patch.object(Meter, "elapsed", 30.0):
            self.assertAlmostEqual(meter.left(), 30.0)

    def test_time_left_follows_history_before_there_is_a_pace(self):
        with mock.patch.object(Meter, "elapsed", 1.0):
            self.assertAlmostEqual(Meter(100, None).left(), 99.0)

    def test_nothing_known_means_nothing_claimed(self):
        meter = Meter(None, None)
        self.assertIsNone(meter.fraction())
        self.assertIsNone(meter.left())


class Remembering(ProgressCase):
    def test_a_whole_step_is_remembered_across_processes(self):
        Durations().remember("x", 12.3456, units=7)
        self.assertEqual((Durations().seconds("x"), Durations().units("x")), (12.3, 7))

    def test_damaged_memory_is_forgotten(self):
        (self.root / "durations.json").write_text('{"x": 3, "y": {"seconds": "soon"}}')
        self.assertEqual((Durations().seconds("x"), Durations().seconds("y"), Durations().units("x")), (None, None, None))

    def test_an_incremental_build_does_not_count_as_the_whole(self):
        meter = Meter(100, 1000)
        meter.done = 20
        with mock.patch.object(Meter, "elapsed", 5.0):
            self.assertFalse(progress.worth_remembering(meter))
        meter.done = 990
        with mock.patch.object(Meter, "elapsed", 95.0):
            self.assertTrue(progress.worth_remembering(meter))


class Showing(ProgressCase):
    def test_without_a_terminal_there_are_whole_lines_only(self):
        with mock.patch.object(progress, "PLAIN_INTERVAL", 0.0):
            self.run_script("echo '[1/4] a'; sleep 0.5; echo '[2/4] b'; sleep 0.3", counter=ninja_counter)
        text = self.stream.getvalue()
        self.assertIn("25%", text)
        self.assertNotIn("\r", text)
        self.assertNotIn("\033", text)

    def test_on_a_terminal_the_line_is_rewritten_and_erased_at_the_end(self):
        self.stream.isatty = lambda: True
        with mock.patch.dict(os.environ, {"TERM": "xterm"}):
            self.run_script("echo '[1/4] a'; sleep 0.5", counter=ninja_counter)
        self.assertIn("\r\033[K", self.stream.getvalue())
        self.assertTrue(self.stream.getvalue().endswith("\n"))

    def test_quiet_says_nothing_about_short_steps_on_a_terminal(self):
        self.stream.isatty = lambda: True
        with mock.patch.dict(os.environ, {"TERM": "xterm"}):
            run_step(Reporter(stream=self.stream, quiet=True), "some.step", "doing it", ["true"])
        self.assertNotIn("done", self.stream.getvalue())

    def test_time_left_of_the_setup_adds_what_is_planned(self):
        reporter = Reporter(stream=self.stream)
        reporter.durations.remember("later", 120)
        reporter.plan(["now", "later"])
        reporter.begin("now", "now")
        self.assertIn("setup: 2:30 min left", reporter._describe("now", 0.5, 30))

    def test_clock(self):
        self.assertEqual([clock(0.2), clock(59.4), clock(125), clock(3723)], ["0 s", "59 s", "2:05 min", "1:02:03 h"])


if __name__ == "__main__":
    unittest.main()
