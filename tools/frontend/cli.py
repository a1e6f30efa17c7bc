# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of ./tandem: its subcommands, their help, and how failures reach the user.

Each subcommand is one function in one module, imported only when it is called, so that --help needs nothing built.
"""
import argparse
import importlib
import re
import signal
import sys

from . import machine
from .status import INTERRUPTED, SIGNAL_BASE, TABLE, FrontendError, UsageError

DESCRIPTION = """\
Tandem is a GPU that you can boot: QEMU with a PCIe GPU in it whose MMU, TLBs and compute units you can watch, a Linux guest
with its driver, and workloads that share memory between CPU and GPU.
"""

TOP_EPILOG = f"""\
examples:
  ./tandem run demo                    boot a guest, run a few workloads, show what the GPU did
  ./tandem test                        run all tests, on the host and in the guest
  ./tandem run vecadd                  run one workload; its exit status is tandem's
  ./tandem run --gpu help              the GPU's properties
  ./tandem run ./my-program arg        run a program of this machine in the guest
  ./tandem shell                       look around in the guest
  ./tandem bench                       how fast it is

What is missing (QEMU, the guest's kernel, the driver) is built on first use; './tandem setup' does that beforehand.
'./tandem COMMAND --help' explains each command.

{TABLE}"""

RUN_EPILOG = f"""\
WORKLOAD is a name from './tandem list', or 'demo'. PROGRAM is the path of any program or script of this machine (with a slash
in it): the guest sees this machine's files read-only under their own names, libraries included; its /tmp is its own.
Standard input, output and error pass through, and so does the exit status. Variables TANDEM_* of the environment pass, too.

examples:
  ./tandem run vecadd
  ./tandem run --gpu l1-sets=4,l1-ways=2 --trace vecadd.trace vecadd     then: ./tandem trace summary vecadd.trace
  ./tandem run --cpus 4 --memory 4G --timeout 60 histogram
  ./tandem run --gpus 2 --env TANDEM_DEVICE=/dev/tandem1 vecadd          on the second of two GPUs that share a link
  ./tandem run /bin/uname -a
  echo hello | ./tandem run /usr/bin/wc -c
  ./tandem run --keep-console console.txt --kernel-arg loglevel=7 ./my-program

{TABLE}"""

REPLAY_EPILOG = f"""\
The same output, the same trace, the same exit status. Kernel, QEMU and hardware model must be those of the recording; the guest's
files are in FILE. docs/replay.md tells how to debug guest and GPU this way.

examples:
  ./tandem run --record case.rec --seed 7 --hostile 7 churn
  ./tandem replay case.rec
  ./tandem replay case.rec --trace case.trace        then: ./tandem trace show case.trace
  ./tandem replay case.rec --gdb                     then, elsewhere: gdb -ex 'target remote 127.0.0.1:1234'

{TABLE}"""

EXPLORE_EPILOG = """\
A violation is what the coherence checker reports, a complaint of the guest's kernel, a panic or a hang, a failing exit status, or
anything that QEMU says. Each distinct one is told once, with the shortest command that reproduces it. The exit status is 1 if there
was one, else 0.

Options may stand behind WORKLOAD, too; what begins with a dash and is meant for the workload comes behind --.

Seeds can be shared out: by --slice, or by GTEST_TOTAL_SHARDS and GTEST_SHARD_INDEX, as job arrays set them.

examples:
  ./tandem explore churn --runs 1000
  ./tandem explore --translation sva --runs 200 vecadd
  ./tandem explore churn --runs 200 -- --rounds 1 --pages 16
  GTEST_TOTAL_SHARDS=16 GTEST_SHARD_INDEX=$SLURM_ARRAY_TASK_ID ./tandem explore --runs 10000 mm_fork_test
"""

SHELL_EPILOG = """\
The shell runs as root. /dev/tandem0 is the GPU, /tandem/bin holds the workloads, /sys/kernel/debug the driver's statistics,
this machine's files are there read-only, /tmp is writable. Ctrl-C goes to the guest; leave with exit or Ctrl-D. Ctrl-]
switches the guest off at once.

examples:
  ./tandem shell
  ./tandem shell -c 'lspci; cat /proc/meminfo'
  ./tandem shell --gpu compute-units=8
"""

TEST_EPILOG = """\
host:  the hardware model's tests, the front end's and the tools' own, and QEMU's test of the GPU's registers
guest: the GoogleTest suites, many cases to a boot. A panic or a hang fails the test that ran, the guest boots again, and the
       remaining ones follow. A complaint in the kernel's log fails the test that caused it.
hmm:   of these only the kernel's own suites, unmodified: hmm-tests, on four GPUs (docs/hmm-tests.md), and eight mm selftests, each
       alone and with the GPU reading along (docs/mm-selftests.md)
matrix: what GPU vendors' own suites check, by the tests that docs/matrix.md names, in the guest; ends with a table of results
mutations: is each broken rule of the driver or of the hardware seen by the coherence checker? --filter takes their names.
       The last line is 'N of M detected' (docs/checker.md)
The last line of the others is 'N passed, N failed, N skipped'. The exit status is 0 if all passed, 1 if one failed or none matched.

examples:
  ./tandem test
  ./tandem test host --filter 'Tlb.*'
  ./tandem test host --sanitize
  ./tandem test guest --kernel debug     (the kernel full of checks; built when first asked for)
  ./tandem test guest --filter '*Fork*' --gpu l1-ways=1
  ./tandem test hmm
  ./tandem test mutations --filter 'flush-*'
  ./tandem test --junit results.xml
  ./tandem test matrix --table results.md
  ./tandem test --list
"""

BENCH_EPILOG = """\
NAME is a figure, the beginning of some up to a dot (fault, tlb.hit), or a glob. What is compared takes turns with what it is
compared with; each figure is the median of all rounds; the ratio is this project divided by the baseline. A target that is
missed is shown and changes nothing about the exit status. docs/benchmarks.md explains each figure. Measure on a quiet machine.

examples:
  ./tandem bench
  ./tandem bench compute.hash --rounds 7
  ./tandem bench --json figures.json
  ./tandem bench fault --gpu compute-units=8
"""

TRACE_EPILOG = """\
A trace is made by './tandem run --trace FILE ...' or './tandem run demo'.

examples:
  ./tandem trace show demo.trace
  ./tandem trace show --help           the filters
  ./tandem trace summary demo.trace
  ./tandem trace export demo.trace demo.json    a timeline for ui.perfetto.dev
"""


def memory_size(text):
    if not re.fullmatch(r"[1-9]\d*[MGmg]", text):
        raise argparse.ArgumentTypeError(f"'{text}' is no size; write 512M or 2G")
    if text[-1] in "Mm" and int(text[:-1]) < machine.LEAST_MEMORY_MIB:
        raise argparse.ArgumentTypeError(f"the guest does not boot in {text}; it needs {machine.LEAST_MEMORY_MIB}M")
    return text.upper()


def cpu_count(text):
    if not text.isdigit() or not 1 <= int(text) <= 16:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 1 to 16")
    return int(text)


def gpu_count(text):
    if not text.isdigit() or not 1 <= int(text) <= machine.MOST_GPUS:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 1 to {machine.MOST_GPUS}")
    return int(text)


def round_count(text):
    if not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 1 to 100")
    return int(text)


def port_number(text):
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port: a number from 1 to 65535")
    return int(text)


def seed(text):
    if not text.isdigit() or int(text) >= 1 << 64:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 0 to {(1 << 64) - 1}")
    return int(text)


def seconds(text):
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e7:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds")
    return value


def add_machine_options(parser):
    group = parser.add_argument_group("the machine")
    group.add_argument("--gpu", default="", metavar="KEY=VALUE,...",
                       help="properties of the GPU; '--gpu help' lists them. With several GPUs, 'KEY=VALUE,... 2:KEY=VALUE,...' are those "
                       "of all, and those of number 2 alone")
    group.add_argument("--gpus", type=gpu_count, default=1, metavar="N",
                       help="how many of them (default %(default)s); /dev/tandem0 is the first")
    group.add_argument("--no-fabric", action="store_true", help="several GPUs share no link: none reaches another one's memory")
    group.add_argument("--iommu", choices=("off", "passthrough", "on"), default="off",
                       help="an IOMMU in front of the GPU: none; one that leaves the driver's own DMA alone, as --translation sva brings "
                       "along; or one that translates all of it (default off)")
    group.add_argument("--cpus", type=cpu_count, metavar="N",
                       help=f"processors of the guest (default {machine.DEFAULT_CPUS}; 1 where runs must repeat)")
    group.add_argument("--memory", type=memory_size, default=machine.DEFAULT_MEMORY, metavar="SIZE",
                       help="memory of the guest (default %(default)s)")
    group.add_argument("--kernel", default="default", metavar="NAME",
                       help="the guest's kernel: default, debug (lockdep, KASAN, kmemleak), or a version such as 6.12")
    group.add_argument("--driver-arg", action="append", default=[], metavar="KEY=VALUE",
                       help="parameter of the driver's module, for example hmm_dmirror=1; mutate=NAME takes the test-only module "
                       "and breaks a rule (docs/checker.md)")
    group.add_argument("--kernel-arg", action="append", default=[], metavar="ARG", help="add to the kernel's command line")
    group.add_argument("--accel", choices=("tcg", "kvm"), default="tcg",
                       help="how the guest's processors run: emulated everywhere, or by KVM where it works (default tcg)")
    group.add_argument("--deterministic", action="store_true", help="one thread and virtual time; with run: the same run every time")
    group.add_argument("--seed", type=seed, metavar="N",
                       help="for every choice that the hardware leaves open (default 1); programs see it as TANDEM_SEED")
    group.add_argument("--hostile", type=seed, metavar="SEED",
                       help="the GPU delays, reorders and splits whatever it is allowed to, chosen by SEED")
    group.add_argument("--qemu-arg", action="append", default=[], metavar="ARG",
                       help="add to QEMU's command line; once for each word, as --qemu-arg=-d --qemu-arg=guest_errors")
    group.add_argument("--trace", metavar="FILE", help="write every translation, fault and invalidation to FILE; a second GPU writes to one named after it")
    group.add_argument("--check", action="store_true", default=False,
                       help="hold every access of the GPU against the coherence contract, and report what breaks it (tests and explore do)")
    group.add_argument("--no-check", action="store_false", dest="check", help="do not")
    group.add_argument("--keep-console", metavar="FILE", help="write the guest's serial console to FILE")
    group.add_argument("--no-gpu", action="store_true", help=argparse.SUPPRESS)  # for tests of the front end itself


def add_program_options(parser):
    parser.add_argument("--translation", choices=("mirror", "sva"), default="mirror",
                        help="how the GPU shares the process's address space: mirror, the driver keeps a page table for the GPU; or sva, "
                        "the IOMMU walks the process's own (default mirror)")
    parser.add_argument("--env", action="append", default=[], metavar="KEY=VALUE", help="set a variable for the program")
    parser.add_argument("--timeout", type=seconds, metavar="S", help="end the guest after S seconds (default: never)")


def add_file_option(group):
    group.add_argument("--file", action="append", default=[], metavar="PATH",
                       help="a file or directory that the program needs: a deterministic guest sees no other one of this machine")


def _subparser(subparsers, name, summary, epilog, handler):
    parser = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=epilog,
                                   formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.set_defaults(handler=handler)
    return parser


def _add_run(subparsers):
    parser = _subparser(subparsers, "run", "boot a guest, run a workload or a program in it, and power off", RUN_EPILOG,
                        "run:run_command")
    add_program_options(parser)
    add_machine_options(parser)
    group = parser.add_argument_group("runs that can be had again")
    group.add_argument("--record", metavar="FILE", help="a deterministic run that './tandem replay FILE' does again exactly")
    add_file_option(group)
    parser.add_argument("target", nargs="?", metavar="WORKLOAD|PROGRAM", help="what to run")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS", help="its arguments")


def positive(text):
    if not text.isdigit() or not 1 <= int(text) <= 10_000_000:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 1 to 10000000")
    return int(text)


def _add_explore(subparsers):
    parser = _subparser(subparsers, "explore", "run a workload with many seeds and hostile timing, from a snapshot, on all cores",
                        EXPLORE_EPILOG, "explore:explore_command")
    parser.add_argument("--runs", type=positive, default=100, metavar="N", help="how many seeds (default %(default)s)")
    parser.add_argument("--first-seed", type=seed, default=1, metavar="N", help="the first of them (default %(default)s)")
    parser.add_argument("--jobs", type=positive, metavar="N", help="guests at a time (default: one for each core)")
    parser.add_argument("--slice", metavar="I/N", help="only the I-th of N shares of the seeds, as meson test --slice")
    parser.add_argument("--guest-seconds", type=positive, default=120, metavar="S",
                        help="a program that takes longer by the guest's own clock hangs (default %(default)s)")
    parser.add_argument("--no-hostile", action="store_true", help="seeds, but no hostile timing")
    add_program_options(parser)
    add_machine_options(parser)
    add_file_option(parser)
    parser.add_argument("target", nargs="?", metavar="WORKLOAD|PROGRAM", help="what to run; its arguments follow")
    parser.set_defaults(record=None, check=True, arguments=[])


def _add_replay(subparsers):
    parser = _subparser(subparsers, "replay", "do a recorded run again, exactly", REPLAY_EPILOG, "recording:replay_command")
    parser.add_argument("recording", metavar="FILE", help="what './tandem run --record FILE ...' has written")
    parser.add_argument("--gdb", nargs="?", type=port_number, const=1234, metavar="PORT",
                        help="wait for gdb at the guest's first instruction (default port 1234)")
    parser.add_argument("--trace", metavar="FILE", help="write the GPU's trace to FILE")
    parser.add_argument("--timeout", type=seconds, metavar="S", help="end the guest after S seconds (default: never)")
    parser.add_argument("--keep-console", metavar="FILE", help="write the guest's serial console to FILE")


def _add_shell(subparsers):
    parser = _subparser(subparsers, "shell", "open a shell in a guest with the GPU", SHELL_EPILOG, "shell:shell_command")
    parser.add_argument("-c", dest="command", metavar="COMMANDS", help="run these shell commands and leave")
    add_program_options(parser)
    add_machine_options(parser)


def _add_list(subparsers):
    parser = _subparser(subparsers, "list", "show workloads and test suites", "", "listing:list_command")
    parser.set_defaults(no_gpu=False, kernel="default")


def _add_test(subparsers):
    parser = _subparser(subparsers, "test", "run the tests, on the host and in the guest", TEST_EPILOG,
                        "test_runner:test_command")
    parser.add_argument("where", nargs="?", choices=("all", "host", "guest", "hmm", "matrix", "mutations"), default="all",
                        help="which (default: all, which has no mutations)")
    parser.add_argument("--filter", metavar="GLOB", help="only tests whose Suite.Name matches, for example 'Tlb.*'")
    parser.add_argument("--junit", metavar="FILE", help="write the results as JUnit XML")
    parser.add_argument("--table", metavar="FILE", help="write the results of the matrix, or of mutations, as Markdown")
    parser.add_argument("--list", action="store_true", dest="list_only", help="show the tests, run none")
    parser.add_argument("--sanitize", action="store_true",
                        help="with 'host': only the hardware model's tests, built with AddressSanitizer and UBSan")
    parser.add_argument("--test-timeout", type=seconds, metavar="S", help="the longest that one test may take (default 120)")
    add_machine_options(parser)
    parser.set_defaults(check=True)


def _add_bench(subparsers):
    parser = _subparser(subparsers, "bench", "measure speed, against what one would compare it with", BENCH_EPILOG,
                        "bench:bench_command")
    parser.add_argument("name", nargs="?", metavar="NAME", help="which figures (default: all)")
    parser.add_argument("--json", metavar="FILE", help="write the figures as a list of objects")
    parser.add_argument("--rounds", type=round_count, default=3, metavar="N", help="rounds of samples (default %(default)s)")
    parser.add_argument("--list", action="store_true", dest="list_only", help="show the names, measure nothing")
    add_machine_options(parser)


def _add_trace(subparsers):
    parser = _subparser(subparsers, "trace", "read a trace file", TRACE_EPILOG, "cli:trace_command")
    parser.add_argument("view", choices=("show", "summary", "export"),
                        help="every event, counts and latencies by cause, or a timeline for Perfetto")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="FILE", help="the trace, and options of the view")


def _add_setup(subparsers):
    subparsers.add_parser("setup", help="fetch and build everything that the other commands need")  # see dispatch()


def build_parser():
    parser = argparse.ArgumentParser(prog="tandem", description=DESCRIPTION, epilog=TOP_EPILOG, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="subcommand", required=True)
    for add in (_add_setup, _add_run, _add_replay, _add_explore, _add_shell, _add_list, _add_test, _add_bench, _add_trace):
        add(subparsers)
    return parser


def trace_command(args):
    import trace_reader
    view = {"show": trace_reader.show_main, "summary": trace_reader.summary_main, "export": trace_reader.export_main}[args.view]
    return view(args.arguments)


def _find_handler(name):
    module, function = name.split(":")
    return getattr(importlib.import_module(f"{__package__}.{module}"), function)


def report(error):
    print(f"tandem: {error.message}", file=sys.stderr)
    for line in error.details:
        print(f"    {line}", file=sys.stderr)
    return error.status


def parse(arguments):
    """explore takes its options on both sides of the workload, because --runs is what one changes; what follows -- is the workload's."""
    theirs = []
    if arguments[:1] == ["explore"] and "--" in arguments:
        at = arguments.index("--")
        arguments, theirs = arguments[:at], arguments[at + 1:]
    args, unknown = build_parser().parse_known_args(arguments)
    if args.subcommand == "explore":
        args.arguments = [word for word in unknown if not word.startswith("-")] + theirs
        unknown = [word for word in unknown if word.startswith("-")]
    if unknown:
        hint = "; what is meant for the workload comes behind --" if args.subcommand == "explore" else ""
        raise UsageError(f"{args.subcommand} has no option '{unknown[0]}'; './tandem {args.subcommand} --help' shows them{hint}")
    return args


def dispatch(arguments):
    if arguments[:1] == ["setup"]:  # it has a parser of its own
        from . import setup
        return setup.main(arguments[1:])
    args = parse(arguments)
    return _find_handler(args.handler)(args)


def main(arguments):
    from .run import Interrupted, stop_on_signals
    stop_on_signals()
    try:
        return dispatch(arguments) or 0
    except FrontendError as error:
        return report(error)
    except BrokenPipeError:
        return SIGNAL_BASE + signal.SIGPIPE
    except Interrupted as interruption:
        print("\ntandem: interrupted", file=sys.stderr)
        return INTERRUPTED if interruption.number == signal.SIGINT else SIGNAL_BASE + interruption.number
