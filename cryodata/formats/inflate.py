"""Input files as streams of decompressed bytes, gzip or plain (isal)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from isal import igzip, igzip_lib

from cryodata.errors import RejectedError

GZIP_MAGIC = b"\x1f\x8b"
MAX_DEFLATE_RATIO = 1032
"the most bytes that one compressed byte can stand for (zlib technical notes)"

PIECE = 1 << 20
"bytes handled at a time"


@contextmanager
def open_inflated(path: Path, code: str) -> Iterator[BinaryIO]:
    """Open a plain or gzip file for reading its decompressed bytes.

    code: rejection code for a file that can't be read. Raises RejectedError naming the file if it is missing,
    not a file, or its compression is broken at any point while it is read.
    """
    try:
        with open(path, "rb") as raw:
            compressed = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            yield cast(BinaryIO, igzip.IGzipFile(fileobj=raw, mode="rb")) if compressed else raw
    except (igzip_lib.IsalError, EOFError) as error:  # type: ignore[misc]
        reason = str(error) or type(error).__name__
        raise RejectedError(code, f"{path.name}: broken gzip stream ({reason}); expected a complete file") from None
    except OSError as error:
        raise RejectedError(code, f"{path.name}: can't be read ({error.strerror or error})") from None


def largest_inflated_size(path: Path) -> int:
    """The most decompressed bytes that a file of this size can hold."""
    size = path.stat().st_size
    with open(path, "rb") as raw:
        return size * MAX_DEFLATE_RATIO if raw.read(2) == GZIP_MAGIC else size


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
                raise RejectedError(code, f"{path.name}: more than the {limit:,} bytes that it may hold")
    return digest.hexdigest(), size


def inflated_bytes(path: Path, code: str, limit: int) -> bytes:
    """All decompressed bytes of a file; RejectedError with `code` beyond `limit`."""
    pieces, size = [], 0
    with open_inflated(path, code) as stream:
        while piece := stream.read(PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise RejectedError(code, f"{path.name}: more than the {limit:,} bytes that it may hold")
    return b"".join(pieces)
