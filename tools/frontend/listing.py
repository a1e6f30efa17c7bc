# SPDX-License-Identifier: GPL-2.0-or-later
"""./tandem list: what can be run and what can be tested, with one line on each."""
from . import workloads
from .run import ensure


def print_table(rows):
    width = max((len(name) for name, _text in rows), default=0)
    for name, text in rows:
        print(f"  {name:<{width}}  {text}".rstrip())


def list_command(args):
    catalogue = workloads.load(ensure(args, "guest").guest_dir)
    print("Workloads (./tandem run NAME [ARGS...]):")
    rows = [("demo", f"{', '.join(catalogue.demo)} in turn, with a trace")] if catalogue.demo else []
    print_table(rows + [(w.name, w.description) for w in catalogue.workloads.values()])
    print("\nTest suites in the guest (./tandem test guest --filter 'SUITE*'; './tandem test --list' shows every case):")
    print_table([(name, "") for name in catalogue.test_binaries()])
    print("\nPrograms of the host run by their path: ./tandem run /bin/uname -a")
    return 0
