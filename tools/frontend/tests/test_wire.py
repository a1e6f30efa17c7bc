# SPDX-License-Identifier: GPL-2.0-or-later
"""The frames, and that Python and guest-image/protocol.h say the same."""
import re
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from frontend import wire
from frontend.cache import checkout_root

PROTOCOL = checkout_root() / "guest-image" / "protocol.h"


class WireTest(unittest.TestCase):
    def test_frames_come_back_whole_however_the_bytes_arrive(self):
        stream = wire.bind("/a", "/b") + wire.power_off() + wire.input_bytes(b"x" * 1000)
        for step in (1, 7, 8, 9, len(stream)):
            reader, found = wire.FrameReader(), []
            for start in range(0, len(stream), step):
                reader.feed(stream[start:start + step])
                found += reader.frames()
            self.assertEqual(found, [(wire.FRAME_BIND, b"/a\0/b\0"), (wire.FRAME_POWER_OFF, b""),
                                     (wire.FRAME_INPUT, b"x" * 1000)])

    def test_a_frame_that_announces_too_much_is_refused(self):
        reader = wire.FrameReader()
        reader.feed(struct.pack("<II", wire.FRAME_OUTPUT, wire.FRAME_MAX_PAYLOAD + 1))
        with self.assertRaises(wire.WireError):
            reader.frames()

    def test_a_nul_byte_in_an_argument_is_refused(self):
        with self.assertRaises(wire.WireError):
            wire.start("/bin/x", "/", ["x", "a\0b"], [])

    def test_arguments_that_fit_no_frame_are_refused(self):
        with self.assertRaises(wire.WireError):
            wire.start("/bin/x", "/", ["x", "a" * wire.FRAME_MAX_PAYLOAD], [])

    def test_kernel_log_record_loses_its_prefix_and_its_properties(self):
        self.assertEqual(wire.parse_kernel_log(b"4,12,345,-;WARNING: x;y\n SUBSYSTEM=pci\n"), "WARNING: x;y")

    def test_constants_are_those_of_the_header(self):
        defines = dict(re.findall(r"^#define (\w+) (\S.*?)(?: +/\*.*)?$", PROTOCOL.read_text(), re.M))
        for name, text in defines.items():
            if name.startswith(("FRAME_", "START_", "INPUT_WINDOW", "SCRIPT_MAGIC")):
                value = eval(re.sub(r"([\da-f])u\b", r"\1", text))  # "1u << 20": our own header
                self.assertEqual(getattr(wire, name), value, name)
        self.assertEqual(defines["TANDEM_PORT"].strip('"'), wire.PORT_NAME)
        self.assertGreater(sum(name.startswith("FRAME_") for name in defines), 12)

    def test_structures_have_the_sizes_that_c_gives_them(self):
        sizes = self._sizes_in_c("frame_header", "start_request", "ready_report", "ending", "window_size")
        self.assertEqual(sizes, [8, wire._START.size, wire._READY.size, wire._ENDING.size, wire._WINDOW.size])

    def _sizes_in_c(self, *names):
        source = f'#include "{PROTOCOL}"\n#include <stdio.h>\nint main(void) {{' + "".join(
            f'printf("%zu ", sizeof(struct {name}));' for name in names) + "}"
        with tempfile.TemporaryDirectory() as scratch:
            binary = Path(scratch) / "sizes"
            subprocess.run(["gcc", "-x", "c", "-", "-o", str(binary)], input=source, text=True, check=True)
            return [int(word) for word in subprocess.check_output([str(binary)], text=True).split()]


if __name__ == "__main__":
    unittest.main()
