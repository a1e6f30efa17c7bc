# SPDX-License-Identifier: GPL-2.0-or-later
"""Which lines of the kernel are splats, and which end of the console is shown."""
import tempfile
import unittest
from pathlib import Path

from frontend.console import KernelLog, SerialConsole, clean, is_splat, tail

SPLATS = (
    "WARNING: CPU: 0 PID: 61 at mm/memory.c:4250 do_swap_page+0x1/0x2",
    "WARNING: mm/hmm.c:81 at hmm_range_fault+0x1/0x2, CPU#1: vecadd/61",
    "BUG: KASAN: slab-use-after-free in tandem_fault+0x10/0x20",
    "BUG: kernel NULL pointer dereference, address: 0000000000000008",
    "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:580",
    "BUG: Bad page state in process vecadd  pfn:12345",
    "kernel BUG at mm/migrate_device.c:12!",
    "Oops: general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] SMP",
    "INFO: task vecadd:61 blocked for more than 20 seconds.",
    "INFO: possible recursive locking detected",
    "WARNING: possible circular locking dependency detected",
    "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [vecadd:61]",
    "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
    "refcount_t: underflow; use-after-free.",
    "pagealloc: memory corruption",
    "UBSAN: array-index-out-of-bounds in x.c:3:4",
)
HARMLESS = (
    "tandem 0000:01:00.0: GPU with 4 compute units", "Freeing unused kernel image (initmem) memory: 1068K",
    "PCI: Using configuration type 1 for base access", "clocksource: Watchdog remote CPU 1 read timed out",
    "vecadd (61): drop_caches: 3", "Run /init as init process", "Out of memory: Killed process 61 (vecadd)",
    "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",  # leaks.py reads whose they are
    "x86/cpu: User Mode Instruction Prevention (UMIP) activated", "debug: unmapping init [mem 0x1-0x2]",
)


class ConsoleTest(unittest.TestCase):
    def serial(self, text):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = Path(directory.name) / "console"
        path.write_text(text)
        return SerialConsole(path)

    def test_what_is_a_splat(self):
        for line in SPLATS:
            self.assertTrue(is_splat(line), line)
        for line in HARMLESS:
            self.assertFalse(is_splat(line), line)

    def test_one_report_is_one_splat_to_its_end_mark(self):
        log = KernelLog()
        for line in ("before", "WARNING: one", "RIP: 0010:x", "BUG: named again", "---[ end trace 0000 ]---", "between",
                     "WARNING: two", "Call Trace:"):
            log.add(line)
        first, second = log.take_splats()
        self.assertEqual((first.title, len(first.lines)), ("WARNING: one", 4))
        self.assertEqual(second.lines, ["WARNING: two", "Call Trace:"])
        self.assertEqual(log.take_splats(), [])

    def test_a_report_taken_is_closed(self):
        log = KernelLog()
        log.add("WARNING: one")
        log.take_splats()
        log.add("an ordinary line")
        self.assertEqual(log.take_splats(), [])

    def test_panic_reason(self):
        self.assertEqual(self.serial("[ 1.0] Kernel panic - not syncing: Fatal exception\n").panic(), "Fatal exception")
        self.assertIsNone(self.serial("quiet\n").panic())

    def test_terminal_controls_are_removed(self):
        self.assertEqual(clean("\x1b[2J\x1b[1;31mred\x07\x1b[0m \r\n"), "red")

    def test_tail_prefers_the_panic_to_the_fuller_log(self):
        log = KernelLog()
        for number in range(100):
            log.add(f"record {number}")
        panicked = self.serial("Kernel panic - not syncing: x\nend\n")
        self.assertEqual(tail(panicked, log), ["Kernel panic - not syncing: x", "end"])
        self.assertEqual(tail(self.serial("one line\n"), log, 2), ["record 98", "record 99"])

    def test_a_console_that_was_never_written(self):
        self.assertEqual(SerialConsole("/no/such/file").lines(), [])


if __name__ == "__main__":
    unittest.main()
