# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one program in a booted guest and moves its bytes: standard input in, standard output and error out, then its ending.

Standard input is sent against credit (wire.INPUT_WINDOW), so that a program that does not read leaves the bytes on the host.
Output is handed on in order, and the ending is the last frame: when it arrives, everything printed has been handed on.
"""
import os
import select
import time
from dataclasses import dataclass, field

from . import wire
from .status import NOT_STARTED, SIGNAL_BASE

TICK_S = 0.5


@dataclass
class Program:
    """What to start, with paths as the guest sees them."""
    path: str
    arguments: list
    directory: str = "/tmp"
    variables: dict = field(default_factory=dict)
    terminal: tuple = None

    def start_frame(self):
        variables = [f"{key}={value}" for key, value in self.variables.items()]
        return wire.start(self.path, self.directory, self.arguments, variables, self.terminal)


class StandardStreams:
    """The sink for programs that the user runs: this process's own output and error."""

    def output(self, data):
        _write_all(1, data)

    def error(self, data):
        _write_all(2, data)


def _write_all(descriptor, data):
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view):]
        except BlockingIOError:  # somebody else has made our output non-blocking
            select.select([], [descriptor], [])


class Collector:
    """The sink for a program whose output is wanted as text."""

    def __init__(self):
        self._parts = []

    def output(self, data):
        self._parts.append(data)

    error = output

    def text(self):
        return b"".join(self._parts).decode(errors="replace")


class InputPump:
    """Standard input on its way to the guest, as far as the credit reaches."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self._credit = wire.INPUT_WINDOW

    def wanted(self):
        """The descriptor to wait for, or None when there is nothing to read or no credit."""
        return self._descriptor if self._credit > 0 else None

    def give_back(self, count):
        self._credit += count

    def filter(self, data):
        """What to pass on of the bytes read."""
        return data

    def read_frame(self):
        """The next bytes, or the end of input, as a frame."""
        try:
            data = self.filter(os.read(self._descriptor, self._credit))
        except OSError:  # a terminal that we are in the background of, or one that has gone
            data = b""
        self._credit -= len(data)
        if not data:
            self._descriptor = None
        return wire.input_bytes(data)


class Execution:
    """One program in one guest. `source` is an InputPump, or None for no input; `on_tick` is called now and then."""

    def __init__(self, guest, sink, source=None, on_tick=None):
        self._guest = guest
        self._sink = sink
        self._input = source or InputPump(None)
        self._on_tick = on_tick

    def run(self, program, timeout=None):
        """Run to the end and return the wire.Ending. Raises GuestDied, also when the time runs out."""
        deadline = time.monotonic() + timeout if timeout else None
        self._guest.send(program.start_frame())
        if self._input.wanted() is None:
            self._guest.send(wire.input_bytes(b""))
        while True:
            ending = self._step(TICK_S if deadline is None else min(TICK_S, max(0.0, deadline - time.monotonic())))
            if ending is not None:
                return ending
            if deadline is not None and time.monotonic() >= deadline:
                raise self._guest.timeout(timeout)

    def _step(self, wait):
        if self._on_tick:
            self._on_tick()
        wanted = self._input.wanted()
        readers = [self._guest] + ([wanted] if wanted is not None else [])
        readable = select.select(readers, [], [], wait)[0]
        if wanted is not None and wanted in readable:
            self._guest.send(self._input.read_frame())
        ending = None
        for kind, payload in self._guest.receive(0):
            ending = self._handle(kind, payload) or ending
        return ending

    def _handle(self, kind, payload):
        if kind == wire.FRAME_OUTPUT:
            self._sink.output(payload)
        elif kind == wire.FRAME_ERROR:
            self._sink.error(payload)
        elif kind == wire.FRAME_INPUT_TAKEN:
            self._input.give_back(wire.parse_int(payload))
        elif kind == wire.FRAME_ENDED:
            return wire.parse_ending(payload)
        self._guest.note_sign_of_life()
        return None


def exit_status(ending):
    """The status that a shell would give for this ending."""
    if ending.kind == wire.ENDING_EXITED:
        return ending.value
    if ending.kind == wire.ENDING_SIGNALLED:
        return SIGNAL_BASE + ending.value
    return NOT_STARTED
