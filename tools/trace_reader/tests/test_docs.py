# SPDX-License-Identifier: GPL-2.0-or-later
"""What the documentation shows is what is there: code blocks, links, folders, names, options."""
import re
import unittest
from pathlib import Path

from trace_reader.abi import headers
from trace_reader.show import parser

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_QUOTED_FILE = re.compile(r"`(guest-tests/examples/[\w./-]+)`[^`]*?\n```c\n(.*?)^```$", re.M | re.S)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_PATH = re.compile(r"`((?:hw-model|guest-\w+|tools|qemu-patches|docs)/[\w./-]*)`")
_CODE_BLOCK = re.compile(r"^```.*?^```$", re.M | re.S)
# Environment variables, and what the driver's build is told.
_OTHER_NAMES = {"TANDEM_CACHE", "TANDEM_DISTDIR", "TANDEM_MUTANTS", "TANDEM_SEED", "TANDEM_TRANSLATION"}
_ABI_NAME = re.compile(r"\bTANDEM_[A-Z0-9_]+\b")


class Documentation(unittest.TestCase):
    def test_the_readmes_code_is_that_of_the_example(self):
        quoted = dict(_QUOTED_FILE.findall((ROOT / "README.md").read_text()))
        sources = {str(path.relative_to(ROOT)) for path in (ROOT / "guest-tests/examples/first").glob("*.c")}
        self.assertEqual(set(quoted), sources)
        for name, text in quoted.items():
            self.assertEqual(text, (ROOT / name).read_text(), f"README.md shows another {name}")

    def test_links_lead_somewhere(self):
        for page in PAGES:
            for target in _LINK.findall(page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page.name} links to {target}")

    def test_named_paths_exist(self):
        for page in PAGES:
            for target in _PATH.findall(page.read_text()):
                self.assertTrue((ROOT / target).exists(), f"{page.name} names {target}")

    def test_the_architecture_lists_every_block_of_the_model(self):
        text = (ROOT / "docs/architecture.md").read_text()
        for folder in sorted((ROOT / "hw-model/src").iterdir()):
            if folder.is_dir() and any(folder.iterdir()):
                self.assertIn(f"`hw-model/src/{folder.name}/`", text)

    def test_names_of_the_interfaces_are_defined(self):
        uapi = set(_ABI_NAME.findall((ROOT / "guest-driver/uapi/tandem_uapi.h").read_text()))
        for page in PAGES:
            prose = _CODE_BLOCK.sub("", page.read_text())
            for name in set(_ABI_NAME.findall(prose)) - uapi - _OTHER_NAMES:
                headers().constant(name)

    def test_the_trace_page_lists_every_filter(self):
        text = (ROOT / "docs/tracing.md").read_text()
        options = {option for action in parser()._actions for option in action.option_strings} - {"-h", "--help"}
        self.assertEqual([option for option in sorted(options) if f"`{option}" not in text], [])


if __name__ == "__main__":
    unittest.main()
