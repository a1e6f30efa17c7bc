# SPDX-License-Identifier: GPL-2.0-or-later
"""The GoogleTest programs that run in the guest: many tests to a boot, and another boot when one of them took the guest down.

share/test-configs.json says which programs need a machine of their own: {"fault_test": {"gpu": "test-hooks=on", "gpus": 2,
"fabric": false, "atomic_ops": false, "iommu": "passthrough", "driver": "retry_ms=10", "devices": ["edu"], "cpus": 4, "memory": "4G", "numa": 2,
"kernel_args": "...", "modules": {"test_hmm.ko": "parameters"}, "timeout": 300, "description": "..."}}. Programs with equal needs
share a boot. A GPU property that the user gives wins over the file's. "fabric" false: several GPUs share no link. "atomic_ops"
false: the root ports complete none. "iommu": as the option. "driver": parameters of its module. "devices": QEMU's, beside the GPU. "numa": so many nodes share the
memory and the processors; the user's --cpus is rounded up to a multiple of it.

"mm_*_test@migrate" makes these programs run once more, as a group of that name, with what the entry adds to their own
configuration: {"gpu": "vram=64M", "environment": {"TANDEM_MIGRATE": "1"}}.
"""
import dataclasses
import fnmatch
import json
import time
from pathlib import Path

from . import gpu_options, hmm_tests, leaks, workloads
from .boot import Guest, GuestDied
from .build_selftests import HMM_TESTS
from .execution import Execution, Program, exit_status
from .host_tests import HostProgram
from .recorder import Recorder
from .results import FAILED
from .run import boot
from .status import FrontendError, UsageError

BOOT_FAILURES_ALLOWED = 2
SPLAT_NOTE = "the guest's kernel complained while this test ran:"
CHECKER_NOTE = "the coherence checker reported while this test ran:"
CONFIG_KEYS = {"description", "gpu", "gpus", "fabric", "atomic_ops", "iommu", "driver", "devices", "cpus", "memory", "numa", "kernel_args",
               "modules", "timeout", "environment",
               "except"}
NOT_OF_THE_MACHINE = ("description", "timeout", "environment", "except")


def load_configs(guest_dir):
    path = Path(guest_dir) / "share" / "test-configs.json"
    try:
        configs = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    for name, config in configs.items():
        unknown = set(config) - CONFIG_KEYS
        if unknown:
            raise UsageError(f"{path}: {name} has unknown keys: {', '.join(sorted(unknown))}")
    return configs


def runs(names, configs):
    """(label, program, configuration): each program as it is, and then once more for each variant that is meant for it.

    A variant is a key PATTERN@NAME; its "except" lists the programs that the pattern does not mean.
    """
    variants = [(*key.split("@", 1), config) for key, config in configs.items() if "@" in key]
    plain = [(name, name, configs.get(name, {})) for name in names]
    return plain + [(f"{name}@{variant}", name, {**configs.get(name, {}), **config})
                    for pattern, variant, config in variants for name in names
                    if fnmatch.fnmatchcase(name, pattern) and name not in config.get("except", ())]


def machine_for(base, config, user_gpu):
    """The machine of these tests: the base, changed by their configuration, changed by the user's --gpu."""
    nodes = config.get("numa", 1)
    return dataclasses.replace(
        base, cpus=-(-config.get("cpus", base.cpus) // nodes) * nodes, memory=config.get("memory", base.memory), numa=nodes,
        gpus=max(base.gpus, config.get("gpus", 1)),
        fabric=base.fabric and config.get("fabric", True), atomic_ops=base.atomic_ops and config.get("atomic_ops", True),
        iommu=config.get("iommu", base.iommu),
        driver_parameters=" ".join(part for part in (base.driver_parameters, config.get("driver", "")) if part),
        gpu=gpu_options.merge(config.get("gpu", ""), user_gpu),
        kernel_arguments=[*base.kernel_arguments, *config.get("kernel_args", "").split()],
        qemu_arguments=[*base.qemu_arguments, *(word for device in config.get("devices", ()) for word in ("-device", device))])


class GuestSession:
    """The guest that the tests of one configuration share. Boots when first used, and again after a death."""

    def __init__(self, config, artifacts, modules):
        self._config = config
        self._artifacts = artifacts
        self._modules = modules
        self._guest = None
        self._failures = 0
        self._last_failure = None

    def guest(self):
        if self._guest is None:
            self._boot()
        return self._guest

    @property
    def given_up(self):
        return self._failures >= BOOT_FAILURES_ALLOWED

    def _boot(self):
        if self.given_up:
            raise self._last_failure
        guest = Guest(self._config, self._artifacts)
        try:
            boot(guest, self._config, self._artifacts)
            for name, parameters in self._modules.items():
                guest.insert_module(name, parameters)
        except FrontendError as failure:
            guest.close()
            self._failures += 1
            self._last_failure = failure
            raise
        self._failures = 0
        self._guest = guest

    def discard(self):
        if self._guest is not None:
            self._guest.close()
            self._guest = None

    def check_leaks(self, reporter):
        """At the end of the session: has the driver freed what it had? The guest is of no use for tests afterwards."""
        if self._guest is None or not self._config.gpu_present:
            return
        reporter.begin_group()
        result = leaks.check(self._guest)
        if result is not None:
            reporter.add(result)
            reporter.end_group(result.group)

    def close(self):
        if self._guest is not None:
            self._guest.power_off()
        self.discard()


class GuestRecorder(Recorder):
    """Also blames what the kernel complains about, and what the checker reports, on the test that ran when it did."""

    def __init__(self, reporter, group):
        super().__init__(reporter, group)
        self.complained = False
        self._kernel_log = None
        self._checker = None
        self._last = None

    def listen(self, guest):
        """From now on to this one."""
        self._kernel_log, self._checker, self.complained = guest.kernel_log, guest.checker, False

    def on_start(self, name):
        self._blame_last(self.take_complaint())

    def on_end(self, case):
        complaint = self.take_complaint()
        if complaint:
            case.status = FAILED
            case.output = [*case.output, complaint]
        super().on_end(case)
        self._last = self.done[case.name]

    def on_program_end(self):
        self._blame_last(self.take_complaint())

    def take_complaint(self):
        complaints = [(SPLAT_NOTE, splat) for splat in self._kernel_log.take_splats()]
        complaints += [(CHECKER_NOTE, report) for report in self._checker.take_reports()]
        self.complained |= bool(complaints)
        return "\n".join(line for note, complaint in complaints for line in (note, *complaint.lines))

    def _blame_last(self, complaint):
        if not complaint:
            return
        if self._last is not None:
            self.reporter.blame(self._last, complaint)
        else:
            self.add("Boot.KernelLogIsClean", FAILED, message=complaint)


class StreamSink:
    """Takes a test program's output and error as one stream."""

    def __init__(self, stream):
        self.output = stream.feed
        self.error = stream.feed


class GuestProgram:
    """One GoogleTest program of the stage. Its tests are listed on the host, where it runs as well."""

    def __init__(self, label, path, session, variables):
        self.group = f"guest {label}"
        self._name = path.name
        self._listing = HostProgram(self.group, [path])
        self._session = session
        self._variables = variables

    def list_tests(self):
        return self._listing.list_tests()

    def attempt(self, names, recorder, limit):
        try:
            guest = self._guest(recorder)
        except FrontendError as failure:
            return "\n".join([f"no guest to run in: {failure.message}", *failure.details])
        recorder.listen(guest)
        return self._run(guest, names, recorder, limit)

    def _guest(self, recorder):
        """A boot that fails is a failure to report, and no reason to lose the tests if the next one works."""
        try:
            return self._session.guest()
        except FrontendError as failure:
            if self._session.given_up:
                raise
            guest = self._session.guest()
            recorder.add("Boot.ComesUp", FAILED, message="\n".join([failure.message, *failure.details]))
            return guest

    def _stream(self, recorder):
        return recorder.stream()

    def _program(self, names):
        arguments = [self._name, "--gtest_color=no", f"--gtest_filter={':'.join(names)}"]
        return Program(f"{workloads.GUEST_STAGE}/bin/{self._name}", arguments, "/tmp", self._variables)

    def _run(self, guest, names, recorder, limit):
        stream = self._stream(recorder)

        def check_time():
            if time.monotonic() - stream.last_event > limit:
                raise guest.timeout(limit)

        try:
            ending = Execution(guest, StreamSink(stream), None, check_time).run(self._program(names))
        except GuestDied as death:
            self._session.discard()
            reason = "\n".join([death.message, *death.details])
            stream.abandon(reason)
            return reason
        return self._after(ending, stream, recorder)

    def _after(self, ending, stream, recorder):
        status = exit_status(ending)
        reason = f"the program ended with status {status}" if status else ""
        if ending.survivors:
            reason = "processes are left that SIGKILL does not end"
            self._session.discard()
        if reason or stream.current:
            reason = reason or "the program ended in the middle of this test"
            stream.abandon(reason)
            reason = "\n".join([reason, *stream.trailing_output()[-40:]])
        recorder.on_program_end()
        if recorder.complained:  # lockdep and the checker speak once in a boot, and who knows what else is broken now
            self._session.discard()
        return reason


class HmmTestsProgram(GuestProgram):
    """The kernel's hmm-tests, which the guest finds among the host's files."""

    def __init__(self, label, path, session, variables, kernel_source):
        super().__init__(label, path, session, variables)
        self._path = path
        self._kernel_source = kernel_source

    def list_tests(self):
        return hmm_tests.list_tests(self._kernel_source, HMM_TESTS)

    def _stream(self, recorder):
        return hmm_tests.KselftestStream(recorder.on_start, recorder.on_end,
                                                lambda totals: recorder.reporter.say(f"{self._name}: {totals}"))

    def _program(self, names):
        arguments = [self._name, *(word for name in names for word in ("-r", name))]
        return Program(workloads.guest_path(str(self._path)), arguments, "/tmp", self._variables)

    def _after(self, ending, stream, recorder):
        """That a test failed the harness also says by its own status."""
        if recorder.failures() and exit_status(ending) == 1 and not stream.current:
            ending = dataclasses.replace(ending, value=0)
        return super()._after(ending, stream, recorder)


def _test_programs(artifacts):
    """Name -> path: the suites of the stage, and the kernel's hmm-tests."""
    directory = Path(artifacts.guest_dir) / "bin"
    programs = {name: directory / name for name in workloads.load(artifacts.guest_dir).test_binaries()}
    if artifacts.selftests and (artifacts.selftests / HMM_TESTS.name).exists():
        programs[HMM_TESTS.name] = artifacts.selftests / HMM_TESTS.name
    return programs


def discover(artifacts, base, user_gpu, variables, only=None):
    """Sessions with their programs: [(session, [(program, time limit or None)])], programs of equal needs together. `only`: of the
    programs with these names.
    """
    configs = load_configs(artifacts.guest_dir)
    paths = _test_programs(artifacts)
    sessions = {}
    for label, name, config in runs([name for name in paths if only is None or name in only], configs):
        key = json.dumps({k: v for k, v in config.items() if k not in NOT_OF_THE_MACHINE}, sort_keys=True)
        if key not in sessions:
            machine = machine_for(base, config, user_gpu)
            sessions[key] = (GuestSession(machine, artifacts, config.get("modules", {})), [])
        session, programs = sessions[key]
        environment = {**variables, **config.get("environment", {})}
        if name == HMM_TESTS.name:
            program = HmmTestsProgram(label, paths[name], session, environment, artifacts.kernel_source)
        else:
            program = GuestProgram(label, paths[name], session, environment)
        programs.append((program, config.get("timeout")))
    return list(sessions.values())
