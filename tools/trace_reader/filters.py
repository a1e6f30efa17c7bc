# SPDX-License-Identifier: GPL-2.0-or-later
"""The filters of `trace show`: parsed from the command line, checked against the headers, applied to records.

Types are chosen in the reader, before a record is unpacked; the other filters are a list of small tests.
"""
import argparse

from .decode import copy_is_virtual, invalidation_cause, migrate_cause, types_with_cause, types_with_va, types_without_queue
from .units import parse_duration, parse_range
from .vocabulary import enum_names, record_type, set_flags

# The project's verb for what the device writes as several kinds of record.
VERBS = {"translate": ("WALK", "FILL", "ATS_REQUEST", "ATS_ANSWER")}


def _choose(text, known, noun, extra=()):
    """The values of a comma-separated list of names."""
    by_name = {name: value for value, name in known.items()}
    chosen = []
    for name in text.split(","):
        name = name.strip().lower()
        if name not in by_name and name not in extra:
            raise argparse.ArgumentTypeError(f"unknown {noun} '{name}'; known are {', '.join([*by_name, *extra])}")
        chosen.append(by_name.get(name, name))
    return chosen


def types(text):
    chosen = set()
    for value in _choose(text, enum_names("tandem_trace_type"), "type", VERBS):
        chosen |= {record_type(name) for name in VERBS[value]} if value in VERBS else {value}
    return chosen


def causes(text):
    """Numbers of enum tandem_cause and names of enum tandem_migrate_cause: both count from 1."""
    reasons = enum_names("tandem_migrate_cause").values()
    return set(_choose(text, enum_names("tandem_cause"), "cause", reasons))


def number(text):
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no number")
    return value


def count(text):
    value = number(text)
    if value == 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def va_range(text):
    try:
        return parse_range(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def time(text):
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_arguments(parser):
    parser.add_argument("--type", dest="types", type=types, metavar="TYPE,...",
                        help=f"events of these types: {', '.join(enum_names('tandem_trace_type').values())}; "
                             "translate means walk, fill, ats-request and ats-answer")
    parser.add_argument("--pasid", type=number, metavar="N", help="events of this address space")
    parser.add_argument("--queue", type=number, metavar="N", help="events of this queue")
    parser.add_argument("--cause", dest="causes", type=causes, metavar="CAUSE,...",
                        help="invalidations and notes with these causes: "
                             + ", ".join(enum_names("tandem_cause").values()) + "; migrations with these: "
                             + ", ".join(enum_names("tandem_migrate_cause").values()))
    parser.add_argument("--va", type=va_range, metavar="START[-END]",
                        help="events that touch these virtual addresses (hexadecimal, END exclusive)")
    parser.add_argument("--since", type=time, metavar="TIME", help="from this time on: 12.5 or 12.5ms, 850us, 1s, 300ns")
    parser.add_argument("--until", type=time, metavar="TIME", help="up to this time")
    parser.add_argument("--limit", type=count, metavar="N", help="stop after N events")


def wanted_types(args):
    """The types that can pass, or None for all."""
    wanted = args.types
    for given, possible in ((args.causes, types_with_cause), (args.va, types_with_va)):
        if given is not None:
            wanted = set(possible()) if wanted is None else wanted & possible()
    if args.queue is not None:
        wanted = set(enum_names("tandem_trace_type")) if wanted is None else wanted
        wanted = wanted - types_without_queue()
    return wanted


def tests(args, epoch_ns):
    """Functions of a record, all of which must hold; types are not among them."""
    chosen = []
    if args.pasid is not None:
        chosen.append(lambda record, pasid=args.pasid: record[3] == pasid)
    if args.queue is not None:
        chosen.append(lambda record, queue=args.queue: record[4] == queue)
    if args.causes is not None:
        chosen.append(lambda record, causes=args.causes: cause_of(record) in causes)
    if args.va is not None:
        chosen.append(lambda record, start=args.va[0], end=args.va[1]: touches(record, start, end))
    if args.since is not None:
        chosen.append(lambda record, first=epoch_ns + args.since: record[0] >= first)
    if args.until is not None:
        chosen.append(lambda record, last=epoch_ns + args.until: record[0] <= last)
    return chosen


def cause_of(record):
    """As causes() gives them."""
    return migrate_cause(record) if record[1] == record_type("MIGRATE") else invalidation_cause(record)


def touches(record, start, end):
    """Whether the record's virtual addresses share a byte with [start, end)."""
    kind, va, size = record[1], record[6], record[7] or 1
    if kind == record_type("COPY"):
        source = record[9]
        return copy_is_virtual(record) and (va < end and start < va + size or source < end and start < source + size)
    if kind == record_type("MIGRATE") and not record[3]:
        return False  # an offset into VRAM
    if kind in (record_type("INVALIDATE"), record_type("INVALIDATED")):
        if "all" in set_flags("TANDEM_INVALIDATE_", record[5] >> 16):
            return True
    return va < end and start < va + size
