# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's tests: no result is lost, whatever a test does to the guest. The guest is fake."""
import io
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from unittest import mock

import fakes
from frontend import guest_tests, junit, leaks
from frontend.machine import MachineConfig
from frontend.results import Reporter
from frontend.status import UsageError
from frontend.test_runner import Plan, run_guest

KMEMLEAK = """\
unreferenced object 0xffff888003a4f000 (size 192):
  comm "swapper/0", pid 1, jiffies 4294667304
  backtrace (crc 5a1c6c1f):
    kmem_cache_alloc_noprof+0x2f1/0x390
    acpi_init+0x4a/0x1d0
unreferenced object 0xffff888003a5f000 (size 64):
  comm "reset_test", pid 77, jiffies 4294667999
  hex dump (first 16 bytes):
    00 00 00 00 ff ff ff ff 00 00 00 00 00 00 00 00  ................
  backtrace (crc 0):
    __kmalloc_cache_noprof+0x2f1/0x390
    FUNCTION
"""


class GuestTestsTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.stage = fakes.make_stage(scratch.name)
        self.text = io.StringIO()
        self.reporter = Reporter(self.text)

    def run_suites(self, pattern=None, user_gpu="", limit=20):
        sessions = guest_tests.discover(fakes.artifacts(self.stage), MachineConfig(check=True), user_gpu, {})
        run_guest(sessions, Plan(pattern, self.reporter), self.reporter, limit)
        return {result.name: result for result in self.reporter.results}

    def statuses(self, results):
        return {name: result.status for name, result in results.items()}

    def test_a_panic_fails_its_test_and_the_others_follow_in_a_new_boot(self):
        fakes.add_test_binary(self.stage, "a_test", {"One": ["Passes", "Panics", "PassesToo", "Fails"]})
        results = self.run_suites()
        self.assertEqual(self.statuses(results), {"One.Passes": "passed", "One.Panics": "failed", "One.PassesToo": "passed",
                                                  "One.Fails": "failed"})
        self.assertIn("panicked: One.Panics", results["One.Panics"].message)
        self.assertIn("fake kernel boots", results["One.Panics"].message)
        self.assertIn("wrong answer", results["One.Fails"].message)

    def test_a_stalled_test_runs_out_of_its_time(self):
        fakes.add_test_binary(self.stage, "a_test", {"One": ["Stalls", "Passes"]})
        results = self.run_suites(limit=4)
        self.assertEqual(self.statuses(results), {"One.Stalls": "failed", "One.Passes": "passed"})
        self.assertIn("fake GPU: idle", results["One.Stalls"].message)

    def test_a_kernel_complaint_fails_the_test_that_ran(self):
        fakes.add_test_binary(self.stage, "a_test", {"One": ["Passes", "Warns", "PassesToo"]})
        results = self.run_suites()
        self.assertEqual(self.statuses(results), {"One.Passes": "passed", "One.Warns": "failed", "One.PassesToo": "passed"})
        self.assertIn("WARNING: possible trouble", results["One.Warns"].message)

    def test_what_the_checker_reports_fails_the_test_that_ran(self):
        fakes.add_test_binary(self.stage, "a_test", {"One": ["Passes", "Violates", "PassesToo"]})
        results = self.run_suites()
        self.assertEqual(self.statuses(results), {"One.Passes": "passed", "One.Violates": "failed", "One.PassesToo": "passed"})
        self.assertIn(f"{guest_tests.CHECKER_NOTE}\ngpu0: X2.missed-level: a stale use\n  access: somebody",
                      results["One.Violates"].message)

    def test_a_kernel_that_complained_runs_no_other_program(self):
        for name, test in (("a_test", "Warns"), ("b_test", "Passes")):
            fakes.add_test_binary(self.stage, name, {name[0].upper(): [test]})
        with mock.patch.object(guest_tests.Guest, "start", autospec=True, side_effect=guest_tests.Guest.start) as starts:
            results = self.run_suites()
        self.assertEqual(self.statuses(results), {"A.Warns": "failed", "B.Passes": "passed"})
        self.assertEqual(starts.call_count, 2)

    def leak_result(self, mode, text=""):
        fakes.add_test_binary(self.stage, "a_test", {"One": ["Passes"]})
        with fakes.behave(mode, FAKE_QEMU_LEAKS=text):
            return self.run_suites().get(leaks.NAME)

    def test_memory_that_the_driver_leaks_is_a_failure(self):
        result = self.leak_result("kmemleak", KMEMLEAK.replace("FUNCTION", "tandem_as_create+0x1f/0x2a0 [tandem]"))
        self.assertEqual(result.status, "failed")
        self.assertIn("tandem_as_create", result.message)
        self.assertNotIn("acpi_init", result.message)

    def test_memory_that_an_unloaded_driver_leaves_behind_is_a_failure(self):
        self.assertEqual(self.leak_result("kmemleak", KMEMLEAK.replace("FUNCTION", "0xffffffffa0012345")).status, "failed")

    def test_what_others_leak_is_not_the_drivers_fault(self):
        self.assertEqual(self.leak_result("kmemleak", KMEMLEAK.replace("FUNCTION", "do_syscall_64+0x66/0x1c0")).status, "passed")

    def test_a_complaint_while_the_driver_is_unloaded_is_a_failure(self):
        self.assertIn("KASAN", self.leak_result("splat-at-unload").message)

    def test_a_kernel_without_kmemleak_has_no_such_test(self):
        self.assertIsNone(self.leak_result("normal"))

    def test_a_complaint_at_boot_is_a_failure_of_its_own(self):
        fakes.add_test_binary(self.stage, "a_test", {"One": ["Passes"]})
        with fakes.behave("splat-at-boot"):
            results = self.run_suites()
        self.assertEqual(self.statuses(results), {"Boot.KernelLogIsClean": "failed", "One.Passes": "passed"})

    def test_a_guest_that_never_boots_fails_every_test_and_is_tried_twice(self):
        for name in ("a_test", "b_test", "c_test"):
            fakes.add_test_binary(self.stage, name, {name[0].upper(): ["Passes", "PassesToo"]})
        with fakes.behave("panic-at-boot"):
            results = self.run_suites()
        self.assertEqual(len(results), 6)
        self.assertEqual(set(self.statuses(results).values()), {"failed"})
        self.assertIn("no init found", results["C.Passes"].message)

    def test_one_failed_boot_is_reported_and_loses_no_test(self):
        fakes.add_test_binary(self.stage, "a_test", {"One": ["Passes"]})
        with fakes.behave("panic-at-first-boot", FAKE_QEMU_BOOT_NOTE=str(self.stage / "booted")):
            results = self.run_suites()
        self.assertEqual(self.statuses(results), {"Boot.ComesUp": "failed", "One.Passes": "passed"})
        self.assertIn("bad luck", results["Boot.ComesUp"].message)

    def test_filter_selects_by_suite_and_name(self):
        fakes.add_test_binary(self.stage, "a_test", {"One": ["Passes"], "Two": ["Passes", "Fails"]})
        self.assertEqual(self.statuses(self.run_suites("Two.P*")), {"Two.Passes": "passed"})

    def test_equal_configurations_share_a_boot_and_the_users_gpu_wins(self):
        for name in ("a_test", "b_test", "c_test"):
            fakes.add_test_binary(self.stage, name, {name[0].upper(): ["Passes"]})
        (self.stage / "share" / "test-configs.json").write_text(
            '{"b_test": {"gpu": "l1-sets=1,seed=3", "gpus": 2, "fabric": false, "atomic_ops": false, "cpus": 4,'
            ' "kernel_args": "a b", "iommu": "on", "devices": ["edu"]}, "c_test": {"timeout": 300}}')
        sessions = guest_tests.discover(fakes.artifacts(self.stage), MachineConfig(gpu="seed=9"), "seed=9", {})
        self.assertEqual([[program.group for program, _limit in programs] for _session, programs in sessions],
                         [["guest a_test", "guest c_test"], ["guest b_test"]])
        own = sessions[1][0]._config
        self.assertEqual((own.gpu, own.gpus, own.fabric, own.atomic_ops, own.cpus), ("l1-sets=1,seed=9", 2, False, False, 4))
        self.assertEqual(own.kernel_arguments, ["a", "b"])
        self.assertEqual((own.iommu, own.qemu_arguments), ("on", ["-device", "edu"]))
        self.assertEqual([limit for _program, limit in sessions[0][1]], [None, 300])

    def test_a_variant_runs_a_program_once_more_with_what_it_adds(self):
        for name in ("mm_a_test", "mm_b_test", "other_test"):
            fakes.add_test_binary(self.stage, name, {name[:4]: ["Passes"]})
        (self.stage / "share" / "test-configs.json").write_text(
            '{"mm_b_test": {"cpus": 4}, "mm_*_test@moved": {"gpu": "seed=3", "environment": {"WHERE": "there"}}}')
        sessions = guest_tests.discover(fakes.artifacts(self.stage), MachineConfig(cpus=2), "", {"WHERE": "here"})
        seen = {program.group: (session._config.cpus, session._config.gpu, program._variables["WHERE"])
                for session, programs in sessions for program, _limit in programs}
        self.assertEqual(seen, {
            "guest mm_a_test": (2, "", "here"), "guest mm_b_test": (4, "", "here"), "guest other_test": (2, "", "here"),
            "guest mm_a_test@moved": (2, "seed=3", "there"), "guest mm_b_test@moved": (4, "seed=3", "there")})

    def test_a_variant_leaves_out_what_it_excepts(self):
        configs = {"mm_*_test@moved": {"except": ["mm_b_test"]}}
        labels = [label for label, _program, _config in guest_tests.runs(["mm_a_test", "mm_b_test"], configs)]
        self.assertEqual(labels, ["mm_a_test", "mm_b_test", "mm_a_test@moved"])

    def test_the_environment_alone_needs_no_other_boot(self):
        fakes.add_test_binary(self.stage, "a_test", {"A": ["Passes"]})
        (self.stage / "share" / "test-configs.json").write_text('{"a_test@blue": {"environment": {"COLOUR": "blue"}}}')
        self.run_suites()
        self.assertEqual([(result.group, result.status) for result in self.reporter.results],
                         [("guest a_test", "passed"), ("guest a_test@blue", "passed")])

    def test_a_guest_of_several_nodes_has_processors_for_each(self):
        own = guest_tests.machine_for(MachineConfig(cpus=3), {"numa": 2}, "")
        self.assertEqual((own.numa, own.cpus), (2, 4))
        self.assertEqual(guest_tests.machine_for(MachineConfig(cpus=3), {}, "").cpus, 3)

    def test_a_configuration_with_an_unknown_key_is_refused(self):
        (self.stage / "share" / "test-configs.json").write_text('{"a_test": {"cpu": 2}}')
        with self.assertRaises(UsageError):
            guest_tests.load_configs(self.stage)

    def test_a_program_that_lists_no_tests_is_a_failure(self):
        (self.stage / "bin" / "a_test").write_text("#!/bin/sh\nexit 5\n")
        (self.stage / "bin" / "a_test").chmod(0o755)
        self.assertEqual(self.statuses(self.run_suites()), {"Program.ListsItsTests": "failed"})

    def test_junit_holds_every_result(self):
        fakes.add_test_binary(self.stage, "a_test", {"One": ["Passes", "Fails"]})
        self.run_suites()
        path = Path(self.stage) / "out" / "junit.xml"
        self.reporter.results[0].message = "bell \x07 and worse \x00"
        junit.write(path, self.reporter.results)
        root = ElementTree.parse(path).getroot()
        self.assertEqual((root.get("tests"), root.get("failures")), ("2", "1"))
        cases = {case.get("name"): case for case in root.iter("testcase")}
        self.assertIn("wrong answer", cases["Fails"].find("failure").text)
        self.assertEqual(cases["Passes"].get("classname"), "One")


if __name__ == "__main__":
    unittest.main()
