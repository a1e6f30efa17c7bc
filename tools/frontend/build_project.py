# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds this checkout's own code: the model and everything for the guest with meson and ninja, the driver with kbuild.

Each checkout has a build directory of its own in the cache, named after its path, and building is incremental: ninja decides,
and for the driver a key over its small inputs. Nothing is written into the checkout.
"""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import build_tools
from .cache import (cache_root, checkout_root, content_key, files_below, host_identity, locked, mirror_files, remove_tree, tree_key,
                    write_atomically)
from .progress import Reporter, make_counter, ninja_counter, run_step
from .status import FrontendError

MODEL_LIBRARY = "libtandem-model.so"
STAGE_PREFIX = "/tandem"
MESON_OPTIONS = ("-Dbuildtype=release", f"-Dprefix={STAGE_PREFIX}", "-Dlibdir=lib", "-Dbindir=bin", "-Ddatadir=share",
                 "-Dincludedir=include")


def checkout_directory() -> Path:
    """This checkout's place in the cache."""
    root = checkout_root()
    return cache_root() / "checkouts" / f"{root.name}-{content_key(str(root))}"


def build_directory() -> Path:
    return checkout_directory() / "build"


def stage_directory() -> Path:
    """Where `meson install` puts its files: the destdir."""
    return build_directory() / "stage"


def guest_directory() -> Path:
    """What the guest sees as /tandem: bin/, kernels/, share/."""
    return stage_directory() / STAGE_PREFIX.lstrip("/")


# --- meson: model, runtime, workloads, tests -----------------------------------------------------------------------------

def ensure_model(reporter: Reporter, jobs: int, offline: bool) -> Path:
    """The model's shared library, without building anything else; enough for QEMU."""
    with locked(checkout_directory().name):
        _configure(reporter, offline)
        _ninja(reporter, jobs, [_model_target()])
        return model_library()


def ensure_project(reporter: Reporter, jobs: int, offline: bool) -> Path:
    """Everything that the checkout's meson.build describes, installed into the stage; returns the build directory."""
    with locked(checkout_directory().name):
        _configure(reporter, offline)
        worked = _ninja(reporter, jobs, [])
        if worked or not _stage_is_current():
            _install()
    return build_directory()


def has_project() -> bool:
    return (checkout_root() / "meson.build").exists()


def model_library() -> Path:
    """The name without a version; a link to the library itself."""
    return build_directory() / "hw-model" / MODEL_LIBRARY


def _configuration_stamp() -> Path:
    return build_directory() / ".tandem-configured"


def _configuration_key() -> str:
    return content_key(*MESON_OPTIONS, str(checkout_root()), host_identity())


def is_configured() -> bool:
    """Once per build directory and set of options; later changes to meson.build are ninja's business."""
    try:
        return _configuration_stamp().read_text() == _configuration_key() and (build_directory() / "build.ninja").exists()
    except OSError:
        return False


def _configure(reporter: Reporter, offline: bool) -> None:
    if is_configured():
        return
    build = build_directory()
    meson = build_tools.meson(reporter, offline)
    capstone = build_tools.capstone_pkg_config(reporter, offline)
    remove_tree(build)
    build.mkdir(parents=True)
    run_step(reporter, "project.configure", "Tandem: configuring",
             [*meson.command, "setup", *MESON_OPTIONS, build, checkout_root()], environment=environment(capstone))
    _configuration_stamp().write_text(_configuration_key())


def environment(capstone: Path | None) -> dict[str, str]:
    """What meson is called with."""
    search = [*([str(capstone)] if capstone else []), os.environ.get("PKG_CONFIG_PATH", "")]
    return {**os.environ, "PKG_CONFIG_PATH": ":".join(filter(None, search)), "PYTHONDONTWRITEBYTECODE": "1"}


def _ninja(reporter: Reporter, jobs: int, targets: list[str]) -> bool:
    """Builds; returns whether there was anything to do. A quick look first keeps the usual case silent and short."""
    build = build_directory()
    command = ["ninja", f"-j{jobs}", *targets]
    look = subprocess.run([*command, "-n"], cwd=build, capture_output=True, text=True)
    if look.returncode == 0 and "ninja: no work to do." in look.stdout:
        return False
    run_step(reporter, "project.build", "Tandem: building", command, cwd=build, counter=ninja_counter)
    return True


def _model_target() -> str:
    """ninja's name of the library, which ends in its version."""
    listing = subprocess.run(["ninja", "-t", "targets", "all"], cwd=build_directory(), capture_output=True, text=True).stdout
    match = re.search(rf"^(hw-model/{re.escape(MODEL_LIBRARY)}[.0-9]*): ", listing, re.MULTILINE)
    if match is None:
        raise FrontendError(f"the checkout's meson.build has no target hw-model/{MODEL_LIBRARY}")
    return match.group(1)


def _stage_stamp() -> Path:
    return build_directory() / ".tandem-staged"


def _stage_is_current() -> bool:
    """False after an interrupted install: the stamp is written last."""
    try:
        return _stage_stamp().stat().st_mtime_ns >= (build_directory() / ".ninja_log").stat().st_mtime_ns
    except OSError:
        return False


def _install() -> None:
    build = build_directory()
    meson = _configured_meson(build)
    result = subprocess.run([*meson, "install", "--no-rebuild", "--only-changed", "--quiet", "--destdir", str(stage_directory())],
                            cwd=build, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode != 0:
        raise FrontendError("meson install failed:", details=(result.stdout + result.stderr).splitlines()[-20:])
    _remove_stale()
    _stage_stamp().touch()


def _remove_stale() -> None:
    """What meson.build described once and does not any more, a test say: it would be run for ever."""
    listing = json.loads((build_directory() / "meson-info/intro-installed.json").read_text())
    installed = {stage_directory() / target.lstrip("/") for target in listing.values()}  # files, and directories as a whole
    for path in files_below(stage_directory()):
        if installed.isdisjoint((path, *path.parents)):
            path.unlink()


def _configured_meson(build: Path) -> list[str]:
    """The meson that configured this directory; another version refuses it."""
    return build_tools.meson(Reporter(quiet=True), offline=True).command


# --- kbuild: the guest's driver ------------------------------------------------------------------------------------------

def driver_sources() -> list[tuple[Path, Path]]:
    """guest-driver/ and the abi headers, at the same relative places as in the checkout."""
    root = checkout_root()
    trees = [root / "guest-driver", root / "hw-model/abi"]
    return [(path, path.relative_to(root)) for tree in trees for path in files_below(tree)]


def has_driver() -> bool:
    return any((checkout_root() / "guest-driver" / name).exists() for name in ("Kbuild", "Makefile"))


@dataclass(frozen=True)
class DriverVariant:
    """One way to build the driver's sources. Either module is called tandem once it is loaded."""

    module: str
    directory: str
    options: tuple = ()


PRODUCT = DriverVariant("tandem.ko", "driver")
MUTANT = DriverVariant("tandem_mutant.ko", "mutant", ("TANDEM_MUTANTS=y",))  # only for ./tandem test mutations


def driver_directory(kernel: Path, variant: DriverVariant = PRODUCT) -> Path:
    return checkout_directory() / f"{variant.directory}-{kernel.name}"


def ensure_driver(kernel: Path, reporter: Reporter, jobs: int, variant: DriverVariant = PRODUCT) -> Path:
    """The module for the kernel in this finished directory of build_kernel."""
    place = driver_directory(kernel, variant)
    module, stamp = place / variant.module, place / "key"
    with locked(f"{place.name}-{checkout_directory().name}"):
        while _read(stamp) != (key := driver_key(kernel)) or not module.exists():
            mirror_sources(place / "tree")
            if driver_key(kernel) == key:  # otherwise somebody edits at this moment; read again
                _build_driver(kernel, place / "tree", module, reporter, jobs, variant)
                write_atomically(stamp, key.encode())
    return module


def driver_key(kernel: Path) -> str:
    return content_key(kernel.name, tree_key(checkout_root() / "guest-driver", checkout_root() / "hw-model/abi"))


def _read(stamp: Path) -> str | None:
    try:
        return stamp.read_text()
    except OSError:
        return None


def _build_driver(kernel: Path, tree: Path, module: Path, reporter: Reporter, jobs: int, variant: DriverVariant) -> None:
    run_step(reporter, f"{variant.directory}.build", f"{variant.directory}: building",
             ["make", f"-j{jobs}", "-C", kernel / "build", f"M={tree / 'guest-driver'}", *variant.options, "modules"],
             counter=make_counter)
    built = tree / "guest-driver/tandem.ko"
    if not built.exists():
        raise FrontendError("guest-driver builds no tandem.ko; its Kbuild must say obj-m += tandem.o")
    write_atomically(module, built.read_bytes())


def mirror_sources(tree: Path) -> None:
    """Copies what changed, so that make compiles only that. The tree also holds make's output: only sources that left the
    checkout are removed.
    """
    listing = tree / ".sources"
    wanted = driver_sources()
    before = set(listing.read_text().splitlines()) if listing.exists() else set()
    names = {str(relative) for _, relative in wanted}
    for gone in before - names:
        (tree / gone).unlink(missing_ok=True)
    write_atomically(listing, "".join(f"{name}\n" for name in sorted(before | names)).encode())
    mirror_files(wanted, tree, keep_others=True)
    write_atomically(listing, "".join(f"{name}\n" for name in sorted(names)).encode())

