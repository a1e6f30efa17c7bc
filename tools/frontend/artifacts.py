# SPDX-License-Identifier: GPL-2.0-or-later
"""The seam between building and using: ensure() makes whatever is missing and says where everything is.

When all is there this costs a few hashes of small files and one ninja that finds nothing to do. When something is missing it
is built on the spot, with its progress on standard error, exactly as ./tandem setup would.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from . import build_kernel, build_project, build_qemu, build_selftests
from .cache import cache_root, check_cache_path
from .progress import Reporter
from .setup_packages import ensure_packages, firmware_directories, static_busybox
from .status import FrontendError

KINDS = ("qemu", "kernel", "model", "driver", "mutant", "guest", "hosttests", "qtest")


@dataclass
class Artifacts:
    """Where things are. What was not asked for is None."""

    qemu: Path | None = None                #: qemu-system-x86_64; run it with LD_LIBRARY_PATH naming model_libdir
    qemu_firmware_dirs: list[Path] = field(default_factory=list)    #: one -L each
    qtest_dir: Path | None = None           #: qtest programs; they read QTEST_QEMU_BINARY
    model_libdir: Path | None = None        #: holds libtandem-model.so of this checkout
    kernel_image: Path | None = None        #: for -kernel: an ELF image with a PVH entry, a quarter of a second faster than bzImage
    kernel_bzimage: Path | None = None      #: the same kernel for loaders that want a bzImage
    kernel_release: str | None = None       #: uname -r
    kernel_modules: Path | None = None      #: holds the kernel's own .ko files (test_hmm.ko)
    kernel_build: Path | None = None        #: for make M=
    kernel_headers: Path | None = None      #: holds include/ of make headers_install
    kernel_source: Path | None = None       #: holds the kernel's mm selftests and what they include
    selftests: Path | None = None           #: holds those of them that build_selftests compiles
    driver_ko: Path | None = None           #: tandem.ko for this kernel
    mutant_ko: Path | None = None           #: its test-only twin, whose rules can be broken
    guest_dir: Path | None = None           #: what the guest sees as /tandem: bin/, kernels/, share/
    build_dir: Path | None = None           #: meson's build directory of this checkout
    busybox: Path | None = None             #: a static busybox


@dataclass(frozen=True)
class Build:
    """How to build: shared by all parts of one call."""

    reporter: Reporter
    jobs: int
    offline: bool


def default_jobs() -> int:
    return len(os.sched_getaffinity(0))


def ensure(*kinds: str, kernel: str = "default", quiet: bool = True, jobs: int | None = None, offline: bool = False,
           reporter: Reporter | None = None) -> Artifacts:
    """Makes the named kinds exist and returns their places. Raises FrontendError with an explanation when it cannot."""
    unknown = set(kinds) - set(KINDS)
    if unknown:
        raise ValueError(f"unknown kinds of artifacts: {sorted(unknown)}")
    check_cache_path()
    choice = build_kernel.choose_kernel(kernel)
    wanted = with_dependencies(set(kinds))
    build = Build(reporter or Reporter(quiet=quiet), jobs or default_jobs(), offline)
    planned = planned_steps(wanted, choice)
    if planned:
        ensure_packages(build.reporter, offline)
        build.reporter.plan(planned)
    try:
        found = _ensure_all(wanted, choice, build)
    except OSError as error:
        raise FrontendError(f"cannot build in the cache {cache_root()}: {error}") from error
    check_complete(found)
    return found


def with_dependencies(kinds: set[str]) -> set[str]:
    """A driver needs a kernel; a qtest needs QEMU; QEMU needs the model to run."""
    kinds = set(kinds)
    if "qtest" in kinds:
        kinds.add("qemu")
    if kinds & {"driver", "mutant"}:
        kinds.add("kernel")
    if "qemu" in kinds and build_project.has_project():
        kinds.add("model")
    return kinds


def planned_steps(kinds: set[str], choice: build_kernel.KernelChoice) -> list[str]:
    """The long steps that these kinds will take; empty when everything long is in the cache already."""
    steps = []
    if kinds & {"model", "guest", "hosttests"} and not build_project.is_configured():
        steps += ["project.configure", "project.build"]
    if "qemu" in kinds and not build_qemu.finished_directory().exists():
        steps += ["qemu.unpack", "qemu.configure", "qemu.build"]
    if "kernel" in kinds and not build_kernel.finished_directory(choice).exists():
        steps += ["kernel.unpack", f"{choice.step_name}.build", "kernel.export"]
    for variant in (build_project.PRODUCT, build_project.MUTANT):
        kernel = build_kernel.finished_directory(choice)
        if variant.directory in kinds and not build_project.driver_directory(kernel, variant).exists():
            steps.append(f"{variant.directory}.build")
    return steps


def _ensure_all(kinds: set[str], choice: build_kernel.KernelChoice, build: Build) -> Artifacts:
    found = Artifacts(qemu_firmware_dirs=firmware_directories())
    if kinds & {"model", "guest", "hosttests"}:
        _add_project(found, kinds, build)
    if "qemu" in kinds:
        _add_qemu(found, build)
    if "kernel" in kinds:
        _add_kernel(found, choice, build)
    if "driver" in kinds:
        found.driver_ko = build_project.ensure_driver(found.kernel_build.parent, build.reporter, build.jobs)
    if kinds >= {"kernel", "guest"}:
        found.selftests = build_selftests.ensure(found.kernel_build.parent)
    if "mutant" in kinds:
        found.mutant_ko = build_project.ensure_driver(found.kernel_build.parent, build.reporter, build.jobs, build_project.MUTANT)
    if kinds & {"kernel", "guest"}:
        found.busybox = static_busybox()
    return found


def _add_project(found: Artifacts, kinds: set[str], build: Build) -> None:
    """The model alone is enough for QEMU; whoever wants programs gets the whole build."""
    if kinds & {"guest", "hosttests"}:
        build_project.ensure_project(build.reporter, build.jobs, build.offline)
        found.guest_dir = build_project.guest_directory()
    else:
        build_project.ensure_model(build.reporter, build.jobs, build.offline)
    found.build_dir = build_project.build_directory()
    found.model_libdir = build_project.model_library().parent


def _add_qemu(found: Artifacts, build: Build) -> None:
    library = found.model_libdir / build_project.MODEL_LIBRARY if found.model_libdir else None
    place = build_qemu.ensure_qemu(build.reporter, build.jobs, build.offline, library)
    found.qemu = place / "bin" / build_qemu.EMULATOR
    found.qtest_dir = place / "tests/qtest"


def _add_kernel(found: Artifacts, choice: build_kernel.KernelChoice, build: Build) -> None:
    place = build_kernel.ensure_kernel(choice, build.reporter, build.jobs, build.offline)
    found.kernel_image, found.kernel_bzimage = place / "vmlinux", place / "bzImage"
    found.kernel_release = (place / "release").read_text().strip()
    found.kernel_modules, found.kernel_build = place / "modules", place / "build"
    found.kernel_headers, found.kernel_source = place / "headers", place / "source"


def describe(found: Artifacts) -> list[str]:
    """Lines for the end of ./tandem setup."""
    lines = [("model", found.model_libdir), ("QEMU", found.qemu), ("kernel", found.kernel_image), ("driver", found.driver_ko), ("guest", found.guest_dir)]
    return [f"  {name:7} {path}" for name, path in lines if path]


def check_complete(found: Artifacts) -> None:
    """A finished place whose files somebody removed must not surface as a strange failure later."""
    for path in (found.qemu, found.kernel_image, found.driver_ko):
        if path and not path.is_file():
            raise FrontendError(f"the cache is damaged: {path} is gone. Remove the directory {path.parent.parent} and run "
                                "./tandem setup again.")
