# SPDX-License-Identifier: GPL-2.0-or-later
"""What the driver has not freed: asked of kmemleak, which the debug kernel has, at the end of a boot.

Twice: while the driver is loaded, for memory that nobody points to any more; and after it is unloaded, for memory that only its
own lists pointed to, and would have for ever. Unloading is a test of its own under such a kernel: it must not complain.
"""
import re

from .boot import GuestDied
from .execution import Collector, Execution, Program, exit_status
from .results import FAILED, PASSED, TestResult

GROUP = "guest kernel"
NAME = "Boot.DriverFreesItsMemory"
TIMEOUT_S = 900.0  # four scans of all memory, under emulation: 20 s each, and more on a busy host

NO_KMEMLEAK = 44
MODULE_STAYS = 45
UNLOADED_MARK = "--- unloaded"

# kmemleak says nothing about memory younger than five seconds, nor about what changed since its last look.
SCRIPT = f"""
leaks=/sys/kernel/debug/kmemleak
box=/guest-bin/busybox
test -w $leaks || exit {NO_KMEMLEAK}
look() {{ $box sleep 6; echo scan >$leaks; echo scan >$leaks; $box cat $leaks; }}
look
echo clear >$leaks
$box rmmod tandem || exit {MODULE_STAYS}
echo '{UNLOADED_MARK}'
look
"""

_RECORD = re.compile(r"^(?=unreferenced object )", re.M)
# The driver's functions, by name while it is loaded; afterwards they have addresses only, of which a kernel has no others.
_OURS = re.compile(r"\[tandem\]|^\s+(?:\[<[^>]*>\] )?0x[fF]{8}[0-9a-fA-F]{8}$", re.M)


def driver_leaks(text):
    """The records of kmemleak that name the driver."""
    return [record.rstrip() for record in _RECORD.split(text) if record.startswith("unreferenced object") and _OURS.search(record)]


def check(guest):
    """Runs the check in a guest that is about to be powered off. None where the kernel has no kmemleak."""
    collector = Collector()
    program = Program("/guest-bin/busybox", ["sh", "-c", SCRIPT], "/tmp")
    try:
        status = exit_status(Execution(guest, collector).run(program, TIMEOUT_S))
    except GuestDied as death:
        return TestResult(GROUP, NAME, FAILED, message="\n".join([death.message, *death.details]))
    if status == NO_KMEMLEAK:
        return None
    problems = driver_leaks(collector.text())
    problems += ["\n".join(complaint.lines) for complaint in guest.kernel_log.take_splats() + guest.checker.take_reports()]
    if status:
        problems.append(f"the check ended with status {status}:\n{collector.text()}")
    return TestResult(GROUP, NAME, FAILED if problems else PASSED, message="\n".join(problems))
