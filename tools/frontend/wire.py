# SPDX-License-Identifier: GPL-2.0-or-later
"""The frames that the front end and the guest's init exchange: Python's half of guest-image/protocol.h.

Nothing here does input or output. `FrameReader` turns a byte stream into frames; the pack functions make frames.
"""
import struct
from dataclasses import dataclass

PORT_NAME = "tandem.control"
FRAME_MAX_PAYLOAD = 1 << 20
INPUT_WINDOW = 64 * 1024

FRAME_BIND = 1
FRAME_INSMOD = 2
FRAME_START = 3
FRAME_INPUT = 4
FRAME_WINDOW_SIZE = 5
FRAME_KILL = 6
FRAME_POWER_OFF = 7

FRAME_READY = 32
FRAME_ANSWER = 33
FRAME_OUTPUT = 34
FRAME_ERROR = 35
FRAME_INPUT_TAKEN = 36
FRAME_KERNEL_LOG = 37
FRAME_HEARTBEAT = 38
FRAME_ENDED = 39

START_ON_TERMINAL = 1

ENDING_EXITED = 1
ENDING_SIGNALLED = 2
ENDING_NOT_STARTED = 3

SCRIPT_MAGIC = 0x70637374

_HEADER = struct.Struct("<II")
_WINDOW = struct.Struct("<HH")
_START = struct.Struct("<IHHII")
_READY = struct.Struct("<Q")
_ENDING = struct.Struct("<IIII")
_INT = struct.Struct("<i")


class WireError(Exception):
    """The peer has sent something that is no frame."""


@dataclass(frozen=True)
class Ready:
    uptime_ms: int
    release: str


@dataclass(frozen=True)
class Ending:
    """How a program ended. `value` is an exit status, a signal or an errno, as `kind` says."""
    kind: int
    value: int
    survivors: int = 0


class FrameReader:
    """Collects bytes and gives whole frames back."""

    def __init__(self):
        self._bytes = bytearray()

    def feed(self, data):
        self._bytes += data

    def frames(self):
        """Every whole frame received so far, as (type, payload)."""
        found = []
        start = 0
        while len(self._bytes) - start >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._bytes, start)
            if length > FRAME_MAX_PAYLOAD:
                raise WireError(f"frame {kind} announces {length} bytes")
            end = start + _HEADER.size + length
            if len(self._bytes) < end:
                break
            found.append((kind, bytes(self._bytes[start + _HEADER.size:end])))
            start = end
        del self._bytes[:start]
        return found


def frame(kind, payload=b""):
    return _HEADER.pack(kind, len(payload)) + payload


def _strings(*values):
    encoded = [value if isinstance(value, bytes) else str(value).encode(errors="surrogateescape") for value in values]
    if any(b"\0" in value for value in encoded):
        raise WireError("a path, argument or variable holds a NUL byte")
    return b"".join(value + b"\0" for value in encoded)


def bind(source, target):
    return frame(FRAME_BIND, _strings(source, target))


def insmod(path, parameters=""):
    return frame(FRAME_INSMOD, _strings(path, parameters))


def start(path, directory, arguments, variables, terminal=None):
    """`variables` are KEY=VALUE strings; `terminal` is (rows, columns) or None for pipes."""
    rows, columns = terminal or (0, 0)
    flags = START_ON_TERMINAL if terminal else 0
    head = _START.pack(flags, rows, columns, len(arguments), len(variables))
    message = frame(FRAME_START, head + _strings(path, directory, *arguments, *variables))
    if len(message) - _HEADER.size > FRAME_MAX_PAYLOAD:
        raise WireError("arguments and environment are too long")
    return message


def input_bytes(data):
    return frame(FRAME_INPUT, data)


def window_size(rows, columns):
    return frame(FRAME_WINDOW_SIZE, _WINDOW.pack(rows, columns))


def kill(signal_number):
    return frame(FRAME_KILL, _INT.pack(signal_number))


def power_off():
    return frame(FRAME_POWER_OFF)


def script_header(length):
    return _HEADER.pack(SCRIPT_MAGIC, length)


def parse_ready(payload):
    release = payload[_READY.size:].split(b"\0", 1)[0]
    return Ready(_READY.unpack_from(payload)[0], release.decode(errors="replace"))


def parse_int(payload):
    return _INT.unpack(payload)[0]


def parse_ending(payload):
    kind, value, survivors, _reserved = _ENDING.unpack(payload)
    return Ending(kind, value, survivors)


def parse_kernel_log(payload):
    """The text of one record of /dev/kmsg ("level,sequence,time,flags;text", then lines of key=value)."""
    text = payload.decode(errors="replace")
    _prefix, separator, message = text.partition(";")
    return (message if separator else text).split("\n", 1)[0]
