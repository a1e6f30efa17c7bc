# SPDX-License-Identifier: GPL-2.0-or-later
"""The trace file as a stream of records: checks the header, reads big blocks, never the whole file.

A record is the tuple of struct tandem_trace_record's members. What is wrong with a file is data: a TraceError when nothing
of it can be read, else the problems that are known once the stream has ended.
"""
import re
import struct
from dataclasses import dataclass

from .abi import AbiError, headers

BLOCK_RECORDS = 16384

EXPECTED_MEMBERS = ["time_ns", "type", "unit", "pasid", "queue", "detail", "va", "bytes", "seqno", "a", "b"]
TYPE = EXPECTED_MEMBERS.index("type")


class TraceError(Exception):
    """The file cannot be read as a trace. `missing`: there is no such file, as opposed to a bad one."""

    def __init__(self, message, missing=False):
        super().__init__(message)
        self.missing = missing


@dataclass(frozen=True)
class TraceHeader:
    version: int
    abi_version: int
    epoch_ns: int
    wall_ns: int


def record_layout():
    """struct.Struct of a record. Refuses an abi whose record has other members than this package unpacks."""
    layout, members = headers().structure("tandem_trace_record")
    if members != EXPECTED_MEMBERS:
        raise AbiError(f"struct tandem_trace_record has members {members}, and the reader knows {EXPECTED_MEMBERS}")
    return layout


class TraceReader:
    """One pass over one file. After batches() is exhausted, `problems` says what was wrong, one sentence each.

    `records` counts what could be read, without the END record; `counts` the same by type, with it; `lost` is what the device
    says that it could not write; `last_ns` is the time of the last record.
    """

    def __init__(self, path):
        self.path = str(path)
        self.records = 0
        self.counts = {}
        self.lost = 0
        self.complete = False
        self.problems = []
        self._layout = record_layout()
        self._type_at = struct.calcsize(self._layout.format[:1 + TYPE])
        self._types = headers().names("tandem_trace_type")
        self._end_type = headers().constant("TANDEM_TRACE_END")
        self._valid_low = bytes(self._types)
        self._damaged = 0
        self._first_damage = None
        self._records_offset = 0
        self._file = _open(self.path)
        try:
            self.header = self._read_header()
            self.last_ns = self.header.epoch_ns
        except BaseException:
            self._file.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self._file.close()

    def batches(self, wanted=None):
        """Yield iterables of records in file order; `wanted` is a set of types, None for all of them."""
        size = self._layout.size
        offset = self._records_offset
        while not self.complete:
            block = self._file.read(BLOCK_RECORDS * size)
            records = block[:len(block) // size * size]
            end = self._find_end(records)
            batch = self._batch(records if end is None else records[:end], offset, wanted)
            if batch is not None:
                yield batch
            if end is not None:
                self._take_end(records[end - size:end], offset + end - size)
                self._check_tail(offset + end, len(block) - end)
            elif len(block) < BLOCK_RECORDS * size:
                self._report_cut(offset + len(records), len(block) - len(records))
                break
            offset += len(records)
        self._report_damage()

    # ---- the header

    def _read_header(self):
        layout, members = headers().structure("tandem_trace_header")
        block = self._file.read(layout.size)
        if not block:
            raise TraceError(f"{self.path}: the file is empty: the device never wrote its header; was it started with "
                             "tracing on, and is there room on the disk?")
        magic = headers().constant("TANDEM_TRACE_MAGIC").encode()
        if not magic.startswith(block[:len(magic)]):
            raise TraceError(f"{self.path}: offset 0: not a Tandem trace (it begins with {block[:len(magic)].hex(' ')}); "
                             "'./tandem run --trace FILE WORKLOAD' writes one")
        if len(block) < layout.size:
            raise TraceError(f"{self.path}: offset {len(block)}: the file ends within its {layout.size}-byte header; take "
                             "the trace again")
        fields = dict(zip(members, layout.unpack(block)))
        self._check_header(fields, layout.size)
        self._records_offset = fields["header_bytes"]
        if len(self._file.read(self._records_offset - layout.size)) < self._records_offset - layout.size:
            raise TraceError(f"{self.path}: the file ends within its header of {self._records_offset} bytes; take the "
                             "trace again")
        return TraceHeader(fields["version"], fields["abi_version"], fields["epoch_ns"], fields["wall_ns"])

    def _check_header(self, fields, header_size):
        known = headers().constant("TANDEM_TRACE_VERSION")
        if fields["version"] != known:
            raise TraceError(f"{self.path}: offset 8: trace format version {fields['version']}, and this checkout reads "
                             f"version {known}; read it with the checkout that took it")
        if fields["record_bytes"] != self._layout.size:
            raise TraceError(f"{self.path}: offset 12: records of {fields['record_bytes']} bytes, and version {known} has "
                             f"{self._layout.size}: the header is damaged; take the trace again")
        if not header_size <= fields["header_bytes"] <= 1 << 16:
            raise TraceError(f"{self.path}: offset 16: a header of {fields['header_bytes']} bytes is impossible: the header "
                             "is damaged; take the trace again")
        major = headers().constant("TANDEM_ABI_MAJOR")
        if fields["abi_version"] >> 16 != major:
            raise TraceError(f"{self.path}: offset 20: taken from a device of abi version {fields['abi_version'] >> 16}, and "
                             f"this checkout knows version {major}; read it with the checkout that took it")

    # ---- one block

    def _find_end(self, block):
        """Bytes up to and with the END record, or None."""
        low, high = self._type_bytes(block)
        index = low.find(self._end_type)
        while index >= 0 and high[index]:
            index = low.find(self._end_type, index + 1)
        return None if index < 0 else (index + 1) * self._layout.size

    def _type_bytes(self, block):
        """The two bytes of every record's type, each as one string: checks on those run at the speed of memory."""
        size = self._layout.size
        return block[self._type_at::size], block[self._type_at + 1::size]

    def _batch(self, block, offset, wanted):
        low, high = self._type_bytes(block)
        if high.strip(b"\0") or low.translate(None, self._valid_low):
            block = self._without_damage(block, offset)
            low, _high = self._type_bytes(block)
        for value in set(low):
            self.counts[value] = self.counts.get(value, 0) + low.count(value)
        self.records += len(low) - low.count(self._end_type)
        if block:
            self.last_ns = self._layout.unpack_from(block, len(block) - self._layout.size)[0]
        return self._select(block, low, wanted)

    def _select(self, block, low, wanted):
        if wanted is None:
            return self._layout.iter_unpack(block)
        positions = _positions(low, wanted)
        if not positions:
            return None
        unpack, size = self._layout.unpack_from, self._layout.size
        return (unpack(block, position * size) for position in positions)

    def _without_damage(self, block, offset):
        """The block without the records whose type is none."""
        size = self._layout.size
        kept = []
        for start in range(0, len(block), size):
            value = int.from_bytes(block[start + self._type_at:start + self._type_at + 2], "little")
            if value in self._types:
                kept.append(block[start:start + size])
            else:
                self._note_damage(offset + start, value)
        return b"".join(kept)

    def _note_damage(self, offset, value):
        self._damaged += 1
        if self._first_damage is None:
            self._first_damage = f"offset {offset} (record {self._index(offset)}): {value} is no record type"

    def _index(self, offset):
        return (offset - self._records_offset) // self._layout.size

    # ---- the end

    def _take_end(self, record, offset):
        fields = dict(zip(EXPECTED_MEMBERS, self._layout.unpack(record)))
        self.complete = True
        self.lost = fields["b"]
        before = self._index(offset)
        if fields["a"] != before:
            self.problems.append(f"offset {offset}: the END record announces {fields['a']} records, and {before} stand before "
                                 "it: part of the file is missing or was added; take the trace again")
        if self.lost:
            self.problems.append(f"{self.lost} records were lost while the trace was written (was the disk full?): counts "
                                 "are too low and chains may have gaps; make room and take the trace again")

    def _check_tail(self, end, rest):
        if rest > 0 or self._file.read(1):
            self.problems.append(f"offset {end}: more bytes follow the END record and are not shown; two traces in one file?")

    def _report_cut(self, offset, rest):
        partial = f" and {rest} bytes of another" if rest else ""
        self.problems.append(f"cut off at offset {offset + rest}, after {self.records} records{partial}: there is no END "
                             "record. What is shown is good, what came after it is missing: QEMU was killed or still runs, "
                             "or the disk was full")

    def _report_damage(self):
        if self._damaged:
            more = f", and {self._damaged - 1} more records like it" if self._damaged > 1 else ""
            self.problems.append(f"{self._first_damage}{more}: skipped. The file was damaged after it was written, or comes "
                                 "from a newer device; take the trace again or read it with the checkout that took it")


def _positions(low, wanted):
    """Where in a string of types the wanted ones are."""
    if not wanted:
        return []
    pattern = re.compile(b"[" + re.escape(bytes(sorted(wanted))) + b"]")
    return [match.start() for match in pattern.finditer(low)]


def _open(path):
    try:
        return open(path, "rb")
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or str(error))
        raise TraceError(f"{path}: {reason[0].lower()}{reason[1:]}", missing=True) from error
