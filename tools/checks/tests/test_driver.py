# SPDX-License-Identifier: GPL-2.0-or-later
"""The driver pleases the kernel's own tools: no warning of W=1, nothing from sparse, nothing from checkpatch."""
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from checks import kernel_module
from frontend import build_project

DRIVER = build_project.checkout_root() / "guest-driver"

PLANTED = """\
// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/module.h>

int planted_variable = 0;

static noinline int planted(int __user *pointer)
{
	int unused = 0;

	return *pointer;
}

static int (*use)(int __user *pointer) __used = planted;

MODULE_DESCRIPTION("mistakes that the tools must find");
MODULE_LICENSE("GPL");
"""


def symbols(module):
    """The names in it, the test-only twin's own among them: mutations, gates, and what mutants do."""
    said = subprocess.run(["nm", module], capture_output=True, text=True, check=True).stdout
    return [line.split()[-1] for line in said.splitlines() if re.search("mutat|mutant|late_flush", line)]


class DriverSources(unittest.TestCase):
    def build(self, *options):
        """What was said, and the test-only names in the module."""
        with tempfile.TemporaryDirectory(prefix="tandem-driver-") as place:
            build_project.mirror_sources(Path(place))
            driver = Path(place) / "guest-driver"
            return kernel_module.build(driver, *options), symbols(driver / "tandem.ko")

    def test_gcc_and_sparse_have_nothing_to_say_and_no_mutation_is_in_it(self):
        self.assertEqual(self.build(), ("", []))

    def test_nor_have_they_of_the_test_only_twin_which_has_them(self):
        said, names = self.build(*build_project.MUTANT.options)
        self.assertEqual(said, "")
        self.assertIn("tandem_mutation", names)
        self.assertIn("tandem_mutant_gate_set", names)

    def test_checkpatch_has_nothing_to_say(self):
        files = sorted(path for path in DRIVER.rglob("*.[ch]"))
        self.assertGreater(len(files), 20)
        self.assertEqual(kernel_module.checkpatch(files), "")


class PlantedMistakes(unittest.TestCase):
    """Silence means something only if the tools would speak."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="tandem-planted-")
        self.addCleanup(scratch.cleanup)
        self.place = Path(scratch.name)
        (self.place / "Kbuild").write_text("# SPDX-License-Identifier: GPL-2.0-or-later\nobj-m := planted.o\n")
        (self.place / "planted.c").write_text(PLANTED)

    def test_gcc_and_sparse_find_them(self):
        said = kernel_module.build(self.place)
        for complaint in ("unused variable", "dereference of noderef expression", "Should it be static?"):
            self.assertIn(complaint, said)

    def test_checkpatch_finds_them(self):
        self.assertIn("ERROR:GLOBAL_INITIALISERS", kernel_module.checkpatch([self.place / "planted.c"]))


if __name__ == "__main__":
    unittest.main()
