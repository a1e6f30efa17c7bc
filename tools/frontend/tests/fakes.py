# SPDX-License-Identifier: GPL-2.0-or-later
"""What the front end's tests share: artifacts whose QEMU is fake_qemu.py, and a ./tandem that uses them."""
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

TESTS = Path(__file__).resolve().parent
TOOLS = TESTS.parents[1]

_TANDEM = """
import sys, types
sys.path[:0] = [{tools!r}, {tests!r}]
import fakes, frontend
fake = types.ModuleType("frontend.artifacts")
fake.ensure = lambda *kinds, kernel="default": fakes.artifacts({stage!r})
sys.modules["frontend.artifacts"] = frontend.artifacts = fake
from frontend.cli import main
sys.exit(main(sys.argv[1:]))
"""


def artifacts(stage="/nonexistent"):
    return SimpleNamespace(
        qemu=str(TESTS / "fake_qemu.py"), qemu_firmware_dirs=["/firmware"], qtest_dir=None, model_libdir=None,
        kernel_image=__file__, kernel_release="7.3.0-fake", kernel_modules=None, driver_ko=None, guest_dir=str(stage),
        build_dir="/nonexistent", busybox=None, kernel_source=None, selftests=None)


def behave(mode, **variables):
    """The fake guest of this test behaves so."""
    return mock.patch.dict(os.environ, {"FAKE_QEMU": mode, **variables})


def make_stage(directory, workloads='{"workloads": [{"name": "vecadd", "description": "adds vectors"}], "demo": ["vecadd"]}'):
    stage = Path(directory)
    (stage / "bin").mkdir()
    (stage / "share").mkdir()
    (stage / "share" / "workloads.json").write_text(workloads)
    return stage


def add_test_binary(stage, name, tests):
    """A program on the host that lists these tests; in the fake guest, fake_qemu.py runs them."""
    suites = "".join(f"echo '{suite}.'; " + "".join(f"echo '  {test}'; " for test in names) for suite, names in tests.items())
    path = stage / "bin" / name
    path.write_text(f"#!/bin/sh\n{suites}\n")
    path.chmod(0o755)


def tandem(arguments, stage, **options):
    """Start ./tandem with the fake guest."""
    code = _TANDEM.format(tools=str(TOOLS), tests=str(TESTS), stage=str(stage))
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            stdin=options.pop("stdin", subprocess.DEVNULL), **options)
