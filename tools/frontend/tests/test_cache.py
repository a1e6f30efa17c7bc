# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys, locks and the one-rename rule of the build cache."""

import fcntl
import multiprocessing
import os
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from frontend import cache
from frontend.status import FrontendError


class CacheCase(unittest.TestCase):
    """A cache of its own for each test."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.root = Path(self.directory.name)
        patcher = mock.patch.dict(os.environ, {"TANDEM_CACHE": str(self.root / "cache")})
        patcher.start()
        self.addCleanup(patcher.stop)


class CacheRoot(unittest.TestCase):
    def test_explicit_directory_wins(self):
        with mock.patch.dict(os.environ, {"TANDEM_CACHE": "/x/y", "XDG_CACHE_HOME": "/z"}):
            self.assertEqual(cache.cache_root(), Path("/x/y"))

    def test_xdg_directory_is_next(self):
        with mock.patch.dict(os.environ, {"TANDEM_CACHE": "", "XDG_CACHE_HOME": "/z"}):
            self.assertEqual(cache.cache_root(), Path("/z/tandem"))

    def test_home_is_the_default(self):
        with mock.patch.dict(os.environ, {"HOME": "/h"}):
            os.environ.pop("TANDEM_CACHE", None)
            os.environ.pop("XDG_CACHE_HOME", None)
            self.assertEqual(cache.cache_root(), Path("/h/.cache/tandem"))


class Keys(CacheCase):
    def test_boundaries_between_parts_count(self):
        self.assertNotEqual(cache.content_key("ab", "c"), cache.content_key("a", "bc"))

    def test_text_and_its_bytes_are_the_same_input(self):
        self.assertEqual(cache.content_key("é"), cache.content_key("é".encode()))

    def tree(self, **files):
        tree = Path(tempfile.mkdtemp(dir=self.root))
        for name, content in files.items():
            (tree / name).write_text(content)
        return tree

    def test_tree_key_depends_on_content_and_names_not_on_place_or_time(self):
        first, same = self.tree(a="1", b="2"), self.tree(b="2", a="1")
        os.utime(same / "a", (1, 1))
        self.assertEqual(cache.tree_key(first), cache.tree_key(same))
        self.assertNotEqual(cache.tree_key(first), cache.tree_key(self.tree(a="1", b="3")))
        self.assertNotEqual(cache.tree_key(first), cache.tree_key(self.tree(a="1", c="2")))

    def test_tree_key_sees_the_executable_bit(self):
        plain, executable = self.tree(a="1"), self.tree(a="1")
        (executable / "a").chmod(0o755)
        self.assertNotEqual(cache.tree_key(plain), cache.tree_key(executable))

    def test_tree_key_ignores_leavings_of_editors(self):
        clean, littered = self.tree(a="1"), self.tree(a="1")
        (littered / "a~").write_text("old")
        (littered / "__pycache__").mkdir()
        (littered / "__pycache__/a.pyc").write_text("x")
        self.assertEqual(cache.tree_key(clean), cache.tree_key(littered))

    def test_files_moving_between_trees_change_the_key(self):
        one, two, empty = self.tree(a="1"), self.tree(b="2"), self.tree()
        both = self.tree(a="1", b="2")
        self.assertNotEqual(cache.tree_key(one, two), cache.tree_key(both, empty))

    def test_a_missing_tree_is_an_empty_one(self):
        self.assertEqual(cache.tree_key(self.root / "nowhere"), cache.tree_key(self.tree()))


class AppearingDirectory(CacheCase):
    def test_appears_only_when_the_block_ends_well(self):
        final = self.root / "entry"
        with cache.appearing_directory(final) as place:
            (place / "file").write_text("x")
            self.assertFalse(final.exists())
        self.assertEqual((final / "file").read_text(), "x")

    def test_failure_leaves_nothing(self):
        with self.assertRaises(KeyboardInterrupt), cache.appearing_directory(self.root / "entry"):
            raise KeyboardInterrupt
        self.assertEqual(list(self.root.iterdir()), [])

    def test_remains_of_a_killed_process_do_not_get_in(self):
        (self.root / ".entry.partial").mkdir()
        (self.root / ".entry.partial/half").write_text("x")
        with cache.appearing_directory(self.root / "entry"):
            pass
        self.assertEqual(list((self.root / "entry").iterdir()), [])


def hold_lock(root, ready, release):
    os.environ["TANDEM_CACHE"] = root
    with cache.locked("thing"):
        ready.set()
        release.wait(20)


class Locks(CacheCase):
    def test_second_process_waits_for_the_first(self):
        context = multiprocessing.get_context("fork")
        ready, release = context.Event(), context.Event()
        holder = context.Process(target=hold_lock, args=(str(cache.cache_root()), ready, release))
        holder.start()
        self.assertTrue(ready.wait(20))
        waiter = context.Process(target=hold_lock, args=(str(cache.cache_root()), context.Event(), release))
        with mock.patch("sys.stderr"):
            waiter.start()
            time.sleep(0.2)
            self.assertTrue(waiter.is_alive())
        release.set()
        holder.join(20)
        waiter.join(20)
        self.assertEqual((holder.exitcode, waiter.exitcode), (0, 0))

    def test_a_killed_holder_frees_the_lock(self):
        context = multiprocessing.get_context("fork")
        ready, release = context.Event(), context.Event()
        holder = context.Process(target=hold_lock, args=(str(cache.cache_root()), ready, release))
        holder.start()
        self.assertTrue(ready.wait(20))
        holder.kill()
        holder.join(20)
        with cache.locked("thing"):
            pass


    def test_a_build_tool_keeps_the_lock_of_a_killed_front_end(self):
        with cache.locked("thing"):
            tool = subprocess.Popen(["sleep", "30"], pass_fds=cache.inherited_locks())
        self.addCleanup(tool.wait)
        self.addCleanup(tool.kill)
        with open(cache.cache_root() / "locks/thing.lock") as handle, self.assertRaises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.assertEqual(cache.inherited_locks(), ())


class CachePath(CacheCase):
    def refused(self, path):
        with mock.patch.dict(os.environ, {"TANDEM_CACHE": str(path)}), self.assertRaises(FrontendError) as caught:
            cache.check_cache_path()
        self.assertIn("TANDEM_CACHE", caught.exception.message)

    def test_paths_that_make_cannot_bear_are_refused(self):
        self.refused(self.root / "my cache")
        self.refused(self.root / "a:b")

    def test_a_file_in_the_way_is_refused(self):
        (self.root / "file").write_text("")
        self.refused(self.root / "file")
        self.refused(self.root / "file/below")

    def test_a_good_path_is_made(self):
        cache.check_cache_path()
        self.assertTrue(cache.cache_root().is_dir())


class Files(CacheCase):
    def test_equal_content_is_not_written_again(self):
        path = self.root / "f"
        self.assertTrue(cache.write_if_different(path, b"1"))
        os.utime(path, (1, 1))
        self.assertFalse(cache.write_if_different(path, b"1"))
        self.assertEqual(path.stat().st_mtime, 1)
        self.assertTrue(cache.write_if_different(path, b"2"))

    def test_mirror_copies_changes_and_removes(self):
        source, target = self.root / "source", self.root / "target"
        source.mkdir()
        (source / "a").write_text("1")
        (target / "sub").mkdir(parents=True)
        (target / "sub/old").write_text("x")
        self.assertTrue(cache.mirror_files([(source / "a", Path("sub/a"))], target))
        self.assertEqual(cache.files_below(target), [target / "sub/a"])
        self.assertFalse(cache.mirror_files([(source / "a", Path("sub/a"))], target))

    def test_remove_tree_copes_with_read_only_directories(self):
        (self.root / "t/sub").mkdir(parents=True)
        (self.root / "t/sub/f").write_text("x")
        (self.root / "t/sub").chmod(0o500)
        cache.remove_tree(self.root / "t")
        self.assertFalse((self.root / "t").exists())

    def test_discarding_also_clears_what_a_killed_one_left(self):
        for name in ("entry", ".discarded-other"):
            (self.root / name / "sub").mkdir(parents=True)
        cache.discard(self.root / "entry")
        self.assertEqual(list(self.root.iterdir()), [])

    def test_damaged_json_counts_as_empty(self):
        (self.root / "j").write_text('{"a": ')
        self.assertEqual(cache.read_json(self.root / "j"), {})


class Prune(CacheCase):
    def test_keeps_the_most_recently_used_and_anything_from_the_last_day(self):
        old = time.time() - 5 * 24 * 3600
        for number in range(4):
            entry = cache.cache_root() / f"qemu-{number}"
            entry.mkdir(parents=True)
            os.utime(entry, (old + number, old + number))
        (cache.cache_root() / "qemu-5").mkdir()
        cache.prune("qemu-[0-9]*", keep=2)
        self.assertEqual(sorted(path.name for path in cache.cache_root().iterdir()), ["qemu-3", "qemu-5"])


if __name__ == "__main__":
    unittest.main()
