# SPDX-License-Identifier: GPL-2.0-or-later
"""Sealed guests, recordings and exploration as a user meets them. The guest is fake; guest_replay.py has a real one."""
import argparse
import json
import os
import signal
import subprocess
import tempfile
import time
import unittest
import zipfile
from pathlib import Path
from unittest import mock

import fakes
from frontend import cli, explore, machine, program_image, sealed, wire
from frontend.status import UsageError
from test_guest_image import read_archive


class FakeRuns(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.directory = Path(scratch.name)
        (self.directory / "stage").mkdir()
        self.stage = fakes.make_stage(self.directory / "stage")
        (self.stage / "bin" / "vecadd").write_bytes(b"a static program")

    def tandem(self, *arguments, data=None, timeout=60):
        process = fakes.tandem(arguments, self.stage, stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL)
        self.out, self.err = process.communicate(data, timeout=timeout)
        return process.returncode


class DeterministicRunTest(FakeRuns):
    def test_streams_input_and_status_pass_through(self):
        data = bytes(range(256)) * 1000
        self.assertEqual(self.tandem("run", "--deterministic", "vecadd", "cat", "complain", "hm", "exit", "9", data=data), 9)
        self.assertEqual((self.out, self.err), (data, b"hm"))

    def test_the_seed_reaches_programs(self):
        self.tandem("run", "--deterministic", "--seed", "77", "vecadd", "env", "TANDEM_SEED")
        self.assertEqual(self.out, b"77")

    def test_nothing_of_the_session_reaches_programs_but_what_is_asked_for(self):
        with mock.patch.dict(os.environ, TANDEM_FOO="1", TERM="xterm"):
            self.tandem("run", "--deterministic", "--env", "MINE=2", "vecadd", "env", "TANDEM_FOO", "env", "TERM", "env", "MINE")
        self.assertEqual(self.out, b"(unset)(unset)2")

    def test_what_does_not_repeat_is_refused(self):
        for options, words in ((("--cpus", "2"), b"does not repeat"), (("--accel", "kvm"), b"cannot be deterministic")):
            self.assertEqual(self.tandem("run", "--deterministic", *options, "vecadd"), 2)
            self.assertIn(words, self.err)

    def test_a_panic_is_told(self):
        self.assertEqual(self.tandem("run", "--deterministic", "vecadd", "print", "last", "panic"), 125)
        self.assertIn(b"had enough", self.err)

    def test_a_file_that_is_not_there_and_a_file_for_nothing(self):
        self.assertEqual(self.tandem("run", "--deterministic", "--file", "/no/such", "vecadd"), 2)
        self.assertIn(b"/no/such: no such file", self.err)
        self.assertEqual(self.tandem("run", "--file", "/etc/passwd", "vecadd"), 2)

    def test_input_that_does_not_fit_is_refused(self):
        with self.assertRaisesRegex(UsageError, "at most 16 MiB"):
            sealed.script([wire.input_bytes(b"x" * 65536)] * 257)

    def test_the_time_limit_ends_the_guest(self):
        self.assertEqual(self.tandem("run", "--deterministic", "--timeout", "1", "vecadd", "sleep", "100"), 124)

    def test_the_machine_has_no_way_in(self):
        files = machine.Sealed("/script", "/output")
        command = machine.command_line(machine.MachineConfig(cpus=1, deterministic=True, seed=5, hostile=6), fakes.artifacts(),
                                       "/initramfs", None, 8, "/console", "/checker", files)
        text = " ".join(command)
        for word in ("9p", "fsdev", "id=control,fd"):
            self.assertNotIn(word, text)
        for word in ("shift=1,sleep=off", "rdrand=off", "clock=vm", "seed=5,hostile=6", "panic=none", "-smp 1,maxcpus=1"):
            self.assertIn(word, text)


class ProgramImageTest(unittest.TestCase):
    def test_a_program_brings_its_loader_and_libraries(self):
        image = program_image.ProgramImage()
        image.add_program("/bin/cat")
        names = image.names()
        self.assertIn("/bin/cat", names)
        self.assertTrue(any("libc.so" in name for name in names), names)
        self.assertTrue(any("ld-linux" in name for name in names), names)
        archive = read_archive(image.archive())
        self.assertEqual(archive["bin/cat"][2], Path("/bin/cat").read_bytes())
        self.assertEqual(archive["bin"][0], 0o040755)

    def test_a_script_brings_its_interpreter(self):
        with tempfile.TemporaryDirectory() as scratch:
            script = Path(scratch) / "script"
            script.write_text("#!/bin/sh\nexit 0\n")
            image = program_image.ProgramImage()
            image.add_program(str(script))
        self.assertIn("/bin/sh", image.names())
        self.assertIn(f"/host{script}", image.names())

    def test_a_library_that_is_missing_is_named(self):
        with mock.patch.object(program_image.subprocess, "run") as run:
            run.return_value = mock.Mock(returncode=0, stdout="\tlibgone.so.1 => not found\n", stderr="")
            with self.assertRaisesRegex(UsageError, "libgone.so.1 not found"):
                program_image.ProgramImage().add_program("/bin/cat")


class RecordingTest(FakeRuns):
    def record(self, *words):
        self.recording = str(self.directory / "case.rec")
        return self.tandem("run", "--record", self.recording, "vecadd", *words)

    def test_a_replay_gives_output_trace_and_status_again(self):
        self.assertEqual(self.record("print", "hello", "exit", "7"), 7)
        trace = self.directory / "again.trace"
        self.assertEqual(self.tandem("replay", self.recording, "--trace", str(trace)), 7)
        self.assertEqual((self.out, self.err), (b"hello", b""))
        self.assertEqual(trace.read_text(), "a trace, of a kind")

    def test_a_replay_gives_the_checkers_reports_and_its_status_again(self):
        self.recording = str(self.directory / "case.rec")
        told = b"tandem: the coherence checker reports: gpu0: X2.missed-level: page 3 was used\n    access: somebody\n"
        self.assertEqual(self.tandem("run", "--check", "--record", self.recording, "vecadd", "violate", "page 3 was used"), 123)
        self.assertIn(told, self.err)
        self.assertEqual(self.tandem("replay", self.recording), 123)
        self.assertIn(told, self.err)

    def test_a_replay_whose_checker_reports_something_else_says_so(self):
        self.recording = str(self.directory / "case.rec")
        self.assertEqual(self.tandem("run", "--check", "--record", self.recording, "vecadd", "violate", "page 3 was used"), 123)
        self.rewrite("recording.json", lambda text: json.dumps({**json.loads(text), "reports": "0" * 64}))
        self.assertEqual(self.tandem("replay", self.recording), 126)
        self.assertIn(b"the checker's reports differ", self.err)

    def test_a_panic_is_recorded(self):
        self.assertEqual(self.record("panic"), 125)
        self.assertEqual(self.tandem("replay", self.recording), 125)
        self.assertIn(b"had enough", self.err)

    def test_a_replay_that_leaves_its_recording_says_so(self):
        self.record("print", "hello")
        with mock.patch.dict(os.environ, FAKE_QEMU_TRACE="another"):
            self.assertEqual(self.tandem("replay", self.recording), 126)
        self.assertIn(b"its trace differs", self.err)

    def test_another_kernel_is_refused_by_name(self):
        self.record("print", "hello")
        self.rewrite("recording.json", self.with_another_kernel)
        self.assertEqual(self.tandem("replay", self.recording), 126)
        self.assertIn(b"another kernel", self.err)

    @staticmethod
    def with_another_kernel(text):
        manifest = json.loads(text)
        manifest["parts"]["kernel"] = "0" * 64
        return json.dumps(manifest)

    def rewrite(self, member, change):
        with zipfile.ZipFile(self.recording) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
        contents[member] = change(contents[member])
        with zipfile.ZipFile(self.recording, "w") as archive:
            for name, data in contents.items():
                archive.writestr(name, data)

    def test_files_that_are_no_recordings(self):
        other = self.directory / "other"
        for make, words in ((lambda: None, b"no such file"), (lambda: other.write_text("hm"), b"is no recording"),
                            (lambda: zipfile.ZipFile(other, "w").close(), b"it lacks recording.json"),
                            (lambda: (other.unlink(), other.mkdir()), b"is a directory")):
            make()
            self.assertEqual(self.tandem("replay", str(other)), 2)
            self.assertIn(words, self.err)

    def test_a_place_that_cannot_be_written_is_told_before_the_run(self):
        self.assertEqual(self.tandem("run", "--record", "/no/such/place/x", "vecadd", "print", "hello"), 2)
        self.assertEqual(self.out, b"")


class ExploreTest(FakeRuns):
    def test_a_violation_is_told_once_with_the_command_that_repeats_it(self):
        self.assertEqual(self.tandem("explore", "--runs", "6", "--jobs", "2", "--gpu", "l1-ways=1", "vecadd", "print", "value 17 is wrong",
                                     "exit-if-seed", "3", "4", "exit-if-seed", "5", "4"), 1)
        text = self.out.decode()
        self.assertEqual(text.count("again: "), 1, text)
        self.assertRegex(text, r"again: \./tandem run --deterministic --seed [35] --check --gpu l1-ways=1 vecadd print")
        self.assertIn("exit status 4: value 17 is wrong", text)
        self.assertRegex(text, "in 2 of 6 runs, seeds")
        self.assertIn("6 runs, 1 distinct violations", text)
        self.assertIn(b"6 of 6 runs", self.err)

    def test_what_the_checker_reports_is_a_violation_by_its_words(self):
        self.assertEqual(self.tandem("explore", "vecadd", "--runs", "3", "violate", "page 3 was used", "violate", "page 4 was used"), 1)
        text = self.out.decode()
        self.assertIn("violation 1: X2.missed-level: page 3 was used\n    access: somebody\n", text)
        self.assertIn("again: ./tandem run --deterministic --check vecadd violate 'page 3 was used'", text)
        self.assertIn("in 3 of 3 runs, seeds 1, 2, 3\n3 runs, 1 distinct violations", text)

    def test_a_busy_host_makes_nothing_a_hang_and_a_busy_guest_that_is_silent_is_one(self):
        guest = sealed.SealedGuest.__new__(sealed.SealedGuest)
        guest.config, guest._patient, guest.autopsy = machine.MachineConfig(), False, list
        guest._last_sign_of_life, guest._spent_at_sign_of_life = time.monotonic() - 500, 10.0
        for spent, hangs in ((10.0 + sealed.SILENCE_CPU_S - 1, False), (10.0 + sealed.SILENCE_CPU_S + 1, True)):
            guest._spent = lambda spent=spent: spent
            if hangs:
                self.assertRaisesRegex(sealed.GuestDied, "no sign of life", guest._check_silence)
            else:
                guest._check_silence()

    def test_without_the_checker_nothing_is_checked(self):
        self.assertEqual(self.tandem("explore", "--no-check", "--runs", "1", "vecadd", "violate", "page 3 was used"), 0)

    def test_seed_and_hostile_timing_stand_in_the_command_where_they_are_needed(self):
        attempt, finding = explore.Attempt(3, 4), explore.Finding("value 17")
        for shows_it, words in ((lambda a: True, ""), (lambda a: a.seed == 3, "--seed 3"), (lambda a: a.hostile, "--seed 3 --hostile 4")):
            explorer = mock.Mock(run=lambda a, shows_it=shows_it: [explore.Finding("value 18")] if shows_it(a) else [])
            self.assertEqual(" ".join(explore.Explorer.shortest(explorer, attempt, finding)[0].words()), words)

    def test_options_stand_on_both_sides_of_the_workload_and_its_own_behind_two_dashes(self):
        args = cli.parse(["explore", "--jobs", "2", "vecadd", "one", "--runs", "7", "two", "--", "--rounds", "--"])
        self.assertEqual((args.jobs, args.runs, args.target, args.arguments), (2, 7, "vecadd", ["one", "two", "--rounds", "--"]))
        self.assertEqual(self.tandem("explore", "vecadd", "--rounds", "3"), 2)
        self.assertIn(b"no option '--rounds'", self.err)
        self.assertIn(b"behind --", self.err)

    def test_no_violation_is_success(self):
        self.assertEqual(self.tandem("explore", "--runs", "3", "vecadd"), 0)
        self.assertIn(b"3 runs, 0 distinct violations", self.out)

    def test_a_kernel_that_complains_and_one_that_dies_are_violations(self):
        self.assertEqual(self.tandem("explore", "--runs", "1", "vecadd", "warn", "WARNING: hm"), 1)
        self.assertIn(b"the guest's kernel complained: WARNING: hm", self.out)
        self.assertEqual(self.tandem("explore", "--runs", "1", "vecadd", "panic"), 1)
        self.assertIn(b"panicked", self.out)

    def test_a_machine_that_qemu_refuses_is_told_in_the_users_words(self):
        with fakes.behave("refuse", FAKE_QEMU_ERROR="-device tandem-gpu,bus=gpuport0: Property 'tandem-gpu.nosuch' not found"):
            self.assertEqual(self.tandem("explore", "--runs", "1", "--gpu", "nosuch=1", "vecadd"), 2)
        self.assertIn(b"nosuch", self.err)

    def test_a_snapshot_that_fails_says_why(self):
        with fakes.behave("no-snapshot"):
            self.assertEqual(self.tandem("explore", "--runs", "1", "vecadd"), 126)
        self.assertIn(b"cannot be saved: the GPU is at work", self.err)

    def test_ctrl_c_ends_all_guests(self):
        process = fakes.tandem(["explore", "--runs", "4", "--jobs", "2", "vecadd", "sleep", "100"], self.stage)
        self.addCleanup(lambda: (process.stdout.close(), process.stderr.close()))
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=30), 130)

    def share(self, environment=None, **options):
        args = argparse.Namespace(**{"runs": 7, "first_seed": 10, "slice": None, **options})
        return explore.seeds(args, environment or {})

    def test_shares_cover_all_seeds_once(self):
        for count in (1, 2, 3, 7, 9):
            by_slice = [seed for index in range(count) for seed in self.share(slice=f"{index + 1}/{count}")]
            by_variables = [seed for index in range(count) for seed in
                            self.share({"GTEST_TOTAL_SHARDS": str(count), "GTEST_SHARD_INDEX": str(index)})]
            self.assertEqual(sorted(by_slice), list(range(10, 17)))
            self.assertEqual(sorted(by_variables), list(range(10, 17)))

    def test_shares_that_are_none(self):
        for text in ("0/2", "3/2", "x"):
            with self.assertRaises(UsageError):
                self.share(slice=text)
        with self.assertRaises(UsageError):
            self.share({"GTEST_TOTAL_SHARDS": "2"})
        with self.assertRaises(UsageError):
            self.share({"GTEST_TOTAL_SHARDS": "2", "GTEST_SHARD_INDEX": "2"})


if __name__ == "__main__":
    unittest.main()
