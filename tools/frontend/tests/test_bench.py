# SPDX-License-Identifier: GPL-2.0-or-later
"""./tandem bench: names, figures and what is printed of them, the programs' output. No test asserts a time."""
import io
import json
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import fakes
from frontend import bench, bench_programs, cli
from frontend.bench_figures import Figure, compare, measured, table, write_json
from frontend.status import FrontendError, UsageError

ISSUED_NAMES = {
    "compute.hash.vs_tcg_user", "compute.hash.vs_native", "invalidate.munmap_2m.vs_unmirrored", "fault.gpu.vs_cpu_minor",
    "copy.sysmem.vs_memcpy", "tlb.hit.growth_64_to_4096_entries", "invalidate.page.growth_1k_to_1m_pages",
    "migrate.2m.to_vram.vs_test_hmm", "migrate.2m.to_ram.vs_test_hmm"}


class FigureTest(unittest.TestCase):
    def test_a_comparison_is_of_medians_and_divides_by_the_baseline(self):
        figure = compare("x", "ns", [9, 1, 2], [4, 100, 3])
        self.assertEqual((figure.value, figure.baseline, figure.ratio), (2, 4, 0.5))
        self.assertEqual(figure.record(), {"name": "x", "value": 2, "unit": "ns", "baseline": 4, "ratio": 0.5})

    def test_what_is_not_compared_has_no_baseline(self):
        self.assertEqual(measured("x", "s", [3.0]).record(), {"name": "x", "value": 3.0, "unit": "s"})

    def test_samples_that_cannot_be_are_refused(self):
        for samples in ([], [1.0, 0.0], [-1.0]):
            with self.assertRaises(FrontendError):
                measured("x", "ns", samples)

    def test_targets_are_judged_by_the_ratio(self):
        self.assertEqual(Figure("x", 1, "ns", 2, at_least=0.5).verdict(), ">= 0.5 met")
        self.assertEqual(Figure("x", 1, "ns", 2, at_least=0.6).verdict(), ">= 0.6 MISSED")
        self.assertEqual(Figure("x", 3, "ns", 1, at_most=3).verdict(), "<= 3 met")
        self.assertEqual(Figure("x", 3.1, "ns", 1, at_most=3).verdict(), "<= 3 MISSED")

    def test_the_table_scales_value_and_baseline_alike(self):
        lines = table([Figure("a", 2.5e8, "elements/s", 5e8), Figure("b", 250000.0, "ns", 1000.0), Figure("c", 1.25, "s")])
        self.assertEqual([line.split() for line in lines[1:]], [
            ["a", "250", "500", "M", "elements/s", "0.50"], ["b", "250", "1", "us", "250.00"], ["c", "1.25", "s"]])

    def test_json_that_cannot_be_written_is_told(self):
        with self.assertRaises(FrontendError):
            write_json("/nonexistent/directory/file", [])


class NamesTest(unittest.TestCase):
    def test_the_issued_names_are_there_once(self):
        names = bench.all_names()
        self.assertLessEqual(ISSUED_NAMES, set(names))
        self.assertEqual(len(names), len(set(names)))

    def test_a_name_a_beginning_and_a_glob(self):
        self.assertEqual(bench.chosen_names("boot.ready"), ["boot.ready"])
        self.assertEqual(bench.chosen_names("tlb.hit"), ["tlb.hit.growth_64_to_4096_entries", "tlb.hit"])
        self.assertEqual(bench.chosen_names("*.vs_memcpy"), ["copy.sysmem.vs_memcpy"])
        self.assertEqual(bench.chosen_names(None), bench.all_names())

    def test_an_unknown_name_lists_the_known(self):
        with self.assertRaises(UsageError) as caught:
            bench.chosen_names("tlb.hi")
        self.assertIn("  tlb.hit", caught.exception.details)

    def test_only_what_was_chosen_is_measured_and_reported(self):
        taken = []
        measurements = [
            bench.Measurement(lambda _b: taken.append("ab") or [Figure("a", 1, "s"), Figure("b", 2, "s")], ("a", "b")),
            bench.Measurement(lambda _b: taken.append("c") or [Figure("c", 3, "s")], ("c",))]
        with mock.patch.object(bench, "MEASUREMENTS", measurements):
            figures = bench.take(None, ["b"], lambda text: None)
        self.assertEqual((taken, [figure.name for figure in figures]), (["ab"], ["b"]))


class FakeBench(bench.Bench):
    """Guest and host give these samples."""

    def __init__(self, guest, host=None, rounds=2):
        super().__init__(None, SimpleNamespace(build_dir=Path("/nonexistent")), {}, rounds, None)
        self.calls = []
        self.host = host
        self._guest = SimpleNamespace(samples=lambda name: self.calls.append(name) or guest[name])

    def guest(self):
        return self._guest

    guest_with_test_hmm = guest


class MeasurementTest(unittest.TestCase):
    def test_both_sides_take_turns(self):
        order = []
        fake = FakeBench({})
        merged = fake.in_rounds(lambda: order.append("a") or {"a": [1]}, lambda: order.append("b") or {"b": [2, 3]})
        self.assertEqual((order, merged), (["a", "b", "a", "b"], {"a": [1, 1], "b": [2, 3, 2, 3]}))

    def test_faults_are_divided_by_the_cpus(self):
        fake = FakeBench({"faults": {"gpu": [50.0], "cpu": [200.0], "batch": [32.0]}})
        figures = bench.measure_faults(fake)
        self.assertEqual([(figure.name, figure.ratio) for figure in figures],
                         [("fault.gpu.vs_cpu_minor", 0.25), ("fault.gpu.in_a_batch", None)])
        self.assertEqual(fake.calls, ["faults", "faults"])

    def test_migration_is_divided_by_test_hmms(self):
        samples = {f"{size}-{what}{whose}": [2.0 if whose else 3.0] for size in ("4k", "2m") for whose in ("", "-hmm")
                   for what in ("to-vram", "to-ram", "fault-back")}
        samples["2m-to-ram"] = [1.0]
        figures = {figure.name: figure for figure in bench.measure_migrate(FakeBench({"migrate": samples}))}
        self.assertEqual(figures["migrate.2m.to_vram.vs_test_hmm"].ratio, 1.5)
        self.assertEqual(figures["migrate.2m.to_ram.vs_test_hmm"].verdict(), ">= 1 MISSED")
        self.assertEqual(set(figures), {name for name in bench.all_names() if name.startswith("migrate.")})

    def test_the_checker_is_judged_by_what_it_costs(self):
        fake = FakeBench({})
        kept = []

        class Watched(SimpleNamespace):
            def processor_s(self, work, thread=None):
                work()
                return self.cost + (0 if thread else 1)

        def kept_guest(_name, **changes):
            kept.append(changes["check"])
            return Watched(cost=1.2 if changes["check"] else 1.0, samples=fake.calls.append, run=fake.calls.append)

        fake.config = SimpleNamespace(gpu="vram=128M")
        fake.kept_guest = kept_guest
        figures = {figure.name: figure for figure in (*bench.measure_check(fake), *bench.measure_check_of_tests(fake))}
        self.assertEqual(set(kept), {False, True})
        self.assertEqual(set(figures), {name for name in bench.all_names() if name.startswith("check.")})
        self.assertEqual(figures["check.hash.on_vs_off"].verdict(), "<= 1.3 met")
        self.assertAlmostEqual(figures["check.tests.on_vs_off"].ratio, 1.1)
        self.assertEqual(fake.calls.count("hash"), 4)
        self.assertEqual(fake.calls.count("/tandem/bin/mm_fork_test"), 4)

    def test_a_wrong_hash_is_an_error_whatever_its_speed(self):
        host = SimpleNamespace(hash=lambda variant: ("bad" if variant == "native" else "good", [1.0]))
        with self.assertRaises(FrontendError):
            bench.measure_hash(FakeBench({"hash": {"hash": [1.0], "checksum": "good"}}, host))

    def test_the_hash_is_compared_with_each_baseline(self):
        host = SimpleNamespace(hash=lambda variant: ("good", [{"riscv64": 2.0, "native": 4.0, "native-vector": 8.0}[variant]]))
        figures = bench.measure_hash(FakeBench({"hash": {"hash": [1.0], "checksum": "good"}}, host))
        self.assertEqual([figure.ratio for figure in figures], [0.5, 0.25, 0.125])


class ProgramTest(unittest.TestCase):
    def test_a_guest_program_prints_objects(self):
        objects = bench_programs.parse_objects('{"name": "a", "unit": "ns", "samples": [1, 2]}\n{"name": "checksum", "value": "0f"}\n')
        self.assertEqual((objects["a"]["samples"], objects["checksum"]["value"]), ([1, 2], "0f"))

    def test_nonsense_is_no_result(self):
        for text in ("Killed\n", "[1]\n", '{"unit": "ns"}\n'):
            with self.assertRaises(FrontendError):
                bench_programs.parse_objects(text)
        with self.assertRaises(FrontendError):
            bench_programs.parse_times("ns zz\n")

    def test_host_programs_print_hexadecimal(self):
        self.assertEqual(bench_programs.parse_times("checksum 00ff\nns 10\nns 20\n"), ("00000000000000ff", [16, 32]))

    def test_google_benchmark_gives_nanoseconds_for_each_item(self):
        run = {"name": "w", "run_name": "w", "run_type": "iteration", "items_per_second": 1e7}
        text = json.dumps({"benchmarks": [run, run, {**run, "run_type": "aggregate"}]})
        self.assertEqual(bench_programs.parse_google_benchmark(text), {"w": [100.0, 100.0]})

    def test_a_benchmark_that_gave_up_is_an_error(self):
        run = {"name": "w", "run_name": "w", "run_type": "iteration", "error_occurred": True, "error_message": "no"}
        with self.assertRaises(FrontendError) as caught:
            bench_programs.parse_google_benchmark(json.dumps({"benchmarks": [run]}))
        self.assertEqual(caught.exception.details, ["w: no"])

    def test_a_missing_emulator_names_its_package(self):
        with mock.patch("shutil.which", return_value=None), self.assertRaises(FrontendError) as caught:
            bench_programs.emulator("riscv64")
        self.assertIn("qemu-user", caught.exception.message)
        self.assertEqual(bench_programs.emulator("native"), [])


class CommandTest(unittest.TestCase):
    def test_list_needs_nothing_built(self):
        out = io.StringIO()
        with redirect_stdout(out):
            self.assertEqual(cli.dispatch(["bench", "copy", "--list"]), 0)
        self.assertEqual(out.getvalue(), "copy.sysmem.vs_memcpy\n")

    def test_trace_is_refused_with_the_reason(self):
        with self.assertRaises(UsageError):
            cli.dispatch(["bench", "--trace", "x"])

    def test_table_and_json_of_a_run(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "figures.json"
            out = io.StringIO()
            measurement = bench.Measurement(lambda _bench: [Figure("tlb.hit", 9.5, "ns", 5.0)], ("tlb.hit",))
            with mock.patch.object(bench, "MEASUREMENTS", [measurement]), redirect_stdout(out), \
                    mock.patch.object(bench, "ensure", return_value=fakes.artifacts()):
                self.assertEqual(cli.dispatch(["bench", "--json", str(path)]), 0)
            self.assertEqual(json.loads(path.read_text()),
                             [{"name": "tlb.hit", "value": 9.5, "unit": "ns", "baseline": 5.0, "ratio": 1.9}])
            self.assertIn("tlb.hit", out.getvalue())

    def run_with_the_fake_guest(self):
        """Its programs do nothing and print nothing."""
        with tempfile.TemporaryDirectory() as directory, fakes.behave("normal"):
            process = fakes.tandem(["bench", "fault.gpu"], fakes.make_stage(directory))
            out, err = process.communicate(timeout=60)
        return process.returncode, out, err.decode()

    def test_a_program_without_results_fails_the_command(self):
        status, out, err = self.run_with_the_fake_guest()
        self.assertEqual((status, out), (1, b""))
        self.assertIn("tandem: ", err)
        self.assertNotIn("Traceback", err)


if __name__ == "__main__":
    unittest.main()
