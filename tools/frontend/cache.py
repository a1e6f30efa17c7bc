# SPDX-License-Identifier: GPL-2.0-or-later
"""The build cache: where it is, how its entries are named, and how two processes share it.

An entry's name carries a key made from all of its small inputs (patches, configuration, versions, checksums of archives), so
that the same content is never built twice, whichever checkout asks. An entry appears under its name by one rename, when it is
complete: a name that exists can be used without a lock. Building takes the entry's lock, and whatever a killed process left
half done is either continued (work trees, which have no key promise) or thrown away (".partial" directories).
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from .status import FrontendError

KEY_LENGTH = 16
_held_locks: set[int] = set()


def checkout_root() -> Path:
    """The checkout that this very file belongs to."""
    return Path(__file__).resolve().parents[2]


def cache_root() -> Path:
    """The cache directory of this user; made by whoever first writes into it."""
    explicit = os.environ.get("TANDEM_CACHE")
    if explicit:
        return Path(explicit).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "tandem"


def check_cache_path() -> None:
    """Refuses a cache that cannot work, with words instead of a failure deep inside make."""
    root = cache_root()
    if any(character.isspace() or character in ":%#$'\"\\" for character in str(root)):
        raise FrontendError(f"the cache's path {str(root)!r} holds a space or a character that make cannot bear; "
                            "name another directory in TANDEM_CACHE.")
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FrontendError(f"cannot make the cache directory {root}: {error.strerror}; name another in TANDEM_CACHE.") from error
    if not os.access(root, os.W_OK | os.X_OK):
        raise FrontendError(f"the cache directory {root} is not writable; name another in TANDEM_CACHE.")


def content_key(*parts: str | bytes) -> str:
    """A short name for a sequence of inputs. Lengths go in too, so ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()[:KEY_LENGTH]


def files_below(directory: Path) -> list[Path]:
    """All regular files below a directory in a fixed order; editors' and Python's leavings are not inputs."""
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.rglob("*") if path.is_file() and not _is_litter(path.relative_to(directory)))


def _is_litter(relative: Path) -> bool:
    return "__pycache__" in relative.parts or relative.name.endswith(("~", ".swp", ".orig", ".rej")) \
        or relative.name.startswith(".#")


def tree_key(*trees: Path) -> str:
    """A key over names and contents of the files below each tree. For small trees: it reads them all."""
    parts: list[str | bytes] = []
    for tree in trees:
        parts.append("tree")
        for path in files_below(tree):
            parts += [str(path.relative_to(tree)), "x" if os.access(path, os.X_OK) else "-", path.read_bytes()]
    return content_key(*parts)


def host_identity() -> str:
    """What built programs depend on besides their sources: a cache may be shared by machines through a home directory."""
    release = os_release()
    return "-".join([os.uname().machine, release.get("ID", "linux"), release.get("VERSION_ID", "rolling")])


def os_release() -> dict[str, str]:
    """The fields of /etc/os-release, or nothing on a system that has none."""
    fields = {}
    with contextlib.suppress(OSError):
        for line in Path("/etc/os-release").read_text().splitlines():
            name, separator, value = line.partition("=")
            if separator:
                fields[name.strip()] = value.strip().strip('"\'')
    return fields


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds the cache's lock of that name across processes; says so when it has to wait.

    Build tools that run meanwhile inherit it (see inherited_locks), so that a killed front end frees it only when the last of
    them has ended: two makes never work in one tree.
    """
    path = cache_root() / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            print(f"tandem: waiting for another setup (process {holder}) that is making {name}", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        handle.seek(0)
        handle.truncate()
        handle.write(str(os.getpid()))
        handle.flush()
        _held_locks.add(handle.fileno())
        try:
            yield
        finally:
            _held_locks.discard(handle.fileno())


def inherited_locks() -> tuple[int, ...]:
    """The file descriptors that a build tool must be given (subprocess's pass_fds)."""
    return tuple(_held_locks)


@contextlib.contextmanager
def appearing_directory(final: Path) -> Iterator[Path]:
    """Gives an empty directory that becomes `final` when the block ends well, and vanishes when it does not.

    The caller holds the lock of the entry, so a ".partial" neighbour is always the remains of a killed process.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = final.with_name(f".{final.name}.partial")
    remove_tree(partial)
    partial.mkdir()
    try:
        yield partial
    except BaseException:
        remove_tree(partial)
        raise
    remove_tree(final)
    partial.rename(final)


def remove_tree(path: Path) -> None:
    """Removes a file or a directory tree, read-only directories included; nothing there is fine."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        handler = "onexc" if sys.version_info >= (3, 12) else "onerror"
        shutil.rmtree(path, **{handler: _make_writable_and_retry})


def _make_writable_and_retry(function, path, _info) -> None:
    os.chmod(os.path.dirname(path), 0o700)
    os.chmod(path, 0o700)
    function(path)


def discard(path: Path) -> None:
    """Removes a large tree of the cache so that a kill in between leaves no half of it under its name."""
    doomed = path.with_name(f".discarded-{path.name}")
    remove_tree(doomed)
    if path.exists():
        path.rename(doomed)
    for remains in path.parent.glob(".discarded-*"):
        remove_tree(remains)


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replaces a file in one step, so that no reader and no killed writer ever leaves half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new-{os.getpid()}")
    temporary.write_bytes(data)
    temporary.chmod(mode)
    temporary.replace(path)


def write_if_different(path: Path, data: bytes, mode: int = 0o644) -> bool:
    """Like write_atomically, but leaves a file alone that already has this content, time stamp included (for ninja, make)."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == data and (path.stat().st_mode & 0o777) == mode:
            return False
    write_atomically(path, data, mode)
    return True


def mirror_files(sources: Iterable[tuple[Path, Path]], target: Path, keep_others: bool = False) -> bool:
    """Copies (source file, relative name) pairs into `target`, touching only what differs; returns whether anything did.

    Files in `target` that are not listed go, unless keep_others says that something else writes there too.
    """
    changed = False
    wanted = {relative: source for source, relative in sources}
    for relative, source in wanted.items():
        mode = 0o755 if os.access(source, os.X_OK) else 0o644
        changed |= write_if_different(target / relative, source.read_bytes(), mode)
    for path in [] if keep_others else files_below(target):
        if path.relative_to(target) not in wanted:
            path.unlink()
            changed = True
    return changed


def read_json(path: Path) -> dict:
    """A JSON object from the cache; a missing or damaged file counts as empty, because all such files can be remade."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: dict) -> None:
    write_atomically(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def mark_used(entry: Path) -> None:
    """Notes the time of use, by which prune() chooses."""
    with contextlib.suppress(OSError):
        os.utime(entry)


def prune(pattern: str, keep: int) -> None:
    """Removes all but the `keep` most recently used entries that match. An entry used in the last day always stays."""
    entries = sorted(cache_root().glob(pattern), key=lambda entry: entry.stat().st_mtime, reverse=True)
    for entry in entries[keep:]:
        if time.time() - entry.stat().st_mtime > 24 * 3600:
            discard(entry)
