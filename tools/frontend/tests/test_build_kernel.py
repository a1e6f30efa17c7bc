# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel configuration fragments: reading, merging, and finding out what Kconfig did not take."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

from frontend import build_kernel
from frontend.build_kernel import KernelChoice, parse_fragment, unmet
from frontend.status import FrontendError, UsageError


class Fragments(unittest.TestCase):
    def test_values_unset_lines_and_comments(self):
        text = '# about\nCONFIG_A=y\n\n# CONFIG_B is not set\nCONFIG_C="-x"\nCONFIG_D=16\nCONFIG_E=m\nCONFIG_F=n\n'
        self.assertEqual(parse_fragment(text), {"CONFIG_A": "y", "CONFIG_B": "n", "CONFIG_C": '"-x"', "CONFIG_D": "16",
                                                "CONFIG_E": "m", "CONFIG_F": "n"})

    def test_a_malformed_line_is_an_error_that_shows_it(self):
        for line in ("CONFIG_A", "A=y", "config_a=y"):
            with self.subTest(line=line), self.assertRaises(FrontendError) as caught:
                parse_fragment(line)
            self.assertIn(line, caught.exception.message)

    def test_text_and_back(self):
        wanted = {"CONFIG_A": "y", "CONFIG_B": "n", "CONFIG_C": '"x"'}
        self.assertEqual(parse_fragment(build_kernel.configuration_text(wanted)), wanted)


class Verification(unittest.TestCase):
    CONFIG = "CONFIG_A=y\nCONFIG_M=m\n# CONFIG_OFF is not set\nCONFIG_N=8\n"

    def test_everything_taken(self):
        self.assertEqual(unmet({"CONFIG_A": "y", "CONFIG_OFF": "n", "CONFIG_ABSENT": "n", "CONFIG_N": "8"}, self.CONFIG), [])

    def test_each_refusal_is_named_with_what_stands_instead(self):
        refused = unmet({"CONFIG_GONE": "y", "CONFIG_M": "y", "CONFIG_A": "n", "CONFIG_N": "16"}, self.CONFIG)
        self.assertEqual(len(refused), 4)
        for name, line in zip(("CONFIG_GONE=y", "CONFIG_M=y", "CONFIG_A=n", "CONFIG_N=16"), refused):
            self.assertIn(name, line)
        self.assertIn("it is m", refused[1])


class Choices(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        patcher = mock.patch.object(build_kernel, "configuration_directory", return_value=self.directory)
        patcher.start()
        self.addCleanup(patcher.stop)
        self.write("tandem.config", "CONFIG_A=y\nCONFIG_B=y\n")

    def write(self, name, text):
        (self.directory / name).write_text(text)

    def test_names(self):
        self.write("debug.config", "CONFIG_KASAN=y\n")
        self.assertEqual(build_kernel.choose_kernel("default"), KernelChoice("7.3", "default"))
        self.assertEqual(build_kernel.choose_kernel("6.12"), KernelChoice("6.12", "default"))
        self.assertEqual(build_kernel.choose_kernel("debug"), KernelChoice("7.3", "debug"))
        for name in ("tandem", "nonsense", "../debug", ""):
            with self.subTest(name=name), self.assertRaises(UsageError):
                build_kernel.choose_kernel(name)

    def test_later_fragments_win(self):
        self.write("linux-7.3.config", "CONFIG_V=y\n")
        self.write("linux-6.12.config", "CONFIG_OLD=y\n")
        self.write("debug.config", "# CONFIG_B is not set\n")
        merged = build_kernel.merged_configuration(KernelChoice("7.3", "debug"))
        self.assertEqual(merged, {"CONFIG_A": "y", "CONFIG_B": "n", "CONFIG_V": "y"})

    def test_key_follows_the_meaning_of_the_fragments(self):
        choice = KernelChoice("7.3", "default")
        before = build_kernel.finished_directory(choice)
        self.write("tandem.config", "# why\nCONFIG_B=y\nCONFIG_A=y\n")
        self.assertEqual(build_kernel.finished_directory(choice), before)
        self.write("tandem.config", "CONFIG_A=y\n")
        self.assertNotEqual(build_kernel.finished_directory(choice), before)


    def write_patch(self, text):
        directory = self.directory / "linux-7.3-patches"
        directory.mkdir(exist_ok=True)
        (directory / "0001-a.patch").write_text(text)
        (directory / "series").write_text("0001-a.patch\n")

    def test_key_follows_the_patches_of_the_version(self):
        ours, other = KernelChoice("7.3", "default"), KernelChoice("6.12", "default")
        before, before_other = build_kernel.finished_directory(ours), build_kernel.finished_directory(other)
        self.write_patch("one")
        patched = build_kernel.finished_directory(ours)
        self.assertNotEqual(patched, before)
        self.write_patch("another")
        self.assertNotIn(build_kernel.finished_directory(ours), (before, patched))
        self.assertEqual(build_kernel.finished_directory(other), before_other)

    def test_sources_are_patched_when_they_are_unpacked(self):
        self.write_patch("--- a/file\n+++ b/file\n@@ -1 +1 @@\n-old\n+new\n")
        for content, applies in (("old\n", True), ("something else\n", False)):
            with self.subTest(content=content), tempfile.TemporaryDirectory() as place:
                (Path(place) / "file").write_text(content)
                with mock.patch.object(build_kernel, "_unpack"):
                    if applies:
                        build_kernel.unpack_patched(KernelChoice("7.3", "default"), Path("archive"), Path(place))
                        self.assertEqual((Path(place) / "file").read_text(), "new\n")
                        continue
                    with self.assertRaises(FrontendError) as caught:
                        build_kernel.unpack_patched(KernelChoice("7.3", "default"), Path("archive"), Path(place))
                self.assertIn("0001-a.patch does not apply to Linux 7.3", caught.exception.message)


class OurFragment(unittest.TestCase):
    def test_it_reads_and_names_nothing_twice(self):
        text = (build_kernel.configuration_directory() / "tandem.config").read_text()
        lines = [line for line in text.splitlines() if line.startswith("CONFIG_") or line.endswith(" is not set")]
        self.assertEqual(len(parse_fragment(text)), len(lines))

    def test_what_the_driver_cannot_do_without(self):
        wanted = build_kernel.merged_configuration(build_kernel.DEFAULT_KERNEL)
        for name in ("DEVICE_PRIVATE", "HMM_MIRROR", "MMU_NOTIFIER", "MODULES", "PCI_MSI", "INTEL_IOMMU_SVM"):
            self.assertEqual(wanted.get(f"CONFIG_{name}"), "y", name)
        self.assertEqual(wanted["CONFIG_X86_USER_SHADOW_STACK"], "n")


if __name__ == "__main__":
    unittest.main()
