# SPDX-License-Identifier: GPL-2.0-or-later
"""Unpacking without dpkg: ar archives, packages with each compression, and damaged ones."""

import io
import subprocess
import tempfile
import unittest
from pathlib import Path

from frontend import unpack
from frontend.status import FrontendError


def ar_member(name, content):
    header = f"{name + '/':<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
    return header + content + (b"\n" if len(content) % 2 else b"")


def ar_archive(*members):
    return unpack.AR_MAGIC + b"".join(ar_member(name, content) for name, content in members)


class UnpackCase(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)

    def tarball(self, option):
        tree = self.root / "tree"
        (tree / "usr/share").mkdir(parents=True, exist_ok=True)
        (tree / "usr/share/file").write_text("content")
        (tree / "usr/other").write_text("other")
        return subprocess.run(["tar", "-c", *option, "-C", str(tree), "./usr"], check=True, capture_output=True).stdout

    def package(self, suffix, option, data=None):
        path = self.root / f"package{suffix or '.none'}.deb"
        path.write_bytes(ar_archive(("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"),
                                    (f"data.tar{suffix}", self.tarball(option) if data is None else data)))
        return path


class Ar(unittest.TestCase):
    def test_members_of_odd_length_are_padded(self):
        stream = io.BytesIO(ar_archive(("a", b"123"), ("b", b"45")))
        members = list(unpack.ar_members(stream))
        self.assertEqual([(member.name, member.size) for member in members], [("a", 3), ("b", 2)])
        stream.seek(members[1].offset)
        self.assertEqual(stream.read(2), b"45")

    def test_other_files_are_refused(self):
        with self.assertRaises(ValueError):
            list(unpack.ar_members(io.BytesIO(b"\x7fELF" + b"\0" * 100)))

    def test_cut_or_damaged_headers_are_refused(self):
        whole = ar_archive(("a", b"12"))
        for damaged in (whole[:40], whole.replace(b"`\n", b"xx"), whole.replace(b"2         `", b"-2        `")):
            with self.subTest(damaged=damaged), self.assertRaises(ValueError):
                list(unpack.ar_members(io.BytesIO(damaged)))


class Packages(UnpackCase):
    def test_each_compression(self):
        for suffix, option in ((".xz", ["--xz"]), (".zst", ["--zstd"]), (".gz", ["--gzip"]), ("", [])):
            with self.subTest(suffix=suffix):
                target = self.root / f"out{suffix}"
                unpack.unpack_deb(self.package(suffix, option), target)
                self.assertEqual((target / "usr/share/file").read_text(), "content")

    def test_only_the_members_asked_for(self):
        unpack.unpack_deb(self.package(".xz", ["--xz"]), self.root / "out", ["./usr/share"])
        self.assertFalse((self.root / "out/usr/other").exists())
        self.assertTrue((self.root / "out/usr/share/file").exists())

    def refused(self, path):
        with self.assertRaises(FrontendError) as caught:
            unpack.unpack_deb(path, self.root / "out")
        self.assertIn(str(path), caught.exception.message)

    def test_a_cut_package_is_refused(self):
        path = self.package(".xz", ["--xz"])
        path.write_bytes(path.read_bytes()[:-60])
        self.refused(path)

    def test_a_package_without_data_is_refused(self):
        path = self.root / "p.deb"
        path.write_bytes(ar_archive(("debian-binary", b"2.0\n")))
        self.refused(path)

    def test_garbage_as_data_is_refused(self):
        self.refused(self.package(".xz", [], data=b"garbage" * 100))


class Tarballs(UnpackCase):
    def test_leading_directory_is_stripped(self):
        (self.root / "t.tar").write_bytes(self.tarball([]))
        unpack.unpack_tar(self.root / "t.tar", self.root / "out", strip=2)
        self.assertEqual((self.root / "out/share/file").read_text(), "content")

    def test_a_cut_tarball_is_refused(self):
        (self.root / "t.tar.xz").write_bytes(self.tarball(["--xz"])[:-20])
        with self.assertRaises(FrontendError):
            unpack.unpack_tar(self.root / "t.tar.xz", self.root / "out")


if __name__ == "__main__":
    unittest.main()
