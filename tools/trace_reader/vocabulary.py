# SPDX-License-Identifier: GPL-2.0-or-later
"""Readable names for the numbers in records, all of them derived from the abi headers, and who is behind a PASID.

Numbers without a name are shown as such: a trace from a faulty device must still be readable.
"""
import functools
import struct

from .abi import headers

_COMM = struct.Struct("<QQ")


class Names(dict):
    """Value -> name; a value that the header does not name reads as 'unknown(7)'."""

    def __missing__(self, value):
        return f"unknown({value})"


@functools.cache
def enum_names(enum):
    return Names(headers().names(enum))


@functools.cache
def flag_names(prefix):
    return headers().flags(prefix)


@functools.cache
def constant(name):
    return headers().constant(name)


@functools.cache
def record_type(name):
    """The number of a record type, 'TANDEM_TRACE_' left out."""
    return headers().constant(f"TANDEM_TRACE_{name}")


def set_flags(prefix, value):
    """The names of the flags that are set in value."""
    return [name for bit, name in flag_names(prefix).items() if value & bit]


def printable(text):
    """A guest's text without anything that a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)


def process_name(a, b):
    """comm[16] from the two words of a BIND record."""
    return printable(_COMM.pack(a, b).split(b"\0", 1)[0].decode(errors="replace"))


class Processes:
    """Which process each PASID was bound to last, and the names of processes by their id."""

    def __init__(self):
        self._by_pasid = {}
        self._by_tgid = {}

    def bind(self, record):
        pasid, tgid, name = record[3], record[7], process_name(record[9], record[10])
        self._by_pasid[pasid] = name
        self._by_tgid[tgid] = name

    def of_pasid(self, pasid):
        return self._by_pasid.get(pasid)

    def describe(self, tgid):
        """'vecadd[123]', or 'process 123' where the GPU never served that process, or None."""
        if not tgid:
            return None
        name = self._by_tgid.get(tgid)
        return f"{name}[{tgid}]" if name else f"process {tgid}"
