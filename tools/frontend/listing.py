# SPDX-License-Identifier: GPL-2.0-or-later
"""./tandem list: what can be run and what can be tested, with one line on each."""
import subprocess

from . import guest_tests, workloads
from .host_tests import HostProgram
from .run import ensure


def print_table(rows):
    width = max((len(name) for name, _text in rows), default=0)
    for name, text in rows:
        print(f"  {name:<{width}}  {text}".rstrip())


def describe_suite(path, configs):
    """The description that the stage gives, and how many tests the program has."""
    try:
        count = len(HostProgram(path.name, [path]).list_tests())
    except (OSError, subprocess.SubprocessError) as error:
        return f"lists no tests: {error}".splitlines()[0]
    description = configs.get(path.name, {}).get("description", "")
    return f"{count:4d} tests  {description}"


def list_command(args):
    guest_dir = ensure(args, "guest").guest_dir
    catalogue = workloads.load(guest_dir)
    configs = guest_tests.load_configs(guest_dir)
    print("Workloads (./tandem run NAME [ARGS...]):")
    rows = [("demo", f"{', '.join(catalogue.demo)} in turn, with a trace")] if catalogue.demo else []
    print_table(rows + [(w.name, w.description) for w in catalogue.workloads.values()])
    print("\nTest suites in the guest (./tandem test guest):")
    print_table([(name, describe_suite(catalogue.bin_directory / name, configs)) for name in catalogue.test_binaries()])
    print("\nTests on the host (./tandem test host): the hardware model's, the front end's, the trace reader's, and QEMU's test of")
    print("the device. './tandem test --list' shows every test. Programs of the host run by path: ./tandem run /bin/uname -a")
    return 0
