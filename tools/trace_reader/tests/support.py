# SPDX-License-Identifier: GPL-2.0-or-later
"""A test case with a directory of its own that runs the trace commands as the front end does."""
import contextlib
import io
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import trace_reader


class TraceCase(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.path = str(self.directory / "t.trace")

    def write(self, writer_or_bytes, **header):
        data = writer_or_bytes if isinstance(writer_or_bytes, bytes) else writer_or_bytes.bytes(**header)
        Path(self.path).write_bytes(data)

    def run_command(self, command, *arguments):
        """(exit status, standard output, standard error)."""
        out, err = io.StringIO(), io.StringIO()
        wide = mock.patch.dict("os.environ", {"COLUMNS": "200"})
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), wide:
            status = command([self.path, *arguments])
        return status, out.getvalue(), err.getvalue()

    def show(self, *arguments):
        return self.run_command(trace_reader.show_main, *arguments)

    def lines(self, *arguments):
        """The event lines of a show that must succeed."""
        status, out, err = self.show(*arguments)
        self.assertEqual((status, err), (0, ""))
        return out.splitlines()[0 if "--json" in arguments else 1:]

    def summary(self, *arguments):
        return self.run_command(trace_reader.summary_main, *arguments)
