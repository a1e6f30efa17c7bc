# SPDX-License-Identifier: GPL-2.0-or-later
"""`tandem trace summary`: a Summary as text or, with --json, as one JSON object."""
import argparse
import json
import sys

from .console import INCOMPLETE, STATUSES, WHOLE, complain, run
from .samples import EXACT
from .summary import summarise
from .units import duration, exact_size, rough_size

_ABOUT = f"""\
Percentiles are by nearest rank. They are exact up to {EXACT:,} values; beyond that values are kept in buckets, percentiles
are off by less than half a per cent and marked with '~'. The maximum is always exact.

"""
_LATENCY_HEADINGS = ("p50", "p90", "p99", "max")


def parser():
    result = argparse.ArgumentParser(prog="tandem trace summary", description="Counts, bytes and latencies of a trace file, by "
                                     "process and by what caused each invalidation.", epilog=_ABOUT + STATUSES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("file", metavar="FILE", help="written by './tandem run --trace FILE'")
    result.add_argument("--json", action="store_true", help="one JSON object; times in nanoseconds")
    return result


def summary_main(argv):
    """The command; argv without its name. Returns the exit status."""
    return run(parser, _show_summary, argv)


def _show_summary(args):
    summary = summarise(args.file)
    if args.json:
        print(json.dumps(summary.as_dict(), indent=2))
    else:
        sys.stdout.write(format_summary(summary, problems=False))  # they go to stderr
    for problem in summary.problems:
        complain(f"{summary.path}: {problem}")
    return INCOMPLETE if summary.problems else WHOLE


def format_summary(summary, problems=True):
    """The text, ending in a newline; `problems`: with what was wrong with the file."""
    sections = [_heading(summary, problems), _events(summary), _invalidations(summary), _by_iommu(summary),
                _migrations(summary),
                *(_process(process) for process in summary.processes), _device(summary)]
    return "\n".join(section for section in sections if section)


def _heading(summary, problems):
    state = "INCOMPLETE" if summary.problems else "whole"
    lines = [f"{summary.path}: {summary.records:,} events in {duration(summary.span_ns)} of the device's time; {state}"]
    lines += [f"  note: {problem}" for problem in summary.problems if problems]
    return "\n".join(lines) + "\n"


def _events(summary):
    counts = {name: count for name, count in summary.counts.items() if name != "end"}
    if not counts:
        return "No events.\n"
    return "Events\n" + _wrapped([f"{name} {count:,}" for name, count in counts.items()])


def _wrapped(parts, width=110):
    lines, current = [], ""
    for part in parts:
        if current and len(current) + len(part) + 2 > width:
            lines.append(f"  {current}\n")
            current = ""
        current += f"{', ' if current else ''}{part}"
    return "".join(lines) + f"  {current}\n"


def _latencies(samples):
    """p50, p90, p99 and max as text."""
    if not samples.count:
        return ["-"] * len(_LATENCY_HEADINGS)
    mark = "" if samples.exact else "~"
    return [mark + duration(value) for value in samples.percentiles()] + [duration(samples.maximum)]


def _latency_words(samples):
    return ", ".join(f"{name} {value}" for name, value in zip(_LATENCY_HEADINGS, _latencies(samples)))


def _table(rows, left):
    """Columns as wide as their widest cell; those whose number is in `left` are aligned to the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) if column in left else cell.rjust(width)
                 for column, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  " + "  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def _invalidations(summary):
    if not summary.causes:
        return ""
    rows = [["cause", "count", "bytes", "entries killed", *_LATENCY_HEADINGS, "hit"]]
    for name, cause in sorted(summary.causes.items(), key=lambda item: -item[1].received):
        rows.append([name, f"{cause.received:,}", _cause_size(cause), f"{cause.entries_killed:,}", *_latencies(cause.waits),
                     _hits(cause)])
    lines = _table(rows, left={0, 8})
    if summary.unacknowledged:
        lines += f"  without an acknowledgement when the trace ends: {summary.unacknowledged:,}\n"
    if summary.dropped_by_reset:
        lines += f"  ended by a reset: {summary.dropped_by_reset:,}\n"
    return "Invalidations by cause, and how long the driver waited for the acknowledgement\n" + lines


def _by_iommu(summary):
    found = summary.by_iommu
    if not found.received:
        return ""
    rows = [["count", "bytes", "entries killed", *_LATENCY_HEADINGS, "hit"],
            [f"{found.received:,}", _cause_size(found), f"{found.entries_killed:,}", *_latencies(found.waits), _hits(found)]]
    return "ATC invalidations, and how long the IOMMU waited for the device\n" + _table(rows, left={7})


def _migrations(summary):
    if not summary.migrations:
        return ""
    rows = [["cause", "from", "to", "count", "bytes", "pages that stayed", *_LATENCY_HEADINGS]]
    for (cause, source, destination), migrations in sorted(summary.migrations.items(), key=lambda item: -item[1].bytes):
        rows.append([cause, source, destination, f"{migrations.count:,}", rough_size(migrations.bytes),
                     f"{migrations.pages_failed:,}", *_latencies(migrations.times)])
    return "Migrations by cause, and how long each took\n" + _table(rows, left={0, 1, 2})


def _cause_size(cause):
    whole = f"{cause.whole:,} whole" if cause.whole else ""
    return " + ".join(part for part in (rough_size(cause.bytes) if cause.bytes or not whole else "", whole) if part)


def _hits(cause):
    parts = [f"{name} {count:,}" for name, count in cause.hits.items()]
    if cause.stores_drained:
        parts.append(f"{cause.stores_drained:,} stores drained")
    if cause.hit_nothing:
        parts.append(f"nothing {cause.hit_nothing:,}")
    return ", ".join(parts) or "-"


def _counted(counter):
    return ", ".join(f"{name} {count:,}" for name, count in counter.most_common())


def _process(process):
    name = process.name if process.name is not None else "not bound in this trace"
    identity = f"{name}[{process.tgid}], {process.translation}" if process.translation else name
    lines = [(label, text) for label, text in _process_lines(process) if text]
    body = "".join(f"  {label:17} {text}\n" for label, text in lines) or "  nothing but its name\n"
    return f"Address space {process.pasid}: {identity}\n{body}"


def _process_lines(process):
    yield "packets", _packets(process)
    yield "faults", _faults(process)
    if process.fault_to_replay.count:
        yield "fault to replay", _latency_words(process.fault_to_replay)
    yield "pages mapped", f"{process.pages_serviced:,} in answer to faults" if process.pages_serviced else ""
    yield "TLB fills", _fills(process)
    yield "page walks", _walks(process)
    yield "ATS answers", _ats(process)
    yield "page requests", _page_requests(process)
    yield "invalidations", _counted(process.invalidations)
    yield "copies", f"{process.copies:,}, {rough_size(process.copy_bytes)}" if process.copies else ""
    yield "queue errors", _counted(process.queue_errors)


def _packets(process):
    if not process.packets.count:
        return ""
    return (f"{process.packets.count:,}, {process.lane_instructions:,} lane instructions; "
            f"{_latency_words(process.packets)}")


def _faults(process):
    total = process.faults_by_access.total()
    if not total:
        return ""
    tail = f"; {process.cancelled:,} cancelled" if process.cancelled else ""
    tail += f"; {len(process.waiting):,} waiting when the trace ends" if process.waiting else ""
    return f"{total:,}: {_counted(process.faults_by_access)}; {_counted(process.faults_by_reason)}{tail}"


def _fills(process):
    parts = []
    for level in sorted({level for level, _size in process.fills}):
        sizes = sorted((size, count) for (at, size), count in process.fills.items() if at == level)
        parts.append(f"L{level}: " + ", ".join(f"{exact_size(size)} {count:,}" for size, count in sizes))
    if parts and process.evictions:
        parts.append(f"{process.evictions:,} evicted an older entry")
    return "; ".join(parts)


def _walks(process):
    if not process.walks.count:
        return ""
    restarts = f", {process.walk_restarts:,} restarts" if process.walk_restarts else ""
    return (f"{process.walks.count:,}, {process.walks_empty:,} found nothing{restarts}; {_latency_words(process.walks)}")


def _ats(process):
    if not process.ats.count:
        return ""
    stale = f", {process.ats_stale:,} overtaken by an invalidation" if process.ats_stale else ""
    return f"{process.ats.count:,}, {process.ats_empty:,} found nothing{stale}; {_latency_words(process.ats)}"


def _page_requests(process):
    if not process.page_requests:
        return ""
    responses = process.page_responses.total()
    return (f"{process.page_requests:,}, answered in {responses:,} groups: {_counted(process.page_responses) or '-'}; "
            f"{_latency_words(process.page_response_times)}")


def _device(summary):
    lines = []
    if summary.commands.count:
        lines.append(("kernel commands", f"{summary.commands.count:,}; {_latency_words(summary.commands)}"))
    if summary.command_errors:
        lines.append(("command errors", _counted(summary.command_errors)))
    if summary.kernel_copies:
        lines.append(("kernel's copies", f"{summary.kernel_copies:,}, {rough_size(summary.kernel_copy_bytes)}"))
    if summary.poisoned or summary.poison_met:
        lines.append(("poisoned pages", f"{summary.poisoned:,}, met {summary.poison_met:,} times"))
    if summary.regions_counted:
        lines.append(("access counters", f"told the driver of {summary.regions_counted:,} regions"))
    if summary.resets:
        lines.append(("resets", f"{summary.resets:,}"))
    return "Device\n" + "".join(f"  {label:17} {text}\n" for label, text in lines) if lines else ""
