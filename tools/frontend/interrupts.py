# SPDX-License-Identifier: GPL-2.0-or-later
"""Ctrl-C against a process that is just being started.

Popen returns after its child runs. A signal handler that raises in between leaves a child that nobody knows, in a session of its
own, where the terminal's Ctrl-C does not reach it. So signals are held back from before Popen until the caller stands in the
`try` whose handler ends the child:

    with InterruptsHeld() as interrupts:
        process = subprocess.Popen(...)
        try:
            interrupts.deliver()
            ...
        except BaseException:
            end(process)
"""

import signal
import threading

HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptsHeld:
    """Handlers are the main thread's alone, and so is the danger: in other threads this does nothing."""

    def __init__(self):
        self._handlers = {}
        self._arrived = []

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in HELD:
                if callable(signal.getsignal(number)):
                    self._handlers[number] = signal.signal(number, lambda got, _frame: self._arrived.append(got))
        return self

    def deliver(self):
        """From here on signals arrive as they come; those that have come meanwhile arrive now."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        arrived, self._arrived = self._arrived, []
        for number in arrived:
            signal.raise_signal(number)

    def __exit__(self, *_):
        self.deliver()
