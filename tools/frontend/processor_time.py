# SPDX-License-Identifier: GPL-2.0-or-later
"""What processor time a process has used: unlike the clock on the wall it tells little of what else this machine is doing."""
import os
from pathlib import Path

GPU_THREAD = "tandem-gpu"  # as qemu-patches/files/hw/misc/tandem/tandem-exec.c calls it
_USER_AND_SYSTEM = slice(11, 13)  # fields of proc_pid_stat(5), counted from the one behind the name


def parse(stat):
    """(name, clock ticks) of a line of proc_pid_stat(5). The name may hold anything, brackets and blanks as well."""
    head, _, tail = stat.rpartition(")")
    return head.partition("(")[2], sum(map(int, tail.split()[_USER_AND_SYSTEM]))


def used_s(pid, thread=None):
    """Seconds since it began: of the whole process, or of its threads of this name that run."""
    process = Path(f"/proc/{pid}")
    files = [process / "stat"] if thread is None else process.glob("task/*/stat")
    ticks = 0
    for file in files:
        try:
            name, used = parse(file.read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        if thread in (None, name):
            ticks += used
    return ticks / os.sysconf("SC_CLK_TCK")
