# SPDX-License-Identifier: GPL-2.0-or-later
"""The system packages that building and running Tandem needs, and their installation where something is missing.

One query tells what is installed; apt is only called for what is not. Where apt cannot be used (no root, no network, another
distribution) the error names the missing packages and the command that installs them.
"""

import os
import shutil
import subprocess
from pathlib import Path

from .cache import os_release
from .progress import Reporter, run_step
from .status import FrontendError

# Package: what needs it.
PACKAGES = {
    "build-essential": "compilers, make, patch",
    "ninja-build": "QEMU, the model and the guest's programs",
    "pkg-config": "QEMU and the model",
    "python3": "the build systems",
    "python3-venv": "QEMU's configure",
    "libglib2.0-dev": "QEMU",
    "zlib1g-dev": "QEMU",
    "libfdt-dev": "QEMU",
    "libattr1-dev": "QEMU (folders shared with the guest)",
    "seabios": "QEMU's firmware",
    "qemu-system-data": "QEMU's firmware",
    "flex": "the kernel's configuration",
    "bison": "the kernel's configuration",
    "bc": "the kernel",
    "libelf-dev": "the kernel's objtool",
    "libssl-dev": "the kernel",
    "xz-utils": "source archives",
    "zstd": "the kernel image",
    "cpio": "the kernel's headers",
    "rsync": "the kernel's user-space headers",
    "kmod": "the kernel's modules",
    "busybox-static": "the guest's shell",
    "clang": "kernels for the GPU",
    "lld": "kernels for the GPU",
    "sparse": "tests of the driver's sources",
    "libgtest-dev": "tests",
    "libgmock-dev": "tests",
    "libbenchmark-dev": "benchmarks",
    "libnuma-dev": "the kernel's own mm selftests",
    "liburing-dev": "the kernel's own mm selftests",
    "qemu-user": "tests and benchmarks (RISC-V code to compare the GPU with)",
}

# What is new enough only from this Debian release on; before it, a pinned package is unpacked in the cache (build_tools.py).
SINCE_DEBIAN = {"meson": 13, "libcapstone-dev": 13}


def wanted_packages() -> list[str]:
    release = os_release()
    version = release.get("VERSION_ID", "")
    packages = list(PACKAGES)
    if release.get("ID") == "debian":
        packages += [name for name, since in SINCE_DEBIAN.items() if not version.isdigit() or int(version) >= since]
    return packages


def ensure_packages(reporter: Reporter, offline: bool = False) -> None:
    """Installs whatever is missing, or says exactly what is and why it could not be installed."""
    missing = missing_packages(wanted_packages())
    if not missing:
        return
    prefix = install_prefix()
    if offline:
        raise missing_error(missing, "--offline forbids installing them")
    if not shutil.which("apt-get"):
        raise missing_error(missing, "this system has no apt-get")
    if prefix is None:
        raise missing_error(missing, "installing needs root, and sudo does not work without a password here")
    reporter.say(f"installing {len(missing)} system packages: {' '.join(missing)}")
    _install(missing, prefix, reporter)


def missing_packages(names: list[str]) -> list[str]:
    """Those of the packages that dpkg does not know as installed; all of them where there is no dpkg."""
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *names]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=60)
    except OSError:
        return names
    return [name for name in names if name not in installed_in(answer.stdout)]


def installed_in(listing: str) -> set[str]:
    """The installed packages in dpkg-query's "name status" lines."""
    return {name for name, _, status in (line.partition(" ") for line in listing.splitlines()) if status.strip() == "installed"}


def install_prefix() -> list[str] | None:
    """What goes before apt-get to make it root's: nothing, sudo, or None when neither works."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0:
        return [sudo, "-n"]
    return None


def missing_error(missing: list[str], reason: str) -> FrontendError:
    return FrontendError(f"{len(missing)} system packages are missing, and {reason}.", details=[
        *(f"  {name:20} {PACKAGES.get(name, 'the build')}" for name in missing),
        "On Debian this installs them:", f"  sudo apt-get install --no-install-recommends {' '.join(missing)}"])


def _install(missing: list[str], prefix: list[str], reporter: Reporter) -> None:
    """Installs with the package lists that are there; if that fails they may be old or absent, so once more with new ones."""
    apt_get = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
    install = [*apt_get, "install", "--no-install-recommends", *missing]
    try:
        run_step(reporter, "packages.install", "apt-get install", install)
    except FrontendError:
        try:
            run_step(reporter, "packages.update", "apt-get update", [*apt_get, "update"])
            run_step(reporter, "packages.install", "apt-get install", install)
        except FrontendError as failure:
            explained = missing_error(missing, "apt-get could not install them")
            explained.details += [failure.message, *failure.details]
            raise explained from failure
    still = missing_packages(missing)
    if still:
        raise missing_error(still, "apt-get did not install them although it reported success")


def firmware_directories() -> list[Path]:
    """What QEMU needs as -L: the firmware that its repacked source does not carry."""
    return [directory for directory in (Path("/usr/share/seabios"), Path("/usr/share/qemu")) if directory.is_dir()]


def static_busybox() -> Path:
    for candidate in (Path("/bin/busybox"), Path("/usr/bin/busybox")):
        if candidate.is_file():
            return candidate
    raise missing_error(["busybox-static"], "the guest's init needs it")
