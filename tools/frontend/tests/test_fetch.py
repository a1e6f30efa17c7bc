# SPDX-License-Identifier: GPL-2.0-or-later
"""Pinned sources: where they are looked for, and what a bad server or a bad file does."""

import hashlib
import http.server
import io
import os
import re
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

from frontend import fetch
from frontend.progress import Reporter
from frontend.status import FrontendError

CONTENT = bytes(range(256)) * 4096
GOOD_SUM = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT. `script` holds one behaviour for each request to come; afterwards all requests are answered well."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = []
        self.requests = []

    def url(self, path="file.tar"):
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.headers.get("Range"))
        behaviour = self.server.script.pop(0) if self.server.script else "good"
        if behaviour == "missing":
            self.send_error(404)
            return
        body = b"x" * len(CONTENT) if behaviour == "wrong" else CONTENT
        start = self.requested_start()
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        sent = body[start:]
        self.wfile.write(sent[:len(sent) // 2] if behaviour == "cut" else sent)

    def requested_start(self):
        match = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        return int(match.group(1)) if match else 0

    def log_message(self, *_):
        pass


class FetchCase(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        self.distdir = self.root / "dist"
        self.distdir.mkdir()
        environment = mock.patch.dict(os.environ, {"TANDEM_CACHE": str(self.root / "cache"), "no_proxy": "127.0.0.1"})
        environment.start()
        self.addCleanup(environment.stop)
        os.environ.pop("TANDEM_DISTDIR", None)
        self.server = Server()
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.mirrors([])

    def pin(self, **fields):
        file = fetch.SourceFile(**{"name": "file.tar", "sha256": GOOD_SUM, **fields})
        patcher = mock.patch.object(fetch, "load_manifest", return_value={"thing": [file]})
        patcher.start()
        self.addCleanup(patcher.stop)
        return file

    def mirrors(self, bases):
        patcher = mock.patch.object(fetch, "debian_mirrors", return_value=bases)
        patcher.start()
        self.addCleanup(patcher.stop)

    def obtain(self, offline=False):
        return fetch.obtain("thing", Reporter(stream=io.StringIO()), offline)

    def failure(self, **arguments):
        with self.assertRaises(FrontendError) as caught:
            self.obtain(**arguments)
        return "\n".join([caught.exception.message, *caught.exception.details])


class Places(FetchCase):
    def test_distdir_comes_before_everything(self):
        self.pin(url=self.server.url())
        (self.distdir / "file.tar").write_bytes(CONTENT)
        with mock.patch.dict(os.environ, {"TANDEM_DISTDIR": str(self.distdir)}):
            self.assertEqual(self.obtain(), self.distdir / "file.tar")
        self.assertEqual(self.server.requests, [])

    def test_distdir_without_the_file_is_no_obstacle(self):
        self.pin(url=self.server.url())
        with mock.patch.dict(os.environ, {"TANDEM_DISTDIR": str(self.distdir)}):
            self.assertEqual(self.obtain().read_bytes(), CONTENT)

    def test_distdir_that_does_not_exist_is_an_error(self):
        self.pin(url=self.server.url())
        with mock.patch.dict(os.environ, {"TANDEM_DISTDIR": str(self.root / "typo")}):
            self.assertIn("not a directory", self.failure())

    def test_upstream_comes_before_the_mirror(self):
        self.pin(url=self.server.url("upstream"), pool="pool/file.tar")
        self.mirrors([self.server.url("debian/")])
        with mock.patch.object(fetch, "download", side_effect=lambda file, url, reporter: url):
            self.assertEqual(self.obtain(), self.server.url("upstream"))

    def test_mirror_serves_when_upstream_fails(self):
        self.pin(url=self.server.url("upstream"), pool="pool/a/file~1+2.tar")
        self.mirrors([self.server.url("debian/")])
        self.server.script = ["missing"]
        self.assertEqual(self.obtain().read_bytes(), CONTENT)

    def test_a_second_call_asks_nobody(self):
        self.pin(url=self.server.url())
        first = self.obtain()
        self.server.requests.clear()
        self.assertEqual(self.obtain(), first)
        self.assertEqual(self.server.requests, [])

    def test_offline_names_the_file_and_the_variable(self):
        self.pin(url=self.server.url())
        text = self.failure(offline=True)
        for part in ("file.tar", GOOD_SUM, "TANDEM_DISTDIR"):
            self.assertIn(part, text)
        self.assertEqual(self.server.requests, [])

    def test_unpinned_source_is_an_error(self):
        self.pin()
        with self.assertRaises(FrontendError):
            fetch.obtain("other", Reporter(stream=io.StringIO()))


class BadFiles(FetchCase):
    def test_wrong_file_in_distdir_is_named_with_both_checksums(self):
        self.pin(url=self.server.url())
        (self.distdir / "file.tar").write_bytes(b"else")
        with mock.patch.dict(os.environ, {"TANDEM_DISTDIR": str(self.distdir)}):
            text = self.failure()
        for part in (str(self.distdir / "file.tar"), GOOD_SUM, hashlib.sha256(b"else").hexdigest()):
            self.assertIn(part, text)
        self.assertEqual(self.server.requests, [])

    def test_cut_download_is_resumed_where_it_ended(self):
        self.pin(url=self.server.url())
        self.server.script = ["cut"]
        self.assertEqual(self.obtain().read_bytes(), CONTENT)
        self.assertEqual(self.server.requests, [None, f"bytes={len(CONTENT) // 2}-"])

    def test_download_of_a_killed_setup_is_resumed(self):
        self.pin(url=self.server.url())
        fetch.distfiles().mkdir(parents=True)
        (fetch.distfiles() / "file.tar.part").write_bytes(CONTENT[:1000])
        self.assertEqual(self.obtain().read_bytes(), CONTENT)
        self.assertEqual(self.server.requests, ["bytes=1000-"])

    def test_whole_part_file_is_recognised(self):
        self.pin(url=self.server.url())
        fetch.distfiles().mkdir(parents=True)
        (fetch.distfiles() / "file.tar.part").write_bytes(CONTENT)
        self.assertEqual(self.obtain().read_bytes(), CONTENT)

    def test_wrong_part_file_is_fetched_afresh(self):
        self.pin(url=self.server.url())
        fetch.distfiles().mkdir(parents=True)
        (fetch.distfiles() / "file.tar.part").write_bytes(b"y" * 5000)
        self.assertEqual(self.obtain().read_bytes(), CONTENT)
        self.assertEqual(self.server.requests, ["bytes=5000-", None])

    def test_wrong_content_is_retried_once_and_then_an_error(self):
        self.pin(url=self.server.url())
        self.server.script = ["wrong"] * 5
        text = self.failure()
        self.assertIn("wrong checksum", text)
        self.assertIn(GOOD_SUM, text)
        self.assertEqual(len(self.server.requests), 2)
        self.assertEqual([path.name for path in fetch.distfiles().iterdir()], [])

    def test_download_that_is_always_cut_ends_in_an_error(self):
        self.pin(url=self.server.url())
        self.server.script = ["cut"] * 9
        self.assertIn("ended early", self.failure())

    def test_missing_file_is_asked_for_once(self):
        self.pin(url=self.server.url())
        self.server.script = ["missing"] * 9
        self.assertIn("404", self.failure())
        self.assertEqual(len(self.server.requests), 1)

    def test_no_network_names_the_file_to_provide(self):
        self.pin(url="http://127.0.0.1:1/file.tar")
        text = self.failure()
        self.assertIn("refused", text)
        self.assertIn("TANDEM_DISTDIR", text)


class Mirrors(unittest.TestCase):
    LISTING = """\
http://mirror.example/debian/ Debian Debian
http://mirror.example/debian-security/ Debian Debian-Security
https://other.example/apt/ Other Other
http://mirror.example/debian/ Debian Debian
"""

    def test_only_debian_archives_count_and_each_once(self):
        self.assertEqual(fetch.mirrors_from_listing(self.LISTING), ["http://mirror.example/debian/"])

    def test_before_apt_get_update_an_archive_says_nothing_of_itself(self):
        listing = "http://mirror.example/debian  \nhttp://named.example/debian/ Debian Debian\n"
        self.assertEqual(fetch.mirrors_from_listing(listing),
                         ["http://named.example/debian/", "http://mirror.example/debian/"])

    def test_other_transports_are_left_out(self):
        self.assertEqual(fetch.mirrors_from_listing("cdrom:[Debian]/ Debian Debian\n"), [])

    def test_without_apt_there_are_none(self):
        with mock.patch.object(fetch.subprocess, "run", side_effect=FileNotFoundError):
            self.assertEqual(fetch.debian_mirrors(), [])


class Manifest(unittest.TestCase):
    def test_every_pinned_file_has_a_checksum_and_a_location(self):
        for source, files in fetch.load_manifest().items():
            for file in files:
                with self.subTest(source=source, file=file.name):
                    self.assertRegex(file.sha256, r"^[0-9a-f]{64}$")
                    self.assertTrue(file.url or file.pool)
                    self.assertNotIn("/", file.name)
                    if file.pool:
                        self.assertTrue(file.pool.endswith("/" + file.name))

    def test_key_of_a_source_counts_all_its_files(self):
        key = fetch.source_key("qemu-10.2.2")
        for file in fetch.pinned("qemu-10.2.2"):
            self.assertIn(file.sha256, key)


if __name__ == "__main__":
    unittest.main()
