# SPDX-License-Identifier: GPL-2.0-or-later
"""The driver pleases the kernel's own tools: no warning of W=1, nothing from sparse, nothing from checkpatch."""
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


class DriverSources(unittest.TestCase):
    def test_gcc_and_sparse_have_nothing_to_say(self):
        with tempfile.TemporaryDirectory(prefix="tandem-driver-") as place:
            build_project.mirror_sources(Path(place))
            said = kernel_module.build(Path(place) / "guest-driver")
        self.assertEqual(said, "")

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
