# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's life and its ways to die, with a fake QEMU."""
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import fakes
from frontend import boot, wire
from frontend.execution import Execution, InputPump, Program, exit_status
from frontend.machine import MachineConfig
from frontend.status import GUEST_LOST, GUEST_PANICKED, NOT_STARTED, TIMED_OUT, FrontendError


class Collector:
    def __init__(self):
        self.out, self.err = b"", b""

    def output(self, data):
        self.out += data

    def error(self, data):
        self.err += data


class BootTest(unittest.TestCase):
    def guest(self, **config):
        guest = boot.Guest(MachineConfig(**config), fakes.artifacts())
        self.addCleanup(guest.close)
        return guest.start()

    def run_words(self, *words, timeout=10, stdin=None, path="/bin/fake", variables=None):
        """Boot, run one program that does these things; returns (status, output)."""
        guest = self.guest().wait_ready()
        self.sink = Collector()
        ending = Execution(guest, self.sink, stdin and InputPump(stdin)).run(Program(path, ["fake", *words], "/tmp", variables or {}), timeout)
        self.last_guest = guest
        return exit_status(ending), self.sink.out

    def assert_dies(self, kind, status, *words, **options):
        with self.assertRaises(boot.GuestDied) as caught:
            self.run_words(*words, **options)
        self.assertEqual((caught.exception.kind, caught.exception.status), (kind, status))
        return caught.exception

    def test_output_and_exit_status_pass_through(self):
        self.assertEqual(self.run_words("print", "hello", "complain", "oh", "exit", "7"), (7, b"hello"))
        self.assertEqual(self.sink.err, b"oh")

    def test_death_by_signal_becomes_128_plus_the_signal(self):
        self.assertEqual(self.run_words("signal", "9"), (137, b""))

    def test_a_program_that_cannot_start_has_its_own_status(self):
        self.assertEqual(self.run_words(path="/bin/missing")[0], NOT_STARTED)

    def test_output_larger_than_all_buffers_arrives_whole(self):
        status, out = self.run_words("print-many", str(5_000_000))
        self.assertEqual((status, len(out)), (0, 5_000_000))
        self.assertEqual(out[:65536], bytes(range(256)) * 256)

    def test_input_larger_than_the_window_comes_back(self):
        data = os.urandom(3 * wire.INPUT_WINDOW + 17)
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            self.assertEqual(self.run_words("cat", stdin=file.fileno()), (0, data))

    def test_a_program_that_reads_nothing_ends_with_input_left(self):
        with tempfile.TemporaryFile() as file:
            file.write(bytes(10 * wire.INPUT_WINDOW))
            file.seek(0)
            self.assertEqual(self.run_words("exit", "3", stdin=file.fileno())[0], 3)
            self.assertLessEqual(os.lseek(file.fileno(), 0, os.SEEK_CUR), wire.INPUT_WINDOW)

    def test_panic_is_told_with_its_reason_and_the_console(self):
        death = self.assert_dies("panic", GUEST_PANICKED, "panic")
        self.assertIn("has had enough", death.message)
        self.assertIn("fake kernel boots", death.details)

    def test_panic_at_boot(self):
        with fakes.behave("panic-at-boot"), self.assertRaises(boot.GuestDied) as caught:
            self.guest().wait_ready()
        self.assertEqual(caught.exception.status, GUEST_PANICKED)

    def test_a_guest_that_never_comes_up(self):
        with fakes.behave("never-ready"), self.assertRaises(boot.GuestDied) as caught:
            self.guest().wait_ready(timeout=0.5)
        self.assertEqual((caught.exception.kind, caught.exception.status), ("hang", GUEST_LOST))

    def test_kvm_that_boots_nothing_is_named(self):
        with fakes.behave("never-ready"), self.assertRaises(boot.GuestDied) as caught:
            self.guest(accel="kvm").wait_ready(timeout=0.5)
        self.assertIn("--accel kvm", caught.exception.message)

    def test_silence_is_a_hang_and_the_gpu_is_asked(self):
        with mock.patch.object(boot, "SILENCE_S", 0.5):
            death = self.assert_dies("hang", GUEST_LOST, "silence")
        self.assertIn("fake GPU: idle", death.details)

    def test_a_program_that_computes_is_no_hang(self):
        with mock.patch.object(boot, "SILENCE_S", 1.5):
            self.assertEqual(self.run_words("sleep", "2.5", "exit", "4")[0], 4)

    def test_time_runs_out(self):
        death = self.assert_dies("timeout", TIMED_OUT, "sleep", "100", timeout=0.5)
        self.assertIn("0.5 s", death.message)

    def test_a_guest_that_ends_without_a_status(self):
        self.assert_dies("lost", GUEST_LOST, "vanish")

    def test_a_qemu_that_crashes(self):
        self.assertIn("status 3", self.assert_dies("lost", GUEST_LOST, "die", "3").message)

    def test_nonsense_on_the_port(self):
        with fakes.behave("nonsense"), self.assertRaises(boot.GuestDied) as caught:
            self.guest().wait_ready()
        self.assertEqual(caught.exception.status, GUEST_LOST)

    def test_a_driver_that_does_not_load(self):
        with tempfile.NamedTemporaryFile(suffix=".ko") as module, fakes.behave("no-driver"):
            artifacts = fakes.artifacts()
            artifacts.driver_ko = module.name
            with boot.Guest(MachineConfig(), artifacts) as guest, self.assertRaises(FrontendError) as caught:
                guest.start().wait_ready()
        self.assertIn("No such device", caught.exception.message)

    def test_power_off_ends_qemu_and_removes_the_private_directory(self):
        self.run_words("exit", "0")
        directory = Path(self.last_guest._directory.name)
        self.assertTrue(directory.exists())
        self.last_guest.power_off()
        self.last_guest.close()
        self.assertFalse(directory.exists())
        self.assertEqual(self.last_guest._process.poll(), 0)

    def test_a_guest_that_stays_on_is_ended_through_qemu(self):
        with tempfile.NamedTemporaryFile() as note, mock.patch.object(boot, "POWER_OFF_TIMEOUT_S", 0.5), \
                fakes.behave("stays-on", FAKE_QEMU_QUIT_NOTE=note.name):
            self.run_words("exit", "0")
            self.last_guest.power_off()
            self.assertEqual(Path(note.name).read_text(), "quit")

    def test_kernel_log_is_collected_and_a_warning_is_a_splat(self):
        self.run_words("warn", "all is well", "warn", "WARNING: CPU: 1 at mm/x.c", "exit", "0")
        self.assertEqual([splat.title for splat in self.last_guest.kernel_log.take_splats()], ["WARNING: CPU: 1 at mm/x.c"])
        self.assertIn("all is well", self.last_guest.kernel_log.records)


if __name__ == "__main__":
    unittest.main()
