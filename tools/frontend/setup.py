# SPDX-License-Identifier: GPL-2.0-or-later
"""The command ./tandem setup: everything that a fresh machine needs, in one go, and nothing twice."""

import argparse
import time

from . import artifacts, build_project
from .cache import cache_root
from .progress import Reporter, clock
from .setup_packages import ensure_packages

EPILOG = """\
what it does, in this order, each step only if it is not done yet:
  1. installs missing Debian packages with apt-get (as root or through sudo);
  2. finds the pinned sources of QEMU, Linux and a few tools: in the directory named by
     TANDEM_DISTDIR, in the cache, at the upstream location, or on the Debian mirror that apt
     is configured for. Checksums are pinned in tools/frontend/sources.json;
  3. builds the hardware model, QEMU with qemu-patches/, the guest kernel with
     guest-image/kernel/, the driver, the runtime, the workloads and the tests.

The cache is ${TANDEM_CACHE:-${XDG_CACHE_HOME:-~/.cache}/tandem}. Its entries are named after their content,
so another checkout builds nothing again. Logs are in its folder logs/. An interrupted setup goes on
where it stopped. It is always safe to remove the cache.

examples:
  ./tandem setup                                    everything; some 12 minutes on 2 cores the first time
  TANDEM_DISTDIR=~/archives ./tandem setup --offline   without any network
  ./tandem setup --only qemu                        only QEMU, after a change in qemu-patches/
"""


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tandem setup", description="Fetch and build everything that Tandem needs.",
                                     epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", "-j", metavar="N", type=positive, default=artifacts.default_jobs(),
                        help="compile with N processes at a time (default: %(default)s, the CPUs of this machine)")
    parser.add_argument("--offline", action="store_true", help="never touch the network; fail if something would have to be fetched")
    parser.add_argument("--only", metavar="KIND", action="append", choices=artifacts.KINDS,
                        help=f"make only this kind and what it needs; may be repeated ({', '.join(artifacts.KINDS)})")
    parser.add_argument("--kernel", metavar="NAME", default="default",
                        help="which guest kernel: default, or another that guest-image/kernel/ describes")
    parser.add_argument("--verbose", "-v", action="store_true", help="show the whole output of all tools")
    return parser


def positive(text: str) -> int:
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def main(arguments: list[str]) -> int:
    """Runs ./tandem setup; problems come as FrontendError."""
    options = argument_parser().parse_args(arguments[1:] if arguments[:1] == ["--"] else arguments)
    start = time.monotonic()
    reporter = Reporter(verbose=options.verbose)
    ensure_packages(reporter, options.offline)
    kinds = options.only or present_kinds()
    found = artifacts.ensure(*kinds, kernel=options.kernel, jobs=options.jobs, offline=options.offline, reporter=reporter)
    print(f"ready ({clock(time.monotonic() - start)}); the cache is {cache_root()}")
    for line in artifacts.describe(found):
        print(line)
    return 0


def present_kinds() -> list[str]:
    """All kinds whose sources this checkout has."""
    absent = set()
    if not build_project.has_project():
        absent |= {"model", "guest", "hosttests"}
    if not build_project.has_driver():
        absent.add("driver")
    return [kind for kind in artifacts.KINDS if kind not in absent]
