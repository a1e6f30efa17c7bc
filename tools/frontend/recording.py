# SPDX-License-Identifier: GPL-2.0-or-later
"""Recordings: ./tandem run --record FILE, and ./tandem replay FILE, which does it again exactly.

A deterministic run repeats as long as nothing changes. A recording does not depend on that: it holds what the guest booted from,
what it was told, QEMU's log of whatever is not computed (rr), and what came of it. The kernel, QEMU and the hardware model are too
large for it; it names them by what is in them, and a replay with others is refused.

The file is a zip: recording.json, initramfs, script, log, trace, output, error.
"""
import dataclasses
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from . import machine
from .boot import GuestDied
from .deterministic import Job, run_script
from .execution import Program, StandardStreams
from .run import tell_violations
from .status import GUEST_LOST, FrontendError, UsageError

FORMAT = 2
LOG = "log"
TRACE = "trace"
MANIFEST = "recording.json"
COMPARED = {"output": "its output differs", "error": "its error output differs", "reports": "the checker's reports differ"}
MEMBERS = (MANIFEST, "initramfs", "script", LOG)
SYMBOLS_NOTE = "(gdb) monitor info tandem     what the GPU holds; 'monitor info tandem tlbs', 'faults' and so on for parts"


class Tee:
    """A sink that passes on and remembers a digest: a replay compares."""

    def __init__(self, sink=None):
        self._sink = sink or StandardStreams()
        self._digests = {name: hashlib.sha256() for name in COMPARED}

    def output(self, data):
        self._digests["output"].update(data)
        self._sink.output(data)

    def error(self, data):
        self._digests["error"].update(data)
        self._sink.error(data)

    def reports(self, reports):
        """Of the coherence checker; tells them, returns how many."""
        for report in reports:
            self._digests["reports"].update("\n".join([*report.lines, ""]).encode())
        return tell_violations(reports)

    def digests(self):
        return {name: digest.hexdigest() for name, digest in self._digests.items()}


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest_of(file)


def _digest_of(file):
    found = hashlib.sha256()
    while block := file.read(1 << 20):
        found.update(block)
    return found.hexdigest()


def parts(artifacts):
    """What a replay must find as it was, by its contents."""
    found = {"kernel": digest(artifacts.kernel_image), "QEMU": digest(artifacts.qemu)}
    if artifacts.model_libdir:
        found["model"] = digest(Path(artifacts.model_libdir) / "libtandem-model.so.1")
    return found


# --- recording -----------------------------------------------------------------------------------------------------------


def check_target(path):
    """Before anything boots: a recording that cannot be written afterwards is a run lost."""
    if os.path.isdir(path):
        raise UsageError(f"--record {path}: is a directory; name a file")
    directory = os.path.dirname(os.path.abspath(path))
    if not os.access(directory, os.W_OK):
        raise UsageError(f"--record {path}: {directory} is no directory that can be written to")


def record(args, job, artifacts):
    check_target(args.record)
    wanted_trace = job.config.trace
    with tempfile.TemporaryDirectory(prefix="tandem-record-") as scratch:
        place = Path(scratch)
        job.config.trace = str(place / TRACE)
        tee = Tee()
        script = job.script()
        (place / "script").write_bytes(script)
        status, death = _outcome(lambda: run_script(job, script, artifacts, tee, args.timeout, args.keep_console,
                                                    tee.reports, log=("record", str(place / LOG)),
                                                    keep_initramfs=place / "initramfs"))
        manifest = {
            "format": FORMAT, "arguments": job.program.arguments, "machine": dataclasses.asdict(job.config), "status": status,
            "ending": death.message if death else "", "parts": parts(artifacts), **tee.digests(),
            "trace": digest(place / TRACE) if (place / TRACE).exists() else "",
        }
        (place / MANIFEST).write_text(json.dumps(manifest, indent=1))
        _pack(place, args.record)
        if wanted_trace != os.devnull and (place / TRACE).exists():
            shutil.copyfile(place / TRACE, wanted_trace)
    if death:
        raise death
    return status


def _outcome(run):
    """(exit status, what ended the guest): one that panics or hangs is what recordings are for."""
    try:
        return run(), None
    except GuestDied as death:
        return death.status, death


def _pack(place, target):
    """Whole or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(target)), prefix=".tandem-recording-")
    try:
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name in (*MEMBERS, TRACE):
                if (place / name).exists():
                    archive.write(place / name, name)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except OSError as error:
        os.unlink(temporary)
        raise FrontendError(f"the recording cannot be written to {target}: {error.strerror}") from error


# --- replay --------------------------------------------------------------------------------------------------------------


class Recording:
    """An open recording, unpacked into a directory of its own."""

    def __init__(self, path, place):
        self.place = Path(place)
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
                missing = [name for name in MEMBERS if name not in names]
                if missing:
                    raise UsageError(f"{path}: is no recording of ./tandem run --record: it lacks {', '.join(missing)}")
                for name in names:
                    if name in (*MEMBERS, TRACE):
                        with archive.open(name) as source, open(self.place / name, "wb") as target:
                            shutil.copyfileobj(source, target)
            self.manifest = json.loads((self.place / MANIFEST).read_text())
        except FileNotFoundError as error:
            raise UsageError(f"{path}: no such file") from error
        except IsADirectoryError as error:
            raise UsageError(f"{path}: is a directory, not a recording") from error
        except (zipfile.BadZipFile, ValueError, EOFError) as error:
            raise UsageError(f"{path}: is no recording of ./tandem run --record, or is damaged: {error}") from error
        if self.manifest.get("format") != FORMAT:
            raise UsageError(f"{path}: is a recording of another version of ./tandem (format {self.manifest.get('format')}, "
                             f"this one reads {FORMAT})")

    def config(self):
        known = {field.name for field in dataclasses.fields(machine.MachineConfig)}
        return machine.MachineConfig(**{name: value for name, value in self.manifest["machine"].items() if name in known})

    def job(self):
        config = self.config()
        config.trace = str(self.place / "trace-again") if config.gpu_present else None
        return Job(config, Program(self.manifest["arguments"][0], self.manifest["arguments"]), b"")


def check_parts(recording, artifacts):
    now = parts(artifacts)
    others = [name for name, key in recording.manifest["parts"].items() if now.get(name) != key]
    if others:
        raise FrontendError(f"the recording was made with another {' and another '.join(others)} than this checkout has now",
                            GUEST_LOST, ["a replay is exact only with the very same: check out the commit that recorded it, or record anew"])


def compare(recording, status, digests, trace):
    """What is not as it was, in words."""
    was = recording.manifest
    found = [difference for name, difference in COMPARED.items() if digests[name] != was[name]]
    if status != was["status"]:
        found.append(f"its exit status is {status}, and was {was['status']}")
    if was["trace"] and trace and digest(trace) != was["trace"]:
        found.append("its trace differs")
    return found


def replay(args, artifacts):
    with tempfile.TemporaryDirectory(prefix="tandem-replay-") as scratch:
        recording = Recording(args.recording, scratch)
        check_parts(recording, artifacts)
        job = recording.job()
        tee = Tee()
        if args.gdb is not None:
            job.config.qemu_arguments += ["-S", "-gdb", f"tcp:127.0.0.1:{args.gdb}"]
            _explain_gdb(args.gdb, artifacts)
        status, death = _outcome(lambda: run_script(
            job, (recording.place / "script").read_bytes(), artifacts, tee, args.timeout, args.keep_console,
            tee.reports, log=("replay", str(recording.place / LOG)), initramfs=recording.place / "initramfs", patient=args.gdb is not None))
        again = recording.place / "trace-again"
        if args.trace:
            shutil.copyfile(again, args.trace)
        differences = compare(recording, status, tee.digests(), again if again.exists() else None)
        if differences and args.gdb is None:
            raise FrontendError(f"the replay left its recording: {'; '.join(differences)}", GUEST_LOST, death.details if death else ())
        if death:
            raise death
    return status


def _explain_gdb(port, artifacts):
    print(f"tandem: the guest stands at its first instruction and waits for gdb:\n"
          f"    gdb -ex 'target remote 127.0.0.1:{port}' {artifacts.kernel_image}\n"
          f"    (gdb) break tandem_invalidate     and so on, then continue\n    {SYMBOLS_NOTE}", file=sys.stderr, flush=True)


def replay_command(args):
    from . import artifacts
    if not os.path.exists(args.recording):  # before anything is built for it
        raise UsageError(f"{args.recording}: no such file")
    return replay(args, artifacts.ensure("qemu", "kernel", "model", kernel=_kernel_of(args.recording)))


def _kernel_of(path):
    with tempfile.TemporaryDirectory(prefix="tandem-replay-") as scratch:
        return Recording(path, scratch).config().kernel
