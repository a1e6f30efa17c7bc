# SPDX-License-Identifier: GPL-2.0-or-later
"""./tandem test host --sanitize: the hardware model's tests with AddressSanitizer, LeakSanitizer and UndefinedBehaviourSanitizer.

They have a build directory of their own in the cache, in which only the model's test programs are built. The first report of a
sanitizer ends the program, and so fails the test that ran.
"""
import json
import subprocess
from pathlib import Path

from . import build_project, build_tools
from .cache import checkout_root, content_key, host_identity, locked, remove_tree, write_atomically
from .host_tests import HostProgram
from .progress import Reporter, ninja_counter, run_step

OPTIONS = ("-Dbuildtype=debugoptimized", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dprefix=/tandem")
VARIABLES = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}
SLOWER = 4  # times the time that a test may take
MODEL_TESTS = "hw-model/tests/"


def build_directory():
    return build_project.checkout_directory() / "build-sanitize"


def programs(jobs, offline=False):
    """Builds what is out of date; returns the test programs."""
    reporter = Reporter(quiet=True)
    with locked(f"{build_project.checkout_directory().name}-sanitize"):
        _configure(reporter, offline)
        found = _described()
        run_step(reporter, "sanitize.build", "Tandem with sanitizers: building",
                 ["ninja", f"-j{jobs}", *(path for _name, path in found)], cwd=build_directory(), counter=ninja_counter)
    return [HostProgram(f"sanitized {name}", [build_directory() / path], str(build_directory()), VARIABLES) for name, path in found]


def _configure(reporter, offline):
    build, stamp = build_directory(), build_directory() / ".tandem-configured"
    key = content_key(*OPTIONS, str(checkout_root()), host_identity())
    if stamp.exists() and stamp.read_text() == key:
        return
    meson = build_tools.meson(reporter, offline)
    capstone = build_tools.capstone_pkg_config(reporter, offline)
    remove_tree(build)
    build.mkdir(parents=True)
    run_step(reporter, "sanitize.configure", "Tandem with sanitizers: configuring",
             [*meson.command, "setup", *OPTIONS, build, checkout_root()], environment=build_project.environment(capstone))
    write_atomically(stamp, key.encode())


def _described():
    """[(name, path below the build directory)] of the model's test programs, from the build files as they are now."""
    subprocess.run(["ninja", "build.ninja"], cwd=build_directory(), capture_output=True, check=False)
    tests = json.loads((build_directory() / "meson-info/intro-tests.json").read_text())
    paths = [(entry["name"], Path(entry["cmd"][0]).relative_to(build_directory())) for entry in tests
             if Path(entry["cmd"][0]).is_relative_to(build_directory())]
    return [(name, str(path)) for name, path in paths if str(path).startswith(MODEL_TESTS)]
