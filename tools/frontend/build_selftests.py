# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own mm selftests, and how they are compiled, unmodified, from the guest kernel's source: hmm-tests, which
guest_tests.py runs (docs/hmm-tests.md), and eight that run with the GPU reading along (mm_selftests.py). These have shared
libraries, so that another one can be preloaded (guest-tests/shadow/).
"""
import subprocess
from dataclasses import dataclass

from . import build_project
from .cache import content_key, locked, write_atomically
from .status import FrontendError

SUITE = "Selftests"
SUFFIX = "_with_the_gpu_reading"


@dataclass(frozen=True)
class Selftest:
    """A program in tools/testing/selftests/mm."""
    name: str
    sources: tuple = ()  # beside NAME.c and those that all have
    libraries: tuple = ()
    static: bool = False

    @property
    def test(self):
        return f"{SUITE}.{self.name.replace('-', '_')}{SUFFIX}"


HMM_TESTS = Selftest("hmm-tests", static=True)
READ_ALONG = (
    Selftest("ksm_functional_tests"),
    Selftest("uffd-unit-tests", sources=("uffd-common.c",)),
    Selftest("migration", libraries=("-lnuma",)),
    Selftest("split_huge_page_test"),
    Selftest("mremap_test"),
    Selftest("cow", libraries=("-luring",)),
    Selftest("merge"),
    Selftest("guard-regions"),
)
SELFTESTS = (HMM_TESTS, *READ_ALONG)

COMMON_SOURCES = ("vm_util.c", "hugepage_settings.c")
# As the kernel's own Makefile has them.
FLAGS = ("-O2", "-Wall", "-U_FORTIFY_SOURCE", "-D_GNU_SOURCE=")
LIBRARIES = ("-lrt", "-lpthread", "-lm")
LOCAL_CONFIG = "#define LOCAL_CONFIG_HAVE_LIBURING 1\n"  # what the Makefile's check_config.sh finds out


def directory(kernel):
    return build_project.checkout_directory() / f"mm-selftests-{kernel.name}"


def ensure(kernel):
    """Compiles what is not there for this finished kernel of build_kernel, as far as it has the sources. Returns where they are."""
    place = directory(kernel)
    found = [selftest for selftest in SELFTESTS if all(path.exists() for path in source_files(kernel / "source", selftest))]
    with locked(f"{place.name}-{build_project.checkout_directory().name}"):
        place.mkdir(parents=True, exist_ok=True)
        write_atomically(place / "local_config.h_gen", LOCAL_CONFIG.encode())
        for selftest in found:
            _ensure_program(kernel, place, selftest)
    return place


def source_files(kernel_source, selftest):
    """Its own first."""
    directory_of_all = kernel_source / "tools/testing/selftests/mm"
    return [directory_of_all / name for name in (f"{selftest.name}.c", *COMMON_SOURCES, *selftest.sources)]


def command(kernel, place, selftest):
    source = kernel / "source"
    return ["gcc", *FLAGS, *(["-static"] if selftest.static else []), f"-I{source}", "-isystem", f"{kernel}/headers/include", "-isystem", f"{source}/tools/include/uapi",
            f"-I{source}/tools/testing/selftests", f"-I{place}", *map(str, source_files(source, selftest)),
            "-o", str(place / selftest.name), *selftest.libraries, *LIBRARIES]


def _ensure_program(kernel, place, selftest):
    words = command(kernel, place, selftest)
    stamp, key = place / f"{selftest.name}.key", content_key(*words, LOCAL_CONFIG)
    if (place / selftest.name).exists() and stamp.exists() and stamp.read_text() == key:
        return
    result = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if result.returncode:
        raise FrontendError(f"the kernel's {selftest.name} does not compile:", details=result.stderr.splitlines()[-20:])
    write_atomically(stamp, key.encode())
