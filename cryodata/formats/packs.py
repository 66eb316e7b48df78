"""A volume as one file: a zip archive without compression, so that every object in it is a range of its bytes.

Hubs and archives bound how many files a dataset may have. zarr, tensorstore and Neuroglancer open such a file
as the folder that it holds.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

from cryodata.errors import DatasetError

SUFFIX = ".ozx"
"OME-Zarr in a zip archive, as the proposal for OME-Zarr 0.6 calls it"

MAX_BYTES = (1 << 31) - 1
"of an archive: beyond, zip needs other records, which readers here do not know"

TAIL = 1 << 16
"bytes at the end of an archive in which its directory lies: a volume has some 13 objects"

_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL_BYTES = 30
"bytes before the name of an object (APPNOTE 4.3.7)"


def pack_path(path: str) -> tuple[str, str] | None:
    """The archive of an object of a volume, and the name in it; None for anything that is in no volume."""
    volume, suffix, name = path.partition(".zarr/")
    return (f"{volume}{SUFFIX}", name) if suffix and volume.startswith("volumes/") else None


def pack_bytes(files: Mapping[str, int]) -> int:
    """Length of the archive of files, given by their names and lengths."""
    return _END.size + sum(size + _LOCAL_BYTES + _ENTRY.size + 2 * len(name.encode()) for name, size in files.items())


def write_pack(target: Path, files: Iterable[tuple[str, IO[bytes], int, str]]) -> None:
    """Write an archive; the same files give the same bytes.

    files: name, open file, bytes and sha256 of each; metadata first is what viewers like. Raises DatasetError for one
    with other bytes.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, file, size, sha256 in files:
            info = zipfile.ZipInfo(name)  # its date is 1980
            info.create_system, info.external_attr, info.file_size = 3, 0o100644 << 16, size
            digest = hashlib.sha256()
            with archive.open(info, "w") as out:
                shutil.copyfileobj(file, _Both(out, digest), 1 << 20)
            found = digest.hexdigest()
            if (info.file_size, found) != (size, sha256):
                raise DatasetError(
                    f"{name}: {info.file_size:,} bytes with sha256 {found}; expected {size:,} with {sha256}"
                )


def read_directory(tail: bytes, size: int) -> dict[str, tuple[int, int]]:
    """First byte and length of every object of an archive of `size` bytes, read from its last bytes.

    Raises ValueError for what is no archive as `write_pack` makes it.
    """
    try:
        magic, _, _, _, count, length, first, comment = _END.unpack_from(tail, len(tail) - _END.size)
        place = len(tail) - size + first
        if magic != b"PK\5\6" or comment or place < 0 or first + length + _END.size != size:
            raise ValueError("its last bytes are not the end of a zip archive")
        found = {}
        for _ in range(count):
            fields = _ENTRY.unpack_from(tail, place)
            magic, method, stored, real = fields[0], fields[4], fields[8], fields[9]
            name_bytes, extra, note, offset = *fields[10:13], fields[16]
            if magic != b"PK\1\2" or method or stored != real or extra or note:
                raise ValueError("its directory lists what is compressed or carries more than a name")
            place += _ENTRY.size
            name = tail[place : place + name_bytes].decode()
            place += name_bytes
            begin = offset + _LOCAL_BYTES + name_bytes
            if begin + stored > first:
                raise ValueError(f"{name} would reach beyond the objects")
            found[name] = (begin, stored)
        return found
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None


class _Both:
    """Writes to an archive and a hash."""

    def __init__(self, out: IO[bytes], digest: hashlib._Hash) -> None:
        self._out, self._digest = out, digest

    def write(self, piece: bytes) -> int:
        self._digest.update(piece)
        return self._out.write(piece)
