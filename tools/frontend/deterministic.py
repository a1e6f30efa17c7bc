# SPDX-License-Identifier: GPL-2.0-or-later
"""./tandem run --deterministic: the same machine, program, input and seed give the same output and the same trace.

What would differ from run to run is taken away: the guest is sealed (sealed.py), and the environment that the program sees holds
nothing of this session but what the user set.
"""
import os
from dataclasses import dataclass, field
from pathlib import Path

from . import program_image, sealed, workloads
from .boot import GuestDied
from .execution import Program, StandardStreams, exit_status
from .run import (BASE_KINDS, boot_refusal, ensure, guest_variables, machine_config, report_ending, report_qemu_errors,
                  tell_violations)
from .status import VIOLATION, UsageError

DEFAULT_SEED = 1


@dataclass
class Job:
    """All that such a run depends on, apart from kernel, QEMU and model."""
    config: object
    program: Program
    image: bytes
    standard_input: bytes = b""
    modules: list = field(default_factory=list)

    def script(self):
        return sealed.script(sealed.orders(self.modules, self.program, self.standard_input))


def seal(args):
    """Options of a deterministic run that were left open, and combinations that cannot be."""
    if args.accel == "kvm":
        raise UsageError("--accel kvm cannot be deterministic: virtual time needs emulated processors")
    if args.cpus not in (None, 1):
        raise UsageError(f"--cpus {args.cpus} does not repeat: in which order several processors come at something depends on the "
                         "host. Deterministic guests have one; the GPU is what runs beside it")
    args.deterministic, args.cpus = True, 1
    if args.seed is None:
        args.seed = DEFAULT_SEED


def job_of(args, artifacts):
    config = machine_config(args)
    config.trace = config.trace or os.devnull  # the driver sees whether there is one, and says more
    variables = guest_variables(args, environment={})  # nothing of this session: only what the user sets with --env
    catalogue = workloads.load(artifacts.guest_dir)
    path, arguments = workloads.resolve(args.target, args.arguments, catalogue)
    directory = "/tmp" if path.startswith(workloads.GUEST_STAGE) else workloads.guest_path(os.getcwd())
    return Job(config, Program(path, arguments, directory, variables), image_of(args, artifacts, path, directory, variables),
               sealed.read_standard_input(), modules_of(config, artifacts))


def image_of(args, artifacts, path, directory, variables):
    """The stage's programs are static; one of the host brings its libraries along."""
    image = program_image.ProgramImage()
    image.add_directory(directory)
    stage_prefix = f"{workloads.GUEST_STAGE}/bin/"
    image.add_stage(artifacts.guest_dir, path.removeprefix(stage_prefix) if path.startswith(stage_prefix) else None)
    if not path.startswith(stage_prefix):
        image.add_program(os.path.abspath(args.target), path, variables)
    for name in args.file:
        program_image.add_named(image, name)
    return image.archive()


def modules_of(config, artifacts):
    return [(Path(artifacts.driver_ko).name, config.driver_parameters)] if config.gpu_present and artifacts.driver_ko else []


def run_script(job, script, artifacts, sink, timeout=None, keep_console=None, tell=tell_violations, **sealed_options):
    """Boot, run, power off; returns the exit status. `tell` gets the checker's reports, also those of a guest that dies."""
    with sealed.SealedGuest(job.config, artifacts, job.image, script, keep_console, **sealed_options) as guest:
        guest.start()
        try:
            with boot_refusal(guest, job.config, artifacts):
                ending = guest.follow(sink, timeout)
            guest.wait_for_power_off()
        except GuestDied:
            tell(guest.checker.take_reports())
            raise
        report_ending(job.program, ending, guest)
        report_qemu_errors(guest)
        return VIOLATION if tell(guest.checker.take_reports()) else exit_status(ending)


def deterministic_command(args):
    seal(args)
    artifacts = ensure(args, *BASE_KINDS)
    job = job_of(args, artifacts)
    if args.record:
        from .recording import record
        return record(args, job, artifacts)
    return run_script(job, job.script(), artifacts, StandardStreams(), args.timeout, args.keep_console)
