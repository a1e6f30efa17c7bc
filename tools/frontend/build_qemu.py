# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds QEMU with Tandem's patches and device.

Two places in the cache. A *work tree* for each archive and set of configure flags keeps sources and objects, so that a
changed patch costs only the objects that it touches. A *finished* directory for each content of patches, device sources and
the model's headers holds what others run. The key leaves out the model's own sources: QEMU loads the model as a shared
library, so a new model needs no new QEMU.

The sources in the work tree are never patched in place. For each change the files that patches name are patched afresh from
their pristine copies in a side directory, the overlay is laid over them, and only files that came out different are written.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from . import build_tools
from .cache import (appearing_directory, cache_root, checkout_root, content_key, files_below, host_identity, locked, mark_used,
                    mirror_files, prune, read_json, remove_tree, tree_key, write_atomically, write_if_different,
                    write_json)
from .fetch import obtain, source_key
from .patches import apply_patch, read_series
from .progress import Reporter, ninja_counter, run_step, step
from .status import FrontendError
from .unpack import unpack_tar

VERSION = "10.2.2"
SOURCE = f"qemu-{VERSION}"
EMULATOR = "qemu-system-x86_64"
QTEST_TARGETS = ("tests/qtest/tandem-gpu-test", "tests/qtest/intel-iommu-svm-test")
FINISHED_KEPT = 6

CONFIGURE_FLAGS = (
    "--target-list=x86_64-softmmu", "--without-default-features", "--enable-system", "--enable-tcg", "--enable-kvm",
    "--enable-trace-backends=log", "--enable-fdt=system", "--enable-capstone", "--enable-virtfs", "--enable-attr",
    "--disable-download", "--disable-docs", "--disable-rust", "--disable-install-blobs", "--disable-debug-info",
)

# The repacked archive lacks wheels and firmware blobs; these lines of its build files would look for them.
REPACKED_EDITS = (
    ("pythondeps.toml", r"^pycotap = .*\n", ""),
    ("pc-bios/meson.build", r"^if unpack_edk2_blobs$", "if false"),
    ("pc-bios/meson.build", r"^subdir\('dtb'\)\n", ""),
)


def patches_directory() -> Path:
    return checkout_root() / "qemu-patches"


def model_headers() -> list[Path]:
    return [checkout_root() / "hw-model/include", checkout_root() / "hw-model/abi"]


def base_key() -> str:
    return content_key(source_key(SOURCE), *CONFIGURE_FLAGS, *map(repr, REPACKED_EDITS), host_identity())


def finished_directory() -> Path:
    return cache_root() / f"qemu-{content_key(base_key(), tree_key(patches_directory(), *model_headers()))}"


def ensure_qemu(reporter: Reporter, jobs: int, offline: bool, model_library: Path | None) -> Path:
    """The directory that holds bin/qemu-system-x86_64 and tests/qtest/; builds it if it is not there."""
    while not (finished := finished_directory()).exists():
        work = cache_root() / f"qemu-work-{base_key()}"
        with locked(work.name):
            if not finished.exists():
                _build(work, finished, reporter, jobs, offline, model_library)
                prune("qemu-[0-9a-f]*", FINISHED_KEPT)
    mark_used(finished)
    return finished


def _build(work: Path, finished: Path, reporter: Reporter, jobs: int, offline: bool, model_library: Path | None) -> None:
    """Makes `finished`, or nothing if the checkout's content is no longer what that name stands for."""
    _ensure_pristine(work, reporter, offline)
    apply_patches(work, read_series(patches_directory()), patches_directory() / "files")
    _offer_model(work, model_library)
    if finished_directory() != finished:
        return  # somebody edits at this moment: what was read may be neither the old content nor the new
    _configure(work, reporter, offline)
    targets = [EMULATOR, *(target for target in QTEST_TARGETS if _has_target(work / "build", target))]
    run_step(reporter, "qemu.build", f"QEMU {VERSION}: building", ["ninja", f"-j{jobs}", *targets], cwd=work / "build",
             counter=ninja_counter)
    with appearing_directory(finished) as place:
        for target in targets:
            destination = place / ("bin" if target == EMULATOR else Path(target).parent) / Path(target).name
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(work / "build" / target, destination)


def _ensure_pristine(work: Path, reporter: Reporter, offline: bool) -> None:
    """Unpacked sources without our patches, once per work tree."""
    source = work / "src"
    if source.exists():
        return
    archive = obtain(SOURCE, reporter, offline)
    with step(reporter, "qemu.unpack", f"QEMU {VERSION}: unpacking"), appearing_directory(source) as place:
        unpack_tar(archive, place, strip=1)
        if not any((place / "python/wheels").glob("meson-*.whl")):
            adapt_repacked_source(place)


def adapt_repacked_source(source: Path) -> None:
    for name, pattern, replacement in REPACKED_EDITS:
        path = source / name
        text, count = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
        if count != 1:
            raise FrontendError(f"QEMU's {name} does not have the one line {pattern!r} that setup adapts.")
        path.write_text(text)


# --- patches -------------------------------------------------------------------------------------------------------------

def touched_files(patch: Path) -> list[str]:
    """The files that a unified diff changes, adds or removes, relative to the tree that `patch -p1` works in."""
    names = []
    for line in patch.read_text(errors="surrogateescape").splitlines():
        match = re.match(r"^(?:---|\+\+\+) [^/\s]+/([^\t\n]+)", line)
        if match and match.group(1) not in names:
            names.append(match.group(1))
    return names


def apply_patches(work: Path, patches: list[Path], overlay: Path) -> None:
    """Makes work/src equal to pristine sources + patches + overlay, touching only files whose content differs.

    work/pristine holds the original of each file that was ever replaced (none for a file that we add); work/sources.json lists
    the files that we own now. Both are written before the first source file is, so a kill in between is harmless.
    """
    source, pristine, staging = work / "src", work / "pristine", work / "staging"
    owned = set(read_json(work / "sources.json").get("owned", []))
    patched = {name for patch in patches for name in touched_files(patch)}
    overlaid = {str(path.relative_to(overlay)) for path in files_below(overlay)}
    ours = patched | overlaid
    for name in sorted(ours - owned):
        _keep_original(source / name, pristine / name)
    write_json(work / "sources.json", {"owned": sorted(owned | ours)})
    _stage(staging, pristine, patches, patched, overlay)
    for name in sorted(owned | ours):
        _settle(source / name, (staging if name in ours else pristine) / name)
    write_json(work / "sources.json", {"owned": sorted(ours)})
    remove_tree(staging)


def _keep_original(path: Path, copy: Path) -> None:
    remove_tree(copy)
    if path.exists():
        write_atomically(copy, path.read_bytes(), path.stat().st_mode & 0o777)


def _stage(staging: Path, pristine: Path, patches: list[Path], patched: set[str], overlay: Path) -> None:
    """Patched files and the overlay, in a directory of their own."""
    remove_tree(staging)
    staging.mkdir(parents=True)
    for name in patched:
        if (pristine / name).exists():
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(pristine / name, staging / name)
    for patch in patches:
        apply_patch(patch, staging, f"QEMU {VERSION}")
    for path in files_below(overlay):
        destination = staging / path.relative_to(overlay)
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, destination)


def _settle(path: Path, wanted: Path) -> None:
    """Gives a source file its wanted content; no wanted file means that it must not exist."""
    if wanted.exists():
        write_if_different(path, wanted.read_bytes(), wanted.stat().st_mode & 0o777)
    else:
        remove_tree(path)


# --- configure -----------------------------------------------------------------------------------------------------------

def _offer_model(work: Path, library: Path | None) -> None:
    """Puts headers, library and a .pc file for the model where QEMU's meson looks, at a path that no checkout is part of.

    QEMU is linked against the library of the checkout that happens to build it; it runs with whichever LD_LIBRARY_PATH names.
    """
    headers = [(path, Path(tree.name) / path.relative_to(tree)) for tree in model_headers() for path in files_below(tree)]
    mirror_files(headers, work / "model/include")
    if library is None:
        return
    soname = _soname(library)
    mirror_files([(library, Path(soname))], work / "model/lib")
    link = work / "model/lib/libtandem-model.so"
    if soname != link.name and not link.exists():
        link.symlink_to(soname)
    pc = "\n".join([
        f"prefix={work / 'model'}", "Name: tandem-model", "Description: the GPU's hardware model", "Version: 1",
        "Libs: -L${prefix}/lib -ltandem-model", "Cflags: -I${prefix}/include/include -I${prefix}/include -I${prefix}/include/abi", ""])
    if write_if_different(work / "pkgconfig/tandem-model.pc", pc.encode()) and (work / "build/build.ninja").exists():
        (work / "src/meson.build").touch()


def _soname(library: Path) -> str:
    answer = subprocess.run(["objdump", "-p", str(library)], capture_output=True, text=True).stdout
    match = re.search(r"^\s*SONAME\s+(\S+)$", answer, re.MULTILINE)
    return match.group(1) if match else library.name


def _configure(work: Path, reporter: Reporter, offline: bool) -> None:
    """Runs QEMU's configure once per work tree; ninja follows later changes of build files, so that it knows new targets."""
    build = work / "build"
    if (build / "build.ninja").exists() and (build / ".configured").exists():
        run_step(reporter, "qemu.reconfigure", f"QEMU {VERSION}: configuring", ["ninja", "build.ninja"], cwd=build)
        return
    meson = build_tools.meson(reporter, offline)
    capstone = build_tools.capstone_pkg_config(reporter, offline)
    search = [str(work / "pkgconfig"), *([str(capstone)] if capstone else []), os.environ.get("PKG_CONFIG_PATH", "")]
    environment = {**os.environ, "PKG_CONFIG_PATH": ":".join(filter(None, search))}
    if meson.python_path:
        environment["PYTHONPATH"] = str(meson.python_path)
    remove_tree(build)
    build.mkdir(parents=True)
    run_step(reporter, "qemu.configure", f"QEMU {VERSION}: configuring",
             [work / "src/configure", f"--python={build_tools.python()}", *CONFIGURE_FLAGS], cwd=build, environment=environment)
    if meson.python_path:
        _let_venv_find_meson(build, meson.python_path)
    (build / ".configured").touch()


def _let_venv_find_meson(build: Path, python_path: Path) -> None:
    """QEMU's build calls meson from its own virtual environment, at a time when PYTHONPATH may be anything."""
    for packages in build.glob("pyvenv/lib/python3*/site-packages"):
        (packages / "tandem-meson.pth").write_text(f"{python_path}\n")


def _has_target(build: Path, target: str) -> bool:
    return subprocess.run(["ninja", "-C", str(build), "-t", "query", target], capture_output=True).returncode == 0
