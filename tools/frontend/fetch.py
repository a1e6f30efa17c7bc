# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the pinned source archives, on this machine or on the network.

sources.json pins, for each source, one or more files that serve the same purpose (an upstream archive, Debian's repacked one)
by name and sha256. Places are asked in this order: the directory named by TANDEM_DISTDIR, the cache, the upstream location,
and the Debian mirror that apt on this machine is configured for. Nothing is used whose checksum does not match.
"""

import contextlib
import hashlib
import http.client
import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .cache import cache_root, locked
from .progress import Reporter, step
from .status import FrontendError

CHUNK = 1 << 18
TIMEOUT_SECONDS = 30
ATTEMPTS = 3


@dataclass(frozen=True)
class SourceFile:
    """One pinned file. `url` is its upstream location, `pool` its path on any Debian mirror; either may be missing."""

    name: str
    sha256: str
    url: str | None = None
    pool: str | None = None
    size: int | None = None


class TransferError(Exception):
    """One location could not deliver; the next may. `final` means that asking this one again is pointless."""

    def __init__(self, message: str, final: bool = False):
        super().__init__(message)
        self.final = final


def load_manifest(path: Path | None = None) -> dict[str, list[SourceFile]]:
    text = (path or Path(__file__).with_name("sources.json")).read_text()
    return {source: [SourceFile(**entry) for entry in entries] for source, entries in json.loads(text).items()}


def pinned(source: str) -> list[SourceFile]:
    try:
        return load_manifest()[source]
    except KeyError:
        raise FrontendError(f"tools/frontend/sources.json pins no source {source!r}") from None


def source_key(source: str) -> str:
    """What an archive adds to a cache key: every acceptable file gives the same build, so all of them count as one."""
    return f"{source}:" + ",".join(file.sha256 for file in pinned(source))


def obtain(source: str, reporter: Reporter, offline: bool = False) -> Path:
    """The path of a verified file of this source; fetches it into the cache if no place on this machine has it."""
    files = pinned(source)
    found = _find_locally(files)
    if found:
        return found
    with locked(f"fetch-{source}"):
        found = _find_locally(files)
        if found:
            return found
        if offline:
            raise FrontendError(f"{source} is not on this machine, and --offline forbids fetching it.", details=_advice(files))
        return _download_any(source, files, reporter)


def _find_locally(files: list[SourceFile]) -> Path | None:
    for directory in _local_directories():
        for file in files:
            candidate = directory / file.name
            if candidate.is_file():
                verify(candidate, file)
                return candidate
    return None


def _local_directories() -> Iterator[Path]:
    named = os.environ.get("TANDEM_DISTDIR")
    if named:
        directory = Path(named).expanduser().absolute()
        if not directory.is_dir():
            raise FrontendError(f"TANDEM_DISTDIR names {directory}, which is not a directory.")
        yield directory
    yield distfiles()


def distfiles() -> Path:
    return cache_root() / "distfiles"


def verify(path: Path, file: SourceFile) -> None:
    """Raises a FrontendError that names file, expected and actual checksum unless they agree."""
    actual = sha256_of(path)
    if actual != file.sha256:
        raise FrontendError(f"{path} has the wrong checksum.", details=[
            f"expected sha256 {file.sha256}", f"actual sha256   {actual}",
            "Remove or replace the file, then run ./tandem setup again."])


def sha256_of(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download_any(source: str, files: list[SourceFile], reporter: Reporter) -> Path:
    """Asks each location of each acceptable file in turn; the error names all that were tried."""
    tried = []
    for file, url in locations(files):
        try:
            return download(file, url, reporter)
        except TransferError as failure:
            tried.append(f"{url}: {failure}")
    tried = tried or ["no location is known: apt is not configured for a Debian mirror on this machine"]
    raise FrontendError(f"cannot fetch {source}:", details=[*tried, *_advice(files)])


def locations(files: list[SourceFile]) -> Iterator[tuple[SourceFile, str]]:
    """Upstream locations first, then the pool of each mirror."""
    yield from ((file, file.url) for file in files if file.url)
    in_pool = [file for file in files if file.pool]
    if in_pool:
        for mirror in debian_mirrors():
            yield from ((file, mirror + urllib.parse.quote(file.pool, safe="/+~")) for file in in_pool)


def _advice(files: list[SourceFile]) -> list[str]:
    lines = ["Put one of these files into a directory, and name the directory in TANDEM_DISTDIR:"]
    return lines + [f"  {file.name}  (sha256 {file.sha256})" for file in files]


def debian_mirrors() -> list[str]:
    """The base addresses of the archives that apt uses and that carry Debian's pool, most likely first."""
    columns = "$(REPO_URI) $(ORIGIN) $(LABEL)"
    try:
        listing = subprocess.run(["apt-get", "indextargets", "--format", columns, "Created-By: Packages"],
                                 capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    return mirrors_from_listing(listing)


def mirrors_from_listing(listing: str) -> list[str]:
    """Archives that call themselves Debian come first; those that say nothing (lists not yet fetched) after them.

    Debian's security archive has a pool of its own, without our files, and other people's archives have none of Debian's.
    """
    ranked: dict[str, int] = {}
    for line in listing.splitlines():
        address, _, described = line.strip().partition(" ")
        words = described.split()
        if not address.startswith(("http://", "https://", "file:")):
            continue
        if words and (words[0] != "Debian" or "Debian-Security" in words):
            continue
        rank = 0 if words else 1
        base = address.rstrip("/") + "/"
        ranked[base] = min(rank, ranked.get(base, rank))
    return sorted(ranked, key=lambda base: ranked[base])


def apt_proxy(url: str) -> str | None:
    """The proxy that apt is configured to reach this address through."""
    scheme = urllib.parse.urlsplit(url).scheme
    try:
        answer = subprocess.run(["apt-config", "shell", "PROXY", f"Acquire::{scheme}::Proxy"],
                                capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    value = answer.removeprefix("PROXY=").strip("'\"")
    return None if value in ("", "DIRECT") else value


def download(file: SourceFile, url: str, reporter: Reporter) -> Path:
    """Fetches one file into the cache. A broken transfer is resumed, a wrong one is fetched afresh once."""
    target = distfiles() / file.name
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh_starts = 0
    failure = TransferError("no attempt was made")
    for _ in range(ATTEMPTS):
        try:
            with step(reporter, f"fetch.{file.name}", f"fetching {file.name}", units=file.size) as meter:
                _transfer(url, part, lambda done, total: _show(reporter, file, meter, done, total))
        except TransferError as broken:
            failure = broken
            if broken.final:
                break
            continue
        actual = sha256_of(part)
        if actual == file.sha256:
            part.replace(target)
            return target
        part.unlink()
        failure = TransferError(f"the file arrived with the wrong checksum: expected sha256 {file.sha256}, actual {actual}")
        fresh_starts += 1
        if fresh_starts == 2:
            break
    raise failure


def _show(reporter: Reporter, file: SourceFile, meter, done: int, total: int | None) -> None:
    meter.done, meter.total = done, total or meter.total
    reporter.update(f"fetching {file.name} ({done >> 20} MiB)", meter.fraction(), meter.left())


def _transfer(url: str, part: Path, on_progress: Callable[[int, int | None], None]) -> None:
    """Appends to `part` what is still missing of the file behind the URL; raises TransferError if the end was not reached."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "tandem-setup"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with _opener(url).open(request, timeout=TIMEOUT_SECONDS) as answer:
            resumed = getattr(answer, "status", None) == 206
            have = have if resumed else 0
            total = _announced_size(answer, have)
            with open(part, "ab" if resumed else "wb") as output:
                while chunk := answer.read(CHUNK):
                    output.write(chunk)
                    have += len(chunk)
                    on_progress(have, total)
    except urllib.error.HTTPError as error:
        _handle_refusal(error, part, have)
        return
    except http.client.IncompleteRead as error:
        with open(part, "ab") as output:
            output.write(error.partial)
        raise TransferError("the connection ended early") from error
    except (OSError, http.client.HTTPException) as error:
        raise TransferError(f"{getattr(error, 'reason', None) or error}") from error
    if total is not None and have < total:
        raise TransferError(f"the connection ended early, after {have} of {total} bytes")


def _handle_refusal(error: urllib.error.HTTPError, part: Path, have: int) -> None:
    """416 answers a range that starts at the file's end: `part` is whole, or garbage that the checksum will show."""
    if error.code == 416 and have:
        return
    raise TransferError(f"HTTP status {error.code} {error.reason}", final=error.code in (401, 403, 404, 410)) from error


def _announced_size(answer, offset: int) -> int | None:
    length = answer.headers.get("Content-Length")
    return offset + int(length) if length and length.isdigit() else None


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Honours the environment's proxies, and apt's where the environment names none."""
    scheme = urllib.parse.urlsplit(url).scheme
    proxies = urllib.request.getproxies()
    if scheme in ("http", "https") and scheme not in proxies:
        with contextlib.suppress(OSError):
            proxy = apt_proxy(url)
            if proxy:
                proxies = {**proxies, scheme: proxy}
    return urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
