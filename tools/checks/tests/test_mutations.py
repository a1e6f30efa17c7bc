# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue of mutations, the sources that have them, the programs that provoke them and the documents agree."""
import re
import unittest

from frontend import build_project, mutations

ROOT = build_project.checkout_root()
DRIVER = ROOT / "guest-driver"


def catalogue(side=None):
    found = mutations.read(ROOT / "guest-tests/mutations.json")
    return [mutation for mutation in found if side in (None, mutation.side)]


def names(side):
    return {mutation.name for mutation in catalogue(side)}


class Catalogue(unittest.TestCase):
    def test_the_driver_has_those_of_the_driver_and_each_is_used(self):
        table = dict(re.findall(r"\[(MUTANT_\w+)\] = \"([a-z-]+)\"", (DRIVER / "tandem_mutate.c").read_text()))
        none = table.pop("MUTANT_NONE")
        self.assertEqual(none, "none")
        self.assertEqual(set(table.values()), names("driver"))
        header = (DRIVER / "tandem_mutate.h").read_text()
        used = set(re.findall(r"(?<!\[)MUTANT_\w+", "".join(path.read_text() for path in DRIVER.glob("*.c"))))
        for constant in table:
            self.assertIn(f"\t{constant},", header)
            self.assertIn(constant, used)

    def test_the_hardware_has_those_of_the_hardware(self):
        header = (ROOT / "hw-model/include/tandem/model.h").read_text()
        constants = set(re.findall(r"^\tTANDEM_MUTATION_(\w+),", header, re.M)) - {"COUNT"}
        self.assertEqual({constant.lower().replace("_", "-") for constant in constants}, names("hardware"))

    def test_each_has_a_provocation(self):
        tests = set()
        for path in (ROOT / "guest-tests/mutation").glob("*.cpp"):
            tests |= {f"{suite}.{name}" for suite, name in re.findall(r"^TEST_F\((\w+), (\w+)\)", path.read_text(), re.M)}
        self.assertEqual({mutation.provoke for mutation in catalogue()}, tests)

    def test_the_documents_have_its_table(self):
        text = (ROOT / "docs/checker.md").read_text()
        for row in mutations.documentation(catalogue()):
            self.assertIn(row, text)
        listed = re.findall(r"^\| `([a-z0-9-]+)` \| [A-E]\d+ \|", text, re.M)
        self.assertEqual(listed, [mutation.name for mutation in catalogue()])

    def test_the_checker_has_to_see_at_least_25(self):
        self.assertGreaterEqual(sum(mutation.seen_by == mutations.CHECKER for mutation in catalogue()), 25)


if __name__ == "__main__":
    unittest.main()
