# SPDX-License-Identifier: GPL-2.0-or-later
"""--gpu KEY=VALUE: the GPU's device properties, and what QEMU says about wrong ones in words that name the property.

    vram=512M,seed=7 2:vram-bar=on 3:vram-bar=on

Words are separated by spaces. One that begins with a number is for that GPU alone; the others are for all. The properties are
QEMU's: this module keeps no list of its own, it asks the device.
"""
import difflib
import os
import re
import subprocess

from .status import GUEST_LOST, FrontendError, UsageError

DEVICE = "tandem-gpu"
OWN_KEYS = {"bus", "id", "addr", "trace", "fabric", "check", "check-log"}  # set by the front end

_SCOPE = re.compile(r"(?:(\d+):)?(.*)", re.DOTALL)
_COMMA = re.compile(r"(?<!,),(?!,)")
_PREFIX = re.compile(r"^qemu-system-[\w-]+: (-device \S+?: )?")
_UNKNOWN = re.compile(r"Property '%s\.([^']+)' not found" % DEVICE)
_NO_DEVICE = re.compile(r"'%s' is not a valid device model name" % DEVICE)


def _settings(text):
    """(number of the GPU or None, KEY=VALUE), in their order."""
    for word in (text or "").split():
        scope, properties = _SCOPE.fullmatch(word).groups()
        for part in _COMMA.split(properties):
            yield None if scope is None else int(scope), part


def parse(text, gpus=1):
    """Check the form of KEY=VALUE,... [N:KEY=VALUE,...] and return it."""
    for number, part in _settings(text):
        key, separator, value = part.partition("=")
        if not separator or not key or not value:
            raise UsageError(f"--gpu takes KEY=VALUE,..., and '{part}' is none; './tandem run --gpu help' lists the keys")
        if key in OWN_KEYS:
            hint = {"trace": "use --trace FILE", "fabric": "use --gpus N", "check": "use --check or --no-check"}.get(key, "it is set by the front end")
            raise UsageError(f"--gpu {key} cannot be given: {hint}")
        if number is not None and number >= gpus:
            raise UsageError(f"--gpu {number}:{part}: there is no GPU {number}; they are 0 to {gpus - 1} (--gpus N)")
    return text or ""


def merge(*lists):
    """Later lists win over earlier ones, key by key; what a later one says of all GPUs, over an earlier one's of a single GPU."""
    found = {}
    for text in lists:
        for number, part in _settings(text):
            key, separator, value = part.partition("=")
            if not separator:
                continue
            if number is None:
                found = {place: old for place, old in found.items() if place[1] != key or place[0] is None}
            found[number, key] = value
    scopes = dict.fromkeys(number for number, _key in found)
    return " ".join(("" if scope is None else f"{scope}:") +
                    ",".join(f"{key}={value}" for (number, key), value in found.items() if number == scope) for scope in scopes)


def of_gpu(text, number):
    """What QEMU is told about this GPU: what is said of it alone wins."""
    properties = {}
    for own in (False, True):
        for scope, part in _settings(text):
            if scope == (number if own else None):
                key, _separator, value = part.partition("=")
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
                      "With --gpus N they are those of all GPUs. What is meant for one of them alone comes behind its number:",
                      "  --gpus 4 --gpu 'vram=512M 2:vram-bar=on 3:vram-bar=on'", "",
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
    settings = [part if number is None else f"{number}:{part}" for number, part in _settings(config.gpu)]
    if config.trace:
        settings.append(f"trace={config.trace}")
    message = _PREFIX.sub("", line)
    named = [part for part in settings if re.search(r"\b%s\b" % re.escape(_SCOPE.fullmatch(part).group(2).split("=")[0]), message)]
    return ", ".join(named or settings) or "to start"


def _unknown_property(name, artifacts):
    try:
        known = list(properties(artifacts))
    except FrontendError:
        known = []
    near = difflib.get_close_matches(name, known, 3, 0.5)
    hint = f" (near: {', '.join(near)})" if near else ""
    return UsageError(f"the GPU has no property '{name}'{hint}; './tandem run --gpu help' lists them")
