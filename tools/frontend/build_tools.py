# SPDX-License-Identifier: GPL-2.0-or-later
"""Tools and libraries that Debian 12 has only in versions that are too old: meson and Capstone.

Where the system's own are new enough they are used. Otherwise the packages of a later release are unpacked below the cache
and used from there; nothing gets installed.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .cache import appearing_directory, cache_root, content_key, locked, remove_tree, write_atomically
from .fetch import obtain, source_key
from .progress import Reporter
from .status import FrontendError
from .unpack import unpack_deb

MESON_SOURCE = "meson-1.7.0"
MESON_MINIMUM = (1, 5)
CAPSTONE_SOURCES = ("libcapstone5-5.0.7", "libcapstone-dev-5.0.7")
CAPSTONE_MINIMUM = "5"
CAPSTONE_STATIC = "lib/libcapstone.a"  # for the guest's programs, which are static
SYSTEM_PYTHON = Path("/usr/bin/python3")

LAUNCHER = """\
#!{python}
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "python"))
from mesonbuild.mesonmain import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Meson:
    """How to call meson, and where Python finds it (None: in the system's own place)."""

    command: list[str]
    python_path: Path | None


def python() -> str:
    """The interpreter for build systems: the system's, so that what a checkout's user has in PATH changes nothing."""
    return str(SYSTEM_PYTHON) if SYSTEM_PYTHON.exists() else "python3"


def meson(reporter: Reporter, offline: bool) -> Meson:
    """The system's meson if it is new enough, otherwise the pinned one."""
    system = Path("/usr/bin/meson")
    if system.exists() and system_meson_version() >= MESON_MINIMUM:
        return Meson([str(system)], None)
    entry = cache_root() / f"tools-{MESON_SOURCE}-{content_key(source_key(MESON_SOURCE), LAUNCHER, python())}"
    if not entry.exists():
        with locked(entry.name):
            if not entry.exists():
                _unpack_meson(obtain(MESON_SOURCE, reporter, offline), entry)
    return Meson([str(entry / "meson")], entry / "python")


def system_meson_version() -> tuple[int, ...]:
    answer = subprocess.run(["/usr/bin/meson", "--version"], capture_output=True, text=True)
    return tuple(int(number) for number in re.findall(r"\d+", answer.stdout)[:2])


def _unpack_meson(package: Path, entry: Path) -> None:
    with appearing_directory(entry) as place:
        unpack_deb(package, place / "deb", ["./usr/lib/python3/dist-packages"])
        (place / "deb/usr/lib/python3/dist-packages").rename(place / "python")
        write_atomically(place / "meson", LAUNCHER.format(python=python()).encode(), 0o755)


def capstone_pkg_config(reporter: Reporter, offline: bool) -> Path | None:
    """The pkg-config directory of a Capstone with RISC-V, or None where the system's own pkg-config knows one."""
    entry = cache_root() / f"tools-capstone-{content_key(*map(source_key, CAPSTONE_SOURCES))}"
    found = entry / "lib/pkgconfig"
    if (entry / CAPSTONE_STATIC).exists():
        return found
    known = subprocess.run(["pkg-config", f"--atleast-version={CAPSTONE_MINIMUM}", "capstone"], capture_output=True)
    if known.returncode == 0:
        return None
    if os.uname().machine != "x86_64":
        raise FrontendError("Capstone 5 or later is needed (package libcapstone-dev); this system has none.")
    with locked(entry.name):
        if not (entry / CAPSTONE_STATIC).exists():
            remove_tree(entry)
            _unpack_capstone([obtain(source, reporter, offline) for source in CAPSTONE_SOURCES], entry)
    return found


def _unpack_capstone(packages: list[Path], entry: Path) -> None:
    """Keeps headers and libraries, and writes a .pc file for this place with the path that programs need to run."""
    with appearing_directory(entry) as place:
        for package in packages:
            unpack_deb(package, place / "deb")
        (place / "deb/usr/include").rename(place / "include")
        (place / "lib/pkgconfig").mkdir(parents=True)
        for library in (place / "deb/usr/lib/x86_64-linux-gnu").glob("libcapstone.*"):
            library.rename(place / "lib" / library.name)
        write_atomically(place / "lib/pkgconfig/capstone.pc", _capstone_pc(entry).encode())
        subprocess.run(["rm", "-rf", str(place / "deb")], check=True)


def _capstone_pc(entry: Path) -> str:
    return "\n".join([
        f"prefix={entry}", "Name: capstone", "Description: disassembler", "Version: 5.0.7",
        "Libs: -L${prefix}/lib -Wl,-rpath,${prefix}/lib -lcapstone", "Cflags: -I${prefix}/include/capstone", ""])
