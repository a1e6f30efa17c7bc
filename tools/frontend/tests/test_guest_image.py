# SPDX-License-Identifier: GPL-2.0-or-later
"""The initramfs, the machine's command line, and where the guest sees the host's paths."""
import argparse
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import fakes
from frontend import gpu_options, guest_image, machine, run, workloads
from frontend.status import UsageError


def read_archive(data):
    """A newc archive -> {name: (mode, device, contents)}; independent of the writer."""
    entries, at = {}, 0
    while True:
        assert data[at:at + 6] == b"070701" and at % 4 == 0
        fields = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, major, minor, name_size = fields[1], fields[6], fields[9], fields[10], fields[11]
        name = data[at + 110:at + 110 + name_size - 1].decode()
        start = (at + 110 + name_size + 3) & ~3
        if name == "TRAILER!!!":
            return entries
        entries[name] = (mode, (major, minor), data[start:start + size])
        at = (start + size + 3) & ~3


class GuestImageTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.directory = Path(scratch.name)

    def file(self, name, data):
        path = self.directory / name
        path.write_bytes(data)
        return path

    def test_archive_holds_init_busybox_modules_and_a_console(self):
        archive = read_archive(guest_image.assemble(self.file("i", b"init!"), self.file("b", b"box"), [self.file("t.ko", b"mod")]))
        self.assertEqual(archive["init"], (0o100755, (0, 0), b"init!"))
        self.assertEqual(archive["dev/console"][:2], (0o020600, (5, 1)))
        self.assertEqual(archive["modules/t.ko"], (0o100644, (0, 0), b"mod"))
        self.assertEqual(archive["guest-bin/sh"], (0o120777, (0, 0), b"busybox"))
        for directory in ("dev", "proc", "sys", "tmp", "host"):
            self.assertEqual(archive[directory][0], 0o040755)

    def test_equal_contents_share_one_image_and_another_module_makes_another(self):
        with mock.patch.object(guest_image, "image_cache", lambda: self.directory / "cache"):
            module = self.file("t.ko", b"one")
            first = guest_image.ensure_initramfs(None, [module])
            self.assertEqual(guest_image.ensure_initramfs(None, [module]), first)
            module.write_bytes(b"two")
            self.assertNotEqual(guest_image.ensure_initramfs(None, [module]), first)
            self.assertTrue(os.access(next(first.parent.glob("init-*")), os.X_OK))

    def test_host_paths_in_the_guest(self):
        self.assertEqual(workloads.guest_path("/usr/bin/env"), "/usr/bin/env")
        self.assertEqual(workloads.guest_path("/tmp/x/../prog"), "/host/tmp/prog")
        self.assertEqual(workloads.guest_path("/tmp"), "/host/tmp")
        self.assertEqual(workloads.guest_path("/tmpfiles"), "/tmpfiles")


class MachineTest(unittest.TestCase):
    def command(self, **config):
        return machine.command_line(machine.MachineConfig(**config), fakes.artifacts(), "/initramfs", 7, 8, "/con,sole", "/check,log")

    def after(self, command, option):
        return [command[i + 1] for i, word in enumerate(command) if word == option]

    def test_parallel_mode_always_has_room_for_two_processors(self):
        self.assertEqual(self.after(self.command(cpus=1), "-smp"), ["1,maxcpus=2"])
        self.assertEqual(self.after(self.command(cpus=4), "-smp"), ["4,maxcpus=4"])
        self.assertEqual(self.after(self.command(), "-accel"), ["tcg,thread=multi"])

    def test_nodes_share_memory_and_processors(self):
        command = self.command(cpus=4, memory="2G", numa=2)
        self.assertEqual(self.after(command, "-smp"), ["4,maxcpus=4,sockets=2"])
        self.assertEqual(self.after(command, "-m"), ["2048M"])
        self.assertIn("memory-backend-ram,id=ram1,size=1024M", self.after(command, "-object"))
        self.assertEqual(self.after(command, "-numa"), ["node,nodeid=0,memdev=ram0", "cpu,node-id=0,socket-id=0",
                                                        "node,nodeid=1,memdev=ram1", "cpu,node-id=1,socket-id=1"])
        self.assertEqual(self.after(self.command(numa=2, memory="1025M"), "-m"), ["1024M"])
        self.assertEqual(self.after(self.command(), "-numa"), [])

    def test_the_iommu_comes_before_the_devices_that_it_translates_for(self):
        for kind in "passthrough", "on":
            command = self.command(iommu=kind)
            self.assertTrue(self.after(command, "-device")[0].startswith("intel-iommu,"))
            self.assertIn("svm=on", self.after(command, "-device")[0])
            kernel = self.after(command, "-append")[0].split()
            self.assertIn("intel_iommu=on,sm_on", kernel)
            self.assertEqual("iommu=pt" in kernel, kind == "passthrough")
        self.assertNotIn("iommu", " ".join(self.command()))

    def test_translation_by_the_iommu_brings_one_along(self):
        def chosen(iommu, translation):
            return run.iommu(argparse.Namespace(iommu=iommu, translation=translation))
        self.assertEqual(chosen("off", "mirror"), "off")
        self.assertEqual(chosen("off", "sva"), "passthrough")
        self.assertEqual(chosen("on", "sva"), "on")

    def test_all_gpus_report_to_one_file(self):
        devices = [device for device in self.after(self.command(gpus=2, check=True), "-device") if device.startswith("tandem-gpu")]
        self.assertEqual([",check=on,check-log=/check,,log" in device for device in devices], [True, True])
        self.assertNotIn("check", " ".join(self.after(self.command(), "-device")))

    def test_gpu_sits_behind_a_root_port_and_takes_its_properties(self):
        devices = self.after(self.command(gpu="l1-sets=4", trace="/a,b.trace"), "-device")
        self.assertIn("tandem-gpu,id=gpu0,bus=gpuport0,l1-sets=4,trace=/a,,b.trace", devices)
        self.assertTrue(any(device.startswith("pcie-root-port,id=gpuport0") for device in devices))
        self.assertNotIn("tandem-gpu", " ".join(self.command(gpu_present=False)))

    def test_each_gpu_has_a_port_and_a_trace_of_its_own(self):
        devices = self.after(self.command(gpus=2, gpu="seed=1", trace="/a.b/c.trace"), "-device")
        self.assertEqual([device for device in devices if device.startswith("tandem-gpu")],
                         ["tandem-gpu,id=gpu0,bus=gpuport0,seed=1,fabric=0,trace=/a.b/c.trace",
                          "tandem-gpu,id=gpu1,bus=gpuport1,seed=1,fabric=1,trace=/a.b/c.gpu1.trace"])
        self.assertEqual([device.split("chassis=")[1] for device in devices if "chassis" in device], ["1", "2"])
        self.assertTrue(all("x-atomic-completer=on" in device for device in devices if "chassis" in device))
        self.assertIn("x-atomic-completer=off", " ".join(self.command(atomic_ops=False)))
        self.assertNotIn("tandem-gpu", " ".join(self.command(gpus=2, gpu_present=False)))

    def test_gpus_may_differ(self):
        devices = [word for word in self.command(gpus=3, fabric=False, gpu="vram=64M 2:vram-bar=on") if "tandem-gpu" in word]
        self.assertEqual([word.split(",", 3)[3] for word in devices], ["vram=64M", "vram=64M", "vram=64M,vram-bar=on"])

    def test_gpus_share_a_link_if_there_are_several_and_unless_asked_otherwise(self):
        self.assertNotIn("fabric", " ".join(self.command()))
        self.assertNotIn("fabric", " ".join(self.command(gpus=2, fabric=False)))

    def test_commas_in_paths_are_escaped_and_own_arguments_come_last(self):
        command = self.command(qemu_arguments=["-d", "guest_errors"])
        self.assertIn("file,id=serial,path=/con,,sole", command)
        self.assertEqual(command[-2:], ["-d", "guest_errors"])

    def test_the_host_is_exported_read_only(self):
        self.assertIn("readonly=on", self.after(self.command(), "-fsdev")[0])


class GpuOptionsTest(unittest.TestCase):
    def test_form_is_checked(self):
        self.assertEqual(gpu_options.parse("a=1,b=x,,y"), "a=1,b=x,,y")
        for text in ("a", "a=", "=1", "a=1,", "id=x", "trace=f", "fabric=1"):
            with self.assertRaises(UsageError, msg=text):
                gpu_options.parse(text)

    def test_later_lists_win(self):
        self.assertEqual(gpu_options.merge("a=1,b=2", "", "b=3,c=4,,5"), "a=1,b=3,c=4,,5")

    def test_a_single_gpu_has_what_is_said_of_it_alone(self):
        text = gpu_options.parse("a=1,b=x,,y 2:a=3,c=4 3:poison=0x1000:0x2000", gpus=4)
        self.assertEqual(gpu_options.of_gpu(text, 0), "a=1,b=x,,y")
        self.assertEqual(gpu_options.of_gpu(text, 2), "a=3,b=x,,y,c=4")
        self.assertEqual(gpu_options.of_gpu(text, 3), "a=1,b=x,,y,poison=0x1000:0x2000")
        self.assertEqual(gpu_options.of_gpu("2:a=3 a=1", 2), "a=3", "in whatever order")

    def test_a_gpu_that_is_not_there_has_no_properties(self):
        with self.assertRaisesRegex(UsageError, "there is no GPU 2; they are 0 to 1"):
            gpu_options.parse("2:a=1", gpus=2)
        with self.assertRaises(UsageError):
            gpu_options.parse("0:trace=f")

    def test_what_the_user_says_of_all_wins_over_what_a_file_says_of_one(self):
        self.assertEqual(gpu_options.merge("a=1 2:a=2,b=3", "a=4"), "a=4 2:b=3")
        self.assertEqual(gpu_options.merge("a=1", "1:a=2"), "a=1 1:a=2")


if __name__ == "__main__":
    unittest.main()
