# SPDX-License-Identifier: GPL-2.0-or-later
"""What the trace commands share: exit statuses, messages, and a reader of our output that has gone away."""
import os
import sys

from .abi import AbiError
from .reader import TraceError

WHOLE = 0         # the file was whole, and all that was asked for is shown
INCOMPLETE = 1    # the file is no trace, or damaged, cut off or has lost records; what is readable is shown
USAGE = 2         # wrong options, or no such file
PIPE_CLOSED = 141  # what a shell reports of any tool whose reader went away

STATUSES = """\
exit status:
  0    the trace is whole
  1    the file is no trace, or is cut off, damaged or lacks records: what is readable is shown, the rest is told on stderr
  2    wrong options, or no such file
"""


def complain(message):
    sys.stdout.flush()
    print(f"tandem: {message}", file=sys.stderr)


def report_problems(reader):
    """Tell what was wrong with the file; returns the exit status."""
    for problem in reader.problems:
        complain(f"{reader.path}: {problem}")
    return INCOMPLETE if reader.problems else WHOLE


def run(make_parser, command, argv):
    """Parse argv, run a command, and turn whatever can go wrong into a message and an exit status."""
    args = None
    try:
        args = make_parser().parse_args(argv)
        status = command(args)
        sys.stdout.flush()
        return status
    except SystemExit as ended:  # argparse: --help, or wrong options
        return ended.code or WHOLE
    except TraceError as error:
        complain(error)
        return USAGE if error.missing else INCOMPLETE
    except AbiError as error:
        complain(error)
        return USAGE
    except BrokenPipeError:
        _forget_stdout()
        return PIPE_CLOSED
    except OSError as error:
        complain(f"{args.file}: {error.strerror or error}" if args else error)
        return INCOMPLETE


def _forget_stdout():
    """Python flushes stdout once more at exit: give it somewhere to go."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
