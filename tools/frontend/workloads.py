# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be run: the workloads that the stage describes, and programs of the host by their path.

share/workloads.json holds a list of objects with name, description and, optionally, binary (in bin/) and args under "workloads",
and the names for `./tandem run demo`, in their order, under "demo".
"""
import difflib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from .status import UsageError

GUEST_STAGE = "/tandem"
GUEST_OWNED = ("/dev", "/proc", "/sys", "/tmp", "/run", "/tandem", "/modules", "/host")


@dataclass(frozen=True)
class Workload:
    name: str
    description: str
    binary: str
    arguments: list = field(default_factory=list)

    @property
    def path(self):
        """In the guest."""
        return f"{GUEST_STAGE}/bin/{self.binary}"


@dataclass(frozen=True)
class Catalogue:
    """The stage's workloads and the demo's sequence."""
    workloads: dict
    demo: list
    bin_directory: Path

    def test_binaries(self):
        return sorted(path.name for path in self.bin_directory.glob("*_test") if os.access(path, os.X_OK))


def load(guest_dir):
    path = Path(guest_dir) / "share" / "workloads.json"
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        document = {}
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    workloads = {entry["name"]: _workload(entry) for entry in document.get("workloads", [])}
    return Catalogue(workloads, document.get("demo", []), Path(guest_dir) / "bin")


def _workload(entry):
    name = entry["name"]
    return Workload(name, entry.get("description", ""), entry.get("binary", name), list(entry.get("args", [])))


def guest_path(path):
    """Where the guest sees a path of the host: under the same name, unless the guest has its own directory there."""
    path = os.path.abspath(path)
    owned = any(path == top or path.startswith(top + "/") for top in GUEST_OWNED)
    return f"/host{path}" if owned else path


def resolve(target, arguments, catalogue):
    """(path in the guest, argv) for what the user named. Raises UsageError where there is nothing of that name."""
    if target in catalogue.workloads:
        workload = catalogue.workloads[target]
        return workload.path, [workload.binary, *(arguments or workload.arguments)]
    if "/" in target:
        return _host_program(target), [target, *arguments]
    if os.access(catalogue.bin_directory / target, os.X_OK):
        return f"{GUEST_STAGE}/bin/{target}", [target, *arguments]
    raise _unknown(target, catalogue)


def _host_program(target):
    if not os.path.exists(target):
        raise UsageError(f"{target}: no such file")
    if os.path.isdir(target):
        raise UsageError(f"{target}: is a directory, not a program")
    if not os.access(target, os.X_OK):
        raise UsageError(f"{target}: is not executable; chmod +x it first")
    return guest_path(target)


def _unknown(target, catalogue):
    names = [*catalogue.workloads, *catalogue.test_binaries(), "demo"]
    near = difflib.get_close_matches(target, names, 3, 0.5)
    message = f"no workload '{target}'"
    if near:
        message += f"; near: {', '.join(near)}"
    details = ["./tandem list shows all workloads"]
    local = f"./{target}" if os.path.isfile(target) else shutil.which(target)
    if local:
        details.append(f"for the program of the host, give its path: ./tandem run {local}")
    return UsageError(message, details)
