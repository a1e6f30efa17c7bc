# SPDX-License-Identifier: GPL-2.0-or-later
"""./tandem shell: an interactive busybox shell in the guest, on a terminal of the guest.

The user's terminal goes into raw mode, so that every key, Ctrl-C included, reaches the guest; its window size follows. The
terminal's old mode comes back whatever happens. Without a terminal, commands are read from standard input.
"""
import contextlib
import os
import shutil
import signal
import sys
import termios
import tty

from . import wire
from .boot import Guest
from .execution import Execution, InputPump, Program, StandardStreams, exit_status
from .run import (BASE_KINDS, Interrupted, boot, ensure, finish, guest_variables, machine_config, report_ending)
from .workloads import guest_path

BUSYBOX = "/guest-bin/busybox"
PROMPT = "tandem:\\w# "
ESCAPE = b"\x1d"  # Ctrl-]


@contextlib.contextmanager
def raw_terminal(descriptor):
    saved = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, saved)


def terminal_size():
    size = shutil.get_terminal_size()
    return size.lines, size.columns


class Keyboard(InputPump):
    """A terminal in raw mode, with one key that the guest never sees: the way out when nothing in it answers any more."""

    def filter(self, data):
        if ESCAPE in data:
            raise Interrupted(signal.SIGINT)
        return data


class WindowFollower:
    """Passes a new window size on to the guest; called on every tick of the execution."""

    def __init__(self, guest):
        self._guest = guest
        self._changed = False
        signal.signal(signal.SIGWINCH, self._note)

    def _note(self, _number, _frame):
        self._changed = True  # sending from here could cut a frame in two

    def __call__(self):
        if self._changed:
            self._changed = False
            self._guest.send(wire.window_size(*os.get_terminal_size(0)[::-1]))


def shell_program(args, interactive):
    variables = {**guest_variables(args), "PS1": PROMPT, "ENV": ""}
    arguments = ["sh", *(["-i"] if interactive else []), *(["-c", args.command] if args.command else [])]
    return Program(BUSYBOX, arguments, guest_path(os.getcwd()), variables, terminal_size() if interactive else None)


def greet(guest):
    print(f"Linux {guest.ready.release} with {'/dev/tandem0' if guest.config.gpu_present else 'no GPU'}. Workloads are in "
          "/tandem/bin, the host's files are read-only, /tmp is writable. Leave with exit or Ctrl-D; Ctrl-] switches the guest off.", file=sys.stderr)


def shell_command(args):
    interactive = os.isatty(0) and os.isatty(1) and not args.command
    config = machine_config(args)
    program = shell_program(args, interactive)
    artifacts = ensure(args, *BASE_KINDS)
    with Guest(config, artifacts, args.keep_console) as guest:
        boot(guest, config, artifacts)
        if interactive:
            greet(guest)
            with raw_terminal(0):
                ending = Execution(guest, StandardStreams(), Keyboard(0), WindowFollower(guest)).run(program, args.timeout)
        else:
            ending = Execution(guest, StandardStreams(), None if args.command else InputPump(0)).run(program, args.timeout)
        report_ending(program, ending, guest)
        return finish(guest, exit_status(ending))
