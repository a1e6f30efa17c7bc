# SPDX-License-Identifier: GPL-2.0-or-later
"""What a program needs to run in a guest that sees no file of the host: itself, its interpreter, its libraries, and what the
user names besides. All of it goes into the initramfs, under the names that the guest of ./tandem run would see (guest_path).
"""
import os
import struct
import subprocess
from pathlib import Path

from .guest_image import CpioWriter
from .status import UsageError
from .workloads import GUEST_STAGE, guest_path

STAGE_DIRECTORIES = ("kernels", "share")
_ELF64 = b"\x7fELF\x02"
_PT_INTERP = 3


class ProgramImage:
    """Files by their names in the guest. Links are followed: the guest gets the file that the name leads to."""

    def __init__(self):
        self._files = {}
        self._directories = set()

    def names(self):
        return sorted(self._files)

    def add_directory(self, name):
        while name not in ("", "/"):
            self._directories.add(name)
            name = os.path.dirname(name)

    def add_file(self, path, name=None):
        name = name or guest_path(path)
        self._files[name] = Path(path)
        self.add_directory(os.path.dirname(name))

    def add_tree(self, path, name):
        for found in sorted(Path(path).rglob("*")):
            if found.is_file():
                self.add_file(found, f"{name}/{found.relative_to(path)}")
        self.add_directory(name)

    def add_program(self, path, name=None, variables=None):
        """A program, the interpreter of a script included, with the libraries that its own loader finds."""
        self.add_file(path, name)
        script = _script_interpreter(path)
        if script:
            self.add_program(script, variables=variables)
        loader = _loader(path)
        if loader:
            self.add_file(loader)
            for library in _libraries(loader, path, variables or {}):
                self.add_file(library)
            if os.path.exists("/etc/ld.so.cache"):
                self.add_file("/etc/ld.so.cache")

    def add_stage(self, stage, binary):
        """A workload with the GPU's kernels and whatever else workloads read."""
        for directory in STAGE_DIRECTORIES:
            if (Path(stage) / directory).is_dir():
                self.add_tree(Path(stage) / directory, f"{GUEST_STAGE}/{directory}")
        if binary:
            self.add_program(Path(stage) / "bin" / binary, f"{GUEST_STAGE}/bin/{binary}")

    def archive(self):
        writer = CpioWriter()
        for name in sorted(self._directories):
            writer.directory(name.lstrip("/"))
        for name, path in sorted(self._files.items()):
            try:
                writer.file(name.lstrip("/"), path.read_bytes(), path.stat().st_mode & 0o777)
            except OSError as error:
                raise UsageError(f"{path} cannot be taken into the guest: {error.strerror}") from error
        return writer.archive()


def add_named(image, path):
    """What the user names with --file: a program with its libraries, any other file, or a directory."""
    if os.path.isdir(path):
        image.add_tree(path, guest_path(path))
    elif os.path.isfile(path):
        image.add_program(path)
    else:
        raise UsageError(f"--file {path}: no such file or directory")


def _script_interpreter(path):
    with open(path, "rb") as file:
        line = file.readline(256)
    if not line.startswith(b"#!"):
        return None
    words = line[2:].decode(errors="surrogateescape").split()
    return words[0] if words and os.path.isfile(words[0]) else None


def _loader(path):
    """The dynamic loader that a 64-bit ELF file names, or None: static programs and everything else."""
    with open(path, "rb") as file:
        head = file.read(64)
        if not head.startswith(_ELF64) or len(head) < 64:
            return None
        table, = struct.unpack_from("<Q", head, 32)
        entry_bytes, count = struct.unpack_from("<HH", head, 54)
        file.seek(table)
        entries = file.read(entry_bytes * count)
        for at in range(0, len(entries) - 55, max(entry_bytes, 56)):
            if struct.unpack_from("<I", entries, at)[0] == _PT_INTERP:
                offset, = struct.unpack_from("<Q", entries, at + 8)
                size, = struct.unpack_from("<Q", entries, at + 32)
                file.seek(offset)
                return file.read(size).rstrip(b"\0").decode(errors="surrogateescape")
    return None


def _libraries(loader, path, variables):
    """What the loader itself would map, with the environment that the program will have in the guest."""
    result = subprocess.run([loader, "--list", str(path)], capture_output=True, text=True, env=variables, stdin=subprocess.DEVNULL,
                            check=False)
    missing = [line.split()[0] for line in result.stdout.splitlines() if line.rstrip().endswith("not found")]
    if result.returncode or missing:
        reason = f"{', '.join(missing)} not found" if missing else (result.stderr.strip() or "its loader does not list them")
        raise UsageError(f"{path}: its libraries cannot be taken into the guest: {reason}")
    words = (line.split() for line in result.stdout.splitlines())
    return [part[2] for part in words if len(part) > 2 and part[1] == "=>" and part[2].startswith("/")]
