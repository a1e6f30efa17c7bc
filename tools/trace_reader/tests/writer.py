# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes synthetic traces for the tests, with the abi's own layout and names."""
import struct
import time
from pathlib import Path

from trace_reader.abi import headers

EPOCH = 5_000_000_000
_WORDS = struct.Struct("<QQ")


def constant(name):
    return headers().constant(f"TANDEM_{name}")


class TraceWriter:
    """Collects records; bytes() gives the file. Times are nanoseconds since the trace began."""

    def __init__(self):
        self._layout, self._members = headers().structure("tandem_trace_record")
        self._body = bytearray()
        self._now = 0

    @property
    def count(self):
        return len(self._body) // self._layout.size

    def record(self, kind, at=None, **fields):
        """kind: name of the type, or a number that may be none. Returns self, so that calls can be chained."""
        self._now = self._now + 1000 if at is None else at
        values = dict.fromkeys(self._members, 0)
        values |= {"time_ns": EPOCH + self._now, "unit": constant("TRACE_NO_UNIT"), "queue": constant("TRACE_NO_QUEUE"),
                   "type": kind if isinstance(kind, int) else constant(f"TRACE_{kind}")}
        values |= fields
        self._body += self._layout.pack(*(values[member] for member in self._members))
        return self

    def bind(self, pasid=1, name=b"vecadd", tgid=123, at=None):
        a, b = _WORDS.unpack(name.ljust(16, b"\0"))
        return self.record("BIND", at, pasid=pasid, detail=constant("TRANSLATION_MIRROR"), va=0x1000, bytes=tgid, a=a, b=b)

    def fault(self, va, access="WRITE", at=None, pasid=1, number=1, reason="NOT_PRESENT", **fields):
        detail = constant(f"ACCESS_{access}") | constant(f"FAULT_{reason}") << 8 | constant("CLIENT_COMPUTE") << 16
        return self.record("FAULT", at, pasid=pasid, queue=0, unit=2, va=va, seqno=number, a=0x10074, detail=detail, **fields)

    def invalidate(self, seqno, cause="UNMAP", va=0x7f0000000000, size=0x1000, at=None, pasid=1, tgid=123, flags=0):
        return self.record("INVALIDATE", at, pasid=pasid, queue=tgid, va=va, bytes=size, seqno=seqno,
                           detail=constant(f"CAUSE_{cause}") | flags << 16, a=va, b=va + 2 * size)

    def invalidated(self, seqno, cause="UNMAP", va=0x7f0000000000, size=0x1000, at=None, pasid=1, wait=1500, entries=0,
                    stores=0, hit=(), flags=0):
        bits = sum(constant(f"HIT_{name}") for name in hit)
        return self.record("INVALIDATED", at, pasid=pasid, queue=bits, va=va, bytes=size, seqno=seqno,
                           detail=constant(f"CAUSE_{cause}") | flags << 16, a=entries | stores << 32, b=wait)

    def walk(self, va, ns=200, pte=None, access="READ", at=None, pasid=1, restarts=0):
        found = constant("PTE_VALID") | 0x42000 if pte is None else pte
        return self.record("WALK", at, pasid=pasid, va=va, detail=constant(f"ACCESS_{access}") | 4 << 8 | restarts << 16,
                           a=found, b=ns)

    def fill(self, va, size=4096, level=1, at=None, pasid=1, evicted=0, unit=3):
        pte = constant("PTE_VALID") | constant("PTE_WRITE") | constant("PTE_DIRTY") | 0x42000
        return self.record("FILL", at, pasid=pasid, va=va, bytes=size, detail=level, a=pte, b=evicted,
                           unit=unit if level == 1 else constant("TRACE_NO_UNIT"))

    def migrate(self, cause="GPU_FAULT", va=0x200000, size=0x200000, moved=None, failed=0, source="SYSTEM", to="VRAM", ns=90_000,
                at=None, pasid=1, tgid=123, seqno=5):
        detail = (constant(f"MIGRATE_{cause}") | constant(f"APERTURE_{source}") << 8 | constant(f"APERTURE_{to}") << 16)
        return self.record("MIGRATE", at, pasid=pasid, queue=tgid, va=va, bytes=size, seqno=seqno, detail=detail,
                           a=(size if moved is None else moved) | failed << 48, b=ns)

    def end(self, records=None, lost=0):
        return self.record("END", a=self.count if records is None else records, b=lost)

    def raw(self, data):
        self._body += data
        return self

    def bytes(self, **header):
        return file_header(**header) + bytes(self._body)

    def save(self, path, **header):
        Path(path).write_bytes(self.bytes(**header))
        return str(path)


def file_header(**changes):
    layout, members = headers().structure("tandem_trace_header")
    values = dict.fromkeys(members, 0)
    values |= {"magic": constant("TRACE_MAGIC").encode(), "version": constant("TRACE_VERSION"), "record_bytes": 64,
               "header_bytes": 64, "abi_version": constant("ABI_MAJOR") << 16, "epoch_ns": EPOCH,
               "wall_ns": time.time_ns()}
    return layout.pack(*({**values, **changes}[member] for member in members))
