# SPDX-License-Identifier: GPL-2.0-or-later
"""System packages: what is missing, and what is said when it cannot be installed."""

import io
import subprocess
import unittest
from unittest import mock

from frontend import setup_packages
from frontend.progress import Reporter
from frontend.status import FrontendError


class Listing(unittest.TestCase):
    def test_only_installed_ones_count(self):
        text = "flex installed\nbison config-files\nbc not-installed\n"
        self.assertEqual(setup_packages.installed_in(text), {"flex"})

    def test_without_dpkg_everything_is_missing(self):
        with mock.patch.object(setup_packages.subprocess, "run", side_effect=FileNotFoundError):
            self.assertEqual(setup_packages.missing_packages(["a", "b"]), ["a", "b"])

    def test_dpkg_knows_itself(self):
        self.assertEqual(setup_packages.missing_packages(["dpkg", "no-such-package-tandem"]), ["no-such-package-tandem"])


class Wanted(unittest.TestCase):
    def wanted(self, **release):
        with mock.patch.object(setup_packages, "os_release", return_value=release):
            return setup_packages.wanted_packages()

    def test_newer_releases_use_their_own_meson_and_capstone(self):
        self.assertIn("meson", self.wanted(ID="debian", VERSION_ID="13"))
        self.assertIn("libcapstone-dev", self.wanted(ID="debian"))
        self.assertNotIn("meson", self.wanted(ID="debian", VERSION_ID="12"))
        self.assertNotIn("libcapstone-dev", self.wanted(ID="debian", VERSION_ID="12"))


class Installing(unittest.TestCase):
    def explained(self, offline=False, root=(), apt="/usr/bin/apt-get", run=None):
        prefix = None if root is None else list(root)
        with mock.patch.object(setup_packages, "missing_packages", return_value=["flex", "bc"]), \
                mock.patch.object(setup_packages, "install_prefix", return_value=prefix), \
                mock.patch.object(setup_packages.shutil, "which", return_value=apt), \
                mock.patch.object(setup_packages, "run_step", side_effect=run), \
                self.assertRaises(FrontendError) as caught:
            setup_packages.ensure_packages(Reporter(stream=io.StringIO()), offline)
        text = "\n".join([caught.exception.message, *caught.exception.details])
        self.assertIn("apt-get install --no-install-recommends flex bc", text)
        return text

    def test_each_reason_is_given_with_the_command_to_run(self):
        self.assertIn("--offline", self.explained(offline=True))
        self.assertIn("root", self.explained(root=None))
        self.assertIn("no apt-get", self.explained(apt=None))

    def test_apts_own_words_are_passed_on(self):
        text = self.explained(run=FrontendError("apt-get update failed", details=["Temporary failure resolving 'mirror'"]))
        self.assertIn("Temporary failure resolving", text)

    def test_success_that_installed_nothing_is_noticed(self):
        self.assertIn("reported success", self.explained())

    def test_old_package_lists_are_renewed_once(self):
        steps = []

        def run(_reporter, name, *_rest, **_more):
            steps.append(name)
            if steps == ["packages.install"]:
                raise FrontendError("unable to locate package")

        with mock.patch.object(setup_packages, "missing_packages", side_effect=[["flex"], []]), \
                mock.patch.object(setup_packages, "install_prefix", return_value=[]), \
                mock.patch.object(setup_packages.shutil, "which", return_value="/usr/bin/apt-get"), \
                mock.patch.object(setup_packages, "run_step", side_effect=run):
            setup_packages.ensure_packages(Reporter(stream=io.StringIO()))
        self.assertEqual(steps, ["packages.install", "packages.update", "packages.install"])

    def test_nothing_missing_calls_nothing(self):
        with mock.patch.object(setup_packages, "missing_packages", return_value=[]), \
                mock.patch.object(setup_packages, "run_step") as run:
            setup_packages.ensure_packages(Reporter(stream=io.StringIO()), offline=True)
        run.assert_not_called()


class Prefix(unittest.TestCase):
    def prefix(self, uid, sudo, works=True):
        with mock.patch.object(setup_packages.os, "geteuid", return_value=uid), \
                mock.patch.object(setup_packages.shutil, "which", return_value=sudo), \
                mock.patch.object(setup_packages.subprocess, "run",
                                  return_value=subprocess.CompletedProcess([], 0 if works else 1)):
            return setup_packages.install_prefix()

    def test_root_needs_nothing_and_others_need_a_sudo_that_works(self):
        self.assertEqual(self.prefix(0, None), [])
        self.assertEqual(self.prefix(1000, "/usr/bin/sudo"), ["/usr/bin/sudo", "-n"])
        self.assertIsNone(self.prefix(1000, "/usr/bin/sudo", works=False))
        self.assertIsNone(self.prefix(1000, None))


if __name__ == "__main__":
    unittest.main()
