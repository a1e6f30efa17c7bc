# SPDX-License-Identifier: GPL-2.0-or-later
"""House rules that a machine can check: every source file names its licence and holds one concept's worth of lines."""
import unittest

from frontend.cache import checkout_root

ROOT = checkout_root()
FOLDERS = ("docs", "guest-driver", "guest-image", "guest-runtime", "guest-tests", "hw-model", "qemu-patches", "tools", ".ci")
LICENCE = "SPDX-License-Identifier: "
PROJECT = LICENCE + "GPL-2.0-or-later"
ABI = LICENCE + "(GPL-2.0-or-later WITH Linux-syscall-note) OR MIT"
HEAD_LINES = 30
MOST_LINES = 800

# Prose, data without comments, and what upstream's files around it have no such line in either.
WITHOUT_LICENCE_LINE = {".md", ".json", ".patch", ".pyc"}
UPSTREAMS_FORM = {"qemu-patches/series", "qemu-patches/files/hw/misc/tandem/Kconfig"}


def sources():
    """{path below the root: text} of everything that is ours to write."""
    paths = [ROOT / "tandem", ROOT / "meson.build"]
    for folder in FOLDERS:
        paths += sorted(path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)): path.read_text() for path in paths if path.suffix not in WITHOUT_LICENCE_LINE}


def head(text):
    return "\n".join(text.splitlines()[:HEAD_LINES])


class Sources(unittest.TestCase):
    def test_there_are_many(self):
        self.assertGreater(len(sources()), 200)

    def test_each_names_its_licence(self):
        without = [name for name, text in sources().items() if LICENCE not in head(text) and name not in UPSTREAMS_FORM]
        self.assertEqual(without, [])

    def test_the_licence_is_the_projects(self):
        """The headers that programs of any licence include are MIT as well, and nothing else is."""
        for name, text in sources().items():
            if name in UPSTREAMS_FORM:
                continue
            wanted = ABI if name.startswith(("hw-model/abi/", "guest-driver/uapi/")) else PROJECT
            with self.subTest(name):
                self.assertIn(wanted, head(text))

    def test_none_is_longer_than_one_concept(self):
        long = {name: count for name, text in sources().items() if (count := text.count("\n")) > MOST_LINES}
        self.assertEqual(long, {})


if __name__ == "__main__":
    unittest.main()
