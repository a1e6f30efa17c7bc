# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the trace files that the device writes. Standard library only; the layout comes from hw-model/abi.

abi         the headers: constants, enums, structures        reader     the file as a stream of records
vocabulary  numbers to names                                 decode     a record's named values
show        events as lines (sentences, filters)             summary    counts and latencies (samples, report)
console     exit statuses and messages                       units      durations, sizes, address ranges
export      a timeline for Perfetto
"""
from .reader import TraceError, TraceReader
from .export import export_main
from .report import format_summary, summary_main
from .show import show_main
from .summary import summarise

__all__ = ["TraceError", "TraceReader", "export_main", "format_summary", "show_main", "summarise", "summary_main"]
