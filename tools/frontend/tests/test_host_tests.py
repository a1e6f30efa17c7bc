# SPDX-License-Identifier: GPL-2.0-or-later
"""Host test programs: crashes, stalls and wrong statuses each cost what they should. Real subprocesses, no compiler."""
import io
import json
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path
from types import SimpleNamespace

from frontend import host_tests
from frontend.recorder import Recorder, run_to_the_end
from frontend.results import Reporter


class HostTestsTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.directory = Path(scratch.name)
        self.reporter = Reporter(io.StringIO())

    def script(self, name, body):
        path = self.directory / name
        path.write_text(f"#!{sys.executable}\n" + textwrap.dedent(body))
        path.chmod(0o755)
        return path

    def run_program(self, program, limit=20):
        run_to_the_end(program, program.list_tests(), Recorder(self.reporter, program.group), limit)
        return {result.name: result for result in self.reporter.results}

    def python_tests(self, body):
        path = self.directory / "test_sample.py"
        path.write_text("import os, time, unittest\nclass Sample(unittest.TestCase):\n" + textwrap.indent(textwrap.dedent(body), "    "))
        return host_tests.HostProgram("python sample", [sys.executable, host_tests.__file__.replace("host_tests", "units"), path])

    def statuses(self, results):
        return {name.removeprefix("Sample."): result.status for name, result in results.items()}

    def test_unittest_modules_report_every_kind_of_outcome(self):
        results = self.run_program(self.python_tests("""\
            def test_good(self): pass
            def test_bad(self): self.assertEqual(1, 2)
            def test_error(self): raise ValueError("odd")
            def test_skip(self): self.skipTest("not here")
            def test_sub(self):
                with self.subTest(i=3): self.fail("third")
            """))
        self.assertEqual(self.statuses(results), {"test_good": "passed", "test_bad": "failed", "test_error": "failed",
                                                  "test_skip": "skipped", "test_sub": "failed"})
        self.assertIn("1 != 2", results["Sample.test_bad"].message)
        self.assertIn("third", results["Sample.test_sub"].message)

    def test_a_crash_costs_one_test(self):
        results = self.run_program(self.python_tests("""\
            def test_a(self): pass
            def test_b(self): os.abort()
            def test_c(self): pass
            """))
        self.assertEqual(self.statuses(results), {"test_a": "passed", "test_b": "failed", "test_c": "passed"})
        self.assertIn("SIGABRT", results["Sample.test_b"].message)

    def test_a_stall_costs_one_test(self):
        results = self.run_program(self.python_tests("""\
            def test_a(self): time.sleep(60)
            def test_b(self): pass
            """), limit=4)
        self.assertEqual(self.statuses(results), {"test_a": "failed", "test_b": "passed"})

    def test_a_failing_set_up_of_a_class_is_a_failure(self):
        results = self.run_program(self.python_tests("""\
            @classmethod
            def setUpClass(cls): raise OSError("no disk")
            def test_a(self): pass
            """))
        self.assertIn("no disk", "".join(result.message for result in results.values()))
        self.assertEqual({result.status for result in results.values()}, {"failed"})

    def test_good_tests_and_a_bad_status_are_a_failure(self):
        program = host_tests.HostProgram("leaky", [self.script("leaky", """\
            import sys
            if "--gtest_list_tests" in sys.argv: print("A.\\n  B"); sys.exit()
            print("[ RUN      ] A.B\\n[       OK ] A.B (1 ms)\\nleak of 3 bytes"); sys.exit(23)
            """)])
        results = self.run_program(program)
        self.assertEqual({name: result.status for name, result in results.items()},
                         {"A.B": "passed", "Program.EndsWell": "failed"})
        self.assertIn("leak of 3 bytes", results["Program.EndsWell"].message)

    def test_a_program_that_runs_nothing_fails_all_its_tests(self):
        program = host_tests.HostProgram("idle", [self.script("idle", """\
            import sys
            if "--gtest_list_tests" in sys.argv: print("A.\\n  B\\n  C")
            """)])
        self.assertEqual({result.status for result in self.run_program(program).values()}, {"failed"})

    def test_a_program_without_gtest_is_one_test(self):
        for status, expected in ((0, "passed"), (1, "failed")):
            self.reporter.results.clear()
            program = host_tests.PlainProgram("plain", [self.script(f"plain{status}", f"import sys; sys.exit({status})")])
            self.assertEqual([result.status for result in self.run_program(program).values()], [expected])

    def test_tap_of_glib(self):
        program = host_tests.QtestProgram("qtest", [self.script("tandem-gpu-test", """\
            import os, sys
            if "-l" in sys.argv: print("/x86_64/gpu/regs\\n/x86_64/gpu/ring\\n/x86_64/gpu/crash\\n/x86_64/gpu/skip"); sys.exit()
            path = sys.argv[sys.argv.index("-p") + 1]
            print("# random seed: R02S\\n1..1", flush=True)
            if path.endswith("crash"): os.abort()
            if path.endswith("ring"): print("not ok " + path + " - ERROR:x.c:9: PUT is wrong\\nBail out!"); sys.exit(1)
            print("ok 1 " + path + (" # SKIP no such device" if path.endswith("skip") else ""))
            """)])
        results = self.run_program(program)
        self.assertEqual({name: result.status for name, result in results.items()},
                         {"Qtest.x86_64/gpu/regs": "passed", "Qtest.x86_64/gpu/ring": "failed",
                          "Qtest.x86_64/gpu/crash": "failed", "Qtest.x86_64/gpu/skip": "skipped"})
        self.assertIn("PUT is wrong", results["Qtest.x86_64/gpu/ring"].message)
        self.assertIn("SIGABRT", results["Qtest.x86_64/gpu/crash"].message)

    def test_qtest_gets_a_qemu_with_firmware_under_a_name_that_it_accepts(self):
        artifacts = SimpleNamespace(qemu="/bin/echo", qemu_firmware_dirs=["/a b", "/c"])
        wrapper = host_tests.qemu_wrapper(artifacts, self.directory)
        self.assertIn("-system-", wrapper.name)
        import subprocess
        self.assertEqual(subprocess.check_output([wrapper, "-M", "q35"], text=True), "-L /a b -L /c -M q35\n")

    def test_the_qtests_that_were_built_are_found(self):
        self.script("intel-iommu-svm-test", "")
        artifacts = SimpleNamespace(qemu="/bin/echo", qemu_firmware_dirs=[], qtest_dir=self.directory, model_libdir=None)
        programs = host_tests.qtest_programs(artifacts, self.directory)
        self.assertEqual([(p.group, p.command) for p in programs],
                         [("qemu iommu qtest", [str(self.directory / "intel-iommu-svm-test")])])

    def test_mesons_description_is_read(self):
        (self.directory / "meson-info").mkdir()
        tests = [{"name": "mmu", "cmd": ["/x/mmu_test"], "protocol": "gtest", "workdir": None, "env": {"A": "1"}},
                 {"name": "abi", "cmd": ["/x/abi"], "protocol": "exitcode", "workdir": "/tmp", "env": {}}]
        (self.directory / "meson-info" / "intro-tests.json").write_text(json.dumps(tests))
        programs = host_tests.model_programs(self.directory)
        self.assertEqual([(type(p).__name__, p.group) for p in programs], [("HostProgram", "model mmu"), ("PlainProgram", "model abi")])
        self.assertEqual(programs[0].environment["A"], "1")


if __name__ == "__main__":
    unittest.main()
