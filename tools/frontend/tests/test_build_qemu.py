# SPDX-License-Identifier: GPL-2.0-or-later
"""How patches and the overlay reach QEMU's work tree: exactly, reversibly, and without touching what stays the same."""

import io
import os
import tempfile
import textwrap
import unittest
from pathlib import Path
from unittest import mock

from frontend import build_qemu
from frontend.progress import Reporter
from frontend.status import FrontendError

PATCH_A = """\
From: someone
Subject: change a.c

---
diff --git a/hw/a.c b/hw/a.c
--- a/hw/a.c
+++ b/hw/a.c
@@ -1,3 +1,3 @@
 one
-two
+TWO
 three
"""

PATCH_NEW_AND_GONE = """\
--- /dev/null
+++ b/hw/new.c
@@ -0,0 +1 @@
+fresh
--- a/hw/b.c\t2026-01-01
+++ /dev/null
@@ -1 +0,0 @@
-b
"""


class WorkTree(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        self.work, self.patches = self.root / "work", self.root / "patches"
        self.write(self.work / "src/hw/a.c", "one\ntwo\nthree\n")
        self.write(self.work / "src/hw/b.c", "b\n")
        self.write(self.work / "src/hw/c.c", "c\n")
        self.patches.mkdir()

    def write(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1000, 1000))

    def source(self, name):
        path = self.work / "src" / name
        return path.read_text() if path.exists() else None

    def apply(self, **patches):
        """Patches by name, overlay files by their key "overlay"."""
        overlay = patches.pop("overlay", {})
        for name, text in patches.items():
            self.write(self.patches / f"{name}.patch", text)
        build_qemu.remove_tree(self.patches / "files")
        for name, text in overlay.items():
            self.write(self.patches / "files" / name, text)
        build_qemu.apply_patches(self.work, [self.patches / f"{name}.patch" for name in sorted(patches)], self.patches / "files")

    def test_patches_change_add_and_remove_files(self):
        self.apply(p1=PATCH_A, p2=PATCH_NEW_AND_GONE)
        self.assertEqual(self.source("hw/a.c"), "one\nTWO\nthree\n")
        self.assertEqual(self.source("hw/new.c"), "fresh\n")
        self.assertIsNone(self.source("hw/b.c"))

    def test_taking_patches_away_restores_everything(self):
        self.apply(p1=PATCH_A, p2=PATCH_NEW_AND_GONE, overlay={"hw/c.c": "ours\n", "hw/dev/x.c": "x\n"})
        self.assertEqual((self.source("hw/c.c"), self.source("hw/dev/x.c")), ("ours\n", "x\n"))
        self.apply()
        self.assertEqual([self.source(f"hw/{name}.c") for name in ("a", "b", "c", "new", "dev/x")],
                         ["one\ntwo\nthree\n", "b\n", "c\n", None, None])

    def test_a_series_builds_on_itself(self):
        second = PATCH_A.replace("-two\n+TWO", "-TWO\n+2")
        self.apply(p1=PATCH_A, p2=second)
        self.assertEqual(self.source("hw/a.c"), "one\n2\nthree\n")

    def test_unchanged_results_keep_their_time_stamps(self):
        self.apply(p1=PATCH_A, overlay={"hw/x.c": "x\n"})
        for name in ("hw/a.c", "hw/x.c"):
            os.utime(self.work / "src" / name, (2000, 2000))
        self.apply(p1=PATCH_A, p2=PATCH_NEW_AND_GONE, overlay={"hw/x.c": "x\n"})
        self.assertEqual([(self.work / "src" / name).stat().st_mtime for name in ("hw/a.c", "hw/x.c", "hw/c.c")],
                         [2000, 2000, 1000])

    def test_a_patch_that_does_not_apply_leaves_the_sources_alone(self):
        with self.assertRaises(FrontendError) as caught:
            self.apply(p1=PATCH_NEW_AND_GONE, p2=PATCH_A.replace("-two", "-twenty"))
        self.assertIn("p2.patch", caught.exception.message)
        self.assertEqual((self.source("hw/a.c"), self.source("hw/b.c"), self.source("hw/new.c")), ("one\ntwo\nthree\n", "b\n", None))
        self.apply(p1=PATCH_A)
        self.assertEqual((self.source("hw/a.c"), self.source("hw/b.c")), ("one\nTWO\nthree\n", "b\n"))

    def test_a_patch_applied_with_fuzz_is_refused(self):
        with self.assertRaises(FrontendError):
            self.apply(p1=PATCH_A.replace(" one", " eins"))

    def test_a_kill_while_files_are_written_is_repaired_by_the_next_run(self):
        with mock.patch.object(build_qemu, "_settle", side_effect=[None, KeyboardInterrupt]), self.assertRaises(KeyboardInterrupt):
            self.apply(p1=PATCH_A, p2=PATCH_NEW_AND_GONE)
        self.apply(p1=PATCH_A, p2=PATCH_NEW_AND_GONE)
        self.apply()
        self.assertEqual((self.source("hw/a.c"), self.source("hw/b.c"), self.source("hw/new.c")), ("one\ntwo\nthree\n", "b\n", None))


class Series(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)

    def test_order_and_comments(self):
        for name in ("0001-a.patch", "0002-b.patch"):
            (self.root / name).write_text("")
        (self.root / "series").write_text("# first\n0002-b.patch\n\n0001-a.patch  # why\n")
        self.assertEqual([path.name for path in build_qemu.read_series(self.root)], ["0002-b.patch", "0001-a.patch"])

    def test_a_listed_patch_must_exist(self):
        (self.root / "series").write_text("0001-a.patch\n")
        with self.assertRaises(FrontendError):
            build_qemu.read_series(self.root)

    def test_a_patch_that_is_not_listed_is_not_silently_skipped(self):
        (self.root / "0001-a.patch").write_text("")
        with self.assertRaises(FrontendError):
            build_qemu.read_series(self.root)

    def test_no_series_means_no_patches(self):
        self.assertEqual(build_qemu.read_series(self.root / "absent"), [])


class TouchedFiles(unittest.TestCase):
    def test_names_on_both_sides_without_dev_null(self):
        with tempfile.TemporaryDirectory() as directory:
            patch = Path(directory) / "p.patch"
            patch.write_text(PATCH_A + PATCH_NEW_AND_GONE)
            self.assertEqual(sorted(set(build_qemu.touched_files(patch)) - {"null"}), ["hw/a.c", "hw/b.c", "hw/new.c"])


class RepackedSource(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        (self.root / "pc-bios").mkdir()
        (self.root / "pythondeps.toml").write_text('meson = { accepted = ">=1.5.0" }\npycotap = { accepted = ">=1.1.0" }\n')
        (self.root / "pc-bios/meson.build").write_text(textwrap.dedent("""\
            if unpack_edk2_blobs
            endif
            subdir('descriptors')
            subdir('dtb')
            """))

    def test_edits_touch_only_what_the_archive_lacks(self):
        build_qemu.adapt_repacked_source(self.root)
        self.assertEqual((self.root / "pythondeps.toml").read_text(), 'meson = { accepted = ">=1.5.0" }\n')
        self.assertEqual((self.root / "pc-bios/meson.build").read_text(), "if false\nendif\nsubdir('descriptors')\n")

    def test_an_unexpected_source_is_an_error(self):
        (self.root / "pythondeps.toml").write_text("")
        with self.assertRaises(FrontendError):
            build_qemu.adapt_repacked_source(self.root)


class Key(unittest.TestCase):
    """The key of a finished QEMU must follow everything that goes into it, and nothing else."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.checkout = Path(directory.name)
        patcher = mock.patch.object(build_qemu, "checkout_root", return_value=self.checkout)
        patcher.start()
        self.addCleanup(patcher.stop)

    def write(self, name, text):
        path = self.checkout / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return build_qemu.finished_directory()

    def test_key_follows_its_inputs(self):
        seen = {build_qemu.finished_directory()}
        for name in ("qemu-patches/series", "qemu-patches/files/hw/x.c", "hw-model/abi/tandem_regs.h", "hw-model/include/t/m.h"):
            with self.subTest(name=name):
                key = self.write(name, "1")
                self.assertNotIn(key, seen)
                seen.add(key)
        self.assertNotIn(self.write("qemu-patches/files/hw/x.c", "2"), seen)

    def test_an_edit_while_patches_are_applied_is_not_filed_under_the_old_key(self):
        self.write("qemu-patches/files/hw/x.c", "1")
        built = []

        def edit(*_):
            if not built:
                self.write("qemu-patches/files/hw/x.c", "2")

        def finish(_reporter, _name, _title, _command, **_more):
            built.append(build_qemu.finished_directory())
            binary = build_qemu.cache_root() / f"qemu-work-{build_qemu.base_key()}/build" / build_qemu.EMULATOR
            binary.parent.mkdir(parents=True, exist_ok=True)
            binary.write_text("")

        with mock.patch.dict(os.environ, {"TANDEM_CACHE": str(self.checkout / "cache")}), \
                mock.patch.object(build_qemu, "_ensure_pristine"), mock.patch.object(build_qemu, "_configure"), \
                mock.patch.object(build_qemu, "_has_target", return_value=False), \
                mock.patch.object(build_qemu, "apply_patches", side_effect=edit), \
                mock.patch.object(build_qemu, "run_step", side_effect=finish):
            finished = build_qemu.ensure_qemu(Reporter(stream=io.StringIO()), 1, True, None)
            self.assertEqual([finished], built)
            self.assertEqual((self.checkout / "qemu-patches/files/hw/x.c").read_text(), "2")

    def test_the_models_sources_do_not_count(self):
        before = build_qemu.finished_directory()
        self.assertEqual(self.write("hw-model/src/mmu/tlb.cpp", "1"), before)


if __name__ == "__main__":
    unittest.main()
