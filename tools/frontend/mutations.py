# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue of mutations: share/mutations.json, one rule of the driver or of the hardware that is broken for each.

    "no-read-retry": {"side": "driver", "bug": "A10", "breaks": "what is done otherwise, as a sentence",
                      "provoke": "Faults.a_page_goes_between_the_look_and_the_commit", "key": "X1.stale-translation"}

side: driver (a parameter of the test-only module) or hardware (a property of the GPU). bug: class of real bugs. provoke: the test of
the program `provoke` in which it shows. key: how the checker's report begins, or, where seen_by is kasan or lockdep, an expression
for what the kernel says. runs: so many tries at most (1: a gate makes the order sure). translation: sva, or a mirror. kernel: which.
What is left is the machine, as in test-configs.json.
"""
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from .status import UsageError

CHECKER = "checker"
SEEN_BY = (CHECKER, "kasan", "lockdep")
SIDES = ("driver", "hardware")
MACHINE_KEYS = ("gpu", "gpus", "fabric", "atomic_ops", "iommu", "cpus", "memory")
REQUIRED = ("side", "bug", "breaks", "provoke", "key")


@dataclass(frozen=True)
class Mutation:
    name: str
    side: str
    bug: str
    breaks: str
    provoke: str
    key: str
    runs: int = 1
    translation: str = "mirror"
    seen_by: str = CHECKER
    kernel: str = "default"
    machine: dict = field(default_factory=dict, hash=False)

    def explains(self, report_key):
        """Does a report of this key name the cause?"""
        return report_key.startswith(self.key)

    def is_meant_by(self, splat):
        """Does what the kernel says name the cause?"""
        return re.search(self.key, splat) is not None


def load(guest_dir):
    """Of a stage. Empty where there is none."""
    return read(Path(guest_dir) / "share" / "mutations.json")


def documentation(catalogue):
    """The rows of the table in docs/checker.md, which a test compares with it."""
    return [f"| `{mutation.name}` | {mutation.bug} | {mutation.breaks} | {_seen(mutation)} |" for mutation in catalogue]


def _seen(mutation):
    return f"`{mutation.key}`" if mutation.seen_by == CHECKER else mutation.seen_by


def read(path):
    try:
        entries = json.loads(path.read_text())
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    return [_mutation(path, name, entry) for name, entry in entries.items()]


def _mutation(path, name, entry):
    own = {key: value for key, value in entry.items() if key not in MACHINE_KEYS}
    missing = [key for key in REQUIRED if key not in entry]
    if missing:
        raise UsageError(f"{path}: {name} has no {', '.join(missing)}")
    try:
        mutation = Mutation(name=name, machine={key: entry[key] for key in MACHINE_KEYS if key in entry}, **own)
    except TypeError as error:
        raise UsageError(f"{path}: {name}: {error}") from error
    if mutation.side not in SIDES or mutation.seen_by not in SEEN_BY:
        raise UsageError(f"{path}: {name}: side is one of {', '.join(SIDES)}, seen_by one of {', '.join(SEEN_BY)}")
    return mutation
