# SPDX-License-Identifier: GPL-2.0-or-later
"""--gpu KEY=VALUE: the GPU's device properties, and what QEMU says about wrong ones in words that name the property.

The properties are QEMU's: this module keeps no list of its own, it asks the device.
"""
import difflib
import os
import re
import subprocess

from .status import GUEST_LOST, FrontendError, UsageError

DEVICE = "tandem-gpu"
OWN_KEYS = {"bus", "id", "addr", "trace", "fabric", "check", "check-log"}  # set by the front end

_PREFIX = re.compile(r"^qemu-system-[\w-]+: (-device \S+?: )?")
_UNKNOWN = re.compile(r"Property '%s\.([^']+)' not found" % DEVICE)
_NO_DEVICE = re.compile(r"'%s' is not a valid device model name" % DEVICE)


def parse(text):
    """Check the form of KEY=VALUE,... and return it for QEMU."""
    if not text:
        return ""
    for part in re.split(r"(?<!,),(?!,)", text):
        key, separator, value = part.partition("=")
        if not separator or not key or not value:
            raise UsageError(f"--gpu takes KEY=VALUE,..., and '{part}' is none; './tandem run --gpu help' lists the keys")
        if key in OWN_KEYS:
            hint = {"trace": "use --trace FILE", "fabric": "use --gpus N", "check": "use --check or --no-check"}.get(key, "it is set by the front end")
            raise UsageError(f"--gpu {key} cannot be given: {hint}")
    return text


def merge(*lists):
    """Later lists win over earlier ones, key by key."""
    properties = {}
    for text in lists:
        for part in re.split(r"(?<!,),(?!,)", text or ""):
            key, separator, value = part.partition("=")
            if separator:
                properties[key] = value
    return ",".join(f"{key}={value}" for key, value in properties.items())


def _device_help(artifacts, device):
    environment = dict(os.environ)
    if artifacts.model_libdir:
        environment["LD_LIBRARY_PATH"] = str(artifacts.model_libdir)
    result = subprocess.run([str(artifacts.qemu), "-device", f"{device},help"], capture_output=True, text=True,
                            env=environment, stdin=subprocess.DEVNULL, check=False)
    if result.returncode:
        raise FrontendError(f"QEMU does not describe {device}", GUEST_LOST, result.stderr.splitlines())
    return dict(_help_lines(result.stdout))


def _help_lines(text):
    for line in text.splitlines():
        match = re.match(r"\s+([\w.-]+)=", line)
        if match:
            yield match.group(1), line.strip()


def properties(artifacts):
    """Name -> QEMU's line of help, without what every PCI device has and what can only be read."""
    common = _device_help(artifacts, "pcie-root-port")
    own = _device_help(artifacts, DEVICE)
    return {name: line for name, line in own.items() if name not in common and name not in OWN_KEYS and "=<dict>" not in line}


def help_text(artifacts):
    lines = [f"  {line}" for _name, line in sorted(properties(artifacts).items())]
    return "\n".join(["Properties of the GPU, for --gpu KEY=VALUE,...:", *lines, "",
                      "Example: ./tandem run --gpu " + _example(lines) + " vecadd"])


def _example(lines):
    for line in lines:
        match = re.match(r"\s+([\w.-]+)=<(?:u?int\d*|size)>.*\(default: (\w+)\)", line)
        if match:
            return f"{match.group(1)}={match.group(2)}"
    return "KEY=VALUE"


def explain(errors, config, artifacts):
    """A UsageError for what QEMU said when it refused to start because of a property, or None."""
    for line in errors:
        if _NO_DEVICE.search(line):
            return FrontendError("this QEMU has no tandem-gpu device; './tandem setup' builds the one that has", GUEST_LOST)
        unknown = _UNKNOWN.search(line)
        if unknown:
            return _unknown_property(unknown.group(1), artifacts)
        if f"-device {DEVICE}" in line:
            return UsageError(f"the GPU refuses {_described(line, config)}: {_PREFIX.sub('', line)}",
                              ["./tandem run --gpu help lists the properties"])
    return None


def _described(line, config):
    """Which of the user's settings the message names, or all of them."""
    settings = [part for part in re.split(r"(?<!,),(?!,)", config.gpu) if part]
    if config.trace:
        settings.append(f"trace={config.trace}")
    message = _PREFIX.sub("", line)
    named = [part for part in settings if re.search(r"\b%s\b" % re.escape(part.split("=")[0]), message)]
    return ", ".join(named or settings) or "to start"


def _unknown_property(name, artifacts):
    try:
        known = list(properties(artifacts))
    except FrontendError:
        known = []
    near = difflib.get_close_matches(name, known, 3, 0.5)
    hint = f" (near: {', '.join(near)})" if near else ""
    return UsageError(f"the GPU has no property '{name}'{hint}; './tandem run --gpu help' lists them")
