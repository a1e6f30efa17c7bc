# SPDX-License-Identifier: GPL-2.0-or-later
"""`tandem trace show`: one line for each event, or one JSON object for each with --json."""
import argparse
import json
import sys

from . import filters
from .console import STATUSES, WHOLE, report_problems, run
from .decode import ADDRESSES, decode
from .reader import TraceReader
from .sentences import HEADING, line, queue_of, unit_of
from .vocabulary import Processes, enum_names, record_type

_EXAMPLES = """\
Each event is a line: time since the trace began, what happened, address space (and its process), queue, virtual address,
and the rest in words. An invalidation is two lines with one number: 'invalidate #7' tells the cause, the process and the
range that Linux's notifier was called for; 'invalidated #7' what the device held of it and how long the driver waited.

examples:
  ./tandem trace show FILE --type invalidate,invalidated          every invalidation and its acknowledgement
  ./tandem trace show FILE --cause unmap --pasid 1                those that munmap caused in one address space
  ./tandem trace show FILE --va 7f1200000000-7f1200200000         the life of one 2 MiB range
  ./tandem trace show FILE --since 12ms --until 13ms              one millisecond of everything
"""


def parser():
    result = argparse.ArgumentParser(prog="tandem trace show", description="Print the events of a trace file.",
                                     epilog=_EXAMPLES + "\n" + STATUSES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("file", metavar="FILE", help="written by './tandem run --trace FILE'")
    filters.add_arguments(result)
    result.add_argument("--json", action="store_true", help="one JSON object a line, with symbolic names")
    return result


def show_main(argv):
    """The command; argv without its name. Returns the exit status."""
    return run(parser, show, argv)


def show(args, out=None):
    out = out or sys.stdout
    with TraceReader(args.file) as reader:
        form = _json_line if args.json else line
        if not args.json:
            out.write(HEADING + "\n")
        if not _print_events(args, reader, form, out):
            return WHOLE  # the user's limit ended it: the rest was not looked at
        return report_problems(reader)


def _print_events(args, reader, form, out):
    """False if --limit ended it before the end of the file."""
    wanted = filters.wanted_types(args)
    bind = record_type("BIND")
    passing = filters.tests(args, reader.header.epoch_ns)
    processes = Processes()
    left = args.limit or -1
    for batch in reader.batches(None if wanted is None else wanted | {bind}):
        lines = []
        for record in batch:
            if record[1] == bind:
                processes.bind(record)
                if wanted is not None and bind not in wanted:
                    continue
            if all(test(record) for test in passing):
                lines.append(form(record, reader.header.epoch_ns, processes))
                left -= 1
                if left == 0:
                    break
        if lines:
            out.write("\n".join(lines) + "\n")
        if left == 0:
            return False
    return True


def _json_line(record, epoch_ns, processes):
    event = {"time_ns": record[0] - epoch_ns, "type": enum_names("tandem_trace_type")[record[1]]}
    if record[3]:
        event["pasid"] = record[3]
        if processes.of_pasid(record[3]) is not None:
            event["process"] = processes.of_pasid(record[3])
    for name, value in (("queue", queue_of(record)), ("unit", unit_of(record))):
        if value is not None:
            event[name] = value
    for name, value in decode(record).items():
        event[name] = f"{value:#x}" if name in ADDRESSES else value
    return json.dumps(event)
