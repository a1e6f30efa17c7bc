# SPDX-License-Identifier: GPL-2.0-or-later
"""This checkout's own builds: meson and kbuild are called when something changed, and not otherwise."""

import io
import os
import shutil
import tempfile
import textwrap
import unittest
from pathlib import Path
from unittest import mock

from frontend import build_project, build_tools
from frontend.progress import Reporter
from frontend.status import FrontendError


class ProjectCase(unittest.TestCase):
    """A small checkout and a cache of its own."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        self.checkout = self.root / "checkout"
        self.checkout.mkdir()
        environment = mock.patch.dict(os.environ, {"TANDEM_CACHE": str(self.root / "cache")})
        environment.start()
        self.addCleanup(environment.stop)
        patcher = mock.patch.object(build_project, "checkout_root", return_value=self.checkout)
        patcher.start()
        self.addCleanup(patcher.stop)
        self.stream = io.StringIO()
        self.reporter = Reporter(stream=self.stream)

    def write(self, name, text):
        path = self.checkout / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


class DriverSources(ProjectCase):
    def setUp(self):
        super().setUp()
        self.tree = self.root / "tree"
        self.write("guest-driver/Kbuild", "obj-m += tandem.o\n")
        self.write("guest-driver/uapi/tandem.h", "1\n")
        self.write("hw-model/abi/tandem_regs.h", "1\n")
        self.write("hw-model/src/mmu.cpp", "not for the kernel\n")

    def files(self):
        return sorted(str(path.relative_to(self.tree)) for path in self.tree.rglob("*") if path.is_file() and path.name != ".sources")

    def test_driver_and_abi_keep_their_relative_places(self):
        build_project.mirror_sources(self.tree)
        self.assertEqual(self.files(), ["guest-driver/Kbuild", "guest-driver/uapi/tandem.h", "hw-model/abi/tandem_regs.h"])

    def test_objects_stay_and_removed_sources_go(self):
        build_project.mirror_sources(self.tree)
        (self.tree / "guest-driver/fault.o").write_text("object")
        (self.checkout / "guest-driver/uapi/tandem.h").unlink()
        build_project.mirror_sources(self.tree)
        self.assertEqual(self.files(), ["guest-driver/Kbuild", "guest-driver/fault.o", "hw-model/abi/tandem_regs.h"])

    def test_what_did_not_change_keeps_its_time_stamp(self):
        build_project.mirror_sources(self.tree)
        os.utime(self.tree / "guest-driver/Kbuild", (1000, 1000))
        self.write("guest-driver/uapi/tandem.h", "2\n")
        build_project.mirror_sources(self.tree)
        self.assertEqual((self.tree / "guest-driver/Kbuild").stat().st_mtime, 1000)
        self.assertEqual((self.tree / "guest-driver/uapi/tandem.h").read_text(), "2\n")


class Driver(ProjectCase):
    def setUp(self):
        super().setUp()
        self.write("guest-driver/Kbuild", "obj-m += tandem.o\n")
        self.kernel = self.root / "linux-7.3-0"
        (self.kernel / "build").mkdir(parents=True)
        self.makes = 0

    def build(self, leaves="tandem.ko"):
        def make(_reporter, _name, _title, command, **_):
            self.makes += 1
            tree = Path(next(word for word in map(str, command) if word.startswith("M="))[2:])
            if leaves:
                (tree / leaves).write_text(f"module {self.makes}")

        with mock.patch.object(build_project, "run_step", side_effect=make):
            return build_project.ensure_driver(self.kernel, self.reporter, 1)

    def test_make_runs_only_after_a_change(self):
        module = self.build()
        self.build()
        self.assertEqual(self.makes, 1)
        self.write("hw-model/abi/tandem_regs.h", "1\n")
        self.assertEqual(self.build(), module)
        self.assertEqual((self.makes, module.read_text()), (2, "module 2"))

    def test_a_failed_build_is_tried_again(self):
        with self.assertRaises(FrontendError):
            self.build(leaves=None)
        self.build()
        self.assertEqual(self.makes, 2)

    def test_an_edit_while_sources_are_copied_is_not_filed_under_the_old_key(self):
        copy = build_project.mirror_sources
        edits = iter(["edited"])

        def copy_then_edit(tree):
            copy(tree)
            for edit in edits:
                self.write("guest-driver/Kbuild", f"# {edit}\nobj-m += tandem.o\n")

        with mock.patch.object(build_project, "mirror_sources", side_effect=copy_then_edit):
            self.build()
        self.assertEqual(self.makes, 1)
        self.build()
        self.assertEqual(self.makes, 1)
        tree = build_project.driver_directory(self.kernel) / "tree"
        self.assertIn("edited", (tree / "guest-driver/Kbuild").read_text())

    def test_each_kernel_has_its_own_module(self):
        first = self.build()
        self.kernel = self.root / "linux-6.12-0"
        self.assertNotEqual(self.build(), first)


def installed_meson():
    """The meson that a setup of this machine uses, or None before the first setup."""
    try:
        return build_tools.meson(Reporter(stream=io.StringIO()), offline=True) if shutil.which("ninja") else None
    except FrontendError:
        return None


MESON = installed_meson()


@unittest.skipUnless(MESON, "needs ninja and meson, which ./tandem setup provides")
class Meson(ProjectCase):
    """With the real tools, on a project of two files."""

    def setUp(self):
        super().setUp()
        for name, value in (("meson", MESON), ("capstone_pkg_config", None)):
            patcher = mock.patch.object(build_tools, name, return_value=value)
            patcher.start()
            self.addCleanup(patcher.stop)
        self.write("meson.build", """\
            project('t', 'c')
            subdir('hw-model')
            executable('program', 'program.c', install: true)
            """)
        self.write("hw-model/meson.build", """\
            shared_library('tandem-model', 'model.c', version: '1.0.0', soversion: '1', install: true)
            """)
        self.write("hw-model/model.c", "int model(void) { return 1; }\n")
        self.write("program.c", "int main(void) { return 0; }\n")

    def test_model_alone_then_everything_then_nothing(self):
        build_project.ensure_model(self.reporter, 1, False)
        self.assertTrue(build_project.model_library().exists())
        self.assertFalse((build_project.build_directory() / "program").exists())
        build_project.ensure_project(self.reporter, 1, False)
        self.assertTrue((build_project.guest_directory() / "bin/program").exists())
        with mock.patch.object(build_project, "run_step") as run, mock.patch.object(build_project, "_install") as install:
            build_project.ensure_project(self.reporter, 1, False)
        run.assert_not_called()
        install.assert_not_called()

    def test_an_interrupted_install_is_done_again(self):
        with mock.patch.object(build_project, "_install", side_effect=KeyboardInterrupt), self.assertRaises(KeyboardInterrupt):
            build_project.ensure_project(self.reporter, 1, False)
        build_project.ensure_project(self.reporter, 1, False)
        self.assertTrue((build_project.guest_directory() / "bin/program").exists())

    def test_what_is_not_described_any_more_is_not_there_any_more(self):
        with (self.checkout / "meson.build").open("a") as file:
            file.write("executable('old', 'program.c', install: true)\ninstall_subdir('hw-model', install_dir: 'share')\n")
        build_project.ensure_project(self.reporter, 1, False)
        self.assertTrue((build_project.guest_directory() / "bin/old").exists())
        text = (self.checkout / "meson.build").read_text()
        self.write("meson.build", text.replace("executable('old', 'program.c', install: true)", ""))
        build_project.ensure_project(self.reporter, 1, False)
        left = {path.name for path in build_project.guest_directory().rglob("*")}
        self.assertNotIn("old", left)
        self.assertLessEqual({"program", "libtandem-model.so", "model.c"}, left)

    def test_a_compile_error_is_shown(self):
        self.write("program.c", "int main(void) { return nonsense; }\n")
        with self.assertRaises(FrontendError) as caught:
            build_project.ensure_project(self.reporter, 1, False)
        self.assertIn("nonsense", "\n".join(caught.exception.details))


if __name__ == "__main__":
    unittest.main()
