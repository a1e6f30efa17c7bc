# SPDX-License-Identifier: GPL-2.0-or-later
"""`tandem trace export`: a trace as a timeline that Perfetto's viewer (and Chrome's) opens: the JSON trace event format.

An address space is a process of the timeline. What lasts (packets, walks, faults until their replay, invalidations until
their acknowledgement, copies) becomes a slice with a begin and an end; these overlap, so they are the format's asynchronous
events ('b' and 'e', joined by category and id). What happens at a moment becomes an instant. Times are microseconds.
"""
import argparse
import json
import os

from .console import STATUSES, USAGE, complain, report_problems, run
from .decode import ADDRESSES, decode
from .reader import TraceReader
from .sentences import queue_of
from .vocabulary import enum_names, process_name, record_type

FORMATS = ("chrome",)
_PAGE_SHIFT = 12


def parser():
    result = argparse.ArgumentParser(prog="tandem trace export", epilog=STATUSES,
                                     description="Write a trace as a timeline for https://ui.perfetto.dev or chrome://tracing.",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--format", choices=FORMATS, default="chrome", help="JSON trace events (the default)")
    result.add_argument("file", metavar="FILE", help="written by './tandem run --trace FILE'")
    result.add_argument("out", metavar="OUT", help="the JSON file to write")
    return result


def export_main(argv):
    """The command; argv without its name. Returns the exit status."""
    return run(parser, _export, argv)


def _export(args):
    if os.path.exists(args.out) and os.path.exists(args.file) and os.path.samefile(args.file, args.out):
        complain(f"{args.out}: is the trace itself; name another file to write")
        return USAGE
    with TraceReader(args.file) as reader:
        timeline = Timeline(reader.header.epoch_ns)
        try:
            with open(args.out, "w", encoding="utf-8") as out:
                _write(reader, timeline, out)
        except OSError as error:
            complain(f"{args.out}: {error.strerror or error}")
            return USAGE
        return report_problems(reader)


def _write(reader, timeline, out):
    """A JSON array, one event a line."""
    separator = "[\n"
    for batch in reader.batches(frozenset(timeline.handlers)):
        for record in batch:
            for event in timeline.handlers[record[1]](record):
                out.write(separator + json.dumps(event))
                separator = ",\n"
    for event in timeline.unfinished(reader.last_ns):
        out.write(separator + json.dumps(event))
        separator = ",\n"
    out.write("[\n]\n" if separator == "[\n" else "\n]\n")


class Timeline:
    """Turns records into timeline events: each handler takes a record and gives a list of events."""

    def __init__(self, epoch_ns):
        self._epoch = epoch_ns
        self._names = enum_names("tandem_trace_type")
        self._faults = {}  # pasid -> {fault id: (begin, fields)}
        self._next_id = 0
        lasting = {"RETIRE": ("packet", 9), "WALK": ("walk", 10), "INVALIDATED": ("invalidate", 10), "COPY": ("copy", 10),
                   "COMMAND": ("command", 9), "MIGRATE": ("migrate", 10), "ATS_ANSWER": ("ats", 10),
                   "PAGE_RESPONSE": ("page request", 10), "ATC_INVALIDATED": ("ATC invalidation", 10), "DRAIN": ("drain", 10)}
        self.handlers = {record_type(name): self._instant for name in ("RESET", "QUEUE", "DOORBELL", "NOTE", "SUSPEND", "DISPATCH",
                                                                       "INVALIDATE", "POISON", "ACCESS_COUNTER")}
        for name, (category, member) in lasting.items():
            self.handlers[record_type(name)] = self._lasting(category, member)
        self.handlers |= {record_type("BIND"): self._bind, record_type("FAULT"): self._fault,
                          record_type("REPLAY"): self._end_faults(""), record_type("UNBIND"): self._end_faults(", unbound"),
                          record_type("CANCEL"): self._cancel}

    def _microseconds(self, time_ns):
        return (time_ns - self._epoch) / 1000

    def _instant(self, record):
        name = self._names[record[1]]
        return [{"ph": "i", "s": "p", "name": name, "pid": record[3], "tid": queue_of(record) or 0,
                 "ts": self._microseconds(record[0]), "args": _arguments(decode(record))}]

    def _bind(self, record):
        name = f"{process_name(record[9], record[10])}[{record[7]}]"
        return [{"ph": "M", "name": "process_name", "pid": record[3], "args": {"name": name}}, *self._instant(record)]

    def _lasting(self, category, member):
        """A handler for records written at the end of something, whose duration is in the given member."""
        def handler(record):
            fields = decode(record)
            return self._slice(category, _title(category, fields), record[3], record[0] - record[member], record[0], fields)
        return handler

    def _slice(self, category, name, pasid, begin, end, fields):
        self._next_id += 1
        both = {"cat": category, "id": self._next_id, "name": name, "pid": pasid, "tid": 0}
        return [{"ph": "b", "ts": self._microseconds(begin), **both, "args": _arguments(fields)},
                {"ph": "e", "ts": self._microseconds(end), **both}]

    def _fault(self, record):
        self._faults.setdefault(record[3], {})[record[8]] = (record[0], decode(record))
        return []

    def _end_faults(self, ending):
        """A handler for records that end all waiting faults of their address space."""
        def handler(record):
            waiting = self._faults.pop(record[3], {})
            return self._fault_slices(record[3], waiting, record[0], ending) + self._instant(record)
        return handler

    def _cancel(self, record):
        waiting = self._faults.get(record[3], {})
        page = record[6] >> _PAGE_SHIFT
        ended = {number: fault for number, fault in waiting.items() if fault[1]["va"] >> _PAGE_SHIFT == page}
        for number in ended:
            del waiting[number]
        return self._fault_slices(record[3], ended, record[0], ", cancelled") + self._instant(record)

    def _fault_slices(self, pasid, faults, end, ending):
        return [event for begin, fields in faults.values()
                for event in self._slice("fault", _title("fault", fields) + ending, pasid, begin, end, fields)]

    def unfinished(self, last_ns):
        """Faults that nothing answered: they last to the end of the trace."""
        return [event for pasid, waiting in self._faults.items()
                for event in self._fault_slices(pasid, waiting, last_ns, ", unanswered")]


def _title(category, fields):
    return {"ats": lambda: f"ATS {fields['access']}", "page request": lambda: f"page requests, {fields['code']}",
            "ATC invalidation": lambda: "ATC invalidation", "drain": lambda: "drain", "packet": lambda: f"packet {fields['packet']}", "walk": lambda: f"walk {fields['access']}",
            "invalidate": lambda: f"invalidate {fields['cause']}", "copy": lambda: "copy",
            "migrate": lambda: f"migrate {fields['cause']} to {fields['to']}", "command": lambda: fields["command"], "fault": lambda: f"fault {fields['access']}"}[category]()


def _arguments(fields):
    return {name: f"{value:#x}" if name in ADDRESSES else value for name, value in fields.items()}
