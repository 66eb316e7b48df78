"""Input files as streams of decompressed bytes, gzip or plain (isal)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from isal import igzip, igzip_lib

from cryodata.errors import RejectedError

GZIP_MAGIC = b"\x1f\x8b"
MAX_DEFLATE_RATIO = 1032
"the most bytes that one compressed byte can stand for (zlib technical notes)"

TRUSTED_RATIO = 16
"decompressed bytes for each compressed one that the end of a gzip file is believed to stand for"

FOREIGN = {
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\0": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"PK\x03\x04": "a zip archive",
    b"\x89HDF\r\n": "an HDF5 file",
    **dict.fromkeys((b"<!", b"<?", b"<html", b"<HTML"), "an HTML or XML page"),  # a map of 60 columns begins "<\0"
}
"what a file is that begins so, and that can't be read as what it should be"

PIECE = 1 << 18
"bytes handled at a time: still in a core's own cache, or near it, when they are hashed and copied"


def shown(path: Path) -> str:
    """The name of a file as a message shows it: on one line, whatever characters it has."""
    return "".join(letter if letter.isprintable() else "?" for letter in path.name)


def foreign(begin: bytes) -> str | None:
    """What a file seems to be instead, by its first bytes; None if they do not tell."""
    return next((kind for magic, kind in FOREIGN.items() if begin.lstrip(b"\xef\xbb\xbf \r\n").startswith(magic)), None)


@contextmanager
def open_inflated(path: Path, code: str) -> Iterator[BinaryIO]:
    """Open a plain or gzip file for reading its decompressed bytes.

    code: rejection code for a file that can't be read. Raises RejectedError naming the file if it is missing,
    not a file, or its compression is broken at any point while it is read.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would wait for a writer
            raise RejectedError(code, f"{shown(path)}: can't be read (no regular file)")
        with open(path, "rb") as raw:
            compressed = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            yield cast(BinaryIO, igzip.IGzipFile(fileobj=raw, mode="rb")) if compressed else raw
    except (igzip_lib.IsalError, EOFError) as error:  # type: ignore[misc]
        reason = str(error) or type(error).__name__
        raise RejectedError(code, f"{shown(path)}: broken gzip stream ({reason}); expected a complete file") from None
    except OSError as error:
        raise RejectedError(code, f"{shown(path)}: can't be read ({error.strerror or error})") from None


def largest_inflated_size(path: Path) -> int:
    """The most decompressed bytes that a file of this size can hold."""
    size = path.stat().st_size
    with open(path, "rb") as raw:
        return size * MAX_DEFLATE_RATIO if raw.read(2) == GZIP_MAGIC else size


def holds(path: Path, count: int, code: str) -> bool:
    """Whether a file has at least `count` decompressed bytes, told without keeping any of them.

    A gzip file ends with its size modulo 2^32 (RFC 1952). Where that is too small (the file may have several members),
    or vouches for much memory (its end may be anything), the file is inflated and counted.
    """
    with open(path, "rb") as raw:
        if raw.read(2) != GZIP_MAGIC:
            return path.stat().st_size >= count
        raw.seek(-4, os.SEEK_END)
        trusted = count <= TRUSTED_RATIO * path.stat().st_size
        if trusted and count < 2**32 and int.from_bytes(raw.read(4), "little") >= count:
            return True
    size = 0
    with open_inflated(path, code) as stream:
        while size < count and (piece := stream.read(PIECE)):
            size += len(piece)
    return size >= count


def inflated_digest(path: Path, code: str, limit: int) -> tuple[str, int]:
    """sha256 (hexadecimal) and number of the decompressed bytes of a file.

    Raises RejectedError with `code` if there are more than `limit`; reading stops there.
    """
    digest, size = hashlib.sha256(), 0
    with open_inflated(path, code) as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
            size += len(piece)
            if size > limit:
                raise RejectedError(code, f"{shown(path)}: more than the {limit:,} bytes that it may hold")
    return digest.hexdigest(), size


def inflated_bytes(path: Path, code: str, limit: int) -> bytes:
    """All decompressed bytes of a file; RejectedError with `code` beyond `limit`."""
    pieces, size = [], 0
    with open_inflated(path, code) as stream:
        while piece := stream.read(PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise RejectedError(code, f"{shown(path)}: more than the {limit:,} bytes that it may hold")
    return b"".join(pieces)
