# SPDX-License-Identifier: GPL-2.0-or-later
"""A few mutations, with real guests: one of each kind, so that the command itself is tested. All of them: ./tandem test mutations."""
import subprocess
import tempfile
import unittest
from pathlib import Path

from guest_boot import TANDEM


class GuestMutationsTest(unittest.TestCase):
    def detect(self, pattern, count, *expected):
        with tempfile.TemporaryDirectory() as scratch:
            table = Path(scratch) / "table.md"
            result = subprocess.run([*TANDEM, "test", "mutations", "--filter", pattern, "--table", str(table)],
                                    capture_output=True, text=True, timeout=400, check=False)
            self.assertEqual(result.stdout.splitlines()[-1:], [f"{count} of {count} detected"], result.stdout + result.stderr)
            self.assertEqual(result.returncode, 0)
            for cells in expected:
                self.assertIn(cells, table.read_text())

    def test_a_rule_of_the_driver(self):
        self.detect("no-read-retry", 1, "| no-read-retry | A10 | X1.stale-translation | 1 |")

    def test_a_rule_of_the_hardware(self):
        self.detect("l2-kept", 1, "| l2-kept | A16 | X2.missed-level | 1 |")


if __name__ == "__main__":
    unittest.main()
