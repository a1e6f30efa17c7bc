# SPDX-License-Identifier: GPL-2.0-or-later
"""./tandem test host --sanitize: which programs it takes, and that a report fails the test that ran. No compiler but for that."""
import io
import json
import subprocess
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from frontend import sanitized, test_runner
from frontend.host_tests import HostProgram
from frontend.recorder import Recorder, run_to_the_end
from frontend.results import Reporter
from frontend.status import UsageError

LEAVES_THE_ARRAY = r"""
#include <cstdio>
#include <initializer_list>
#include <cstring>
int main(int argc, char **argv)
{
	volatile int values[4] = {};
	if (std::strstr(argv[1], "list")) { std::puts("Array.\n  Stays\n  Leaves"); return 0; }
	for (const char *name : {"Array.Stays", "Array.Leaves"}) {
		if (!std::strstr(argv[argc - 1], name)) continue;
		std::printf("[ RUN      ] %s\n", name), std::fflush(stdout);
		values[std::strstr(name, "Leaves") ? argc + 2 : 0] = 1;
		std::printf("[       OK ] %s (0 ms)\n", name), std::fflush(stdout);
	}
}
"""


class SanitizedTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.directory = Path(scratch.name)

    def test_only_the_models_programs_are_taken(self):
        (self.directory / "meson-info").mkdir()
        entries = [{"name": path.rsplit("/", 1)[-1], "cmd": [str(self.directory / path)]}
                   for path in ("hw-model/tests/mmu_test", "hw-model/tests/compute/unit_test", "tools/glue_tests/glue_locks_test")]
        (self.directory / "meson-info/intro-tests.json").write_text(json.dumps([*entries, {"name": "x", "cmd": ["/bin/true"]}]))
        with mock.patch.object(sanitized, "build_directory", return_value=self.directory):
            self.assertEqual(sanitized._described(), [("mmu_test", "hw-model/tests/mmu_test"),
                                                      ("unit_test", "hw-model/tests/compute/unit_test")])

    def test_it_is_for_the_host(self):
        with self.assertRaises(UsageError):
            test_runner.sanitize_command(SimpleNamespace(where="guest"))

    def test_a_report_fails_the_test_that_ran(self):
        program = self.directory / "array_test"
        subprocess.run(["g++", "-g", "-fsanitize=address,undefined", "-x", "c++", "-", "-o", program], input=LEAVES_THE_ARRAY, text=True,
                       check=True)
        reporter = Reporter(io.StringIO())
        array = HostProgram("array", [program], variables=sanitized.VARIABLES)
        run_to_the_end(array, array.list_tests(), Recorder(reporter, "array"), 30)
        results = {result.name: result for result in reporter.results}
        self.assertEqual({name: result.status for name, result in results.items()}, {"Array.Stays": "passed", "Array.Leaves": "failed"})
        self.assertIn("out of bounds for type", results["Array.Leaves"].message)


if __name__ == "__main__":
    unittest.main()
