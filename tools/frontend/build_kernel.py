# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the guest's Linux kernel from pinned sources and the patches and fragments in guest-image/kernel/.

The configuration is allnoconfig plus tandem.config, plus linux-<version>.config for what only one kernel version knows, plus
<flavour>.config for a kernel such as "debug". linux-<version>-patches/ mends what is wrong in that version. What remains in the
cache is what others use: images, modules, a tree for out-of-tree modules, user-space headers and the kernel's own mm selftests. The
full tree, two gigabytes, goes.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .cache import (appearing_directory, cache_root, checkout_root, content_key, discard, host_identity, locked, mark_used, prune,
                    remove_tree, write_atomically)
from .fetch import obtain, source_key
from .patches import apply_patch, read_series
from .progress import Reporter, make_counter, run_step, step
from .status import FrontendError, UsageError
from .unpack import unpack_deb, unpack_tar

DEFAULT_VERSION = "7.3"
EXPORT_FORMAT = "2"
FINISHED_KEPT = 4

# Same bytes for the same sources, whoever builds.
BUILD_VARIABLES = ("KBUILD_BUILD_USER=tandem", "KBUILD_BUILD_HOST=tandem", "KBUILD_BUILD_TIMESTAMP=2026-01-01")

SELFTEST_SOURCES = ("tools/testing/selftests/mm", "tools/testing/selftests/*.h", "tools/testing/selftests/pidfd/*.h",
                    "tools/testing/selftests/clone3/*.h", "tools/include", "lib/test_hmm_uapi.h", "lib/test_hmm.c", "mm/gup_test.h")


@dataclass(frozen=True)
class KernelChoice:
    """What --kernel names: a flavour of the default version ("default", "debug"), or another version ("6.12")."""

    version: str
    flavour: str

    @property
    def step_name(self) -> str:
        return "kernel" if self == DEFAULT_KERNEL else f"kernel-{self.version}-{self.flavour}"

    @property
    def title(self) -> str:
        return f"Linux {self.version}" + ("" if self.flavour == "default" else f" ({self.flavour})")


DEFAULT_KERNEL = KernelChoice(DEFAULT_VERSION, "default")


def configuration_directory() -> Path:
    return checkout_root() / "guest-image/kernel"


def choose_kernel(name: str) -> KernelChoice:
    """Turns the name after --kernel into a choice; an unknown name is the user's mistake."""
    if name == "default":
        return DEFAULT_KERNEL
    if re.fullmatch(r"[0-9]+\.[0-9]+", name):
        return KernelChoice(name, "default")
    known = sorted(path.stem for path in configuration_directory().glob("*.config")
                   if path.stem != "tandem" and not path.stem.startswith("linux-"))
    if name not in known:
        raise UsageError(f"unknown kernel {name!r}: it is 'default', a version such as 6.12, or one of: {', '.join(known) or '-'}")
    return KernelChoice(DEFAULT_VERSION, name)


# --- configuration -------------------------------------------------------------------------------------------------------

def fragments(choice: KernelChoice) -> list[Path]:
    directory = configuration_directory()
    names = ["tandem.config", f"linux-{choice.version}.config"]
    if choice.flavour != "default":
        names.append(f"{choice.flavour}.config")
    return [directory / name for name in names if (directory / name).exists()]


def parse_fragment(text: str) -> dict[str, str]:
    """{"CONFIG_X": "y" | "m" | "n" | value}. Comments and empty lines do not count; a malformed line is an error."""
    wanted = {}
    for line in text.splitlines():
        line = line.strip()
        unset = re.fullmatch(r"# (CONFIG_\w+) is not set", line)
        if unset:
            wanted[unset.group(1)] = "n"
        elif line and not line.startswith("#"):
            name, separator, value = line.partition("=")
            if not separator or not re.fullmatch(r"CONFIG_\w+", name):
                raise FrontendError(f"kernel configuration fragment: cannot read the line {line!r}")
            wanted[name] = value
    return wanted


def merged_configuration(choice: KernelChoice) -> dict[str, str]:
    """The lines of all fragments; later fragments win."""
    merged: dict[str, str] = {}
    for fragment in fragments(choice):
        merged.update(parse_fragment(fragment.read_text()))
    return merged


def configuration_text(wanted: dict[str, str]) -> str:
    return "".join(f"# {name} is not set\n" if value == "n" else f"{name}={value}\n" for name, value in sorted(wanted.items()))


def unmet(wanted: dict[str, str], config: str) -> list[str]:
    """The wishes that a .config does not fulfil, each with what stands there instead."""
    actual = parse_fragment(config)
    return [f"{name}={value} was asked for, but it is {actual.get(name, 'n')}"
            for name, value in wanted.items() if actual.get(name, "n") != value]


# --- build ---------------------------------------------------------------------------------------------------------------

def kernel_source(choice: KernelChoice) -> str:
    return f"linux-{choice.version}"


def kernel_patches(choice: KernelChoice) -> list[Path]:
    return read_series(configuration_directory() / f"linux-{choice.version}-patches")


def finished_directory(choice: KernelChoice, wanted: dict[str, str] | None = None) -> Path:
    """The place of the kernel with this configuration (default: what the fragments say now)."""
    text = configuration_text(merged_configuration(choice) if wanted is None else wanted)
    patches = (patch.read_text() for patch in kernel_patches(choice))
    key = content_key(source_key(kernel_source(choice)), text, EXPORT_FORMAT, host_identity(), *patches)
    return cache_root() / f"linux-{choice.version}-{key}"


def ensure_kernel(choice: KernelChoice, reporter: Reporter, jobs: int, offline: bool) -> Path:
    """The directory with bzImage, vmlinux, modules/, build/, headers/, source/, config and release; built if not there."""
    wanted = merged_configuration(choice)
    finished = finished_directory(choice, wanted)
    if not finished.exists():
        work = cache_root() / finished.name.replace("linux-", "linux-work-", 1)
        with locked(finished.name):
            if not finished.exists():
                _build(choice, wanted, work, finished, reporter, jobs, offline)
                prune("linux-[0-9]*", FINISHED_KEPT)
                prune("linux-work-*", 0)
    mark_used(finished)
    return finished


def _build(choice: KernelChoice, wanted: dict[str, str], work: Path, finished: Path, reporter: Reporter, jobs: int,
           offline: bool) -> None:
    """A work tree that a killed setup left behind is continued: make knows what is done."""
    tree = work / "src"
    if not tree.exists():
        archive = obtain(kernel_source(choice), reporter, offline)
        with step(reporter, "kernel.unpack", f"{choice.title}: unpacking"), appearing_directory(tree) as place:
            unpack_patched(choice, archive, place)
    _configure(choice, wanted, tree)
    run_step(reporter, f"{choice.step_name}.build", f"{choice.title}: building",
             ["make", f"-j{jobs}", *BUILD_VARIABLES, "bzImage", "modules"], cwd=tree, environment=_environment(),
             counter=make_counter)
    with step(reporter, "kernel.export", f"{choice.title}: collecting what is needed"), appearing_directory(finished) as place:
        _export(tree, place)
    discard(work)


def _environment() -> dict[str, str]:
    """make's own variables of a calling make must not leak in, nor a KBUILD_OUTPUT of the user's."""
    dropped = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "KBUILD_OUTPUT", "ARCH", "CROSS_COMPILE", "KCONFIG_CONFIG")
    return {name: value for name, value in os.environ.items() if name not in dropped}


def unpack_patched(choice: KernelChoice, archive: Path, place: Path) -> None:
    _unpack(archive, place)
    for patch in kernel_patches(choice):
        apply_patch(patch, place, choice.title)


def _unpack(archive: Path, place: Path) -> None:
    """A kernel tarball, or Debian's linux-source package, which holds one."""
    if archive.suffix != ".deb":
        unpack_tar(archive, place, strip=1)
        return
    package = place.with_name(".package.partial")
    remove_tree(package)
    unpack_deb(archive, package)
    tarballs = list(package.glob("usr/src/linux-source-*.tar.xz"))
    if len(tarballs) != 1:
        raise FrontendError(f"{archive} holds no single usr/src/linux-source-*.tar.xz")
    unpack_tar(tarballs[0], place, strip=1)
    remove_tree(package)


def _configure(choice: KernelChoice, wanted: dict[str, str], tree: Path) -> None:
    """Writes .config and checks that Kconfig took each line; leaves an unchanged .config alone."""
    stamp, text = tree / ".tandem-config", configuration_text(wanted)
    if stamp.exists() and stamp.read_text() == text:
        return
    write_atomically(tree / "tandem.allconfig", text.encode())
    environment = {**_environment(), "KCONFIG_ALLCONFIG": "tandem.allconfig"}
    result = subprocess.run(["make", "-s", "allnoconfig"], cwd=tree, env=environment, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True)
    if result.returncode != 0:
        raise FrontendError(f"{choice.title}: make allnoconfig failed:",
                            details=(result.stdout + result.stderr).splitlines()[-20:])
    refused = unmet(wanted, (tree / ".config").read_text())
    if refused:
        raise FrontendError(f"{choice.title}: its Kconfig does not take {len(refused)} line(s) of guest-image/kernel/:",
                            details=refused)
    write_atomically(stamp, text.encode())


# --- what stays ----------------------------------------------------------------------------------------------------------

def _export(tree: Path, place: Path) -> None:
    shutil.copy2(tree / "arch/x86/boot/bzImage", place / "bzImage")
    _run(["strip", "-o", place / "vmlinux", tree / "vmlinux"], tree)
    shutil.copy2(tree / ".config", place / "config")
    shutil.copy2(tree / "include/config/kernel.release", place / "release")
    _export_modules(tree, place / "modules")
    _export_module_build_tree(tree, place / "build")
    _run(["make", "-s", "headers_install", f"INSTALL_HDR_PATH={place / 'headers'}"], tree)
    _export_selftests(tree, place / "source")


def _export_modules(tree: Path, target: Path) -> None:
    target.mkdir()
    for line in (tree / "modules.order").read_text().split():
        module = (tree / line).with_suffix(".ko")
        shutil.copy2(module, target / module.name)


def _export_module_build_tree(tree: Path, target: Path) -> None:
    """The kernel's own script knows what out-of-tree modules need; the result may be moved, for nothing in it is absolute."""
    variables = {"srctree": ".", "SRCARCH": "x86", "CC": "gcc", "HOSTCC": "gcc", "MAKE": "make"}
    _run(["sh", "scripts/package/install-extmod-build", target], tree, variables)
    shutil.copy2(tree / ".config", target / ".config")


def _export_selftests(tree: Path, target: Path) -> None:
    for pattern in SELFTEST_SOURCES:
        for path in tree.glob(pattern):
            destination = target / path.relative_to(tree)
            if path.is_dir():
                shutil.copytree(path, destination, symlinks=True)
            else:
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, destination)


def _run(command: list, tree: Path, variables: dict[str, str] | None = None) -> None:
    words = [str(word) for word in command]
    result = subprocess.run(words, cwd=tree, env={**_environment(), **(variables or {})}, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True)
    if result.returncode != 0:
        raise FrontendError(f"{' '.join(words[:4])} failed in the kernel's tree:",
                            details=(result.stdout + result.stderr).splitlines()[-20:])
