# SPDX-License-Identifier: GPL-2.0-or-later
"""Unpacks source archives: tarballs through tar(1), and Debian packages without dpkg, so that nothing gets installed.

A .deb is an ar archive whose member data.tar.{xz,zst,gz} holds the files. Only pinned files with a verified checksum come here.
"""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .status import FrontendError

AR_MAGIC = b"!<arch>\n"
AR_HEADER_SIZE = 60
COPY_CHUNK = 1 << 20
DECOMPRESSORS = {".xz": "--xz", ".zst": "--zstd", ".gz": "--gzip", "": None}


@dataclass(frozen=True)
class ArMember:
    name: str
    offset: int
    size: int


def ar_members(stream: BinaryIO) -> Iterator[ArMember]:
    """The members of an ar archive (the common format, short names: all that dpkg writes)."""
    if stream.read(len(AR_MAGIC)) != AR_MAGIC:
        raise ValueError("not an ar archive")
    offset = len(AR_MAGIC)
    while header := _read_at(stream, offset, AR_HEADER_SIZE):
        if len(header) < AR_HEADER_SIZE or header[58:60] != b"`\n":
            raise ValueError(f"damaged ar header at byte {offset}")
        size_field = header[48:58].strip()
        if not size_field.isdigit():
            raise ValueError(f"damaged ar member size at byte {offset}")
        size = int(size_field)
        yield ArMember(header[:16].decode("ascii", "replace").strip().rstrip("/"), offset + AR_HEADER_SIZE, size)
        offset += AR_HEADER_SIZE + size + size % 2


def _read_at(stream: BinaryIO, offset: int, size: int) -> bytes:
    stream.seek(offset)
    return stream.read(size)


def unpack_deb(package: Path, target: Path, members: Sequence[str] = ()) -> None:
    """Unpacks a package's files (or only `members`, as "./usr/...") below `target`."""
    try:
        with open(package, "rb") as stream:
            data = next((member for member in ar_members(stream) if member.name.startswith("data.tar")), None)
            if data is None:
                raise ValueError("it has no data.tar member")
            stream.seek(data.offset)
            _untar_stream(stream, data, target, members)
    except ValueError as error:
        raise FrontendError(f"{package} is not a usable Debian package: {error}") from error


def _untar_stream(stream: BinaryIO, data: ArMember, target: Path, members: Sequence[str]) -> None:
    suffix = Path(data.name).suffix if data.name != "data.tar" else ""
    if suffix not in DECOMPRESSORS:
        raise ValueError(f"unknown compression {data.name}")
    option = DECOMPRESSORS[suffix]
    target.mkdir(parents=True, exist_ok=True)
    command = ["tar", "--extract", "--no-same-owner", *([option] if option else []), "--directory", str(target), "--file", "-"]
    tar = subprocess.Popen([*command, *members], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    left = data.size
    try:
        while left and (chunk := stream.read(min(left, COPY_CHUNK))):
            tar.stdin.write(chunk)
            left -= len(chunk)
        tar.stdin.close()
    except BrokenPipeError:
        pass
    complaint = tar.stderr.read().decode("utf-8", "replace")
    tar.stderr.close()
    if tar.wait() != 0:
        raise ValueError(f"tar could not unpack {data.name}: {complaint.strip()[-400:]}")
    if left:
        raise ValueError(f"{data.name} is cut short by {left} bytes")


def unpack_tar(archive: Path, target: Path, strip: int = 0) -> None:
    """Unpacks a tarball below `target`, leaving out the first `strip` parts of each path."""
    target.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(["tar", "--extract", "--no-same-owner", f"--strip-components={strip}", "--directory", str(target),
                             "--file", str(archive)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode != 0:
        raise FrontendError(f"cannot unpack {archive}:", details=result.stderr.strip().splitlines()[-5:])
