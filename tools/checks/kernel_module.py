# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel's own tools say about module sources: gcc's W=1, sparse and checkpatch, against the tree that the guest's
kernel was built from. Silence is the only good answer; nothing is filtered.
"""
import os
import subprocess

from frontend import artifacts

# sparse 0.6.4 is older than Linux 7.3 in two places. It does not know the operator __typeof_unqual__; and it does not fold
# __builtin_strlen() of a string literal, on which each MODULE_*() line of any module has a static assertion. Both get a
# definition that means the same there, so that nothing that sparse says has to be ignored.
SPARSE_FLAGS = "-D__typeof_unqual__=__typeof__ '-D__builtin_strlen(s)=(sizeof(s)-1)'"

# Errors and warnings, all of them. What --strict adds is taste, in which the kernel's own trace headers differ, too.
CHECKPATCH_OPTIONS = ("--no-tree", "--terse", "--no-summary", "--show-types")


def kernel_tree():
    """What the default guest kernel left for out-of-tree modules."""
    return artifacts.ensure("kernel").kernel_build


def build(directory, *options):
    """Compiles the modules of this directory with every warning of W=1, and sparse; returns all that was said."""
    command = ["make", "-s", f"-j{os.cpu_count()}", "-C", kernel_tree(), f"M={directory}", "W=1", "C=2", "CHECK=sparse",
               f"CF={SPARSE_FLAGS}", *options, "modules"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "KBUILD"))}
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment, check=False)
    said = result.stdout + result.stderr
    return said if said or result.returncode == 0 else f"make ended with status {result.returncode}"


def checkpatch(files):
    """What checkpatch says about whole files."""
    command = ["perl", kernel_tree() / "scripts/checkpatch.pl", *CHECKPATCH_OPTIONS, "-f", *files]
    result = subprocess.run(command, cwd=kernel_tree(), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return result.stdout + result.stderr
