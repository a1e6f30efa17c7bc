# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches for sources that others publish: a directory with a file `series` that lists them in order."""

import subprocess
from pathlib import Path

from .status import FrontendError


def read_series(directory: Path) -> list[Path]:
    """The patches that the directory's `series` lists, in its order. Each listed file must exist, each patch must be listed."""
    series = directory / "series"
    listed = []
    if series.exists():
        lines = (line.partition("#")[0].strip() for line in series.read_text().splitlines())
        listed = [directory / line for line in lines if line]
    for patch in listed:
        if not patch.is_file():
            raise FrontendError(f"{series} lists {patch.name}, which does not exist.")
    forgotten = sorted(path.name for path in directory.glob("*.patch") if path not in listed)
    if forgotten:
        raise FrontendError(f"{series} does not list {', '.join(forgotten)}.")
    return listed


def apply_patch(patch: Path, tree: Path, title: str) -> None:
    """Exactly where it says, or not at all. title: whose sources these are."""
    command = ["patch", "-p1", "--forward", "--batch", "--fuzz=0", "--no-backup-if-mismatch", "--reject-file=-",
               "--directory", str(tree), "--input", str(patch)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise FrontendError(f"{patch.name} does not apply to {title}:", details=result.stdout.splitlines()[-20:])
