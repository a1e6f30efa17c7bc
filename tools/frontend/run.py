# SPDX-License-Identifier: GPL-2.0-or-later
"""./tandem run: one guest, one program, and the program's exit status.

Checks what can be checked before anything boots, then boots, runs, powers off. What the kernel complained about while the
program ran is told on standard error, because the program itself cannot know.
"""
import contextlib
import os
import signal
import sys

from . import gpu_options, workloads
from .boot import Guest, GuestDied
from .execution import Execution, InputPump, Program, StandardStreams, exit_status
from .machine import DEFAULT_CPUS, MachineConfig, time_scale
from .status import GUEST_LOST, SIGNAL_BASE, VIOLATION, FrontendError, UsageError
from .wire import ENDING_NOT_STARTED

BASE_KINDS = ("qemu", "kernel", "model", "driver", "guest")
PASSED_VARIABLES = ("TERM", "LANG", "TZ", "GTEST_COLOR")
SPLAT_LINES = 30
SURVIVOR_NOTE = "tandem: processes that the program left behind could not be killed: something in the kernel holds them"


class Interrupted(Exception):
    """A signal that asks the front end to stop."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def stop_on_signals():
    """Turn the signals that end a command into an exception, so that the guest is always powered off."""
    def stop(number, _frame):
        raise Interrupted(number)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup asked for it to be ignored
        signal.signal(signal.SIGHUP, stop)


def iommu(args):
    """Translation by the IOMMU needs one."""
    return "passthrough" if args.iommu == "off" and getattr(args, "translation", None) == "sva" else args.iommu


def machine_config(args, trace=None):
    """The machine that the options of run, shell and test describe."""
    trace = trace or args.trace
    return MachineConfig(
        cpus=args.cpus or DEFAULT_CPUS, memory=args.memory, accel=args.accel, deterministic=args.deterministic,
        gpu=gpu_options.parse(args.gpu, args.gpus), gpu_present=not args.no_gpu, gpus=args.gpus,
        fabric=not args.no_fabric, iommu=iommu(args), trace=os.path.abspath(trace) if trace else None, check=args.check,
        kernel=args.kernel, driver_parameters=" ".join(args.driver_arg), kernel_arguments=list(args.kernel_arg),
        qemu_arguments=list(args.qemu_arg), seed=args.seed, hostile=args.hostile)


def guest_variables(args, environment=os.environ):
    """The environment of programs in the guest: little of the host's, so that runs are alike on every machine."""
    variables = {
        "PATH": "/tandem/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/guest-bin",
        "HOME": "/tmp", "TMPDIR": "/tmp",
    }
    if time_scale(args.kernel) != 1:
        variables["TANDEM_TIME_SCALE"] = str(time_scale(args.kernel))
    for key, value in environment.items():
        if key.startswith("TANDEM_") or key in PASSED_VARIABLES:
            variables.setdefault(key, value)
    if args.seed is not None:
        variables["TANDEM_SEED"] = str(args.seed)
    if getattr(args, "translation", None):
        variables["TANDEM_TRANSLATION"] = args.translation
    for assignment in getattr(args, "env", ()):
        key, separator, value = assignment.partition("=")
        if not separator or not key:
            raise UsageError(f"--env takes KEY=VALUE, and '{assignment}' is none")
        variables[key] = value
    return variables


def ensure(args, *kinds):
    """What is missing gets built. A driver that is to break a rule (--driver-arg mutate=NAME) is the test-only twin of the module."""
    from . import artifacts  # loaded late so that --help is instant
    driver = "mutant" if any(argument.startswith("mutate=") for argument in getattr(args, "driver_arg", ())) else "driver"
    wanted = [driver if kind == "driver" else kind for kind in kinds if not (args.no_gpu and kind == "driver")]
    found = artifacts.ensure(*wanted, kernel=args.kernel)
    if driver == "mutant":
        found.driver_ko = found.mutant_ko
    return found


def boot(guest, config, artifacts):
    with boot_refusal(guest, config, artifacts):
        guest.start()
        guest.wait_ready()


@contextlib.contextmanager
def boot_refusal(guest, config, artifacts):
    """A QEMU that ends at once has refused the command line, and says why in the user's words."""
    try:
        yield
    except GuestDied as death:
        errors = guest.qemu_errors()
        if guest.ready is None and errors and death.kind == "lost":
            raise _refusal(errors, config, artifacts) from death
        raise


def _refusal(errors, config, artifacts):
    explained = gpu_options.explain(errors, config, artifacts)
    if explained:
        return explained
    first = errors[0].split(": ", 1)[-1]
    return FrontendError(f"QEMU refuses to start: {first}", GUEST_LOST, errors[1:])


def report_splats(guest):
    """Tell what the guest's kernel complained about; returns how many complaints there were."""
    splats = guest.kernel_log.take_splats()
    for splat in splats:
        print(f"tandem: the guest's kernel complained: {splat.title}", file=sys.stderr)
        for line in splat.lines[1:SPLAT_LINES]:
            print(f"    {line}", file=sys.stderr)
    return len(splats)


def report_violations(guest):
    """Tell what the coherence checker reported; returns how many violations."""
    return tell_violations(guest.checker.take_reports())


def tell_violations(reports):
    """Returns how many."""
    for report in reports:
        print(f"tandem: the coherence checker reports: {report.title}", file=sys.stderr)
        for line in report.lines[1:]:
            print(f"  {line}", file=sys.stderr)
    return len(reports)


def report_ending(program, ending, guest):
    """What the exit status alone does not tell."""
    if ending.kind == ENDING_NOT_STARTED:
        print(f"tandem: {program.path} cannot be started in the guest: {os.strerror(ending.value)}", file=sys.stderr)
    if ending.survivors:
        print(SURVIVOR_NOTE, file=sys.stderr)
    report_splats(guest)


def report_qemu_errors(guest):
    for line in guest.qemu_errors():
        print(f"qemu: {line}", file=sys.stderr)


def finish(guest, status):
    """Power off, tell what is still to be told; the status of the whole command."""
    guest.power_off()
    report_qemu_errors(guest)
    return VIOLATION if report_violations(guest) else status


def standard_input():
    """Ours, or None where it is closed."""
    try:
        os.fstat(0)
    except OSError:
        return None
    return InputPump(0)


def run_in_guest(config, artifacts, program, timeout=None, keep_console=None):
    """Boot, run one program on this process's streams, power off; returns the exit status."""
    with Guest(config, artifacts, keep_console) as guest:
        boot(guest, config, artifacts)
        try:
            ending = Execution(guest, StandardStreams(), standard_input()).run(program, timeout)
        except BrokenPipeError:  # whoever read our output has gone, as in `tandem run ... | head`
            return SIGNAL_BASE + signal.SIGPIPE
        except GuestDied:
            report_violations(guest)
            raise
        report_ending(program, ending, guest)
        return finish(guest, exit_status(ending))


def run_command(args):
    if args.gpu == "help":
        print(gpu_options.help_text(ensure(args, "qemu", "model")))
        return 0
    if not args.target:
        raise UsageError("nothing to run; './tandem list' shows the workloads")
    if args.target == "demo":
        from .demo import demo_command
        return demo_command(args)
    if args.deterministic or args.record:
        from .deterministic import deterministic_command
        return deterministic_command(args)
    if args.file:
        raise UsageError("--file is for --deterministic and --record: other guests see this machine's files anyway")
    config = machine_config(args)
    variables = guest_variables(args)
    artifacts = ensure(args, *BASE_KINDS)
    path, arguments = workloads.resolve(args.target, args.arguments, workloads.load(artifacts.guest_dir))
    program = Program(path, arguments, workloads.guest_path(os.getcwd()), variables)
    return run_in_guest(config, artifacts, program, args.timeout, args.keep_console)
