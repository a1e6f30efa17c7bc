# SPDX-License-Identifier: GPL-2.0-or-later
"""The few things that the front end asks QEMU itself, over QMP: end now, and what does the monitor show.

A guest that hangs can still be asked about its GPU this way. Every call is bounded by a time-out, because QEMU may be what
hangs.
"""
import json

TIMEOUT_S = 5.0


class QmpError(Exception):
    """QEMU refused, or did not answer in time."""


class Qmp:
    """A QMP session on a connected socket. Nothing is sent before the first command."""

    def __init__(self, sock):
        self._sock = sock
        self._buffer = b""
        self._negotiated = False

    def close(self):
        self._sock.close()

    def quit(self):
        self._command("quit")

    def status(self):
        """The machine's run state: running, paused, inmigrate, guest-panicked and so on."""
        return self._command("query-status")["status"]

    def go_on(self):
        self._command("cont")

    def save(self, path):
        """Begin to write the machine's state to a file; see migration()."""
        self._command("migrate", {"uri": f"file:{path}"})

    def migration(self):
        """(state, what went wrong) of the saving or loading under way."""
        answer = self._command("query-migrate")
        return answer.get("status", "none"), answer.get("error-desc", "")

    def monitor(self, line):
        """What the human monitor prints for `line`."""
        return self._command("human-monitor-command", {"command-line": line})

    def _command(self, name, arguments=None):
        self._sock.settimeout(TIMEOUT_S)
        try:
            self._negotiate()
            return self._exchange(name, arguments)
        except OSError as error:
            raise QmpError(f"{name}: {error}") from error

    def _negotiate(self):
        if self._negotiated:
            return
        self._read_message()  # the greeting
        self._exchange("qmp_capabilities", None)
        self._negotiated = True

    def _exchange(self, name, arguments):
        message = {"execute": name}
        if arguments:
            message["arguments"] = arguments
        self._sock.sendall(json.dumps(message).encode() + b"\n")
        while True:
            reply = self._read_message()
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise QmpError(f"{name}: {reply['error'].get('desc', 'failed')}")

    def _read_message(self):
        while b"\n" not in self._buffer:
            data = self._sock.recv(65536)
            if not data:
                raise QmpError("QEMU has closed its monitor")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        try:
            return json.loads(line)
        except ValueError as error:
            raise QmpError(f"unreadable answer: {line[:80]!r}") from error
