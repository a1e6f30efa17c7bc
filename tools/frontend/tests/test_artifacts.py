# SPDX-License-Identifier: GPL-2.0-or-later
"""The seam between building and using: what is built for what, and what ./tandem setup does with its arguments."""

import contextlib
import io
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from frontend import artifacts, build_kernel, build_project, build_qemu, setup
from frontend.status import FrontendError


class Dependencies(unittest.TestCase):
    def test_each_kind_brings_what_it_needs(self):
        with mock.patch.object(build_project, "has_project", return_value=True):
            self.assertEqual(artifacts.with_dependencies({"qtest"}), {"qtest", "qemu", "model"})
            self.assertEqual(artifacts.with_dependencies({"driver"}), {"driver", "kernel"})
            self.assertEqual(artifacts.with_dependencies({"model"}), {"model"})


class EnsureCase(unittest.TestCase):
    """Every builder is replaced by one that notes its call and makes the files that it would make."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        self.calls = []
        self.replace(os.environ, TANDEM_CACHE=str(self.root / "cache"))
        qemu, kernel = self.root / "cache/qemu-1", self.root / "cache/linux-7.3-1"
        for module, name, result in (
                (build_qemu, "ensure_qemu", qemu), (build_kernel, "ensure_kernel", kernel),
                (build_project, "ensure_project", self.root / "b"), (build_project, "ensure_model", self.root / "b/libtandem-model.so"),
                (build_project, "ensure_driver", self.root / "tandem.ko"), (build_project, "model_library", self.root / "b/m.so"),
                (artifacts, "ensure_packages", None), (artifacts, "static_busybox", Path("/bin/busybox")),
                (build_project, "has_project", True)):
            self.patch(module, name, self.noting(name, result))
        for path in (qemu / "bin/qemu-system-x86_64", kernel / "vmlinux", kernel / "release", self.root / "tandem.ko"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("7.3.4-tandem\n")

    def replace(self, mapping, **values):
        patcher = mock.patch.dict(mapping, values)
        patcher.start()
        self.addCleanup(patcher.stop)

    def patch(self, module, name, value):
        patcher = mock.patch.object(module, name, side_effect=value)
        patcher.start()
        self.addCleanup(patcher.stop)

    def noting(self, name, result):
        def call(*_arguments, **_more):
            self.calls.append(name)
            return result
        return call


class Ensure(EnsureCase):
    def test_only_what_was_asked_for_is_built(self):
        found = artifacts.ensure("kernel")
        self.assertIn("ensure_kernel", self.calls)
        self.assertFalse({"ensure_qemu", "ensure_project", "ensure_driver"} & set(self.calls))
        self.assertEqual((found.kernel_release, found.qemu, found.driver_ko), ("7.3.4-tandem", None, None))
        self.assertEqual(found.kernel_image, self.root / "cache/linux-7.3-1/vmlinux")

    def test_qemu_alone_needs_the_model_but_not_the_guests_programs(self):
        artifacts.ensure("qemu")
        self.assertIn("ensure_model", self.calls)
        self.assertNotIn("ensure_project", self.calls)
        self.assertLess(self.calls.index("ensure_model"), self.calls.index("ensure_qemu"))

    def test_everything(self):
        found = artifacts.ensure(*artifacts.KINDS)
        self.assertEqual(found.driver_ko, self.root / "tandem.ko")
        self.assertEqual(found.guest_dir.parts[-2:], ("stage", "tandem"))
        self.assertEqual(found.qtest_dir, self.root / "cache/qemu-1/tests/qtest")

    def test_packages_are_looked_at_only_when_something_long_is_missing(self):
        with mock.patch.object(artifacts, "planned_steps", return_value=[]):
            artifacts.ensure("qemu", "kernel")
        self.assertNotIn("ensure_packages", self.calls)
        with mock.patch.object(artifacts, "planned_steps", return_value=["qemu.build"]):
            artifacts.ensure("qemu")
        self.assertIn("ensure_packages", self.calls)

    def test_a_damaged_cache_is_named(self):
        (self.root / "cache/qemu-1/bin/qemu-system-x86_64").unlink()
        with self.assertRaises(FrontendError) as caught:
            artifacts.ensure("qemu")
        self.assertIn(str(self.root / "cache/qemu-1"), caught.exception.message)

    def test_a_full_disk_is_explained(self):
        build_qemu.ensure_qemu.side_effect = OSError(28, "No space left on device")
        with self.assertRaises(FrontendError) as caught:
            artifacts.ensure("qemu")
        self.assertIn("No space left on device", caught.exception.message)

    def test_an_unknown_kind_is_a_mistake_of_the_caller(self):
        with self.assertRaises(ValueError):
            artifacts.ensure("quemu")


class SetupCommand(EnsureCase):
    def run_setup(self, *arguments):
        output = io.StringIO()
        with mock.patch.object(setup, "ensure_packages"), contextlib.redirect_stdout(output), \
                contextlib.redirect_stderr(output):
            try:
                return setup.main(list(arguments)), output.getvalue()
            except SystemExit as leaving:
                return leaving.code, output.getvalue()

    def test_help_teaches_cache_places_and_examples(self):
        status, text = self.run_setup("--help")
        self.assertEqual(status, 0)
        for word in ("TANDEM_DISTDIR", "TANDEM_CACHE", "--offline", "--only", "examples"):
            self.assertIn(word, text)

    def test_only_builds_one_kind(self):
        self.assertEqual(self.run_setup("--only", "kernel")[0], 0)
        self.assertNotIn("ensure_qemu", self.calls)

    def test_bad_arguments_are_usage_errors(self):
        for arguments in (["--jobs", "0"], ["--jobs", "many"], ["--only", "cake"], ["extra"]):
            with self.subTest(arguments=arguments):
                self.assertEqual(self.run_setup(*arguments)[0], 2)


if __name__ == "__main__":
    unittest.main()
