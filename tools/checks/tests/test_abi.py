# SPDX-License-Identifier: GPL-2.0-or-later
"""The one truth for bits compiles wherever it is used: as C11, as C++20, for the GPU's own compiler, and in the kernel. Each
header alone, so that it includes what it needs.
"""
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from checks import kernel_module
from frontend.cache import checkout_root

ABI = checkout_root() / "hw-model/abi"
UAPI = checkout_root() / "guest-driver/uapi"
HEADERS = sorted([*ABI.glob("*.h"), *UAPI.glob("*.h")])
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", f"-I{ABI}", f"-I{UAPI}")


def complaints(compiler, language, *options, headers=None):
    """What the compiler says about each header, as the first line of a source file. The second is there because C has no empty
    source files, and one header is nothing but macros.
    """
    said = []
    for header in headers or HEADERS:
        text = f'#include "{header.name}"\nextern int second_line;\n'
        result = subprocess.run([*compiler, *STRICT, *options, "-x", language, "-"], input=text,
                                capture_output=True, text=True, check=False)
        said.append(result.stderr or ("" if result.returncode == 0 else f"{header.name}: status {result.returncode}"))
    return "".join(said)


class Headers(unittest.TestCase):
    def test_there_are_some(self):
        self.assertGreater(len(HEADERS), 8)

    def test_they_are_c11(self):
        self.assertEqual(complaints(["gcc"], "c", "-std=c11"), "")

    def test_they_are_cpp20(self):
        self.assertEqual(complaints(["g++"], "c++", "-std=c++20"), "")

    def test_kernels_for_the_gpu_can_include_them(self):
        compiler = ["clang", "--target=riscv64-unknown-elf", "-march=rv64imafd", "-ffreestanding"]
        self.assertEqual(complaints(compiler, "c", "-std=c11", headers=sorted(ABI.glob("*.h"))), "")

    def test_the_linux_kernel_can_include_them(self):
        with tempfile.TemporaryDirectory(prefix="tandem-abi-") as scratch:
            place = Path(scratch)
            names = [f"alone_{header.stem}" for header in HEADERS]
            for name, header in zip(names, HEADERS):
                shutil.copy(header, place)
                (place / f"{name}.c").write_text(f'#include "{header.name}"\n')
            (place / "main.c").write_text('#include <linux/module.h>\nMODULE_DESCRIPTION("headers");\nMODULE_LICENSE("GPL");\n')
            objects = " ".join(f"{name}.o" for name in ["main", *names])
            (place / "Kbuild").write_text(f"obj-m := headers.o\nheaders-y := {objects}\nccflags-y += -I$(src)\n")
            self.assertEqual(kernel_module.build(place), "")


if __name__ == "__main__":
    unittest.main()
