# SPDX-License-Identifier: GPL-2.0-or-later
"""./tandem run, shell and list as a user meets them: streams, statuses, messages. The guest is fake."""
import os
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import fakes


class RunTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.stage = fakes.make_stage(scratch.name)

    def tandem(self, *arguments, data=None, timeout=30):
        process = fakes.tandem(arguments, self.stage, stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL)
        self.out, self.err = process.communicate(data, timeout=timeout)
        return process.returncode

    def start(self, *arguments):
        process = fakes.tandem(arguments, self.stage)
        self.addCleanup(lambda: (process.kill(), process.wait(), process.stdout.close(), process.stderr.close()))
        return process

    def test_streams_and_status_pass_through(self):
        self.assertEqual(self.tandem("run", "vecadd", "print", "12 lanes", "complain", "hm", "exit", "9"), 9)
        self.assertEqual((self.out, self.err), (b"12 lanes", b"hm"))

    def test_standard_input_passes_through(self):
        data = bytes(range(256)) * 1000
        self.assertEqual(self.tandem("run", "vecadd", "cat", data=data), 0)
        self.assertEqual(self.out, data)

    def test_options_behind_the_workload_are_the_workloads(self):
        self.assertEqual(self.tandem("run", "vecadd", "print", "x", "exit", "0", "--help", "--gpu"), 0)
        self.assertEqual(self.out, b"x")

    def test_unknown_workload_names_its_neighbours(self):
        self.assertEqual(self.tandem("run", "vecad"), 2)
        self.assertIn(b"near: vecadd", self.err)
        self.assertIn(b"./tandem list", self.err)

    def test_a_command_of_the_host_is_suggested_by_its_path(self):
        self.assertEqual(self.tandem("run", "sh"), 2)
        self.assertRegex(self.err, rb"\./tandem run /\S*/sh")

    def test_missing_and_unusable_programs(self):
        for target, words in (("/no/such/thing", b"no such file"), ("/etc/passwd", b"not executable"), ("/etc/", b"directory")):
            self.assertEqual(self.tandem("run", target), 2)
            self.assertIn(words, self.err)

    def test_nothing_to_run(self):
        self.assertEqual(self.tandem("run"), 2)

    def test_panic_message_console_and_status(self):
        self.assertEqual(self.tandem("run", "vecadd", "print", "before", "panic"), 125)
        self.assertEqual(self.out, b"before")
        self.assertIn(b"tandem: the guest's kernel panicked: the fake guest has had enough", self.err)
        self.assertIn(b"fake kernel boots", self.err)

    def test_time_limit(self):
        self.assertEqual(self.tandem("run", "--timeout", "0.5", "vecadd", "sleep", "60"), 124)
        self.assertIn(b"time ran out", self.err)

    def test_a_lost_guest(self):
        self.assertEqual(self.tandem("run", "vecadd", "vanish"), 126)

    def test_signal_status(self):
        self.assertEqual(self.tandem("run", "vecadd", "signal", "11"), 139)

    def test_a_complaint_of_the_kernel_is_told_and_the_status_stays(self):
        self.assertEqual(self.tandem("run", "vecadd", "warn", "WARNING: odd page", "exit", "4"), 4)
        self.assertIn(b"complained: WARNING: odd page", self.err)

    def test_a_violation_is_told_and_has_a_status_of_its_own(self):
        self.assertEqual(self.tandem("run", "--check", "vecadd", "print", "x", "violate", "a stale use"), 123)
        self.assertEqual(self.out, b"x")
        self.assertIn(b"tandem: the coherence checker reports: gpu0: X2.missed-level: a stale use\n", self.err)
        self.assertIn(b"access: somebody", self.err)

    def test_a_violation_before_a_panic_is_told(self):
        self.assertEqual(self.tandem("run", "--check", "vecadd", "violate", "a stale use", "panic"), 125)
        self.assertIn(b"X2.missed-level", self.err)

    def test_without_the_checker_nothing_is_checked(self):
        for option in (), ("--check", "--no-check"):
            self.assertEqual(self.tandem("run", *option, "vecadd", "violate", "a stale use", "exit", "4"), 4)

    def test_ctrl_c_powers_off(self):
        with tempfile.NamedTemporaryFile() as note, fakes.behave("normal", FAKE_QEMU_QUIT_NOTE=note.name):
            process = self.start("run", "vecadd", "print", "running", "sleep", "60")
            self.assertEqual(os.read(process.stdout.fileno(), 7), b"running")
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(timeout=10), 130)
            self.assertEqual(Path(note.name).read_text(), "quit")

    def test_a_reader_that_goes_away_ends_the_run(self):
        process = self.start("run", "vecadd", "print-many", "100000000")
        process.stdout.read(10)
        process.stdout.close()
        began = time.monotonic()
        self.assertEqual(process.wait(timeout=20), 128 + signal.SIGPIPE)
        self.assertLess(time.monotonic() - began, 15)

    def test_environment(self):
        with fakes.behave("normal", TANDEM_SEED="77", SECRET="hidden"):
            self.tandem("run", "--env", "COLOUR=blue", "vecadd", *"env TANDEM_SEED env COLOUR env SECRET".split(),
                        *"env TANDEM_KERNEL_PATH env TANDEM_TRANSLATION".split())
        self.assertEqual(self.out, b"77blue(unset)(unset)mirror")

    def test_unknown_gpu_property_is_named_with_its_neighbours(self):
        error = "-device tandem-gpu,bus=gpuport,l1-set=3: Property 'tandem-gpu.l1-set' not found"
        with fakes.behave("refuse", FAKE_QEMU_ERROR=error):
            self.assertEqual(self.tandem("run", "--gpu", "l1-set=3", "vecadd"), 2)
        self.assertIn(b"no property 'l1-set' (near: l1-sets)", self.err)

    def test_wrong_gpu_value_is_named(self):
        error = "-device tandem-gpu,bus=gpuport,seed=1,l1-sets=x: Parameter 'l1-sets' expects uint32"
        with fakes.behave("refuse", FAKE_QEMU_ERROR=error):
            self.assertEqual(self.tandem("run", "--gpu", "seed=1,l1-sets=x", "vecadd"), 2)
        self.assertIn(b"the GPU refuses l1-sets=x: Parameter 'l1-sets' expects uint32", self.err)

    def test_other_refusals_of_qemu_are_shown(self):
        with fakes.behave("refuse", FAKE_QEMU_ERROR="-m 3G: cannot set up guest memory"):
            self.assertEqual(self.tandem("run", "vecadd"), 126)
        self.assertIn(b"QEMU refuses to start: -m 3G: cannot set up guest memory", self.err)

    def test_gpu_help_lists_the_gpus_own_properties(self):
        self.assertEqual(self.tandem("run", "--gpu", "help"), 0)
        self.assertIn(b"l1-sets=<uint32>", self.out)
        self.assertNotIn(b"addr=", self.out)
        self.assertIn(b"--gpu l1-sets=16 vecadd", self.out)

    def test_kept_console(self):
        console = self.stage / "console.txt"
        self.assertEqual(self.tandem("run", "--keep-console", str(console), "vecadd", "exit", "0"), 0)
        self.assertIn("fake kernel boots", console.read_text())

    def test_list_shows_workloads_and_suites(self):
        fakes.add_test_binary(self.stage, "mmu_test", {"Mmu": ["Passes"]})
        self.assertEqual(self.tandem("list"), 0)
        self.assertRegex(self.out, rb"vecadd +adds vectors")
        self.assertIn(b"mmu_test", self.out)

    def test_shell_runs_commands_and_passes_the_status(self):
        self.assertEqual(self.tandem("shell", "-c", "exit 0"), 0)

    def test_demo_runs_its_workloads_in_one_guest_and_summarises_the_trace(self):
        (self.stage / "share" / "workloads.json").write_text("""{"workloads": [
            {"name": "add", "description": "adds", "args": ["print", "3 lanes"]},
            {"name": "chase", "description": "chases", "binary": "x", "args": ["print", "9 hops", "exit", "6"]}],
            "demo": ["chase", "add"]}""")
        trace = self.stage / "t.trace"
        self.assertNotEqual(self.tandem("run", "--trace", str(trace), "demo"), 0)
        text = self.out.decode()
        self.assertLess(text.index("=== chase: chases\n9 hops"), text.index("=== add: adds\n3 lanes"))
        self.assertIn("exit status 6", text)
        self.assertIn(f"./tandem trace show {trace}", text)
        self.assertEqual(text.count("is up after"), 1)

    def test_wrong_options(self):
        for words in (["--cpus", "0"], ["--gpus", "0"], ["--gpus", "5"], ["--memory", "lots"], ["--memory", "10M"], ["--timeout", "-1"], ["--gpu", "novalue"],
                      ["--gpu", "bus=x"], ["--env", "novalue"], ["--translation", "magic"]):
            self.assertEqual(self.tandem("run", *words, "vecadd"), 2, words)
            self.assertTrue(self.err)


class HelpTest(unittest.TestCase):
    def test_every_command_explains_itself_with_examples(self):
        for command in ("run", "shell", "test", "trace"):
            process = fakes.tandem([command, "--help"], "/nonexistent")
            out, _err = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 0)
            self.assertIn(b"examples:", out)
            self.assertIn(b"./tandem " + command.encode(), out)

    def test_help_documents_the_exit_statuses(self):
        out, _err = fakes.tandem(["--help"], "/nonexistent").communicate(timeout=20)
        for status in (b"124", b"125", b"126", b"127", b"128+N", b"130"):
            self.assertIn(status, out)

    def test_an_unknown_option_is_named_with_its_command(self):
        process = fakes.tandem(["run", "--no-such", "vecadd"], "/nonexistent")
        _out, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 2)
        self.assertIn(b"run has no option '--no-such'; './tandem run --help'", err)

    def test_no_command_is_wrong_usage(self):
        process = fakes.tandem([], "/nonexistent")
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 2)


if __name__ == "__main__":
    unittest.main()
