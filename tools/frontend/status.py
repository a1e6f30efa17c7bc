# SPDX-License-Identifier: GPL-2.0-or-later
"""Exit statuses of ./tandem, and the one exception that carries a status and a message to the user.

A program's own exit status passes through unchanged, so the front end's own values are the ones that shells and timeout(1)
made familiar: a script that wraps ./tandem can tell them apart.
"""

OK = 0
FAILED = 1
USAGE = 2
VIOLATION = 123
TIMED_OUT = 124
GUEST_PANICKED = 125
GUEST_LOST = 126
NOT_STARTED = 127
SIGNAL_BASE = 128
INTERRUPTED = 130

TABLE = """\
exit status:
  0..122   the program's own exit status (test: 0 when everything passed, 1 when something failed)
  2        wrong usage: unknown workload, unknown GPU property, missing file
  123      the coherence checker reported a violation (--check), whatever the program's own status
  124      time ran out (--timeout)
  125      the guest's kernel panicked
  126      the guest hung, or ended without a status, or QEMU failed
  127      the program could not be started in the guest
  128+N    the program was killed by signal N
  130      interrupted with Ctrl-C
"""


class FrontendError(Exception):
    """Something the user must know. `details` are lines to show below the message, such as the end of the console."""

    def __init__(self, message, status=FAILED, details=()):
        super().__init__(message)
        self.message = message
        self.status = status
        self.details = list(details)


class UsageError(FrontendError):
    """The command line asks for something that does not exist."""

    def __init__(self, message, details=()):
        super().__init__(message, USAGE, details)
