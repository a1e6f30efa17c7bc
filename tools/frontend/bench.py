# SPDX-License-Identifier: GPL-2.0-or-later
"""./tandem bench: how fast it is, against what a user would compare it with, on the same work in the same run.

A measurement gives one or more figures. Those that are compared take their samples in turn with the baseline's, round by
round, so that both meet the same load of this machine. docs/benchmarks.md says what each figure means.
"""
import fnmatch
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace

from . import gpu_options, workloads
from .bench_figures import Figure, SampleSet, compare, measured, table, write_json
from .bench_programs import GuestBench, HostPrograms
from .processor_time import GPU_THREAD
from .run import BASE_KINDS, ensure, guest_variables, machine_config
from .status import FrontendError, UsageError


class Bench:
    """What measurements share: the guests, booted when the first needs them, and the host's programs."""

    def __init__(self, config, artifacts, variables, rounds, stack):
        self.config, self.artifacts, self.variables, self.rounds = config, artifacts, variables, rounds
        self.host = HostPrograms(artifacts)
        self._stack = stack
        self._guests = {}

    def new_guest(self, **changes):
        return GuestBench(replace(self.config, **changes), self.artifacts, self.variables)

    def guest(self):
        return self.kept_guest("plain")

    def traced_guest(self):
        directory = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tandem-bench-"))
        return self.kept_guest("traced", trace=os.path.join(directory, "trace"))

    def guest_with_test_hmm(self):
        guest = self.kept_guest("test_hmm")
        guest.load_module("test_hmm.ko")
        return guest

    def guest_with_iommu(self):
        return self.kept_guest("iommu", iommu="passthrough")

    def kept_guest(self, key, **changes):
        """The one of this name, which runs to the end of the benchmarks."""
        if key not in self._guests:
            self._guests[key] = self._stack.enter_context(self.new_guest(**changes))
        return self._guests[key]

    def in_rounds(self, *takers):
        """Each taker returns {name: samples}; all take turns. Returns the merged samples."""
        merged = SampleSet()
        for _round in range(self.rounds):
            for taker in takers:
                for name, samples in taker().items():
                    merged.setdefault(name, []).extend(samples)
        return merged

    def in_guest(self, benchmark):
        return self.in_rounds(lambda: self.guest().samples(benchmark))


# --- the measurements ----------------------------------------------------------------------------------------------------

HASH_BASELINES = {"tcg_user": "riscv64", "native": "native", "native_vector": "native-vector"}


def measure_hash(bench):
    checksums = {}

    def on_gpu():
        samples = bench.guest().samples("hash")
        checksums["gpu"] = samples["checksum"]
        return {"gpu": samples["hash"]}

    def on_host(name):
        checksums[name], rates = bench.host.hash(HASH_BASELINES[name])
        return {name: rates}

    samples = bench.in_rounds(on_gpu, *(lambda name=name: on_host(name) for name in HASH_BASELINES))
    if len(set(checksums.values())) != 1:
        raise FrontendError(f"the hash kernel gave different results: {checksums}")
    targets = {"tcg_user": 0.4}
    return [compare(f"compute.hash.vs_{name}", "elements/s", samples["gpu"], samples[name], at_least=targets.get(name))
            for name in HASH_BASELINES]


def measure_copy(bench):
    samples = bench.in_rounds(lambda: bench.guest().samples("copy"), lambda: {"memcpy": bench.host.memcpy()})
    return [compare("copy.sysmem.vs_memcpy", "bytes/s", samples["copy"], samples["memcpy"], at_least=0.3)]


def measure_faults(bench):
    samples = bench.in_guest("faults")
    return [compare("fault.gpu.vs_cpu_minor", "faults/s", samples["gpu"], samples["cpu"], at_least=0.2),
            measured("fault.gpu.in_a_batch", "faults", samples["batch"])]


def measure_fault_latency(bench):
    samples = bench.in_guest("fault-latency")
    return [compare("fault.dispatch.with_one_fault", "ns", samples["with-fault"], samples["without"])]


def measure_munmap(bench):
    samples = bench.in_guest("munmap")
    return [compare("invalidate.munmap_2m.vs_unmirrored", "ns", samples["small-mirrored"], samples["small-unmirrored"], at_most=3),
            compare("invalidate.munmap_2m_huge.vs_unmirrored", "ns", samples["huge-mirrored"], samples["huge-unmirrored"])]


def measure_pages(bench):
    samples = bench.guest().samples("pages")  # has rounds of its own, after a long preparation
    return [compare("invalidate.page.growth_1k_to_1m_pages", "ns", samples["of-1m"], samples["of-1k"], at_most=2)]


def measure_busy(bench):
    samples = bench.in_guest("busy")
    return [compare("invalidate.page.busy_vs_idle", "ns", samples["busy"], samples["idle"])]


def measure_migrate(bench):
    """In one guest, in two processes that take turns: this driver, and the kernel's module test_hmm."""
    guest = bench.guest_with_test_hmm()
    samples = bench.in_rounds(lambda: guest.samples("migrate"))
    return [compare("migrate.4k.to_vram.vs_test_hmm", "bytes/s", samples["4k-to-vram"], samples["4k-to-vram-hmm"]),
            compare("migrate.4k.to_ram.vs_test_hmm", "bytes/s", samples["4k-to-ram"], samples["4k-to-ram-hmm"]),
            compare("migrate.2m.to_vram.vs_test_hmm", "bytes/s", samples["2m-to-vram"], samples["2m-to-vram-hmm"], at_least=1),
            compare("migrate.2m.to_ram.vs_test_hmm", "bytes/s", samples["2m-to-ram"], samples["2m-to-ram-hmm"], at_least=1),
            compare("migrate.cpu_fault_back.vs_test_hmm", "faults/s", samples["4k-fault-back"], samples["4k-fault-back-hmm"]),
            compare("migrate.cpu_fault_back_2m.vs_test_hmm", "faults/s", samples["2m-fault-back"], samples["2m-fault-back-hmm"])]


HMM_VARIANTS = ("-v", "hmm_device_private", "-v", "hmm2_device_private")
HMM_MODULES = {"tandem": "tandem.ko hmm_dmirror=1", "test_hmm": "test_hmm.ko"}


def measure_hmm(bench):
    """The kernel's hmm-tests, in one guest: on this driver's nodes, then on those of the kernel's module test_hmm, and so on in turn."""
    program = workloads.guest_path(str(bench.artifacts.selftests / "hmm-tests"))
    properties = gpu_options.merge("vram=512M,atomics=exclusive", bench.config.gpu)

    def on(guest, module):
        # An address space that was closed a moment ago holds the module until a work item has freed it.
        guest.shell("for name in tandem test_hmm; do "
                    "while busybox grep -q \"^$name \" /proc/modules; do busybox rmmod $name || busybox sleep 0.1; done; "
                    f"done; busybox insmod /modules/{HMM_MODULES[module]}")
        began = time.monotonic()
        guest.run(program, *HMM_VARIANTS)
        return {module: [time.monotonic() - began]}

    with bench.new_guest(gpu=properties, gpus=2, fabric=False, memory="3G") as guest:
        samples = bench.in_rounds(lambda: on(guest, "tandem"), lambda: on(guest, "test_hmm"))
    return [compare("hmm.private.vs_test_hmm", "s", samples["tandem"], samples["test_hmm"], at_most=2)]


def measure_mmu(bench):
    samples = bench.host.mmu(max(5, bench.rounds))
    few, many = samples["tlb_hit/64"], samples["tlb_hit/4096"]
    return [compare("tlb.hit.growth_64_to_4096_entries", "ns", many, few, at_most=1.5),
            measured("tlb.hit", "ns", few),
            measured("tlb.walk", "ns", samples["walk"]),
            compare("tlb.walk.growth_64_to_4096_waiting", "ns", samples["walks_waiting/4096"], samples["walks_waiting/64"]),
            measured("tlb.invalidate_page", "ns", samples["invalidate_page/4096"])]


ATOMICS_MODES = ("pcie", "exclusive", "vram")


def measure_atomics(bench):
    """The same in three guests, each with another kind of GPU."""
    samples = {}
    for mode in ATOMICS_MODES:
        with bench.new_guest(gpu=gpu_options.merge(bench.config.gpu, f"atomics={mode}")) as guest:
            samples[mode] = bench.in_rounds(lambda guest=guest: guest.samples("atomics"))
    figures = [measured(f"atomics.{mode}.{name.replace('-', '_')}", "ops/s", samples[mode][name])
               for mode in ATOMICS_MODES for name in ("ops", "shared-ops")]
    to_gpu = {mode: compare(f"atomics.{mode}.to_gpu", "ns", samples[mode]["with-change"], samples[mode]["without"])
              for mode in ("exclusive", "vram")}
    to_cpu = {mode: measured(f"atomics.{mode}.to_cpu", "ns", samples[mode]["back"]) for mode in ("exclusive", "vram")}
    there = to_gpu["exclusive"].value - to_gpu["exclusive"].baseline
    change = Figure("atomics.ownership_change", (there + to_cpu["exclusive"].value) / 2, "ns")
    return [*figures, *to_gpu.values(), *to_cpu.values(), change]


def measure_translation(bench):
    """A mirror and the process's own page table, in processes of one guest that take turns."""
    guest = bench.guest_with_iommu()
    samples = bench.in_rounds(lambda: guest.samples("translation"))
    return [compare(f"sva.{figure}.vs_mirror", "ns", samples[f"{sample}-sva"], samples[f"{sample}-mirror"])
            for figure, sample in (("tlb_miss", "miss"), ("fault", "fault"), ("invalidate", "invalidate"))]


def measure_boot(bench):
    ready, whole = [], []
    for _round in range(bench.rounds):
        began = time.monotonic()
        with bench.new_guest() as guest:
            ready.append(guest.ready_s)
            guest.run(f"{workloads.GUEST_STAGE}/bin/vecadd")
        whole.append(time.monotonic() - began)
    return [measured("boot.ready", "s", ready), measured("boot.vecadd", "s", whole)]


def measure_trace(bench):
    """Rates with a trace being written, against those without, in two guests that take turns."""
    def rates(guest, suffix):
        return {f"hash-{suffix}": guest.samples("hash")["hash"], f"fault-{suffix}": guest.samples("faults")["gpu"]}

    traced = bench.traced_guest()
    samples = bench.in_rounds(lambda: rates(bench.guest(), "off"), lambda: rates(traced, "on"))
    return [compare("trace.hash.on_vs_off", "elements/s", samples["hash-on"], samples["hash-off"]),
            compare("trace.fault.on_vs_off", "faults/s", samples["fault-on"], samples["fault-off"])]


CHECKED_GPU = "test-hooks=on,vram=64M"
# Of each kind of test some: for machines like this one, so that a boot serves them all.
CHECKED_TESTS = ("first_test", "fault_test", "memory_test", "compute_test", "atomics_test", "mm_fork_test", "mm_protect_test",
                 "mm_unmap_test", "mm_thp_test", "devmem_private_test", "devmem_evict_test")


def on_against_off(bench, work, thread=None):
    """Processor time of QEMU, or of its threads of this name, with the checker and without, in two guests that take turns."""
    properties = gpu_options.merge(CHECKED_GPU, bench.config.gpu)
    guests = {state: bench.kept_guest(f"check-{state}", gpu=properties, check=state == "on") for state in ("off", "on")}
    return bench.in_rounds(*(lambda state=state, guest=guest: {state: [guest.processor_s(lambda: work(guest), thread)]}
                             for state, guest in guests.items()))


def measure_check(bench):
    figures = []
    for name, benchmark, target in (("hash", "hash", 1.3), ("fault", "faults", None)):
        samples = on_against_off(bench, lambda guest, benchmark=benchmark: guest.samples(benchmark), GPU_THREAD)
        figures.append(compare(f"check.{name}.on_vs_off", "s", samples["on"], samples["off"], at_most=target))
    return figures


def measure_check_of_tests(bench):
    samples = on_against_off(bench, lambda guest: [guest.run(f"{workloads.GUEST_STAGE}/bin/{name}") for name in CHECKED_TESTS])
    return [compare("check.tests.on_vs_off", "s", samples["on"], samples["off"], at_most=1.15)]


@dataclass(frozen=True)
class Measurement:
    """Figures that are taken together."""
    take: callable
    names: tuple


MEASUREMENTS = (
    Measurement(measure_hash, ("compute.hash.vs_tcg_user", "compute.hash.vs_native", "compute.hash.vs_native_vector")),
    Measurement(measure_munmap, ("invalidate.munmap_2m.vs_unmirrored", "invalidate.munmap_2m_huge.vs_unmirrored")),
    Measurement(measure_faults, ("fault.gpu.vs_cpu_minor", "fault.gpu.in_a_batch")),
    Measurement(measure_fault_latency, ("fault.dispatch.with_one_fault",)),
    Measurement(measure_copy, ("copy.sysmem.vs_memcpy",)),
    Measurement(measure_migrate, ("migrate.4k.to_vram.vs_test_hmm", "migrate.4k.to_ram.vs_test_hmm",
                                  "migrate.2m.to_vram.vs_test_hmm", "migrate.2m.to_ram.vs_test_hmm",
                                  "migrate.cpu_fault_back.vs_test_hmm", "migrate.cpu_fault_back_2m.vs_test_hmm")),
    Measurement(measure_hmm, ("hmm.private.vs_test_hmm",)),
    Measurement(measure_mmu, ("tlb.hit.growth_64_to_4096_entries", "tlb.hit", "tlb.walk", "tlb.walk.growth_64_to_4096_waiting",
                              "tlb.invalidate_page")),
    Measurement(measure_pages, ("invalidate.page.growth_1k_to_1m_pages",)),
    Measurement(measure_busy, ("invalidate.page.busy_vs_idle",)),
    Measurement(measure_atomics, ("atomics.pcie.ops", "atomics.pcie.shared_ops", "atomics.exclusive.ops",
                                  "atomics.exclusive.shared_ops", "atomics.vram.ops", "atomics.vram.shared_ops",
                                  "atomics.exclusive.to_gpu", "atomics.vram.to_gpu", "atomics.exclusive.to_cpu",
                                  "atomics.vram.to_cpu", "atomics.ownership_change")),
    Measurement(measure_translation, ("sva.tlb_miss.vs_mirror", "sva.fault.vs_mirror", "sva.invalidate.vs_mirror")),
    Measurement(measure_boot, ("boot.ready", "boot.vecadd")),
    Measurement(measure_trace, ("trace.hash.on_vs_off", "trace.fault.on_vs_off")),
    Measurement(measure_check, ("check.hash.on_vs_off", "check.fault.on_vs_off")),
    Measurement(measure_check_of_tests, ("check.tests.on_vs_off",)),
)


# --- the command ---------------------------------------------------------------------------------------------------------

def all_names():
    return [name for measurement in MEASUREMENTS for name in measurement.names]


def chosen_names(pattern):
    """NAME is a figure's name, the beginning of some up to a dot, or a glob."""
    if pattern is None:
        return all_names()
    chosen = [name for name in all_names()
              if name == pattern or name.startswith(f"{pattern}.") or fnmatch.fnmatchcase(name, pattern)]
    if not chosen:
        raise UsageError(f"there is no benchmark '{pattern}'", ["they are:", *(f"  {name}" for name in all_names())])
    return chosen


def take(bench, names, say):
    figures = []
    for measurement in MEASUREMENTS:
        wanted = [name for name in measurement.names if name in names]
        if wanted:
            say(f"measuring {wanted[0]}" + (" and what belongs to it" if len(wanted) > 1 else ""))
            figures += [figure for figure in measurement.take(bench) if figure.name in names]
    return figures


def _say(text):
    print(f"tandem: {text}", file=sys.stderr, flush=True)


def bench_command(args):
    if args.trace:
        raise UsageError("bench has no --trace: the cost of tracing is a figure of its own, trace.hash.on_vs_off")
    names = chosen_names(args.name)
    if args.list_only:
        print("\n".join(names))
        return 0
    config, variables = machine_config(args), guest_variables(args)
    artifacts = ensure(args, *BASE_KINDS)
    with ExitStack() as stack:
        figures = take(Bench(config, artifacts, variables, args.rounds, stack), names, _say)
    print("\n".join(table(figures)))
    if args.json:
        write_json(args.json, figures)
    return 0
