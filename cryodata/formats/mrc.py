"""Density of MRC/CCP4 maps, read and written (mrcfile)."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import mrcfile
import numpy as np
from isal import igzip
from mrcfile.dtypes import HEADER_DTYPE

from cryodata.core.volume import Volume
from cryodata.errors import RejectedError
from cryodata.formats.inflate import PIECE, holds, inflated_digest, open_inflated
from cryodata.formats.mrc_header import MODES, MapHeader, exact_labels, truncated

SUMMED = 1 << 20
"bytes of planes whose values are summed together for a header: with others, a last digit there would differ"

TRAILING_BYTES = 1 << 20
"bytes after the density that are tolerated and ignored: some programs pad their files"


def map_digest(path: Path, header: MapHeader) -> tuple[str, int]:
    """sha256 and number of the decompressed bytes of a map; RejectedError if there are too few or far too many."""
    claimed = header.data_offset + header.data_bytes
    digest, size = inflated_digest(path, "unreadable_map", claimed + TRAILING_BYTES)
    if size < claimed:
        raise truncated(header, f"it holds {size:,}")
    return digest, size


def read_volume(path: Path, header: MapHeader, room: int = 0) -> Volume:
    """Read the density as float32 (nz, ny, nx) in the frame that the header asks for.

    room: the density is the end of an array of so many values at least, whose begin is for what will be made of it.
    Memory: that array, of whose begin nothing is touched, and one piece of the file. Raises RejectedError
    `truncated_map` or `unreadable_map`.
    """
    with open_inflated(path, "unreadable_map") as stream:
        return _read_volume(path, header, stream, room)


def read_hashed(path: Path, header: MapHeader, room: int = 0) -> tuple[Volume, str, int]:
    """What `read_volume` and `map_digest` give, inflated once."""
    with open_inflated(path, "unreadable_map") as stream:
        hashing = _Hashing(stream)
        volume = _read_volume(path, header, hashing, room)
        limit = header.data_offset + header.data_bytes + TRAILING_BYTES
        while hashing.read(PIECE):
            if hashing.size > limit:
                found = f"more than the {limit:,} bytes that it may hold"
                raise RejectedError("unreadable_map", f"{header.file_name}: {found}")
    return volume, hashing.digest.hexdigest(), hashing.size


class _Hashing:
    """A stream that hashes what is read of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.digest, self.size = hashlib.sha256(), 0

    def read(self, count: int) -> bytes:
        """As that of the stream."""
        piece: bytes = self._stream.read(count)
        self.digest.update(piece)
        self.size += len(piece)
        return piece


def _read_volume(path: Path, header: MapHeader, stream: object, room: int) -> Volume:
    if not holds(path, header.data_offset + header.data_bytes, "unreadable_map"):
        raise truncated(header, "it ends earlier")  # before any memory is taken for it
    dtype = np.dtype(MODES[header.mode]).newbyteorder(header.byte_order)
    count = math.prod(header.shape_zyx)
    memory = np.empty(max(count, room), dtype=np.float32)
    density = memory[len(memory) - count :].reshape(header.shape_zyx)
    stored = density.transpose(header.stored_axes)  # sections, rows, columns: a view of the same memory
    plane_shape = header.stored_shape[1:]
    plane_bytes = math.prod(plane_shape) * dtype.itemsize
    step = max(1, PIECE // plane_bytes)
    _skip(stream, header)
    for first in range(0, header.stored_shape[0], step):
        last = min(first + step, header.stored_shape[0])
        piece = _read_exactly(stream, (last - first) * plane_bytes, header)
        stored[first:last] = np.frombuffer(piece, dtype=dtype).reshape(-1, *plane_shape)
    return Volume(density, header.voxel_size_xyz, header.frames[header.frame])


def write_map(path: Path, volume: Volume) -> None:
    """Write float32 density as a gzip MRC2014 map with the place in ORIGIN; the same volume gives the same bytes."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        plain = Path(folder) / "plain.mrc"
        with mrcfile.new(plain) as file:
            file.set_data(np.ascontiguousarray(volume.data, dtype=np.float32))
            file.voxel_size = tuple(float(size) for size in volume.voxel_size_xyz)
            file.header.origin = tuple(volume.origin_xyz)
            file.set_volume()
            file.header.label[:] = b""  # mrcfile notes the time of writing here
            file.header.nlabl = 0
        path.write_bytes(igzip.compress(plain.read_bytes(), 2, mtime=0))


def write_plain_map(path: Path, volume: Volume, notes: Sequence[str] = ()) -> None:
    """Write density of any real type as a plain float32 MRC2014 map; the same volume gives the same bytes.

    Minimum, maximum, mean and deviation are those of the values, its place is in ORIGIN. A header holds float32: where
    that rounds an origin or a voxel size, its labels have the number as it is (`exact_labels`). notes: at most 4 more
    labels, of 80 letters. Memory: some planes.
    """
    nz, ny, nx = volume.shape_zyx
    step = max(1, SUMMED // (4 * ny * nx))
    pieces = [volume.data[z : z + step] for z in range(0, nz, step)]
    count = volume.data.size
    mean = sum(float(piece.sum(dtype=np.float64)) for piece in pieces) / count
    square = sum(float(((piece.astype(np.float64) - mean) ** 2).sum()) for piece in pieces) / count
    header = np.zeros((), dtype=HEADER_DTYPE.newbyteorder("<"))
    size, origin = volume.voxel_size_xyz, volume.origin_xyz
    for axis, number in zip("xyz", (nx, ny, nz), strict=True):
        header[f"n{axis}"] = header[f"m{axis}"] = number
    header["cella"] = tuple(size * (nx, ny, nz))
    header["cellb"] = (90.0, 90.0, 90.0)
    header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    header["mode"], header["ispg"], header["nversion"], header["map"] = 2, 1, 20140, b"MAP "
    header["machst"] = [0x44, 0x44, 0, 0]  # little endian
    header["origin"] = tuple(origin)
    header["dmin"] = min(float(piece.min()) for piece in pieces)
    header["dmax"] = max(float(piece.max()) for piece in pieces)
    header["dmean"], header["rms"] = mean, math.sqrt(square)
    labels = exact_labels("voxel", size, header["cella"], (nx, ny, nz))
    labels += [*exact_labels("origin", origin, header["origin"]), *notes]
    header["nlabl"] = len(labels)
    for number, label in enumerate(labels):
        header["label"][number] = label.encode("ascii")
    with open(path, "wb") as file:
        file.write(header.tobytes())
        for piece in pieces:
            file.write(np.ascontiguousarray(piece, dtype="<f4").tobytes())


def _skip(stream: object, header: MapHeader) -> None:
    left = header.data_offset
    while left:
        left -= len(_read_exactly(stream, min(left, PIECE), header))


def _read_exactly(stream: object, count: int, header: MapHeader) -> bytes:
    pieces, left = [], count
    while left:
        piece: bytes = stream.read(left)  # type: ignore[attr-defined]
        if not piece:
            raise truncated(header, "it ends earlier")
        pieces.append(piece)
        left -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
