# SPDX-License-Identifier: GPL-2.0-or-later
"""./tandem run demo: the first thing to see. One guest with tracing on, a few workloads in turn, and the trace's summary.

Which workloads, and in which order, share/workloads.json says; each prints its own account of what the GPU did.
"""
import os
import time

from . import workloads
from .boot import Guest
from .execution import Execution, StandardStreams, Program, exit_status
from .run import BASE_KINDS, boot, ensure, finish, guest_variables, machine_config, report_ending
from .status import GUEST_LOST, FrontendError
from .wire import ENDING_EXITED

DEFAULT_TRACE = "tandem-demo.trace"


def say(text=""):
    print(text, flush=True)


def run_one(guest, workload, variables, timeout):
    """Run one of the demo's workloads; returns its exit status."""
    say(f"\n=== {workload.name}: {workload.description}")
    began = time.monotonic()
    program = Program(workload.path, [workload.binary, *workload.arguments], "/tmp", variables)
    ending = Execution(guest, StandardStreams()).run(program, timeout)
    report_ending(program, ending, guest)
    status = exit_status(ending)
    how = "done" if status == 0 else (f"exit status {status}" if ending.kind == ENDING_EXITED else "killed")
    say(f"=== {workload.name}: {how}, {time.monotonic() - began:.1f} s")
    return status


def show_summary(trace):
    from trace_reader import summary_main
    say(f"\n=== what the GPU and its driver did, from {trace}")
    summary_main([str(trace)])


def demo_command(args):
    trace = args.trace or DEFAULT_TRACE
    config = machine_config(args, trace)
    variables = guest_variables(args)
    artifacts = ensure(args, *BASE_KINDS)
    catalogue = workloads.load(artifacts.guest_dir)
    sequence = [catalogue.workloads[name] for name in catalogue.demo if name in catalogue.workloads]
    if not sequence:
        raise FrontendError("share/workloads.json names no workloads for the demo")
    began = time.monotonic()
    with Guest(config, artifacts, args.keep_console) as guest:
        boot(guest, config, artifacts)
        say(f"Linux {guest.ready.release} is up after {time.monotonic() - began:.1f} s, with a GPU at /dev/tandem0.")
        statuses = [run_one(guest, workload, variables, args.timeout) for workload in sequence]
        status = finish(guest, next((status for status in statuses if status), 0))
    if not os.path.exists(config.trace):
        raise FrontendError(f"the guest ran, and the GPU wrote no trace to {trace}", GUEST_LOST)
    show_summary(trace)
    say(f"\nThe trace is in {trace}: './tandem trace show {trace}' lists every event, './tandem trace show --help' tells how to "
        "filter them.")
    say(f"The whole demo took {time.monotonic() - began:.1f} s.")
    return status
