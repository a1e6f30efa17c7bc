# SPDX-License-Identifier: GPL-2.0-or-later
"""./tandem test mutations without a guest: the catalogue, the machines, and what counts as detected. What is observed is made up."""
import argparse
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from frontend import mutation_tests, mutations
from frontend.machine import MachineConfig
from frontend.mutation_tests import Observation
from frontend.results import Reporter
from frontend.status import FrontendError, UsageError

ENTRY = {"side": "driver", "bug": "A10", "breaks": "Something.", "provoke": "One.does_it", "key": "X1.stale"}
SILENT = Observation(True, [], [])


def reported(*keys):
    return Observation(True, [(key, f"gpu0: {key}: was seen") for key in keys], [])


class CatalogueTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.stage = Path(scratch.name)
        (self.stage / "share").mkdir()

    def load(self, **entries):
        (self.stage / "share" / "mutations.json").write_text(json.dumps(entries))
        return mutations.load(self.stage)

    def test_entries_become_mutations_in_their_order(self):
        first, second = self.load(b=ENTRY, a={**ENTRY, "gpu": "vram=64M", "gpus": 2, "runs": 5})
        self.assertEqual((first.name, first.runs, first.machine), ("b", 1, {}))
        self.assertEqual((second.name, second.runs, second.machine), ("a", 5, {"gpu": "vram=64M", "gpus": 2}))

    def test_mistakes_are_told_with_the_name_of_the_entry(self):
        for broken, complaint in (({**ENTRY, "speed": 1}, "speed"), ({"side": "driver"}, "a has no bug, breaks, provoke, key"),
                                  ({**ENTRY, "side": "both"}, "side is one of"), ({**ENTRY, "seen_by": "eye"}, "seen_by one of")):
            with self.assertRaisesRegex(UsageError, f"mutations.json: .*{complaint}"):
                self.load(a=broken)

    def test_a_key_names_the_cause_by_how_it_begins(self):
        mutation = self.load(a=ENTRY)[0]
        self.assertTrue(mutation.explains("X1.stale-translation"))
        self.assertFalse(mutation.explains("X2.stale-translation"))


class MachineTest(unittest.TestCase):
    def machine(self, broken=True, **entry):
        mutation = mutations.Mutation(**{"name": "m", **ENTRY, **entry})
        return mutation_tests.machine_of(mutation, MachineConfig(check=True), broken)

    def test_the_driver_is_told_by_a_parameter(self):
        self.assertEqual(self.machine().driver_parameters, "mutate=m")
        self.assertNotIn("mutate", self.machine().gpu)
        self.assertEqual(self.machine(broken=False).driver_parameters, "mutate=none")

    def test_the_hardware_is_told_by_a_property(self):
        machine = self.machine(side="hardware", machine={"gpu": "vram=64M"})
        self.assertEqual((machine.driver_parameters, machine.gpu), ("mutate=none", "test-hooks=on,vram=64M,mutate=m"))
        self.assertNotIn("mutate", self.machine(broken=False, side="hardware").gpu)

    def test_the_checker_is_on_and_sva_brings_an_iommu(self):
        self.assertTrue(self.machine().check)
        self.assertEqual((self.machine().iommu, self.machine(translation="sva").iommu), ("off", "passthrough"))


class FakeLaboratory:
    """Its guests observe what the test says: {(mutation, broken): [what each run gives]}."""

    machine_key = mutation_tests.Laboratory.machine_key

    def __init__(self, observations):
        self.observations = observations
        self.boots = []

    def guest(self, mutation, broken):
        self.boots.append((mutation.name, broken))
        return FakeGuest(self.observations.get((mutation.name, broken), [SILENT]))


class FakeGuest:
    def __init__(self, observations):
        self._observations = observations

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def close(self):
        pass

    def provoke(self, _test, _translation):
        observation = self._observations.pop(0) if len(self._observations) > 1 else self._observations[0]
        if isinstance(observation, Exception):
            raise observation
        return observation


class MutationTestsTest(unittest.TestCase):
    def run_all(self, chosen, **observations):
        self.laboratory = FakeLaboratory({(name.removesuffix("_control"), not name.endswith("_control")): seen
                                          for name, seen in observations.items()})
        self.text = io.StringIO()
        reporter = Reporter(self.text)
        verdicts = []
        mutation_tests.run_all(self.laboratory, chosen, reporter, verdicts)
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.markdown = Path(scratch.name) / "table.md"
        args = argparse.Namespace(junit=str(Path(scratch.name) / "junit.xml"), table=str(self.markdown))
        self.status = mutation_tests.finish(verdicts, reporter, args)
        self.junit = Path(args.junit).read_text()
        return {verdict.mutation.name: verdict for verdict in verdicts}

    def mutation(self, name="a", **entry):
        return mutations.Mutation(**{"name": name, **ENTRY, **entry})

    def last_line(self):
        return self.text.getvalue().splitlines()[-1]

    def test_the_expected_report_detects_it(self):
        verdicts = self.run_all([self.mutation()], a=[reported("X2.other", "X1.stale-translation")])
        self.assertEqual((verdicts["a"].detected_by, verdicts["a"].runs, verdicts["a"].control), ("X1.stale-translation", 1, "silent"))
        self.assertEqual((self.last_line(), self.status), ("1 of 1 detected", 0))
        self.assertIn("| a | A10 | X1.stale-translation | 1 |", self.markdown.read_text())
        self.assertIn('tests="2" failures="0"', self.junit)

    def test_another_report_names_the_wrong_cause(self):
        verdicts = self.run_all([self.mutation()], a=[reported("X2.other")])
        self.assertFalse(verdicts["a"].detected)
        self.assertEqual(verdicts["a"].detected_by, "instead: X2.other")
        self.assertIn("gpu0: X2.other: was seen", self.text.getvalue())
        self.assertEqual((self.last_line(), self.status), ("0 of 1 detected", 1))

    def test_a_provocation_that_fails_detects_nothing(self):
        verdicts = self.run_all([self.mutation()], a=[Observation(False, [], [], "wrong data")])
        self.assertEqual(verdicts["a"].detected_by, "nothing; the provocation failed")
        self.assertIn("wrong data", self.text.getvalue())

    def test_it_is_tried_so_many_times_each_in_a_boot_of_its_own(self):
        verdicts = self.run_all([self.mutation(runs=5)], a=[SILENT, FrontendError("no boot"), reported("X1.stale")])
        self.assertEqual((verdicts["a"].detected, verdicts["a"].runs), (True, 3))
        self.assertEqual(self.laboratory.boots, [("a", False), ("a", True), ("a", True), ("a", True)])
        verdicts = self.run_all([self.mutation(runs=2)])
        self.assertEqual((verdicts["a"].detected, verdicts["a"].runs), (False, 2))

    def test_a_report_without_a_mutation_is_a_failure(self):
        verdicts = self.run_all([self.mutation()], a=[reported("X1.stale")], a_control=[reported("X1.stale")])
        self.assertEqual((verdicts["a"].control, self.status), ("FAILED", 1))
        self.assertIn("FAILED  mutations control: One.does_it", self.text.getvalue())

    def test_a_provocation_that_fails_without_a_mutation_is_a_failure(self):
        self.run_all([self.mutation()], a=[reported("X1.stale")], a_control=[Observation(False, [], [], "broken")])
        self.assertEqual(self.status, 1)

    def test_mutations_of_one_machine_and_provocation_have_one_control(self):
        chosen = [self.mutation("a"), self.mutation("b"), self.mutation("c", machine={"gpus": 2})]
        self.run_all(chosen, a=[reported("X1.stale")], b=[reported("X1.stale")], c=[reported("X1.stale")])
        self.assertEqual([name for name, broken in self.laboratory.boots if not broken], ["a", "c"])
        self.assertEqual(self.last_line(), "3 of 3 detected")

    def test_one_kernel_after_the_other(self):
        chosen = [self.mutation("a", kernel="debug"), self.mutation("b")]
        self.run_all(chosen, a=[reported("X1.stale")], b=[reported("X1.stale")])
        self.assertEqual(self.laboratory.boots, [("b", False), ("b", True), ("a", False), ("a", True)])

    def test_what_only_the_kernel_sees_is_counted_apart(self):
        leak = self.mutation("k", seen_by="kasan", key="KASAN: slab-use-after-free")
        verdicts = self.run_all([self.mutation(), leak], a=[reported("X1.stale")],
                                k=[Observation(False, [], ["BUG: KASAN: slab-use-after-free in tandem_as_put"])])
        self.assertEqual(verdicts["k"].detected_by, "kasan")
        self.assertEqual(self.text.getvalue().splitlines()[-2:],
                         ["1 of 1 detected by KASAN and lockdep, which alone can see them", "1 of 1 detected"])

    def test_the_filter_takes_names(self):
        chosen = mutation_tests.choose([self.mutation("flush-late"), self.mutation("no-retry")], "flush-*")
        self.assertEqual([mutation.name for mutation in chosen], ["flush-late"])

    def test_a_filter_that_matches_nothing_is_a_mistake(self):
        args = argparse.Namespace(filter="x*", list_only=False)
        with mock.patch.object(mutation_tests, "Laboratory"), mock.patch.object(mutations, "load", return_value=[self.mutation()]):
            with self.assertRaisesRegex(UsageError, "no mutation matches 'x\\*'"):
                mutation_tests.mutations_command(args)


if __name__ == "__main__":
    unittest.main()
