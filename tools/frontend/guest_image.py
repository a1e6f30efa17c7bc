# SPDX-License-Identifier: GPL-2.0-or-later
"""Assembles what the guest boots from: an initramfs with init, busybox and the kernel modules, as a newc cpio archive.

Workloads and tests are not in it. They stand on the host, and the guest sees them over 9p; so the archive stays small, and
changes only when init or a module does. It is kept in a cache directory under a name made from its contents.
"""
import os
import stat
import subprocess
import tempfile
from pathlib import Path

from .cache import cache_root, checkout_root, content_key
from .status import FrontendError

INIT_SOURCES = ("init.c", "launch.c", "mounts.c", "port.c", "program.c", "script.c")
INIT_HEADERS = ("launch.h", "mounts.h", "port.h", "program.h", "protocol.h", "script.h")
INIT_FLAGS = ("-static", "-O2", "-s", "-std=gnu11", "-Wall", "-Wextra", "-Werror")
MODULE_DIRECTORY = "modules"
DIRECTORIES = ("dev", "proc", "sys", "tmp", "run", "host", "tandem", "guest-bin", MODULE_DIRECTORY)
_CPIO_MAGIC = b"070701"


def image_cache():
    return cache_root() / "guest-image"


class CpioWriter:
    """A newc archive in memory. Inode numbers count up and times are zero, so equal contents give equal bytes."""

    def __init__(self):
        self._parts = []
        self._inode = 0

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        self._inode += 1
        encoded = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, device[0], device[1], len(encoded), 0)
        header = _CPIO_MAGIC + b"".join(b"%08X" % value for value in fields)
        self._parts += [_padded(header + encoded), _padded(data)]

    def directory(self, name):
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o755):
        self._entry(name, stat.S_IFREG | mode, data)

    def symlink(self, name, target):
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, name, major, minor):
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def archive(self):
        self._entry("TRAILER!!!", 0)
        return b"".join(self._parts)


def _padded(data):
    return data + b"\0" * (-len(data) % 4)


def write_atomically(path, data, mode=0o644):
    """Two sessions may make the same file: each writes its own copy, and the rename decides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    os.chmod(temporary, mode)
    os.replace(temporary, path)


def build_init():
    """Compile guest-image/*.c unless this very source has been compiled before; returns the path of the binary."""
    sources = checkout_root() / "guest-image"
    cache = image_cache()
    contents = [(sources / name).read_bytes() for name in INIT_SOURCES + INIT_HEADERS]
    binary = cache / f"init-{content_key(*contents, *INIT_FLAGS)}"
    if binary.exists():
        return binary
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        output = Path(scratch) / "init"
        command = ["gcc", *INIT_FLAGS, "-o", str(output), *(str(sources / name) for name in INIT_SOURCES), "-lutil"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise FrontendError("the guest's init does not compile", details=result.stderr.splitlines()[-20:])
        os.replace(output, binary)
    return binary


def assemble(init, busybox, modules):
    """The archive's bytes. `modules` are paths of .ko files; `busybox` may be None where no shell is wanted."""
    archive = CpioWriter()
    for name in DIRECTORIES:
        archive.directory(name)
    archive.character_device("dev/console", 5, 1)
    archive.file("init", Path(init).read_bytes())
    if busybox:
        archive.file("guest-bin/busybox", Path(busybox).read_bytes())
        archive.symlink("guest-bin/sh", "busybox")
    for module in modules:
        archive.file(f"{MODULE_DIRECTORY}/{Path(module).name}", Path(module).read_bytes(), 0o644)
    return archive.archive()


def ensure_initramfs(busybox=None, modules=()):
    """The initramfs for these contents, from the cache or made now."""
    init = build_init()
    inputs = [Path(path) for path in (init, busybox, *modules) if path]
    key = content_key(Path(__file__).read_bytes(), *(part for path in inputs for part in (path.name, path.read_bytes())))
    image = image_cache() / f"initramfs-{key}.cpio"
    if not image.exists():
        write_atomically(image, assemble(init, busybox, modules))
    return image
