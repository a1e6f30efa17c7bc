# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine that a guest runs on: what the user asked for, and the QEMU command line that gives it.

Nothing is started here. boot.py passes the open descriptors in and runs the result.
"""
from dataclasses import dataclass, field
from pathlib import PurePath

from . import gpu_options, wire

DEFAULT_CPUS = 2
DEFAULT_MEMORY = "2G"
LEAST_MEMORY_MIB = 64  # kernel, initramfs and a workload; less and nothing comes up
MOST_GPUS = 4

# loglevel=5: warnings and worse reach the serial console, which keeps the boot quick; init passes on everything.
# tsc=reliable: every virtual CPU reads the host's counter; a watchdog would only mistake a busy host for a bad clock.
# panic=-1 with QEMU's -no-reboot: a panic ends the machine at once. An oops leaves locks held, so it counts as one.
KERNEL_ARGUMENTS = (
    "console=ttyS0", "loglevel=5", "panic=-1", "oops=panic", "rdinit=/init", "no_timer_check", "tsc=reliable", "random.trust_cpu=on",
    "8250.nr_uarts=1", "printk.devkmsg=on",
)

# What the kernel is told about the IOMMU. passthrough: the driver's own DMA is not translated, only that of processes is.
IOMMU_ARGUMENTS = {
    "off": (),
    "passthrough": ("intel_iommu=on,sm_on", "iommu=pt"),
    "on": ("intel_iommu=on,sm_on", "iommu=nopt"),
}

# Of a sealed guest (sealed.py). Nothing differs from run to run: neither the date nor what the processor calls random.
SEALED_KERNEL_ARGUMENTS = ("TANDEM_SEALED=1",)
SEALED_PROCESSOR = ",rdrand=off,rdseed=off"
SEALED_MACHINE = ("-rtc", "base=2026-01-01T00:00:00,clock=vm", "-seed", "1")
SCRIPT_BYTES = 16 << 20

# Where instructions are counted, QEMU leaves its translated code at each step of a repeated instruction (rep stosb and its like).
# A guest that does not think of them as fast clears and copies its pages in loops, at a fraction of that.
COUNTING_PROCESSOR = ",erms=off,fsrm=off,fsrs=off,fzrm=off"
COUNTING_KERNEL_ARGUMENTS = ("clearcpuid=rep_good",)

# Time that things may take, in multiples of what the default kernel gets. Its checks make the debug kernel that much slower.
TIME_SCALES = {"debug": 5}


@dataclass
class MachineConfig:
    cpus: int = DEFAULT_CPUS
    memory: str = DEFAULT_MEMORY
    numa: int = 1
    accel: str = "tcg"
    deterministic: bool = False
    gpu: str = ""  # of all GPUs and of single ones (gpu_options.py)
    gpu_present: bool = True
    gpus: int = 1
    fabric: bool = True
    atomic_ops: bool = True
    iommu: str = "off"
    trace: str = None
    check: bool = False
    kernel: str = "default"
    driver_parameters: str = ""
    kernel_arguments: list = field(default_factory=list)
    qemu_arguments: list = field(default_factory=list)
    seed: int = None
    hostile: int = None


@dataclass(frozen=True)
class Sealed:
    """A machine that nothing reaches from outside while it runs: it reads what to do in `script` and prints into `output`."""
    script: str
    output: str
    snapshots: bool = False  # it stops where a snapshot can be taken
    incoming: str = ""       # the file of a snapshot to go on from
    log: tuple = ()          # ("record" or "replay", file): QEMU's own log of what is not computed


def time_scale(kernel):
    return TIME_SCALES.get(kernel, 1)


def escape(value):
    """A value inside a QEMU option list: a comma is written twice."""
    return str(value).replace(",", ",,")


def accelerator(config, sealed=None):
    if config.deterministic:
        log = f",rr={sealed.log[0]},rrfile={escape(sealed.log[1])}" if sealed and sealed.log else ""
        return ["-accel", "tcg,thread=single", "-icount", f"shift=1,sleep=off{log}"]
    if config.accel == "kvm":
        return ["-accel", "kvm"]
    return ["-accel", "tcg,thread=multi"]


def processors(config, sealed=None):
    """The GPU's parallel mode needs code generated for several CPUs, which maxcpus of two brings about."""
    maximum = config.cpus if config.deterministic else max(2, config.cpus)
    sockets = f",sockets={config.numa}" if config.numa > 1 else ""
    features = (SEALED_PROCESSOR if sealed else "") + (COUNTING_PROCESSOR if config.deterministic else "")
    return ["-cpu", f"max,la57=off{features}", "-smp", f"{config.cpus},maxcpus={maximum}{sockets}"]


def memory_mib(config):
    return int(config.memory[:-1]) * (1024 if config.memory[-1] in "Gg" else 1)


def memory(config):
    """In one piece; or each node has an equal share of it, and a socket with an equal share of the processors."""
    if config.numa == 1:
        return ["-m", config.memory]
    share = memory_mib(config) // config.numa
    arguments = ["-m", f"{share * config.numa}M"]
    for node in range(config.numa):
        arguments += ["-object", f"memory-backend-ram,id=ram{node},size={share}M",
                      "-numa", f"node,nodeid={node},memdev=ram{node}", "-numa", f"cpu,node-id={node},socket-id={node}"]
    return arguments


def trace_file(trace, number):
    """Each GPU writes a trace of its own: run.trace, then run.gpu1.trace and so on."""
    path = PurePath(trace)
    return str(path.with_name(f"{path.stem}.gpu{number}{path.suffix}")) if number else trace


def gpu(config, number, check_log):
    """One GPU behind a root port of its own: AtomicOps need the port, and the GPU can be unplugged there. Several share a link."""
    properties = [f"id=gpu{number}", f"bus=gpuport{number}"] + [part for part in (gpu_options.of_gpu(config.gpu, number),) if part]
    properties += [f"{name}={value}" for name, value in (("seed", config.seed), ("hostile", config.hostile)) if value is not None]
    if config.gpus > 1 and config.fabric:
        properties.append(f"fabric={number}")
    if config.trace:
        properties.append(f"trace={escape(trace_file(config.trace, number))}")
    if config.check:
        properties += ["check=on", f"check-log={escape(check_log)}"]
    completer = "on" if config.atomic_ops else "off"
    port = f"pcie-root-port,id=gpuport{number},bus=pcie.0,x-atomic-completer={completer},chassis={number + 1}"
    return ["-device", port, "-device", ",".join(["tandem-gpu", *properties])]


def gpus(config, check_log):
    count = config.gpus if config.gpu_present else 0
    return [word for number in range(count) for word in gpu(config, number, check_log)]


def iommu(config):
    """Before all other devices: it translates for those that come after it."""
    if config.iommu == "off":
        return []
    return ["-device", "intel-iommu,x-scalable-mode=on,x-flts=on,x-pasid-mode=on,device-iotlb=on,svm=on"]


def monitor_and_serial(monitor_fd, serial_path):
    return [
        "-chardev", f"file,id=serial,path={escape(serial_path)}", "-serial", "chardev:serial",
        "-chardev", f"socket,id=monitor,fd={monitor_fd}", "-mon", "chardev=monitor,mode=control",
    ]


def control_port(control, bus_properties=""):
    return ["-chardev", control, "-device", f"virtio-serial-pci{bus_properties}",
            "-device", f"virtserialport,chardev=control,name={wire.PORT_NAME}"]


def host_files():
    """The host's files, for programs and their libraries: read-only whatever the guest does."""
    return ["-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=host,mount_tag=host"]


def host_connection(control_fd, sealed):
    """How the guest gets its programs and its orders, and where its output goes.

    Sealed: kicks of the control port take effect at once (no ioeventfd), and a file takes every byte at once. pvpanic stops the
    machine for a snapshot.
    """
    if not sealed:
        return [*control_port(f"socket,id=control,fd={control_fd}"), *host_files()]
    return [
        *SEALED_MACHINE, *control_port(f"file,id=control,path={escape(sealed.output)}", ",ioeventfd=off"),
        "-object", f"memory-backend-file,id=script,size={SCRIPT_BYTES},share=on,mem-path={escape(sealed.script)}",
        "-device", "ivshmem-plain,memdev=script,master=on",
        *(["-S", "-incoming", f"file:{sealed.incoming}"] if sealed.incoming else []),
        "-device", "pvpanic-pci", "-action", f"panic={'pause' if sealed.snapshots else 'none'}",
    ]


def command_line(config, artifacts, initramfs, control_fd, monitor_fd, serial_path, check_log, sealed=None):
    firmware = [argument for directory in artifacts.qemu_firmware_dirs for argument in ("-L", str(directory))]
    kernel_arguments = " ".join((*KERNEL_ARGUMENTS, *(SEALED_KERNEL_ARGUMENTS if sealed else ()),
                                 *(COUNTING_KERNEL_ARGUMENTS if config.deterministic else ()), *IOMMU_ARGUMENTS[config.iommu],
                                 *config.kernel_arguments))
    return [
        str(artifacts.qemu), *firmware, "-machine", "q35", *accelerator(config, sealed), *processors(config, sealed), *memory(config),
        "-name", "tandem,debug-threads=on", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-kernel", str(artifacts.kernel_image), "-initrd", str(initramfs), "-append", kernel_arguments,
        *iommu(config), *monitor_and_serial(monitor_fd, serial_path), *host_connection(control_fd, sealed), *gpus(config, check_log),
        *config.qemu_arguments,
    ]
